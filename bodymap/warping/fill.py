"""Plain filling of what no photo showed: first from the person's other side, then smoothly along the body's surface.

The smooth part is solved on the mesh, whose vertices know nothing of UV islands, so a texel at a seam continues what
lies across it. It works by layer: where a garment ends in the unseen, its label spreads, and each label has its own
colours, so cloth and skin do not run into each other.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.surface import REGION_NAMES, Template
from bodymap.types import LAYER_NAMES
from bodymap.warping.atlas import Atlas, get_atlas, triangle_islands
from bodymap.warping.grid import dilate
from bodymap.warping.image_to_texture import PartialTexture
from bodymap.warping.pyramid import push_pull
from bodymap.warping.symmetry import mirror_unseen

# FilledTexture.origin
OUTSIDE, SEEN, MIRRORED, SMOOTH = 0, 1, 2, 3
# How strongly neighbouring vertices pull together against what was seen at them: colours become means over many
# vertices, so that one dark texel at the rim of the seen does not colour all beyond it; garments end about where they
# were seen to.
PULL, LAYER_PULL = 30.0, 3.0
# How far from another layer a garment's texels count as its own, as a share of the texture's side: some 7 mm.
RIM = 4 / 1024
# Of the residual's energy; errors of the colours stay below half a step of 1/255.
TOLERANCE = 1e-4
_HAIR = LAYER_NAMES.index("hair")


@dataclass(frozen=True)
class FilledTexture:
    """A texture without holes.

    Attributes:
        colour: (T, T, 3) float32 in [0, 1]; outside the islands 0.
        layer: (T, T) int64, index into LAYER_NAMES, 0 outside.
        origin: (T, T) int64: OUTSIDE, SEEN, MIRRORED or SMOOTH.
    """

    colour: Float[Tensor, "texel texel rgb=3"]
    layer: Int[Tensor, "texel texel"]
    origin: Int[Tensor, "texel texel"]

    @property
    def covered(self) -> Bool[Tensor, "texel texel"]:
        """Texels that lie on the surface."""
        return self.origin != OUTSIDE


def fill_texture(
    template: Template,
    partial: PartialTexture,
    mirror: bool = True,
    feather: int = 3,
    layers: tuple[int, ...] | None = None,
) -> FilledTexture:
    """Fills every texel of the islands; what was seen stays as it is, to the bit.

    Args:
        mirror: take unseen places from the person's other side where that was seen.
        feather: filled texels follow the difference to what was seen over about 2^feather texels.
        layers: restrict to these layers (index into LAYER_NAMES): others count as unseen, and everything is filled with
            these, as if the garment covered the whole body; None: all.

    Raises:
        ValueError: nothing was seen (in those layers).
    """
    atlas = get_atlas(template, partial.colour.shape[0])
    if layers is not None:
        partial = restrict(partial, layers)
    seen = partial.seen
    if not bool(seen.any()):
        raise ValueError("Nothing was seen of the person: there is nothing to fill the texture from.")
    if mirror:
        partial = mirror_unseen(template, partial)
    colour, layer, weight, known = partial.colour, partial.layer, partial.confidence, partial.seen

    # A smooth colour for each layer that was seen, and how much each has to say, at every vertex.
    present = [k for k in range(1, len(LAYER_NAMES)) if bool(((layer == k) & known).any())]
    seed, mass = _gather_at_vertices(template, atlas, partial, present)
    share = _spread_layers(template, mass, present)
    start = _means(seed, mass)
    smooth = _solve(template, seed, mass.repeat_interleave(3, 1), start, PULL).view(-1, len(present), 3)

    # Down to the texels: the winning layer's colour, corrected near the known by the difference found there.
    inside = atlas.covered
    corners = template.triangles[atlas.triangle[inside]]
    barycentric = atlas.barycentric[inside]
    texel_layer = (share[corners] * barycentric[..., None]).sum(1).argmax(1)
    texel_layer = torch.where(known[inside], _slots(present, layer.device)[layer[inside]], texel_layer)
    base = torch.zeros_like(colour)
    base[inside] = (smooth[corners, texel_layer[:, None]] * barycentric[..., None]).sum(1)
    # slanted, unsure texels at the rim of the seen often carry a trace of the background: they have less to say here
    trust = (2 * weight).clamp(0.02, 1) * known
    difference, reach = push_pull((colour - base) * known[..., None], trust, feather)
    filled = (base + difference * reach[..., None]).clamp(0, 1)

    origin = torch.where(seen, SEEN, torch.where(known, MIRRORED, SMOOTH)) * inside
    result_layer = torch.zeros_like(layer)
    result_layer[inside] = torch.tensor(present, device=layer.device)[texel_layer]
    result = torch.where(known[..., None], colour, filled) * inside[..., None]
    return FilledTexture(result, result_layer, origin)


def restrict(partial: PartialTexture, layers: tuple[int, ...]) -> PartialTexture:
    """The texture with all other layers unseen, and a rim beside them too: labels end near what they name."""
    own = torch.isin(partial.layer, torch.tensor(layers, device=partial.layer.device))
    rim = dilate(partial.seen & ~own, max(1, round(partial.layer.shape[0] * RIM)))
    if bool((own & ~rim).any()):
        own &= ~rim
    return PartialTexture(partial.colour * own[..., None], partial.confidence * own, partial.layer * own)


def _slots(present: list[int], device: torch.device) -> Int[Tensor, " layer"]:
    """For each layer its place among those present; 0 for the others."""
    slot = torch.zeros(len(LAYER_NAMES), dtype=torch.long, device=device)
    slot[present] = torch.arange(len(present), device=device)
    return slot


def _gather_at_vertices(
    template: Template, atlas: Atlas, partial: PartialTexture, present: list[int]
) -> tuple[Float[Tensor, "vertex present_rgb"], Float[Tensor, "vertex present"]]:
    """Mean colour and weight of the known texels around each vertex, for each of the layers present apart."""
    colour, layer, weight = partial.colour, partial.layer, partial.confidence
    slot = _slots(present, layer.device)
    known = (weight > 0) & atlas.covered
    corners = template.triangles[atlas.triangle[known]]
    share = atlas.barycentric[known] * weight[known][:, None]
    row = (corners * len(present) + slot[layer[known]][:, None]).view(-1)
    count = len(template.vertices) * len(present)
    total = torch.zeros(count, 3, device=colour.device)
    total.index_add_(0, row, (colour[known][:, None] * share[..., None]).view(-1, 3))
    mass = torch.zeros(count, device=colour.device).index_add_(0, row, share.reshape(-1))
    mean = total / mass.clamp_min(1e-8)[:, None]
    # texels per vertex vary by the island's scale: a few sure ones are enough for full weight
    return mean.view(-1, len(present) * 3), (mass / 4).clamp(max=1).view(-1, len(present))


def _spread_layers(
    template: Template, mass: Float[Tensor, "vertex present"], present: list[int]
) -> Float[Tensor, "vertex present"]:
    """How much each layer has to say at each vertex: the seen labels, spread along the surface."""
    if len(present) == 1:
        return torch.ones_like(mass)
    if _HAIR in present:
        # the back of the head is seldom seen with the face: hair on top goes on behind
        hair = present.index(_HAIR)
        unseen = _back_of_head(template) & (mass.sum(1) == 0)
        if float(mass[:, hair].sum()) > 5:
            mass = mass.clone()
            mass[unseen, hair] = 0.2
    total = mass.sum(1, keepdim=True)
    seed = mass / total.clamp_min(1e-8)
    mean = (seed * total).sum(0, keepdim=True) / total.sum().clamp_min(1e-8)
    return _solve(template, seed, total.expand_as(seed), mean.expand_as(seed), LAYER_PULL)


def _back_of_head(template: Template) -> Bool[Tensor, " vertex"]:
    """The scalp, without the insides of the eye sockets, which count as scalp too but lie on islands of their own."""
    scalp = template.vertex_region == REGION_NAMES.index("scalp")
    faces = template.triangles[scalp[template.triangles].all(1)]
    island = triangle_islands(template)[scalp[template.triangles].all(1)]
    own = torch.zeros_like(scalp)
    own[faces[island == island.mode().values]] = True
    return own & scalp


def _means(seed: Float[Tensor, "vertex c"], mass: Float[Tensor, "vertex layer"]) -> Float[Tensor, "vertex c"]:
    """Each layer's mean colour, at every vertex; where to start, and what remains where a layer was never seen."""
    weight = mass.repeat_interleave(3, 1)
    return ((seed * weight).sum(0) / weight.sum(0).clamp_min(1e-8)).expand_as(seed).clone()


