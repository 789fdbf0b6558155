"""Plain pictures of bodies and clothes for looking at simulations: one light, one colour a layer."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from bodymap.rendering import rasterize
from bodymap.rendering.camera import camera_looking_at, clip_from_world
from bodymap.rendering.shading import vertex_normals

_COLOURS = ((0.85, 0.7, 0.6), (0.3, 0.42, 0.72), (0.82, 0.4, 0.32))


def picture(
    layers: list[tuple[Float[np.ndarray, "vertex xyz=3"], Int[np.ndarray, "face 3"]]],
    angle: float,
    size: tuple[int, int] = (320, 200),
    centre: tuple[float, float, float] = (0.0, 0.0, -0.03),
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """Body, lower and upper garment seen from ``angle`` degrees (0 front, 90 its left) at 4.5 metres."""
    turn = np.radians(angle)
    eye = np.array(centre) + 4.5 * np.array([np.sin(turn), -np.cos(turn), 0.15])
    camera = camera_looking_at(tuple(eye), centre, np.radians(27), size)
    starts = np.cumsum([0, *(len(v) for v, _ in layers)])
    vertices = torch.from_numpy(np.concatenate([v for v, _ in layers]).astype(np.float32))
    triangles = torch.from_numpy(
        np.concatenate([f + s for (_, f), s in zip(layers, starts, strict=False)]).astype(np.int64)
    )
    layer = torch.from_numpy(np.repeat(np.arange(len(layers)), [len(f) for _, f in layers]))
    seen = rasterize(clip_from_world(vertices, camera), triangles, size)[0]
    inside = seen.triangle[0] >= 0
    face = seen.triangle[0][inside]
    normal = vertex_normals(vertices, triangles)[triangles[face]]
    normal = torch.nn.functional.normalize((normal * seen.barycentric[0][inside][..., None]).sum(1), dim=1)
    towards = torch.from_numpy((eye - np.array(centre)) / 4.5).float()
    away = (normal @ towards) < 0
    light = torch.from_numpy(np.array([np.cos(turn), np.sin(turn), 0.0])).float()[None] * 0.5 + towards + 0.3
    normal = torch.where(away[:, None], -normal, normal)
    shade = 0.3 + 0.7 * (normal @ torch.nn.functional.normalize(light[0], dim=0)).clamp(0, 1)
    colour = torch.tensor(_COLOURS)[layer[face] % len(_COLOURS)] * shade[:, None]
    colour = torch.where(away[:, None], 0.6 * colour, colour)
    out = torch.full((*size, 3), 0.93)
    out[inside] = colour
    return (out.clamp(0, 1) * 255).to(torch.uint8).numpy()
