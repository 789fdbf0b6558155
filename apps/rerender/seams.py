"""No step of the tone where islands of the atlas meet on the body: what is made up gives way on both sides.

A network sees the atlas, in which the two halves of a back lie far apart.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.surface import Template
from bodymap.warping.atlas import get_atlas, triangle_islands
from bodymap.warping.pyramid import push_pull
from bodymap.warping.windows import window_mean

_PLACES = 8  # on each edge of the mesh
_WINDOW = 1 / 64  # of the atlas's width: colours are compared as means over so much of one layer
_FEWEST = 0.1  # share of a window that has to be of the layer
_LEVELS = 6  # halvings, at 1024 texels: a step is evened out over about 2^6 of them


def level_seams(
    template: Template,
    colour: Float[Tensor, "texel texel rgb=3"],
    layer: Int[Tensor, "texel texel"],
    free: Bool[Tensor, "texel texel"],
) -> Float[Tensor, "texel texel rgb=3"]:
    """What to add where texels are ``free`` to change; 0 elsewhere.

    Both sides meet halfway; where one is not free the other goes all the way. Different layers keep their border.

    Args:
        colour: in [0, 1].  layer: index into LAYER_NAMES, 0 outside the islands.
    """
    size = len(colour)
    pairs = seam_texels(template, size)
    here, there = pairs.unbind(1)
    kind = layer.view(-1)
    same = (kind[here] == kind[there]) & (kind[here] > 0)
    here, there, kind = here[same], there[same], kind[here][same]
    if len(here) == 0:
        return torch.zeros_like(colour)

    sums = torch.zeros(size * size, 4, device=colour.device)
    moves = free.view(-1).float()
    image = torch.cat([colour.permute(2, 0, 1), torch.ones_like(colour[..., 0])[None]])
    width = max(3, round(_WINDOW * size) | 1)
    for k in kind.unique().tolist():
        one, other = here[kind == k], there[kind == k]
        mean = window_mean((image * (layer == k))[None], width, "zero")[0].flatten(1).T
        mass = mean[:, 3:].clamp_min(1e-6)
        step = (mean[other, :3] / mass[other]) - (mean[one, :3] / mass[one])
        sure = ((mass[one, 0] > _FEWEST) & (mass[other, 0] > _FEWEST)).float()
        share = moves[one] / (moves[one] + moves[other]).clamp_min(1)
        weight = sure * (moves[one] > 0)
        sums.index_add_(0, one, torch.cat([step * (share * weight)[:, None], weight[:, None]], 1))
    mass = sums[:, 3]
    apart = (sums[:, :3] / mass.clamp_min(1e-6)[:, None]).view(size, size, 3)
    levels = max(1, _LEVELS + round(math.log2(size / 1024)))
    spread, reach = push_pull(apart, (mass > 0).float().view(size, size), levels)
    return spread * (reach * free)[..., None]


def seam_texels(template: Template, size: int) -> Int[Tensor, "pair 2"]:
    """Flat indices of texels that touch each other on the body and not in the atlas, each pair both ways round."""
    return template.kept(("seams", size), lambda: _seam_texels(template, size))


def _seam_texels(template: Template, size: int) -> Int[Tensor, "pair 2"]:
    atlas, islands = get_atlas(template, size), triangle_islands(template)
    ends, places, island = [], [], []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        ends.append(template.triangles[:, [a, b]])
        places.append(template.uv[template.uv_triangles[:, [a, b]]])
        island.append(islands)
    ends, places, island = torch.cat(ends), torch.cat(places), torch.cat(island)
    # the same way along each edge
    turned = ends[:, 0] > ends[:, 1]
    ends = torch.where(turned[:, None], ends.flip(1), ends)
    places = torch.where(turned[:, None, None], places.flip(1), places)
    order = torch.argsort(ends[:, 0] * (int(ends.max()) + 1) + ends[:, 1], stable=True)
    ends, places, island = ends[order], places[order], island[order]
    shared = (ends[1:] == ends[:-1]).all(1)
    apart = (places[1:] - places[:-1]).abs().amax((1, 2)) > 1e-6
    first = torch.nonzero(shared & apart)[:, 0]

    along = (torch.arange(_PLACES, device=template.device) + 0.5) / _PLACES
    texels = []
    for edge in (first, first + 1):
        uv = torch.lerp(places[edge, :1], places[edge, 1:], along[:, None])
        column, row = (uv * size).long().clamp(0, size - 1).unbind(-1)
        index = row * size + column
        own = atlas.island.view(-1)[index] == island[edge][:, None]
        texels.append(torch.where(own, atlas.source.view(-1)[index], -1).view(-1))
    pairs = torch.stack(texels, 1)
    pairs = pairs[(pairs >= 0).all(1)]
    return torch.cat([pairs, pairs.flip(1)])
