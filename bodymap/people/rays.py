"""Where short straight lines meet a triangle mesh: a grid of cells, then Möller and Trumbore's test, in numpy.

(Fast, Minimum Storage Ray-Triangle Intersection, 1997.) Made for many lines a few centimetres long, such as from every
vertex of the skin to the cloth above it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_CELL = 0.02  # metres
_SLACK = 1e-9  # a line through an edge meets at least one of its triangles, whatever the rounding


@dataclass(frozen=True)
class Crossings:
    """Every crossing of a line and a triangle, in no particular order, once each.

    Attributes:
        line, face: (H,) indices.
        share: (H,) in [0, 1], where on the line.
        barycentric: (H, 3) weights of the face's corners.
    """

    line: Int[np.ndarray, " hit"]
    face: Int[np.ndarray, " hit"]
    share: Float[np.ndarray, " hit"]
    barycentric: Float[np.ndarray, "hit 3"]


def crossings(
    start: Float[np.ndarray, "line xyz=3"],
    end: Float[np.ndarray, "line xyz=3"],
    vertices: Float[np.ndarray, "vertex xyz=3"],
    triangles: Int[np.ndarray, "face 3"],
    cell: float = _CELL,
) -> Crossings:
    """All crossings of the lines from ``start`` to ``end`` with the triangles, from either side; metres.

    Args:
        cell: edge of the grid's cells, metres: about the size of the triangles. Only speed depends on it.
    """
    corner = vertices.astype(np.float64)[triangles]
    start, step = start.astype(np.float64), end.astype(np.float64) - start.astype(np.float64)
    line, face = _candidates(start, step, corner, cell)
    a, ab, ac = corner[face, 0], corner[face, 1] - corner[face, 0], corner[face, 2] - corner[face, 0]
    direction, s = step[line], start[line] - a
    p = np.cross(direction, ac)
    det = (ab * p).sum(1)
    safe = np.where(np.abs(det) > 1e-20, det, np.inf)  # a triangle seen edge-on is not met
    q = np.cross(s, ab)
    u, v, share = (s * p).sum(1) / safe, (direction * q).sum(1) / safe, (ac * q).sum(1) / safe
    hit = (u >= -_SLACK) & (v >= -_SLACK) & (u + v <= 1 + _SLACK) & (share >= 0) & (share <= 1) & np.isfinite(safe)
    return Crossings(line[hit], face[hit], share[hit], np.stack([1 - u - v, u, v], 1)[hit])


def _candidates(start: np.ndarray, step: np.ndarray, corner: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (line, face) that may meet, each once.

    Lines are followed in steps of half a cell, and a triangle lies in every cell that its box, made wider by a quarter
    of a cell, touches: no point of a line is further than that from a step.
    """
    none = np.zeros(0, int)
    if not len(start) or not len(corner):
        return none, none
    origin = corner.reshape(-1, 3).min(0) - cell
    low = np.floor((corner.min(1) - 0.25 * cell - origin) / cell).astype(np.int64)
    high = np.floor((corner.max(1) + 0.25 * cell - origin) / cell).astype(np.int64)
    shape = high.max(0) + 1
    face, offset = _runs(np.prod(high - low + 1, axis=1))
    span = (high - low + 1)[face]
    place = low[face] + np.stack(
        [offset // (span[:, 1] * span[:, 2]), offset // span[:, 2] % span[:, 1], offset % span[:, 2]], 1
    )
    key = _key(place, shape)
    order = np.argsort(key, kind="stable")
    key, face = key[order], face[order]

    count = np.ceil(np.linalg.norm(step, axis=1) / (0.5 * cell)).astype(np.int64) + 1
    line, number = _runs(count)
    at = start[line] + step[line] * (number / np.maximum(count[line] - 1, 1))[:, None]
    place = np.floor((at - origin) / cell).astype(np.int64)
    within = ((place >= 0) & (place < shape)).all(1)
    line, wanted = line[within], _key(place[within], shape)
    first, last = np.searchsorted(key, wanted, "left"), np.searchsorted(key, wanted, "right")
    visit, offset = _runs(last - first)
    pair = np.unique(line[visit] * np.int64(len(corner)) + face[first[visit] + offset])
    return pair // len(corner), pair % len(corner)


def _runs(count: Int[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
    """(which, number within): 0 repeated count[0] times, 1 count[1] times, ..."""
    which = np.repeat(np.arange(len(count)), count)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)


def _key(place: Int[np.ndarray, "n 3"], shape: np.ndarray) -> Int[np.ndarray, " n"]:
    return (place[:, 0] * shape[1] + place[:, 1]) * shape[2] + place[:, 2]
