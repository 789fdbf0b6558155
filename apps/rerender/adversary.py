"""The adversary: discriminators at several scales (Pix2PixHD, Wang et al. 2018) with hinge losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bodymap.config import check_ranges


@dataclass(frozen=True)
class AdversaryConfig:
    """Attributes:
    weight: of its say in the generator's loss; 0: there is none.
    matching: of the L1 between its features of the made and of the true picture.
    begin_minutes: it says nothing before; it already learns a minute earlier.
    width: channels of its first layer.  scales: discriminators, each at half the size of the one before.
    """

    weight: float = 0.0
    matching: float = 2.0
    begin_minutes: float = 10.0
    width: int = 32
    scales: int = 2

    def __post_init__(self) -> None:
        check_ranges(self, weight=(0, 1e9), matching=(0, 1e9), width=(1, 8192), scales=(1, 16))


class Adversary(nn.Module):
    """Judges patches of a picture, given what it was made from."""

    def __init__(self, channels: int, config: AdversaryConfig) -> None:
        super().__init__()
        self.config = config
        self.scales = nn.ModuleList([_patches(channels, config.width) for _ in range(config.scales)])

    def forward(self, picture: Float[Tensor, "batch c height width"]) -> list[list[Tensor]]:
        """Of each scale the features of its layers; the last one is the verdict, above 0 for true."""
        answers = []
        for scale in self.scales:
            x, features = picture, []
            for layer in scale:
                x = layer(x)
                features.append(x)
            answers.append(features)
            picture = F.avg_pool2d(picture, 2)
        return answers

    def losses(
        self, made: Tensor, true: Tensor, given: Tensor, minutes: float, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What both sides lose, ready to be summed: each side's gradient reaches its own weights alone.

        Args:
            made, true: (B, C, H, W).  given: (B, D, H, W), shown to the judge beside either.
            mask: (B, 1, H, W), where the verdict counts; None: everywhere.
        """
        config = self.config
        if config.weight <= 0 or minutes < config.begin_minutes - 1:
            return {}
        real, fake = self(torch.cat([true, given], 1)), self(torch.cat([made.detach(), given], 1))
        out = {
            "judge": sum(
                _mean(F.relu(1 - r[-1]), mask) + _mean(F.relu(1 + f[-1]), mask) for r, f in zip(real, fake, strict=True)
            )
            / len(real)
        }
        if minutes >= config.begin_minutes:
            frozen = {name: tensor.detach() for name, tensor in self.named_parameters()}
            judged = torch.func.functional_call(self, frozen, (torch.cat([made, given], 1),))
            out["adversary"] = -config.weight * sum(_mean(f[-1], mask) for f in judged) / len(judged)
            pairs = [(a, b) for f, r in zip(judged, real, strict=True) for a, b in zip(f[:-1], r[:-1], strict=True)]
            # features are matched relative to their size, which grows with the judge's training
            matching = sum((a - b.detach()).abs().mean() / b.detach().abs().mean().clamp_min(1e-3) for a, b in pairs)
            out["matching"] = config.weight * config.matching * matching.float() / len(pairs)
        return out


def _patches(channels: int, width: int) -> nn.ModuleList:
    """Judges patches of 70 pixels."""
    widths = (channels, width, 2 * width, 4 * width)
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
        convolution = nn.utils.parametrizations.spectral_norm(nn.Conv2d(a, b, 4, 2 if k < 2 else 1, padding=1))
        layers.append(nn.Sequential(convolution, nn.LeakyReLU(0.2)))
    layers.append(nn.utils.parametrizations.spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1)))
    return nn.ModuleList(layers)


def _mean(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return values.float().mean()
    weight = F.interpolate(mask, values.shape[-2:], mode="area")
    return (values.float() * weight).sum() / weight.sum().clamp_min(1e-3)
