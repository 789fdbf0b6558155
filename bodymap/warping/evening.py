"""Evening out the noise of a predicted map, so that neighbouring pixels look up neighbouring places."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bodymap.surface import Template, points
from bodymap.warping.grid import TOGETHER, PixelGrid, places


def smooth(template: Template, grid: PixelGrid, reach: int) -> PixelGrid:
    """Averages places over opposite pairs of neighbours, in space, and puts them back on the surface.

    In space, because there UV seams do not exist. A pair counts only when both of its pixels are valid and plausibly
    near, so straight maps, outlines and edges of the body against itself stay where they are; what goes is the
    curvature inside a window of about 2 x reach pixels, noise being mostly that.

    Args:
        reach: pixels; 0 changes nothing. Spacings of half of that each time are worked through, coarse first.
    """
    if reach <= 0:
        return grid
    position, spacing = grid.position, 1
    while spacing * 2 <= reach:
        spacing *= 2
    while spacing >= 1:
        position = _average_pairs(position, grid.valid, grid.step, spacing)
        spacing //= 2
    # averages lie within millimetres of the surface: the triangles at the nearest vertex are candidates enough
    triangle, barycentric = points.project(
        template, template.vertices, position[grid.valid], neighbours=1, key="position"
    )
    position, uv, island = places(template, grid.valid, triangle, barycentric)
    return replace(grid, position=position, uv=uv, island=island)


def _average_pairs(
    position: Float[Tensor, "height width xyz=3"],
    valid: Bool[Tensor, "height width"],
    step: Float[Tensor, "height width"],
    spacing: int,
) -> Float[Tensor, "height width xyz=3"]:
    total, mass = torch.zeros_like(position), torch.ones_like(step)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        limit = (TOGETHER * spacing * (down * down + right * right) ** 0.5 * step).square()
        pair, good = torch.zeros_like(position), valid
        for sign in (spacing, -spacing):
            there = _shift(position, sign * down, sign * right, 0.0)
            good = good & _shift(valid, sign * down, sign * right, False)
            good = good & ((there - position).square().sum(-1) < limit)
            pair += there
        total += (pair / 2 - position) * good[..., None]
        mass += good
    return position + total / mass[..., None]


def _shift(image: Tensor, down: int, right: int, fill: float | bool) -> Tensor:
    """image[y + down, x + right] at (y, x), ``fill`` beyond the rim."""
    height, width = image.shape[:2]
    shifted = torch.full_like(image, fill)
    if abs(down) < height and abs(right) < width:
        to = slice(max(0, -down), height - max(0, down)), slice(max(0, -right), width - max(0, right))
        of = slice(max(0, down), height - max(0, -down)), slice(max(0, right), width - max(0, -right))
        shifted[to] = image[of]
    return shifted
