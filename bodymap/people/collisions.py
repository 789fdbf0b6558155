"""Which parts of a posed body are inside one another, by capsules, and how to get them out again.

Every drawn pose passes ``untangle``: contacts push arms and legs out about shoulders and hips; what stays stuck is
blended towards postures that are free of contacts, by as little as is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bodymap.people.joint_limits import clamp
from bodymap.people.joints import INDEX, rotations
from bodymap.people.physique import CAPSULE, FRAME, Physique, Skeleton

_LIMBS = ("arm.L", "arm.R", "leg.L", "leg.R")
_PARTS = {"arm": ("upper_arm", "forearm", "palm", "thumb", "fingers", "little"), "leg": ("thigh", "shin", "foot")}
_TRUNK = ("hips", "pelvis", "belly", "waist", "chest", "breast", "shoulders")
_ROOT = {"arm": "upper_arm", "leg": "thigh"}  # the frame about whose joint a limb is pushed
_JOINT = {"arm": "shoulder", "leg": "hip"}
_JOINTS_OF = {
    name: [
        INDEX[f"{joint}{name[-2:]}"]
        for joint in (("girdle", "shoulder", "elbow", "wrist") if name.startswith("arm") else ("hip", "knee", "ankle"))
    ]
    for name in _LIMBS
}
# Where stuck limbs are blended to: the rest pose, or that with the arms out to the sides, above knees
_REFUGES = np.zeros((2, 16, 3))
_REFUGES[1, [INDEX["shoulder.L"], INDEX["shoulder.R"]]] = (0.5, -0.8, 0.0)
_BLEND = np.linspace(0, 1, 9)[1:, None, None, None]

# How far two capsules may overlap, metres: skin gives, and here and there they are thicker than what they stand for.
_SKIN, _FLESH = 0.008, 0.03


def _pairs() -> list[tuple[str, str, int, int, float]]:
    """(capsule, capsule, the limb that gives way, the other that does or -1, slack) of all that may meet."""
    out = []
    for side, s in enumerate("LR"):
        arm, leg = side, 2 + side
        for part in _PARTS["arm"][1:]:
            for other in (*_TRUNK, "neck", "skull", "face"):
                out.append((f"{part}.{s}", other, arm, -1, _SKIN))
            for t in "LR":
                for other in ("thigh", "shin"):
                    out.append((f"{part}.{s}", f"{other}.{t}", arm, -1, _SKIN))
        for other in ("pelvis", "belly", "waist", "skull", "face"):
            out.append((f"upper_arm.{s}", other, arm, -1, 0.02))
        for part in ("shin", "foot"):
            for other in (*_TRUNK, "skull", "face"):
                # who sits on the heels presses them into the seat
                out.append((f"{part}.{s}", other, leg, -1, 0.05 if other in ("hips", "pelvis") else 0.02))
        for other, gives in (("belly", 0.075), ("waist", 0.06), ("chest", 0.04), ("breast", 0.04)):
            out.append((f"thigh.{s}", other, leg, -1, gives))
    for a in _PARTS["arm"]:
        for b in _PARTS["arm"]:
            if (a, b) != ("upper_arm", "upper_arm") and "thumb" not in (a, b):
                out.append((f"{a}.L", f"{b}.R", 0, 1, _SKIN))
    for a in _PARTS["leg"]:
        for b in _PARTS["leg"]:
            out.append((f"{a}.L", f"{b}.R", 2, 3, _FLESH if (a, b) == ("thigh", "thigh") else 0.012))
    return out


_TABLE = _pairs()
FIRST = np.array([CAPSULE[row[0]] for row in _TABLE])
SECOND = np.array([CAPSULE[row[1]] for row in _TABLE])
_MOVER = np.array([row[2:4] for row in _TABLE])
_SLACK = np.array([row[4] for row in _TABLE])
# (limb, pair) 1 where a limb is the pair's first, -1 where it is the second, 0 where it does not give way
_SIGN = (_MOVER[None, :, 0] == np.arange(4)[:, None]) * 1.0 - (_MOVER[None, :, 1] == np.arange(4)[:, None])


@dataclass(frozen=True)
class Contacts:
    """Every pair of the table in B postures.

    Attributes:
        depth: (B, P) by how much two capsules overlap beyond what skin gives, metres; negative: apart.
        first, second: (B, P, 3) the closest points of their axes.
    """

    depth: Float[np.ndarray, "batch pair"]
    first: Float[np.ndarray, "batch pair xyz=3"]
    second: Float[np.ndarray, "batch pair xyz=3"]


def closest(
    p: Float[np.ndarray, "end=2 xyz=3 *batch"], q: Float[np.ndarray, "end=2 xyz=3 *batch"]
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """Where on two line segments, 0 .. 1 from their first ends, they come closest (Ericson, Real-Time Collision
    Detection, 2005, section 5.1.9)."""
    d, e, r = p[1] - p[0], q[1] - q[0], p[0] - q[0]
    a, b, c = np.maximum(_dot(d, d), 1e-12), _dot(d, e), _dot(d, r)
    h, f = np.maximum(_dot(e, e), 1e-12), _dot(e, r)
    # parallel segments: any place will do, the next two lines find the overlap
    s = np.minimum(np.maximum((b * f - c * h) / np.maximum(a * h - b * b, 1e-12), 0), 1)
    t = np.minimum(np.maximum((b * s + f) / h, 0), 1)
    s = np.minimum(np.maximum((b * t - c) / a, 0), 1)
    return s, t


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def overlap(
    end: Float[np.ndarray, "batch capsule end=2 xyz=3"],
    radius: Float[np.ndarray, "capsule end=2"],
    first: Int[np.ndarray, " pair"],
    second: Int[np.ndarray, " pair"],
) -> Contacts:
    """By how much pairs of tapered capsules overlap (the taper is taken where their axes are closest)."""
    # coordinates first: small arrays cost by the call, and the last axis is then a long one
    end = end.transpose(2, 3, 0, 1)
    p, q = end.take(first, 3), end.take(second, 3)
    s, t = closest(p, q)
    on_p, on_q = p[0] + s * (p[1] - p[0]), q[0] + t * (q[1] - q[0])
    gap = on_p - on_q
    r, o = radius[first].T, radius[second].T
    thick = r[0] + s * (r[1] - r[0]) + o[0] + t * (o[1] - o[0])
    return Contacts(thick - np.sqrt(_dot(gap, gap)), on_p.transpose(1, 2, 0), on_q.transpose(1, 2, 0))


def contacts(
    physique: Physique,
    angles: Float[np.ndarray, "batch joint=16 3"],
    offset: Float[np.ndarray, "capsule xyzw=4 end=2"] | None = None,
) -> tuple[Contacts, Skeleton]:
    """The contacts of a person in B postures; depths count from what the pair overlaps by at rest, and what gives.
    ``offset``: of ``Physique.offsets``, for hands that are not at rest."""
    skeleton = physique.pose(angles)
    found = overlap(physique.capsules(skeleton, offset), physique.radius, FIRST, SECOND)
    return Contacts(found.depth - _allowed(physique), found.first, found.second), skeleton


def _allowed(physique: Physique) -> Float[np.ndarray, " pair"]:
    if "allowed" not in physique.__dict__:
        rest = overlap(physique.end[None], physique.radius, FIRST, SECOND).depth[0]
        # kept on the record itself: it lives exactly as long
        physique.__dict__["allowed"] = np.maximum(_SLACK, rest + 0.3 * _SLACK)
    return physique.__dict__["allowed"]


def untangle(
    physique: Physique,
    angles: Float[np.ndarray, "joint=16 3"],
    offset: Float[np.ndarray, "capsule xyzw=4 end=2"] | None = None,
    rounds: int = 5,
) -> Float[np.ndarray, "joint=16 3"]:
    """The posture with arms and legs out of whatever they were in; within the joints' limits if it was.

    Args:
        offset: as in ``contacts``.
        rounds: how often contacts push before what is stuck is blended towards a free posture.
    """
    for k in range(rounds + 1):
        found, skeleton = contacts(physique, angles[None], offset)
        if found.depth.max() <= 0:
            return angles
        if k < rounds:
            angles = _pushed(physique, angles, found, skeleton)
    # the limbs that are stuck, a bit at a time towards a place where nothing is; then everything
    stuck = set(_MOVER[found.depth[0] > 0].ravel().tolist()) - {-1}
    own = np.zeros((16, 1), bool)
    for limb in stuck:
        own[_JOINTS_OF[_LIMBS[limb]]] = True
    for mask in (own, np.ones((16, 1), bool)):
        tried = np.where(mask, angles + _BLEND * (_REFUGES - angles), angles).reshape(-1, 16, 3)
        # limits are no convex set in these angles; a blend may leave them by a little
        tried = clamp(tried, physique.rig)
        free = contacts(physique, tried, offset)[0].depth.max(1) <= 0
        if free.any():
            return tried[int(free.argmax())]
    return np.zeros_like(angles)


def _pushed(physique: Physique, angles: np.ndarray, found: Contacts, skeleton: Skeleton) -> np.ndarray:
    """One step: every limb is turned about its root by its deepest contact."""
    mine = np.where(_SIGN != 0, found.depth[0], -1.0)
    worst = mine.argmax(1)
    joints, turned = [], []
    for limb, name in enumerate(_LIMBS):
        k = int(worst[limb])
        depth, sign = float(mine[limb, k]), _SIGN[limb, k]
        if depth <= 0:
            continue
        kind, s = name.split(".")
        root = FRAME[f"{_ROOT[kind]}.{s}"]
        at = found.first[0, k] if sign > 0 else found.second[0, k]
        away = (found.first[0, k] - found.second[0, k]) * sign
        length = float(np.sqrt(away @ away))
        side = 1.0 if s == "L" else -1.0
        if length < 1e-4:  # the axes meet: outwards
            away, length = np.array([side, 0.0, 0.0]), 1.0
        lever = at - skeleton.position[0, root]
        normal = away / length
        axis = np.array(
            [
                lever[1] * normal[2] - lever[2] * normal[1],
                lever[2] * normal[0] - lever[0] * normal[2],
                lever[0] * normal[1] - lever[1] * normal[0],
            ]
        )
        arm = np.sqrt(axis @ axis)
        both = _MOVER[k, 1] >= 0
        # a contact far along the push's own line needs a large turn: no more than half a radian at once
        angle = min((depth + 0.004) * (0.6 if both else 1.0) / max(arm, 0.03), 0.5)
        turn = rotations(axis * (angle / max(arm, 1e-9)))
        parent = skeleton.girdle[0, "LR".index(s)] if kind == "arm" else skeleton.rotation[0, 0]
        joints.append(INDEX[f"{_JOINT[kind]}.{s}"])
        turned.append(parent.T @ turn @ skeleton.rotation[0, root])
    total = np.tile(np.eye(3), (16, 1, 1))
    total[joints] = turned
    out = angles.copy()
    out[joints] = physique.rig.angles(total)[joints]
    return clamp(out, physique.rig)


def deepest(physique: Physique, angles: Float[np.ndarray, "batch joint=16 3"]) -> Float[np.ndarray, " batch"]:
    """The depth in metres of each posture's worst contact; not positive: none."""
    return contacts(physique, angles)[0].depth.max(1)
