"""Light on surfaces: normals, hemisphere, directional and panorama light, soft shadows, ambient occlusion.

Unit of light throughout: the radiance that a white matt surface sends back, i.e. irradiance / pi, linear RGB. A surface
in a room whose walls have radiance 1 everywhere gets 1. Multiply by the (linear) albedo for the picture. Directions are
unit vectors in world axes and point **towards** the light. Functions on P pixels take the list form
``interpolation.Pixels``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from bodymap.rendering.interpolation import Pixels, scatter_pixels
from bodymap.rendering.rasterizer import rasterize

UP = (0.0, 0.0, 1.0)

# -------------------- normals


def vertex_normals(vertices: Tensor, triangles: Int[Tensor, "face corner=3"]) -> Tensor:
    """Unit normals (..., V, 3) of vertices (..., V, 3): the area-weighted mean over the triangles at each vertex.

    They point to the side from which the corners run counter-clockwise; a vertex without triangles gets zero.
    """
    corners = vertices[..., triangles.long(), :]
    # The cross product's length is twice the area, so that the sum weights itself.
    across = torch.linalg.cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :])
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total = total.index_add(-2, triangles[:, corner].long(), across)
    return normalize(total, dim=-1, eps=1e-20)


def face_camera(normals: Float[Tensor, "*batch xyz=3"], to_camera: Float[Tensor, "*batch xyz=3"]) -> Tensor:
    """Turns normals that look away from the camera round, for cloth and hair that are seen from both sides."""
    return torch.where((normals * to_camera).sum(-1, keepdim=True) < 0, -normals, normals)


# -------------------- hemisphere and directional


def hemisphere_light(normals: Tensor, sky: Tensor, ground: Tensor, up: tuple[float, float, float] = UP) -> Tensor:
    """Light (..., 3) from a sky of one colour above and a ground of another below, (3,) or (..., 3) each.

    Exact for two half spheres of constant radiance: the share of sky that a surface sees is (1 + cos angle) / 2.
    """
    share = 0.5 + 0.5 * (normals * normals.new_tensor(up)).sum(-1, keepdim=True)
    return share * sky + (1 - share) * ground


def directional_light(normals: Tensor, direction: Tensor, colour: Tensor, visibility: Tensor | None = None) -> Tensor:
    """Lambert's law: light (..., 3) of a distant lamp.

    Args:
        normals: (..., 3) unit. direction: (3,) or (..., 3), unit, towards the lamp.
        colour: (3,) or (..., 3), what a surface facing the lamp receives.
        visibility: (...) in [0, 1], from ``shadow_visibility``.
    """
    cosine = (normals * direction).sum(-1).clamp_min(0)
    if visibility is not None:
        cosine = cosine * visibility
    return cosine[..., None] * colour


# -------------------- panoramas


def panorama_directions(
    size: tuple[int, int], device: torch.device | str = "cpu"
) -> Float[Tensor, "height width xyz=3"]:
    """The world direction of every texel of an equirectangular panorama: row 0 is up (+Z), the middle column looks
    along +Y (away from a camera that sees the template from the front), columns run to the right (+X)."""
    height, width = size
    elevation = math.pi * (0.5 - (torch.arange(height, device=device) + 0.5) / height)[:, None]
    azimuth = 2 * math.pi * ((torch.arange(width, device=device) + 0.5) / width - 0.5)[None]
    flat = elevation.cos()
    return torch.stack([flat * azimuth.sin(), flat * azimuth.cos(), elevation.sin().expand(-1, width)], dim=-1)


def sample_panorama(
    panorama: Float[Tensor, "height width channel"], directions: Float[Tensor, "*batch xyz=3"]
) -> Float[Tensor, "*batch channel"]:
    """What is seen in the unit directions (..., 3), bilinear; the inverse of ``panorama_directions``."""
    x, y, z = directions.reshape(-1, 3).unbind(-1)
    _, width, channels = panorama.shape
    # One column of the other end on each side, so that the seam interpolates.
    wrapped = torch.cat([panorama[:, -1:], panorama, panorama[:, :1]], dim=1)
    column = (torch.atan2(x, y) / (2 * math.pi) + 0.5) * width + 1
    grid = torch.stack([2 * column / (width + 2) - 1, -2 * torch.asin(z.clamp(-1, 1)) / math.pi], dim=-1)
    image = wrapped.permute(2, 0, 1)[None]
    seen = grid_sample(image, grid[None, None].to(image), padding_mode="border", align_corners=False)
    return seen[0, :, 0].T.reshape(*directions.shape[:-1], channels)


def spherical_harmonics(directions: Float[Tensor, "*batch xyz=3"]) -> Float[Tensor, "*batch harmonic=9"]:
    """The nine real spherical harmonics up to degree 2 (Ramamoorthi and Hanrahan 2001, "An efficient representation for
    irradiance environment maps", equation 3)."""
    x, y, z = directions.unbind(-1)
    return torch.stack(
        [
            torch.full_like(x, 0.282095),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        dim=-1,
    )


def panorama_coefficients(
    radiance: Float[Tensor, "*batch height width rgb=3"],
) -> Float[Tensor, "*batch harmonic=9 rgb=3"]:
    """Projects an equirectangular radiance map, linear RGB, (64, 128, 3) say, on the nine harmonics."""
    height, width = radiance.shape[-3:-1]
    directions = panorama_directions((height, width), radiance.device)
    # The exact solid angle of a texel is the difference of sines over its row; its sum over the sphere is 4 pi.
    edges = torch.sin(math.pi * (0.5 - torch.arange(height + 1, device=radiance.device) / height))
    solid_angle = (2 * math.pi / width) * (edges[:-1] - edges[1:])
    weighted = spherical_harmonics(directions) * solid_angle[:, None, None]
    return torch.einsum("hwk,...hwc->...kc", weighted.to(radiance), radiance)


def panorama_light(coefficients: Tensor, normals: Float[Tensor, "*batch xyz=3"]) -> Float[Tensor, "*batch rgb=3"]:
    """Light that surfaces with these normals get from the whole panorama, no shadows.

    Args:
        coefficients: (9, 3) from ``panorama_coefficients``, or (..., 9, 3) to match the normals.
        normals: (..., 3) unit.
    """
    # Equation 8 there: the cosine lobe keeps pi, 2 pi / 3, pi / 4 of degrees 0, 1, 2; divided by pi for our unit.
    lobe = normals.new_tensor([1.0] + [2 / 3] * 3 + [1 / 4] * 5)
    harmonics = spherical_harmonics(normals) * lobe
    # A strong lamp makes the degree-2 fit dip below zero opposite it.
    return (harmonics[..., None, :] @ coefficients.to(harmonics))[..., 0, :].clamp_min(0)


def dominant_direction(coefficients: Float[Tensor, "*batch harmonic=9 rgb=3"]) -> Float[Tensor, "*batch xyz=3"]:
    """The unit direction from which most light comes (the degree-1 harmonics of its luminance): where to put a shadow's
    lamp."""
    luminance = coefficients @ coefficients.new_tensor([0.2126, 0.7152, 0.0722])
    return normalize(luminance[..., [3, 1, 2]], dim=-1)


# -------------------- cast shadows


@dataclass(frozen=True)
class ShadowMap:
    """Depths seen from a distant lamp.

    Attributes:
        depth: (B, S, S) metres along the lamp's ray, counted from ``origin``; +inf where nothing stands.
        axes: (B, 3, 3) rows: the map's right, its down, and the direction in which light travels, in world axes.
        origin: (B, 3) the middle of what casts, in lamp axes.
        half_extent: (B, 3) metres; the map covers origin +- half_extent.
    """

    depth: Float[Tensor, "batch height width"]
    axes: Float[Tensor, "batch 3 3"]
    origin: Float[Tensor, "batch xyz=3"]
    half_extent: Float[Tensor, "batch xyz=3"]


def cast_shadows(
    vertices: Float[Tensor, "batch vertex xyz=3"],
    triangles: Int[Tensor, "face corner=3"],
    direction: Tensor,
    size: int = 512,
    backend: str = "auto",
) -> ShadowMap:
    """Rasterises what casts shadows as a distant lamp sees it; leave floors out, they only receive.

    Args:
        vertices: (B, V, 3) metres, world. direction: (3,) or (B, 3), unit, towards the lamp.
        size: pixels along each side; for a person 512 makes texels of about 4 mm.
    """
    batch = vertices.shape[0]
    forward = -direction.to(vertices).expand(batch, 3)
    # Any axis will do that is not parallel to the light.
    lying = forward[:, 2:].abs() < 0.9
    other = torch.where(lying, forward.new_tensor([0.0, 0.0, 1.0]), forward.new_tensor([1.0, 0.0, 0.0]))
    right = normalize(torch.linalg.cross(forward, other), dim=-1)
    axes = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)

    at_lamp = vertices @ axes.transpose(1, 2)
    low, high = at_lamp.amin(dim=1), at_lamp.amax(dim=1)
    origin = 0.5 * (low + high)
    half_extent = 0.5 * (high - low) * 1.02 + 1e-3
    clip = (at_lamp - origin[:, None]) / half_extent[:, None]
    clip = torch.cat([clip, torch.ones_like(clip[..., :1])], dim=-1)
    fragments = rasterize(clip, triangles, (size, size), backend=backend)[0]
    depth = torch.where(fragments.foreground, fragments.depth * half_extent[:, 2, None, None], torch.inf)
    return ShadowMap(depth, axes, origin, half_extent)


def disc(taps: int, device: torch.device | str = "cpu") -> Float[Tensor, "tap xy=2"]:
    """Evenly spread points in the unit disc (Vogel's spiral)."""
    i = torch.arange(taps, device=device)
    radius, angle = ((i + 0.5) / taps).sqrt(), i * (math.pi * (3 - math.sqrt(5)))
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)


