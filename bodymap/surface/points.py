"""Points on the surface, as (triangle, barycentric): what lies there, its mirror image, and the closest one to a
position."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.surface.body import Template

SurfacePoints = tuple[Int[Tensor, " point"], Float[Tensor, "point 3"]]


def position(
    t: Template, triangle: Int[Tensor, " point"], barycentric: Float[Tensor, "point 3"]
) -> Float[Tensor, "point xyz=3"]:
    """Where the points lie on the rest template, metres."""
    return _blend(t.vertices, t.triangles, triangle, barycentric)


def code(
    t: Template, triangle: Int[Tensor, " point"], barycentric: Float[Tensor, "point 3"]
) -> Float[Tensor, "point rgb=3"]:
    """Their colour code, in [0, 1]."""
    return _blend(t.code, t.triangles, triangle, barycentric)


def uv(
    t: Template, triangle: Int[Tensor, " point"], barycentric: Float[Tensor, "point 3"]
) -> Float[Tensor, "point uv=2"]:
    """Their texture coordinates, in [0, 1], v down."""
    return _blend(t.uv, t.uv_triangles, triangle, barycentric)


def part(t: Template, triangle: Int[Tensor, " point"], barycentric: Float[Tensor, "point 3"]) -> Int[Tensor, " point"]:
    """Index into PART_NAMES: the label of the nearest corner."""
    return t.vertex_part[_nearest_corner(t, triangle, barycentric)]


def region(
    t: Template, triangle: Int[Tensor, " point"], barycentric: Float[Tensor, "point 3"]
) -> Int[Tensor, " point"]:
    """Index into REGION_NAMES: the label of the nearest corner."""
    return t.vertex_region[_nearest_corner(t, triangle, barycentric)]


def nearest_sample(
    t: Template, triangle: Int[Tensor, " point"], barycentric: Float[Tensor, "point 3"]
) -> Int[Tensor, " point"]:
    """Index of the nearest of the template's samples."""
    return t.vertex_sample[_nearest_corner(t, triangle, barycentric)]


def mirror(t: Template, triangle: Int[Tensor, " point"], barycentric: Float[Tensor, "point 3"]) -> SurfacePoints:
    """The same places on the person's other side."""
    target = torch.empty_like(barycentric)
    target.scatter_(-1, t.mirror_corner[triangle], barycentric)
    return t.mirror_triangle[triangle], target


def closest(
    t: Template, positions: Float[Tensor, "point xyz=3"], vertices: Float[Tensor, "vertex xyz=3"] | None = None
) -> SurfacePoints:
    """The closest outer surface point to each position: nearest vertices first, then the triangles around them.

    Args:
        positions: metres, on or near the surface.
        vertices: rest vertices of another shape of the same template; None: the template itself.
    """
    field = t.vertices if vertices is None else vertices.to(positions)
    key = "position" if vertices is None else None
    return project(t, field, positions, neighbours=3, key=key)


def project(
    t: Template,
    field: Float[Tensor, "vertex c"],
    queries: Float[Tensor, "point c"],
    neighbours: int = 2,
    key: str | None = None,
) -> SurfacePoints:
    """Projects queries onto the surface embedded in 3-D by ``field`` (rest positions, colour codes, ...).

    Args:
        key: name under which the search tree of ``field`` is kept; None: built anew.
    """
    near = nearest_vertices(t, field, queries, neighbours, key)
    candidates = t.vertex_triangles[near].flatten(1)
    return project_on(t, field, queries, candidates)


def project_on(
    t: Template,
    field: Float[Tensor, "vertex c"],
    queries: Float[Tensor, "point c"],
    candidates: Int[Tensor, "point candidate"],
) -> SurfacePoints:
    """The closest point to each query on its own list of candidate triangles, streamed in blocks of bounded memory."""
    triangle = torch.empty(len(queries), dtype=torch.long, device=queries.device)
    barycentric = torch.empty(len(queries), 3, device=queries.device)
    for i in range(0, len(queries), 1 << 15):
        block = slice(i, i + (1 << 15))
        corners = field[t.triangles[candidates[block]]]
        weights = closest_on_triangle(queries[block, None], *corners.unbind(-2))
        distance = ((weights[..., None] * corners).sum(-2) - queries[block, None]).square().sum(-1)
        best = distance.argmin(1)
        row = torch.arange(len(best), device=best.device)
        triangle[block] = candidates[block][row, best]
        barycentric[block] = weights[row, best]
    return triangle, barycentric


