"""The SMPL body as a plain triangle mesh: read, brought into the chart table's order, closest points, geodesics."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from bodymap.errors import UserError
from bodymap.surface.points import closest_on_triangle

# (triangle, barycentric)
MeshPoints = tuple[Int[np.ndarray, " point"], Float[np.ndarray, "point 3"]]

_BLOCK = 1 << 12  # queries at a time: small enough for the cache


class ClosestPoints:
    """Finds the closest point of a mesh in any number of dimensions: nearest vertices, then the triangles around."""

    def __init__(self, places: Float[np.ndarray, "vertex c"], triangles: Int[np.ndarray, "face 3"]):
        from scipy.spatial import cKDTree

        self.places, self.triangles = np.asarray(places, float), triangles
        self._used = np.unique(triangles)
        self._tree = cKDTree(self.places[self._used])
        self._around = _incident(triangles, len(places))

    def __call__(self, queries: Float[np.ndarray, "point c"], neighbours: int = 3) -> MeshPoints:
        """(triangle, barycentric) of the closest point to each query."""
        face, weight = np.zeros(len(queries), np.int64), np.zeros((len(queries), 3))
        corners = torch.from_numpy(self.places[self.triangles])
        for start in range(0, len(queries), _BLOCK):
            block = slice(start, start + _BLOCK)
            near = self._tree.query(queries[block], k=np.arange(1, min(neighbours, len(self._used)) + 1))[1]
            candidates = self._around[self._used[near]].reshape(len(near), -1)
            q = torch.from_numpy(np.asarray(queries[block], float))[:, None]
            tried = closest_on_triangle(q, *corners[candidates].unbind(-2))
            gap = ((tried[..., None] * corners[candidates]).sum(-2) - q).square().sum(-1)
            best = gap.argmin(1).numpy()
            row = np.arange(len(best))
            face[block], weight[block] = candidates[row, best], tried.numpy()[row, best]
        return face, weight


class BodyMesh:
    """A closed triangle mesh in metres."""

    def __init__(self, vertices: Float[np.ndarray, "vertex xyz=3"], triangles: Int[np.ndarray, "face 3"]):
        self.vertices, self.triangles = np.asarray(vertices, float), np.asarray(triangles, np.int64)

    @cached_property
    def closest(self) -> ClosestPoints:
        return ClosestPoints(self.vertices, self.triangles)

    def position(self, points: MeshPoints) -> Float[np.ndarray, "point xyz=3"]:
        """Metres."""
        return (self.vertices[self.triangles[points[0]]] * points[1][..., None]).sum(1)

    @cached_property
    def geodesics(self) -> Geodesics:
        return Geodesics(self)


class Geodesics:
    """Geodesic distances on a mesh, computed from each vertex when it is first asked for and then kept.

    d(a, b) = |a - b| + the excess of the geodesics over the straight lines between their triangles' corners, weighted
    by their barycentrics: within a triangle the straight line, at corners Dijkstra's distance on the graph of edges
    and unfolded diagonals (1.3 to 1.6 % too long on average). At most four bytes a pair of vertices: 190 MB for SMPL.
    """

    def __init__(self, mesh: BodyMesh):
        from bodymap.surface.make_template import surface_graph

        self._mesh = mesh
        self._graph = surface_graph(mesh.vertices, mesh.triangles)
        self._row = np.full(len(mesh.vertices), -1)
        self._rows = np.zeros((0, len(mesh.vertices)), np.float32)

    def from_vertices(self, sources: Int[np.ndarray, " source"]) -> Float[np.ndarray, "source vertex"]:
        """Metres from each source vertex to every vertex; inf to other components."""
        from scipy.sparse.csgraph import dijkstra

        new = np.unique(sources[self._row[sources] < 0])
        if len(new):
            self._row[new] = len(self._rows) + np.arange(len(new))
            found = dijkstra(self._graph, indices=new).astype(np.float32)
            self._rows = np.concatenate([self._rows, found])
        return self._rows[self._row[sources]]

    def between(self, a: MeshPoints, b: MeshPoints) -> Float[np.ndarray, " point"]:
        """Metres from a[i] to b[i]."""
        v = self._mesh.vertices
        corner_a, corner_b = (self._mesh.triangles[points[0]] for points in (a, b))
        sources, index = np.unique(corner_a, return_inverse=True)
        rows = self.from_vertices(sources)
        table = rows[index.reshape(-1, 3)[:, :, None], corner_b[:, None, :]]
        straight = np.linalg.norm(v[corner_a][:, :, None] - v[corner_b][:, None, :], axis=-1)
        excess = np.maximum(table - straight, 0) * a[1][:, :, None] * b[1][:, None, :]
        return np.linalg.norm(self._mesh.position(a) - self._mesh.position(b), axis=-1) + excess.sum((1, 2))


def read_obj(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) float and triangles (m, 3) of a Wavefront .obj; textures and normals are passed over.

    Raises:
        UserError: missing, no triangles, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no mesh at {path}; give SMPL's mean body as an .obj file.")
    vertices, triangles = [], []
    try:
        for line in path.read_text("utf-8", "replace").splitlines():
            words = line.split()
            if words[:1] == ["v"]:
                vertices.append([float(word) for word in words[1:4]])
            elif words[:1] == ["f"]:
                triangles.append([int(word.split("/")[0]) - 1 for word in words[1:]])
        v, f = np.array(vertices, float).reshape(-1, 3), np.array(triangles, np.int64).reshape(-1, 3)
        if not len(f) or not np.isfinite(v).all() or f.min() < 0 or f.max() >= len(v):
            raise ValueError("no triangles, or corners that do not exist")
    except (ValueError, OSError) as error:
        raise UserError(f"The mesh {path} is damaged or not of triangles ({str(error)[:100]}).") from None
    return v, f


def in_order_of(
    triangles: Int[np.ndarray, "face 3"], count: int, other: Int[np.ndarray, "face 3"]
) -> Int[np.ndarray, " vertex"] | None:
    """Which vertex of the mesh ``other`` each vertex of the mesh ``triangles`` is, from how they are connected alone.

    Published copies of SMPL's body often have its vertices renumbered. Both meshes must hang together and have the
    same orientation (of a symmetric mesh turned inside out this gives the mirror image); ``triangles`` may lack a
    few. A walk over triangles from one matching edge settles everything; edges at vertices of the rarest valence are
    tried.

    Returns:
        For each of the ``count`` vertices its number in the other mesh; None if they are not the same mesh.
    """
    if other.max() + 1 != count:
        return None
    own_valence, valence = np.bincount(triangles.reshape(-1), minlength=count), np.bincount(other.reshape(-1))
    apex, other_apex = _apexes(triangles), _apexes(other)
    common = sorted(set(own_valence) & set(valence), key=lambda k: (own_valence == k).sum() + (valence == k).sum())
    for k in common[:3]:
        start = np.flatnonzero(own_valence == k)[0]
        edge = next((e for e in apex if e[0] == start), None)
        for goal in np.flatnonzero(valence == k):
            for other_edge in (e for e in other_apex if e[0] == goal):
                if edge and (found := _walk(apex, edge, other_apex, other_edge, count)) is not None:
                    return found
    return None


def _apexes(triangles: np.ndarray) -> dict[tuple[int, int], int]:
    """The third corner of the triangle on the left of each directed edge."""
    return {(t[i], t[(i + 1) % 3]): t[(i + 2) % 3] for t in triangles.tolist() for i in range(3)}


def _walk(apex: dict, edge: tuple, other_apex: dict, other_edge: tuple, count: int) -> np.ndarray | None:
    """Carries one matching edge over the whole mesh; None at the first contradiction."""
    found = {edge[0]: other_edge[0], edge[1]: other_edge[1]}
    queue, seen = [edge], {edge}
    while queue:
        a, b = queue.pop()
        if (c := apex.get((a, b))) is not None:
            d = other_apex.get((found[a], found[b]))
            if d is None or found.setdefault(c, d) != d:
                return None
            reached = ((b, c), (c, a), (b, a), (c, b), (a, c))
        else:  # a triangle is missing here
            reached = ((b, a),)
        for e in reached:
            if e not in seen:
                seen.add(e)
                queue.append(e)
    out = np.array([found.get(i, -1) for i in range(count)])
    return out if len(found) == count and len(set(found.values())) == count else None


def _incident(triangles: np.ndarray, count: int) -> Int[np.ndarray, "vertex incident"]:
    """The triangles around each vertex, padded by repeating the first; 0 where there is none."""
    vertex = triangles.reshape(-1)
    order = np.argsort(vertex, kind="stable")
    face = order // 3
    number = np.bincount(vertex, minlength=count)
    start = np.cumsum(number) - number
    slot = np.arange(number.max())
    return face[(start[:, None] + np.where(slot < number[:, None], slot, 0)).clip(max=len(face) - 1)]
