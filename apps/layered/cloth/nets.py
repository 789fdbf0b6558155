"""From a distance field on a grid to an even triangle mesh of simulation quality: surface nets, clean hems, relaxation.

Surface nets (Gibson 1998): one vertex in every cell that the surface crosses, one quad for every grid edge it crosses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import map_coordinates

from bodymap.people.mesh import corner_normals, neighbour_table

Mesh = tuple[Float[np.ndarray, "vertex xyz=3"], Int[np.ndarray, "face 3"]]


@dataclass(frozen=True)
class Grid:
    """``values[i, j, k]`` at origin + step * (i, j, k), metres."""

    values: Float[np.ndarray, "x y z"]
    origin: Float[np.ndarray, " xyz=3"]
    step: float

    def at(self, positions: Float[np.ndarray, "point xyz=3"]) -> Float[np.ndarray, " point"]:
        """Trilinear; outside the grid its edge is repeated."""
        return map_coordinates(self.values, ((positions - self.origin) / self.step).T, order=1, mode="nearest")

    def gradient(self, positions: Float[np.ndarray, "point xyz=3"]) -> Float[np.ndarray, "point xyz=3"]:
        h = self.step / 2
        shifts = np.eye(3) * h
        return np.stack([(self.at(positions + s) - self.at(positions - s)) / (2 * h) for s in shifts], 1)

    def onto(self, positions: Float[np.ndarray, "point xyz=3"], steps: int = 3) -> Float[np.ndarray, "point xyz=3"]:
        """Moved to the zero level by Newton steps along the gradient, half a cell at most each."""
        for _ in range(steps):
            slope = self.gradient(positions)
            move = self.at(positions) / np.maximum((slope**2).sum(1), 0.05)
            move = np.clip(move, -0.5 * self.step, 0.5 * self.step)
            positions = positions - move[:, None] * slope
        return positions


def surface_net(grid: Grid) -> Mesh:
    """The zero level as triangles, outside where values are positive."""
    inside = grid.values < 0
    corner = [np.array(c) for c in np.ndindex(2, 2, 2)]
    n = np.array(inside.shape) - 1
    total, count = np.zeros((*n, 3)), np.zeros(n)
    for a in corner:
        for axis in range(3):
            if a[axis]:
                continue
            b = a + np.eye(3, dtype=int)[axis]
            va, vb = (grid.values[tuple(slice(s, s + m) for s, m in zip(x, n, strict=True))] for x in (a, b))
            crosses = (va < 0) != (vb < 0)
            share = np.where(crosses, va / np.where(va == vb, 1, va - vb), 0)
            point = a + share[..., None] * (b - a)
            total += np.where(crosses[..., None], point, 0)
            count += crosses
    cells = np.argwhere(count > 0)
    number = np.full(n, -1)
    number[tuple(cells.T)] = np.arange(len(cells))
    where = tuple(cells.T)
    vertices = grid.origin + grid.step * (cells + total[where] / count[where][:, None])

    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        low = inside[tuple(slice(None, -1) if k == axis else slice(None) for k in range(3))]
        high = inside[tuple(slice(1, None) if k == axis else slice(None) for k in range(3))]
        edge = np.argwhere(low != high)
        edge = edge[(edge[:, u] > 0) & (edge[:, v] > 0) & (edge[:, u] < n[u]) & (edge[:, v] < n[v])]
        eu, ev = np.eye(3, dtype=int)[u], np.eye(3, dtype=int)[v]
        around = np.stack([number[tuple((edge - s).T)] for s in (eu + ev, ev, 0 * eu, eu)], 1)
        outward = low[tuple(edge.T)]
        quads.append(np.where(outward[:, None], around, around[:, ::-1]))
    q = np.concatenate(quads)
    q = q[(q >= 0).all(1)]
    # cut along the shorter diagonal
    first = np.linalg.norm(vertices[q[:, 0]] - vertices[q[:, 2]], axis=1)
    second = np.linalg.norm(vertices[q[:, 1]] - vertices[q[:, 3]], axis=1)
    q = np.where((first <= second)[:, None], q, q[:, [1, 2, 3, 0]])
    return vertices, np.concatenate([q[:, [0, 1, 2]], q[:, [0, 2, 3]]])


def cut_and_relax(mesh: Mesh, grid: Grid, level: Callable[[np.ndarray], np.ndarray], rounds: int = 12) -> Mesh:
    """What lies where ``level`` > 0 (metres), its hems drawn onto the zero line and its triangles evened out.

    ``level`` must grow about a metre a metre towards the inside near its zero.
    """
    vertices, triangles = mesh
    triangles = largest(triangles[level(vertices[triangles].mean(1)) > 0])
    for _ in range(3):  # corners that hang on by one edge
        hems = hem_edges(triangles)
        loose = np.isin(_edge_keys(triangles), _keys(hems)).sum(1) > 1
        if not loose.any():
            break
        triangles = largest(triangles[~loose])
    used, flat = np.unique(triangles, return_inverse=True)
    vertices, triangles = vertices[used], flat.reshape(-1, 3)

    hems = hem_edges(triangles)
    rim = np.unique(hems)
    table = neighbour_table(triangles, len(vertices), width=10)
    is_rim = np.zeros(len(vertices), bool)
    is_rim[rim] = True
    beside = [[] for _ in range(len(vertices))]
    for i, j in hems:
        beside[i].append(j)
        beside[j].append(i)
    along = np.array([[beside[i][0], beside[i][-1]] for i in rim])
    for _ in range(rounds):
        normal = corner_normals(vertices, triangles)
        move = vertices[table].mean(1) - vertices
        move[rim] = vertices[along].mean(1) - vertices[rim]
        move -= normal * (move * normal).sum(1, keepdims=True)
        vertices = grid.onto(vertices + 0.5 * move, 1)
        for _ in range(2):
            vertices[rim] = _onto_level(vertices[rim], level, grid.step)
            vertices[rim] = grid.onto(vertices[rim], 1)
    vertices[rim] = _onto_level(vertices[rim], level, grid.step)
    return vertices, triangles


def _onto_level(positions: np.ndarray, level: Callable[[np.ndarray], np.ndarray], step: float) -> np.ndarray:
    h = 0.1 * step
    slope = np.stack([(level(positions + s) - level(positions - s)) / (2 * h) for s in np.eye(3) * h], 1)
    move = level(positions) / np.maximum((slope**2).sum(1), 0.2)
    return positions - np.clip(move, -0.5 * step, 0.5 * step)[:, None] * slope


def hem_edges(triangles: Int[np.ndarray, "face 3"]) -> Int[np.ndarray, "edge 2"]:
    """Edges of one triangle only."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    return edges[count == 1]


def _keys(edges: np.ndarray) -> np.ndarray:
    return edges[..., 0].astype(np.int64) << 32 | edges[..., 1]


def _edge_keys(triangles: np.ndarray) -> Int[np.ndarray, "face 3"]:
    return _keys(np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=2))


def largest(triangles: Int[np.ndarray, "face 3"]) -> Int[np.ndarray, "face 3"]:
    """The largest part whose triangles are joined by edges."""
    import scipy.sparse as sparse

    keys = _edge_keys(triangles).reshape(-1)
    face = np.repeat(np.arange(len(triangles)), 3)
    order = np.argsort(keys, kind="stable")
    keys, face = keys[order], face[order]
    same = np.flatnonzero(keys[1:] == keys[:-1])
    n = len(triangles)
    graph = sparse.coo_matrix((np.ones(len(same)), (face[same], face[same + 1])), (n, n))
    label = sparse.csgraph.connected_components(graph, directed=False)[1]
    return triangles[label == np.bincount(label).argmax()]