def closest_on_triangle(
    p: Float[Tensor, "... c"], a: Float[Tensor, "... c"], b: Float[Tensor, "... c"], c: Float[Tensor, "... c"]
) -> Float[Tensor, "... 3"]:
    """Barycentric coordinates of the point of triangle abc closest to p (Ericson, Real-Time Collision Detection,
    5.1.5).

    The plane's answer where it lies inside, else the best of the three edges; degenerate triangles fall to an edge.
    """
    ab, ac, ap = b - a, c - a, p - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    det = d00 * d11 - d01 * d01
    safe = det.clamp_min(1e-20)
    v, w = (d11 * d20 - d01 * d21) / safe, (d00 * d21 - d01 * d20) / safe
    inside = (v >= 0) & (w >= 0) & (v + w <= 1) & (det > 1e-20)

    # the closest point of each edge, as weights of (a, b, c)
    s_ab = (d20 / d00.clamp_min(1e-20)).clamp(0, 1)
    s_ac = (d21 / d11.clamp_min(1e-20)).clamp(0, 1)
    bc = c - b
    s_bc = (((p - b) * bc).sum(-1) / (bc * bc).sum(-1).clamp_min(1e-20)).clamp(0, 1)
    zero = torch.zeros_like(s_ab)
    options = torch.stack(
        [
            torch.stack([1 - s_ab, s_ab, zero], -1),
            torch.stack([1 - s_ac, zero, s_ac], -1),
            torch.stack([zero, 1 - s_bc, s_bc], -1),
        ],
        -2,
    )
    corners = torch.stack(torch.broadcast_tensors(a, b, c), -2)
    distance = (options @ corners - p[..., None, :]).square().sum(-1)
    edge = options.gather(-2, distance.argmin(-1)[..., None, None].expand(*distance.shape[:-1], 1, 3)).squeeze(-2)
    return torch.where(inside[..., None], torch.stack([1 - v - w, v, w], -1), edge)


def nearest_vertices(
    t: Template,
    field: Float[Tensor, "vertex c"],
    queries: Float[Tensor, "point c"],
    count: int = 1,
    key: str | None = None,
) -> Int[Tensor, "point count"]:
    """Indices of the nearest outer vertices in the space of ``field``: a k-d tree on the CPU, blocks of distances
    elsewhere."""
    outer = _outer_vertices(t)
    if queries.device.type == "cpu":
        from scipy.spatial import cKDTree

        tree = t.cache.get(("tree", key)) if key else None
        if tree is None:
            tree = cKDTree(field[outer].detach().numpy())
            if key:
                t.cache["tree", key] = tree
        found = tree.query(queries.detach().numpy(), k=np.arange(1, count + 1), workers=1)[1]
        return outer[torch.from_numpy(found)]
    blocks = [
        torch.cdist(queries[i : i + 4096], field[outer]).topk(count, largest=False).indices
        for i in range(0, len(queries), 4096)
    ]
    return outer[torch.cat(blocks)] if blocks else outer.new_zeros(0, count)


def _outer_vertices(t: Template) -> Int[Tensor, " outer"]:
    if "outer" not in t.cache:
        t.cache["outer"] = torch.nonzero(t.vertex_triangles[:, 0] >= 0)[:, 0]
    return t.cache["outer"]


def _nearest_corner(
    t: Template, triangle: Int[Tensor, " point"], barycentric: Float[Tensor, "point 3"]
) -> Int[Tensor, " point"]:
    return t.triangles[triangle].gather(-1, barycentric.argmax(-1, keepdim=True)).squeeze(-1)


def _blend(
    values: Float[Tensor, "n c"],
    triangles: Int[Tensor, "face 3"],
    triangle: Int[Tensor, " point"],
    barycentric: Float[Tensor, "point 3"],
) -> Float[Tensor, "point c"]:
    return (values[triangles[triangle]] * barycentric[..., None]).sum(-2)
