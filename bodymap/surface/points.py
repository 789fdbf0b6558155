"""Points on the surface, as (triangle, barycentric): what lies there, its mirror image, and the closest one to a
position."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.surface.body import Template

_BLOCK, _BLOCK_GPU = 1 << 13, 1 << 17  # queries projected at a time: what fits a processor's cache

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


def of_vertices(
    t: Template,
    values: Float[Tensor, "vertex c"],
    triangle: Int[Tensor, "*point"],
    barycentric: Float[Tensor, "*point 3"],
) -> Float[Tensor, "*point c"]:
    """Any values of the template's vertices there, linear within triangles."""
    return _blend(values, t.triangles, triangle, barycentric)


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
    table = _triangle_table(field[t.triangles])
    if torch.compiler.is_exporting():
        return _project_block(table, queries, candidates)  # whoever runs the exported graph sends blocks
    triangle = torch.empty(len(queries), dtype=torch.long, device=queries.device)
    barycentric = torch.empty(len(queries), 3, device=queries.device)
    size = _BLOCK_GPU if queries.is_cuda else _BLOCK
    for i in range(0, len(queries), size):
        block = slice(i, i + size)
        triangle[block], barycentric[block] = _project_block(table, queries[block], candidates[block])
    return triangle, barycentric


def _project_block(
    table: tuple[Tensor, tuple[Tensor, Tensor], Tensor],
    queries: Float[Tensor, "point c"],
    tried: Int[Tensor, "point candidate"],
) -> SurfacePoints:
    corner, edges, products = table
    to_query = queries[:, None] - corner[tried]
    to_b, to_c = (torch.linalg.vecdot(to_query, edge[tried]) for edge in edges)
    square = torch.linalg.vecdot(to_query, to_query)
    v, w, distance = _closest_weights(*products[tried].unbind(-1), to_b, to_c, square)
    best = distance.argmin(1, keepdim=True)
    v, w = v.gather(1, best)[:, 0], w.gather(1, best)[:, 0]
    return tried.gather(1, best)[:, 0], torch.stack([1 - v - w, v, w], -1)


def closest_on_triangle(
    p: Float[Tensor, "... c"], a: Float[Tensor, "... c"], b: Float[Tensor, "... c"], c: Float[Tensor, "... c"]
) -> Float[Tensor, "... 3"]:
    """Barycentric coordinates of the point of triangle abc closest to p (Ericson, Real-Time Collision Detection,
    5.1.5).

    The plane's answer where it lies inside, else the best of the three edges; degenerate triangles fall to an edge.
    """
    _, (ab, ac), products = _triangle_table(torch.stack(torch.broadcast_tensors(a, b, c), -2))
    ap = p - a
    dots = torch.linalg.vecdot(ap, ab), torch.linalg.vecdot(ap, ac), torch.linalg.vecdot(ap, ap)
    v, w, _ = _closest_weights(*products.unbind(-1), *dots)
    return torch.stack([1 - v - w, v, w], -1)


def _triangle_table(corners: Float[Tensor, "*batch corner=3 c"]) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """First corner a; edges ab and ac; their products ab.ab, ab.ac, ac.ac."""
    a, b, c = corners.unbind(-2)
    ab, ac = b - a, c - a
    products = [torch.linalg.vecdot(x, y) for x, y in ((ab, ab), (ab, ac), (ac, ac))]
    return a, (ab, ac), torch.stack(products, -1)


def _closest_weights(
    bb: Tensor, bc: Tensor, cc: Tensor, pb: Tensor, pc: Tensor, pp: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of b and c, and the squared distance: all of it from products of the vectors from corner a.

    With coordinates this would be matrices of candidates; as numbers it is several times faster.
    """
    det = bb * cc - bc * bc
    scale = 1 / det.clamp_min(1e-20)
    v, w = (cc * pb - bc * pc) * scale, (bb * pc - bc * pb) * scale
    inside = (v >= 0) & (w >= 0) & (v + w <= 1) & (det > 1e-20)
    plane = pp - v * pb - w * pc

    # the three edges: from a to b, from a to c, from b to c
    ee, pe = bb - 2 * bc + cc, pc - pb - bc + bb
    s_ab = (pb / bb.clamp_min(1e-20)).clamp(0, 1)
    s_ac = (pc / cc.clamp_min(1e-20)).clamp(0, 1)
    s_bc = (pe / ee.clamp_min(1e-20)).clamp(0, 1)
    ab = pp - s_ab * (2 * pb - s_ab * bb)
    ac = pp - s_ac * (2 * pc - s_ac * cc)
    bc = pp - 2 * pb + bb - s_bc * (2 * pe - s_bc * ee)
    edge = torch.minimum(torch.minimum(ab, ac), bc)
    on_ab, on_ac = ab <= edge, (ac <= edge) & (ab > edge)
    zero = torch.zeros_like(s_ab)
    edge_v = torch.where(on_ab, s_ab, torch.where(on_ac, zero, 1 - s_bc))
    edge_w = torch.where(on_ab, zero, torch.where(on_ac, s_ac, s_bc))
    return torch.where(inside, v, edge_v), torch.where(inside, w, edge_w), torch.where(inside, plane, edge)


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
    triangle: Int[Tensor, "*point"],
    barycentric: Float[Tensor, "*point 3"],
) -> Float[Tensor, "*point c"]:
    return (values[triangles[triangle]] * barycentric[..., None]).sum(-2)
