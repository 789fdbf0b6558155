"""How far a person's joints go: one table, and the clamp of a pose to it.

The ranges are those of textbooks of physiotherapy for healthy adults (American Academy of Orthopaedic Surgeons, Joint
Motion: Method of Measuring and Recording, 1965; Kapandji, The Physiology of the Joints), widened where everyday
postures need it and converted to the rest pose of this rig, an A pose with bent elbows. Bending takes an ellipse
of the two swings, as real joints do: full flexion leaves little to the side.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.people.joints import JOINTS, Rig

# Degrees (least, most) of flexion, side and twist from the rest pose; ``joints`` has their signs. Those of elbow and
# knee count from the straight limb.
LIMITS: dict[str, tuple[tuple[float, float], ...]] = {
    "spine": ((-28, 75), (-32, 32), (-42, 42)),
    "neck": ((-50, 45), (-36, 36), (-72, 72)),
    "girdle": ((-8, 34), (-16, 22), (-8, 8)),
    "shoulder": ((-62, 118), (-132, 72), (-80, 85)),
    "elbow": ((0, 148), (-7, 7), (-80, 80)),
    "wrist": ((-62, 68), (-22, 32), (0, 0)),  # the roll of the hand is the forearm's
    "hip": ((-24, 124), (-62, 28), (-74, 40)),
    "knee": ((0, 150), (-4, 4), (-12, 12)),
    "ankle": ((-50, 26), (-18, 18), (-22, 22)),
}


_HINGES = np.array([name.startswith(("elbow", "knee")) for name in JOINTS])


def limits(rig: Rig) -> Float[np.ndarray, "joint=16 3 2"]:
    """(least, most) in radians of every joint's three angles, from the rest pose."""
    if id(rig) not in _cache:
        table = np.radians(np.array([LIMITS[name.split(".")[0]] for name in JOINTS], float))
        table[:, 0] -= rig.straight[:, None]
        _cache.clear()
        _cache[id(rig)] = (table, rig)
    return _cache[id(rig)][0]


_cache: dict[int, tuple[np.ndarray, Rig]] = {}


def reach(angles: Float[np.ndarray, "*batch joint=16 3"], rig: Rig) -> Float[np.ndarray, "*batch joint=16"]:
    """How much of its range of bending each joint uses: 1 at the edge of the ellipse of flexion and side; hinges, which
    have a little play to the side, keep it at any flexion."""
    table = limits(rig)
    swing = angles[..., :2]
    share = swing / np.where(swing < 0, table[:, :2, 0], table[:, :2, 1])
    return np.where(_HINGES, share.max(-1), np.sqrt(share[..., 0] ** 2 + share[..., 1] ** 2))


def clamp(angles: Float[np.ndarray, "*batch joint=16 3"], rig: Rig) -> Float[np.ndarray, "*batch joint=16 3"]:
    """The nearest angles a body allows: swings are scaled back into their range, twists cut."""
    table = limits(rig)
    out = np.clip(angles, table[..., 0], table[..., 1])
    out[..., :2] /= np.maximum(reach(out, rig), 1.0)[..., None]
    return out
