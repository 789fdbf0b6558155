"""Corrupted coarse correspondence: the true code image with the mistakes that coarse stages make.

The correspondence stream must learn what to keep and what to put right, so it is shown the truth blurred to the CSE
stage's resolution, displaced, mirrored as a whole (the classic mistake with people seen from behind) or in patches,
and with holes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from bodymap.config import check_ranges


@dataclass(frozen=True)
class CorruptionConfig:
    """Chances (an image) and sizes of the mistakes.

    Attributes:
        noise: largest deviation of the smooth error added to the code, in [0, 1] units of colour.
        mirrored: chance that the whole image is mirrored on the body (r -> 1 - r).
        patch: chance that a part of it is.
        holes: chance that places are missing.
        empty: chance that nothing is there at all.
    """

    noise: float = 0.06
    mirrored: float = 0.2
    patch: float = 0.3
    holes: float = 0.3
    empty: float = 0.08

    def __post_init__(self) -> None:
        check_ranges(self, **dict.fromkeys(self.__dataclass_fields__, (0, 1)))


def corrupt(
    code: Float[Tensor, "batch rgb=3 height width"],
    foreground: Bool[Tensor, "batch height width"],
    config: CorruptionConfig,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch 4 height width"]:
    """Colour code and confidence as a coarse stage might have seen them; 0 outside its foreground."""
    batch, _, height, width = code.shape
    device = code.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    def smooth(channels: int, cells: int) -> Tensor:
        """Smooth noise of about unit range."""
        coarse = uniform(batch, channels, cells, cells) * 2 - 1
        return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)

    def chosen(chance: float) -> Tensor:
        return (uniform(batch, 1, 1, 1) < chance).float()

    # the resolution of the coarse stage
    coarse = F.interpolate(code[..., 2::4, 2::4], size=(height, width), mode="nearest-exact")
    known = F.interpolate(foreground[:, None, 2::4, 2::4].float(), size=(height, width), mode="nearest-exact")

    swap = torch.maximum(chosen(config.mirrored), chosen(config.patch) * (smooth(1, 4) > 0.2))
    mirrored = torch.cat([1 - coarse[:, :1], coarse[:, 1:]], 1)
    coarse = torch.lerp(coarse, mirrored, swap)

    amount = uniform(batch, 1, 1, 1) * config.noise
    coarse = (coarse + amount * smooth(3, 9)).clamp(0, 1)

    known = known * (1 - chosen(config.holes) * (smooth(1, 6) > 0.45).float()) * (1 - chosen(config.empty))
    confidence = (1 - amount / max(config.noise, 1e-6) * 0.5 - swap * uniform(batch, 1, 1, 1) * 0.5).clamp(0.05, 1)
    return torch.cat([coarse, confidence.expand(-1, 1, height, width)], 1) * known
