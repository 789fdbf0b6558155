"""Completion by symmetry: what was not seen of one side is taken from the person's other side."""

from __future__ import annotations

import torch

from bodymap.surface import Template
from bodymap.types import LAYER_NAMES
from bodymap.warping.atlas import get_atlas, sample_texture
from bodymap.warping.image_to_texture import PartialTexture
from bodymap.warping.pyramid import push_pull


def mirror_unseen(template: Template, partial: PartialTexture) -> PartialTexture:
    """Unseen texels take what lies at the mirrored place, if that was seen, adjusted to this side's light around them.

    Seen texels stay as they are, to the bit; what was seen on neither side stays unseen.
    """
    atlas = get_atlas(template, partial.colour.shape[0])
    inside, seen = atlas.covered, partial.seen
    one_hot = torch.nn.functional.one_hot(partial.layer, len(LAYER_NAMES))[..., 1:].float()
    stacked = torch.cat([partial.colour, partial.confidence[..., None], one_hot], -1)
    # seen texels count fully however unsure, or a texel at the rim would be a mixture with nothing
    found, mass = sample_texture(stacked, atlas.mirror_uv[inside], atlas.mirror_island[inside], atlas, seen.float())
    image = torch.zeros_like(stacked)
    image[inside] = found
    available = torch.zeros_like(seen)
    available[inside] = mass > 0.5

    # Left and right differ in light: near what was seen on this side, follow the difference between the two (compared
    # within a material only: along its edge a look-up sees both sides).
    pure, kind = image[..., 4:].max(-1)
    both = (seen & available & (pure > 0.99) & (kind + 1 == partial.layer)).float()
    difference, reach = push_pull((partial.colour - image[..., :3]) * both[..., None], both, levels=6)
    adjusted = (image[..., :3] + difference * reach[..., None]).clamp(0, 1)

    take = available & ~seen
    return PartialTexture(
        colour=torch.where(take[..., None], adjusted, partial.colour),
        confidence=torch.where(take, image[..., 3].clamp_min(1e-3), partial.confidence),
        layer=torch.where(take, kind + 1, partial.layer),
    )
