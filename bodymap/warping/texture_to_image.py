"""Texture -> photo: every foreground pixel looks up the colour of its place, without mixing UV islands."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from bodymap.surface import Template
from bodymap.types import Correspondence
from bodymap.warping import evening
from bodymap.warping import grid as grids
from bodymap.warping.atlas import Atlas, get_atlas, sample_texture


@dataclass(frozen=True)
class WarpedTexture:
    """A texture seen through a photo's map, at the photo's size.

    Attributes:
        values: (H, W, C), 0 where nothing was found.
        weight: (H, W) in [0, 1]: the share of the look-up that the texture's own weight covers, 0 outside the mask.
    """

    values: Float[Tensor, "height width c"]
    weight: Float[Tensor, "height width"]


def texture_to_image(
    template: Template,
    texture: Float[Tensor, "texel texel c"],
    correspondence: Correspondence,
    weight: Float[Tensor, "texel texel"] | None = None,
    smooth: int = 1,
    antialias: bool = True,
) -> WarpedTexture:
    """Samples ``texture`` (bilinear, rims padded) at every pixel of the correspondence's mask.

    Args:
        texture: (T, T, C) on the template's device; any channels.
        weight: how much each texel counts, 0 for unknown ones; None: every covered texel 1.
        smooth: reach in pixels of the evening of the map (0: trust it exactly).
        antialias: halve the texture first while a pixel spans more than about 1.5 texels in the median.
    """
    grid = grids.pixel_grid(template, correspondence)
    if grid is None:
        return WarpedTexture(
            texture.new_zeros(*correspondence.size, texture.shape[-1]), texture.new_zeros(correspondence.size)
        )
    return look_up(
        template, texture, evening.smooth(template, grid, smooth), correspondence.size, weight, antialias=antialias
    )


def look_up(
    template: Template,
    texture: Float[Tensor, "texel texel c"],
    grid: grids.PixelGrid,
    size: tuple[int, int],
    weight: Float[Tensor, "texel texel"] | None = None,
    antialias: bool = True,
) -> WarpedTexture:
    """The same for a grid that is at hand already; ``size``: (height, width) of the photo."""
    atlas = get_atlas(template, texture.shape[0])
    if antialias:
        while atlas.size > 64 and atlas.size % 2 == 0 and _texels_per_pixel(grid, atlas) > 1.5:
            known = atlas.covered.float() if weight is None else weight * atlas.covered
            texture, weight = halve(texture, known)
            atlas = get_atlas(template, atlas.size // 2)

    found, share = sample_texture(texture, grid.uv[grid.valid], grid.island[grid.valid], atlas, weight)
    where = torch.zeros(size, dtype=torch.bool, device=texture.device)
    where[grid.window] = grid.valid
    values = texture.new_zeros(*size, texture.shape[-1])
    mass = texture.new_zeros(size)
    values[where], mass[where] = found, share
    return WarpedTexture(values, mass)


def halve(
    texture: Float[Tensor, "texel texel c"], weight: Float[Tensor, "texel texel"]
) -> tuple[Float[Tensor, "half half c"], Float[Tensor, "half half"]]:
    """The texture at half the size: weighted means of 2 x 2 texels; unknown ones and the outside leave no trace."""
    total = functional.avg_pool2d((texture * weight[..., None]).permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
    mass = functional.avg_pool2d(weight[None, None], 2)[0, 0]
    return total / mass.clamp_min(1e-8)[..., None], mass


def _texels_per_pixel(grid: grids.PixelGrid, atlas: Atlas) -> float:
    """Median distance in texels between horizontal and vertical neighbours on one island."""
    steps = []
    for uv, island, valid in (
        (
            (grid.uv[:, 1:] - grid.uv[:, :-1]),
            grid.island[:, 1:] == grid.island[:, :-1],
            grid.valid[:, 1:] & grid.valid[:, :-1],
        ),
        ((grid.uv[1:] - grid.uv[:-1]), grid.island[1:] == grid.island[:-1], grid.valid[1:] & grid.valid[:-1]),
    ):
        steps.append(uv.norm(dim=-1)[island & valid])
    steps = torch.cat(steps)
    return float(steps.median()) * atlas.size if len(steps) else 0.0
