"""A plain picture of a registered person, in the scan's pose and in new ones: to see whether it worked."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8

from bodymap.people.pack import Pack
from bodymap.people.person import Person
from bodymap.people.scans.identity import Identity
from bodymap.people.skinning import rotation_vector
from bodymap.rendering import rasterize

_SIZE = (640, 420)
_METRES = 2.2  # what the picture's height shows
_LIGHT = np.array([-0.4, -0.8, 0.45])


def show(identity: Identity, pack: Pack):
    """A PIL image: the scan's pose from four sides, and below four poses of the pack, or the rest pose without any."""
    from PIL import Image

    person = identity.person(pack)
    own = identity.local.astype(float)
    cells = [view(person, pack, _turned(own, turn)) for turn in (0.0, 0.6, np.pi / 2, np.pi)]
    rows = [clip.start + clip.count // 2 for clip in pack.clips if clip.kind != "motion" or "walk" in clip.name]
    rows = rows or list(range(pack.pose_count))
    chosen = [rows[k] for k in np.linspace(0, len(rows) - 1, 4).astype(int)] if rows else []
    poses = [pack.pose(row).astype(float) for row in chosen] or [np.tile(np.eye(3), (len(own), 1, 1))] * 4
    cells += [view(person, pack, _turned(pose, turn)) for pose, turn in zip(poses, (0.0, 0.5, -0.5, 2.6), strict=True)]
    return Image.fromarray(np.concatenate([np.concatenate(cells[:4], 1), np.concatenate(cells[4:], 1)]))


def view(person: Person, pack: Pack, local: Float[np.ndarray, "bone 3 3"]) -> UInt8[np.ndarray, "height width rgb=3"]:
    """The person from the front (-Y), parallel projection, one lamp."""
    vertices = torch.from_numpy(np.asarray(person.pose(pack, local)[0], np.float32))
    mesh = person.mesh
    triangles = mesh.triangles.long()
    height, width = _SIZE
    x, y, z = vertices.unbind(1)
    x = (x - (x.min() + x.max()) / 2) / _METRES * 2 * height / width
    z = 1 - 2 * (z + 0.1) / _METRES
    clip = torch.stack([x, z, (y - y.mean()) / 4, torch.ones_like(x)], 1)
    fragments = rasterize(clip[None], triangles, _SIZE)[0]
    seen = fragments.triangle[0] >= 0
    face, weight = fragments.triangle[0][seen], fragments.barycentric[0][seen]

    a, b, c = vertices[triangles].unbind(1)
    normals = torch.zeros_like(vertices)
    for k in range(3):
        normals.index_add_(0, triangles[:, k], torch.linalg.cross(b - a, c - a))
    normal = torch.nn.functional.normalize((normals[triangles[face]] * weight[..., None]).sum(1), dim=1)
    light = torch.tensor(_LIGHT / np.linalg.norm(_LIGHT), dtype=torch.float32)
    shade = 0.55 + 0.45 * (normal @ light).clamp_min(0)
    uv = (mesh.uv[mesh.uv_triangles.long()[face]] * weight[..., None]).sum(1)
    texture = torch.from_numpy(mesh.materials[0].texture.astype(np.float32)).permute(2, 0, 1)[None]
    colour = torch.nn.functional.grid_sample(
        texture, uv[None, None] * 2 - 1, align_corners=False, padding_mode="border"
    )[0, :, 0].T
    image = torch.full((*_SIZE, 3), 235.0)
    image[seen] = colour * shade[:, None]
    return image.clamp(0, 255).to(torch.uint8).numpy()


def _turned(local: np.ndarray, angle: float) -> np.ndarray:
    """The pose facing -Y, turned about the vertical."""
    front = local[0] @ np.array([0, -1.0, 0])
    local = local.copy()
    local[0] = rotation_vector(np.array([0, 0, np.arctan2(-front[0], -front[1]) + angle])) @ local[0]
    return local
