"""Pictures out of focus, and pictures taken with an unsteady hand."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def gaussian_blur(
    images: Float[Tensor, "picture channel height width"], sigmas: list[float]
) -> Float[Tensor, "picture channel height width"]:
    """Smooths each picture with a Gaussian of its own ``sigma`` > 0, pixels, cut at 3 sigma; the edge is repeated."""
    radii = [max(1, math.ceil(3 * sigma)) for sigma in sigmas]
    reach = max(radii)
    taps = np.zeros((2 * reach + 1, len(sigmas), 1, 1, 1), np.float32)
    for n, (sigma, radius) in enumerate(zip(sigmas, radii, strict=True)):
        weight = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        taps[reach - radius : reach + radius + 1, n, 0, 0, 0] = weight / weight.sum()
    weights = torch.from_numpy(taps).to(images.device)

    # Shifted sums: one operation a tap for all pictures, where torch's convolution of single channels is slower
    def pass_over(padded: Tensor, axis: int) -> Tensor:
        size = padded.shape[axis] - 2 * reach
        total = padded.narrow(axis, 0, size) * weights[0]
        for k in range(1, 2 * reach + 1):
            total.addcmul_(padded.narrow(axis, k, size), weights[k])
        return total

    across = pass_over(functional.pad(images, (reach, reach, 0, 0), mode="replicate"), 3)
    return pass_over(functional.pad(across, (0, 0, reach, reach), mode="replicate"), 2)


def shake(
    image: Float[Tensor, "channel height width"], rows: float, columns: float
) -> Float[Tensor, "channel height width"]:
    """The mean over a straight movement of so many pixels during the exposure; the edge is repeated."""
    steps = min(max(int(max(abs(rows), abs(columns))), 2), 9)
    height, width = image.shape[1:]
    moves = [(round(rows * t), round(columns * t)) for t in (k / (steps - 1) - 0.5 for k in range(steps))]
    down, right = (max(abs(move[axis]) for move in moves) for axis in (0, 1))
    padded = functional.pad(image[None], (right, right, down, down), mode="replicate")[0]
    total = torch.zeros_like(image)
    for y, x in moves:
        total += padded[:, down + y : down + y + height, right + x : right + x + width]
    return total / steps
