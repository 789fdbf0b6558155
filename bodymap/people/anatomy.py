"""Where things are on the base mesh: limbs, heights, sides; computed once per pack on its default body."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from bodymap.people.pack import SKIN_VERTICES, Pack

_GROUPS = {
    "arm": ("upperarm", "lowerarm"),
    "hand": ("wrist", "finger", "metacarpal"),
    "leg": ("upperleg", "lowerleg"),
    "foot": ("foot", "toe"),
    "torso": ("root", "pelvis", "spine", "breast", "clavicle", "shoulder"),
    "neck": ("neck",),
}


@dataclass(frozen=True)
class Anatomy:
    """Coordinates of every base vertex (helpers too) on the default body.

    Attributes:
        group: (N,) str array-like of indices into ``names``: arm, hand, leg, foot, torso, neck, head.
        share: (N, 7) skin weight of each group, in the order of ``names``.
        arm: (N,) metres along shoulder, elbow, wrist from the shoulder joint, of the nearer arm (also off the arm).
        leg: (N,) metres along hip, knee, ankle from the hip joint.
        arm_length, leg_length: metres to the wrist, to the ankle.  knee, elbow: metres to those joints.
        left: (N,) x > 0.
        rest: (N, 3) positions on the default body.
        heads: bone name -> position of its head on the default body.
    """

    names: tuple[str, ...]
    group: np.ndarray
    share: Float[np.ndarray, "vertex group"]
    arm: Float[np.ndarray, " vertex"]
    leg: Float[np.ndarray, " vertex"]
    arm_length: float
    leg_length: float
    elbow: float
    knee: float
    left: Bool[np.ndarray, " vertex"]
    rest: Float[np.ndarray, "vertex xyz=3"]
    heads: dict[str, np.ndarray]
    _sums: dict[tuple[str, ...], np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def is_group(self, *names: str) -> Bool[np.ndarray, " vertex"]:
        return np.isin(self.group, [self.names.index(name) for name in names])

    def of(self, *names: str) -> Float[np.ndarray, " vertex"]:
        """Summed skin weight of these groups, 0..1; read-only, every garment asks for the same few."""
        if names not in self._sums:
            self._sums[names] = self.share[:, [self.names.index(name) for name in names]].sum(1)
            self._sums[names].flags.writeable = False
        return self._sums[names]

    @property
    def skin(self) -> slice:
        return slice(0, SKIN_VERTICES)


def bone_group(label: str) -> str:
    """arm, hand, leg, foot, torso, neck or head."""
    for group, prefixes in _GROUPS.items():
        if label.startswith(prefixes):
            return group
    return "head"


def polyline_coordinate(points: np.ndarray, joints: list[np.ndarray]) -> np.ndarray:
    """Metres along a bent limb, by projection on its segments; runs on beyond both ends."""
    total = np.zeros(len(points))
    for k, (a, b) in enumerate(zip(joints[:-1], joints[1:], strict=True)):
        d = b - a
        length = np.linalg.norm(d)
        along = (points - a) @ d / length
        low = -np.inf if k == 0 else 0.0
        high = np.inf if k == len(joints) - 2 else length
        total += np.clip(along, low, high)
    return total


def measure(pack: Pack) -> Anatomy:
    """The anatomy of a pack's base mesh; see ``Wardrobe`` for a kept one."""
    names = (*_GROUPS, "head")
    labels = pack.bones.labels
    of_bone = np.array([names.index(bone_group(label)) for label in labels])
    share = np.zeros((len(pack.base_vertices), len(names)), np.float32)
    rows = np.arange(len(share))
    for k in range(pack.skin_index.shape[1]):
        np.add.at(share, (rows, of_bone[pack.skin_index[:, k]]), pack.skin_weight[:, k])
    rest = pack.base_vertices.astype(np.float32)
    heads = {label: pack.base_heads[i].astype(np.float64) for i, label in enumerate(labels)}
    left = rest[:, 0] > 0

    def limb(joints: tuple[str, ...]) -> np.ndarray:
        sides = [polyline_coordinate(rest, [heads[f"{j}.{s}"] for j in joints]) for s in "LR"]
        return np.where(left, *sides).astype(np.float32)

    def length(*joints: str) -> float:
        return float(
            sum(np.linalg.norm(heads[f"{b}.L"] - heads[f"{a}.L"]) for a, b in zip(joints[:-1], joints[1:], strict=True))
        )

    return Anatomy(
        names=names,
        group=share.argmax(1),
        share=share,
        arm=limb(("upperarm01", "lowerarm01", "wrist")),
        leg=limb(("upperleg01", "lowerleg01", "foot")),
        arm_length=length("upperarm01", "lowerarm01", "wrist"),
        leg_length=length("upperleg01", "lowerleg01", "foot"),
        elbow=length("upperarm01", "lowerarm01"),
        knee=length("upperleg01", "lowerleg01"),
        left=left,
        rest=rest,
        heads=heads,
    )


@functools.lru_cache(maxsize=1)
def template():
    """The shipped template (late, so that importing people stays light)."""
    from bodymap.surface import load_template

    return load_template()
