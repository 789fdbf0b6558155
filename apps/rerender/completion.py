"""Texture completion: from what a photo showed of a person to a whole texture, learned on synthetic people.

A U-Net looks at 128 x 128 texels: what was seen, its mirror image, what lies opposite (``opposite.py``), the layers, a
smooth fill, and where each texel lies on the body. It answers with the layer and tone of each texel, which choose among
the colours seen (``palette.py``), with a correction, and with how much of the mirror image's and the opposite's fine
detail to take over. The result is composed at any size: what was seen stays as it is, detail comes from the photo
itself where another side of the body was seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from apps.rerender.bands import continued_bands
from apps.rerender.grain import continued_grain
from apps.rerender.opposite import FOLD, laid_opposite, opposite_index
from apps.rerender.palette import LAYERS, TONES, Palette, layers_of, mixture
from apps.rerender.pattern import continued_pattern
from apps.rerender.seams import level_seams
from bodymap.config import check_ranges
from bodymap.surface import Template
from bodymap.types import LAYER_NAMES
from bodymap.warping.atlas import Atlas, get_atlas
from bodymap.warping.fill import MIRRORED, SEEN, SMOOTH, FilledTexture
from bodymap.warping.image_to_texture import PartialTexture
from bodymap.warping.pyramid import push_pull
from bodymap.warping.symmetry import mirror_unseen
from bodymap.warping.windows import mean_within

_DETAIL = 9 / 256  # of the texture's side: over so much the mirror image is averaged: what is finer is detail
_CRISP = 8.0  # the layers' logits count so much more in what is shown than in what is trained
_NARROWER = 3  # so many halvings fewer where there are bands
_BLEND = 5  # the made-up follows the seen over about 2^this texels (of 1024)


@dataclass(frozen=True)
class CompletionConfig:
    """The network.

    Attributes:
        size: texels each way that it looks at.
        channels: of its levels, each half the size of the one before; the first at half of ``size``.
    """

    size: int = 128
    channels: tuple[int, ...] = (48, 96, 160, 256)

    def __post_init__(self) -> None:
        check_ranges(self, size=(8, 4096), channels=(1, 8192))
        if not self.channels or self.size % 2 ** len(self.channels):
            raise ValueError(f"size must be a multiple of 2 for each of channels, not {self.size}.")


@dataclass(frozen=True)
class Completed:
    """Attributes:
    palette: (B, C, 3, T, T): the colours to choose from, spread over the body: LAYERS x TONES.
    choice: (B, C, T, T) their logits.
    change: (B, 3, T, T): what is added to the colours' mixture.
    detail: (B, 2, 3, T, T), the mirror image's and the opposite's, 0 where these were not seen.
    take: (B, 2, T, T) in [0, 1]: how much of them.
    """

    palette: Float[Tensor, "batch colour rgb=3 texel texel"]
    choice: Float[Tensor, "batch colour texel texel"]
    change: Float[Tensor, "batch rgb=3 texel texel"]
    detail: Float[Tensor, "batch 2 rgb=3 texel texel"]
    take: Float[Tensor, "batch 2 texel texel"]

    @property
    def texture(self) -> Float[Tensor, "batch rgb=3 texel texel"]:
        """Colours, about [0, 1]."""
        return mixture(self.palette, self.choice) + self.change + (self.take[:, :, None] * self.detail).sum(1)

    @property
    def layer(self) -> Float[Tensor, "batch layer texel texel"]:
        """Logits of LAYERS."""
        return layers_of(self.choice)


class CompletionNet(nn.Module):
    """U-Net with skips over a template's atlas."""

    def __init__(self, config: CompletionConfig, template: Template) -> None:
        super().__init__()
        self.config = config
        atlas = get_atlas(template, config.size)
        place = template.vertices[template.triangles[atlas.triangle.clamp_min(0)]] * atlas.barycentric[..., None]
        place = (place.sum(-2) * atlas.covered[..., None]).permute(2, 0, 1)
        self.register_buffer("place", torch.cat([place, atlas.covered[None].float()])[None], persistent=False)
        self.register_buffer("mirror", mirror_index(atlas), persistent=False)
        self.register_buffer("opposite", opposite_index(template, config.size), persistent=False)
        self.palette = Palette(template, atlas)
        widths, colours = config.channels, len(LAYERS) * TONES
        # three images, the smooth fill and both tones, what is near of each colour, the place
        self.cells = nn.Conv2d(3 * (4 + len(LAYERS)) + 3 * TONES + colours + 4, 2 * widths[0], 2, stride=2)
        self.enter = block(2 * widths[0], widths[0])
        self.down = nn.ModuleList([block(a, b) for a, b in zip(widths, widths[1:], strict=False)])
        self.middle = block(widths[-1], widths[-1])
        self.up = nn.ModuleList([block(a + b, b) for a, b in zip(widths[::-1], widths[-2::-1], strict=False)])
        self.leave = nn.Conv2d(3 * widths[0], 4 * (3 + 2 + colours), 1)

    def forward(
        self,
        colour: Float[Tensor, "batch rgb=3 texel texel"],
        confidence: Float[Tensor, "batch 1 texel texel"],
        layer: Int[Tensor, "batch texel texel"],
    ) -> Completed:
        """Whatever is unseen (confidence 0) is ignored. ``layer``: index into LAYER_NAMES."""
        seen = (confidence > 0).to(colour.dtype)
        labels = functional.one_hot(layer.clamp(0, len(LAYERS)), len(LAYERS) + 1).permute(0, 3, 1, 2)[:, 1:]
        own = torch.cat([colour * seen, confidence, labels.to(colour.dtype) * seen], 1)
        other = self.mirrored(own)
        facing = self.facing(torch.where(seen > 0, own, other))

        # where the answer starts from: the colours that were seen, spread smoothly, mixed as their layers spread
        palette, prior = self.palette(own, other)
        tones = palette.unflatten(1, (len(LAYERS), TONES))[:, :, 1:]
        tones = (tones * layers_of(prior).softmax(1)[:, :, None, None]).sum(1).flatten(1, 2)
        base = torch.cat([mixture(palette, prior), tones], 1)
        given = torch.cat([own, other, facing, base, prior.softmax(1), self.place.expand(len(colour), -1, -1, -1)], 1)
        cells = self.cells(given)
        x = self.enter(cells)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(functional.max_pool2d(x, 2))
        # the whole person at a glance: what was seen anywhere bears on what is unseen
        x = self.middle(x + x.mean((2, 3), keepdim=True))
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(torch.cat([functional.interpolate(x, scale_factor=2.0), skip], 1))
        out = even(functional.pixel_shuffle(self.leave(torch.cat([x, cells], 1)).float(), 2))
        reach = odd(_DETAIL * self.config.size)
        details = [detail_of(x[:, :3], (x[:, 3:4] > 0).to(x.dtype), reach) for x in (other, facing)]
        return Completed(palette, prior + out[:, 5:], out[:, :3], torch.stack(details, 1), out[:, 3:5].sigmoid())

    def complete(self, template: Template, partial: PartialTexture) -> FilledTexture:
        """The whole texture (``complete_texture``): what every completion answers to."""
        return complete_texture(template, partial, self)

    def mirrored(self, image: Float[Tensor, "batch c texel texel"]) -> Float[Tensor, "batch c texel texel"]:
        """The person's other side, laid over this one; 0 where the atlas shows nothing."""
        return _rearranged(image, self.mirror)

    def facing(self, image: Float[Tensor, "batch c texel texel"]) -> Float[Tensor, "batch c texel texel"]:
        """What lies opposite, laid over this; 0 where nothing does."""
        return _rearranged(image, self.opposite)


