"""An image of any size as a sequence of tokens: padding, patches, class token, positional embedding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def pad_to_multiple(image: Float[Tensor, "batch channel height width"], multiple: int) -> Tensor:
    """Zeros at the right and the bottom until both sides divide by ``multiple``; pixel (0, 0) stays where it is."""
    height, width = image.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return F.pad(image, (0, right, 0, below)) if below or right else image


class PatchTokens(nn.Module):
    """Non-overlapping patches, projected; a class token in front; a positional embedding resampled to the grid."""

    def __init__(self, channels: int, dim: int, patch: int, grid: tuple[int, int]):
        super().__init__()
        self.patch = patch
        self.project = nn.Conv2d(channels, dim, patch, stride=patch)
        # the class token needs no position of its own: a learned vector already
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.position = nn.Parameter(torch.zeros(1, dim, *grid))
        nn.init.trunc_normal_(self.class_token, std=0.02)
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(
        self, image: Float[Tensor, "batch channel height width"]
    ) -> tuple[Float[Tensor, "batch token dim"], tuple[int, int]]:
        """Returns the tokens (class token first, then patches row by row) and the grid (rows, columns) of patches."""
        x = self.project(pad_to_multiple(image, self.patch))
        grid = (x.shape[-2], x.shape[-1])
        position = self.position
        if grid != tuple(position.shape[-2:]):
            position = F.interpolate(position.float(), size=grid, mode="bicubic", align_corners=False).to(x.dtype)
        tokens = (x + position).flatten(2).transpose(1, 2)
        return torch.cat([self.class_token.expand(len(x), -1, -1).to(tokens.dtype), tokens], dim=1), grid
