"""Weave, small folds and strands go on where nothing was seen: fine detail of the same kind of surface, patch by patch.

A network says what colour an unseen place has, on average; averages are smooth, and look like plastic beside the seen.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from bodymap.types import LAYER_NAMES
from bodymap.warping.windows import window_mean

_FINE = 5 / 256  # what varies within less than this share of the atlas's width is detail
_PATCH = 1 / 32  # side of a patch, share of the atlas's width
_WHOLE = (0.8, 0.3)  # share of a patch that has to be the layer's own; the second where there are none of the first
_FEWEST = 5  # patches that differ; fewer would repeat
_STRONGEST = 0.95  # quantile of the patches' strength: what is stronger is a pocket or a print, and stays where it is
_OUTLIER = 4.0  # times the median deviation: buttons and seams are no weave
_LIMIT = 0.06  # of brightness: what varies more is a print, and a print in shreds is worse than none


def continued_grain(
    colour: Float[Tensor, "texel texel rgb=3"],
    layer: Int[Tensor, "texel texel"],
    known: Bool[Tensor, "texel texel"],
    seed: int = 0,
) -> Float[Tensor, "texel texel rgb=3"]:
    """What to add to smooth colours where they are not known, so that they are as rough as what is; 0 elsewhere.

    Patches of a layer's own detail, at random places and mirrored at random, overlap by half; the squares of their
    weights sum to one, so that the sum is as strong as each.

    Args:
        colour: in [0, 1].  layer: index into LAYER_NAMES, 0 outside the islands.
        known: whose colour is a photo's.
        seed: of the random choices.
    """
    size = colour.shape[0]
    side = max(4, round(_PATCH * size) // 2 * 2)
    rng = torch.Generator().manual_seed(seed)
    added = torch.zeros_like(colour)
    image = colour.permute(2, 0, 1)[None]
    for kind in range(1, len(LAYER_NAMES)):
        mine = layer == kind
        wanted = mine & ~known
        if not bool(wanted.any()):
            continue
        detail, core = _detail(image, mine & known)
        source = _places(detail, core, side)
        if source is None:
            continue
        added = torch.where(wanted[..., None], _strewn(detail, source, wanted, side, rng), added)
    return added


def _detail(
    image: Float[Tensor, "1 rgb=3 texel texel"], known: Bool[Tensor, "texel texel"]
) -> tuple[Float[Tensor, "1 rgb=3 texel texel"], Float[Tensor, "1 1 texel texel"]]:
    """(what differs from the surroundings, where these are all known); of outliers only as much as is usual."""
    reach = max(3, round(_FINE * image.shape[-1]) | 1)
    weight = known[None, None].float()

    share = window_mean(weight, reach, "zero")
    core = (share > 0.999).float() * weight
    detail = (image - window_mean(image * weight, reach, "zero") / share.clamp_min(1e-6)) * core
    if bool(core.any()):
        limit = (_OUTLIER * detail[:, :, core[0, 0] > 0].abs().median()).clamp_max(_LIMIT)
        detail = detail.clamp(-limit, limit)
    return detail, core


def _places(
    detail: Float[Tensor, "1 rgb=3 texel texel"], core: Float[Tensor, "1 1 texel texel"], side: int
) -> Int[Tensor, "patch 2"] | None:
    """Upper left corners of patches with usual detail; None: too little of the surface is seen."""
    share = window_mean(core, side, "crop")[0, 0]
    strength = window_mean(detail.square().sum(1), side, "crop")[0] / share.clamp_min(1e-6)
    for whole in _WHOLE:
        rows, columns = torch.nonzero(share > whole).unbind(1)
        if len(rows) < _FEWEST:
            continue
        own = strength[rows, columns]
        high = torch.quantile(own[:: max(1, len(own) // 10000)], _STRONGEST)
        return torch.stack([rows, columns], 1)[own <= high]
    return None


def _strewn(
    detail: Float[Tensor, "1 rgb=3 texel texel"],
    source: Int[Tensor, "patch 2"],
    wanted: Bool[Tensor, "texel texel"],
    side: int,
    rng: torch.Generator,
) -> Float[Tensor, "texel texel rgb=3"]:
    """Patches from ``source`` over all that is wanted."""
    size, step = wanted.shape[0], side // 2
    # sines overlapping by half: their squares sum to one
    window = torch.sin((torch.arange(side) + 0.5) / side * torch.pi)
    window = (window[:, None] * window[None]).to(detail)
    padded = torch.zeros(3, size + 2 * side, size + 2 * side, device=detail.device)
    needed = functional.pad(wanted[None, None].float(), (side, side, side, side))
    needed = functional.max_pool2d(needed, side, step)[0, 0]
    for row, column in (torch.nonzero(needed) * step).tolist():
        pick = int(torch.randint(len(source), (), generator=rng))
        top, left = source[pick].tolist()
        patch = detail[0, :, top : top + side, left : left + side]
        if float(torch.rand((), generator=rng)) < 0.5:
            patch = patch.flip(-1)
        padded[:, row : row + side, column : column + side] += patch * window
    return padded[:, side:-side, side:-side].permute(1, 2, 0)
