"""Partial textures for training: views and textures combined, then spoilt the way a predicted map spoils them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from apps.rerender.completion import mirror_index
from bodymap.config import check_ranges
from bodymap.surface import Template
from bodymap.training.task import Batch
from bodymap.warping.atlas import get_atlas


@dataclass(frozen=True)
class SpoilConfig:
    """Chances and sizes of what goes wrong between a photo and its partial texture; lengths in texels.

    Attributes:
        others: whether the view may be another person's of the batch.
        flip: chance that person and view are mirrored.
        second: chance that a second view was seen, too.
        ragged: width of the rim that is lost in places.
        holes: chance of blobs that were not mapped.
        shift: largest smooth displacement of what was seen.
        stain: chance that the rim carries a trace of some background, over ``stain_width`` texels.
        blur: chance of a soft photo.
        noise: largest standard deviation.
        recolour: chance that gain and hue of the whole texture change.
    """

    others: bool = True
    flip: float = 0.5
    second: float = 0.08
    ragged: float = 2.0
    holes: float = 0.25
    shift: float = 2.5
    stain: float = 0.5
    stain_width: float = 3.0
    blur: float = 0.3
    noise: float = 0.03
    recolour: float = 0.5

    def __post_init__(self) -> None:
        chances = ("flip", "second", "holes", "stain", "blur", "recolour")
        check_ranges(self, **dict.fromkeys(chances, (0, 1)), noise=(0, 1))
        check_ranges(self, ragged=(0, 1000), shift=(0, 1000), stain_width=(0.001, 1000))


def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Any]:
    """Compact tensors with a batch axis."""
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


class Spoil:
    """The loader's transform: compact textures -> what the completion's losses want; each sample by its own slot.

    The batch holds "texture" (B, 3, T, T) in [0, 1], "labels" (B, T, T) the whole; "colour" (B, 3, T, T), "confidence"
    (B, 1, T, T), "layer" (B, T, T) what was seen.
    """

    def __init__(self, template: Template, size: int, config: SpoilConfig, seed: int) -> None:
        self.config, self.seed, self.size = config, seed, size
        self.mirror = mirror_index(get_atlas(template, size))
        self.covered = get_atlas(template, size).covered.float()[None, None]

    def __call__(self, batch: Batch, slots: Tensor) -> Batch:
        batch = self._shrunk(batch)
        parts = [self._one(batch, k, slot) for k, slot in enumerate(slots.tolist())]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _shrunk(self, batch: Batch) -> Batch:
        """Stored textures at the network's size: means of the colours, the nearest layer."""
        factor = batch["colour"].shape[1] // self.size
        if factor == 1:
            return batch
        inside = (batch["layer"] > 0)[..., None].float()
        stacked = torch.cat([batch["colour"] * inside, batch["seen"][..., None] * inside, inside], -1)
        mean = functional.avg_pool2d(stacked.permute(0, 3, 1, 2), factor).permute(0, 2, 3, 1)
        mean = mean / mean[..., -1:].clamp_min(1e-3)
        middle = slice(factor // 2, None, factor)
        layer = torch.where(batch["layer"][:, middle, middle] > 0, batch["layer"][:, middle, middle], 1)
        inside = self.covered[:, 0] > 0
        return batch | {
            "colour": mean[..., :3] * inside[..., None],
            "seen": mean[..., 3] * inside,
            "layer": layer * inside,
        }

    def _one(self, batch: Batch, k: int, slot: int) -> Batch:
        c, draw = self.config, torch.Generator().manual_seed((self.seed << 32) + slot)

        def chance(p: float) -> bool:
            return float(torch.rand((), generator=draw)) < p

        def number(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=draw))

        texture = batch["colour"][k].permute(2, 0, 1)[None].float() / 255
        labels = batch["layer"][k][None].long()
        # the view of anybody in the batch: what is seen hardly depends on who it is
        views = torch.randint(len(batch["seen"]), (2,), generator=draw).tolist()
        seen = batch["seen"][views[0] if c.others else k]
        if chance(c.second):
            seen = torch.maximum(seen, batch["seen"][views[1]])
        confidence = seen[None, None].float() / 255
        if chance(c.flip):
            texture, confidence, labels = (self._flipped(x) for x in (texture, confidence, labels[:, None]))
            labels = labels[:, 0]
        if chance(c.recolour):
            gain = torch.exp(0.25 * torch.randn(1, 3, 1, 1, generator=draw)) * number(0.8, 1.2)
            texture = (texture * gain).clamp(0, 1) * self.covered

        # -- what the map lost --
        kept = confidence > 0
        if c.ragged > 0:
            rim = 1 + 2 * round(number(0, c.ragged))
            inner = _erode(kept, rim)
            kept = torch.where(self._noise(draw, 24) > number(0.2, 0.9), kept, inner)
        if chance(c.holes):
            kept &= self._noise(draw, 12) < number(0.75, 1.0)
        if not bool(kept.any()):
            kept = confidence > 0

        # -- where the map erred: colours and layers come from beside --
        shift = self._smooth(draw, 2, 8) * number(0, c.shift) * 2 / self.size
        grid = _identity(self.size) + shift.permute(0, 2, 3, 1)
        weight = functional.grid_sample(self.covered, grid, align_corners=False)
        colour = functional.grid_sample(texture, grid, align_corners=False) / weight.clamp_min(1e-3)
        layer = functional.grid_sample(labels[:, None].float(), grid, mode="nearest", align_corners=False)[:, 0].long()
        kept &= (weight > 0.5) & (labels > 0)
        layer = torch.where(layer > 0, layer, labels)
        if chance(c.blur):
            near = functional.avg_pool2d(torch.cat([colour, self.covered], 1), 3, 1, 1)
            colour = near[:, :3] / near[:, 3:].clamp_min(1e-3)
        if chance(c.stain):
            width = 1 + 2 * round(number(0, c.stain_width))
            rim = kept & ~_erode(kept, width) & (self._noise(draw, 16) > number(0.4, 1.0))
            rim = functional.avg_pool2d(rim.float(), 3, 1, 1) * number(0.2, 1.0)
            stain = torch.rand(1, 3, 1, 1, generator=draw) + 0.15 * self._smooth(draw, 3, 32)
            colour = colour * (1 - rim) + stain.clamp(0, 1) * rim
        colour = colour + number(0, c.noise) * torch.randn(colour.shape, generator=draw)
        kept = kept.float()
        return {
            "texture": texture,
            "labels": labels,
            "colour": colour.clamp(0, 1) * kept,
            "confidence": (confidence * (0.5 + 0.5 * self._noise(draw, 8))).clamp_min(0.02) * kept,
            "layer": layer * kept[:, 0].long(),
        }

    def _flipped(self, image: Tensor) -> Tensor:
        flat = image.flatten(2)
        return (flat[..., self.mirror.clamp_min(0)] * (self.mirror >= 0)).view_as(image)

    def _smooth(self, draw: torch.Generator, channels: int, cells: int) -> Float[Tensor, "1 c texel texel"]:
        """Smooth normal noise with about ``cells`` bumps each way."""
        coarse = torch.randn(1, channels, cells, cells, generator=draw)
        return functional.interpolate(coarse, (self.size, self.size), mode="bilinear")

    def _noise(self, draw: torch.Generator, cells: int) -> Float[Tensor, "1 1 texel texel"]:
        """Smooth noise in [0, 1], about uniform."""
        return torch.special.ndtr(1.5 * self._smooth(draw, 1, cells))


def _erode(mask: Tensor, width: int) -> Tensor:
    return -functional.max_pool2d(-mask.float(), width, 1, width // 2) > 0


def _identity(size: int) -> Float[Tensor, "1 texel texel xy=2"]:
    at = (2 * torch.arange(size) + 1) / size - 1
    return torch.stack(torch.meshgrid(at, at, indexing="xy"), -1)[None]
