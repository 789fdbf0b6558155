"""Fills a hole in a photograph with what the rest of it shows: patches that fit, from coarse to fine.

Every patch that touches the hole looks for the one most like it outside (PatchMatch: Barnes et al. 2009); the hole's
pixels are the mean of what all patches over them found (Wexler et al. 2007), on a pyramid. Fine detail is copied at the
photo's own size. A photograph's rows are of one depth, so patches from the same height are preferred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from bodymap.warping.grid import dilate
from bodymap.warping.pyramid import push_pull

_WORKING, _COARSEST = 256, 64  # longer sides of the finest and of the first level, pixels
_RADIUS = 3  # patches of 7 x 7
_FIRST, _ROUNDS = 8, 4  # matching and averaging on the first level, and on each finer one
_HEIGHT = 0.3  # cost of a patch from as far above or below as the photo is high (squared), against squared colours
_TRUST = 1.3  # what lies a pixel deeper in the hole counts so much less


@dataclass(frozen=True)
class _Level:
    """The photo at some size.

    Attributes:
        photo: in [0, 1]; means of what may be copied.
        hole: to be filled.  source: centres of patches that may be copied whole.
        wanted: (n, 2) rows and columns of the patches that touch the hole.
        trust: of each pixel, in (0, 1].
    """

    photo: Float[Tensor, "height width rgb=3"]
    hole: Bool[Tensor, "height width"]
    known: Bool[Tensor, "height width"]
    source: Bool[Tensor, "height width"]
    wanted: Int[Tensor, "n 2"]
    trust: Float[Tensor, "height width"]


def fill_from_patches(
    photo: UInt8[np.ndarray, "height width rgb=3"],
    hole: Bool[np.ndarray, "height width"],
    avoid: Bool[np.ndarray, "height width"] | None = None,
    seed: int = 0,
    guess: bool = False,
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """The photo without its hole; everything else stays to the byte. Some seconds of a CPU core.

    Args:
        avoid: nothing is copied from here (other people).
        guess: what the hole shows is where to begin from, a smooth guess; else what lies around it is spread into it.

    Raises:
        ValueError: the hole leaves nothing to copy from.
    """
    height, width = hole.shape
    colours, to_fill = torch.tensor(photo) / 255, torch.tensor(hole)
    usable = ~to_fill if avoid is None else ~(to_fill | torch.tensor(avoid))
    if not bool(usable.any()):
        raise ValueError("The hole is the whole photo: there is nothing to fill it from.")
    generator = torch.Generator().manual_seed(seed)
    filled, offsets, level = None, None, None
    for size in _sizes(height, width, _COARSEST if not guess else 2 * _COARSEST):
        level = _level(colours, to_fill, usable, size)
        if filled is None:
            filled = _scaled(colours, size) if guess else push_pull(level.photo, level.known.float(), 12)[0]
        start = _scaled(filled, size)
        filled = torch.where(level.hole[..., None], start, level.photo)
        if bool(level.source.any()):
            filled, offsets = _matched(level, filled, offsets, generator)
    # the smooth part from the level, the detail from where its patches were found
    smooth = _scaled(filled, (height, width))
    rows, columns = torch.nonzero(to_fill).unbind(1)
    made = smooth[rows, columns]
    if offsets is not None:
        down, across = level.hole.shape
        step = offsets[rows * down // height, columns * across // width] * torch.tensor([height / down, width / across])
        row = (rows + step[:, 0].round().long()).clamp(0, height - 1)
        column = (columns + step[:, 1].round().long()).clamp(0, width - 1)
        detail = colours - _scaled(_scaled(colours, (down, across)), (height, width))
        made = made + detail[row, column] * usable[row, column, None]
    out = photo.copy()
    out[hole] = (made.clamp(0, 1) * 255).round().byte().numpy()
    return out


def _sizes(height: int, width: int, coarsest: int) -> list[tuple[int, int]]:
    """Of the levels, the smallest first."""
    longest = max(height, width)
    sides = [min(longest, _WORKING)]
    while sides[-1] > coarsest:
        sides.append(sides[-1] // 2)
    return [(max(1, round(height * s / longest)), max(1, round(width * s / longest))) for s in reversed(sides)]


def _level(
    colours: Float[Tensor, "height width rgb=3"],
    hole: Bool[Tensor, "height width"],
    usable: Bool[Tensor, "height width"],
    size: tuple[int, int],
) -> _Level:
    # what lies in neither (other people) keeps its colours, but is no source
    outside = (~hole).float()
    stacked = torch.cat([colours * outside[..., None], outside[..., None], (~usable).float()[..., None]], -1)
    mean = functional.interpolate(stacked.permute(2, 0, 1)[None], size, mode="area")[0].permute(1, 2, 0)
    small = mean[..., 3] < 0.999
    source = ~dilate(mean[..., 4] > 0.001, _RADIUS)
    inside = torch.zeros_like(source)
    inside[_RADIUS : size[0] - _RADIUS, _RADIUS : size[1] - _RADIUS] = True
    depth = torch.from_numpy(ndimage.distance_transform_edt(small.numpy())).float()
    return _Level(
        mean[..., :3] / mean[..., 3:4].clamp_min(1e-6),
        small,
        mean[..., 3] > 0.5,
        source & inside,
        torch.nonzero(dilate(small, _RADIUS)),
        (_TRUST**-depth).clamp_min(0.02),
    )


def _matched(
    level: _Level,
    filled: Float[Tensor, "height width rgb=3"],
    offsets: Int[Tensor, "coarse_height coarse_width 2"] | None,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "height width rgb=3"], Int[Tensor, "height width 2"]]:
    """Matches and averages, again and again; the filled picture, and for its patches the way to what they took."""
    height, width = level.hole.shape
    side = 2 * _RADIUS + 1
    wanted = level.wanted
    flat = wanted[:, 0] * width + wanted[:, 1]
    patches = _patches(level.photo)
    weight = _patches(level.trust[..., None])[flat]
    weight = (weight / weight.sum(1, keepdim=True)).repeat(1, 3)
    nearest = ndimage.distance_transform_edt(~level.source.numpy(), return_distances=False, return_indices=True)
    nearest = torch.from_numpy(nearest).long().permute(1, 2, 0)

    def allowed(place: Int[Tensor, "n 2"]) -> Int[Tensor, "n 2"]:
        return nearest[place[:, 0].clamp(0, height - 1), place[:, 1].clamp(0, width - 1)]

    found = None
    if offsets is not None:
        down, across = offsets.shape[:2]
        way = offsets[wanted[:, 0] * down // height, wanted[:, 1] * across // width]
        found = allowed(wanted + (way * torch.tensor([height / down, width / across])).round().long())
    for _ in range(_FIRST if found is None or offsets is None else _ROUNDS):
        here = _patches(filled)[flat]
        if offsets is None:
            found = _best_of_all(level, patches, here, weight)
            cost = _cost(level, patches, here, weight, found)
        else:
            found, cost = _improved(level, patches, here, weight, found, allowed, generator)
        # patches that fit well, and lie near the rim, have more to say
        say = torch.exp(-cost / (2 * cost.quantile(0.75).clamp_min(1e-5)))
        say = (say * level.trust[wanted[:, 0], wanted[:, 1]])[:, None]
        votes = torch.zeros(height * width, 4 * side * side)
        votes[flat] = torch.cat([patches[found[:, 0] * width + found[:, 1]] * say, say.expand(-1, side * side)], 1)
        padded = (height + 2 * _RADIUS, width + 2 * _RADIUS)
        total = functional.fold(votes.T[None], padded, side)[0][:, _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
        mean = (total[:3] / total[3].clamp_min(1e-9)).permute(1, 2, 0)
        filled = torch.where(level.hole[..., None], mean, level.photo)
    result = torch.zeros(height, width, 2, dtype=torch.long)
    result[wanted[:, 0], wanted[:, 1]] = found - wanted
    return filled, result


def _cost(
    level: _Level,
    patches: Float[Tensor, "pixel value"],
    here: Float[Tensor, "n value"],
    weight: Float[Tensor, "n value"],
    place: Int[Tensor, "n 2"],
) -> Float[Tensor, " n"]:
    """Weighted mean square of the colours' differences, and the price of coming from another height."""
    height, width = level.hole.shape
    difference = patches[place[:, 0] * width + place[:, 1]] - here
    fall = (place[:, 0] - level.wanted[:, 0]).float() / height
    return (difference.square_() * weight).sum(1) + _HEIGHT * fall.square()


