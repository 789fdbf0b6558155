"""Skirts: cloth that hangs between the legs has no place of its own on the body; a smooth warp carries it whole.

The map of a skirt's pixels wavers between two legs, and a pattern taken through it swirls. From the places that both
pictures show, a cubic in the target's pixel coordinates is fitted to the source's: what it carries over stays straight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from apps.rerender.skirt import skirt_region
from apps.swap import regions
from apps.swap.regions import LOWER, UPPER
from bodymap.surface import Template
from bodymap.types import Correspondence
from bodymap.warping.blend import box_mean
from bodymap.warping.grid import erode, smoothing_reach
from bodymap.warping.image_to_texture import image_to_texture
from bodymap.warping.texture_to_image import look_up

if TYPE_CHECKING:
    from apps.swap.transfer import Source

CLOTH = (UPPER, LOWER)
# So much of the target's skirt must be seen on the source's.
_SEEN = 0.25
_DEGREE, _ROUNDS = 3, 6
# Points that do for the fit.
_POINTS = 6000
# Of the source's coordinates (share of its longer side): a fit that misses by more carries nothing.
_WORST = 0.05


def carried_over(
    template: Template, view: regions.TargetView, correspondence: Correspondence, source: Source
) -> tuple[Float[Tensor, "height width rgb=3"], Float[Tensor, "height width"]] | None:
    """The source's skirt on the target's, and how far it is to be used there; None unless both wear one.

    Args:
        correspondence: the target's, of the view.
    """
    theirs, own = source.skirt, skirt_region(correspondence)
    if theirs is None or own is None:
        return None
    height, width = theirs.shape
    row, column = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    places = np.stack([row, column, np.zeros_like(row)], -1).astype(np.float32)
    reach = smoothing_reach(source.correspondence)
    texture = image_to_texture(
        template, places, source.correspondence, source.seen.shape[0], layers=CLOTH, smooth=reach, close=0
    )
    found = look_up(template, texture.colour, view.grid, tuple(view.mask.shape), texture.seen.float())
    region = torch.from_numpy(own).to(view.mask.device) & view.mask
    known = region & (found.weight > 0.9)
    if float(known.sum()) < _SEEN * float(region.sum()):
        return None
    at = torch.nonzero(region)
    terms = _terms(at, region)
    there = known[region]
    fit = _fitted(terms[there], found.values[known][:, :2].double())
    if fit is None:
        return None
    place = torch.zeros(*region.shape, 2, device=region.device)
    place[region] = (terms @ fit).float()
    garment = torch.from_numpy(source.correspondence.mask & np.isin(source.correspondence.layer, CLOTH))
    photo = torch.from_numpy(source.photo.copy()).permute(2, 0, 1).float() / 255
    inside = erode(garment, 2)[None].float()
    sampled = functional.grid_sample(
        torch.cat([photo, inside]).to(region.device)[None], (place.flip(-1) * 2 - 1)[None], align_corners=False
    )[0].permute(1, 2, 0)
    # up to the waist both are one; where the source's skirt ends the texture goes on
    legs = regions.at_pixels(template, view, regions.nearness(template, regions.LEGS, regions.PART_FADE))
    good = erode((sampled[..., 3] > 0.99) & region, 1).float()
    weight = box_mean(good, view.radius) * (sampled[..., 3] > 0.99) * region
    return sampled[..., :3], weight * legs.clamp(0, 1)


def _terms(at: Tensor, region: Bool[Tensor, "height width"]) -> Float[Tensor, "n term"]:
    """Products of powers of row and column, each in [-1, 1] over the region."""
    low, high = at.min(0).values, at.max(0).values
    row, column = ((at - low) / (high - low).clamp_min(1) * 2 - 1).double().unbind(1)
    return torch.stack([row**i * column**j for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)], 1)


def _fitted(terms: Float[Tensor, "n term"], places: Float[Tensor, "n 2"]) -> Float[Tensor, "term 2"] | None:
    """Least absolute deviations, by reweighting: stray places have little to say. None: nothing smooth fits."""
    some = slice(None, None, max(1, len(terms) // _POINTS))
    terms, places = terms[some], places[some]
    weight = torch.ones(len(terms), 1, dtype=terms.dtype, device=terms.device)
    for _ in range(_ROUNDS):
        fit = torch.linalg.lstsq(terms * weight, places * weight).solution
        off = (terms @ fit - places).norm(dim=1, keepdim=True)
        weight = (off + 2e-3).rsqrt()
    return fit if float(off.median()) < _WORST else None
