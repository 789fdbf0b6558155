"""Several photographs of one person -> one partial texture: each place from the photo that shows it best."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from bodymap.warping.blend import colour_gain
from bodymap.warping.image_to_texture import PartialTexture
from bodymap.warping.windows import window_mean

_FIRST = 1.5  # the first photo's confidence counts this many times: fewer seams
_SEAM = 1 / 40  # of the texture's side: how far light is blended across a seam
_FEWEST = 200  # texels that two photos must share for their colours to be compared


def fuse_textures(partials: Sequence[PartialTexture]) -> PartialTexture:
    """Takes each texel from the photo that saw it most surely; light is evened out, detail is not mixed.

    The others' colours are brought to the first one's, layer by layer, by what both show. Detail of two photos is never
    averaged (they lie a few texels apart, which would blur it): across a seam only what is broader than _SEAM is.

    Args:
        partials: of one size, of the same person in the same clothes; the first sets the colours.
    """
    if len(partials) == 1:
        return partials[0]
    first = partials[0]
    size = first.colour.shape[0]
    evened = [first.colour, *(_like(other, first) for other in partials[1:])]
    trust = torch.stack([p.confidence * (_FIRST if p is first else 1.0) for p in partials])
    best = trust.argmax(0)
    seen = torch.stack([p.seen for p in partials])

    radius = max(1, round(_SEAM * size / 2))
    broad = torch.stack([_broad(c, s, radius) for c, s in zip(evened, seen, strict=True)])
    own = functional.one_hot(best, len(partials)).movedim(-1, 0) * seen
    share = torch.stack([_box(one.float(), radius) for one in own]) * seen
    light = (share[..., None] * broad).sum(0) / share.sum(0).clamp_min(1e-6)[..., None]

    chosen, colours = best[None, ..., None], torch.stack(evened)
    detail = (colours - broad).gather(0, chosen.expand(1, -1, -1, 3))[0]
    anything = seen.any(0)
    return PartialTexture(
        colour=(light + detail).clamp(0, 1) * anything[..., None],
        confidence=torch.stack([p.confidence for p in partials]).gather(0, best[None])[0],
        layer=torch.stack([p.layer for p in partials]).gather(0, best[None])[0] * anything,
    )


def _like(other: PartialTexture, first: PartialTexture) -> Float[Tensor, "texel texel rgb=3"]:
    """Its colours, as the first photo's light and camera would have them."""
    shared = other.seen & first.seen & (other.layer == first.layer)
    overall = colour_gain(other.colour[shared], first.colour[shared], limit=1.6, fewest=_FEWEST)
    colour = other.colour.clone()
    for layer in other.layer[other.seen].unique().tolist():
        both = shared & (other.layer == layer)
        enough = int(both.sum()) >= _FEWEST
        gain = colour_gain(other.colour[both], first.colour[both], limit=1.6, fewest=_FEWEST) if enough else overall
        mine = other.seen & (other.layer == layer)
        colour[mine] = (other.colour[mine] * gain).clamp(0, 1)
    return colour


def _broad(
    colour: Float[Tensor, "texel texel rgb=3"], seen: Bool[Tensor, "texel texel"], radius: int
) -> Float[Tensor, "texel texel rgb=3"]:
    """The mean of what was seen around each texel that was."""
    total = torch.stack([_box(colour[..., c] * seen, radius) for c in range(3)], -1)
    return total / _box(seen.float(), radius).clamp_min(1e-6)[..., None] * seen[..., None]


def _box(image: Float[Tensor, "texel texel"], radius: int) -> Float[Tensor, "texel texel"]:
    """Two box filters: smooth enough, and cheap at any radius."""
    for _ in range(2):
        image = window_mean(image, 2 * radius + 1)
    return image
