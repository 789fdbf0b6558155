"""From local joint rotations to posed vertices: forward kinematics and linear blend skinning."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Posed:
    """A skeleton in a pose.

    Attributes:
        rotation: (J, 3, 3) global rotations, identity at rest.
        position: (J, 3) joints, metres.
        transform: (J, 3, 4) takes rest points of a bone to posed points.
        heads: (J, 3) joints at rest.
    """

    rotation: Float[np.ndarray, "bone 3 3"]
    position: Float[np.ndarray, "bone xyz=3"]
    transform: Float[np.ndarray, "bone 3 4"]
    heads: Float[np.ndarray, "bone xyz=3"]


def pose_skeleton(
    parents: tuple[int, ...], heads: Float[np.ndarray, "bone xyz=3"], local: Float[np.ndarray, "bone 3 3"]
) -> Posed:
    """Global rotation = parent's @ local; a joint keeps its rest offset from the parent in the parent's frame."""
    heads = heads.astype(np.float64)
    up = np.array(parents)
    # what takes a bone's frame to its parent's; then outwards from the root, all bones of one generation at once
    placed = np.zeros((len(parents), 4, 4))
    placed[:, :3, :3], placed[:, 3, 3] = local, 1
    placed[:, :3, 3] = heads - np.where(up[:, None] < 0, 0, heads[up])
    for bones in _generations(parents)[1:]:
        placed[bones] = placed[up[bones]] @ placed[bones]
    rotation, position = placed[:, :3, :3], placed[:, :3, 3]
    move = position - (rotation @ heads[..., None])[..., 0]
    transform = np.concatenate([rotation, move[..., None]], 2).astype(np.float32)
    return Posed(rotation.astype(np.float32), position.astype(np.float32), transform, heads.astype(np.float32))


@functools.lru_cache(maxsize=8)
def _generations(parents: tuple[int, ...]) -> tuple[Int[np.ndarray, " bone"], ...]:
    """The bones by how far they are from the root."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return tuple(np.flatnonzero(np.array(depth) == k) for k in range(max(depth) + 1))


def skin(
    vertices: Float[np.ndarray, "vertex xyz=3"],
    index: Int[np.ndarray, "vertex 6"],
    weight: Float[np.ndarray, "vertex 6"],
    transform: Float[np.ndarray, "bone 3 4"],
) -> Float[np.ndarray, "vertex xyz=3"]:
    """Linear blend skinning: each vertex moves with the weighted mean of its bones' transforms."""
    flat = transform.reshape(-1, 12)
    blend = weight[:, :1] * flat[index[:, 0]]
    for k in range(1, index.shape[1]):
        blend += weight[:, k : k + 1] * flat[index[:, k]]
    m = blend.reshape(-1, 3, 4)
    return np.einsum("nab,nb->na", m[:, :, :3], vertices) + m[:, :, 3]


def local_from_global(
    parents: tuple[int, ...], labels: tuple[str, ...], wanted: dict[str, np.ndarray]
) -> Float[np.ndarray, "bone 3 3"]:
    """Local rotations that give the named bones these global rotations; every other bone follows its parent."""
    total: list[np.ndarray] = []
    local = np.zeros((len(labels), 3, 3), np.float32)
    for j, (label, parent) in enumerate(zip(labels, parents, strict=True)):
        above = total[parent] if parent >= 0 else np.eye(3)
        total.append(wanted.get(label, above))
        local[j] = above.T @ total[j]
    return local


def rotation_vector(vector: np.ndarray) -> Float[np.ndarray, "3 3"]:
    """Rotation matrix of an axis times an angle in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return np.eye(3)
    x, y, z = np.asarray(vector, float) / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def vector_of_rotation(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " xyz=3"]:
    """Axis times angle of a rotation matrix, at angles below half a turn: the inverse of ``rotation_vector``."""
    axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    sine, cosine = np.linalg.norm(axis) / 2, (np.trace(rotation) - 1) / 2
    angle = np.arctan2(sine, cosine)
    return axis / 2 * (angle / sine if sine > 1e-9 else 1.0)


def least_rotation(a: np.ndarray, b: np.ndarray) -> Float[np.ndarray, "3 3"]:
    """The smallest rotation that takes direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    v, c = np.cross(a, b), float(a @ b)
    if c < -1 + 1e-6:  # opposite: half a turn about anything across
        axis = np.cross(a, [1.0, 0, 0] if abs(a[0]) < 0.9 else [0, 1.0, 0])
        return rotation_vector(axis / np.linalg.norm(axis) * np.pi)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / (1 + c)
