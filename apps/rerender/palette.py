"""The colours that an unseen texel may have: of each layer those that were seen, spread along the body.

A layer has a mean colour, a darker and a lighter tone: of a jacket over a shirt the mean is neither. Which of them a
texel has is the completion's to say (``completion.py``); here is what it chooses from, and how much of each lies near.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bodymap.surface import Template
from bodymap.types import LAYER_NAMES
from bodymap.warping.atlas import Atlas

LAYERS = LAYER_NAMES[1:-1]  # what a texture is made of: carried things are none of it
TONES = 3  # of a layer: its mean, the darker tone, the lighter
_NEAR, _FALL = 0.02, 3.5  # seen places weigh (metres away + _NEAR) ^ -_FALL in what is spread
_MEAN = 1.1  # logit of a layer's mean before anybody has learned to prefer a tone: three quarters
_LEAST = 0.01  # share of a layer that lies nowhere near
_ROUNDS = 4  # of 2-means


class Palette(nn.Module):
    """Spreads colours over a template's atlas. Has no parameters."""

    def __init__(self, template: Template, atlas: Atlas) -> None:
        super().__init__()
        inside, sample, distant = _distances(template, atlas)
        self.register_buffer("inside", inside, persistent=False)
        self.register_buffer("sample", sample, persistent=False)
        self.register_buffer("distant", distant, persistent=False)

    def forward(
        self, own: Float[Tensor, "batch c texel texel"], other: Float[Tensor, "batch c texel texel"]
    ) -> tuple[Float[Tensor, "batch colour rgb=3 texel texel"], Float[Tensor, "batch colour texel texel"]]:
        """LAYERS x TONES colours everywhere, and logits: how much of each is near.

        Means weighted with the distance along the body (Shepard 1968), which knows nothing of the atlas' seams.

        Args:
            own: what was seen: colour, confidence, LAYERS one-hot; 0 where nothing was.
            other: its mirror image.
        """
        with torch.autocast(own.device.type, enabled=False):  # quotients of sums: half precision would show
            return self._spread(own.float(), other.float())

    def _spread(
        self, own: Float[Tensor, "batch c texel texel"], other: Float[Tensor, "batch c texel texel"]
    ) -> tuple[Float[Tensor, "batch colour rgb=3 texel texel"], Float[Tensor, "batch colour texel texel"]]:
        batch, size, count = len(own), own.shape[-1], len(LAYERS)
        own, other = own.flatten(2)[..., self.inside], other.flatten(2)[..., self.inside]
        # slanted rims have less to say, and the other side counts where this one was not seen
        mine, theirs = (x[:, 4:] * (2 * x[:, 3:4]).clamp(0.02, 1) for x in (own, other))
        here = own[:, 3:4] > 0
        weight = torch.where(here, mine, 0.3 * theirs)
        colour = torch.where(here, own[:, :3], other[:, :3])
        light = lighter(colour, weight)
        weights = torch.stack([weight, weight * ~light, weight * light], 2).flatten(1, 2)  # layer by layer

        sums = torch.cat([weights, (weights[:, :, None] * colour[:, None]).flatten(1, 2)], 1)
        gathered = sums.new_zeros(batch, sums.shape[1], self.distant.shape[1])
        gathered.index_add_(2, self.sample, sums)
        spread = (gathered.view(-1, gathered.shape[-1]) @ self.distant.T).view(batch, -1, len(self.inside))
        mass, values = spread[:, : count * TONES], spread[:, count * TONES :].view(batch, count, TONES, 3, -1)
        mass = mass.view(batch, count, TONES, -1)

        # layers that nobody saw take the mean of the others, tones that a layer has not take its mean
        whole = mass[:, :, 0]
        total = whole.sum(1, keepdim=True)
        everything = values[:, :, 0].sum(1, keepdim=True) / total.clamp_min(1e-6)[:, :, None]
        mean = torch.where((whole > 0)[:, :, None], values[:, :, 0] / whole.clamp_min(1e-9)[:, :, None], everything)
        own_tones = values / mass.clamp_min(1e-9)[:, :, :, None]
        tones = torch.where((mass > 0)[:, :, :, None], own_tones, mean[:, :, None])

        share = (whole / total.clamp_min(1e-6)).clamp_min(_LEAST).log()
        among = (mass / whole.clamp_min(1e-6)[:, :, None]).clamp_min(_LEAST).log()  # of the mean: 0
        logits = share[:, :, None] + (among + among.new_tensor([_MEAN, 0.0, 0.0])[:, None]).log_softmax(2)
        out = values.new_zeros(batch, count * TONES, 4, size * size)
        out[..., self.inside] = torch.cat([tones.flatten(1, 2), logits.flatten(1, 2)[:, :, None]], 2)
        out = out.view(batch, count * TONES, 4, size, size)
        return out[:, :, :3], out[:, :, 3]


