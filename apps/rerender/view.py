"""Draws a posed avatar: its texture through the map of the body as a camera sees it, soft-edged, on a background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8

from apps.rerender.avatar import Avatar
from apps.rerender.normals import Normals
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
    normals = None if renderer is None else Normals.between(avatar.template, avatar.vertices, vertices)
    # what only a renderer asks for is worked out for one alone
    asked = []
    if normals is not None:
        turned = normals.at_pixels(avatar.template, seen)
        asked = [torch.from_numpy(seen.colour).permute(2, 0, 1).float() / 255, turned]
    for shell in avatar.shells:
        covered, colours = shell.over(vertices, fine)
        values[covered, :3] = torch.from_numpy(colours[covered]).to(values)
        if normals is not None:
            turned[:, torch.from_numpy(covered)] = 0  # its own are not the body's
        seen.mask[covered] = True
    weight = torch.from_numpy(seen.mask)[None].float()
    stacked = torch.cat([weight, values.cpu().permute(2, 0, 1), *asked]) * weight
    mean = torch.nn.functional.avg_pool2d(stacked[None], _FINER)[0]
    alpha, mean = mean[:1], mean[1:] / mean[:1].clamp_min(1e-6)
    colour = mean[:3]
    if normals is not None:
        from apps.rerender.renderer import TEXELS, Warp, refine

        flat, form = texture.cpu().permute(2, 0, 1), normals.at_texels(avatar.template, TEXELS)
        colour = refine(renderer, Warp(colour, mean[3:4], mean[4:7], alpha, flat, mean[7:], form))
    return 255 * colour.permute(1, 2, 0).numpy(), alpha.permute(1, 2, 0).numpy()


def studio(size: tuple[int, int]) -> UInt8[np.ndarray, "height width rgb=3"]:
    """A plain backdrop, a little darker towards the floor."""
    share = np.linspace(0, 1, size[0])[:, None, None]
    top, foot = (np.array(colour, float) for colour in STUDIO)
    rows = ((1 - share) * top + share * foot).round().astype(np.uint8)
    return np.broadcast_to(rows, (*size, 3)).copy()
