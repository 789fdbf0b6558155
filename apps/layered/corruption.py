"""Damage to semantic masks, as segmenters and users do it: so that the network does not take a mask at its word."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from apps.layered.heads import ANYTHING, PERSON
from apps.layered.samples import NAMES
from apps.layered.settings import MaskConfig


def damage(mask: Int[Tensor, "batch height width"], config: MaskConfig) -> Int[Tensor, "batch height width"]:
    """Masks with mistakes (torch's global random numbers); values are NAMES, PERSON, ANYTHING. Unknown pixels stay."""
    result = torch.stack([_damage_one(one, config) for one in mask])
    return result


def _damage_one(mask: Int[Tensor, "height width"], config: MaskConfig) -> Int[Tensor, "height width"]:
    height, width = mask.shape
    # all numbers are drawn, used or not
    use = torch.rand(6).tolist()
    if use[0] < config.nothing_share:
        return torch.full_like(mask, ANYTHING)
    if use[1] < config.wobble_share:
        mask = _wobbled(mask, config.wobble * float(torch.rand(())), int(torch.randint(3, 12, ())))
    if use[2] < config.grow_share:
        mask = grown(mask, int(torch.randint(-config.grow, config.grow + 1, ())))
    if use[3] < config.blob_share:
        for _ in range(int(torch.randint(1, config.blobs + 1, ()))):
            value = int(torch.randint(-1, len(NAMES), ()))
            mask = torch.where(_blob(height, width, mask.device), torch.full_like(mask, value), mask)
    if use[4] < config.swap_share:
        # (a garment becomes another layer more often than the body does)
        one, other = [(2, 1), (2, 3), (3, 2), (3, 1), (1, 2), (1, 3)][int(torch.randint(0, 6, ()))]
        where = mask == one
        if torch.rand(()) < 0.6:
            where &= _blob(height, width, mask.device, 0.5)
        mask = torch.where(where, torch.full_like(mask, other), mask)
    if use[5] < config.person_share:
        mask = torch.where(mask > 0, torch.full_like(mask, PERSON), mask)
    return mask


def grown(mask: Int[Tensor, "height width"], radius: int) -> Int[Tensor, "height width"]:
    """The person wider by ``radius`` pixels (negative: narrower); new pixels take a layer nearby."""
    size = 2 * abs(radius) + 1
    if radius == 0:
        return mask
    if radius < 0:
        inside = -F.max_pool2d(-(mask != 0).float()[None], size, 1, -radius)[0]
        return torch.where(inside > 0, mask, torch.zeros_like(mask))
    wide = F.max_pool2d(mask.float()[None], size, 1, radius)[0].to(mask.dtype)
    return torch.where(mask == 0, wide, mask)


def _wobbled(mask: Tensor, amplitude: float, cells: int) -> Tensor:
    """Boundaries displaced by smooth noise of up to ``amplitude`` pixels."""
    height, width = mask.shape
    noise = (torch.rand(1, 2, cells, cells) * 2 - 1).to(mask.device) * amplitude
    shift = F.interpolate(noise, size=(height, width), mode="bicubic", align_corners=False)[0].round().long()
    rows = (torch.arange(height, device=mask.device)[:, None] + shift[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=mask.device)[None] + shift[1]).clamp(0, width - 1)
    return mask[rows, columns]


def _blob(height: int, width: int, device: torch.device, largest: float = 0.15) -> Tensor:
    """A random ellipse; its half axes are up to ``largest`` of the picture's height."""
    y, x, a, b = torch.rand(4).tolist()
    rows = (torch.arange(height, device=device)[:, None] - y * height) / (height * (0.02 + largest * a))
    columns = (torch.arange(width, device=device)[None] - x * width) / (height * (0.02 + largest * b))
    return rows.square() + columns.square() < 1
