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
    """Scores of 256 bins for each of R, G, B: a peak that the pixel places, plus free scores.

    The peak (Student-t, heavy tails) stands at a blend of the pixel's own guess and the coarse code it was given: a new
    network starts as good as its coarse input, and learns by how much to trust it. The free scores add what one peak
    cannot say: a second hypothesis, an asymmetry. Both are in one sum of 768 raw scores.

    Only evaluated at gathered pixels: dense scores of an image of 1024 x 1024 would be 3 GB.

    Args:
        features: channels of a pixel's features from the decoder.
        coarse: whether they are followed by the four channels of the correspondence image.
    """

    WAVES, GAIN, START_WIDTH, START_TRUST = 32, 16.0, 0.06, 2.0

    def __init__(self, config: HeadsConfig, features: int, coarse: bool):
        super().__init__()
        hidden, self.coarse = config.hidden, coarse
        self.hidden = nn.Linear(features + 4 * coarse, hidden)

        # free scores: waves over the bins, which every pixel trains, and one weight a bin for what is finer than they
        self.free = nn.Linear(hidden, 3 * BINS)
        nn.init.zeros_(self.free.weight)
        nn.init.zeros_(self.free.bias)
        self.waves = nn.Parameter(0.1 * torch.randn(3, self.WAVES, hidden) / math.sqrt(self.WAVES * hidden))
        bins, frequency = (torch.arange(BINS) + 0.5) / BINS, torch.arange(1, self.WAVES + 1)
        self.register_buffer("basis", torch.cos(math.pi * frequency[:, None] * bins), persistent=False)
        self.register_buffer("values", torch.arange(BINS) / (BINS - 1), persistent=False)

        # the peak: place and width a channel, trust in the coarse code
        self.place, self.width = nn.Linear(hidden, 3), nn.Linear(hidden, 3)
        self.trust = nn.Linear(hidden, 1) if coarse else None
        nn.init.constant_(self.place.bias, 0.5)
        nn.init.zeros_(self.width.weight)
        nn.init.constant_(self.width.bias, math.log(self.START_WIDTH if coarse else 4 * self.START_WIDTH))
        if coarse:
            nn.init.zeros_(self.trust.weight)
            nn.init.constant_(self.trust.bias, self.START_TRUST)

    def forward(self, features: Float[Tensor, "n channel"]) -> Float[Tensor, "n 3 256"]:
        """Always in float32: a bin is finer than half precision. ValueError for anything but gathered pixels."""
        if features.ndim != 2:
            raise ValueError(f"scores take gathered pixels (N, C), not {tuple(features.shape)}: see features_at")
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            hidden = F.relu(self.hidden(features))
            # the waves act through the weights: no cost a pixel
            waves = self.GAIN * torch.einsum("cwh,wb->cbh", self.waves, self.basis).flatten(0, 1)
            free = F.linear(hidden, self.free.weight + waves, self.free.bias).unflatten(-1, (3, BINS))

            place = self.place(hidden)
            if self.coarse:
                code, known = features[:, -4:-1], features[:, -1:] > 0
                place = torch.lerp(place, code, self.trust(hidden).sigmoid() * known)
            # free - 2 log(1 + z^2): Student's t with three degrees of freedom, but for constants. In place wherever
            # it may be: these are the largest tensors of all.
            sharpness = torch.exp(-self.width(hidden))[..., None]
            z = torch.addcmul(-place[..., None] * sharpness, self.values, sharpness)
            return free.sub_(z.square().add_(1).log_(), alpha=2)


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
