"""Hands and feet that small steps do not bring home: they are turned, and fingers tried from straight to closed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from bodymap.people.hands import fist_vectors
from bodymap.people.rig import Rig, State
from bodymap.people.scans.fit import Fitter
from bodymap.people.scans.matching import Target
from bodymap.people.scans.read import Samples
from bodymap.people.skinning import rotation_vector

_CURLS = np.linspace(0, 1, 4)  # shares of a fist
_YAWS = np.radians([-75, -50, -25, 0, 25, 50, 75])  # of a foot
_ROLLS = np.radians([-120, -80, -40, 0, 40, 80, 120, 180])  # of a hand about its forearm
_FRESH = (0.05, 0.35, 0.7)
_TURN = 0.03  # metres that a normal turned by 60 degrees counts as
_FAR = 0.03  # metres; what is further off is just as wrong


def place_limbs(fitter: Fitter, state: State) -> State:
    """The state with each foot and hand turned and each finger curled as fits the scan best; as it is where nothing
    is better."""
    for side in "LR":
        state = _place_foot(fitter, state, side)
        state = _place_hand(fitter, state, side)
    return state


def renew_fingers(fitter: Fitter, state: State) -> State:
    """The state with each hand's fingers fitted anew from a plain hand, where that is better: a finger in its
    neighbour's place does not leave it."""
    for side in "LR":
        part = _Part(fitter, state, fitter.pack.bones.index(f"wrist.{side}"))
        starts = [state, *(_bent(fitter, state, _fingers(fitter, side), share) for share in _FRESH)]
        state = min([state, *(part.refined(start) for start in starts)], key=part.gap)
    return state


def _place_foot(fitter: Fitter, state: State, side: str) -> State:
    foot = fitter.pack.bones.index(f"foot.{side}")
    part = _Part(fitter, state, foot)
    return min([state, *(_turned(fitter, state, foot, np.array([0, 0, yaw])) for yaw in _YAWS)], key=part.gap)


def _place_hand(fitter: Fitter, state: State, side: str) -> State:
    wrist, elbow = (fitter.pack.bones.index(f"{name}.{side}") for name in ("wrist", "lowerarm01"))
    part, fingers = _Part(fitter, state, wrist), _fingers(fitter, side)
    joints = fitter.full.transforms(state)[2]
    along = (joints[wrist] - joints[elbow]) / np.linalg.norm(joints[wrist] - joints[elbow])
    rolled = [state, *(_turned(fitter, state, wrist, along * roll) for roll in _ROLLS)]
    bent = [_bent(fitter, guess, fingers, share) for guess in rolled for share in _CURLS]
    state = min(rolled + bent, key=part.gap)
    for finger in fingers:
        state = min([state, *(_bent(fitter, state, [finger], share) for share in _CURLS)], key=part.gap)
    return state


def _fingers(fitter: Fitter, side: str) -> list[list[int]]:
    """The three bones of each finger."""
    return [[fitter.pack.bones.index(f"finger{f}-{k}.{side}") for k in (1, 2, 3)] for f in range(1, 6)]


def _bent(fitter: Fitter, state: State, fingers: list[list[int]], share: float) -> State:
    """These fingers closed to a share of a fist."""
    fist, local = fist_vectors(fitter.pack), state.local.copy()
    for finger in fingers:
        for j in finger:
            local[j] = rotation_vector(fist[j] * share)
    return replace(state, local=local)


def _turned(fitter: Fitter, state: State, bone: int, turn: np.ndarray) -> State:
    """One bone and all below it turned in the world by a rotation vector."""
    above = fitter.full.transforms(state)[0][fitter.pack.bones.parents[bone]]
    local = state.local.copy()
    local[bone] = above.T @ rotation_vector(turn) @ above @ local[bone]
    return replace(state, local=local)


class _Part:
    """The vertices at and below one bone, against the part of the scan within their reach."""

    def __init__(self, fitter: Fitter, state: State, bone: int):
        whole = fitter.full
        below = whole.below[list(whole.joints).index(bone)] > 0
        self.fitter, self.below = fitter, below
        # every second vertex: these meshes are fine
        self.rig = Rig(fitter.pack, np.flatnonzero(whole.weight[:, below].sum(1) > 0.5)[::2])
        self.normals = fitter.normals[self.rig.ids]
        self.target = fitter.target
        joint = whole.transforms(state)[2][bone]
        reach = 1.3 * np.linalg.norm(self.rig.posed(state) - joint, axis=1).max()
        samples = fitter.target.samples
        near = np.linalg.norm(samples.points - joint, axis=1) < reach
        samples = Samples(*(array[near] for array in (samples.points, samples.normals, samples.face, samples.rim)))
        self.part = Target(samples)
        self.key = fitter.target.key(samples.points, samples.normals, _TURN)

    def refined(self, guess: State) -> State:
        """The guess after some steps of this bone and those below it."""
        if len(self.key) < 50:
            return guess
        return self.fitter.refine(self.rig, self.part, guess, self.below, 8)

    def gap(self, guess: State) -> float:
        """Mean distance both ways; the same for all guesses where the scan has nothing here."""
        if not len(self.key):
            return 0.0
        linear, translation = self.rig.blended(guess)
        posed = np.einsum("nab,nb->na", linear, self.rig.rest(guess)) + translation
        own = self.target.key(posed, np.einsum("nab,nb->na", linear, self.normals), _TURN)
        both = self.target.tree(_TURN).query(own)[0], cKDTree(own).query(self.key)[0]
        return float(sum(np.minimum(distance, _FAR).mean() for distance in both))
