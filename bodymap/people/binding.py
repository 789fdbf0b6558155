"""From a place near the template to the point of its surface: what garments, hair and carried things are bound by.

``surface.points.closest`` finds nearest vertices with a k-d tree from scipy, which the training machine lacks. Here
few places are searched exactly (``closest_within``); many, every pixel of every picture, through a grid of cells
(``SurfaceGrid``; ``film.labels`` has its kernel).
"""

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
        usable = t.triangle_inner.numpy() == 0
        if allowed is not None:
            usable &= allowed[t.triangles.numpy()].all(1)
        ids = np.flatnonzero(usable)
        known[key] = ids, ClosestPoint(t.vertices.numpy(), t.triangles.numpy()[ids])
    ids, query = known[key]
    face, weight = query(positions.numpy())
    weight = torch.from_numpy(weight)
    return torch.from_numpy(ids[face]), weight / weight.sum(1, keepdim=True)


class SurfaceGrid:
    """Nearest template vertex for every cell around the template; then the closest point on the triangles there."""

    def __init__(self, t: Template):
        self.template, self.cell = t, _CELL
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
        self.corners = t.vertices[t.triangles]

    def __call__(self, positions: Float[Tensor, "point xyz=3"]) -> points.SurfacePoints:
        """(triangle, barycentric) of the closest surface point; exact for positions near the surface.

        From the cell's vertex over the triangles around it, and on from the corner found, until the corner stays.
        """
        t = self.template
        vertex = self.vertex(positions)
        triangle, barycentric = self._around(positions, vertex)
        active = torch.arange(len(positions))
        for _ in range(4):
            corner = t.triangles[triangle[active]].gather(1, barycentric[active].argmax(1, keepdim=True))[:, 0]
            moved = corner != vertex[active]
            active = active[moved]
            if not len(active):
                break
            vertex[active] = corner[moved]
            triangle[active], barycentric[active] = self._around(positions[active], vertex[active])
        return triangle, barycentric

    def vertex(self, positions: Float[Tensor, "point xyz=3"]) -> Int[Tensor, " point"]:
        """The vertex of each position's cell: the nearest one, to about the size of a cell."""
        cell = ((positions - torch.as_tensor(self.origin, dtype=torch.float32)) / _CELL).long().clamp_min(0)
        cell = torch.minimum(cell, self.limit)
        return self.near[cell[:, 0], cell[:, 1], cell[:, 2]]

    def _around(self, positions: Tensor, vertex: Tensor) -> points.SurfacePoints:
        """The closest of the triangles around a vertex: by plane where the foot point lies inside, else by clamping.

        Clamping and renormalising is not the closest point of an obtuse triangle's edge, but within a fraction of a
        millimetre of it at this mesh's size, and several times faster than ``points.closest_on_triangle``.
        """
        candidates = self.template.vertex_triangles[vertex]
        corners = self.corners[candidates]
        a, ab, ac = corners[:, :, 0], corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
        ap = positions[:, None] - a
        d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
        d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
        safe = (d00 * d11 - d01 * d01).clamp_min(1e-20)
        weight = torch.stack([(d11 * d20 - d01 * d21) / safe, (d00 * d21 - d01 * d20) / safe], -1)
        weight = torch.cat([1 - weight.sum(-1, keepdim=True), weight], -1).clamp_min(0)
        weight = weight / weight.sum(-1, keepdim=True)
        gap = (ap - weight[..., 1:2] * ab - weight[..., 2:] * ac).square().sum(-1)
        best = gap.argmin(1)
        row = torch.arange(len(best))
        return candidates[row, best], weight[row, best]


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
