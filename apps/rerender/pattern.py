"""Checks, stripes and prints go on where a garment was not seen: its own cloth, side by side with its mirror image.

A network that has seen one side says what colour the other side has, on average; it cannot draw the pattern, and need
not: the seen side shows it.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from bodymap.types import LAYER_NAMES

GARMENTS = tuple(LAYER_NAMES.index(name) for name in ("upper", "lower"))
_SIDES = (0.16, 0.125, 0.094, 0.07)  # of a piece of cloth, of the atlas's width
_ENOUGH = 0.12
_SMALL = 0.1  # what the smallest piece has to be better by than the largest
_OUTLIER = 2.5  # median deviations from the cloth's colour: what is further off is something on it
_PLAIN, _LIVELY = 0.04, 0.1  # standard deviation of a piece that is plain (folds, not a pattern), and that is not
_TYPICAL = 0.12  # a piece whose mean differs more from the garment's is a pocket, a lapel, a shirt under it


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
        wanted = mine & ~known
        if not bool(wanted.any()):
            continue
        found = _piece(colour, mine & known)
        if found is None:
            continue
        row, column, side = found
        cloth = _without_slope(colour[row : row + side, column : column + side])
        limit = _OUTLIER * cloth.abs().median()
        cloth = cloth.clamp(-limit, limit)
        strength = float(((cloth.std() - _PLAIN) / (_LIVELY - _PLAIN)).clamp(0, 1))
        strength *= min(1.0, side / (_ENOUGH * len(colour)))  # of a small one less is known
        if strength == 0:
            continue
        rows, columns = torch.nonzero(wanted).unbind(1)
        added[rows, columns] = (
            strength * cloth[_there_and_back(rows - row, side), _there_and_back(columns - column, side)]
        )
    return added


def _piece(
    colour: Float[Tensor, "texel texel rgb=3"], known: Bool[Tensor, "texel texel"]
) -> tuple[int, int, int] | None:
    """(row, column, side) of the square of known cloth that looks most like the garment; None: there is none."""
    size, own = colour.shape[0], colour[known]
    if len(own) == 0:
        return None
    # a garment of two colours is neither on the average, one with something on it mostly the first
    typical = torch.stack([own.mean(0), own.median(0).values])
    image = torch.cat([colour.permute(2, 0, 1), known[None].float()])[None]
    best: tuple[float, tuple[int, int, int]] | None = None
    for share in _SIDES:
        cell = max(1, round(share * size / 8))
        # means over eighths of a side, over squares of eight by eight of them, and over their quarters
        cells = functional.avg_pool2d(image, cell)
        if min(cells.shape[-2:]) < 8:
            continue
        squares = functional.avg_pool2d(cells, 8, 1)[0]
        quarters = functional.avg_pool2d(cells[:, :3], 4, 1)[0]
        down, across = squares.shape[1:]
        corners = torch.stack([quarters[:, a : a + down, b : b + across] for a in (0, 4) for b in (0, 4)])
        # quarters that differ: a seam, an edge, a shadow across the square
        uneven = (corners - squares[None, :3]).abs().amax((0, 1))
        off = (squares[None, :3] - typical[..., None, None]).abs().amax(1).amin(0)
        cost = off + uneven + _SMALL * (_SIDES[0] - share) / (_SIDES[0] - _SIDES[-1])
        cost = torch.where((squares[3] > 0.999) & (off <= _TYPICAL), cost, torch.inf)
        row, column = divmod(int(cost.argmin()), across)
        least = float(cost[row, column])
        if least < (torch.inf if best is None else best[0]):
            best = least, (row * cell, column * cell, 8 * cell)
    return None if best is None else best[1]


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
