"""From where hands, feet, elbows and knees should be to the rotations of the joints between: both sides at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Pair = Float[np.ndarray, "side=2 xyz=3"]


def cross(a: Float[np.ndarray, "*batch 3"], b: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """As np.cross, which is ten times slower for a few vectors."""
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    out[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    out[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    out[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out


def unit(v: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Of length 1 (0 stays 0)."""
    return v / np.maximum(np.sqrt((v * v).sum(-1, keepdims=True)), 1e-9)


def direction(out: float, forward: float, side: int) -> Float[np.ndarray, " xyz=3"]:
    """Unit direction of a limb: ``out`` radians to the side from straight down, ``forward`` radians towards the front.

    ``side``: +1 the person's left (+X), -1 the right; the front is -Y.
    """
    return np.array([side * np.sin(out), -np.sin(forward) * np.cos(out), -np.cos(forward) * np.cos(out)])


def two_bones(start: Pair, target: Pair, upper: float, lower: float, pole: Pair) -> tuple[Pair, Pair]:
    """Unit directions of two bones that lead from ``start`` to ``target``, or as far as they reach; the joint between
    points where ``pole`` does.

    Args:
        upper, lower: their lengths, metres.
    """
    way = target - start
    distance = np.sqrt((way * way).sum(1, keepdims=True))
    ahead = way / np.maximum(distance, 1e-9)
    # a hair short of straight: fully stretched limbs look like a puppet's
    distance = np.clip(distance, abs(upper - lower) + 0.02, 0.998 * (upper + lower))
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    across = unit(pole - (pole * ahead).sum(1, keepdims=True) * ahead)
    first = along * ahead + np.sqrt(np.maximum(upper**2 - along**2, 0)) * across
    return first / upper, (distance * ahead - first) / lower


class Rest:
    """Two bones of both sides at rest: unit directions of the upper and the lower one, and the hinge between them."""

    def __init__(self, root: Pair, joint: Pair, end: Pair, hinge: Pair):
        self.upper, self.lower = unit(joint - root), unit(end - joint)
        self.lengths = (
            float(np.linalg.norm(joint - root, axis=1).mean()),
            float(np.linalg.norm(end - joint, axis=1).mean()),
        )
        self.hinge = unit(hinge - (hinge * self.upper).sum(1, keepdims=True) * self.upper)
        low = unit(hinge - (hinge * self.lower).sum(1, keepdims=True) * self.lower)
        self.upper_axes, self.lower_axes = _axes(self.upper, self.hinge), _axes(self.lower, low)

    def rotations(
        self, parent: Float[np.ndarray, "side=2 3 3"], upper: Pair, lower: Pair
    ) -> tuple[Float[np.ndarray, "side=2 3 3"], Float[np.ndarray, "side=2 3 3"]]:
        """Global rotations that point the bones there; the joint between bends about its hinge alone.

        Args:
            parent: the global rotation of what the limb hangs on: a straight limb rolls as little as it can against it.
            upper, lower: unit directions.
        """
        bent = cross(upper, lower)
        sine = np.sqrt((bent * bent).sum(1, keepdims=True))
        start, hinge = (parent @ self.upper[..., None])[..., 0], (parent @ self.hinge[..., None])[..., 0]
        facing = 1 + (start * upper).sum(1, keepdims=True)
        straight = hinge - (hinge * upper).sum(1, keepdims=True) / np.maximum(facing, 1e-3) * (start + upper)
        sure = np.clip(sine / 0.2, 0, 1)
        axis = sure * bent / np.maximum(sine, 1e-9) + (1 - sure) * straight
        high = unit(axis - (axis * upper).sum(1, keepdims=True) * upper)
        low = unit(axis - (axis * lower).sum(1, keepdims=True) * lower)
        return _axes(upper, high) @ self.upper_axes.swapaxes(1, 2), _axes(lower, low) @ self.lower_axes.swapaxes(1, 2)


def _axes(first: Pair, second: Pair) -> Float[np.ndarray, "side=2 3 3"]:
    return np.stack([first, second, cross(first, second)], 2)


def least_rotations(a: Pair, b: Pair) -> Float[np.ndarray, "side=2 3 3"]:
    """The smallest rotations that take unit directions a to b, short of opposite ones."""
    v = cross(a, b)
    k = np.zeros((len(a), 3, 3))
    k[:, 2, 1], k[:, 0, 2], k[:, 1, 0] = v[:, 0], v[:, 1], v[:, 2]
    k -= k.swapaxes(1, 2)
    c = (a * b).sum(1)[:, None, None]
    return np.eye(3) + k + k @ k / np.maximum(1 + c, 1e-3)
