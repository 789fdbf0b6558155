"""What lies opposite on the body: of a place on the back the one in front of it, at the same height and as far aside.

Seen from one side, a garment's other side is best known by it: hems end at one height, checks meet in the side seams.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from bodymap.surface import Template, points
from bodymap.surface.points import SurfacePoints
from bodymap.types import LAYER_NAMES, PART_NAMES
from bodymap.warping.atlas import get_atlas, sample_texture, triangle_islands
from bodymap.warping.image_to_texture import PartialTexture

FOLD = 0.03  # metres: so far from its middle a back is no image of the front, with its buttons and ties

_LIMBS = (  # (parts, the axis along which the limb lies at rest: x across, z up)
    (("neck",), 2),
    (("torso_front", "torso_back"), 2),
    (("left_upper_arm", "left_forearm"), 0),
    (("right_upper_arm", "right_forearm"), 0),
    (("left_thigh", "left_shin"), 2),
    (("right_thigh", "right_shin"), 2),
)
_FOLDED = ("neck", "torso_front")
_STEP, _SMOOTH = 0.01, 9  # metres; steps: of the depth of a limb's middle
_APART = 3.0  # corners whose opposites lie so many times further apart than they themselves are cut apart in the atlas


def opposite_places(
    template: Template, size: int, fold: float = 0.0
) -> tuple[Float[Tensor, "texel texel uv=2"], Int[Tensor, "texel texel"]]:
    """Where in the atlas each texel's opposite lies, and on which island; 0 and -1 where there is none.

    Head, hands and feet have none: a face is not the back of its head.

    Args:
        fold: metres. Whoever lies nearer than this to the middle of the trunk has for opposite what lies as much
            further out: buttons, zips and ties are in front only.
    """
    return template.kept(("opposite", size, fold), lambda: _places(template, size, fold))


def laid_opposite(template: Template, partial: PartialTexture, fold: float = 0.0) -> PartialTexture:
    """What was seen, laid over its opposite; unseen where nothing lies opposite. ``fold``: see ``opposite_places``."""
    atlas = get_atlas(template, partial.colour.shape[0])
    uv, island = opposite_places(template, atlas.size, fold)
    there = island >= 0
    layers = functional.one_hot(partial.layer, len(LAYER_NAMES))[..., 1:].float()
    stacked = torch.cat([partial.colour, partial.confidence[..., None], layers], -1)
    found, mass = sample_texture(stacked, uv[there], island[there], atlas, partial.seen.float())
    image, seen = torch.zeros_like(stacked), torch.zeros_like(partial.seen)
    image[there], seen[there] = found, mass > 0.5
    image = image * seen[..., None]
    return PartialTexture(image[..., :3], image[..., 3].clamp_min(1e-3) * seen, (image[..., 4:].argmax(-1) + 1) * seen)


def opposite_index(template: Template, size: int) -> Int[Tensor, " texel"]:
    """Flat index of the texel at each texel's opposite, -1 where there is none."""
    atlas = get_atlas(template, size)
    uv, island = opposite_places(template, size)
    column, row = (uv * size).long().clamp(0, size - 1).unbind(-1)
    index = atlas.source.view(-1)[row * size + column]
    return torch.where((island >= 0) & atlas.covered, index, -1).view(-1)


def _places(
    template: Template, size: int, fold: float
) -> tuple[Float[Tensor, "texel texel uv=2"], Int[Tensor, "texel texel"]]:
    places = torch.zeros(size, size, 2, device=template.device)
    which = torch.full((size, size), -1, dtype=torch.long, device=template.device)
    for side in (1, -1):
        found = template.kept(
            ("vertex_opposite", fold, side if fold else 0), lambda side=side: _of_vertices(template, fold, side)
        )
        _of_texels(template, size, side, *found, places, which)
    return places, which


