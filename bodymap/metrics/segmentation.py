"""How well a mask fits: overlap, leak and miss, and agreement of the outlines."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool


def mask_iou(mask: Bool[np.ndarray, "height width"], truth: Bool[np.ndarray, "height width"]) -> float:
    """Intersection over union; 1 where both are empty."""
    union = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / union if union else 1.0


def leak(mask: Bool[np.ndarray, "height width"], truth: Bool[np.ndarray, "height width"]) -> float:
    """Background called foreground, as a share of the true foreground; nan where there is none."""
    area = np.count_nonzero(truth)
    return np.count_nonzero(mask & ~truth) / area if area else math.nan


def miss(mask: Bool[np.ndarray, "height width"], truth: Bool[np.ndarray, "height width"]) -> float:
    """Foreground called background, as a share of the true foreground; nan where there is none."""
    area = np.count_nonzero(truth)
    return np.count_nonzero(~mask & truth) / area if area else math.nan


def boundary(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """The mask's pixels with a neighbour (of four) outside the mask.

    The picture's frame is no boundary: where a person is cut off by it, the mask is taken to go on.
    """
    around = np.pad(mask, 1, mode="edge")
    inside = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return mask & ~inside


def widen(mask: Bool[np.ndarray, "height width"], radius: float) -> Bool[np.ndarray, "height width"]:
    """All pixels within ``radius`` pixels (centre to centre) of the mask; meant for small radii."""
    height, width = mask.shape
    reach = int(radius)
    around = np.pad(mask, reach)
    wide = np.zeros_like(mask)
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            if row**2 + column**2 <= radius**2:
                top, left = reach + row, reach + column
                wide |= around[top : top + height, left : left + width]
    return wide


def boundary_f(
    mask: Bool[np.ndarray, "height width"], truth: Bool[np.ndarray, "height width"], tolerance: float = 2
) -> float:
    """F = 2 P R / (P + R) of the outlines; 1 where neither has one.

    P is the share of the mask's boundary within ``tolerance`` pixels of the true one, R the reverse.
    """
    edge, true_edge = boundary(mask), boundary(truth)
    if not edge.any() and not true_edge.any():
        return 1.0
    if not edge.any() or not true_edge.any():
        return 0.0
    precision = float(np.mean(widen(true_edge, tolerance)[edge]))
    recall = float(np.mean(widen(edge, tolerance)[true_edge]))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
