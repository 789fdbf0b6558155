"""The photo's pixel grid as a piece of surface: which neighbouring pixels show neighbouring places, and how sharply."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from bodymap.surface import Template, points
from bodymap.types import Correspondence
from bodymap.warping.atlas import triangle_islands
from bodymap.warping.windows import runs

# Neighbouring pixels belong together while their places lie within this many typical steps of that part of the picture.
TOGETHER = 4.0
# A step this much longer than typical, and longer than 3 cm, is an edge of the body against itself (an arm before the
# chest): there the photo's colours are mixed.
EDGE, EDGE_METRES = 8.0, 0.03
# By how much more uv a step may span than its island's median pixel does: texture is spread unevenly.
UV_SLACK = 3.0
_BLOCK = 16


@dataclass(frozen=True)
class PixelGrid:
    """The part of a photo around the person, each pixel with its place on the template; on the template's device.

    Attributes:
        top, left: where the cut-out begins in the photo, pixels.
        valid: pixels to be used.
        position: place on the rest template, metres; 0 where never valid.
        uv: its texture coordinates; 0 where never valid.
        island: its UV island, -1 where never valid.
        confidence: in [0, 1].
        step: typical distance on the template between neighbouring pixels hereabouts, metres.
    """

    top: int
    left: int
    valid: Bool[Tensor, "height width"]
    position: Float[Tensor, "height width xyz=3"]
    uv: Float[Tensor, "height width uv=2"]
    island: Int[Tensor, "height width"]
    confidence: Float[Tensor, "height width"]
    step: Float[Tensor, "height width"]

    @property
    def window(self) -> tuple[slice, slice]:
        """The cut-out as (rows, columns) of the photo."""
        height, width = self.valid.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def pixel_grid(template: Template, correspondence: Correspondence) -> PixelGrid | None:
    """The grid of all foreground pixels; None where there are none."""
    mask = correspondence.mask & (correspondence.triangle >= 0)
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def cut(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array[window])).to(template.device)

    valid = cut(mask)
    triangle, barycentric = cut(correspondence.triangle)[valid].long(), cut(correspondence.barycentric)[valid].float()
    position, uv, island = places(template, valid, triangle, barycentric)
    confidence = cut(correspondence.confidence).float() * valid
    step = _typical_step(position, valid)
    return PixelGrid(int(rows[0]), int(columns[0]), valid, position, uv, island, confidence, step)


def smoothing_reach(correspondence: Correspondence) -> int:
    """Pixels over which a predicted map is evened: about one percent of the person."""
    rows, columns = np.flatnonzero(correspondence.mask.any(1)), np.flatnonzero(correspondence.mask.any(0))
    return max(1, round(0.01 * max(rows[-1] - rows[0], columns[-1] - columns[0])))


def places(
    template: Template,
    valid: Bool[Tensor, "height width"],
    triangle: Int[Tensor, " point"],
    barycentric: Float[Tensor, "point 3"],
) -> tuple[Float[Tensor, "height width xyz=3"], Float[Tensor, "height width uv=2"], Int[Tensor, "height width"]]:
    """(position, uv, island) of the valid pixels' surface points, as a PixelGrid has them."""
    position = torch.zeros(*valid.shape, 3, device=template.device)
    position[valid] = points.position(template, triangle, barycentric)
    uv = torch.zeros(*valid.shape, 2, device=template.device)
    uv[valid] = points.uv(template, triangle, barycentric)
    island = torch.full(valid.shape, -1, dtype=torch.long, device=template.device)
    island[valid] = triangle_islands(template)[triangle]
    return position, uv, island


def neighbour_steps(
    position: Float[Tensor, "height width xyz=3"], valid: Bool[Tensor, "height width"]
) -> tuple[Float[Tensor, "height width-1"], Float[Tensor, "height-1 width"]]:
    """Distances of each pixel to those on its right and below, metres; infinite where one is not valid."""
    right = (position[:, 1:] - position[:, :-1]).norm(dim=-1)
    below = (position[1:] - position[:-1]).norm(dim=-1)
    right = right.masked_fill(~(valid[:, 1:] & valid[:, :-1]), torch.inf)
    below = below.masked_fill(~(valid[1:] & valid[:-1]), torch.inf)
    return right, below


def erode(mask: Bool[Tensor, "height width"], pixels: int) -> Bool[Tensor, "height width"]:
    """Removes what lies within ``pixels`` (chessboard distance) of the outside; the picture's rim counts as inside."""
    return ~dilate(~mask, pixels)


def dilate(mask: Bool[Tensor, "height width"], pixels: int) -> Bool[Tensor, "height width"]:
    """Adds what lies within ``pixels`` (chessboard distance)."""
    if pixels <= 0:
        return mask
    grown = functional.pad(mask, (pixels,) * 4)
    for axis in (0, 1):
        grown = runs(grown, 2 * pixels + 1, axis, torch.logical_or)
    return grown


