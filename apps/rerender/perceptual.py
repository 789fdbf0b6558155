"""Differences that the eye sees: features of a network that was trained on photographs (VGG16, five layers)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bodymap.config import check_ranges
from bodymap.metrics.image import lpips_network

MEASURES = ("features", "lpips")


@dataclass(frozen=True)
class PerceptualConfig:
    """Attributes:
    weight: 0 leaves the term out: nothing is downloaded then.
    crop: pixels each way of the random part that is looked at; VGG is what costs most of a step on a CPU.
    share: of each batch that is looked at.
    measure: "features", L1 between VGG's features, or "lpips", LPIPS on VGG: each place's features of unit length,
        squared differences, channels weighted as people judged pictures (Zhang et al. 2018).
    weights: a safetensors file of the whole LPIPS network (vgg); without it its parts are downloaded once.
    """

    weight: float = 0.0
    crop: int = 128
    share: float = 1.0
    measure: str = "features"
    weights: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self, weight=(0, 1e9), crop=(16, 8192), share=(0, 1))
        if self.measure not in MEASURES:
            raise ValueError(f"measure must be one of {', '.join(MEASURES)}, not {self.measure!r}.")


class Features:
    """L1 between VGG16's features at relu1_2, 2_2, 3_3, 4_3 and 5_3 (Johnson et al. 2016; layers as Pix2PixHD's), or
    LPIPS of them.

    It is no module: its weights are nobody's to train or to save.
    """

    # deeper layers are larger and say less of the place
    WEIGHTS = (1 / 8, 1 / 8, 1 / 4, 1 / 2, 1.0)

    def __init__(self, config: PerceptualConfig) -> None:
        self.config = config
        self._network: nn.Module | None = None

    def __call__(
        self, image: Float[Tensor, "batch rgb=3 height width"], truth: Float[Tensor, "batch rgb=3 height width"]
    ) -> Float[Tensor, ""]:
        """Both in [0, 1]; gradients reach ``image`` only."""
        # the loader shuffles: the first ones are as good as any
        count = max(1, round(self.config.share * len(image)))
        image, truth = image[:count], truth[:count]
        if self._network is None:
            weights = self.config.weights
            self._network = lpips_network("vgg", Path(weights) if weights else None)
        network = self._network.to(image.device)
        if self.config.measure == "lpips":
            return network(image, truth.detach(), normalize=True).float().mean()
        both = network.scaling_layer(torch.cat([image, truth]) * 2 - 1)
        total = image.new_zeros(())
        for weight, layer in zip(self.WEIGHTS, network.net(both), strict=True):
            mine, theirs = layer.chunk(2)
            total = total + weight * (mine - theirs.detach()).abs().float().mean()
        return total


def random_crop(
    tensors: list[Tensor], weight: Float[Tensor, "batch 1 height width"], crop: int
) -> list[Float[Tensor, "batch c crop crop"]]:
    """The same part of every tensor, around a random place where ``weight`` > 0; another one for each sample."""
    height, width = weight.shape[-2:]
    if crop >= min(height, width):
        return tensors
    corners = []
    for mask in weight[:, 0] > 0:
        places = torch.nonzero(mask)
        at = places[int(torch.randint(len(places), ()))] if len(places) else torch.tensor([height // 2, width // 2])
        top = int((at[0] - crop // 2).clamp(0, height - crop))
        left = int((at[1] - crop // 2).clamp(0, width - crop))
        corners.append((top, left))
    return [
        torch.stack([x[:, a : a + crop, b : b + crop] for x, (a, b) in zip(t, corners, strict=True)]) for t in tensors
    ]


def masked_mean(
    values: Float[Tensor, "batch c height width"], weight: Float[Tensor, "batch 1 height width"]
) -> Float[Tensor, ""]:
    """Mean where ``weight`` is; 0 where it is nowhere."""
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp_min(1)
