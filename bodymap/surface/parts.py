"""Names of body parts (public, coarse) and regions (fine): what a template's vertices and triangles are labelled
with."""

from __future__ import annotations

from bodymap.types import PART_NAMES

_FINGERS = ("thumb", "index_finger", "middle_finger", "ring_finger", "little_finger")

# The finer level; index = value of Template.vertex_region. ``palm`` is the hand without its fingers, both sides of it.
REGION_NAMES: tuple[str, ...] = (
    "scalp",
    "face",
    "neck",
    "chest",
    "abdomen",
    "upper_back",
    "lower_back",
    *(
        f"{side}_{region}"
        for region in ("armpit", "upper_arm", "forearm", "palm", *_FINGERS, "thigh", "shin", "foot", "toes")
        for side in ("left", "right")
    ),
)

FINGER_REGIONS: frozenset[int] = frozenset(
    i for i, name in enumerate(REGION_NAMES) if any(name.endswith(finger) for finger in _FINGERS)
)


def mirror_name(name: str) -> str:
    """The same part or region on the person's other side; names without a side stay."""
    if name.startswith("left_"):
        return "right_" + name[5:]
    if name.startswith("right_"):
        return "left_" + name[6:]
    return name


# MIRROR_PART[i] is the index of the part on the other side.
MIRROR_PART: tuple[int, ...] = tuple(PART_NAMES.index(mirror_name(name)) for name in PART_NAMES)

# -1 the person's left, +1 the right, 0 neither.
PART_SIDE: tuple[int, ...] = tuple(
    -1 if name.startswith("left_") else 1 if name.startswith("right_") else 0 for name in PART_NAMES
)
