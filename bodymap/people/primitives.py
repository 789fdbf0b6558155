"""Simple solids: rounded boxes, balls, tubes, turned shapes; bags, furniture and toys are put together from them."""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float, Int

from bodymap.people.limbs import cross
from bodymap.people.material import Material
from bodymap.people.mesh import Piece

Solid = tuple[Float[np.ndarray, "vertex xyz=3"], Int[np.ndarray, "face 3"]]


def rounded(half: tuple[float, float, float], roundness: float = 1.0, columns: int = 20, rows: int = 12) -> Solid:
    """A superellipsoid with these half sizes around the origin: roundness 1 is an ellipsoid, towards 0 a box."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rows)
    longitude = np.linspace(0, 2 * np.pi, columns, endpoint=False) + np.pi / columns

    def power(value: np.ndarray) -> np.ndarray:
        return np.sign(value) * np.abs(value) ** roundness

    vertices = np.empty((rows, columns, 3))
    wide = power(np.cos(latitude))[:, None]
    vertices[..., 0], vertices[..., 1] = wide * power(np.cos(longitude)), wide * power(np.sin(longitude))
    vertices[..., 2] = power(np.sin(latitude))[:, None]
    return (vertices.reshape(-1, 3) * np.array(half)).astype(np.float32), _grid_triangles(rows, columns)


def tube(
    path: Float[np.ndarray, "point xyz=3"],
    radius: float | Float[np.ndarray, " point"],
    columns: int = 8,
    closed: bool = False,
) -> Solid:
    """A tube along a path of points, rounded off at its ends; ``closed``: the last point joins the first.

    Args:
        radius: metres, one for all or one a point.
    """
    path = np.asarray(path, float)
    radius = np.broadcast_to(np.asarray(radius, float), len(path))
    if closed:
        path, radius = np.concatenate([path, path[:1]]), np.append(radius, radius[0])
    else:  # rings of no width close the ends
        path = np.concatenate([path[:1], path, path[-1:]])
        radius = np.concatenate([[0.0], radius, [0.0]])
    along = path[2:] - path[:-2]
    first, last = (path[1] - path[-2],) * 2 if closed else (path[2] - path[1], path[-2] - path[-3])
    along = np.concatenate([[first], along, [last]])
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    # across the plane that the path (nearly) lies in, so that no ring is twisted against the next
    normal = np.linalg.eigh(along.T @ along)[1][:, 0]
    side = cross(along, normal)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    other = cross(along, side)
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    ring = np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * other[:, None]
    vertices = (path[:, None] + radius[:, None, None] * ring).reshape(-1, 3)
    return vertices.astype(np.float32), _grid_triangles(len(path), columns)


def rod(start, end, radius: float | tuple[float, float], columns: int = 8) -> Solid:
    """A straight tube between two points; two radii: a tapering one."""
    first, last = (radius, radius) if isinstance(radius, int | float) else radius
    path = np.linspace(np.asarray(start, float), np.asarray(end, float), 3)
    return tube(path, np.linspace(first, last, 3), columns)


def lathe(profile: Float[np.ndarray, "point rz=2"], columns: int = 14) -> Solid:
    """Turned about z: a profile of (radius, height), metres, from bottom to top."""
    profile = np.asarray(profile, float)
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    flat = profile[:, None, :1] * ring[None]
    height = np.broadcast_to(profile[:, None, 1:], (*flat.shape[:2], 1))
    vertices = np.concatenate([flat, height], 2).reshape(-1, 3)
    return vertices.astype(np.float32), _grid_triangles(len(profile), columns)


def sheet(points: Float[np.ndarray, "row column xyz=3"]) -> Solid:
    """A surface through a grid of points."""
    rows, columns = points.shape[:2]
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    triangles = np.concatenate(
        [np.stack([a, a + 1, a + columns], 1), np.stack([a + 1, a + columns + 1, a + columns], 1)]
    )
    return np.asarray(points, np.float32).reshape(-1, 3), triangles


def disc(rim: Float[np.ndarray, "point xyz=3"]) -> Solid:
    """A flat fan inside a closed rim."""
    rim = np.asarray(rim, np.float32)
    n = np.arange(len(rim))
    fan = np.stack([np.full(len(rim), len(rim)), n, np.roll(n, -1)], 1)
    return np.concatenate([rim, rim.mean(0, keepdims=True)]), fan


def box(half: tuple[float, float, float], rows: int = 2) -> Solid:
    """A sharp-edged box around the origin; each side has its own corners, so that its edges shade sharply."""
    t = np.linspace(-1, 1, rows)
    u, v = np.meshgrid(t, t)
    sides = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            points = np.zeros((rows, rows, 3))
            points[..., axis] = sign
            points[..., (axis + 1) % 3], points[..., (axis + 2) % 3] = u, v * sign
            sides.append(sheet(points * np.array(half)))
    return merge(*sides)


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


def as_piece(
    solid: Solid,
    name: str,
    layer: int,
    material: Material,
    truth: np.ndarray | None = None,
    uv: Float[np.ndarray, "vertex uv=2"] | None = None,
) -> Piece:
    """A rigid piece without bones; printed over by its own coordinates. ``uv``: where its texture is looked up."""
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
        uv=cloth if uv is None else uv.astype(np.float32),
        uv_triangles=triangles.astype(np.int64),
        skin_index=np.zeros((count, 6), np.int64),
        skin_weight=weight,
        truth=np.zeros((count, 3), np.float32) if truth is None else truth,
        rest=vertices.astype(np.float32),
        cloth=cloth,
        material=material,
    )


@functools.cache
def _grid_triangles(rows: int, columns: int) -> Int[np.ndarray, "face 3"]:
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
