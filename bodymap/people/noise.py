"""Smooth random images: the raw material of prints, plaster, foliage and stains."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from PIL import Image


def resize(image: Float[np.ndarray, "h w"], size: tuple[int, int]) -> Float[np.ndarray, "height width"]:
    """Bicubic, one channel, float."""
    return np.asarray(Image.fromarray(image.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def smooth_noise(
    rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]
) -> Float[np.ndarray, "height width"]:
    """Bicubic value noise with about ``cells`` bumps along each side, values around [0, 1]."""
    return resize(rng.random((max(2, cells[0]), max(2, cells[1]))), size)


def fractal_noise(
    rng: np.random.Generator, size: tuple[int, int], cells: int = 3, octaves: int = 4, gain: float = 0.55
) -> Float[np.ndarray, "height width"]:
    """Octaves of value noise, mean about 0, largest values around +-0.5."""
    total, amplitude, norm = np.zeros(size, np.float32), 1.0, 0.0
    for _ in range(octaves):
        across = max(2, round(cells * size[1] / size[0]))
        total += amplitude * (smooth_noise(rng, size, (cells, across)) - 0.5)
        norm += amplitude
        amplitude *= gain
        cells *= 2
        if cells > min(size):
            break
    return total / norm * 1.6


def tileable(rng: np.random.Generator, size: int, cells: int, octaves: int = 3) -> Float[np.ndarray, "size size"]:
    """Noise that repeats without a seam: random values on a torus, enlarged with a border that wraps."""
    total, amplitude = np.zeros((size, size), np.float32), 1.0
    for _ in range(octaves):
        cells = int(min(max(cells, 2), size // 2))
        grid = np.pad(rng.random((cells, cells)), 2, mode="wrap")
        step = size / cells
        big = resize(grid, (round((cells + 4) * step), round((cells + 4) * step)))
        start = round(2 * step)
        total += amplitude * (big[start : start + size, start : start + size] - 0.5)
        amplitude *= 0.5
        cells *= 2
    return total
