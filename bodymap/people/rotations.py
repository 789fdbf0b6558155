"""Quaternions (w, x, y, z) and rotation matrices, as plain numpy."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def matrix_from_quaternion(q: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 3 3"]:
    """Rotation matrices of quaternions (w, x, y, z); they need not be unit."""
    q = np.asarray(q, np.float32)
    w, x, y, z = np.moveaxis(q / np.maximum(np.linalg.norm(q, axis=-1, keepdims=True), 1e-12), -1, 0)
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
        ],
        -2,
    )


def quaternion_from_matrix(matrix: Float[np.ndarray, "*batch 3 3"]) -> Float[np.ndarray, "*batch 4"]:
    """Unit quaternions (w, x, y, z), w >= 0, of rotation matrices: the best conditioned of Shepperd's four formulas."""
    m = np.asarray(matrix, np.float64)
    d = np.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], -1)
    trace = d.sum(-1, keepdims=True)
    # four times the squares of w, x, y, z; then the row of products with the largest of them
    squares = np.concatenate([1 + trace, 1 + 2 * d - trace], -1)
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    s = [squares[..., k] for k in range(4)]
    rows = np.stack(
        [
            np.stack([s[0], wx, wy, wz], -1),
            np.stack([wx, s[1], xy, xz], -1),
            np.stack([wy, xy, s[2], yz], -1),
            np.stack([wz, xz, yz, s[3]], -1),
        ],
        -2,
    )
    best = squares.argmax(-1)[..., None, None]
    q = np.take_along_axis(rows, np.broadcast_to(best, (*best.shape[:-2], 1, 4)), -2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q).astype(np.float32)