def _best_of_all(
    level: _Level,
    patches: Float[Tensor, "pixel value"],
    here: Float[Tensor, "n value"],
    weight: Float[Tensor, "n value"],
) -> Int[Tensor, "n 2"]:
    """The least of ``_cost`` over every source."""
    height, width = level.hole.shape
    sources = torch.nonzero(level.source)
    values = patches[sources[:, 0] * width + sources[:, 1]]
    squared, best = values.square(), []
    for start in range(0, len(here), 256):
        block = slice(start, start + 256)
        fall = (sources[None, :, 0] - level.wanted[block, 0:1]).float() / height
        cost = weight[block] @ squared.T - 2 * (weight[block] * here[block]) @ values.T + _HEIGHT * fall.square()
        best.append(cost.argmin(1))
    return sources[torch.cat(best)]


def _improved(
    level, patches, here, weight, found, allowed, generator
) -> tuple[Int[Tensor, "n 2"], Float[Tensor, " n"]]:
    """PatchMatch: what the neighbours found, one step on, and random places around, wherever these fit better."""
    height, width = level.hole.shape
    wanted = level.wanted
    cost = _cost(level, patches, here, weight, found)
    number = torch.full((height, width), -1)
    number[wanted[:, 0], wanted[:, 1]] = torch.arange(len(wanted))
    number = functional.pad(number, (4, 4, 4, 4), value=-1)

    def take(place: Int[Tensor, "n 2"], there: Bool[Tensor, " n"] | None = None) -> None:
        nonlocal found, cost
        other = _cost(level, patches, here, weight, place)
        better = other < cost if there is None else (other < cost) & there
        found, cost = torch.where(better[:, None], place, found), torch.where(better, other, cost)

    for step in (4, 1):
        for way in ((0, step), (0, -step), (step, 0), (-step, 0)):
            neighbour = number[wanted[:, 0] + way[0] + 4, wanted[:, 1] + way[1] + 4]
            take(allowed(found[neighbour.clamp_min(0)] - torch.tensor(way)), neighbour >= 0)
    reach = max(height, width) // 4
    while reach >= 1:
        take(allowed(found + torch.randint(-reach, reach + 1, found.shape, generator=generator)))
        reach //= 3
    return found, cost


def _patches(image: Float[Tensor, "height width c"]) -> Float[Tensor, "pixel value"]:
    """The patch around every pixel, channel after channel."""
    padded = functional.pad(image.permute(2, 0, 1)[None], (_RADIUS,) * 4, mode="replicate")
    return functional.unfold(padded, 2 * _RADIUS + 1)[0].T.contiguous()


def _scaled(image: Float[Tensor, "height width c"], size: tuple[int, int]) -> Float[Tensor, "rows columns c"]:
    """Means where smaller, bilinear where larger."""
    larger = size[0] > image.shape[0] or size[1] > image.shape[1]
    image = image.permute(2, 0, 1)[None]
    if larger:
        return functional.interpolate(image, size, mode="bilinear")[0].permute(1, 2, 0)
    return functional.interpolate(image, size, mode="area")[0].permute(1, 2, 0)
