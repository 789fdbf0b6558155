"""Edges in a photograph by its colours: the person's outline, and where one thing on them ends and the next begins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from bodymap.warping.blend import blurred_within, box_mean
from bodymap.warping.grid import dilate, erode

# Both sides must differ by so many of their own deviations for a pixel's colour to say on which it is ...
_TOLD_APART = (1.0, 2.0)
# ... and be off by so many of the outside's for it to be neither.
_STRANGE = (1.5, 3.0)
# ... to which this is added: noise, and light that falls off.
_NOISE = 0.04
# Where pixels of the same depth beside one are the person by these shares, so is this one.
_ALONG = (0.6, 0.85)


@dataclass(frozen=True)
class Outline:
    """Attributes:
    cover: the person's share of each pixel: 1 well inside, 0 outside the mask.
    clean: what to add to the photo's pixels so that they show the background alone, where ``cover`` is below 1.
    """

    cover: Float[Tensor, "height width"]
    clean: Float[Tensor, "height width rgb=3"]


@dataclass(frozen=True)
class Comparison:
    """Attributes:
    share: how much of each pixel is what lies inside, by its colour between the two sides'; in [0, 1].
    trust: how far the colours tell the sides apart, in [0, 1].
    strange: how far the pixel is neither the one, nor the other, nor a mixture of both, in [0, 1].
    apart: the colour inside less that outside.
    """

    share: Float[Tensor, "height width"]
    trust: Float[Tensor, "height width"]
    strange: Float[Tensor, "height width"]
    apart: Float[Tensor, "height width rgb=3"]


def outline(photo: Float[Tensor, "height width rgb=3"], mask: Bool[Tensor, "height width"], radius: int) -> Outline:
    """Compares each pixel along the mask's inner edge with the person's colours inside and the background's outside.

    A pixel on the edge mixes both: I = a F + (1 - a) B. Where they are alike the mask's own shape, softened, has to do.

    Args:
        radius: pixels; nothing changes further from the edge than this. The photo's rim is no edge.
    """
    band = mask & ~erode(mask, radius)
    if not bool(band.any()):
        return Outline(mask.float(), torch.zeros_like(photo))
    sides = _compared(photo, erode(mask, radius), ~dilate(mask, radius), 3 * radius)
    # half of a softened mask is its edge: shrunk by half a pixel it is 0 where the mask ends
    shape = (box_mean(mask.float(), max(1, radius // 2)) * 2 - 1).clamp(0, 1)
    # a shade of the old garment is still all garment: better too much of the new one than a rim of the old
    trust = sides.trust * (1 - sides.strange)
    cover = torch.lerp(shape, (sides.share * 1.8 - 0.2).clamp(0, 1), trust)
    # deeper inside a strange colour is a pattern of the cloth, not the background
    depth = (box_mean(mask.float(), radius) * 2 - 1).clamp(0, 1)
    cover = torch.maximum(cover, (depth * 2 - 1).clamp(0, 1))
    # and so is along the edge what no mixture with the background explains
    cover = torch.maximum(cover, sides.strange)
    cover = _without_flecks(torch.where(band, cover, mask.float()), mask, radius)
    return Outline(cover, torch.where(band[..., None], -sides.apart * (sides.share * trust)[..., None], 0.0))


def _without_flecks(
    cover: Float[Tensor, "height width"], mask: Bool[Tensor, "height width"], radius: int
) -> Float[Tensor, "height width"]:
    """The cover without what of the cloth's pattern looks like the background: that goes on to the outside, and along
    the outline."""
    inner = mask
    for _ in range(radius):
        shrunk = erode(inner, 1)
        # as the pixels beside it that lie as deep
        along = blurred_within(cover, inner & ~shrunk, 2 * radius)
        cover = torch.where(inner & ~shrunk, torch.maximum(cover, _ramp(along, _ALONG)), cover)
        inner = shrunk
    behind, reached = 1 - cover, (~mask).float()
    for _ in range(radius + 1):
        reached = torch.minimum(behind, max_pool2d(reached[None], 3, 1, 1)[0])
    return 1 - reached


def redrawn(
    region: Bool[Tensor, "height width"],
    photo: Float[Tensor, "height width rgb=3"],
    within: Bool[Tensor, "height width"],
    radius: int,
) -> Bool[Tensor, "height width"]:
    """The region with its edges where the photo's colours change, no further off than ``radius`` pixels.

    A label map is coarser than the photo: hems and hair end a few pixels beside where it says.

    Args:
        within: nothing outside is looked at or taken in.
    """
    inner, outer = erode(region | ~within, radius) & region, within & ~dilate(region, radius)
    band = within & ~inner & ~outer
    if not bool(band.any()) or not bool(inner.any()) or not bool(outer.any()):
        return region
    sides = _compared(photo, inner, outer, 2 * radius)
    # beside its edge the label has the more to say the nearer the colour is to both
    wanted = torch.lerp(region.float(), sides.share, sides.trust)
    smooth = box_mean(wanted * within, 1) / box_mean(within.float(), 1).clamp_min(1e-6)
    return torch.where(band, smooth > 0.5, region) & within


def _compared(
    photo: Float[Tensor, "height width rgb=3"],
    inner: Bool[Tensor, "height width"],
    outer: Bool[Tensor, "height width"],
    reach: int,
) -> Comparison:
    """Each pixel beside the mean colours of both sides, of what lies within ``reach`` of it."""
    person, behind = _local_mean(photo, inner, reach), _local_mean(photo, outer, reach)
    spread = [
        (_local_mean(photo.square(), where, reach) - mean.square()).clamp_min(0).mean(-1)
        for where, mean in ((inner, person), (outer, behind))
    ]
    apart = person - behind
    squared = apart.square().sum(-1)
    share = (((photo - behind) * apart).sum(-1) / squared.clamp_min(1e-4)).clamp(0, 1)
    trust = _ramp(squared.sqrt() / ((spread[0] + spread[1]).mul(1.5).sqrt() + _NOISE), _TOLD_APART)
    off = (photo - behind - share[..., None] * apart).norm(dim=-1)
    strange = _ramp(off / (spread[1].mul(3).sqrt() + _NOISE), _STRANGE)
    # in thin places (fingers, straps) there is no inside to compare with
    near = dilate(inner, reach) & dilate(outer, reach)
    return Comparison(share, trust * near, strange * dilate(outer, reach), apart)


def _ramp(values: Float[Tensor, "height width"], ends: tuple[float, float]) -> Float[Tensor, "height width"]:
    return ((values - ends[0]) / (ends[1] - ends[0])).clamp(0, 1)


def _local_mean(
    photo: Float[Tensor, "height width rgb=3"], where: Bool[Tensor, "height width"], radius: int
) -> Float[Tensor, "height width rgb=3"]:
    return torch.stack([blurred_within(channel, where, radius) for channel in photo.unbind(-1)], -1)
