"""The paper's token stream: a plain vision transformer, read at four depths."""

from __future__ import annotations

from dataclasses import dataclass

import torch.utils.checkpoint
from jaxtyping import Float
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from bodymap.network.config import BackboneConfig
from bodymap.network.tokens import PatchTokens


@dataclass(frozen=True)
class Tokens:
    """Tokens read at one depth, and the grid (rows, columns) of the patches."""

    class_token: Float[Tensor, "batch dim"]
    patches: Float[Tensor, "batch patch dim"]
    grid: tuple[int, int]


class VisionTransformer(nn.Module):
    """Patch, class and position tokens through ``depth`` blocks (timm's, pre-normalised)."""

    def __init__(self, config: BackboneConfig, channels: int):
        super().__init__()
        self.config = config
        self.tokens = PatchTokens(channels, config.dim, config.patch, config.grid)
        # blocks after the last reading would never be trained
        count = max(config.read_depths)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads, qkv_bias=True) for _ in range(count))

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> list[Tokens]:
        """Tokens at the four depths, shallow first. Any size: padded inside to a multiple of the patch."""
        x, grid = self.tokens(image)
        states = []
        for block in self.blocks:
            if self.config.checkpointing and self.training:
                x = torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
            states.append(x)
        read = (states[depth - 1] for depth in self.config.read_depths)
        return [Tokens(state[:, 0], state[:, 1:], grid) for state in read]
