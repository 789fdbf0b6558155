"""Photo -> texture: the photo's pixel grid, drawn as small triangles into UV space: what was seen has no holes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from bodymap.rendering import rasterize
from bodymap.surface import Template
from bodymap.types import LAYER_NAMES, Correspondence
from bodymap.warping import evening
from bodymap.warping import grid as grids
from bodymap.warping.atlas import Atlas, get_atlas

CARRIED = LAYER_NAMES.index("carried")
# Pieces of seen texture smaller than this share of it are dropped as strays (at 1024: about 3 cm2 of torso).
CRUMB = 6e-5
# What a texture of the person is made of: a carried bag is none of the body's.
WORN = tuple(range(1, CARRIED))


@dataclass(frozen=True)
class PartialTexture:
    """What one photo shows of the person, in texture space; on the template's device.

    Attributes:
        colour: (T, T, 3) float32 in [0, 1], 0 where unseen.
        confidence: (T, T) float32 in [0, 1]: the map's confidence times how squarely it was seen; 0 where unseen.
        layer: (T, T) int64, index into LAYER_NAMES, 0 where unseen.
    """

    colour: Float[Tensor, "texel texel rgb=3"]
    confidence: Float[Tensor, "texel texel"]
    layer: Int[Tensor, "texel texel"]

    @property
    def seen(self) -> Bool[Tensor, "texel texel"]:
        """Texels of which the photo shows something."""
        return self.confidence > 0


def image_to_texture(
    template: Template,
    photo: UInt8[np.ndarray, "height width rgb=3"],
    correspondence: Correspondence,
    size: int = 1024,
    layers: Collection[int] = WORN,
    minimum_confidence: float = 0.05,
    smooth: int = 1,
    silhouette: int | None = None,
    close: int = 3,
) -> PartialTexture:
    """Lays the photo's colours onto the template's texture.

    Every 2 x 2 block of pixels that show one piece of surface gives two triangles in UV space with the pixels' colours
    at their corners. Where several land on a texel, the one seen most squarely and surely wins. Pixels on silhouettes,
    whose colour is mixed with what lies behind, are left out; gaps of a few texels, as along seams, are closed.

    Args:
        photo: uint8 (or float32 in [0, 1]).
        correspondence: of the photo's size.
        size: T, texels each way.
        layers: layers to take (index into LAYER_NAMES).
        minimum_confidence: pixels below it are left out.
        smooth: reach in pixels of the evening of the map (0: trust it exactly).
        silhouette: pixels taken off along the outline; None: 1, and one more for each 300 pixels of the person's size.
        close: gaps up to about twice this many texels are closed; 0: none.

    Raises:
        ValueError: photo and correspondence differ in size.
    """
    if photo.shape[:2] != correspondence.size:
        raise ValueError(f"The photo is {photo.shape[:2]}, its correspondence {correspondence.size}.")
    atlas = get_atlas(template, size)
    empty = PartialTexture(
        torch.zeros(size, size, 3, device=template.device),
        torch.zeros(size, size, device=template.device),
        torch.zeros(size, size, dtype=torch.long, device=template.device),
    )
    grid = grids.pixel_grid(template, correspondence)
    if grid is None:
        return empty

    colour = torch.from_numpy(np.ascontiguousarray(photo[grid.window])).to(template.device)
    colour = colour.float() / 255 if colour.dtype == torch.uint8 else colour.float()
    layer = torch.from_numpy(correspondence.layer[grid.window].astype(np.int64)).to(template.device)

    # Which pixels to trust.
    height, width = grid.valid.shape
    if silhouette is None:
        silhouette = 1 + max(height, width) // 300
    at_border = (
        grid.top == 0,
        grid.top + height == photo.shape[0],
        grid.left == 0,
        grid.left + width == photo.shape[1],
    )
    grid = evening.smooth(template, grid, smooth)
    grid = grids.drop_mixed(grid, silhouette, at_border)
    wanted = torch.isin(layer, torch.tensor(sorted(layers), device=layer.device))
    if not bool(wanted[grid.valid].all()):
        wanted = grids.erode(wanted | ~grid.valid, 1)
    valid = grid.valid & wanted & (grid.confidence >= minimum_confidence)

    quality = (grid.confidence * _squareness(grid, valid)).clamp(1e-3, 1)
    triangles = grid_triangles(grid, valid)
    if len(triangles) == 0:
        return empty

    # Draw the pixel grid into the texture; nearer means better.
    flat_uv = grid.uv.view(-1, 2)
    depth = 1 - quality.view(-1, 1)
    clip = torch.cat([flat_uv * 2 - 1, depth, torch.ones_like(depth)], 1)
    fragments = rasterize(clip[None], triangles, (size, size))[0]
    hit = (fragments.triangle[0] >= 0) & atlas.covered
    hit &= _large_pieces(hit, atlas)
    corners = triangles[fragments.triangle[0][hit]]
    weights = fragments.barycentric[0][hit]
    texture, confidence, labels = empty.colour, empty.confidence, empty.layer
    texture[hit] = (colour.reshape(-1, 3)[corners] * weights[..., None]).sum(1)
    confidence[hit] = (quality.view(-1)[corners] * weights).sum(1)
    labels[hit] = layer.reshape(-1)[corners.gather(1, weights.argmax(1, keepdim=True))][:, 0]
    return _close_gaps(PartialTexture(texture, confidence, labels), atlas, close)


def grid_triangles(grid: grids.PixelGrid, valid: Bool[Tensor, "height width"]) -> Int[Tensor, "face 3"]:
    """Triangles between neighbouring valid pixels that show one piece of surface, as flat pixel indices.

    A block of 2 x 2 pixels gives two triangles, with three good corners one. An edge is good when both ends lie on the
    same UV island, their places within TOGETHER typical steps, and their uv within what such a step can span there; a
    triangle turned over in UV space is a fold of the map's noise and left out.
    """
    height, width = valid.shape
    index = torch.arange(height * width, device=valid.device).view(height, width)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    # a b   the diagonal b-c splits the block; where neither half is good (b or c is not), the diagonal a-d does
    # c d
    candidates = [torch.stack(t, -1).view(-1, 3) for t in ((a, c, b), (b, c, d), (a, c, d), (a, d, b))]
    ok = [_good_triangles(grid, valid, t) for t in candidates]
    neither = ~ok[0] & ~ok[1]
    use = [ok[0], ok[1], ok[2] & neither, ok[3] & neither]
    return torch.cat([t[u] for t, u in zip(candidates, use, strict=True)])


def _good_triangles(
    grid: grids.PixelGrid, valid: Bool[Tensor, "height width"], triangles: Int[Tensor, "face 3"]
) -> Bool[Tensor, " face"]:
    good = valid.view(-1)[triangles].all(1)
    kept = torch.nonzero(good)[:, 0]
    corner = triangles[kept]
    island, place, uv = grid.island.view(-1)[corner], grid.position.view(-1, 3)[corner], grid.uv.view(-1, 2)[corner]
    fine = (island == island[:, :1]).all(1)
    limit = grids.TOGETHER * 1.5 * grid.step.view(-1)[corner[:, 0]]
    uv_limit = limit * grids.UV_SLACK * grids.uv_per_metre(grid)[island[:, 0]]
    edges = ((0, 1), (1, 2), (2, 0))
    for i, j in edges:
        fine &= (place[:, i] - place[:, j]).norm(dim=-1) < limit
        fine &= (uv[:, i] - uv[:, j]).norm(dim=-1) < uv_limit
    # (a, c, b): down first, then right: seen from outside it keeps its turn in UV space (v down as rows are)
    one, two = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    fine &= one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] < 0
    good[kept] = fine
    return good


def _squareness(grid: grids.PixelGrid, valid: Bool[Tensor, "height width"]) -> Float[Tensor, "height width"]:
    """How sharply a pixel shows its place: 1 where it covers as much surface as is typical, less where slanted."""
    right, below = grids.neighbour_steps(grid.position, valid)
    right = torch.where(right.isfinite(), right, 0.0)
    below = torch.where(below.isfinite(), below, 0.0)
    across = torch.maximum(functional.pad(right, (0, 1)), functional.pad(right, (1, 0)))
    down = torch.maximum(functional.pad(below, (0, 0, 0, 1)), functional.pad(below, (0, 0, 1, 0)))
    typical = grid.step[valid].median() if bool(valid.any()) else grid.step.median()
    return (typical.square() * 1.5 / (across * down).clamp_min(1e-12)).clamp(0.02, 1)


def _large_pieces(seen: Bool[Tensor, "texel texel"], atlas: Atlas) -> Bool[Tensor, "texel texel"]:
    """The seen texels without crumbs: stray pixels of a noisy map land far from their fellows, alone."""
    from scipy import ndimage

    # what a few texels part is one piece
    pieces, count = ndimage.label(grids.dilate(seen, 2).cpu().numpy())
    area = np.bincount(pieces[seen.cpu().numpy()], minlength=count + 1)
    large = area >= CRUMB * atlas.size**2
    large[0] = False
    return torch.from_numpy(large[pieces]).to(seen.device)


def _close_gaps(texture: PartialTexture, atlas: Atlas, texels: int) -> PartialTexture:
    """Fills narrow unseen gaps from around; along an island's rim the outside counts as seen, so seams close too."""
    if texels <= 0:
        return texture
    closed = grids.erode(grids.dilate(texture.seen | ~atlas.covered, texels), texels)
    gap = closed & ~texture.seen & atlas.covered
    if not bool(gap.any()):
        return texture
    size = atlas.size
    colour, confidence = texture.colour.clone().view(-1, 3), texture.confidence.clone().view(-1)
    layer, island = texture.layer.clone().view(-1), atlas.island.view(-1)
    todo = torch.nonzero(gap.view(-1))[:, 0]
    offsets = torch.tensor([(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)], device=todo.device)
    # ring by ring inwards, each texel the mean of its known neighbours on its own island
    for _ in range(texels):
        row = (todo[:, None] // size + offsets[:, 0]).clamp(0, size - 1)
        column = (todo[:, None] % size + offsets[:, 1]).clamp(0, size - 1)
        near = row * size + column
        known = (confidence[near] > 0) & (island[near] == island[todo][:, None])
        reached = known.any(1)
        to, near, weight = todo[reached], near[reached], known[reached].float()
        weight = weight / weight.sum(1, keepdim=True)
        colour[to] = (colour[near] * weight[..., None]).sum(1)
        layer[to] = layer[near].gather(1, weight.argmax(1, keepdim=True))[:, 0]
        # guessed, if from very near: worth less each ring
        confidence[to] = (confidence[near] * weight).sum(1) * 0.7
        todo = todo[~reached]
    return PartialTexture(colour.view(size, size, 3), confidence.view(size, size), layer.view(size, size))
