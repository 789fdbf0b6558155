"""Behind the person: the photograph itself without them, or another picture, in the photo's own frame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from bodymap.cropping import resized
from bodymap.errors import UserError
from bodymap.foreground.people import resample_region
from bodymap.types import Camera
from bodymap.warping.grid import dilate
from bodymap.warping.patches import fill_from_patches

if TYPE_CHECKING:
    from bodymap.predictor import BodyMap

_MARGIN = 0.03  # of the root of the person's area: their halo, and the shadow close to the feet


def own_frame(camera: Camera, longest: int | None = None) -> Camera:
    """The photo's camera with its whole picture; ``longest``: pixels of the longer side, None: as it is."""
    if longest is None:
        return camera
    height, width = camera.size
    scale = longest / max(height, width)
    size = tuple(max(16, round(side * scale)) for side in (height, width))
    intrinsics = camera.intrinsics.copy()
    intrinsics[0] *= size[1] / width
    intrinsics[1] *= size[0] / height
    return replace(camera, intrinsics=intrinsics, size=size)


def without_person(
    photo: UInt8[np.ndarray, "height width rgb=3"],
    person: Bool[np.ndarray, "height width"],
    others: Bool[np.ndarray, "height width"] | None = None,
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """The photo as if the person were not there; what they hid is made up of what is around.

    Args:
        others: further people: they stay, and nobody is copied from them.

    Raises:
        UserError: the person covers everything.
    """
    margin = max(2, round(_MARGIN * float(np.sqrt(person.sum()))))
    # slivers between shoes, or arm and body, are in the person's shadow: gaps of up to four margins close
    closed = ~dilate(~dilate(torch.tensor(person), 2 * margin), 2 * margin)
    hole = dilate(closed, margin).numpy()
    if others is not None:
        hole &= ~others | person
    if hole.all():
        raise UserError("The person covers the whole photo: nothing is seen of its background; give another picture.")
    return fill_from_patches(photo, hole, others)


def others_in(
    model: BodyMap, photo: UInt8[np.ndarray, "height width rgb=3"], person: Bool[np.ndarray, "height width"]
) -> Bool[np.ndarray, "height width"]:
    """Where further people are in the photo, about."""
    others = np.zeros_like(person)
    if model.net.cse is None:
        return others  # these weights do not find people
    for found in model.find(photo):
        region = resample_region(found.region, person.shape)
        if (region & person).sum() < 0.5 * region.sum():
            others |= region
    return others & ~person


def covering(
    picture: UInt8[np.ndarray, "height width rgb=3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "rows columns rgb=3"]:
    """Scaled so that it covers a frame of ``size`` (height, width), what stands out on two sides cut off."""
    height, width = picture.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    rows, columns = (min(side, round(wanted / scale)) for side, wanted in ((height, size[0]), (width, size[1])))
    top, left = (height - rows) // 2, (width - columns) // 2
    return resized(picture[top : top + rows, left : left + columns], size)
