"""Triangle meshes while a person is being built: the record of one piece, cutting, smoothing, normals, joining."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.sparse import csr_array
from torch import Tensor

from bodymap.people.material import Material


@dataclass(frozen=True)
class Piece:
    """One thing of a person (its body, a shirt, a bag) in the rest pose.

    Attributes:
        name: for ``Sample.body`` and for debugging.
        layer: index into LAYER_NAMES.
        vertices: (n, 3) metres.
        triangles: (m, 3).
        uv, uv_triangles: texture coordinates, v down.
        skin_index, skin_weight: (n, 6).
        truth: (n, 3) the place on the rest *template* each vertex is bound to, metres.
        rest: (n, 3) where it lies on the default body: what procedural wrinkles and prints are functions of.
        cloth: (n, 2) metres across and along the cloth, for patterns.
        material: how it looks.
        template_triangle: (m,) the template triangle it *is* (body only), else -1.
        drape: called after skinning with (posed vertices, Posed), returns new vertices; None: skinning is all.
    """

    name: str
    layer: int
    vertices: Float[np.ndarray, "vertex xyz=3"]
    triangles: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "uvvertex uv=2"]
    uv_triangles: Int[np.ndarray, "face 3"]
    skin_index: Int[np.ndarray, "vertex 6"]
    skin_weight: Float[np.ndarray, "vertex 6"]
    truth: Float[np.ndarray, "vertex xyz=3"]
    rest: Float[np.ndarray, "vertex xyz=3"]
    cloth: Float[np.ndarray, "vertex uv=2"]
    material: Material
    template_triangle: Int[np.ndarray, " face"] | None = None
    drape: object | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Mesh:
    """All pieces of one person or thing in the rest pose, joined; what the renderer keeps on its device.

    Attributes:
        vertices, rest, truth, cloth: per vertex, as in ``Piece``.
        index, weight: up to six bones of each vertex and their shares.
        vertex_piece, piece: index into ``materials`` and ``layers`` of each vertex, each face.
        template_triangle: -1 except on bare bodies.
    """

    vertices: Float[Tensor, "vertex xyz=3"]
    index: UInt8[Tensor, "vertex bone=6"]
    weight: Float[Tensor, "vertex bone=6"]
    vertex_piece: Int[Tensor, " vertex"]
    rest: Float[Tensor, "vertex xyz=3"]
    truth: Float[Tensor, "vertex xyz=3"]
    cloth: Float[Tensor, "vertex uv=2"]
    triangles: Int[Tensor, "face 3"]
    uv: Float[Tensor, "uvvertex uv=2"]
    uv_triangles: Int[Tensor, "face 3"]
    piece: Int[Tensor, " face"]
    template_triangle: Int[Tensor, " face"]
    layers: tuple[int, ...]
    materials: tuple[Material, ...]


def join(pieces: tuple[Piece, ...]) -> Mesh:
    """One mesh of many pieces."""
    starts = np.cumsum([0, *(len(p.vertices) for p in pieces)])
    uv_starts = np.cumsum([0, *(len(p.uv) for p in pieces)])
    number = np.arange(len(pieces))

    def tensor(arrays: list[np.ndarray], kind: type) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays).astype(kind, copy=False))

    return Mesh(
        vertices=tensor([p.vertices for p in pieces], np.float32),
        index=tensor([p.skin_index for p in pieces], np.uint8),
        weight=tensor([p.skin_weight for p in pieces], np.float32),
        vertex_piece=tensor([np.repeat(number, np.diff(starts))], np.int32),
        rest=tensor([p.rest for p in pieces], np.float32),
        truth=tensor([p.truth for p in pieces], np.float32),
        cloth=tensor([p.cloth for p in pieces], np.float32),
        triangles=tensor([p.triangles + s for p, s in zip(pieces, starts, strict=False)], np.int32),
        uv=tensor([p.uv for p in pieces], np.float32),
        uv_triangles=tensor([p.uv_triangles + s for p, s in zip(pieces, uv_starts, strict=False)], np.int32),
        piece=tensor([np.repeat(number, [len(p.triangles) for p in pieces])], np.int32),
        template_triangle=tensor(
            [np.full(len(p.triangles), -1) if p.template_triangle is None else p.template_triangle for p in pieces],
            np.int32,
        ),
        layers=tuple(p.layer for p in pieces),
        materials=tuple(p.material for p in pieces),
    )


def at_all_corners(
    mask: Bool[np.ndarray, " vertex"], triangles: Int[np.ndarray, "face 3"]
) -> Bool[np.ndarray, " face"]:
    """Which triangles have all their corners in ``mask``."""
    # numpy's own reductions over rows of three take several times as long; so do its sums
    return mask[triangles[:, 0]] & mask[triangles[:, 1]] & mask[triangles[:, 2]]


def dots(a: Float[np.ndarray, "n xyz=3"], b: Float[np.ndarray, "n xyz=3"]) -> Float[np.ndarray, " n"]:
    """Dot products of rows."""
    return a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2]


def corner_sums(triangles: Int[np.ndarray, "face 3"], count: int) -> csr_array:
    """(count, face): its product with something of each face sums that at the corners, in the faces' order."""
    flat = np.ascontiguousarray(triangles).reshape(-1)
    order = np.argsort(flat, kind="stable")
    starts = np.concatenate([[0], np.bincount(flat, minlength=count).cumsum()])
    return csr_array((np.ones(len(flat)), order // 3, starts), shape=(count, len(triangles)))


def corner_normals(
    vertices: Float[np.ndarray, "vertex xyz=3"], triangles: Int[np.ndarray, "face 3"], sums: csr_array | None = None
) -> Float[np.ndarray, "vertex xyz=3"]:
    """Area-weighted unit vertex normals; ``sums``: the triangles' ``corner_sums``, kept from an earlier call."""
    sums = corner_sums(triangles, len(vertices)) if sums is None else sums
    # coordinates first, and no np.cross: a few times as fast
    a, b, c = (np.take(np.ascontiguousarray(vertices.T), triangles[:, k], axis=1) for k in range(3))
    (ux, uy, uz), (vx, vy, vz) = b - a, c - a
    out = sums @ np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], 1).astype(float)
    return (out / np.maximum(np.sqrt(dots(out, out)), 1e-12)[:, None]).astype(np.float32)


