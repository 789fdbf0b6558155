"""From triangles to light: which surface each sample sees, its colour, folds, highlights, shadows and dark creases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.people.light import Light, harmonics
from bodymap.people.material import Material
from bodymap.people.stage import Stage
from bodymap.rendering import rasterize
from bodymap.rendering.camera import clip_from_world
from bodymap.types import Camera

_SHADOW_SIZE = 320
_ALPHA = 110  # of 255: more opaque than this is solid


@dataclass(frozen=True)
class Rendered:
    """What every sample of the (supersampled) picture sees; ``seen`` (N,) are the flat indices of covered samples.

    triangle (N,), barycentric (N, 3) of the stage; colour (N, 3) linear; depth (N,) metres; normal (N, 3) world,
    geometric.  shadow: looks up how much sun reaches world points (N, 3) -> (N,), for the floor.
    """

    size: tuple[int, int]
    seen: Int[Tensor, " sample"]
    triangle: Int[Tensor, " sample"]
    barycentric: Float[Tensor, "sample 3"]
    colour: Float[Tensor, "sample rgb=3"]
    normal: Float[Tensor, "sample xyz=3"]
    shadow: ShadowMap


def render(stage: Stage, camera: Camera, light: Light, layers: int) -> Rendered:
    """Rasterises and shades; ``camera`` is already that of the supersampled picture."""
    size = camera.size
    clip = clip_from_world(stage.vertices, camera)
    seen, triangle, barycentric = _first_solid(stage, clip, size, layers)
    corner = stage.triangles[triangle]

    def at(values: Tensor) -> Tensor:
        total = values[corner[:, 0]] * barycentric[:, :1]
        for k in (1, 2):
            total += values[corner[:, k]] * barycentric[:, k : k + 1]
        return total

    attributes = at(torch.cat([stage.vertices, stage.normals, stage.rest, stage.cloth], 1))
    position, normal, rest, cloth = attributes.split([3, 3, 3, 2], 1)
    eye = torch.from_numpy(-camera.T_camera_world[:3, :3].T @ camera.T_camera_world[:3, 3])
    view = torch.nn.functional.normalize(eye - position, dim=1)
    # cloth and hair cards are seen from both sides
    geometric = torch.nn.functional.normalize(normal, dim=1)
    geometric = torch.where((geometric * view).sum(1, keepdim=True) < -0.05, -geometric, geometric)

    piece = stage.piece[triangle]
    albedo = torch.ones(len(seen), 3)
    bent = geometric.clone()
    gloss, shine, sheen = torch.zeros(len(seen)), torch.full((len(seen),), 10.0), torch.zeros(len(seen))
    for k in torch.nonzero(torch.bincount(piece))[:, 0].tolist():
        material: Material = stage.materials[k]
        mine = torch.nonzero(piece == k)[:, 0]
        albedo[mine] = _albedo(stage, material, triangle[mine], barycentric[mine], cloth[mine])
        if material.folds > 0 and material.waves is not None:
            bent[mine] = geometric[mine] + _folds(material, rest[mine])
        gloss[mine], shine[mine], sheen[mine] = material.gloss, material.shine, material.sheen
    bent = torch.nn.functional.normalize(bent, dim=1)

    shadow = ShadowMap(stage, light)
    lit = shadow(position)
    crease = _occlusion(
        size, seen, ((position - eye) * torch.from_numpy(camera.T_camera_world[2, :3])).sum(1), light.occlusion
    )
    irradiance = (harmonics(bent) @ torch.from_numpy(light.irradiance)).clamp_min(0.04)
    sun, sun_colour = torch.from_numpy(light.sun), torch.from_numpy(light.sun_colour)
    facing_sun = (bent @ sun).clamp_min(0) * lit
    colour = albedo * (irradiance * crease[:, None] + facing_sun[:, None] * sun_colour)
    half = torch.nn.functional.normalize(view + sun, dim=1)
    spark = (bent * half).sum(1).clamp_min(0) ** shine * facing_sun * 2
    mirror = torch.nn.functional.normalize(2 * (bent * view).sum(1, keepdim=True) * bent - view, dim=1)
    sky = (harmonics(mirror) @ torch.from_numpy(light.irradiance)).clamp_min(0)
    grazing = (1 - (bent * view).sum(1).clamp(0, 1)) ** 4
    colour = colour + (gloss * spark)[:, None] * sun_colour + (gloss * (0.06 + 0.5 * grazing) * crease)[:, None] * sky
    colour = colour + (sheen * grazing * crease)[:, None] * albedo.sqrt() * irradiance
    return Rendered(size, seen, triangle, barycentric, colour, geometric, shadow)


def _first_solid(stage: Stage, clip: Tensor, size: tuple[int, int], layers: int) -> tuple[Tensor, Tensor, Tensor]:
    """The nearest surface of each sample that is not cut away by alpha: (sample, triangle, barycentric).

    Only what is cut out by its texture (hair, lashes) is peeled; that mesh is small.
    """
    cut_out = torch.tensor([m.alpha and m.texture is not None and m.texture.shape[-1] == 4 for m in stage.materials])
    cut_out = cut_out[stage.piece]
    solid = torch.nonzero(~cut_out)[:, 0]
    whole = rasterize(clip[None], stage.triangles[solid], size)[0]
    triangle = whole.triangle.reshape(-1)
    triangle = torch.where(triangle >= 0, solid[triangle.clamp_min(0)], triangle)
    barycentric = whole.barycentric.reshape(-1, 3).clone()
    cards = torch.nonzero(cut_out)[:, 0]
    if len(cards):
        nearest = torch.where(triangle >= 0, whole.depth.reshape(-1), torch.full_like(whole.depth.reshape(-1), 2.0))
        for fragments in reversed(rasterize(clip[None], stage.triangles[cards], size, layers=layers)):
            found, depth = fragments.triangle.reshape(-1), fragments.depth.reshape(-1)
            some = torch.nonzero((found >= 0) & (depth < nearest))[:, 0]
            face, weight = cards[found[some]], fragments.barycentric.reshape(-1, 3)[some]
            opaque = _solid(stage, face, weight)
            triangle[some[opaque]] = face[opaque]
            barycentric[some[opaque]] = weight[opaque]
    seen = torch.nonzero(triangle >= 0)[:, 0]
    return seen, triangle[seen], barycentric[seen]


def _solid(stage: Stage, triangle: Tensor, barycentric: Tensor) -> Bool[Tensor, " sample"]:
    out = torch.ones(len(triangle), dtype=torch.bool)
    piece = stage.piece[triangle]
    for k in torch.nonzero(torch.bincount(piece))[:, 0].tolist():
        texture = stage.materials[k].texture
        mine = torch.nonzero(piece == k)[:, 0]
        row, column = _texel(stage, texture, triangle[mine], barycentric[mine])
        out[mine] = torch.from_numpy(texture)[row.long(), column.long(), 3] > _ALPHA
    return out


def _texel(stage: Stage, texture: np.ndarray, triangle: Tensor, barycentric: Tensor) -> tuple[Tensor, Tensor]:
    """Texel (row, column) as floats, repeated beyond [0, 1]."""
    uv = (stage.uv[stage.uv_triangles[triangle]] * barycentric[..., None]).sum(1)
    height, width = texture.shape[:2]
    return (uv[:, 1] % 1 * height).clamp_max(height - 1e-3), (uv[:, 0] % 1 * width).clamp_max(width - 1e-3)


def _bilinear(texture: np.ndarray, row: Tensor, column: Tensor, channels: int = 3) -> Float[Tensor, "n c"]:
    """Texture look-up in [0, 1]; texel centres at (j + 0.5) / T; repeats at the borders."""
    image = torch.from_numpy(np.ascontiguousarray(texture[..., :channels]))
    height, width = image.shape[:2]
    row, column = row - 0.5, column - 0.5
    r0, c0 = row.floor(), column.floor()
    fr, fc = (row - r0)[:, None], (column - c0)[:, None]
    r0, c0 = r0.long(), c0.long()
    r1, c1, r0, c0 = (r0 + 1) % height, (c0 + 1) % width, r0 % height, c0 % width
    top = image[r0, c0] * (1 - fc) + image[r0, c1] * fc
    bottom = image[r1, c0] * (1 - fc) + image[r1, c1] * fc
    return (top * (1 - fr) + bottom * fr) / 255


def _albedo(
    stage: Stage, material: Material, triangle: Tensor, barycentric: Tensor, cloth: Tensor
) -> Float[Tensor, "n 3"]:
    """Linear reflectance."""
    if material.texture is not None:
        base = _bilinear(material.texture, *_texel(stage, material.texture, triangle, barycentric))
    else:
        base = torch.from_numpy(np.asarray(material.colour, np.float32)).expand(len(triangle), 3)
    if material.pattern is not None:
        size = material.pattern.shape[0]
        where = cloth / material.pattern_size % 1 * size
        tile = _bilinear(material.pattern, where[:, 1], where[:, 0])
        shading = base.mean(1, keepdim=True)
        replaced = tile * (0.35 + 0.65 * shading / shading.mean().clamp_min(0.05)).clamp(0.3, 1.5)
        if material.texture is None:
            replaced = tile
        multiplied = base * (0.35 + 1.1 * tile)
        base = material.pattern_blend * replaced + (1 - material.pattern_blend) * multiplied
    base = base.clamp(0.015, 0.95) ** 2.2
    if material.weave > 0:  # threads: too fine for the picture, they show as faint regular grain
        grain = torch.sin(cloth[:, 0] * 2100) * torch.sin(cloth[:, 1] * 1900)
        base = base * (1 + 0.5 * material.weave * grain)[:, None]
    return base


def _folds(material: Material, rest: Tensor) -> Float[Tensor, "n xyz=3"]:
    """How wrinkles tilt the normal: slopes of sharpened plane waves, stronger in some places than in others."""
    waves = torch.from_numpy(material.waves)
    phase = rest @ waves.T + torch.from_numpy(material.phases)
    # each wave is masked by a much longer one, so that folds begin and end
    mask = (0.5 + 0.5 * torch.sin(phase.roll(1, 1) * 0.21 + 1.0)) ** 2
    slope = torch.sin(phase) + 0.4 * torch.sin(2 * phase + 0.7)
    direction = torch.nn.functional.normalize(waves, dim=1)
    return (slope * mask) @ direction * (0.55 * material.folds)


class ShadowMap:
    """Depth as the sun sees it; how much of the sun reaches a point, with a soft edge."""

    def __init__(self, stage: Stage, light: Light):
        self.active = bool(light.sun_colour.max() > 1e-4)
        if not self.active:
            return
        sun = torch.from_numpy(light.sun)
        across = torch.linalg.cross(
            sun, torch.tensor([0.0, 0, 1.0]) if abs(float(sun[2])) < 0.9 else torch.tensor([1.0, 0, 0])
        )
        across = torch.nn.functional.normalize(across, dim=0)
        self.axes = torch.stack([across, torch.linalg.cross(sun, across), -sun])
        people = stage.vertices
        local = people @ self.axes.T
        low, high = local.min(0).values, local.max(0).values
        self.centre, self.half = (low + high) / 2, ((high - low) / 2 * 1.02).clamp_min(1e-3)
        clip = (local - self.centre) / self.half
        clip = torch.cat([clip, torch.ones(len(clip), 1)], 1)
        fragments = rasterize(clip[None], stage.triangles, (_SHADOW_SIZE, _SHADOW_SIZE))[0]
        depth = fragments.depth[0] * self.half[2] + self.centre[2]
        self.depth = torch.where(fragments.triangle[0] >= 0, depth, torch.full_like(depth, 1e6))

    def __call__(self, position: Float[Tensor, "n xyz=3"]) -> Float[Tensor, " n"]:
        """1 in the sun, 0 in the shade."""
        if not self.active:
            return torch.ones(len(position))
        local = position @ self.axes.T
        pixel = ((local[:, :2] - self.centre[:2]) / self.half[:2] * 0.5 + 0.5) * _SHADOW_SIZE
        free = torch.zeros(len(position))
        offsets = ((-0.7, -0.7), (0.7, -0.7), (-0.7, 0.7), (0.7, 0.7), (0.0, 0.0))
        for dx, dy in offsets:
            x, y = (pixel[:, 0] + dx * 1.3).long(), (pixel[:, 1] + dy * 1.3).long()
            inside = (x >= 0) & (y >= 0) & (x < _SHADOW_SIZE) & (y < _SHADOW_SIZE)
            near = self.depth[y.clamp(0, _SHADOW_SIZE - 1), x.clamp(0, _SHADOW_SIZE - 1)]
            free += ((near + 0.018 > local[:, 2]) | ~inside).float()
        return free / len(offsets)


def _occlusion(size: tuple[int, int], seen: Tensor, depth: Tensor, strength: float) -> Float[Tensor, " sample"]:
    """Darkens what lies behind its surroundings in the picture, at two scales: armpits, between legs, under hems."""
    height, width = size
    image, cover = torch.zeros(height * width), torch.zeros(height * width)
    image[seen], cover[seen] = depth, 1.0
    image, cover = image.view(1, 1, height, width), cover.view(1, 1, height, width)
    total = torch.ones(len(seen))
    pool = torch.nn.functional.avg_pool2d
    for shrink, kernel, gain in ((2, 5, 3.0), (8, 5, 2.2)):
        small_cover = pool(cover, shrink, ceil_mode=True)
        small = pool(image, shrink, ceil_mode=True)
        pad = kernel // 2
        mean = pool(small, kernel, 1, pad) / pool(small_cover, kernel, 1, pad).clamp_min(1e-4)
        mean = torch.nn.functional.interpolate(mean, size=(height, width), mode="bilinear", align_corners=False)
        behind = (depth - mean.view(-1)[seen] - 0.006).clamp(0, 0.2)
        total = total * (1 - strength * gain * behind).clamp_min(0.35)
    return total
