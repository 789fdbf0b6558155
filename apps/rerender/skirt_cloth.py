"""The cloth of a skirt all the way round: what photographs show of the tube, mirrored and continued where none does.

A picture of it begins in the middle of the back and goes round by the photo's left side, the front and the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from bodymap.fitting.body import project
from bodymap.types import Camera
from bodymap.warping.blend import colour_gain
from bodymap.warping.fuse import fuse_textures
from bodymap.warping.image_to_texture import PartialTexture
from bodymap.warping.patches import fill_from_patches

TEXELS = 768  # each way
_FRONT = slice(TEXELS // 4, TEXELS - TEXELS // 4)
_FACING = 0.2  # cosine from which on a photo shows enough of the cloth
_FEWEST = 0.05  # of the front: of less nothing is made up
_MIRRORED = 1e-3  # what a texel of the mirror image counts beside one that was seen
_COMMON = 2000  # texels: with fewer that both show, another photo's cloth is taken to have the first one's colours
_GAIN = 1.6


def seen_on(
    tube: Float[np.ndarray, "level column xyz=3"],
    photo: UInt8[np.ndarray, "height width rgb=3"],
    cloth: Bool[np.ndarray, "height width"],
    camera: Camera,
) -> PartialTexture:
    """What a photo shows of the tube.

    Args:
        tube: top to hem, each level once round and closed, from the middle of the back; metres, in the camera's space.
        cloth: where the photo shows the skirt's cloth.
    """
    levels, columns = tube.shape[:2]
    grid = np.meshgrid(np.linspace(0, levels - 1, TEXELS), np.linspace(0, columns - 1, TEXELS), indexing="ij")
    points = np.stack([ndimage.map_coordinates(tube[..., k], grid, order=1) for k in range(3)], -1)
    normal = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    ray = points / np.linalg.norm(points, axis=-1, keepdims=True)
    facing = -(normal * ray).sum(-1) / np.linalg.norm(normal, axis=-1).clip(1e-9)
    pixel = project(points.reshape(-1, 3), camera)[:, ::-1].T - 0.5
    own = ndimage.binary_erosion(cloth).astype(float)
    inside = ndimage.map_coordinates(own, pixel, order=0).reshape(facing.shape) > 0.5
    seen = inside & (facing > _FACING)
    rgb = [ndimage.map_coordinates(photo[..., k].astype(np.float32) / 255, pixel, order=1) for k in range(3)]
    colour = np.stack(rgb, -1).reshape(*facing.shape, 3).clip(0, 1) * seen[..., None]
    return PartialTexture(
        torch.from_numpy(colour.astype(np.float32)),
        torch.from_numpy((facing * seen).astype(np.float32)),
        torch.from_numpy(seen.astype(np.int64)),
    )


def all_round(views: Sequence[PartialTexture]) -> Float[np.ndarray, "texel texel rgb=3"] | None:
    """The whole cloth, [0, 1]: each texel from the photo that shows it best, else its mirror image, else patches.

    Args:
        views: as ``seen_on`` makes them; the first photo's colours count. None: it shows too little of the front.
    """
    if not len(views) or float(views[0].seen[:, _FRONT].float().mean()) < _FEWEST:
        return None
    same = [views[0], *(_in_colours_of(views[0], view) for view in views[1:] if bool(view.seen.any()))]
    fused = fuse_textures([*same, *(_mirrored(view) for view in same)])
    colour, known = (fused.colour.numpy() * 255).round().astype(np.uint8), fused.seen.numpy()
    # the front first: where nobody knows the back either, that becomes its mirror image
    colour[:, _FRONT] = fill_from_patches(colour[:, _FRONT].copy(), ~known[:, _FRONT])
    known[:, _FRONT] = True
    back = np.roll(colour[:, ::-1], TEXELS // 2, 1)
    return np.where(known[..., None], colour, back) / 255


def _mirrored(view: PartialTexture) -> PartialTexture:
    """The front on the back, and the back on the front; what is on a side stays there."""
    values = (view.colour, view.confidence * _MIRRORED, view.layer)
    return PartialTexture(*(value.flip(1).roll(TEXELS // 2, 1) for value in values))


def _in_colours_of(first: PartialTexture, other: PartialTexture) -> PartialTexture:
    """Front and back have little in common by which light and camera could be compared, but are of one cloth."""
    if int((first.seen & other.seen).sum()) >= _COMMON:
        return other
    gain = colour_gain(other.colour[other.seen], first.colour[first.seen], limit=_GAIN)
    return replace(other, colour=(other.colour * gain).clamp(0, 1))
