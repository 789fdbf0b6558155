"""Cloth goes on where a garment was not seen, with its pattern and folds: the seen side shows them.

A network that has seen one side says what colour the other side has, on average; it cannot draw the cloth, and need
not. A large regular pattern is laid side by side with its mirror image; of other lively cloth, patches that fit.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from bodymap.types import LAYER_NAMES
from bodymap.warping.patches import fill_from_patches

GARMENTS = tuple(LAYER_NAMES.index(name) for name in ("upper", "lower"))
_SIDES = (0.16, 0.125, 0.094, 0.07)  # of a piece of cloth, of the atlas's width
_ENOUGH = 0.09  # a smaller one is no pattern that is seen to repeat
_SMALL = 0.15  # what the smallest piece has to be better by than the largest
_TYPICAL = 0.08  # a piece whose mean differs more from the garment's is a pocket, a lapel, a shirt under it
_WITHIN = (
    1.25  # a pattern varies within eighths of a piece; more than so many times that between them is something else
)
_LIVELY = 0.05  # standard deviation within them of cloth that has a pattern, or folds to be seen from afar
# Of a repeating pattern the autocorrelation rises by so much from one distance to a larger, or never falls (stripes)
_RINGS, _AGAIN, _ALONG = 12, 0.15, 0.6
_OUTLIER = 2.5  # median deviations from the cloth's colour: what is further off is something on it


def continued_pattern(
    colour: Float[Tensor, "texel texel rgb=3"],
    layer: Int[Tensor, "texel texel"],
    known: Bool[Tensor, "texel texel"],
) -> Float[Tensor, "texel texel rgb=3"]:
    """What to add to smooth colours where a garment is not known, so that its pattern goes on; 0 elsewhere.

    Args:
        colour: in [0, 1], of the whole atlas; smooth where not known.  layer: index into LAYER_NAMES.
        known: whose colour is a photo's.
    """
    added = torch.zeros_like(colour)
    for garment in GARMENTS:
        mine = layer == garment
        wanted, own = mine & ~known, mine & known
        if not bool(wanted.any()):
            continue
        found = _piece(colour, own)
        if found is None or found[1] < _LIVELY:
            continue  # plain cloth: the smooth colours are right
        (row, column, side), _ = found
        cloth = _without_slope(colour[row : row + side, column : column + side])
        if side >= _ENOUGH * len(colour) and _repeats(cloth):
            limit = _OUTLIER * cloth.abs().median()
            rows, columns = torch.nonzero(wanted).unbind(1)
            at = _there_and_back(rows - row, side), _there_and_back(columns - column, side)
            added[wanted] = cloth.clamp(-limit, limit)[at]
        else:
            added[wanted] = _patched(colour, own, wanted)
    return added


def _patched(
    colour: Float[Tensor, "texel texel rgb=3"], own: Bool[Tensor, "texel texel"], wanted: Bool[Tensor, "texel texel"]
) -> Float[Tensor, "n rgb=3"]:
    """Patches of the seen cloth, the ones that fit the smooth colours and each other, less the smooth colours."""
    picture = (colour.clamp(0, 1) * 255).round().byte().cpu().numpy()
    made = fill_from_patches(picture, wanted.cpu().numpy(), avoid=(~(own | wanted)).cpu().numpy(), guess=True)
    return torch.from_numpy(made).to(colour)[wanted] / 255 - colour[wanted]


def _repeats(cloth: Float[Tensor, "row column rgb=3"]) -> bool:
    """Whether it is like itself again at some distance, more than it is at a smaller one (stripes, checks)."""
    grey = cloth.mean(-1)
    grey, side = grey - grey.mean(), len(cloth)
    # autocorrelation by the power spectrum, each shift over what overlaps
    power, overlap = (
        torch.fft.irfft2(torch.fft.rfft2(x, (2 * side, 2 * side)).abs() ** 2, (2 * side, 2 * side))
        for x in (grey, torch.ones_like(grey))
    )
    half = side // 2
    like = torch.roll(power / overlap.clamp_min(1), (half, half), (0, 1))[: side + 1, : side + 1]
    like = like / like[half, half].clamp_min(1e-9)
    at = torch.arange(len(like), device=like.device) - half
    ring = (at[:, None] ** 2 + at**2).sqrt() / half * _RINGS
    best = torch.stack([like[(ring >= k) & (ring < k + 1)].max() for k in range(_RINGS)])
    return bool(((best - best.cummin(0).values).max() > _AGAIN) | (best.min() > _ALONG))


def _piece(
    colour: Float[Tensor, "texel texel rgb=3"], known: Bool[Tensor, "texel texel"]
) -> tuple[tuple[int, int, int], float] | None:
    """((row, column, side), how lively) of the square of known cloth that is most a pattern; None: there is none."""
    size, own = colour.shape[0], colour[known]
    if len(own) == 0:
        return None
    # a garment of two colours is neither on the average, one with something on it mostly the first
    typical = torch.stack([own.mean(0), own.median(0).values])
    image = torch.cat([colour.permute(2, 0, 1), known[None].float()])[None]
    best, least = None, float("inf")
    for share in _SIDES:
        cell = max(1, round(share * size / 8))
        cells, squared = (functional.avg_pool2d(values, cell) for values in (image, image[:, :3] ** 2))
        if min(cells.shape[-2:]) < 8:
            continue
        # means over squares of eight by eight cells; of what varies in them, that between the cells and that within
        squares = functional.avg_pool2d(cells, 8, 1)[0]
        mean, whole = squares[:3], squares[3] > 0.999
        between = functional.avg_pool2d(cells[:, :3] ** 2, 8, 1)[0] - mean**2
        within = functional.avg_pool2d(squared, 8, 1)[0] - mean**2 - between
        between, within = (variance.clamp_min(0).amax(0).sqrt() for variance in (between, within))
        off = (mean - typical[..., None, None]).abs().amax(1).amin(0)
        ratio = between / (within + 0.02)
        cost = ratio + 2 * off + _SMALL * (_SIDES[0] - share) / (_SIDES[0] - _SIDES[-1])
        cost = torch.where(whole & (off <= _TYPICAL) & (ratio <= _WITHIN), cost, torch.inf)
        row, column = divmod(int(cost.argmin()), cost.shape[1])
        if float(cost[row, column]) < least:
            least = float(cost[row, column])
            best = (row * cell, column * cell, 8 * cell), float(within[row, column])
    return best


def _without_slope(piece: Float[Tensor, "row column rgb=3"]) -> Float[Tensor, "row column rgb=3"]:
    """Less its best plane: the light's fall over the piece is not the cloth's."""
    side = len(piece)
    at = (torch.arange(side, device=piece.device, dtype=piece.dtype) + 0.5) / side - 0.5
    down, across = (12 * (piece * axis).mean((0, 1)) for axis in (at[:, None, None], at[None, :, None]))
    return piece - piece.mean((0, 1)) - down * at[:, None, None] - across * at[None, :, None]


def _there_and_back(offset: Int[Tensor, " n"], side: int) -> Int[Tensor, " n"]:
    """Places in a piece that is followed by its mirror image, again and again: no jump at its edges."""
    folded = offset % (2 * side)
    return torch.where(folded < side, folded, 2 * side - 1 - folded)
