"""Judges predictions for synthetic pictures, whose truth is exact, and sums the judgements up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bodymap.metrics import accuracy, calibration, segmentation, similarity
from bodymap.metrics.accuracy import PixelErrors
from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence, Sample

if TYPE_CHECKING:
    from bodymap.surface import Template


# What pieces that hang loosely about the legs are called in people packs
_LOOSE = ("skirt", "dress", "gown")


@dataclass(frozen=True)
class Judgement:
    """One picture.

    Attributes:
        errors: its true foreground pixels.
        facing: radians, from which side the person is seen (``Sample.facing``).
        mask_iou, boundary_f: of the foreground; leak and miss as shares of the true foreground.
        facing_right: 1.0 or 0.0, whether the side told by the network is right; nan where it told none.
        layer_accuracy: share of the true foreground with the right layer; nan where no layers were predicted.
        area, true_area: foreground pixels predicted and true.
        score: mean confidence over the predicted foreground, 0 where that is empty.
    """

    errors: PixelErrors
    facing: float
    mask_iou: float
    boundary_f: float
    leak: float
    miss: float
    facing_right: float
    layer_accuracy: float
    area: int
    true_area: int
    score: float


def judge(template: Template, sample: Sample, predicted: Correspondence, quarter: int | None = None) -> Judgement:
    """Compares a prediction for ``sample.image`` with the truth; both of the same size, template on the CPU.

    Only the subject counts: another person in the picture is background.

    Args:
        quarter: which side of the person the network says it sees, index into network.cse.FACING_NAMES: the quarter
            turns about 0, 90, 180 and 270 degrees of ``Sample.facing``.
    """
    truth, mask = sample.foreground, predicted.mask
    errors = accuracy.compare_pixels(
        template,
        sample.triangle[truth],
        sample.barycentric[truth],
        sample.layer[truth],
        np.where(mask, predicted.triangle, -1)[truth],
        predicted.barycentric[truth],
        predicted.confidence[truth],
        loose_cloth(sample)[truth],
    )
    has_layers = bool((predicted.layer[mask] > 0).any())
    return Judgement(
        errors=errors,
        facing=sample.facing,
        mask_iou=segmentation.mask_iou(mask, truth),
        boundary_f=segmentation.boundary_f(mask, truth),
        leak=segmentation.leak(mask, truth),
        miss=segmentation.miss(mask, truth),
        facing_right=math.nan if quarter is None else float(round(sample.facing / (math.pi / 2)) % 4 == quarter),
        layer_accuracy=float(np.mean((predicted.layer == sample.layer)[truth])) if has_layers else math.nan,
        area=int(mask.sum()),
        true_area=int(truth.sum()),
        score=float(predicted.confidence[mask].mean()) if mask.any() else 0.0,
    )


def loose_cloth(sample: Sample) -> np.ndarray:
    """(H, W) bool: the cloth over the legs of somebody in a skirt, a dress or a long coat."""
    names = " ".join(sample.body.get("pieces", ())).lower()
    if not any(word in names for word in _LOOSE):
        return np.zeros_like(sample.foreground)
    cloth = np.isin(sample.layer, [LAYER_NAMES.index("upper"), LAYER_NAMES.index("lower")])
    legs = [i for i, name in enumerate(PART_NAMES) if name.endswith(("thigh", "shin"))]
    return cloth & np.isin(sample.part, legs)


def summarise(judgements: Sequence[Judgement], worst: float, detail: bool = True) -> dict:
    """All figures of a test set.

    Args:
        detail: also by place, part, region and layer.
        worst: metres, what a pixel called background counts in a mean geodesic error: the template's largest distance.
    """
    errors = accuracy.concatenate(judgement.errors for judgement in judgements)
    fixed = [similarity.gps(j.errors.geodesic) for j in judgements]
    found = errors.select(errors.found)
    bins = calibration.reliability(found.confidence, found.geodesic <= calibration.CORRECT_METRES)

    def mean(values) -> float:
        values = [value for value in values if not math.isnan(value)]
        return float(np.mean(values)) if values else math.nan

    figures = {
        "images": len(judgements),
        **accuracy.summary(errors, worst),
        "mask": {
            "iou": mean(j.mask_iou for j in judgements),
            "boundary_f": mean(j.boundary_f for j in judgements),
            "leak": mean(j.leak for j in judgements),
            "miss": mean(j.miss for j in judgements),
        },
        "facing_accuracy": mean(j.facing_right for j in judgements),
        "layer_accuracy": mean(j.layer_accuracy for j in judgements),
        "gps": {
            "fixed": mean(fixed),
            "by_part": mean(similarity.gps_by_part(j.errors.geodesic, j.errors.part) for j in judgements),
            "masked": mean(similarity.gps_masked(g, j.mask_iou) for g, j in zip(fixed, judgements, strict=True)),
        },
        "ap": similarity.average_precision([as_detection(j) for j in judgements]),
        "flips": accuracy.flips_by_view([j.facing for j in judgements], [j.errors for j in judgements]),
        "calibration": {
            "ece": calibration.expected_calibration_error(bins),
            "mean_confidence": float(found.confidence.mean()) if len(found) else math.nan,
            "within_5cm": accuracy.share_within(found.geodesic, calibration.CORRECT_METRES),
            "bins": [
                {"count": int(n), "confidence": float(c), "accuracy": float(a)}
                for n, c, a in zip(bins.count, bins.confidence, bins.accuracy, strict=True)
            ],
        },
    }
    if detail:
        for name in ("by_place", "by_part", "by_region", "by_layer"):
            figures[name] = getattr(accuracy, name)(errors, worst)
    return figures


def as_detection(judgement: Judgement) -> similarity.ImageDetections:
    """A picture with one person and at most one detection, for average precision (GPS with the fixed kappa)."""
    found = int(judgement.area > 0)
    return similarity.ImageDetections(
        similarity=np.full((found, 1), similarity.gps(judgement.errors.geodesic)),
        score=np.full(found, judgement.score),
        area=np.full(found, judgement.area, float),
        true_area=np.array([judgement.true_area], float),
        ignored=np.zeros(1, bool),
    )
