"""Simple solids: rounded boxes, balls, tubes; bags, furniture and toys are put together from them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from bodymap.people.material import Material
from bodymap.people.mesh import Piece

Solid = tuple[Float[np.ndarray, "vertex xyz=3"], Int[np.ndarray, "face 3"]]


def rounded(half: tuple[float, float, float], roundness: float = 1.0, columns: int = 20, rows: int = 12) -> Solid:
    """A superellipsoid with these half sizes around the origin: roundness 1 is an ellipsoid, towards 0 a box."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rows)
    longitude = np.linspace(0, 2 * np.pi, columns, endpoint=False) + np.pi / columns

    def power(value: np.ndarray) -> np.ndarray:
        return np.sign(value) * np.abs(value) ** roundness

    lon, lat = np.meshgrid(longitude, latitude)
    vertices = np.stack(
        [power(np.cos(lat)) * power(np.cos(lon)), power(np.cos(lat)) * power(np.sin(lon)), power(np.sin(lat))], -1
    ).reshape(-1, 3) * np.array(half)
    return vertices.astype(np.float32), _grid_triangles(rows, columns)


def tube(path: Float[np.ndarray, "point xyz=3"], radius: float, columns: int = 8) -> Solid:
    """A tube along a path of points."""
    path = np.asarray(path, float)
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    side = np.cross(along, [0.31, 0.52, 0.79])
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    other = np.cross(along, side)
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    ring = np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * other[:, None]
    vertices = (path[:, None] + radius * ring).reshape(-1, 3)
    return vertices.astype(np.float32), _grid_triangles(len(path), columns)


def merge(*solids: Solid) -> Solid:
    """Several solids as one."""
    start = np.cumsum([0, *(len(v) for v, _ in solids)])
    return np.concatenate([v for v, _ in solids]), np.concatenate(
        [t + s for (_, t), s in zip(solids, start, strict=False)]
    )


def moved(solid: Solid, offset, rotation: np.ndarray | None = None) -> Solid:
    """Rotated, then shifted."""
    vertices = solid[0] if rotation is None else solid[0] @ np.asarray(rotation).T
    return (vertices + np.asarray(offset)).astype(np.float32), solid[1]


def as_piece(solid: Solid, name: str, layer: int, material: Material, truth: np.ndarray | None = None) -> Piece:
    """A rigid piece without bones; printed over by its own coordinates."""
    vertices, triangles = solid
    count = len(vertices)
    cloth = np.stack([vertices[:, 0] + 0.7 * vertices[:, 1], -vertices[:, 2]], 1).astype(np.float32)
    weight = np.zeros((count, 6), np.float32)
    weight[:, 0] = 1
    return Piece(
        name=name,
        layer=layer,
        vertices=vertices.astype(np.float32),
        triangles=triangles.astype(np.int64),
        uv=cloth,
        uv_triangles=triangles.astype(np.int64),
        skin_index=np.zeros((count, 6), np.int64),
        skin_weight=weight,
        truth=np.zeros((count, 3), np.float32) if truth is None else truth,
        rest=vertices.astype(np.float32),
        cloth=cloth,
        material=material,
    )


def _grid_triangles(rows: int, columns: int) -> Int[np.ndarray, "face 3"]:
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