def neighbour_table(triangles: Int[np.ndarray, "face 3"], count: int, width: int = 8) -> Int[np.ndarray, "vertex k"]:
    """(count, width) vertices joined by an edge, padded with the vertex itself."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    start = np.searchsorted(edges[:, 0], np.arange(count))
    degree = np.searchsorted(edges[:, 0], np.arange(count), side="right") - start
    slot = np.arange(width)[None]
    index = np.minimum(start[:, None] + slot, len(edges) - 1)
    return np.where(slot < degree[:, None], edges[index, 1], np.arange(count)[:, None])


def smooth(
    values: Float[np.ndarray, "vertex c"],
    neighbours: Int[np.ndarray, "vertex k"],
    steps: int,
    mask: np.ndarray | None = None,
) -> Float[np.ndarray, "vertex c"]:
    """Repeated averaging with the neighbours (padding counts as the vertex itself); outside ``mask`` nothing moves."""
    values = values.astype(np.float32)  # a copy
    moving = np.arange(len(values)) if mask is None else np.flatnonzero(mask)
    around = neighbours[moving]
    rows, width = around.shape
    ones = np.ones(around.size, np.float32)
    sums = csr_array((ones, around.reshape(-1), np.arange(rows + 1) * width), shape=(rows, len(values)))
    for _ in range(steps):
        values[moving] = (sums @ values) / width
    return values


def components(triangles: Int[np.ndarray, "face 3"], count: int) -> Int[np.ndarray, " vertex"]:
    """A label per vertex: vertices joined by triangles share it (the smallest vertex id of the component)."""
    label = np.arange(count)
    while True:
        low = label[triangles].min(1)
        new = label.copy()
        for k in range(3):
            np.minimum.at(new, triangles[:, k], low)
        new = new[new]
        if (new == label).all():
            return label
        label = new


def open_edges(
    vertices: Float[np.ndarray, "vertex xyz=3"], triangles: Int[np.ndarray, "face corner=3"]
) -> Int[np.ndarray, " end"]:
    """The vertices along the edges of one triangle only: hems. Vertices at one place (to 0.1 mm) count as one."""
    _, first, weld = np.unique(
        (vertices / 1e-4).round().astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    corners = weld.reshape(-1)[triangles]
    edges, count = np.unique(
        np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0, return_counts=True
    )
    return first[np.unique(edges[count == 1])]


def used_vertices(triangles: Int[np.ndarray, "face 3"], count: int) -> Int[np.ndarray, " used"]:
    """Which of ``count`` vertices the triangles use, in order."""
    used = np.zeros(count, bool)
    used[triangles] = True
    return np.flatnonzero(used)


def compact(piece: Piece) -> Piece:
    """Drops vertices that no triangle uses."""
    used = used_vertices(piece.triangles, len(piece.vertices))
    number = np.zeros(len(piece.vertices), np.int64)
    number[used] = np.arange(len(used))
    per_vertex = ("vertices", "skin_index", "skin_weight", "truth", "rest", "cloth")
    return replace(
        piece,
        triangles=number[piece.triangles],
        **{name: getattr(piece, name)[used] for name in per_vertex},
    )


def keep_triangles(piece: Piece, keep: np.ndarray) -> Piece:
    """Only these triangles (bool mask)."""
    template = None if piece.template_triangle is None else piece.template_triangle[keep]
    return replace(
        piece, triangles=piece.triangles[keep], uv_triangles=piece.uv_triangles[keep], template_triangle=template
    )


def cut(piece: Piece, level: Float[np.ndarray, " vertex"]) -> Piece:
    """Keeps where ``level`` < 0 and cuts the triangles it crosses along the zero line, so that hems are clean.

    Not for the body itself: cut triangles lose their template triangle.
    """
    inside = level < 0
    corner_in = inside[piece.triangles]
    count = corner_in[:, 0] * 1 + corner_in[:, 1] + corner_in[:, 2]
    whole = count == 3
    new_corners: list[np.ndarray] = []  # (face, corner a, corner b) of every corner of every new triangle
    faces = np.flatnonzero(count == 1)
    if len(faces):
        a = corner_in[faces].argmax(1)
        b, c = (a + 1) % 3, (a + 2) % 3
        new_corners.append(np.stack([_pair(faces, a, a), _pair(faces, a, b), _pair(faces, a, c)], 1))
    faces = np.flatnonzero(count == 2)
    if len(faces):
        c = (~corner_in[faces]).argmax(1)  # the corner that goes
        a, b = (c + 1) % 3, (c + 2) % 3
        bc, ac = _pair(faces, b, c), _pair(faces, a, c)
        new_corners.append(np.stack([_pair(faces, a, a), _pair(faces, b, b), bc], 1))
        new_corners.append(np.stack([_pair(faces, a, a), bc, ac], 1))
    if not new_corners:
        return compact(keep_triangles(piece, whole))
    corners = np.concatenate(new_corners).reshape(-1, 3)  # (corner, [face, a, b])
    face, local_a, local_b = corners.T

    n = len(piece.vertices)
    a, b = piece.triangles[face, local_a], piece.triangles[face, local_b]
    crossing = a != b  # the other corners are old vertices and stay what they are
    i, j, point = _distinct_pairs(a[crossing], b[crossing], n)
    new_triangles = a.copy()
    new_triangles[crossing] = n + point
    t = (level[i] / np.where(level[i] == level[j], 1.0, level[i] - level[j])).astype(np.float32)[:, None]
    t = np.clip(t, 0, 1)
    blended = {
        name: np.concatenate([value, value[i] * (1 - t) + value[j] * t]).astype(np.float32)
        for name in ("vertices", "truth", "rest", "cloth")
        for value in [getattr(piece, name)]
    }
    index, weight = blend_weights(
        piece.skin_index[i], piece.skin_weight[i] * (1 - t), piece.skin_index[j], piece.skin_weight[j] * t
    )
    # the same cut in the UV buffer; a seam gives the same point two uv vertices
    uv_a, uv_b = piece.uv_triangles[face, local_a], piece.uv_triangles[face, local_b]
    ui, uj, point = _distinct_pairs(uv_a, uv_b, len(piece.uv))
    new_uv_triangles = np.where(uv_a == uv_b, uv_a, len(piece.uv) + point)
    la, lb = level[a], level[b]
    corner_t = np.where(crossing, la / np.where(la == lb, 1.0, la - lb), 0.0)
    uv_t = np.zeros(len(ui))
    uv_t[point] = np.where(uv_a > uv_b, 1 - corner_t, corner_t)
    uv_t = np.where(ui == uj, 0, uv_t)[:, None]
    uv = np.concatenate([piece.uv, piece.uv[ui] * (1 - uv_t) + piece.uv[uj] * uv_t]).astype(np.float32)
    result = replace(
        piece,
        triangles=np.concatenate([piece.triangles[whole], new_triangles.reshape(-1, 3)]),
        uv=uv,
        uv_triangles=np.concatenate([piece.uv_triangles[whole], new_uv_triangles.reshape(-1, 3)]),
        skin_index=np.concatenate([piece.skin_index, index]),
        skin_weight=np.concatenate([piece.skin_weight, weight]),
        template_triangle=None,
        **blended,
    )
    return compact(result)


def _pair(faces: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([faces, a, b], 1)


def _distinct_pairs(i: np.ndarray, j: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct unordered pairs of numbers below n, in order (lower ones, higher ones), and which each one is."""
    # pairs as one number: rows would be compared as strings of bytes
    pairs = np.minimum(i, j).astype(np.int64) * n + np.maximum(i, j)
    key, which = np.unique(pairs, return_inverse=True)
    return key // n, key % n, which.reshape(-1)


def blend_weights(
    index_a: np.ndarray, weight_a: np.ndarray, index_b: np.ndarray, weight_b: np.ndarray, keep: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Sums two sparse skin weight rows and keeps the largest, normalised."""
    index = np.concatenate([index_a, index_b], 1)
    weight = np.concatenate([weight_a, weight_b], 1).astype(np.float32)
    # the same bone may stand in both halves: collect its weight at its first place
    same = index[:, :, None] == index[:, None, :]
    first = same.argmax(2) == np.arange(index.shape[1])[None]
    total = np.where(first, (same * weight[:, None, :]).sum(2), 0)
    order = np.argsort(-total, axis=1, kind="stable")[:, :keep]
    weight = np.take_along_axis(total, order, 1)
    return np.take_along_axis(index, order, 1), (weight / np.maximum(weight.sum(1, keepdims=True), 1e-9)).astype(
        np.float32
    )
