"""The heads: 3 x 256 scores of a pixel's colour code, foreground, layer."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from bodymap.network.config import HeadsConfig
from bodymap.types import LAYER_NAMES

BINS = 256  # colour value v in [0, 1] lies at bin v * 255


class ScoreHead(nn.Module):
    """Scores of 256 bins for each of R, G, B.

    Only ever evaluated at gathered pixels: dense scores of an image of 1024 x 1024 would be 3 GB.
    """

    def __init__(self, config: HeadsConfig, features: int):
        super().__init__()
        self.hidden = nn.Linear(features, config.hidden)
        self.out = nn.Linear(config.hidden, 3 * BINS)
        # Neighbouring bins start with like weights, so that what one bin learns early serves those beside it.
        with torch.no_grad():
            waves = 16
            bins, frequency = (torch.arange(BINS) + 0.5) / BINS, torch.arange(waves)
            basis = torch.cos(math.pi * frequency[:, None] * bins) / math.sqrt(waves)
            weight = torch.randn(3, config.hidden, waves) @ basis / math.sqrt(config.hidden)
            self.out.weight.copy_(weight.transpose(1, 2).reshape(3 * BINS, config.hidden))
            self.out.bias.zero_()

    def forward(self, features: Float[Tensor, "n channel"]) -> Float[Tensor, "n 3 256"]:
        """Always float32: posteriors over thousands of samples follow. ValueError for anything but gathered pixels."""
        if features.ndim != 2:
            raise ValueError(f"scores take gathered pixels (N, C), not {tuple(features.shape)}: see features_at")
        return self.out(F.relu(self.hidden(features))).float().unflatten(-1, (3, BINS))


class DenseHeads(nn.Module):
    """Foreground and layer logits at every pixel."""

    def __init__(self, features: int):
        super().__init__()
        self.foreground = nn.Conv2d(features, 1, 1)
        self.layer = nn.Conv2d(features, len(LAYER_NAMES), 1)

    def forward(
        self, features: Float[Tensor, "batch channel height width"]
    ) -> tuple[Float[Tensor, "batch 1 height width"], Float[Tensor, "batch layer height width"]]:
        return self.foreground(features), self.layer(features)


def features_at(
    features: Float[Tensor, "batch channel height width"], mask: Bool[Tensor, "batch height width"]
) -> Float[Tensor, "n channel"]:
    """The features of the pixels where ``mask`` holds, in the order of ``mask.nonzero()``."""
    index = mask.flatten().nonzero()[:, 0]
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]).index_select(0, index)
