"""Bands around the body go on where a garment was not seen: a striped sweater's colours depend on the height.

A network hedges between them where an arm hides the belly; the sides show the bands at the same height.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from apps.rerender.pattern import GARMENTS
from bodymap.surface import Template, points
from bodymap.types import PART_NAMES
from bodymap.warping.atlas import Atlas

_TORSO = tuple(k for k, name in enumerate(PART_NAMES) if name.startswith("torso"))
_STEP = 0.004  # metres: of a profile along the body
_FEWEST = 12  # texels of 512 x 512 that say what colour a height has
_EXPLAINED = 0.38  # share of the variance that the height explains, without a steady fall of the light: bands
_LIVELY = 0.08  # standard deviation of colours that are bands, not shades


def continued_bands(
    template: Template,
    atlas: Atlas,
    colour: Float[Tensor, "texel texel rgb=3"],
    layer: Int[Tensor, "texel texel"],
    known: Bool[Tensor, "texel texel"],
) -> tuple[Float[Tensor, "texel texel rgb=3"], Bool[Tensor, "texel texel"]]:
    """(the mean colour at each height, where a garment on the trunk consists of bands; where that is).

    Args:
        colour: in [0, 1], where known.  layer: index into LAYER_NAMES, everywhere.
        known: whose colour is a photo's.
    """
    result, banded = torch.zeros_like(colour), torch.zeros_like(known)
    height, trunk = _heights(template, atlas)
    for garment in GARMENTS:
        mine = trunk & (layer == garment)
        own = mine & known
        if not bool(own.any()) or bool(own.sum() == mine.sum()):
            continue
        lowest = height[mine].min()
        profile = _profile(height[own] - lowest, colour[own], _FEWEST * (len(colour) / 512) ** 2)
        if profile is not None:
            result[mine] = _at(profile, height[mine] - lowest)
            banded |= mine
    return result, banded


def _profile(
    height: Float[Tensor, " n"], colour: Float[Tensor, "n rgb=3"], fewest: float
) -> Float[Tensor, "step rgb=3"] | None:
    """The mean colour of each step upwards; between known ones in proportion. None: there are no bands."""
    step = (height / _STEP).long()
    count = torch.bincount(step).to(colour)
    mean = torch.zeros(len(count), 3, device=colour.device).index_add_(0, step, colour) / count.clamp_min(1)[:, None]
    # light that falls off along the body is no band
    place = height / height.max().clamp_min(1e-6)
    terms = torch.stack([torch.ones_like(place), place, place.square()], 1)
    rest = colour - terms @ torch.linalg.lstsq(terms, colour).solution
    middle = torch.zeros_like(mean).index_add_(0, step, rest) / count.clamp_min(1)[:, None]
    whole, within = rest.square().mean(), (rest - middle[step]).square().mean()
    if float(whole.sqrt()) < _LIVELY or float(within) > (1 - _EXPLAINED) * float(whole):
        return None
    at = torch.nonzero(count >= fewest)[:, 0]
    if len(at) < 2:
        return None
    wanted = torch.arange(len(count), device=colour.device)
    above = torch.searchsorted(at, wanted).clamp(1, len(at) - 1)
    low, high = at[above - 1], at[above]
    share = ((wanted - low) / (high - low)).clamp(0, 1).to(colour)
    return torch.lerp(mean[low], mean[high], share[:, None])


def _at(profile: Float[Tensor, "step rgb=3"], height: Float[Tensor, " n"]) -> Float[Tensor, "n rgb=3"]:
    place = (height / _STEP - 0.5).clamp(0, len(profile) - 1)
    low = place.long().clamp_max(max(0, len(profile) - 2))
    return torch.lerp(profile[low], profile[(low + 1).clamp_max(len(profile) - 1)], (place - low)[:, None])


def _heights(template: Template, atlas: Atlas) -> tuple[Float[Tensor, "texel texel"], Bool[Tensor, "texel texel"]]:
    """(height of each texel on the rest body, metres; which lie on the trunk)."""
    key = ("heights", atlas.size)
    if key not in template.cache:
        height, trunk = torch.zeros(atlas.size, atlas.size, device=template.device), torch.zeros_like(atlas.covered)
        triangle, weights = atlas.triangle[atlas.covered], atlas.barycentric[atlas.covered]
        height[atlas.covered] = points.position(template, triangle, weights)[:, 2]
        part = points.part(template, triangle, weights)
        trunk[atlas.covered] = torch.isin(part, part.new_tensor(_TORSO))
        template.cache[key] = height, trunk
    return template.cache[key]