def shadow_visibility(
    shadow: ShadowMap,
    points: Float[Tensor, "pixel xyz=3"],
    normals: Float[Tensor, "pixel xyz=3"],
    image: Int[Tensor, " pixel"],
    softness: float = 0.02,
    taps: int = 16,
) -> Float[Tensor, " pixel"]:
    """How much of the lamp each point sees, by percentage-closer filtering (Reeves et al. 1987).

    Args:
        points, normals: (P, 3) metres and unit vectors, world. image: (P,) index into the maps' batch.
        softness: radius in metres over which the shadow's edge fades.
        taps: depth comparisons a point.

    Returns:
        (P,) in [0, 1]; 1 outside the map.
    """
    size = shadow.depth.shape[1]
    axes, origin, half_extent = shadow.axes[image], shadow.origin[image], shadow.half_extent[image]
    at_lamp = (axes @ points[..., None])[..., 0] - origin
    normal = (axes @ normals[..., None])[..., 0]
    # The surface's own slope as the lamp sees it, so that a tap to the side is compared with the surface's plane there.
    # A surface seen edge on would need an endless bias; it gets hardly any light anyway.
    facing = normal[:, 2].abs().clamp_min(0.2) * torch.where(normal[:, 2] > 0, 1.0, -1.0)
    slope = -normal[:, :2] / facing[:, None]
    texel = 2 * half_extent[:, :2] / size
    bias = 1e-3 + (slope.abs() * texel).sum(-1)

    depth = shadow.depth.reshape(-1)
    seen = torch.zeros_like(bias)
    for offset in disc(taps, points.device) * softness:
        place = ((at_lamp[:, :2] + offset) / half_extent[:, :2] * 0.5 + 0.5) * size
        inside = ((place >= 0) & (place < size)).all(-1)
        column, row = place.long().clamp(0, size - 1).unbind(-1)
        occluder = depth[(image * size + row) * size + column]
        receiver = at_lamp[:, 2] + (slope * offset).sum(-1)
        seen += (~inside | (occluder >= receiver - bias)).float()
    return seen / taps


