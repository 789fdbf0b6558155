"""Geodesic point similarity (GPS) and the average precision and recall built on it, as COCO's evaluator counts them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bodymap.types import PART_NAMES

# The three regimes. Fixed: the original DensePose paper's, and ours for synthetic data.
KAPPA = 0.255

# Per part: the official DensePose evaluator's since 2019. It knows no neck; the neck counts as head there.
_KAPPA_OF = {
    "head": 0.150,
    "neck": 0.150,
    "torso_front": 0.351,
    "torso_back": 0.351,
    "upper_arm": 0.142,
    "forearm": 0.128,
    "hand": 0.107,
    "thigh": 0.237,
    "shin": 0.173,
    "foot": 0.126,
}
KAPPA_BY_PART: tuple[float, ...] = tuple(
    _KAPPA_OF[name.removeprefix("left_").removeprefix("right_")] for name in PART_NAMES
)

THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
MAX_DETECTIONS = 20
BOX_IOU = 0.8  # from here on a box is taken for an unannotated person's
AREAS: dict[str, tuple[float, float]] = {"all": (0, math.inf), "medium": (32**2, 96**2), "large": (96**2, math.inf)}


def point_similarity(distance: Float[np.ndarray, " point"], kappa) -> Float[np.ndarray, " point"]:
    """exp(-g^2 / (2 kappa^2)) of every point.

    Args:
        distance: geodesic error in metres; inf where the model calls the point background (similarity 0).
        kappa: metres, one number or one a point.
    """
    return np.exp(-np.square(distance) / (2 * np.square(kappa)))


def gps(distance: Float[np.ndarray, " point"], kappa: float = KAPPA) -> float:
    """GPS_j = mean_p exp(-g(i_p, i_p^)^2 / (2 kappa^2)) of one person, one kappa for all points; nan without points."""
    return float(np.mean(point_similarity(distance, kappa))) if len(distance) else math.nan


def gps_by_part(distance: Float[np.ndarray, " point"], part: Int[np.ndarray, " point"]) -> float:
    """GPS of one person with the official evaluator's kappa for each point's true part (index into PART_NAMES)."""
    return float(np.mean(point_similarity(distance, np.array(KAPPA_BY_PART)[part]))) if len(distance) else math.nan


def gps_masked(similarity: float, mask_iou: float) -> float:
    """GPSm = sqrt(GPS x mask IoU): punishes a mask that leaks, which GPS alone does not see."""
    return math.sqrt(similarity * mask_iou)


# --------------------------------------------------------------------------------------- precision and recall


@dataclass(frozen=True)
class ImageDetections:
    """What was detected in one picture beside what is there: D detections, G people.

    Attributes:
        similarity: (D, G) float, GPS or GPSm of each pair.
        score: (D,) float, the detections' own; mean confidence.
        area: (D,) float, pixels.
        true_area: (G,) float, pixels.
        ignored: (G,) bool: a match with this person counts neither for nor against (crowds, no annotation).
        box_iou: (D, G) float, of the boxes; over a crowd the share of the detection's box that it covers. None: it is
            not known who is there without an annotation.
        crowd: (G,) bool: stands for a group, any number of detections may match it; None: nobody does.
    """

    similarity: np.ndarray
    score: np.ndarray
    area: np.ndarray
    true_area: np.ndarray
    ignored: np.ndarray
    box_iou: np.ndarray | None = None
    crowd: np.ndarray | None = None


def match_detections(
    similarity: Float[np.ndarray, "detection person"],
    ignored: Bool[np.ndarray, " person"],
    threshold: float,
    crowd: Bool[np.ndarray, " person"] | None = None,
) -> Int[np.ndarray, " detection"]:
    """Gives every detection, best score first, the free person most like it; -1 where none reaches the threshold.

    Args:
        similarity: rows in falling order of score.
        ignored: people who count only where no other fits.
        crowd: people who are never taken; None: all are.
    """
    taken = np.zeros(similarity.shape[1], bool)
    single = np.ones_like(taken) if crowd is None else ~crowd
    match = np.full(similarity.shape[0], -1)
    for d, row in enumerate(similarity):
        for candidates in (~taken & ~ignored, ~taken & ignored):
            likeness = np.where(candidates & (row >= threshold), row, -np.inf)
            if len(likeness) and likeness.max() > -np.inf:
                match[d] = _last_best(likeness)
                taken[match[d]] = single[match[d]]
                break
    return match


def _last_best(values: Float[np.ndarray, " n"]) -> int:
    """Index of the largest value; of several equal ones the last, which is the one that COCO's evaluator keeps."""
    return len(values) - 1 - int(values[::-1].argmax())


