"""The colours of the source's hair in the target's own strands; cut and length stay the target's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from apps.swap import regions
from apps.swap.labels import DEEP, FIRM, bins, log_ratio
from apps.swap.regions import HAIR, UPPER
from bodymap.errors import UserError
from bodymap.surface import Template
from bodymap.warping import blend
from bodymap.warping.grid import dilate, erode
from bodymap.warping.image_to_texture import PartialTexture

if TYPE_CHECKING:
    from apps.swap.transfer import Source

# Of the pixels' lightness: what lies outside is a highlight, a hairpin, a piece of something else.
_DARKEST, _LIGHTEST = 0.03, 0.97
# How much livelier or duller strands may become: black hair's noise is no fair hair's strands.
_LIVELIER = (0.5, 2.2)
_STEPS = 24
_FEWEST = 60
# Shares of the texture's side: so far beyond hair on the garment the map's edge may be off, and so far its ends may
# fall (1.3 and 6 cm on the torso); these have more than that share of the hair's colour, the rest being the cloth's.
_RIM, _ENDS, _HAIRS = 8 / 1024, 36 / 1024, 0.35
# of the cloth further off no more than that share may lie so far towards the hair's colour
_ALIKE = 0.03


def exchange(
    template: Template,
    view: regions.TargetView,
    source: Source,
) -> tuple[Float[Tensor, "height width rgb=3"], Float[Tensor, "height width"]]:
    """The target's hair in the source's colours.

    Raises:
        UserError: one of them shows no hair.
    """
    c = source.correspondence
    theirs = torch.from_numpy((c.layer == HAIR) & c.mask).to(view.mask.device)
    own = (view.layer == HAIR) & view.mask
    if int(theirs.sum()) < _FEWEST:
        raise UserError("The source's photo shows no hair; choose another.")
    if int(own.sum()) < _FEWEST:
        raise UserError("The target's photo shows no hair to exchange; choose another.")
    photo = torch.from_numpy(source.photo.copy()).to(view.photo.device).float() / 255
    picture = recoloured(view.photo, own, photo, theirs, view.radius)
    return picture, blend.soft_matte(own.float(), view.photo, view.mask, 2 * view.radius)


def wisps(partial: PartialTexture, hair: Bool[Tensor, "texel texel"]) -> Bool[Tensor, "texel texel"]:
    """Ends of hair on the garment that the map has for cloth: a rim beside it, and further off by their colour.

    They are wisps in colours that are the hair's and not the cloth's, or mixed with that: then they lie on the line
    from the cloth's colour to the hair's. Where the cloth itself does the two are not told apart: the rim has to do.
    """
    cloth, reach = partial.seen & (partial.layer == UPPER), [round(r * len(hair)) for r in (_RIM, _ENDS, 3 * _ENDS)]
    rim, near, around = (cloth & dilate(hair, max(1, radius)) for radius in reach)
    around &= ~near
    if min(int(hair.sum()), int(around.sum())) < _FEWEST:
        return rim
    middle = partial.colour[around].median(0).values
    apart = partial.colour[hair].median(0).values - middle
    share = ((partial.colour - middle) * apart).sum(-1) / apart.square().sum().clamp_min(1e-4)
    colours = (partial.colour * 255).round().byte().cpu().numpy()
    own, other = hair.cpu().numpy(), around.cpu().numpy()
    ratio = log_ratio(colours[own], colours[other])[bins(colours)]
    ends = rim | near & torch.from_numpy(ratio > FIRM + DEEP).to(near.device)
    told_apart = float((share[around] > _HAIRS).float().mean()) <= _ALIKE
    return ends | near & (share > _HAIRS) if told_apart else ends


def recoloured(photo, own, other, theirs, radius: int) -> Float[Tensor, "height width rgb=3"]:
    """The photo with the colours of other hair where its own hair is: dark strands as its dark ones, light as light.

    Args:
        photo, own: a picture and where its hair is.
        other, theirs: the same of whose colours are taken.
    """
    # along the edges of hair it is mixed with what is behind
    inside, around = (_core(where, radius) for where in (own, theirs))
    colours = other[around]
    light = blend.luminance(colours)
    levels = torch.linspace(_DARKEST, _LIGHTEST, _STEPS, device=photo.device)
    at = torch.quantile(_some(light), levels)
    ramp = _ramp(colours, light, at)
    mine = blend.luminance(photo)
    middle, spread = _spread(mine[inside])
    middle_other, spread_other = _spread(light)
    gain = float((spread_other / spread.clamp_min(1e-3)).clamp(*_LIVELIER))
    wanted = middle_other + (mine - middle) * gain
    # what is lighter or darker than any of the source's hair is the lightest or darkest of it, and as much more so
    position = torch.searchsorted(at, wanted.contiguous()).clamp(1, _STEPS - 1)
    low, high = at[position - 1], at[position]
    share = ((wanted - low) / (high - low).clamp_min(1e-4)).clamp(0, 1)
    colour = torch.lerp(ramp[position - 1], ramp[position], share[..., None])
    beyond = (wanted - wanted.clamp(float(at[0]), float(at[-1])))[..., None]
    return (colour + 0.6 * beyond).clamp(0, 1)


def _core(where, radius: int):
    core = erode(where, radius)
    return core if int(core.sum()) >= _FEWEST else where


def _some(values: Float[Tensor, " n"], most: int = 200_000) -> Float[Tensor, " some"]:
    return values[:: max(1, -(-len(values) // most))]


def _spread(light: Float[Tensor, " n"]) -> tuple[Tensor, Tensor]:
    """Median, and half the way between the 16th and the 84th percentile."""
    low, middle, high = torch.quantile(_some(light), torch.tensor([0.16, 0.5, 0.84], device=light.device))
    return middle, (high - low) / 2


def _ramp(
    colours: Float[Tensor, "n rgb=3"], light: Float[Tensor, " n"], at: Float[Tensor, " step"]
) -> Float[Tensor, "step rgb=3"]:
    """The mean colour of the hair at each lightness, evened from step to step."""
    step = torch.bucketize(light, (at[1:] + at[:-1]) / 2)
    total = torch.zeros(len(at), 3, device=at.device).index_add_(0, step, colours)
    mean = total / torch.bincount(step, minlength=len(at)).clamp_min(1)[:, None]
    known = torch.bincount(step, minlength=len(at)) > 0
    nearest = (torch.arange(len(at), device=at.device)[:, None] - torch.nonzero(known)[:, 0]).abs().argmin(1)
    mean = mean[known][nearest]
    padded = functional.pad(mean.T[None], (2, 2), mode="replicate")
    return functional.avg_pool1d(padded, 5, 1)[0].T