# -------------------- ambient occlusion


def ambient_occlusion(
    pixels: Pixels,
    points_camera: Float[Tensor, "pixel xyz=3"],
    normals_camera: Float[Tensor, "pixel xyz=3"],
    intrinsics: Tensor,
    radius: float = 0.12,
    strength: float = 1.0,
    taps: int = 12,
) -> Float[Tensor, " pixel"]:
    """The share of ambient light that reaches each pixel past its neighbours in the image (McGuire et al. 2011, "The
    Alchemy screen-space ambient obscurance algorithm", equation 10).

    Args:
        pixels: which pixels the points belong to.
        points_camera, normals_camera: (P, 3) metres and unit vectors, camera axes; normals must face the camera.
        intrinsics: (3, 3) or (B, 3, 3), pixels.
        radius: metres within which surfaces darken each other.

    Returns:
        (P,) in [0, 1], 1 where nothing is in the way.
    """
    batch, height, width = pixels.shape
    # An empty neighbour lies infinitely far away, where it weighs nothing.
    surface = scatter_pixels(points_camera, pixels, fill=1e6).view(-1, 3)
    K = intrinsics.to(points_camera).expand(batch, 3, 3)[pixels.image]
    reach = torch.stack([K[:, 0, 0], K[:, 1, 1]], dim=-1) * radius / points_camera[:, 2:].clamp_min(1e-3)
    column, row = pixels.index % width, torch.div(pixels.index, width, rounding_mode="floor")
    place = torch.stack([column, row], dim=-1) + 0.5
    limit = place.new_tensor([width - 1, height - 1]).long()

    total = torch.zeros_like(points_camera[:, 0])
    for offset in disc(taps, points_camera.device):
        x, y = torch.minimum((place + offset * reach).long().clamp_min(0), limit).unbind(-1)
        between = surface[(pixels.image * height + y) * width + x] - points_camera
        squared = (between * between).sum(-1)
        rise = (between * normals_camera).sum(-1) - 0.02 * radius
        falloff = (1 - squared / (radius * radius)).clamp_min(0)
        total += rise.clamp_min(0) * falloff / (squared + 1e-4 * radius * radius).sqrt()
    return (1 - 2 * strength * total / taps).clamp(0, 1)
