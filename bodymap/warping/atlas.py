"""The atlas: what each texel of a square texture shows of the template, worked out once for a size and then cached.

Texel (row, column) of a T x T texture has its centre at uv = ((column + 0.5) / T, (row + 0.5) / T), v down. An *island*
is one connected piece of the UV layout; texels outside every island show nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.rendering import rasterize
from bodymap.surface import Template, points
from bodymap.surface.islands import islands

# Texels outside an island, up to this many away from it, borrow its nearest texel: bilinear sampling needs it.
PADDING = 4


@dataclass(frozen=True)
class Atlas:
    """One template's UV layout at one texture size, on the template's device.

    Attributes:
        triangle: index into the template's triangles, -1 outside the islands.
        barycentric: weights of that triangle's corners, 0 outside.
        island: index of the UV island, -1 outside; within PADDING texels of an island, that island (``covered`` tells).
        source: flat index of the texel to read: the texel itself where covered, the island's nearest one within PADDING
            texels of it, -1 beyond.
        mirror_uv: where the mirrored place (the person's other side) lies in the texture, 0 outside.
        mirror_island: the island it lies on, -1 outside.
    """

    size: int
    triangle: Int[Tensor, "texel texel"]
    barycentric: Float[Tensor, "texel texel 3"]
    island: Int[Tensor, "texel texel"]
    source: Int[Tensor, "texel texel"]
    mirror_uv: Float[Tensor, "texel texel uv=2"]
    mirror_island: Int[Tensor, "texel texel"]

    @property
    def covered(self) -> Bool[Tensor, "texel texel"]:
        """Texels that lie on the surface."""
        return self.triangle >= 0


def get_atlas(template: Template, size: int) -> Atlas:
    """The atlas of ``template`` at ``size`` x ``size`` texels; built on first use, kept in the template's cache."""
    return template.kept(("atlas", size), lambda: _build(template, size))


def triangle_islands(template: Template) -> Int[Tensor, " face"]:
    """For each triangle the index of its UV island, 0, 1, ... in the order of the islands' first UV vertices."""

    def built() -> Int[Tensor, " face"]:
        return torch.from_numpy(islands(template.uv_triangles.cpu().numpy())).to(template.device)

    return template.kept("uv_islands", built)


def sample_texture(
    texture: Float[Tensor, "texel texel c"],
    uv: Float[Tensor, "point uv=2"],
    island: Int[Tensor, " point"],
    atlas: Atlas,
    weight: Float[Tensor, "texel texel"] | None = None,
) -> tuple[Float[Tensor, "point c"], Float[Tensor, " point"]]:
    """Bilinear look-up that never mixes islands; differentiable in ``texture``.

    Args:
        uv: [0, 1], v down, finite.
        island: the island each point lies on; texels of other islands are left out and the rest share their weight.
        weight: how much each texel counts, >= 0; None: 1 for all.

    Returns:
        The values, and the weight found in [0, max weight]; where it is 0 the value is 0.
    """
    size = atlas.size
    flat = texture.reshape(size * size, -1)
    place = (uv * size - 0.5).clamp(-0.5, size - 0.5)
    corner = place.floor()
    fraction = place - corner
    total = torch.zeros(len(uv), flat.shape[1], dtype=flat.dtype, device=flat.device)
    mass = torch.zeros(len(uv), dtype=flat.dtype, device=flat.device)
    for down in (0, 1):
        for right in (0, 1):
            column = (corner[:, 0].long() + right).clamp(0, size - 1)
            row = (corner[:, 1].long() + down).clamp(0, size - 1)
            share = (fraction[:, 0] if right else 1 - fraction[:, 0]) * (fraction[:, 1] if down else 1 - fraction[:, 1])
            texel = row * size + column
            share = share * (atlas.island.view(-1)[texel] == island)
            texel = atlas.source.view(-1)[texel].clamp_min(0)
            if weight is not None:
                share = share * weight.reshape(-1)[texel]
            total = total + flat[texel] * share[:, None]
            mass = mass + share
    return total / mass.clamp_min(1e-8)[:, None], mass


def _build(template: Template, size: int) -> Atlas:
    device = template.device
    clip = torch.cat(
        [template.uv * 2 - 1, torch.zeros_like(template.uv[:, :1]), torch.ones_like(template.uv[:, :1])], 1
    )
    fragments = rasterize(clip[None], template.uv_triangles, (size, size))[0]
    triangle, barycentric = fragments.triangle[0].long(), fragments.barycentric[0]
    covered = triangle >= 0
    barycentric = barycentric * covered[..., None]

    islands = triangle_islands(template)
    island = torch.where(covered, islands[triangle.clamp_min(0)], -1)

    mirrored_triangle, mirrored = points.mirror(template, triangle[covered], barycentric[covered])
    mirror_uv = torch.zeros(size, size, 2, device=device)
    mirror_uv[covered] = points.uv(template, mirrored_triangle, mirrored)
    mirror_island = torch.full((size, size), -1, dtype=torch.long, device=device)
    mirror_island[covered] = islands[mirrored_triangle]

    source = torch.arange(size * size, device=device).view(size, size)
    source = grow(torch.where(covered, source, -1), PADDING)
    island = torch.where(source >= 0, island.view(-1)[source.clamp_min(0)], -1)
    return Atlas(size, triangle, barycentric, island, source, mirror_uv, mirror_island)


def grow(index: Int[Tensor, "height width"], rounds: int) -> Int[Tensor, "height width"]:
    """Spreads the entries >= 0 into those of -1, one ring of neighbours a round; straight neighbours go first."""
    for _ in range(rounds):
        padded = torch.nn.functional.pad(index, (1, 1, 1, 1), value=-1)
        grown = index
        for down, right in ((0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2)):
            neighbour = padded[down : down + index.shape[0], right : right + index.shape[1]]
            grown = torch.where(grown < 0, neighbour, grown)
        index = grown
    return index
