"""Skirts and heads in one piece, by a smooth warp: cloth between the legs has no place of its own on the body, and on a
face a pixel shows by which the map is off.

The map of a skirt's pixels wavers between two legs, and a pattern taken through it swirls. From the places that both
pictures show, a cubic in the target's pixel coordinates is fitted to the source's: what it carries over stays straight.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from apps.rerender.skirt import skirt_region
from apps.swap import regions
from apps.swap.labels import HAIR
from apps.swap.regions import LOWER, SKIN, UPPER
from bodymap.surface import Template
from bodymap.types import PART_NAMES, Correspondence
from bodymap.warping import blend
from bodymap.warping.grid import dilate, erode, smoothing_reach
from bodymap.warping.image_to_texture import image_to_texture
from bodymap.warping.pyramid import push_pull
from bodymap.warping.texture_to_image import look_up

if TYPE_CHECKING:
    from apps.swap.transfer import Source

CLOTH = (UPPER, LOWER)
# So much of the target's must be seen on the source's, and no less than _FEWEST pixels.
_SEEN = 0.25
_DEGREE, _ROUNDS = 3, 6
# Points that do for the fit.
_POINTS = 6000
_FEWEST = 200
# Metres above the legs over which a skirt gives way to the texture.
_HIPS = 0.25
# Either leg's parts. The tone beside a seam is that of so much of the person's size; its step fades over so much.
_SIDES = tuple(tuple(k for k in regions.LEGS if PART_NAMES[k].startswith(side)) for side in ("left", "right"))
_BESIDE, _FADES = 1 / 80, 1 / 6
# Lightness, or its logarithm, that varies by so much across a seam shows an edge there.
_EDGE = (0.12, 0.4)
_BLACK = 0.05
# Two tones are of one hue when the cosine between their colours less their grey is more, or one is next to grey.
_SAME_HUE, _GREY = 0.8, 0.03
# Of the source's coordinates (share of its longer side): a fit that misses by more carries nothing.
_WORST = 0.05


def carried_over(
    template: Template, view: regions.TargetView, correspondence: Correspondence, source: Source
) -> tuple[Float[Tensor, "height width rgb=3"], Float[Tensor, "height width"]] | None:
    """The source's skirt on the target's, and how far it is to be used there; None unless both wear one.

    Args:
        correspondence: the target's, of the view.
    """
    own = skirt_region(correspondence)
    if source.skirt is None or own is None:
        return None
    # up to the waist both are one; where the source's skirt ends the texture goes on
    legs = regions.at_pixels(template, view, regions.nearness(template, regions.LEGS, _HIPS))
    layers = view.layer.new_tensor(CLOTH)
    trunk = torch.isin(view.part, view.part.new_tensor(regions.TORSO)) & torch.isin(view.layer, layers) & (legs > 0)
    region = (torch.from_numpy(own).to(view.mask.device) | trunk) & view.mask
    found = _warped(template, view, source, region, region, source.correspondence.mask, CLOTH, _DEGREE)
    return None if found is None else (found[0], found[1] * legs.clamp(0, 1))


def without_seam(
    view: regions.TargetView, picture: Float[Tensor, "height width rgb=3"]
) -> Float[Tensor, "height width rgb=3"]:
    """The picture without the step between two trouser legs' tones where they meet on the target and its photo shows
    no edge: on a skirt.

    What is between the legs was in their shade, or was not seen; on a skirt both sides of the line lie in one light.
    Either side takes half of the step, less the further from it.
    """
    cloth = view.mask & torch.isin(view.layer, view.layer.new_tensor(CLOTH))
    sides = [cloth & torch.isin(view.part, view.part.new_tensor(part)) for part in _SIDES]
    seam = dilate(sides[0], 1) & dilate(sides[1], 1) & (sides[0] | sides[1])
    radius, levels = max(2, round(_BESIDE * view.extent)), max(1, round(math.log2(_FADES * view.extent)))
    # how far the photo's lightness varies across it, by itself and by its logarithm: on black cloth, too
    light = blend.box_mean(blend.luminance(view.photo), 1)
    light = torch.stack([light / _EDGE[0], (light + _BLACK).log() / _EDGE[1]])
    varies = sum(functional.max_pool2d(sign * light, 2 * view.radius + 1, 1, view.radius) for sign in (1, -1))
    weight = seam * (1 - varies.amax(0)).clamp(0, 1)
    if float(weight.sum()) < radius:
        return picture
    beside = [
        torch.stack([blend.blurred_within(channel, side, radius) for channel in picture.unbind(-1)], -1)
        for side in sides
    ]
    # a leg may have a colour of its own: another hue is no shade
    hues = [colour - colour.mean(-1, keepdim=True) for colour in beside]
    strength = [hue.norm(dim=-1) for hue in hues]
    alike = (hues[0] * hues[1]).sum(-1) > _SAME_HUE * strength[0] * strength[1]
    weight = weight * (alike | (torch.minimum(*strength) < _GREY))
    # of all along it: what is nearer has more to say, and where there is an edge nothing is
    step, reach = push_pull((beside[1] - beside[0]) * seam[..., None], weight, levels)
    change = step * reach[..., None] / 2
    for side, sign in zip(sides, (1, -1), strict=True):
        picture = torch.where(side[..., None], picture + sign * change, picture)
    return picture.clamp(0, 1)


def head_over(
    template: Template, view: regions.TargetView, source: Source
) -> tuple[Float[Tensor, "height width rgb=3"], Float[Tensor, "height width"]] | None:
    """The source's head in one piece where the target's is, and how far it is to be used there.

    By one affine map: a face whose places each go by themselves is stretched where the two maps differ by a pixel.
    None where none fits: one looks aside.
    """
    c, layers = source.correspondence, (SKIN, HAIR)
    there = (c.part == regions.HEAD) | (c.layer == HAIR)
    region = view.mask & ((view.part == regions.HEAD) & (view.layer == SKIN) | (view.layer == HAIR))
    return _warped(template, view, source, region, region & (view.part == regions.HEAD), there & c.mask, layers, 1)


def _warped(
    template: Template,
    view: regions.TargetView,
    source: Source,
    region: Bool[Tensor, "height width"],
    fitted: Bool[Tensor, "height width"],
    there: Bool[np.ndarray, "source_height source_width"],
    layers: tuple[int, ...],
    degree: int,
) -> tuple[Float[Tensor, "height width rgb=3"], Float[Tensor, "height width"]] | None:
    """A piece of the source's photo on a region of the target's, and where it covers that; None: no smooth map fits.

    Args:
        fitted: the part of the region whose places the map is fitted to.
        there, layers: what of the source's photo may be shown.
    """
    height, width = source.correspondence.size
    row, column = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    places = np.stack([row, column, np.zeros_like(row)], -1).astype(np.float32)
    reach = smoothing_reach(source.correspondence)
    texture = image_to_texture(
        template, places, source.correspondence, source.seen.shape[0], layers=layers, smooth=reach, close=0
    )
    found = look_up(template, texture.colour, view.grid, tuple(view.mask.shape), texture.seen.float())
    known = fitted & (found.weight > 0.9)
    own = there & np.isin(source.correspondence.layer, layers)
    if float(known.sum()) < max(_SEEN * float(fitted.sum()), _FEWEST) or not own.any():
        return None
    terms = _terms(torch.nonzero(region), region, degree)
    # what is small in the picture must fit the better
    size = max(np.ptp(np.flatnonzero(own.any(axis))) / own.shape[1 - axis] for axis in (0, 1))
    fit = _fitted(terms[known[region]], found.values[known][:, :2].double(), _WORST * min(1, 2 * size))
    if fit is None:
        return None
    place = torch.zeros(*region.shape, 2, device=region.device)
    place[region] = (terms @ fit).float()
    photo = torch.from_numpy(source.photo.copy()).permute(2, 0, 1).float() / 255
    inside = erode(torch.from_numpy(own), 2)[None].float()
    sampled = functional.grid_sample(
        torch.cat([photo, inside]).to(region.device)[None], (place.flip(-1) * 2 - 1)[None], align_corners=False
    )[0].permute(1, 2, 0)
    good = erode((sampled[..., 3] > 0.99) & region, 1).float()
    weight = blend.box_mean(good, view.radius) * (sampled[..., 3] > 0.99) * region
    return sampled[..., :3], weight


def _terms(at: Tensor, region: Bool[Tensor, "height width"], degree: int = _DEGREE) -> Float[Tensor, "n term"]:
    """Products of powers of row and column, each in [-1, 1] over the region."""
    low, high = at.min(0).values, at.max(0).values
    row, column = ((at - low) / (high - low).clamp_min(1) * 2 - 1).double().unbind(1)
    return torch.stack([row**i * column**j for i in range(degree + 1) for j in range(degree + 1 - i)], 1)


def _fitted(
    terms: Float[Tensor, "n term"], places: Float[Tensor, "n 2"], worst: float = _WORST
) -> Float[Tensor, "term 2"] | None:
    """Least absolute deviations, by reweighting: stray places have little to say. None: nothing smooth fits."""
    some = slice(None, None, max(1, len(terms) // _POINTS))
    terms, places = terms[some], places[some]
    weight = torch.ones(len(terms), 1, dtype=terms.dtype, device=terms.device)
    for _ in range(_ROUNDS):
        fit = torch.linalg.lstsq(terms * weight, places * weight).solution
        off = (terms @ fit - places).norm(dim=1, keepdim=True)
        weight = (off + 2e-3).rsqrt()
    return fit if float(off.median()) < worst else None
