"""The fitted body as a picture of points: a Correspondence of the bare template under a camera."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from bodymap.people.anatomy import template
from bodymap.rendering.camera import clip_from_world
from bodymap.rendering.rasterizer import rasterize
from bodymap.surface import points
from bodymap.types import LAYER_NAMES, Camera, Correspondence


def draw(vertices: Float[np.ndarray, "vertex=13380 xyz=3"], camera: Camera, confidence: float = 1.0) -> Correspondence:
    """What the camera sees of the bare body (world coordinates, metres); its layer is skin."""
    t = template()
    outside = torch.nonzero(t.triangle_inner == 0)[:, 0]
    clip = clip_from_world(torch.from_numpy(np.ascontiguousarray(vertices, np.float32)), camera)
    seen = rasterize(clip, t.triangles[outside], camera.size)[0]
    result = Correspondence.empty(camera.size)
    result.mask[:] = seen.foreground[0].numpy()
    triangle = outside[seen.triangle[0][seen.foreground[0]]]
    barycentric = seen.barycentric[0][seen.foreground[0]]
    result.triangle[result.mask], result.barycentric[result.mask] = triangle.numpy(), barycentric.numpy()
    result.part[result.mask] = points.part(t, triangle, barycentric).numpy()
    result.uv[result.mask] = points.uv(t, triangle, barycentric).numpy()
    result.colour[result.mask] = (points.code(t, triangle, barycentric) * 255).round().clamp(0, 255).byte().numpy()
    result.layer[result.mask] = LAYER_NAMES.index("skin")
    result.confidence[result.mask] = confidence
    return result
