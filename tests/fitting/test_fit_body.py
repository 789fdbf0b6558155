"""A body that a camera saw is found again from its map alone."""

from dataclasses import replace

import numpy as np
import pytest

from bodymap import Correspondence, UserError
from bodymap.fitting import fit_body
from bodymap.fitting.body import FIELD_OF_VIEW
from bodymap.fitting.picture import draw
from bodymap.fitting.start import CAMERA_FROM_WORLD
from bodymap.people import Pack
from bodymap.people.rig import Rig, State
from bodymap.people.skinning import rotation_vector
from bodymap.types import Camera

SIZE = (240, 180)


@pytest.fixture(scope="module")
def pack():
    return Pack.load()


def seen(pack: Pack, pose: int, turn: float) -> tuple[np.ndarray, Correspondence]:
    """A bent and heavier body than any start, and what a camera three metres away sees of it."""
    rng = np.random.default_rng(pose)
    local = pack.pose(pose).astype(float)
    local[0] = rotation_vector([0.1, 0, 0]) @ CAMERA_FROM_WORLD @ rotation_vector([0, 0, turn]) @ local[0]
    for label in ("upperarm01.L", "lowerarm01.R", "upperleg01.L", "spine03"):
        bone = pack.bones.labels.index(label)
        local[bone] = rotation_vector(rng.normal(0, 0.2, 3)) @ local[bone]
    shape = np.zeros(len(pack.shape_basis))
    shape[:3] = 0.8, -0.6, 0.7
    body = Rig(pack).posed(State(shape, local, np.zeros(3)))
    body += [0, 0, 3.0] - (body.max(0) + body.min(0)) / 2
    focal = 0.5 * max(SIZE) / np.tan(0.5 * FIELD_OF_VIEW)
    intrinsics = np.array([[focal, 0, SIZE[1] / 2], [0, focal, SIZE[0] / 2], [0, 0, 1]], np.float32)
    return body, draw(body, Camera(intrinsics, np.eye(4, dtype=np.float32), SIZE))


@pytest.mark.parametrize(("pose", "turn"), [(3, 0.3), (60, 3.0), (120, -1.4)])
def test_pose_and_shape_are_found(pack, pose, turn):
    body, c = seen(pack, pose, turn)
    fit = fit_body(c, pack)
    assert fit.error < 1.0 and fit.spread == pytest.approx(fit.error / np.hypot(*_extent(c.mask)), rel=1e-6)
    again = fit.correspondence()
    assert (again.mask & c.mask).sum() > 0.9 * (again.mask | c.mask).sum()
    assert (again.part == c.part)[again.mask & c.mask].mean() > 0.9
    # a single view leaves size and distance open: compared after the best scale about the camera
    found = fit.vertices
    found = found * (found * body).sum() / (found**2).sum()
    assert np.median(np.linalg.norm(found - body, axis=1)) < 0.06


def test_doubtful_and_carried_pixels_do_not_count(pack):
    _, c = seen(pack, 3, 0.3)
    clean = fit_body(c, pack)
    wrong = np.zeros(SIZE, bool)
    wrong[:60] = True
    wrong &= c.mask
    triangle = np.where(wrong, 100, c.triangle)
    for change in ({"confidence": np.where(wrong, 0, c.confidence)}, {"layer": np.where(wrong, 6, c.layer)}):
        fit = fit_body(replace(c, triangle=triangle, **change), pack)
        below = clean.vertices[:, 1] > np.median(clean.vertices[:, 1])
        assert np.median(np.linalg.norm(fit.vertices - clean.vertices, axis=1)[below]) < 0.1


def test_clothes_are_carried_along(pack):
    """A body in a coat of four centimetres: bare it is too slim, clothed it covers what was seen, from the side too."""
    from bodymap.fitting.clothed import clothe
    from bodymap.people.anatomy import template
    from bodymap.people.mesh import corner_normals

    body, bare = seen(pack, 3, 0.3)
    fit = fit_body(bare, pack)
    skin = fit.vertices
    normals = corner_normals(skin, template().triangles.numpy())
    middle = skin[:, 1]
    coat = 0.04 * ((middle > np.quantile(middle, 0.25)) & (middle < np.quantile(middle, 0.9)))
    thick = skin + coat[:, None] * normals
    c = draw(thick, fit.camera, confidence=0.9)
    c = replace(c, layer=np.where(c.mask, 3, 0).astype(np.int8))
    displacement = clothe(fit, c)
    found = Rig(pack).posed(fit.state, displacement)
    again = draw(found, fit.camera)

    def overlap(a, b):
        return (a.mask & b.mask).sum() / (a.mask | b.mask).sum()

    assert overlap(again, c) > 0.88 > 0.7 > overlap(draw(skin, fit.camera), c)
    # away from the head and the feet the whole coat is found, also where it is seen from the front
    off = np.einsum("na,na->n", found - skin, normals)
    inner = coat > 0
    assert 0.015 < np.median(off[inner]) < 0.05
    assert np.abs(displacement[middle < np.quantile(middle, 0.1)]).mean() < 0.015


def test_a_fit_goes_on_from_the_one_before(pack):
    _, c = seen(pack, 60, 3.0)
    first = fit_body(c, pack)
    again = fit_body(c, pack, start=first.state, iterations=4)
    assert again.error < 1.1 * first.error


def test_too_little_to_fit(pack):
    with pytest.raises(UserError, match="Too little"):
        fit_body(Correspondence.empty(SIZE), pack)
    _, c = seen(pack, 3, 0.3)
    with pytest.raises(UserError, match="uncertain"):
        fit_body(replace(c, confidence=0 * c.confidence), pack)


def _extent(mask: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(mask)
    return np.ptp(rows) + 1, np.ptp(columns) + 1