def _rearranged(image: Float[Tensor, "batch c texel texel"], index: Int[Tensor, " texel"]) -> Tensor:
    return (image.flatten(2)[..., index.clamp_min(0)] * (index >= 0)).view_as(image)


def block(given: int, width: int) -> nn.Sequential:
    """Two convolutions with batch norm (synchronised when trained on several devices)."""
    return nn.Sequential(
        nn.Conv2d(given, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


def even(image: Float[Tensor, "batch c height width"]) -> Float[Tensor, "batch c height width"]:
    """Weighted with 1 2 1 each way: takes away the checkerboards that a young network leaves in its cells of 2 x 2."""
    once = functional.avg_pool2d(image, 2, 1, 1, count_include_pad=False)
    return functional.avg_pool2d(once, 2, 1, 0)


def mirror_index(atlas: Atlas) -> Int[Tensor, " texel"]:
    """Flat index of the texel at each texel's mirrored place, -1 outside the islands."""
    column, row = (atlas.mirror_uv * atlas.size).long().clamp(0, atlas.size - 1).unbind(-1)
    index = atlas.source.view(-1)[(row * atlas.size + column).view(-1)]
    return torch.where(atlas.covered.view(-1), index, -1)


def odd(width: float) -> int:
    """The odd number near ``width``, at least 3."""
    return max(3, round(width) | 1)


def detail_of(
    colour: Float[Tensor, "batch rgb=3 texel texel"], weight: Float[Tensor, "batch 1 texel texel"], reach: int
) -> Float[Tensor, "batch rgb=3 texel texel"]:
    """What differs from the mean over ``reach`` x ``reach`` known texels; 0 where unknown. ``reach``: odd."""
    return (colour - mean_within(colour, weight, reach)) * weight


# ------------------------------------------------------------------------------------------------- at the photo's size
def complete_texture(template: Template, partial: PartialTexture, network: CompletionNet) -> FilledTexture:
    """The whole texture; what was seen stays as it is, to the bit.

    Args:
        partial: of any size.

    Raises:
        ValueError: nothing was seen.
    """
    if not bool(partial.seen.any()):
        raise ValueError("Nothing was seen of the person: there is nothing to complete.")
    size = partial.colour.shape[0]
    atlas = get_atlas(template, size)
    small = shrink(partial, network.config.size)
    done = _both_ways(network, small)
    logits, change, take = (_enlarge(x, template, size) for x in (done.choice, done.change, done.take))
    # hems are lines: what is half one garment and half another at the network's size is neither
    colour, shares = change, (_CRISP * logits).softmax(1)
    for k in range(shares.shape[1]):
        colour = colour + _enlarge(done.palette[:, k], template, size) * shares[:, k : k + 1]
    colour, layer = colour[0].permute(1, 2, 0), layers_of(logits)[0].argmax(0) + 1
    # and between the bands of a garment, where the other places at that height show them
    known_layer = torch.where(partial.seen, partial.layer, layer) * atlas.covered
    profile, banded = continued_bands(template, atlas, partial.colour, known_layer, partial.seen)
    colour = torch.where(banded[..., None], profile, colour)
    # trained on the mean error it hedges: half of a doubtful detail; to the eye more of it is better
    takes = take[0].clamp(0, 1).sqrt()
    # detail of the mirror image and the opposite at the photo's own sharpness
    mirror = mirror_unseen(template, partial)
    there = mirror.seen & ~partial.seen
    facing = laid_opposite(template, mirror, FOLD)
    reach = odd(_DETAIL * size)
    details = []
    for other in (mirror, facing):
        detail = detail_of(other.colour.permute(2, 0, 1)[None], other.seen[None, None].float(), reach)[0]
        details.append(detail.permute(1, 2, 0))
    details[0] = torch.where(banded[..., None], mirror.colour - colour, details[0])
    # and the garments' pattern and folds, cloth's weave and skin's pores where not even that was seen
    both = torch.where(partial.seen[..., None], partial.colour, colour)
    pattern = continued_pattern(both, known_layer, partial.seen, facing, banded)
    grain = continued_grain(both, known_layer, partial.seen)
    mirrored, opposed = (takes[0] * there)[..., None], (takes[1] * facing.seen)[..., None]
    rest = torch.where(pattern == 0, torch.lerp(grain, details[1], opposed), pattern)
    made = colour + torch.lerp(rest, details[0], mirrored)

    # near the seen, follow the difference found there
    seen, inside = partial.seen, atlas.covered
    trust = (2 * partial.confidence).clamp(0.02, 1) * seen
    levels = max(1, _BLEND + round(math.log2(size / 1024)))
    apart = (partial.colour - colour) * seen[..., None]
    difference, reach = push_pull(apart, trust, levels)
    made = made + difference * reach[..., None]
    if bool(banded.any()):
        # beside a band's edge the difference is the band's, and nothing to follow far
        near, close = push_pull(apart, trust, max(1, levels - _NARROWER))
        made += (near * close[..., None] - difference * reach[..., None]) * banded[..., None]
    made = torch.where(seen[..., None], partial.colour, made)
    made = (made + level_seams(template, made, known_layer, inside & ~seen)).clamp(0, 1)
    origin = torch.where(seen, SEEN, torch.where(there & (takes[0] > 0.5), MIRRORED, SMOOTH)) * inside
    return FilledTexture(
        torch.where(seen[..., None], partial.colour, made) * inside[..., None],
        torch.where(seen, partial.layer, layer) * inside,
        origin,
    )


def _both_ways(network: CompletionNet, small: PartialTexture) -> Completed:
    """The answer, as the mean over the person and its mirror image."""
    given = torch.cat([small.colour, small.confidence[..., None], small.layer[..., None]], -1).permute(2, 0, 1)[None]
    given = torch.cat([given, network.mirrored(given)])
    with torch.no_grad():
        done = network(given[:, :3], given[:, 3:4], given[:, 4].long())
    choice, change, take = ((x[:1] + network.mirrored(x[1:])) / 2 for x in (done.choice, done.change, done.take))
    return Completed(done.palette[:1], choice, change, done.detail[:1], take)


def shrink(partial: PartialTexture, size: int) -> PartialTexture:
    """The partial texture at another size: means of what was seen; a texel counts as seen from a quarter on."""
    layer = functional.one_hot(partial.layer, len(LAYER_NAMES)).float()
    stacked = torch.cat([partial.colour, partial.confidence[..., None], layer, partial.seen[..., None].float()], -1)
    # unseen texels are 0 in every channel
    mean = functional.interpolate((stacked * stacked[..., -1:]).permute(2, 0, 1)[None], (size, size), mode="area")
    mean = mean[0].permute(1, 2, 0)
    mass = mean[..., -1]
    mean, seen = mean / mass.clamp_min(1e-6)[..., None], mass > 0.25
    return PartialTexture(mean[..., :3] * seen[..., None], mean[..., 3] * seen, mean[..., 4:-1].argmax(-1) * seen)


def _enlarge(image: Float[Tensor, "1 c texel texel"], template: Template, size: int) -> Float[Tensor, "1 c big big"]:
    """Smoothly; islands are padded first, so that nothing from outside runs in."""
    atlas = get_atlas(template, image.shape[-1])
    flat = image.flatten(2)[..., atlas.source.view(-1).clamp_min(0)].view_as(image)
    return functional.interpolate(flat, (size, size), mode="bilinear")
