"""What is believed of postures before anything is seen."""

from dataclasses import replace

import numpy as np
import pytest

from bodymap.fitting.posture import _OTHERWISE, Posture
from bodymap.fitting.start import CAMERA_FROM_WORLD
from bodymap.people import Pack
from bodymap.people.rig import Rig, State
from bodymap.people.skinning import rotation_vector


@pytest.fixture(scope="module")
def rig():
    return Rig(Pack.load())


def upright(rig: Rig) -> State:
    local = np.tile(np.eye(3), (len(rig.parents), 1, 1))
    local[0] = CAMERA_FROM_WORLD
    return State(np.zeros(len(rig.basis)), local, np.zeros(3))


def turned(rig: Rig, state: State, **degrees: float) -> State:
    """Bones (spaces as _) turned forwards."""
    local = state.local.copy()
    for name, angle in degrees.items():
        bone = rig.pack.bones.labels.index(name)
        local[bone] = local[bone] @ rotation_vector([np.radians(angle), 0, 0])
    return replace(state, local=local)


def test_an_upright_person_costs_nothing_from_any_side(rig):
    posture, state = Posture(rig), upright(rig)
    for turn in (0, 1, 3):
        local = state.local.copy()
        local[0] = local[0] @ rotation_vector([0, 0, turn])
        assert posture.cost(replace(state, local=local)) < 1e-9
    assert (
        posture.cost(turned(rig, state, root=170)) > posture.cost(turned(rig, state, root=90)) > 0.5 * _OTHERWISE.sum()
    )


def test_a_tilted_camera_is_likelier_than_a_bow(rig):
    posture, state = Posture(rig), upright(rig)
    tilted = posture.cost(turned(rig, state, root=8))
    bowing = posture.cost(turned(rig, state, spine05=8))
    swayed = posture.cost(turned(rig, state, root=8, spine05=-16))
    assert 0.5 < tilted < bowing < swayed
    # both bowed: towards the camera and away from it alike
    assert posture.cost(turned(rig, state, spine05=-8)) == pytest.approx(bowing, rel=1e-6)


def test_whoever_lies_is_not_held_upright(rig):
    posture, state = Posture(rig), turned(rig, upright(rig), root=85)
    assert 0.5 * _OTHERWISE.sum() < posture.cost(state) < _OTHERWISE.sum()
    hessian = np.zeros((len(rig.basis) + 3 * len(rig.joints) + 3,) * 2)
    gradient = np.zeros(len(hessian))
    posture.linear(state, hessian, gradient)
    standing = np.zeros_like(gradient)
    posture.linear(turned(rig, upright(rig), root=20), np.zeros_like(hessian), standing)
    assert np.abs(gradient).max() < np.abs(standing).max()


def test_the_gradient_is_the_costs(rig):
    """By differences, of a bent person seen obliquely; the approximate second derivative is symmetric, not negative."""
    posture = Posture(rig)
    state = turned(rig, upright(rig), spine03=12, head=-9, **{"upperleg01.L": -25, "lowerleg01.L": 30})
    state.local[0] = rotation_vector([0.1, -0.05, 0.07]) @ state.local[0] @ rotation_vector([0, 0, 0.7])
    count = len(rig.basis) + 3 * len(rig.joints) + 3
    hessian, gradient = np.zeros((count, count)), np.zeros(count)
    posture.linear(state, hessian, gradient)
    step = 1e-5
    for k in np.flatnonzero(np.abs(gradient) > 1e-9):
        change = np.zeros(count)
        change[k] = step
        slope = (posture.cost(rig.step(state, change)) - posture.cost(rig.step(state, -change))) / (2 * step)
        assert -gradient[k] == pytest.approx(slope / 2, rel=1e-4, abs=1e-6)
    assert (np.abs(gradient) > 1e-3).sum() >= 12
    np.testing.assert_allclose(hessian, hessian.T)
    assert np.linalg.eigvalsh(hessian).min() > -1e-9