def _solve(
    template: Template,
    seed: Float[Tensor, "vertex c"],
    weight: Float[Tensor, "vertex c"],
    start: Float[Tensor, "vertex c"],
    pull: float,
) -> Float[Tensor, "vertex c"]:
    """argmin_x sum_i weight_i (x_i - seed_i)^2 + pull sum_edges (x_i - x_j)^2, each channel apart.

    By conjugate gradients. A faint pull towards ``start`` keeps what no seed reaches where it began.
    """
    adjacency, degree = _mesh(template)
    diagonal = weight + pull * degree[:, None] + 1e-6

    def apply(x: Tensor) -> Tensor:
        return diagonal * x - pull * (adjacency @ x)

    x = start.clone()
    residual = weight * seed + 1e-6 * start - apply(x)
    z = residual / diagonal
    direction, product = z.clone(), (residual * z).sum(0)
    for _ in range(600):
        moved = apply(direction)
        alpha = product / (direction * moved).sum(0).clamp_min(1e-20)
        x = x + alpha * direction
        residual = residual - alpha * moved
        z = residual / diagonal
        new_product = (residual * z).sum(0)
        if float(new_product.max()) < TOLERANCE:
            break
        direction = z + new_product / product.clamp_min(1e-20) * direction
        product = new_product
    return x


def _mesh(template: Template) -> tuple[Tensor, Float[Tensor, " vertex"]]:
    """The mesh's adjacency matrix (sparse, 1 an edge) and its degrees; the mouth's inside is left out."""
    if "fill_mesh" not in template.cache:
        faces = template.triangles[template.triangle_inner == 0]
        count = len(template.vertices)
        edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        key = torch.unique(torch.cat([edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]]))
        degree = torch.bincount(key // count, minlength=count)
        begin = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
        with warnings.catch_warnings():
            # torch calls this layout beta; it is six times faster here than the stable one
            warnings.simplefilter("ignore")
            matrix = torch.sparse_csr_tensor(
                begin, key % count, torch.ones(len(key), device=key.device), (count, count)
            )
        template.cache["fill_mesh"] = (matrix, degree.float())
    return template.cache["fill_mesh"]