def _of_texels(
    template: Template,
    size: int,
    side: int,
    triangle: Int[Tensor, " vertex"],
    weights: Float[Tensor, "vertex 3"],
    places: Float[Tensor, "texel texel uv=2"],
    which: Int[Tensor, "texel texel"],
) -> None:
    """Fills in the texels of one side of the body, from what lies opposite of the vertices."""
    atlas = get_atlas(template, size)
    islands = triangle_islands(template)

    inside = atlas.covered.clone()
    corners = template.triangles[atlas.triangle[inside]]
    shares = atlas.barycentric[inside]
    known = (triangle[corners] >= 0).all(1)
    across = (template.vertices[corners, 0] * shares).sum(1)
    known &= across >= 0 if side > 0 else across < 0
    inside[inside.clone()] = known
    corners, shares = corners[known], shares[known]

    there = triangle[corners]
    ends = points.uv(template, there.view(-1), weights[corners].view(-1, 3)).view(-1, 3, 2)
    own = template.uv[template.uv_triangles[atlas.triangle[inside]]]
    spread, usual = ((x.amax(1) - x.amin(1)).amax(1) for x in (ends, own))
    uv = (ends * shares[..., None]).sum(1)
    island = islands[there]
    cut = (island != island[:, :1]).any(1) | (spread > _APART * usual + 1 / 512)
    if bool(cut.any()):
        # across a cut of the atlas the way leads over the surface
        found = points.position(template, there[cut].view(-1), weights[corners[cut]].view(-1, 3)).view(-1, 3, 3)
        middle = (found * shares[cut][..., None]).sum(1)
        nearby = template.vertex_triangles[template.triangles[there[cut]].flatten(1)].flatten(1)
        on = points.project_on(template, template.vertices, middle, nearby)
        uv[cut] = points.uv(template, *on)
        island[cut, 0] = islands[on[0]]
    places[inside], which[inside] = uv, island[:, 0]


def _of_vertices(template: Template, fold: float, side: int) -> SurfacePoints:
    """The opposite of each vertex as (triangle, barycentric); triangle -1 where there is none.

    ``side``: 1 or -1, to which the middle of the trunk is folded out; right for whom lies there.
    """
    vertices, parts = template.vertices, template.vertex_part
    triangle = torch.full((len(vertices),), -1, dtype=torch.long, device=template.device)
    barycentric = torch.zeros(len(vertices), 3, device=template.device)
    for names, axis in _LIMBS:
        mine = torch.isin(parts, parts.new_tensor([PART_NAMES.index(name) for name in names]))
        here = vertices[mine]
        there = here.clone()
        there[:, 1] = 2 * _middle(here, axis) - here[:, 1]
        if fold and names[0] in _FOLDED:
            # of the other half only those count that share a triangle with this one
            across = side * here[:, 0]
            there[:, 0] = side * torch.where(across < fold, (2 * fold - across).clamp_max(3 * fold), across)
        # the surface is not its own mirror image: once more, from the depth that it has there
        there[:, 1] = points.position(template, *points.closest(template, there))[:, 1]
        triangle[mine], barycentric[mine] = points.closest(template, there)
    return triangle, barycentric


def _middle(places: Float[Tensor, "n xyz=3"], axis: int) -> Float[Tensor, " n"]:
    """Depth of a limb's middle at each of its places."""
    at = (places[:, axis] - places[:, axis].min()) / _STEP
    step = at.long()
    count = int(step.max()) + 1
    front, back = (
        torch.full((count,), torch.inf, device=places.device).scatter_reduce(0, step, sign * places[:, 1], "amin")
        for sign in (1, -1)
    )
    middle = torch.where(front.isfinite(), (front - back) / 2, torch.nan)
    empty = middle.isnan()
    if bool(empty.any()):
        filled = torch.nonzero(~empty)[:, 0]
        nearest = (torch.arange(count, device=places.device)[:, None] - filled).abs().argmin(1)
        middle = middle[filled[nearest]]
    padded = functional.pad(middle[None, None], (_SMOOTH // 2, _SMOOTH // 2), mode="replicate")
    middle = functional.avg_pool1d(padded, _SMOOTH, 1)[0, 0]
    place = (at - 0.5).clamp(0, count - 1)
    low = place.long().clamp_max(max(0, count - 2))
    return torch.lerp(middle[low], middle[(low + 1).clamp_max(count - 1)], place - low)