def drop_mixed(grid: PixelGrid, silhouette: int, at_border: tuple[bool, bool, bool, bool]) -> PixelGrid:
    """Drops pixels of mixed colour: near the silhouette, and beside edges of the body against itself.

    Args:
        silhouette: pixels taken off along the outline.
        at_border: (top, bottom, left, right): the cut-out ends at the photo's own rim, which is no silhouette.
    """
    top, bottom, left, right = at_border
    outside = functional.pad(~grid.valid, (silhouette,) * 4, value=True)
    if silhouette:
        outside[:silhouette] &= not top
        outside[-silhouette:] &= not bottom
        outside[:, :silhouette] &= not left
        outside[:, -silhouette:] &= not right
        outside = dilate(outside, silhouette)[silhouette:-silhouette, silhouette:-silhouette]

    to_right, to_below = neighbour_steps(grid.position, grid.valid)
    limit = (EDGE * grid.step).clamp_min(EDGE_METRES)
    torn_right = (to_right > limit[:, 1:]) & to_right.isfinite()
    torn_below = (to_below > limit[1:]) & to_below.isfinite()
    torn = functional.pad(torn_right, (0, 1)) | functional.pad(torn_right, (1, 0))
    torn |= functional.pad(torn_below, (0, 0, 0, 1)) | functional.pad(torn_below, (0, 0, 1, 0))
    return replace(grid, valid=grid.valid & ~outside & ~torn)


def uv_per_metre(grid: PixelGrid) -> Float[Tensor, " island"]:
    """For each island how much uv a metre spans in the median over the photo's pixels."""
    count = max(1, int(grid.island.max()) + 1)
    metres = (grid.position[:, 1:] - grid.position[:, :-1]).norm(dim=-1)
    span = (grid.uv[:, 1:] - grid.uv[:, :-1]).norm(dim=-1)
    usable = grid.valid[:, 1:] & grid.valid[:, :-1] & (grid.island[:, 1:] == grid.island[:, :-1]) & (metres > 1e-6)
    ratio, island = (span / metres.clamp_min(1e-6))[usable], grid.island[:, 1:][usable]
    result = torch.ones(count, device=ratio.device)
    for i in range(count):
        own = ratio[island == i]
        if len(own):
            result[i] = own.median()
    return result


def _typical_step(
    position: Float[Tensor, "height width xyz=3"], valid: Bool[Tensor, "height width"]
) -> Float[Tensor, "height width"]:
    """The median step of each block of pixels, kept within a factor 4 of the whole picture's, spread to the pixels.

    Maps enlarged from coarser ones stand still for a few pixels and then jump: steps over a few pixels count as well.
    """
    height, width = valid.shape
    stride = max(2, round(max(height, width) / 200))
    own = torch.maximum(_steps_of(position, valid, 1), _steps_of(position, valid, stride) / stride)
    whole = own.nanmedian().nan_to_num(0.01).clamp_min(1e-5)

    pad = (0, -width % _BLOCK, 0, -height % _BLOCK)
    blocks = functional.pad(own, pad, value=torch.nan)
    rows, columns = blocks.shape[0] // _BLOCK, blocks.shape[1] // _BLOCK
    blocks = blocks.view(rows, _BLOCK, columns, _BLOCK).transpose(1, 2).reshape(rows, columns, -1)
    local = blocks.nanmedian(-1).values.nan_to_num(float(whole)).clamp(float(whole) / 4, float(whole) * 4)
    size = (rows * _BLOCK, columns * _BLOCK)
    spread = functional.interpolate(local[None, None], size=size, mode="bilinear", align_corners=False)
    return spread[0, 0, :height, :width].contiguous()


def _steps_of(
    position: Float[Tensor, "height width xyz=3"], valid: Bool[Tensor, "height width"], stride: int
) -> Float[Tensor, "height width"]:
    """The mean distance from each pixel to those ``stride`` to the right and below, whichever exist; NaN without."""
    right = (position[:, stride:] - position[:, :-stride]).norm(dim=-1)
    below = (position[stride:] - position[:-stride]).norm(dim=-1)
    right = functional.pad(
        right.masked_fill(~(valid[:, stride:] & valid[:, :-stride]), torch.nan), (0, stride), value=torch.nan
    )
    below = functional.pad(
        below.masked_fill(~(valid[stride:] & valid[:-stride]), torch.nan), (0, 0, 0, stride), value=torch.nan
    )
    # narrow cut-outs: padding longer than the picture
    height, width = valid.shape
    return torch.stack([right[:, :width], below[:height]]).nanmean(0)
