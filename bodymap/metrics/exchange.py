"""Measures of an exchange of looks: what it changed that it should not have, what it left, how alike the cloth is.

Pictures are (H, W, 3) uint8 arrays, regions (H, W) bool, lists of colours (N, 3) in [0, 1]; a share of nothing is nan.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, UInt8

_BINS = 8  # of each channel
_SOFT = 1.0  # standard deviation, bins: light moves a colour into its neighbour's bin, and that is no other colour


def greatest_change(
    after: UInt8[np.ndarray, "height width rgb=3"],
    before: UInt8[np.ndarray, "height width rgb=3"],
    region: Bool[np.ndarray, "height width"],
) -> int:
    """The largest difference of any channel in the region, of 255."""
    return int(_difference(after, before)[region].max(initial=0))


def changed_share(
    after: UInt8[np.ndarray, "height width rgb=3"],
    before: UInt8[np.ndarray, "height width rgb=3"],
    region: Bool[np.ndarray, "height width"],
    tolerance: int = 8,
) -> float:
    """The share of the region's pixels of which some channel changed by more than ``tolerance``, of 255."""
    return float((_difference(after, before)[region] > tolerance).mean()) if region.any() else math.nan


def leak_rate(
    after: UInt8[np.ndarray, "height width rgb=3"],
    before: UInt8[np.ndarray, "height width rgb=3"],
    ought_to_change: Bool[np.ndarray, "height width"],
    tolerance: float = 0.06,
) -> float:
    """The share of the pixels that ought to have changed and look as before: every channel within ``tolerance``."""
    if not ought_to_change.any():
        return math.nan
    return float((_difference(after, before)[ought_to_change] <= tolerance * 255).mean())


def foreign(
    picture: UInt8[np.ndarray, "height width rgb=3"],
    region: Bool[np.ndarray, "height width"],
    colours: Float[np.ndarray, "colour rgb=3"],
    tolerance: float = 0.06,
) -> Bool[np.ndarray, "height width"]:
    """The region's pixels whose colour is none of ``colours``: where a garment and its successor share one, nothing can
    be told apart."""
    result = region.copy()
    if region.any() and len(colours):
        result[region] = ~_among(picture[region] / 255.0, colours, tolerance)
    return result


def colour_distance(one: Float[np.ndarray, "a rgb=3"], other: Float[np.ndarray, "b rgb=3"]) -> float:
    """Hellinger distance of two colour histograms: 0 for the same colours, 1 for none in common; nan without colours.

    Histograms of 8 x 8 x 8 bins, softened over the neighbours'. H^2 = 1 - sum_i sqrt(p_i q_i).
    """
    if not len(one) or not len(other):
        return math.nan
    p, q = _histogram(one), _histogram(other)
    return math.sqrt(max(0.0, 1 - float(np.sqrt(p * q).sum())))


def _histogram(colours: Float[np.ndarray, "n rgb=3"]) -> Float[np.ndarray, "bin bin bin"]:
    from scipy.ndimage import gaussian_filter

    counts, _ = np.histogramdd(colours, bins=_BINS, range=[(0, 1 + 1e-6)] * 3)
    soft = gaussian_filter(counts, _SOFT, mode="constant")
    return soft / soft.sum()


def _among(colours: np.ndarray, others: np.ndarray, tolerance: float) -> Bool[np.ndarray, " n"]:
    """Which colours have one of the others within ``tolerance`` in every channel."""
    from scipy.spatial import cKDTree

    # a garment's colours repeat: on a grid finer than the tolerance few are left
    step = tolerance / 4
    palette = np.unique(np.round(others / step), axis=0) * step
    return cKDTree(palette).query(colours, p=np.inf)[0] <= tolerance


def _difference(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.abs(after.astype(np.int16) - before.astype(np.int16)).max(-1)
