"""Samples of random numbers, for tests that need the format and not the people."""

from __future__ import annotations

import numpy as np

from bodymap.data.batch import compact
from bodymap.types import Camera, Sample


def make_sample(seed=0, size=(20, 16)):
    rng = np.random.default_rng(seed)
    foreground = rng.random(size) < 0.5
    barycentric = rng.dirichlet([1, 1, 1], size).astype(np.float32)
    barycentric[0, 0] = 0.5, 0.5, 0  # both round up
    foreground[0, 0] = True
    return Sample(
        image=rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        foreground=foreground,
        triangle=np.where(foreground, rng.integers(0, 26756, size), -1).astype(np.int32),
        barycentric=barycentric * foreground[..., None],
        part=np.where(foreground, 3, -1).astype(np.int16),
        layer=np.where(foreground, rng.integers(1, 7, size), 0).astype(np.int8),
        normal=np.zeros((*size, 3), np.float32),
        instance=foreground.astype(np.int8),
        camera=Camera(np.eye(3), np.eye(4), size),
        facing=float(rng.uniform(-3, 3)),
    )


def make_compact(index):
    """Importable by other processes."""
    return compact(make_sample(index))
