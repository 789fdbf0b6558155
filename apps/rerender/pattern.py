"""Cloth goes on where a garment was not seen, with its pattern and folds: the seen side shows them.

A network that has seen one side says what colour the other side has, on average; it cannot draw the cloth, and need
not: what lies opposite on the body, at the same height, has the same checks, which so meet in the side seams, and folds
of the same kind. Where that was not seen either, lively cloth goes on in patches that fit.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.types import LAYER_NAMES
from bodymap.warping.image_to_texture import PartialTexture
from bodymap.warping.patches import fill_from_patches
from bodymap.warping.windows import mean_within, window_mean

GARMENTS = tuple(LAYER_NAMES.index(name) for name in ("upper", "lower"))
_SIDE = 1 / 12  # of the windows, share of the atlas's width: what varies within is cloth, the rest is light and colour
_NEAR = 1 / 40  # of smaller windows, whose means tell a shirt in an open jacket from the jacket:
_APART, _STRONG = 0.12, 1.5  # they differ by more than this, and by so many times what varies within the windows
_RIM = 1 / 128  # about hems, collars and what was told apart
_USUAL = 1.2  # times the garment's usual strength: what stands out more is a print or a pocket, and stays where it is
_LIVELY = 0.05  # standard deviation within windows of cloth that has a pattern, or folds to be seen from afar


def continued_pattern(
    colour: Float[Tensor, "texel texel rgb=3"],
    layer: Int[Tensor, "texel texel"],
    known: Bool[Tensor, "texel texel"],
    facing: PartialTexture,
    bands: Bool[Tensor, "texel texel"] | None = None,
) -> Float[Tensor, "texel texel rgb=3"]:
    """What to add to smooth colours where a garment is not known, so that its pattern goes on; 0 elsewhere.

    Args:
        colour: in [0, 1], of the whole atlas; smooth where not known.  layer: index into LAYER_NAMES.
        known: whose colour is a photo's.
        facing: what lies opposite (``opposite.laid_opposite``).
        bands: what consists of bands; nothing is added there.
    """
    added = torch.zeros_like(colour)
    size = len(colour)
    wide, near, rim = (max(3, round(share * size) | 1) for share in (_SIDE, _NEAR, _RIM))
    for garment in GARMENTS:
        mine = (layer == garment) if bands is None else (layer == garment) & ~bands
        wanted, own = mine & ~known, mine & known
        if not bool(wanted.any()) or not bool(own.any()):
            continue
        typical = colour[own].median(0).values
        usual = float(_strength(_cloth(colour, own, wide)[0], own, wide)[own].median())
        there = facing.seen & (facing.layer == garment)
        local = _cloth(facing.colour, there, near)[1]
        # unlike both what the place should have and the garment as a whole
        off = torch.minimum(*((local - other).abs().amax(-1) for other in (_cloth(colour, mine, near)[1], typical)))
        there &= off < max(_APART, _STRONG * usual)
        there &= window_mean(((layer > 0) & ~there)[None].float(), rim, "zero")[0] < 0.5 / rim**2
        cloth = _cloth(facing.colour, there, wide)[0]
        strength = _strength(cloth, there, wide)
        cloth = cloth * (_USUAL * usual / strength.clamp_min(1e-6)).clamp_max(1).square()[..., None]
        laid = wanted & there
        added[laid] = cloth[laid]
        rest = wanted & ~laid
        if usual > _LIVELY and bool(rest.any()):
            added[rest] = _patched(colour + added, own | laid, rest)
    return added


def _cloth(
    colour: Float[Tensor, "texel texel rgb=3"], where: Bool[Tensor, "texel texel"], reach: int
) -> tuple[Float[Tensor, "texel texel rgb=3"], Float[Tensor, "texel texel rgb=3"]]:
    """(what differs from the mean around it, that mean); of what lies in ``where``."""
    weight = where[None, None].to(colour.dtype)
    image = colour.permute(2, 0, 1)[None]
    mean = mean_within(image, weight, reach)
    return ((image - mean) * weight)[0].permute(1, 2, 0), mean[0].permute(1, 2, 0)


def _strength(
    cloth: Float[Tensor, "texel texel rgb=3"], where: Bool[Tensor, "texel texel"], reach: int
) -> Float[Tensor, "texel texel"]:
    """Standard deviation of the cloth's brightness (``_cloth``) in the window around each texel."""
    squares = cloth.mean(-1).square()[None, None]
    return mean_within(squares, where[None, None].to(cloth.dtype), reach)[0, 0].clamp_min(0).sqrt()


def _patched(
    colour: Float[Tensor, "texel texel rgb=3"], own: Bool[Tensor, "texel texel"], wanted: Bool[Tensor, "texel texel"]
) -> Float[Tensor, "n rgb=3"]:
    """Patches of the seen cloth, the ones that fit the smooth colours and each other, less the smooth colours."""
    picture = (colour.clamp(0, 1) * 255).round().byte().cpu().numpy()
    made = fill_from_patches(picture, wanted.cpu().numpy(), avoid=(~(own | wanted)).cpu().numpy(), guess=True)
    return torch.from_numpy(made).to(colour)[wanted] / 255 - colour[wanted]
