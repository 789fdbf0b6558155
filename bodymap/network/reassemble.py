"""From tokens back to images: the reassembling of dense prediction transformers (Ranftl et al. 2021, section 3.1)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bodymap.network.transformer import Tokens


class Reassemble(nn.Module):
    """One pyramid level: read out the class token, project to ``channels``, go from stride ``patch`` to ``stride``."""

    def __init__(self, dim: int, channels: int, patch: int, stride: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        # Read-out "project": every patch hears the class token, which no image position holds.
        self.readout = nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU())
        self.project = nn.Conv2d(dim, channels, 1)
        self.resample = _resample(channels, patch, stride)

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch channel height width"]:
        patches, whole = self.norm(tokens.patches), self.norm(tokens.class_token)
        x = self.readout(torch.cat([patches, whole[:, None].expand_as(patches)], dim=-1))
        x = x.transpose(1, 2).unflatten(2, tokens.grid)
        return self.resample(self.project(x))


def _resample(channels: int, patch: int, stride: int) -> nn.Module:
    """Transposed convolution to a finer stride, strided convolution to a coarser one."""
    if stride < patch:
        return nn.ConvTranspose2d(channels, channels, patch // stride, stride=patch // stride)
    if stride > patch:
        ratio = stride // patch
        return nn.Conv2d(channels, channels, ratio + 1, stride=ratio, padding=ratio // 2)
    return nn.Identity()
