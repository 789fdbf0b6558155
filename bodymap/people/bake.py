"""A dressed person's whole surface as one texture: what every place of the template wears outermost, in a given light.

The film's own kernels colour the texels: each vertex stands where its template point lies in the atlas instead of where
a camera sees it, and what is further off the skin hides what is under it. Shadows and wrinkles are those of the pose.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
import warp as wp
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.people.anatomy import template
from bodymap.people.film import shading
from bodymap.people.film.film import _fill, _keys, _skin
from bodymap.people.film.stagehand import Take, pose
from bodymap.people.light import Light
from bodymap.people.mesh import Mesh
from bodymap.people.person import Person, Placed
from bodymap.people.stage import Actor
from bodymap.rendering import rasterize
from bodymap.rendering.warp_backend import torch_stream
from bodymap.surface import points
from bodymap.types import LAYER_NAMES, Camera

_CARRIED = LAYER_NAMES.index("carried")
_FAR_EYE = 30.0  # metres: gloss and the side of cloth that is lit are judged from there
# A sample whose bound place is this far (metres) from what its texel shows was drawn across a seam into another place
_ASTRAY = 0.04
# A triangle whose edge is this many times as long in the atlas as its places are apart crosses a seam
_STRETCH = 3.0


@dataclass(frozen=True)
class Unwrapped:
    """A person's mesh laid out in the atlas, carried things left out.

    Attributes:
        mesh: every vertex has one place in the atlas; seam triangles are there once for each side.
        origin: the vertex of the person's mesh that each vertex is.
        clip: where it lies: (u, v) as x, y in [-1, 1], and how far under the outermost as z.
    """

    mesh: Mesh
    origin: Int[Tensor, " vertex"]
    clip: Float[Tensor, "vertex xyzw=4"]


@dataclass(frozen=True)
class Baked:
    """Attributes:
    colour: (T, T, 3) linear, where 1 is white paper; 0 where unknown.
    layer: (T, T), index into LAYER_NAMES; 0 where unknown.
    """

    colour: Float[Tensor, "texel texel rgb=3"]
    layer: Int[Tensor, "texel texel"]

    @property
    def known(self) -> Bool[Tensor, "texel texel"]:
        return self.layer > 0


def unwrap(person: Person) -> Unwrapped:
    """Lays the person's surface out in the template's atlas."""
    t, m = template(), person.mesh
    layers = torch.tensor(m.layers)
    worn = torch.nonzero(layers[m.piece.long()] != _CARRIED)[:, 0]
    own = m.template_triangle.long()
    bare = worn[own[worn] >= 0]
    other = worn[own[worn] < 0]

    # -- where each vertex is bound to, and how far off the skin it lies there --
    faces, weights = _skin(torch.device("cpu"))(m.truth)
    uv = points.uv(t, faces, weights)
    ids = t.triangles[faces]
    corner = t.vertices[ids]
    normal = torch.nn.functional.normalize(torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]))
    off = ((m.rest - m.truth) * normal).sum(1)

    # -- triangles that lie in one piece of the atlas, and those that seams cut --
    corners = m.triangles.long()
    flat, place = uv[corners[other]], m.truth[corners[other]]
    ends = [1, 2, 0]
    stretch = (flat - flat[:, ends]).norm(dim=-1) - _STRETCH * _uv_per_metre() * (place - place[:, ends]).norm(dim=-1)
    cut = (stretch > 4 / 1024).any(1)
    whole, torn = other[~cut], other[cut]
    # each side of a seam goes on beyond it as its own triangle of the template would
    pieces = [(corners[whole], uv[corners[whole]], whole)]
    gradient = _uv_gradient()
    for k in range(3):
        at = corners[torn][:, k]
        step = m.truth[corners[torn]] - m.truth[at][:, None]
        extended = uv[at][:, None] + torch.einsum("fcx,fxu->fcu", step, gradient[faces[at]])
        pieces.append((corners[torn], extended, torn))
    pieces.append((corners[bare], t.uv[t.uv_triangles[own[bare]]], bare))

    origin = torch.cat([c.reshape(-1) for c, _, _ in pieces])
    where = torch.cat([p.reshape(-1, 2) for _, p, _ in pieces])
    chosen = torch.cat([f for _, _, f in pieces])
    # bare skin lies at 0 by definition, whatever the body's shape
    height = off.clamp(-0.1, 1.0)
    height[corners[bare].reshape(-1)] = 0.0
    clip = torch.cat([where * 2 - 1, (0.8 - 1.5 * height[origin])[:, None], torch.ones(len(origin), 1)], 1)
    mesh = replace(
        m,
        triangles=torch.arange(len(origin), dtype=torch.int32).view(-1, 3),
        uv_triangles=m.uv_triangles[chosen],
        piece=m.piece[chosen],
        template_triangle=m.template_triangle[chosen],
        **{name: getattr(m, name)[origin] for name in ("vertices", "index", "weight", "vertex_piece", "rest")},
        **{name: getattr(m, name)[origin] for name in ("truth", "cloth")},
    )
    return Unwrapped(mesh, origin, clip.float())


def bake(person: Person, unwrapped: Unwrapped, placed: Placed, light: Light, size: int = 256) -> Baked:
    """The texture of a person in a pose and a light; about a fifth of a second at 256 texels.

    Places that nothing covers (the sole under a shoe, skin that a garment hides without being bound to it) are unknown.
    """
    device = torch.device("cpu")
    with torch_stream(device), torch.no_grad():
        return _bake(person, unwrapped, placed, replace(light, occlusion=0.0), size, device)


def _bake(person: Person, unwrapped: Unwrapped, placed: Placed, light: Light, size: int, device) -> Baked:
    posed = pose((Take((Actor.person(person, placed, 1),), _eye(1, size), light),), device)
    # the same surface seen from before and from behind: only the side that cloth is lit on and the gloss differ
    actor = Actor(unwrapped.mesh, placed.posed.transform, 1)
    laid = pose(tuple(Take((actor,), _eye(side, size), light) for side in (1, -1)), device)
    twice = torch.cat([unwrapped.origin, unwrapped.origin])
    clip = torch.cat([unwrapped.clip, unwrapped.clip])
    laid = replace(laid, world=posed.world[twice], normal=posed.normal[twice], strain=posed.strain[twice], clip=clip)
    keys = _fill(laid, laid.clip, torch.tensor([1, 1], dtype=torch.int32), (2 * size, 2 * size), device)
    side = shading.SHADOW_SIZE
    sun = _fill(posed, posed.sun_clip, torch.ones(1, dtype=torch.int32), (side, side), device).repeat(2, 1)

    colour, cover = torch.empty(2, size * size, 3), torch.empty(2, size * size)
    flat = torch.full((2, 4, 4), 1.0)
    irradiance = torch.from_numpy(np.stack([light.irradiance] * 2).astype(np.float32))
    low, high = posed.sun_low.repeat(2, 1), posed.sun_high.repeat(2, 1)
    wp.launch(
        shading.shade_kernel,
        (2, size * size),
        inputs=[
            laid.cast,
            laid.scenes,
            wp.from_torch(laid.face_starts),
            wp.from_torch(irradiance, dtype=wp.vec3),
            wp.from_torch(laid.world, dtype=wp.vec3),
            wp.from_torch(laid.normal, dtype=wp.vec3),
            wp.from_torch(laid.strain),
            wp.from_torch(laid.clip, dtype=wp.vec4),
            _keys(keys),
            _keys(sun),
            wp.from_torch(low),
            wp.from_torch(high),
            wp.from_torch(flat),
            wp.from_torch(flat),
            size,
            size,
            2,
            wp.from_torch(colour, dtype=wp.vec3),
            wp.from_torch(cover),
        ],
        device=wp.device_from_torch(device),
    )

    # -- one sample of each texel tells what it is, and on which side --
    samples = keys[0].view(size, 2, size, 2)
    key = samples.permute(0, 2, 1, 3).reshape(size * size, 4)
    hit = key != -1
    key = key.gather(1, hit.float().argmax(1, keepdim=True))[:, 0]
    first = hit.float().argmax(1)
    found = torch.nonzero(hit.any(1))[:, 0]
    face = key[found] & 0xFFFFFFFF
    m = unwrapped.mesh
    row, column = found // size, found % size
    at = torch.stack([column * 2 + first[found] % 2, row * 2 + first[found] // 2], 1)
    weights = _barycentric(unwrapped.clip[:, :2].view(-1, 3, 2)[face], (2 * at + 1) / (2.0 * size) - 1)
    truth = (m.truth.view(-1, 3, 3)[face] * weights[..., None]).sum(1)
    expected, covered = _places(size)
    good = covered[found] & ((truth - expected[found]).norm(dim=1) < _ASTRAY)
    found, face = found[good], face[good]

    normal = laid.normal[: len(unwrapped.origin)].view(-1, 3, 3)[face].sum(1)
    picture = (normal[:, 1] > 0).long()  # people face -y in their own axes, wherever they are turned
    out = torch.zeros(size * size, 3)
    out[found] = colour[picture, found] / cover[picture, found].clamp_min(1e-6)[:, None]
    layer = torch.zeros(size * size, dtype=torch.long)
    layer[found] = torch.tensor(m.layers)[m.piece.long()[face]]
    return Baked(out.view(size, size, 3), layer.view(size, size))


def _eye(side: int, size: int) -> Camera:
    """A camera far before (1) or behind (-1) the person; only its place matters."""
    T = np.eye(4, dtype=np.float32)
    T[:3, :3] = np.array([[side, 0, 0], [0, 0, -1], [0, side, 0]])
    T[:3, 3] = -T[:3, :3] @ np.array([0, -side * _FAR_EYE, 1.0])
    focal = float(size)
    return Camera(np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]], np.float32), T, (size, size))


def _barycentric(corner: Float[Tensor, "point 3 2"], at: Float[Tensor, "point 2"]) -> Float[Tensor, "point 3"]:
    a, b, c = corner.unbind(1)
    u, v, w = b - a, c - a, at - a
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    area = torch.where(area.abs() < 1e-12, torch.full_like(area, 1e-12), area)
    second = (w[:, 0] * v[:, 1] - w[:, 1] * v[:, 0]) / area
    third = (u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]) / area
    return torch.stack([1 - second - third, second, third], 1)


@functools.cache
def _places(size: int) -> tuple[Float[Tensor, "texel xyz=3"], Bool[Tensor, " texel"]]:
    """What every texel shows: its place on the rest template, and whether it shows any."""
    t = template()
    clip = torch.cat([t.uv * 2 - 1, torch.zeros_like(t.uv[:, :1]), torch.ones_like(t.uv[:, :1])], 1)
    fragments = rasterize(clip[None], t.uv_triangles, (size, size))[0]
    triangle, weights = fragments.triangle[0].long().view(-1), fragments.barycentric[0].view(-1, 3)
    return points.position(t, triangle.clamp_min(0), weights), triangle >= 0


@functools.cache
def _uv_gradient() -> Float[Tensor, "face xyz=3 uv=2"]:
    """How uv changes with the place along each triangle of the template."""
    t = template()
    place, uv = t.vertices[t.triangles], t.uv[t.uv_triangles]
    edges = torch.stack([place[:, 1] - place[:, 0], place[:, 2] - place[:, 0]], 1)
    steps = torch.stack([uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]], 1)
    return torch.linalg.pinv(edges.double()).float() @ steps


@functools.cache
def _uv_per_metre() -> float:
    t = template()
    place, uv = t.vertices[t.triangles], t.uv[t.uv_triangles]
    return float((uv[:, 1] - uv[:, 0]).norm(dim=1).sum() / (place[:, 1] - place[:, 0]).norm(dim=1).sum())
