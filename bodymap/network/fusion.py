"""The two streams become one: level by level, projected, added or concatenated, refined by residual units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from bodymap.network.config import FusionConfig


class ResidualUnit(nn.Module):
    """Residual convolution unit: x + conv(relu(conv(relu(norm x)))).

    The norm is over the channels of one pixel: it depends neither on the batch nor on how much of the image is
    masked, so training, tiles and other image sizes all see the same function.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.norm = LayerNorm2d(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "batch channel rows columns"]) -> Float[Tensor, "batch channel rows columns"]:
        y = self.first(F.relu(self.norm(x)))
        return x + self.second(F.relu(y))


class Fusion(nn.Module):
    """One pyramid level of both streams -> ``features`` channels.

    Args:
        appearance: channels of the appearance stream's level.
        correspondence: channels of the correspondence stream's level, None without that stream (RGB-only).
    """

    def __init__(self, config: FusionConfig, appearance: int, correspondence: int | None, features: int):
        super().__init__()
        self.appearance = nn.Conv2d(appearance, features, 1)
        self.correspondence = None if correspondence is None else nn.Conv2d(correspondence, features, 1)
        join = config.kind == "concat" and correspondence is not None
        self.join = nn.Conv2d(2 * features, features, 1) if join else None
        self.units = nn.Sequential(*(ResidualUnit(features) for _ in range(config.units)))

    def forward(self, appearance: Tensor, correspondence: Tensor | None, size: Sequence[int]) -> Tensor:
        """Both are brought to ``size`` (rows, columns), since the streams' strides may differ at a level."""
        x = resize(self.appearance(appearance), size)
        if self.correspondence is not None:
            y = resize(self.correspondence(correspondence), size)
            x = x + y if self.join is None else self.join(torch.cat([x, y], dim=1))
        return self.units(x)


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, pixel centres at halves; nothing happens where the size is right already."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
