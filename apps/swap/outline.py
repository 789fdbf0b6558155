"""The person's outline in a photograph: how much of each pixel inside it is the person, and what lies behind."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bodymap.warping.blend import blurred_within, box_mean
from bodymap.warping.grid import dilate, erode

# Person and background must differ by so much (of 1) for a pixel's colour to say how much of it is which.
_TOLD_APART = 0.12


@dataclass(frozen=True)
class Outline:
    """Attributes:
    cover: the person's share of each pixel: 1 well inside, 0 outside the mask.
    clean: what to add to the photo's pixels so that they show the background alone, where ``cover`` is below 1.
    """

    cover: Float[Tensor, "height width"]
    clean: Float[Tensor, "height width rgb=3"]


def outline(photo: Float[Tensor, "height width rgb=3"], mask: Bool[Tensor, "height width"], radius: int) -> Outline:
    """Compares each pixel along the mask's inner edge with the person's colours inside and the background's outside.

    A pixel on the edge mixes both: I = a F + (1 - a) B. F and B are means from nearby, at a distance from the edge; a
    is where I lies between them. Where they are alike the mask's own shape, softened, has to do.

    Args:
        radius: pixels; nothing changes further from the edge than this. The photo's rim is no edge.
    """
    inner, outer = erode(mask, radius), ~dilate(mask, radius)
    band = mask & ~inner
    if not bool(band.any()):
        return Outline(mask.float(), torch.zeros_like(photo))
    wide = 3 * radius
    person, behind = _local_mean(photo, inner, wide), _local_mean(photo, outer, wide)
    apart = person - behind
    distance = apart.square().sum(-1)
    share = ((photo - behind) * apart).sum(-1) / distance.clamp_min(1e-4)
    trust = (distance.sqrt() / _TOLD_APART - 0.5).clamp(0, 1)
    # in thin places (fingers, straps) there is no inside to compare with
    trust = trust * _near(inner, wide) * _near(outer, wide)
    # half of a softened mask is its edge: shrunk by half a pixel it is 0 where the mask ends
    shape = (box_mean(mask.float(), max(1, radius // 2)) * 2 - 1).clamp(0, 1)
    cover = torch.lerp(shape, (share * 1.25).clamp(0, 1), trust)
    # deeper inside a strange colour is a pattern of the cloth, not the background
    depth = (box_mean(mask.float(), radius) * 2 - 1).clamp(0, 1)
    cover = torch.maximum(cover, (depth * 2 - 1).clamp(0, 1))
    cover = torch.where(band, cover, mask.float())
    return Outline(cover, torch.where(band[..., None], -apart * (cover * trust)[..., None], 0.0))


def _near(where: Bool[Tensor, "height width"], radius: int) -> Float[Tensor, "height width"]:
    return dilate(where, radius).float()


def _local_mean(
    photo: Float[Tensor, "height width rgb=3"], where: Bool[Tensor, "height width"], radius: int
) -> Float[Tensor, "height width rgb=3"]:
    return torch.stack([blurred_within(channel, where, radius) for channel in photo.unbind(-1)], -1)