def _with_boxes(
    image: ImageDetections, order: np.ndarray, ignored: np.ndarray, ignore: np.ndarray
) -> Bool[np.ndarray, " detection"]:
    """Which detections are left out once boxes have had their say: the official evaluator forgives one whose box is
    that of somebody without annotation.

    A detection that fits nobody at the highest threshold takes the flag of the free person whose box its own covers
    best, from an IoU of BOX_IOU on; at every threshold, which is the evaluator's habit too.
    """
    match = match_detections(image.similarity[order], ignored, THRESHOLDS[-1], image.crowd)
    single = np.ones(len(ignored), bool) if image.crowd is None else ~image.crowd
    taken = np.zeros(len(ignored), bool)
    taken[match[match >= 0]] = True
    out = ignore.copy()
    for d, row in enumerate(image.box_iou[order]):
        overlap = np.where((row >= BOX_IOU) & ~(taken & single), row, -np.inf)
        if match[d] < 0 and len(overlap) and overlap.max() > -np.inf:
            person = _last_best(overlap)
            out[d] = ignored[person]
            taken[person] |= ignored[person]
    return out


def precision_recall(
    images: Sequence[ImageDetections], threshold: float, area: tuple[float, float] = AREAS["all"]
) -> tuple[float, float]:
    """Average precision over 101 recall points, and the highest recall, at one threshold and for people of one size.

    People outside the area range are ignored, and so are unmatched detections outside it, as in COCO; and as in the
    DensePose evaluator all detections of a picture in which nobody counts, and those that ``box_iou`` excuses.

    Returns:
        (precision, recall), both nan where no person counts.
    """
    low, high = area
    scores, hits, counted, people = [], [], [], 0
    for image in images:
        order = np.argsort(-image.score, kind="stable")[:MAX_DETECTIONS]
        ignored = image.ignored | (image.true_area < low) | (image.true_area > high)
        match = match_detections(image.similarity[order], ignored, threshold, image.crowd)
        matched = match >= 0
        ignore = np.full(len(order), bool(ignored.all()))
        ignore[matched] = ignored[match[matched]]
        if image.box_iou is not None:
            ignore = _with_boxes(image, order, ignored, ignore)
        ignore |= ~matched & ((image.area[order] < low) | (image.area[order] > high))
        scores.append(image.score[order])
        hits.append(matched & ~ignore)
        counted.append(~ignore)
        people += int((~ignored).sum())
    if not people:
        return math.nan, math.nan

    score, hit, count = (np.concatenate(values) for values in (scores, hits, counted))
    order = np.argsort(-score[count], kind="stable")
    hit = hit[count][order]
    if not len(hit):
        return 0.0, 0.0
    true_positives = np.cumsum(hit)
    recall = true_positives / people
    precision = true_positives / np.arange(1, len(hit) + 1)
    # the envelope: precision at a recall is the best at that recall or any higher one
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.append(envelope, 0.0)[at].mean()), float(recall[-1])


def average_precision(images: Sequence[ImageDetections]) -> dict[str, float]:
    """AP and AR over GPS thresholds .50:.05:.95 with their usual companions, as shares; nan where no person counts.

    Returns:
        AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL.
    """
    table = {
        name: np.array([precision_recall(images, threshold, area) for threshold in THRESHOLDS])
        for name, area in AREAS.items()
    }
    columns = {}
    for column, letters in enumerate(("AP", "AR")):
        columns[letters] = table["all"][:, column].mean()
        columns[f"{letters}50"] = table["all"][THRESHOLDS.index(0.5), column]
        columns[f"{letters}75"] = table["all"][THRESHOLDS.index(0.75), column]
        columns[f"{letters}M"] = table["medium"][:, column].mean()
        columns[f"{letters}L"] = table["large"][:, column].mean()
    return {name: float(value) for name, value in columns.items()}
