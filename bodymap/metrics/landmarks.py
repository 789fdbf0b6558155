"""Judges a photograph's part map by body landmarks: at a left elbow there must be left upper arm or forearm.

The rule: landmarks of visibility at least 0.8 that lie inside the picture count. The majority part in a window around
the landmark, of radius 1 % of the landmarks' height, must be one of the parts that meet there and, where that part
has a side, on the landmark's side. A landmark outside the mask is wrong.

Landmarks come from a detector that guesses behind occlusion, so a perfect map does not reach 100 %.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bodymap.types import PART_NAMES

VISIBILITY = 0.8
WINDOW = 0.01  # of the landmarks' height

# The 33 landmarks of the common pose detectors: these are the ones that have a rule. Odd numbers are the person's left.
_RULES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "head": ((0, 7, 8), ("head", "neck")),  # nose and ears
    "shoulder": ((11, 12), ("upper_arm", "torso")),
    "elbow": ((13, 14), ("upper_arm", "forearm")),
    "wrist": ((15, 16), ("forearm", "hand")),
    "index": ((19, 20), ("hand",)),
    "hip": ((23, 24), ("torso", "thigh")),
    "knee": ((25, 26), ("thigh", "shin")),
    "ankle": ((27, 28), ("shin", "foot")),
    "toe": ((31, 32), ("foot",)),
}
KINDS: tuple[str, ...] = tuple(_RULES)
NUMBER = 33
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP = 11, 12, 23, 24


@dataclass(frozen=True)
class LandmarkScore:
    """One landmark that counts.

    Attributes:
        index: its number among the 33.
        kind: a word of KINDS.
        inside: it lies in the mask.
        part: inside, and the majority part is one that meets there.
        side: the majority part is on the landmark's side; None where either has no side, or outside the mask.
        right: all of it.
    """

    index: int
    kind: str
    inside: bool
    part: bool
    side: bool | None
    right: bool


def split_part(name: str) -> tuple[str, str | None]:
    """A part's name without its side, and the side: ``("forearm", "left")``, ``("torso", None)`` for front and back."""
    if name.startswith("torso"):
        return "torso", None
    side, _, rest = name.partition("_")
    return (rest, side) if side in ("left", "right") else (name, None)


# What a part map's value means here; the last entry is reached by the background's -1 and never read
_SPLIT = tuple(split_part(name) for name in PART_NAMES)


def visible(landmarks: Float[np.ndarray, "landmark 4"]) -> np.ndarray:
    """(landmark,) bool: seen clearly and inside the picture; columns x and y (shares of the size), z, visibility."""
    x, y, visibility = landmarks[:, 0], landmarks[:, 1], landmarks[:, 3]
    return (visibility >= VISIBILITY) & (x >= 0) & (x < 1) & (y >= 0) & (y < 1)


def majority_part(
    part: Int[np.ndarray, "height width"], x: float, y: float, radius: float
) -> tuple[str, str | None] | None:
    """The commonest (part without side, side) among the foreground pixels with centres within ``radius`` of (x, y).

    All in pixels. The pixel that holds the point always takes part; None where it is background.
    """
    height, width = part.shape
    row, column = int(y), int(x)
    if part[row, column] < 0:
        return None
    reach = math.ceil(radius)
    top, left = max(0, row - reach), max(0, column - reach)
    window = part[top : min(height, row + reach + 1), left : min(width, column + reach + 1)]
    rows, columns = np.mgrid[top : top + window.shape[0], left : left + window.shape[1]]
    near = (rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= radius**2
    near[row - top, column - left] = True
    # front and back of the torso are one part here, so count after joining them
    votes = Counter(_SPLIT[value] for value in window[near] if value >= 0)
    return votes.most_common(1)[0][0]


def score_landmarks(
    part: Int[np.ndarray, "height width"], landmarks: Float[np.ndarray, "landmark=33 4"]
) -> list[LandmarkScore]:
    """Judges one photograph.

    Args:
        part: index into PART_NAMES, -1 outside the mask.
        landmarks: x, y (shares of width and height), z (unused), visibility.
    """
    height, width = part.shape
    counts = visible(landmarks)
    radius = WINDOW * float(np.ptp(landmarks[:, 1])) * height
    scores = []
    for kind, (indices, allowed) in _RULES.items():
        for index in indices:
            if not counts[index]:
                continue
            found = majority_part(part, landmarks[index, 0] * width, landmarks[index, 1] * height, radius)
            if found is None:
                scores.append(LandmarkScore(index, kind, inside=False, part=False, side=None, right=False))
                continue
            name, side = found
            own_side = None if index == 0 else "left" if index % 2 else "right"
            right_side = None if side is None or own_side is None else side == own_side
            right_part = name in allowed
            scores.append(
                LandmarkScore(index, kind, True, right_part, right_side, right_part and right_side is not False)
            )
    return scores


def share_right(scores: Iterable[LandmarkScore]) -> float:
    """The landmark score: the share that is right; nan of none."""
    values = [score.right for score in scores]
    return float(np.mean(values)) if values else math.nan


def mostly_flipped(scores: Iterable[LandmarkScore]) -> bool:
    """Whether more than half of the landmarks on a part with a side lie on the other side's part."""
    sides = [score.side for score in scores if score.side is not None]
    return bool(sides) and float(np.mean(sides)) < 0.5


def seen_from(landmarks: Float[np.ndarray, "landmark=33 4"]) -> str:
    """The view (front, side, back) that the landmarks tell: from behind, the left shoulder and hip lie to the left.

    Side is where shoulders and hips nearly coincide (narrower than a fifth of the torso's height), or disagree.
    """
    x, y = landmarks[:, 0], landmarks[:, 1]
    torso = abs(y[LEFT_HIP] + y[RIGHT_HIP] - y[LEFT_SHOULDER] - y[RIGHT_SHOULDER]) / 2
    shoulders, hips = x[LEFT_SHOULDER] - x[RIGHT_SHOULDER], x[LEFT_HIP] - x[RIGHT_HIP]
    if shoulders * hips < 0 or abs(shoulders + hips) / 2 < torso / 5:
        return "side"
    return "front" if shoulders > 0 else "back"


def summary(photos: Sequence[Sequence[LandmarkScore]]) -> dict:
    """All photographs' landmarks as one: total, share inside the mask, by kind; shares are over landmarks."""
    scores = [score for photo in photos for score in photo]
    sides = [score.side for score in scores if score.side is not None]
    return {
        "landmarks": len(scores),
        "score": share_right(scores),
        "inside": float(np.mean([score.inside for score in scores])) if scores else math.nan,
        "part": float(np.mean([score.part for score in scores])) if scores else math.nan,
        "side": float(np.mean(sides)) if sides else math.nan,
        "by_kind": {
            kind: share_right(score for score in scores if score.kind == kind)
            for kind in KINDS
            if any(score.kind == kind for score in scores)
        },
    }
