"""The colour code's design: candidate embeddings of the body in the RGB cube, and the one that was chosen.

A code is good when the network's error in colour, a few of 256 levels on each channel, is a small error on the
body. The table of all candidates under noise is in docs/surface.md, made by benchmarks/colour_code.py. A candidate is
mirror-symmetric: mirroring a point turns (r, g, b) into (1 - r, g, b). Changing ``CHOSEN`` changes what every trained
network means; the name travels in the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bodymap.surface.raw_body import RawBody


def stretched(body: RawBody, hands: float, head: float) -> np.ndarray:
    """Rest vertices with the hands scaled about the wrists and the head about the top of the neck, blended by skin
    weight."""
    v = body.vertices.copy()
    for side in "LR":
        v += np.clip(body.hand_weight[side], 0, 1)[:, None] * (body.vertices - body.wrists[side]) * (hands - 1)
    v += np.clip(body.head_weight, 0, 1)[:, None] * (body.vertices - body.neck) * (head - 1)
    return v


def _one_scale(v: np.ndarray, outer: np.ndarray) -> np.ndarray:
    low, high = v[outer].min(0), v[outer].max(0)
    return np.clip(0.5 + (v - (low + high) / 2) / (high - low).max(), 0, 1)


def per_axis(v: np.ndarray, outer: np.ndarray) -> np.ndarray:
    low, high = v[outer].min(0), v[outer].max(0)
    return np.clip((v - low) / (high - low), 0, 1)


def equalised(code: np.ndarray, outer: np.ndarray, area: np.ndarray, amount: float, knots: int = 17) -> np.ndarray:
    """Moves each axis towards equal surface area a level, by a smooth monotone curve through ``knots`` quantiles."""
    from scipy.interpolate import PchipInterpolator

    result = code.copy()
    for axis in range(3):
        values, weights = code[outer, axis], area[outer]
        if axis == 0:  # symmetric
            values, weights = np.concatenate([values, 1 - values]), np.concatenate([weights, weights])
        order = np.argsort(values)
        share = np.cumsum(weights[order]) / weights.sum()
        at = np.linspace(0, 1, knots)
        target = np.interp(at, np.concatenate([[0], values[order], [1]]), np.concatenate([[0], share, [1]]))
        if axis == 0:
            target = (target + 1 - target[::-1]) / 2
        result[:, axis] = PchipInterpolator(at, (1 - amount) * at + amount * target)(code[:, axis])
    return np.clip(result, 0, 1)


def vertex_area(body: RawBody) -> np.ndarray:
    """A third of the area of the triangles around each vertex, square metres."""
    p = body.vertices[body.triangles]
    area = np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1) / 2
    return np.bincount(body.triangles.ravel(), np.repeat(area / 3, 3), len(body.vertices))


def _warped(hands: float, head: float, equalise: float) -> Callable[[RawBody, np.ndarray], np.ndarray]:
    def make(body: RawBody, outer: np.ndarray) -> np.ndarray:
        code = per_axis(stretched(body, hands, head), outer)
        return equalised(code, outer, vertex_area(body), equalise) if equalise else code

    return make


CODES: dict[str, Callable[[RawBody, np.ndarray], np.ndarray]] = {
    "xyz": lambda body, outer: _one_scale(body.vertices, outer),
    "xyz-axis": _warped(1, 1, 0),
    "xyz-axis-hands2.5": _warped(2.5, 1, 0),
    "xyz-axis-hands2-head1.5": _warped(2, 1.5, 0),
    "xyz-axis-equal0.3": _warped(1, 1, 0.3),
    "warped-1": _warped(2, 1.5, 0.3),
    "xyz-axis-hands2-head1.5-equal0.6": _warped(2, 1.5, 0.6),
}
CHOSEN = "warped-1"
