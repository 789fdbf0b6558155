"""Pictures out of focus, and pictures taken with an unsteady hand."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def blur(image: Float[Tensor, "channel height width"], sigma: float) -> Float[Tensor, "channel height width"]:
    """Gaussian blur, ``sigma`` in pixels; the borders repeat."""
    radius = max(1, int(2.5 * sigma + 0.5))
    x = torch.arange(-radius, radius + 1, device=image.device, dtype=torch.float32)
    weight = torch.exp(-0.5 * (x / sigma) ** 2)
    weight = weight / weight.sum()
    out = torch.nn.functional.pad(image[:, None], (radius, radius, radius, radius), mode="replicate")
    out = torch.nn.functional.conv2d(out, weight.view(1, 1, 1, -1))
    return torch.nn.functional.conv2d(out, weight.view(1, 1, -1, 1))[:, 0]


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
