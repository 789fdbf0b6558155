"""From a place near the template to the point of its surface: what garments, hair and carried things are bound by."""

from __future__ import annotations

import functools

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.people.anatomy import template
from bodymap.people.film.queries import ClosestPoint
from bodymap.surface import Template, points

_CELL = 0.02  # metres
_MARGIN = 0.12  # metres around the template's box


def closest_within(
    t: Template, positions: Float[Tensor, "point xyz=3"], allowed: Bool[np.ndarray, " vertex"] | None = None
) -> points.SurfacePoints:
    """(triangle, barycentric) of the closest point on the outer triangles between allowed vertices (None: all)."""
    key = None if allowed is None else allowed.tobytes()
    known = t.cache.setdefault("closest", {})
    if key not in known:
        usable = t.triangle_inner == 0
        if allowed is not None:
            usable = usable & torch.from_numpy(allowed)[t.triangles].all(1)
        known[key] = ClosestPoint(t.vertices, t.triangles, torch.nonzero(usable)[:, 0], torch.device("cpu"))
    return known[key](positions)


class SurfaceGrid:
    """The nearest outer vertex of the template, for every cell around it."""

    def __init__(self, t: Template):
        vertices = t.vertices.cpu().numpy()
        ids = np.flatnonzero(t.vertex_triangles[:, 0].cpu().numpy() >= 0)
        self.origin = vertices.min(0) - _MARGIN
        shape = tuple(np.ceil((vertices.max(0) + _MARGIN - self.origin) / _CELL).astype(int))
        near = np.full(shape, -1, np.int32)
        cell = ((vertices[ids] - self.origin) / _CELL).astype(int)
        near[tuple(cell.T)] = ids
        axes = [self.origin[k] + (np.arange(shape[k]) + 0.5) * _CELL for k in range(3)]
        centre = np.stack(np.meshgrid(*axes, indexing="ij"), -1).astype(np.float32)
        self.near = torch.from_numpy(_spread(near, centre, vertices.astype(np.float32)).astype(np.int64))
        self.limit = torch.tensor(shape) - 1

    def vertex(self, positions: Float[Tensor, "point xyz=3"]) -> Int[Tensor, " point"]:
        """The vertex of each position's cell: the nearest one, to about the size of a cell."""
        cell = ((positions - torch.as_tensor(self.origin, dtype=torch.float32)) / _CELL).long().clamp_min(0)
        cell = torch.minimum(cell, self.limit)
        return self.near[cell[:, 0], cell[:, 1], cell[:, 2]]


@functools.lru_cache(maxsize=1)
def surface_grid() -> SurfaceGrid:
    """The grid of the shipped template; filling it takes about a second, once a process."""
    return SurfaceGrid(template())


def _spread(near: np.ndarray, centre: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Every cell takes the nearest of its own and its six neighbours' vertices, until nothing changes."""
    best = np.full(near.shape, np.inf, np.float32)
    known = near >= 0
    best[known] = ((centre[known] - vertices[near[known]]) ** 2).sum(-1)
    changed = True
    while changed:
        changed = False
        for axis in range(3):
            for step in (1, -1):
                here, there = _shifted(axis, step)
                other = near[there]
                index = np.nonzero((other >= 0) & (other != near[here]))
                candidate = other[index]
                distance = ((centre[here][index] - vertices[candidate]) ** 2).sum(-1)
                better = distance < best[here][index]
                if better.any():
                    place = tuple(i[better] for i in index)
                    best[here][place] = distance[better]
                    near[here][place] = candidate[better]
                    changed = True
    return near


def _shifted(axis: int, step: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of a 3-D array and of the same array one cell further along ``axis``."""
    inner, outer = slice(1, None), slice(None, -1)
    here, there = [slice(None)] * 3, [slice(None)] * 3
    here[axis], there[axis] = (inner, outer) if step == 1 else (outer, inner)
    return tuple(here), tuple(there)
