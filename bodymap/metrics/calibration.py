"""Calibration: whether matches said to be right with 80 % are right in 80 % of cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

# What a confidence promises (types.Correspondence): the point lies within so many metres of the truth
CORRECT_METRES = 0.05


@dataclass(frozen=True)
class Reliability:
    """Equal-width confidence bins.

    Attributes:
        count: (B,) int, matches in the bin.
        confidence: (B,) float, their mean confidence; nan in an empty bin.
        accuracy: (B,) float, the share of them that are right; nan in an empty bin.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(
    confidence: Float[np.ndarray, " match"], correct: Bool[np.ndarray, " match"], bins: int = 15
) -> Reliability:
    """Sorts matches into ``bins`` equal-width bins of their confidence in [0, 1]; 1 falls into the last bin."""
    index = np.minimum((np.asarray(confidence, np.float64) * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            count=count,
            confidence=np.bincount(index, weights=confidence, minlength=bins) / count,
            accuracy=np.bincount(index, weights=correct, minlength=bins) / count,
        )


def expected_calibration_error(table: Reliability) -> float:
    """ECE = sum_b n_b / n |accuracy_b - confidence_b|; nan without matches."""
    filled = table.count > 0
    if not filled.any():
        return math.nan
    gap = np.abs(table.accuracy[filled] - table.confidence[filled])
    return float((table.count[filled] * gap).sum() / table.count.sum())