def lighter(colour: Float[Tensor, "batch rgb=3 texel"], weight: Float[Tensor, "batch layer texel"]) -> Tensor:
    """(B, L, N) bool: whether a texel belongs to the lighter of its layer's two tones (2-means, weighted).

    The first two means lie along the direction in which the layer's colours vary most.
    """
    weight = weight / weight.sum(-1, keepdim=True).clamp_min(1e-9)
    mean = torch.einsum("bln,bcn->blc", weight, colour)
    apart = colour[:, None] - mean[..., None]
    spread = torch.einsum("bln,blcn,bldn->blcd", weight, apart, apart)
    # the first principal axis by powers of the matrix; grey, where nothing varies
    axis = torch.ones_like(mean)
    for _ in range(8):
        axis = torch.einsum("blcd,bld->blc", spread, axis) + 1e-9
        axis = axis / axis.norm(dim=-1, keepdim=True)
    high = torch.einsum("blc,blcn->bln", axis, apart) > 0
    for _ in range(_ROUNDS):
        ends = []
        for side in (weight * ~high, weight * high):
            mass = side.sum(-1, keepdim=True)
            ends.append(
                torch.where(mass > 1e-6, torch.einsum("bln,bcn->blc", side, colour) / mass.clamp_min(1e-6), mean)
            )
        low, top = ends
        middle, across = (low + top) / 2, top - low
        high = torch.einsum("blc,blcn->bln", across, colour[:, None] - middle[..., None]) > 0
    return high ^ ((across.sum(-1) < 0)[..., None])


def mixture(
    colours: Float[Tensor, "batch colour rgb=3 height width"], logits: Float[Tensor, "batch colour height width"]
) -> Float[Tensor, "batch rgb=3 height width"]:
    """The colours, mixed as probable as each is."""
    return (colours * logits.softmax(1)[:, :, None]).sum(1)


def layers_of(logits: Float[Tensor, "batch colour height width"]) -> Float[Tensor, "batch layer height width"]:
    """Logits of LAYERS: a layer is as probable as its tones together."""
    return logits.unflatten(1, (len(LAYERS), TONES)).logsumexp(2)


def _distances(
    template: Template, atlas: Atlas
) -> tuple[Int[Tensor, " inside"], Int[Tensor, " inside"], Float[Tensor, "inside sample"]]:
    """The texels of the islands, each one's sample of the template, and the weight of every sample for each texel."""
    inside = torch.nonzero(atlas.covered.view(-1))[:, 0]
    corners = template.vertex_sample[template.triangles[atlas.triangle.view(-1)[inside]]]
    weights = atlas.barycentric.view(-1, 3)[inside]
    sample = corners.gather(1, weights.argmax(1, keepdim=True))[:, 0]
    far = torch.zeros(len(inside), len(template.samples), device=inside.device)
    for k in range(3):
        far += weights[:, k : k + 1] * template.sample_geodesic[corners[:, k]]
    return inside, sample, (far + _NEAR).pow_(-_FALL)
