"""From the fused pyramid to full resolution: refinement coarse to fine, then a path guided by the masked photograph."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bodymap.network.config import DecoderConfig
from bodymap.network.fusion import ResidualUnit, resize


class RefineBlock(nn.Module):
    """Takes the coarser levels' result up to this level, adds the level, refines (DPT's fusion block)."""

    def __init__(self, features: int):
        super().__init__()
        self.project = nn.Conv2d(features, features, 1)
        self.unit = ResidualUnit(features)

    def forward(self, level: Tensor, coarser: Tensor | None) -> Tensor:
        if coarser is not None:
            # a 1 x 1 convolution commutes with the resampling, and is cheaper before it
            level = level + resize(self.project(coarser), level.shape[-2:])
        return self.unit(level)


class Decoder(nn.Module):
    """Four levels of ``features`` channels -> ``fine`` channels at full resolution.

    Strides 2 and 1 are where silhouettes, fingers and hair are decided, and where every multiplication costs most: few
    channels, and the photograph itself (masked, with the mask) as a guide.
    """

    def __init__(self, config: DecoderConfig, channels: int):
        super().__init__()
        fine, guidance = config.fine, config.guidance
        self.blocks = nn.ModuleList(RefineBlock(config.features) for _ in range(4))
        del self.blocks[3].project  # the coarsest level has nothing below it

        self.guide1 = nn.Conv2d(channels, guidance, 3, padding=1)
        self.guide2 = nn.Conv2d(guidance, 2 * guidance, 3, stride=2, padding=1)
        self.to2 = nn.Conv2d(config.features, fine, 1)
        self.merge2 = nn.Conv2d(fine + 2 * guidance, fine, 3, padding=1)
        self.refine2 = nn.Conv2d(fine, fine, 3, padding=1)
        self.to1 = nn.Conv2d(fine, fine, 1)
        self.from_guide1 = nn.Conv2d(guidance, fine, 1)
        self.refine1 = nn.Conv2d(fine, fine, 3, padding=1)

    def forward(
        self, pyramid: list[Tensor], guide: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch fine height width"]:
        """``pyramid``: finest first. ``guide``: even sides."""
        x = None
        for block, level in zip(reversed(self.blocks), reversed(pyramid), strict=True):
            x = block(level, x)

        full = F.relu(self.guide1(guide))
        half = F.relu(self.guide2(full))
        x = torch.cat([resize(self.to2(x), half.shape[-2:]), half], dim=1)
        x = F.relu(self.merge2(x))
        x = F.relu(x + self.refine2(x))
        x = F.relu(resize(self.to1(x), full.shape[-2:]) + self.from_guide1(full))
        return x + self.refine1(x)
