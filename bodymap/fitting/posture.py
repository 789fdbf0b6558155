"""How people stand before a camera: chest, head, thighs and shanks upright, by so much, and the camera nearly level.

A single view says little about what leans towards the camera: a map that is wrong by a centimetre or two is explained
as well by a body that bows or leans back. Joints that stray by a little each add up to such bodies, so it takes the
directions of whole parts to tell that they are unlikely.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.people.rig import Rig, State

_PARTS = {
    "chest": ("spine01",),
    "head": ("head",),
    "thighs": ("upperleg01.L", "upperleg01.R"),
    "shanks": ("lowerleg01.L", "lowerleg01.R"),
    "left thigh": ("upperleg01.L",),
    "right thigh": ("upperleg01.R",),
}
# Radians by which each leans in people who stand or walk, sideways and towards or away from the camera, and by which
# the camera does. Where one leg goes forwards, the other goes back. Chosen on 45 synthetic people and on photographs,
# with the bounds below (docs/rerender.md).
_LEAN = {
    "chest": (0.05, 0.07),
    "head": (0.09, 0.12),
    "thighs": (0.05, 0.06),
    "shanks": (0.05, 0.08),
    "left thigh": (0.2, 0.3),
    "right thigh": (0.2, 0.3),
}
_CAMERA = (0.04, 0.1)
# Chi squares from which on the trunk (the first two parts) is believed to bow, the legs to sit or squat
_OTHERWISE = np.array([30.0, 20.0])
_GROUP = np.array([0, 0, 1, 1, 1, 1])


class Posture:
    """The prior of a rig's posture: Gaussians of what each part leans more than the camera does, with bounded costs."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        labels, parents = rig.pack.bones.labels, rig.pack.bones.parents
        self.bones = [[labels.index(name) for name in names] for names in _PARTS.values()]
        # which of the rig's joints turn each bone
        self.turns = {}
        for bone in {bone for bones in self.bones for bone in bones}:
            chain, at = set(), bone
            while at >= 0:
                chain.add(at)
                at = parents[at]
            self.turns[bone] = [place for place, joint in enumerate(rig.joints) if joint in chain]
        self.precision = np.array([_LEAN[part] for part in _PARTS]) ** -2.0

    def leans(self, state: State) -> Float[np.ndarray, "part axis=2"]:
        """Of each part, sideways and away from the camera: about radians, more where it hangs head down."""
        rotation, _, _ = self.rig.transforms(state)
        return np.stack([_lean(self._up(rotation, bones))[0] for bones in self.bones])

    def cost(self, state: State) -> float:
        """At the camera's likeliest tilt; at most the sum of _OTHERWISE."""
        return self._judged(self.leans(state))[0]

    def linear(self, state: State, hessian: np.ndarray, gradient: np.ndarray) -> None:
        """Adds half of the cost's second derivative, and minus half of its first, by the parameters of ``rig.step``."""
        rotation, _, _ = self.rig.transforms(state)
        leans, jacobian = np.zeros(2 * len(self.bones)), np.zeros((2 * len(self.bones), len(gradient)))
        first = len(self.rig.basis)
        for part, bones in enumerate(self.bones):
            rows = slice(2 * part, 2 * part + 2)
            leans[rows], slope = _lean(self._up(rotation, bones))
            for bone in bones:
                up = self._up(rotation, [bone])
                for place in self.turns[bone]:
                    above = self.rig.parents[self.rig.joints[place]]
                    frame = np.eye(3) if above < 0 else rotation[above]
                    # turned by omega, up moves by omega x up
                    columns = slice(first + 3 * place, first + 3 * place + 3)
                    jacobian[rows, columns] += np.cross(up, slope) @ frame / len(bones)
        _, precision = self._judged(leans.reshape(-1, 2))
        hessian += jacobian.T @ precision @ jacobian
        gradient -= jacobian.T @ (precision @ leans)

    def _up(self, rotation: np.ndarray, bones: list[int]) -> np.ndarray:
        """Where the bones' own up (the rest pose's z) points: their mean."""
        return rotation[bones][:, :, 2].mean(0)

    def _judged(self, leans: Float[np.ndarray, "part axis=2"]) -> tuple[float, Float[np.ndarray, "lean lean"]]:
        """The cost, by Geman and McClure's function of each group's chi squares, and the precision that a step sees."""
        camera, steady = np.zeros(2), np.array(_CAMERA) ** -2.0
        for _ in range(20):  # reweighted least squares
            chi = np.bincount(_GROUP, (self.precision * (leans - camera) ** 2).sum(1))
            weight = self.precision * ((1 + chi / _OTHERWISE) ** -2)[_GROUP, None]
            camera = (weight * leans).sum(0) / (weight.sum(0) + steady)
        chi = np.bincount(_GROUP, (self.precision * (leans - camera) ** 2).sum(1))
        cost = float((chi / (1 + chi / _OTHERWISE)).sum() + (steady * camera**2).sum())
        precision = np.zeros((leans.size, leans.size))
        for axis, own in enumerate(weight.T):  # the camera's tilt gives way
            precision[axis::2, axis::2] = np.diag(own) - np.outer(own, own) / (own.sum() + steady[axis])
        return cost, precision


def _lean(up: Float[np.ndarray, " xyz=3"]) -> tuple[Float[np.ndarray, " axis=2"], Float[np.ndarray, "axis=2 xyz=3"]]:
    """2 tan(angle / 2) of the angle to the vertical, sideways and away from the camera (which looks along z, y down),
    and its derivative by ``up``: a stereographic map, so that upside down is farthest."""
    down = max(1 - up[1], 0.05)
    lean = 2 * up[[0, 2]] / down
    slope = np.zeros((2, 3))
    slope[:, [0, 2]] = 2 * np.eye(2) / down
    slope[:, 1] = lean / down if down > 0.05 else 0
    return lean, slope
