"""Photographs of many scenes at once, on whatever device: from actors, cameras and lights to colours and truth.

The order of work: skinning, normals, wrinkles; who is seen (and whether things hide too much of the subject); what the
sun sees; dark creases; colour; truth. Every step is one kernel over all pictures of the batch, or one torch operation.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
import warp as wp
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.people.anatomy import template
from bodymap.people.film import geometry, labels, shading
from bodymap.people.film.arrays import view
from bodymap.people.film.queries import ClosestPoint
from bodymap.people.film.stagehand import Geometry, Take, pose
from bodymap.people.film.surround import paint_backdrops
from bodymap.rendering.camera import FAR, NEAR
from bodymap.rendering.warp_backend import CUDA_ROW_STEP, torch_stream, with_index


@dataclass(frozen=True)
class Exposure:
    """N pictures.

    Attributes:
        colour: linear, where 1 is white paper; people and things over their backdrop.
        cover: share of the pixel that people and things cover.
        triangle, barycentric, layer, normal, instance, foreground: as in ``types.Sample``.
        alone: whether all but the subject were sent away.
    """

    geometry: Geometry
    colour: Float[Tensor, "picture height width rgb=3"]
    cover: Float[Tensor, "picture height width"]
    triangle: Int[Tensor, "picture height width"]
    barycentric: Float[Tensor, "picture height width corner=3"]
    layer: Int[Tensor, "picture height width"]
    normal: Float[Tensor, "picture height width xyz=3"]
    instance: Int[Tensor, "picture height width"]
    alone: Bool[np.ndarray, " picture"]

    @property
    def foreground(self) -> Bool[Tensor, "picture height width"]:
        return self.instance == 1


def expose(takes: list[Take], factor: int = 2, device: torch.device | str = "cpu") -> Exposure:
    """Takes the pictures; all cameras have one size. ``factor``: samples per pixel each way."""
    device = with_index(device)
    with torch_stream(device), torch.no_grad():
        return _expose(tuple(takes), factor, device)


def label_bodies(
    takes: list[Take], factor: int = 2, device: torch.device | str = "cpu"
) -> tuple[Int[Tensor, "picture height width"], Float[Tensor, "picture height width corner=3"]]:
    """(triangle, barycentric) of everybody in the takes, without a picture; -1 and 0 where nobody is."""
    device = with_index(device)
    if not any(take.actors for take in takes):
        shape = (len(takes), *takes[0].camera.size)
        triangle = torch.full(shape, -1, dtype=torch.int32, device=device)
        return triangle, torch.zeros(*shape, 3, device=device)
    with torch_stream(device), torch.no_grad():
        g = pose(tuple(takes), device)
        height, width = takes[0].camera.size
        shown = torch.ones(len(g.actors), dtype=torch.int32)
        keys = _fill(g, g.clip, shown, (height * factor, width * factor), device)
        return _label(g, keys, factor, device)[:2]


def _expose(takes: tuple[Take, ...], factor: int, device: torch.device) -> Exposure:
    g = pose(takes, device)
    where = wp.device_from_torch(device)
    count, (height, width) = len(takes), takes[0].camera.size
    size = (height * factor, width * factor)
    keys, alone = _see(g, size, device)

    # the sun's own view; people in the shade of nothing need none
    side = shading.SHADOW_SIZE
    sunny = [float(np.max(take.light.sun_colour)) > 1e-4 for take in takes]
    gone = _absent(g, alone)
    shown = torch.tensor(
        [int(sunny[n] and not out) for n, out in zip(g.pictures, gone, strict=True)], dtype=torch.int32
    )
    sun_keys = _fill(g, g.sun_clip, shown, (side, side), device)

    # how deep everything lies, blurred at two scales
    half = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    depth = torch.empty(count, *half, device=device)
    cover = torch.empty(count, *half, device=device)
    wp.launch(
        geometry.mean_depth_kernel,
        (count, *half),
        inputs=[_keys(keys), *size, NEAR, FAR, view(depth), view(cover)],
        device=where,
    )
    near_means = _blurred(depth, cover, 1)
    far_means = _blurred(depth, cover, 4)

    pixels = height * width
    colour = torch.empty(count, pixels, 3, device=device)
    covered = torch.empty(count, pixels, device=device)
    irradiance = torch.from_numpy(np.stack([take.light.irradiance for take in takes]).astype(np.float32)).to(device)
    face_starts, clip = view(g.face_starts), view(g.clip, dtype=wp.vec4)
    world, normal = view(g.world, dtype=wp.vec3), view(g.normal, dtype=wp.vec3)
    wp.launch(
        shading.shade_kernel,
        (count, pixels),
        inputs=[
            g.cast,
            g.scenes,
            face_starts,
            view(irradiance, dtype=wp.vec3),
            world,
            normal,
            view(g.strain),
            clip,
            _keys(keys),
            _keys(sun_keys),
            view(g.sun_low),
            view(g.sun_high),
            view(near_means),
            view(far_means),
            height,
            width,
            factor,
            view(colour, dtype=wp.vec3),
            view(covered),
        ],
        device=where,
    )

    behind = paint_backdrops(g, irradiance, sun_keys, covered, device).view(count, height, width, 3)

    shape = (count, height, width)
    return Exposure(
        g,
        colour.view(*shape, 3) + behind * (1 - covered.view(*shape, 1)),
        covered.view(shape),
        *_label(g, keys, factor, device),
        alone,
    )


def _label(g: Geometry, keys: Tensor, factor: int, device: torch.device) -> tuple[Tensor, ...]:
    """(triangle, barycentric, layer, normal, instance) of every pixel."""
    count, (height, width) = len(g.takes), g.takes[0].camera.size
    shape = (count, height, width)
    pixels = height * width
    triangle = torch.empty(count, pixels, dtype=torch.int32, device=device)
    barycentric = torch.empty(count, pixels, 3, device=device)
    layer = torch.empty(count, pixels, dtype=torch.int8, device=device)
    facing = torch.empty(count, pixels, 3, device=device)
    instance = torch.empty(count, pixels, dtype=torch.int8, device=device)
    skin = _skin(device)
    wp.launch(
        labels.label_kernel,
        (count, pixels),
        inputs=[
            g.cast,
            g.scenes,
            view(g.face_starts),
            view(g.normal, dtype=wp.vec3),
            view(g.world, dtype=wp.vec3),
            view(g.clip, dtype=wp.vec4),
            _keys(keys),
            skin.mesh,
            skin.faces,
            height,
            width,
            factor,
            view(triangle),
            view(barycentric, dtype=wp.vec3),
            view(layer),
            view(facing, dtype=wp.vec3),
            view(instance),
        ],
        device=wp.device_from_torch(device),
    )
    return (
        triangle.view(shape),
        barycentric.view(*shape, 3),
        layer.view(shape),
        facing.view(*shape, 3),
        instance.view(shape),
    )


def _see(g: Geometry, size: tuple[int, int], device: torch.device) -> tuple[Tensor, np.ndarray]:
    """What every sample sees; pictures whose subject is hidden too much are seen again without the others."""
    count = len(g.takes)
    alone = np.zeros(count, bool)
    keys = _fill(g, g.clip, torch.ones(len(g.actors), dtype=torch.int32), size, device)
    crowded = np.array(
        [any(a.instance == 1 for a in t.actors) and any(a.instance != 1 for a in t.actors) for t in g.takes]
    )
    if not crowded.any():
        return keys, alone
    seen = _count(g, keys, device)
    subject = torch.tensor([int(a.instance == 1) for a in g.actors], dtype=torch.int32)
    coarse = (max(size[0] // 4, 1), max(size[1] // 4, 1))
    area = _count(g, _fill(g, g.clip, subject, coarse, device), device) * (size[0] * size[1] / (coarse[0] * coarse[1]))
    least = np.array([take.least_pixels for take in g.takes]) * size[0] * size[1]
    alone = crowded & (least > 0) & ((seen < least) | (seen < 0.5 * area))
    if alone.any():
        shown = torch.tensor([int(not out) for out in _absent(g, alone)], dtype=torch.int32)
        again = _fill(g, g.clip, shown, size, device)
        which = torch.from_numpy(np.flatnonzero(alone)).to(device)
        keys[which] = again[which]
    return keys, alone


def _absent(g: Geometry, alone: np.ndarray) -> list[bool]:
    """Per actor: sent away."""
    return [bool(alone[n]) and actor.instance != 1 for n, actor in zip(g.pictures, g.actors, strict=True)]


def _fill(g: Geometry, clip: Tensor, shown: Tensor, size: tuple[int, int], device: torch.device) -> Tensor:
    """(N, samples) int64: what each sample sees, as a key of (depth, face); -1 nothing."""
    keys = torch.full((len(g.takes), size[0] * size[1]), -1, dtype=torch.int64, device=device)
    rows = min(CUDA_ROW_STEP, size[0]) if device.type == "cuda" else 1
    wp.launch(
        geometry.fill_kernel,
        (int(sum(r.faces for r in g.residents)), rows),
        inputs=[
            g.cast,
            view(g.face_starts),
            view(clip, dtype=wp.vec4),
            view(shown.to(device)),
            *size,
            rows,
            _keys(keys),
        ],
        device=wp.device_from_torch(device),
    )
    return keys


def _count(g: Geometry, keys: Tensor, device: torch.device) -> np.ndarray:
    count = torch.zeros(len(g.takes), dtype=torch.int32, device=device)
    wp.launch(
        geometry.count_kernel,
        tuple(keys.shape),
        inputs=[g.cast, view(g.face_starts), _keys(keys), view(count)],
        device=wp.device_from_torch(device),
    )
    return count.cpu().numpy()


def _keys(keys: Tensor):
    return view(keys, dtype=wp.uint64)


def _blurred(depth: Tensor, cover: Tensor, shrink: int) -> Float[Tensor, "picture h w"]:
    """Mean depth of what is covered within 5 x 5 blocks of ``shrink`` half-size pixels."""
    pool = torch.nn.functional.avg_pool2d
    both = torch.stack([depth, cover], 1)
    both = pool(both, shrink, ceil_mode=True) if shrink > 1 else both
    mean = pool(both, 5, 1, 2)
    return (mean[:, 0] / mean[:, 1].clamp_min(1e-4)).contiguous()


@functools.cache
def _skin(device: torch.device) -> ClosestPoint:
    """The outer template on the device."""
    t = template()
    return ClosestPoint(t.vertices, t.triangles, torch.nonzero(t.triangle_inner == 0)[:, 0], device)
