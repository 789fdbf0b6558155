"""Pictures out of focus, and pictures taken with an unsteady hand."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def gaussian_blur(image: Float[Tensor, "channel height width"], sigma: float) -> Float[Tensor, "channel height width"]:
    """Smooths with a Gaussian of ``sigma`` pixels, cut at 3 sigma; the edge is repeated."""
    radius = max(1, math.ceil(3 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=image.device) / sigma) ** 2)
    taps = (taps / taps.sum()).to(image.dtype)
    planes = functional.pad(image[:, None], (radius, radius, radius, radius), mode="replicate")
    return functional.conv2d(functional.conv2d(planes, taps[None, None, None, :]), taps[None, None, :, None])[:, 0]


def shake(
    image: Float[Tensor, "channel height width"], rows: float, columns: float
) -> Float[Tensor, "channel height width"]:
    """The mean over a straight movement of so many pixels during the exposure."""
    steps = min(max(int(max(abs(rows), abs(columns))), 2), 9)
    height, width = image.shape[1:]
    y, x = torch.arange(height, device=image.device), torch.arange(width, device=image.device)
    total = torch.zeros_like(image)
    for k in range(steps):
        t = k / (steps - 1) - 0.5
        moved = (y + round(rows * t)).clamp(0, height - 1), (x + round(columns * t)).clamp(0, width - 1)
        total += image[:, moved[0]][:, :, moved[1]]
    return total / steps
