"""What comes out where something of the target's is taken away: its own other clothes and skin, or the background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from apps.swap.regions import CARRIED, TargetView
from bodymap.surface import Template
from bodymap.types import Correspondence
from bodymap.warping.fill import fill_texture
from bodymap.warping.grid import smoothing_reach
from bodymap.warping.image_to_texture import image_to_texture
from bodymap.warping.patches import fill_from_patches
from bodymap.warping.texture_to_image import look_up


@dataclass(frozen=True)
class Beneath:
    """The target without some of its layers, as far as its own photo lets one guess.

    Attributes:
        colour: at every pixel of the person.
        layer: what is there, 0 outside the person.
    """

    colour: Float[Tensor, "height width rgb=3"]
    layer: Int[Tensor, "height width"]


def beneath(
    template: Template, view: TargetView, correspondence: Correspondence, gone: tuple[int, ...], texture_size: int
) -> Beneath | None:
    """The layers that stay, spread along the body's surface under those that go; None where nothing stays.

    Args:
        gone: index into LAYER_NAMES.
    """
    photo = (view.photo * 255).round().byte().cpu().numpy()
    stay = tuple(k for k in range(1, CARRIED) if k not in gone)
    partial = image_to_texture(
        template, photo, correspondence, texture_size, layers=stay, smooth=smoothing_reach(correspondence)
    )
    if not bool(partial.seen.any()):
        return None
    filled = fill_texture(template, partial)
    one_hot = torch.nn.functional.one_hot(filled.layer, CARRIED + 1)[..., 1:].float()
    seen = look_up(template, torch.cat([filled.colour, one_hot], -1), view.grid, tuple(view.mask.shape)).values
    return Beneath(seen[..., :3].clamp(0, 1), (seen[..., 3:].argmax(-1) + 1) * view.mask)


def background(
    photo: Float[Tensor, "height width rgb=3"], hole: Bool[Tensor, "height width"], person: Bool[Tensor, "height width"]
) -> Float[Tensor, "height width rgb=3"]:
    """The photo with the background going on in the hole; nothing of the person is copied there."""
    rows, columns = (np.flatnonzero(hole.cpu().numpy().any(axis)) for axis in (1, 0))
    # what is near is what fits, and a small picture is filled in more detail
    room = max(len(rows), len(columns), 64) // 2
    rows, columns = (
        slice(max(0, int(at[0]) - room), min(size, int(at[-1]) + 1 + room))
        for at, size in zip((rows, columns), hole.shape, strict=True)
    )
    picture = (photo[rows, columns] * 255).round().byte().cpu().numpy()
    inside, avoid = hole[rows, columns].cpu().numpy(), person[rows, columns].cpu().numpy()
    result = photo.clone()
    if not (avoid | inside).all():
        filled = torch.from_numpy(fill_from_patches(picture, inside, avoid & ~inside))
        result[rows, columns] = filled.to(photo.device).float() / 255
    return result
