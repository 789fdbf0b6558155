"""The motion of known bodies: followed, closed over gaps, without tremble, and handed to another body."""

from dataclasses import replace

import numpy as np
import pytest
from support.oracle import Oracle, code_photo

from apps.rerender import driving
from apps.rerender.avatar import make_avatar
from apps.rerender.driving import Motion, driven, fit_motion
from bodymap import BodyMap, UserError
from bodymap.fitting import fit_body
from bodymap.people.skinning import rotation_vector, vector_of_rotation
from bodymap.predictor import PredictorConfig
from bodymap.surface import load_template
from bodymap.types import Correspondence


@pytest.fixture(scope="module")
def seen():
    photo = code_photo(240, 0.3).image
    model = BodyMap(Oracle(), load_template(), config=PredictorConfig(size=224, coarse_size=160))
    return photo, model.predict(photo)


@pytest.fixture(scope="module")
def fit(seen):
    return fit_body(seen[1])


@pytest.fixture(scope="module")
def arm(fit):
    return fit.pack.bones.labels.index("upperarm01.L")


def bent(fit, arm, angle, step=0.0):
    """The fit with an arm turned by ``angle`` and moved by ``step`` metres to the right."""
    local = fit.state.local.copy()
    local[arm] = rotation_vector([0.0, angle, 0.0]) @ local[arm]
    move = fit.state.move + np.array([step, 0.0, 0.0])
    return replace(fit, state=replace(fit.state, local=local, move=move))


def angles(fit, arm, motion):
    return np.array([vector_of_rotation(one[arm] @ fit.state.local[arm].T)[1] for one in motion.local])


@pytest.fixture
def played(monkeypatch):
    """``fit_body`` gives prepared fits, one a frame; the maps are their numbers."""

    def play(fits):
        prepared = iter(fits)

        def next_fit(c, pack=None, *, start=None):
            found = next(prepared)
            if found is None:
                raise UserError("too little")
            return found

        monkeypatch.setattr(driving, "fit_body", next_fit)
        return fit_motion([Correspondence.empty((4, 4))] * len(fits))

    return play


def test_a_steady_motion_stays_as_it_is(fit, arm, played):
    turns = np.linspace(0, 1.2, 16)
    motion = played([bent(fit, arm, a, 0.1 * k) for k, a in enumerate(turns)])
    assert motion.missing == 0 and np.allclose(motion.local @ motion.local.swapaxes(-1, -2), np.eye(3), atol=1e-9)
    assert np.abs(angles(fit, arm, motion)[4:-4] - turns[4:-4]).max() < 1e-3
    height = np.ptp(fit.pack.vertices(fit.state.shape)[:13380, 2])
    assert np.allclose(np.diff(motion.place[4:-4, 0]), 0.1 / height, atol=1e-4)
    assert np.allclose(motion.place[0], 0) and np.allclose(motion.place[:, 1:], 0, atol=1e-9)


def test_trembling_is_taken_out(fit, arm, played):
    noise = np.random.default_rng(0).normal(0, 0.1, 40)
    motion = played([bent(fit, arm, a) for a in noise])
    assert np.diff(angles(fit, arm, motion)).std() < 0.35 * np.diff(noise).std()


def test_gaps_are_closed_on_the_shortest_way(fit, arm, played):
    turns = np.linspace(0, 1.2, 16)
    fits = [None if k in (0, 6, 7, 8) else bent(fit, arm, a) for k, a in enumerate(turns)]
    motion = played(fits)
    assert motion.missing == 4 and len(motion.local) == 16
    assert np.abs(angles(fit, arm, motion)[4:-4] - turns[4:-4]).max() < 0.02
    with pytest.raises(UserError, match="No body can be fitted"):
        played([None, None])


def test_real_maps_and_a_frame_without_anybody(seen):
    motion = fit_motion([seen[1], None, seen[1]])
    assert motion.missing == 1
    turn = vector_of_rotation(motion.local[2][0] @ motion.local[0][0].T)
    assert np.linalg.norm(turn) < 0.05 and np.abs(motion.place).max() < 0.02


def test_another_body_follows_on_its_own_ground(seen, fit, arm):
    photo, c = seen
    avatar = make_avatar(photo, c, texture_size=128)
    local = np.stack([bent(fit, arm, a).state.local for a in (0.0, 0.8)])
    bodies = driven(avatar, Motion(local, np.array([[0.0, 0, 0], [0.5, -0.2, 0.1]]), 0))
    floor = (avatar.vertices @ avatar.up).min()
    assert all((body @ avatar.up).min() == pytest.approx(floor, abs=1e-6) for body in bodies)
    height = np.ptp(avatar.vertices @ avatar.up)
    torso = fit.pack.skin_index[:13380, 0] == fit.pack.bones.labels.index("spine03")
    step = (bodies[1] - bodies[0])[torso].mean(0)
    assert step @ [1, 0, 0] == pytest.approx(0.5 * height, abs=0.15)
    assert abs(step @ avatar.up) < 1e-6
