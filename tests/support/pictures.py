"""Pictures with exact truth made from the template alone: fast, and independent of the people engine."""

from __future__ import annotations

import math

import numpy as np
import torch

from bodymap.rendering import interpolate, rasterize
from bodymap.surface import load_template, points
from bodymap.types import LAYER_NAMES, PART_NAMES, Camera, Sample


def template_sample(
    facing: float = 0.0, size: tuple[int, int] = (128, 96), seed: int = 0, scale: float = 0.9
) -> Sample:
    """The template seen from ``facing`` radians (0 front, pi back) by a far camera, painted in its code, on noise.

    Upper body and arms are labelled upper, legs lower, feet shoes, the rest skin.
    """
    t = load_template()
    rng = np.random.default_rng(seed)
    height, width = size
    c, s = math.cos(facing), math.sin(facing)
    v = t.vertices
    # turn the person so that the camera (which looks along +Y) sees the side that ``facing`` names
    x, y, z = c * v[:, 0] + s * v[:, 1], -s * v[:, 0] + c * v[:, 1], v[:, 2]
    middle = (v[:, 2].max() + v[:, 2].min()) / 2
    half = 0.85 / scale
    clip = torch.stack([x / half * height / width, -(z - middle) / half, y / 2, torch.ones_like(x)], -1)[None]
    fragments = rasterize(clip, t.triangles, size)[0]
    triangle, barycentric = fragments.triangle[0], fragments.barycentric[0]
    inside = triangle >= 0
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    part = np.full(size, -1, np.int16)
    layer = np.zeros(size, np.int8)
    part[inside.numpy()] = points.part(t, triangle[inside], barycentric[inside]).numpy()
    names = [_layer_of(name) for name in PART_NAMES]
    layer[inside.numpy()] = np.array([LAYER_NAMES.index(name) for name in names], np.int8)[part[inside.numpy()]]
    code = interpolate(t.code, fragments, t.triangles)[0]
    image[inside.numpy()] = (code[inside] * 255).byte().numpy()
    normal = np.zeros((height, width, 3), np.float32)
    normal[inside.numpy(), 2] = -1
    return Sample(
        image=image,
        foreground=inside.numpy(),
        triangle=triangle.numpy().astype(np.int32),
        barycentric=(barycentric * inside[..., None]).numpy().astype(np.float32),
        part=part,
        layer=layer,
        normal=normal,
        instance=inside.numpy().astype(np.int8),
        camera=Camera(np.eye(3, dtype=np.float32), np.eye(4, dtype=np.float32), size),
        facing=facing,
    )


def _layer_of(part: str) -> str:
    if part.startswith("torso") or part.endswith(("upper_arm", "forearm")):
        return "upper"
    if part.endswith(("thigh", "shin")):
        return "lower"
    return "shoes" if part.endswith("foot") else "skin"
