"""What the shells about a body share: their mesh, the plane that a photo's outlines are measured on, rigid moves."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from bodymap.types import Camera


def unprojected(
    camera: Camera, origin: Float[np.ndarray, " xyz=3"], frame: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "height width 2"]:
    """Metres right of and below ``origin``, of every pixel on the plane through it that faces the camera.

    Args:
        frame: rows right in the picture, away from the camera, down: unit, of the camera's space.
    """
    rows, columns = np.indices(camera.size)
    pixel = np.stack([columns + 0.5, rows + 0.5, np.ones(camera.size)], -1)
    ray = pixel @ np.linalg.inv(camera.intrinsics.astype(float)).T
    normal = np.cross(frame[0], frame[2])
    point = ray * ((origin @ normal) / (ray @ normal))[..., None]
    return (point - origin) @ frame[[0, 2]].T


def rigid(
    before: Float[np.ndarray, "point xyz=3"], after: Float[np.ndarray, "point xyz=3"]
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " xyz=3"]]:
    """Rotation and move that carry the points over best (Kabsch 1976): after = before @ rotation.T + move."""
    a, b = before.mean(0), after.mean(0)
    u, _, v = np.linalg.svd((before - a).T @ (after - b))
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ v))])
    rotation = (u @ flip @ v).T
    return rotation, b - a @ rotation.T


def tube_mesh(levels: int, around: int) -> tuple[Int[np.ndarray, "face 3"], Float[np.ndarray, "point 2"]]:
    """The mesh of levels that go once round each, the last of their ``around`` + 1 columns on the first.

    Returns:
        triangles, and for each vertex row and column of the tube's picture, in [0, 1].
    """
    row, column = np.meshgrid(np.arange(levels - 1), np.arange(around), indexing="ij")
    a = row * (around + 1) + column
    b, c, d = a + 1, a + around + 1, a + around + 2
    faces = np.stack([np.stack([a, b, c], -1), np.stack([b, d, c], -1)]).reshape(-1, 3)
    grid = np.meshgrid(np.linspace(0, 1, levels), np.linspace(0, 1, around + 1), indexing="ij")
    return faces, np.stack(grid, -1).reshape(-1, 2)
