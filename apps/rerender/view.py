"""Draws a posed avatar: its texture through the map of the body as a camera sees it, soft-edged, on a background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8

from apps.rerender.avatar import Avatar
from apps.rerender.normals import CHANNELS, Normals
from bodymap.fitting.body import project
from bodymap.fitting.picture import draw
from bodymap.types import Camera
from bodymap.warping.fill import SEEN
from bodymap.warping.texture_to_image import texture_to_image

if TYPE_CHECKING:
    from apps.rerender.renderer import RendererNet

_FINER = 2  # drawn at this many times the size, then averaged: soft edges
_MARGIN = 0.06  # of the longer side, around everything that the film shows
STUDIO = ((236, 237, 240), (206, 208, 214))  # from the top of the picture to its foot


def frame_camera(camera: Camera, bodies: Sequence[np.ndarray], longest: int) -> Camera:
    """The photo's camera, its picture cut and scaled so that all bodies are in it; its longer side is ``longest``."""
    seen = np.concatenate([project(body[::7], camera) for body in bodies])
    low, high = seen.min(0), seen.max(0)
    margin = _MARGIN * (high - low).max()
    low, high = low - margin, high + margin
    scale = longest / (high - low).max()
    width, height = (max(16, 2 * round(side * scale / 2)) for side in high - low)  # video wants even sides
    intrinsics = camera.intrinsics.astype(float).copy()
    intrinsics[:2, 2] -= low
    intrinsics[:2] *= scale
    return Camera(intrinsics.astype(np.float32), camera.T_camera_world, (height, width))


def render(
    avatar: Avatar,
    vertices: Float[np.ndarray, "vertex=13380 xyz=3"],
    camera: Camera,
    background: UInt8[np.ndarray, "height width rgb=3"] | None = None,
    renderer: RendererNet | None = None,
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """One picture of the camera's size.

    Args:
        vertices: in the camera's space.
        background: of the same size; None: a plain studio.
        renderer: corrects colours; None: the texture as it lies on the body.
    """
    rgb, alpha = render_rgba(avatar, vertices, camera, renderer)
    under = studio(camera.size) if background is None else background
    return (rgb * alpha + under * (1 - alpha)).round().clip(0, 255).astype(np.uint8)


def render_rgba(
    avatar: Avatar,
    vertices: Float[np.ndarray, "vertex=13380 xyz=3"],
    camera: Camera,
    renderer: RendererNet | None = None,
) -> tuple[Float[np.ndarray, "height width rgb=3"], Float[np.ndarray, "height width 1"]]:
    """Colours in [0, 255] and how much of each pixel the person covers, in [0, 1]."""
    height, width = camera.size
    intrinsics = camera.intrinsics.copy()
    intrinsics[:2] *= _FINER
    fine = replace(camera, intrinsics=intrinsics, size=(height * _FINER, width * _FINER))
    seen = draw(vertices, fine)
    was_seen = (avatar.texture.origin == SEEN).float()[..., None]
    texture = torch.cat([avatar.texture.colour, was_seen], -1)
    values = texture_to_image(avatar.template, texture, seen, smooth=0).values
    normals = values.new_zeros(height * _FINER, width * _FINER, CHANNELS, device="cpu")
    if renderer is not None:
        turned = Normals.between(avatar.template, avatar.vertices, vertices)
        normals = turned.at_pixels(avatar.template, seen).permute(1, 2, 0)
    for shell in avatar.shells:
        covered, colours = shell.over(vertices, fine)
        values[covered, :3] = torch.from_numpy(colours[covered]).to(values)
        normals[torch.from_numpy(covered)] = 0  # its own are not the body's
        seen.mask[covered] = True
    weight = torch.from_numpy(seen.mask).float()[..., None]
    code = torch.from_numpy(seen.colour).float() / 255
    stacked = torch.cat([values.cpu(), code, normals, torch.ones_like(weight)], -1) * weight
    mean = torch.nn.functional.avg_pool2d(stacked.permute(2, 0, 1)[None], _FINER)[0]
    alpha = mean[-1:]
    colour, share, code, normals = (mean[:-1] / alpha.clamp_min(1e-6)).split([3, 1, 3, CHANNELS])
    if renderer is not None:
        from apps.rerender.renderer import TEXELS, refine

        flat, form = texture.cpu().permute(2, 0, 1), turned.at_texels(avatar.template, TEXELS)
        colour = refine(renderer, colour, alpha, share, code, flat[:3], flat[3:], normals, form)
    return 255 * colour.permute(1, 2, 0).numpy(), alpha.permute(1, 2, 0).numpy()


def studio(size: tuple[int, int]) -> UInt8[np.ndarray, "height width rgb=3"]:
    """A plain backdrop, a little darker towards the floor."""
    share = np.linspace(0, 1, size[0])[:, None, None]
    top, foot = (np.array(colour, float) for colour in STUDIO)
    rows = ((1 - share) * top + share * foot).round().astype(np.uint8)
    return np.broadcast_to(rows, (*size, 3)).copy()
