"""Actors into place: skinning, normals, wrinkles and clip coordinates of everybody in a batch of pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import warp as wp
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.people.background import Backdrop
from bodymap.people.film import geometry
from bodymap.people.film.arrays import structs, view
from bodymap.people.film.records import CAST_DTYPE, SCENE_DTYPE
from bodymap.people.film.resident import Resident, resident
from bodymap.people.light import Light
from bodymap.people.stage import Actor, Stage, join_actors
from bodymap.rendering.camera import FAR, NEAR, distortion_limit
from bodymap.rendering.warp_backend import torch_stream, with_index
from bodymap.types import Camera

_FLOAT32_LARGE = 3.0e38


@dataclass(frozen=True)
class Take:
    """What one picture is taken of. The subject has instance 1.

    Attributes:
        touching: (T, 2) metres, where somebody touches the floor z = 0.
        least_pixels: share of the picture that the subject must cover, else everybody and everything else is sent away,
            as when more than half of the subject is hidden; 0: nobody ever is.
    """

    actors: tuple[Actor, ...]
    camera: Camera
    light: Light
    backdrop: Backdrop = field(default_factory=Backdrop)
    touching: Float[np.ndarray, "point xy=2"] = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    least_pixels: float = 0.0


@dataclass(frozen=True)
class Geometry:
    """The posed actors of a batch, in buffers on the device: V vertices, F faces, A actors, N pictures.

    Attributes:
        cast, scenes: (A,) ``records.Cast`` and (N,) ``records.Scene``, for kernels.
    """

    takes: tuple[Take, ...]
    actors: tuple[Actor, ...]
    residents: tuple[Resident, ...]
    cast: Any
    scenes: Any
    vertex_starts: Int[Tensor, " actor+1"]
    face_starts: Int[Tensor, " actor+1"]
    world: Float[Tensor, "vertex xyz=3"]
    normal: Float[Tensor, "vertex xyz=3"]
    strain: Float[Tensor, " vertex"]
    clip: Float[Tensor, "vertex xyzw=4"]
    sun_clip: Float[Tensor, "vertex xyzw=4"]
    sun_low: Float[Tensor, "picture xyz=3"]
    sun_high: Float[Tensor, "picture xyz=3"]

    @property
    def pictures(self) -> list[int]:
        """The picture of each actor."""
        return [n for n, take in enumerate(self.takes) for _ in take.actors]

    def stage(self, picture: int = 0) -> Stage:
        """One picture's actors as one mesh on the CPU."""
        mine = [k for k, n in enumerate(self.pictures) if n == picture]
        rows = slice(int(self.vertex_starts[mine[0]]), int(self.vertex_starts[mine[-1] + 1]))
        return join_actors([self.actors[k] for k in mine], self.world[rows].cpu(), self.normal[rows].cpu())


def pose_actors(takes: list[Take], device: torch.device | str = "cpu") -> Geometry:
    """The first half of ``expose``: everybody in place, nothing rendered."""
    device = with_index(device)
    with torch_stream(device), torch.no_grad():
        return pose(tuple(takes), device)


def pose(takes: tuple[Take, ...], device: torch.device) -> Geometry:
    """As ``pose_actors``, within a stream that is set already."""
    actors = tuple(actor for take in takes for actor in take.actors)
    picture = [n for n, take in enumerate(takes) for _ in take.actors]
    on_device = tuple(resident(actor.mesh, device) for actor in actors)
    vertex_starts = np.cumsum([0, *(r.vertices for r in on_device)])
    face_starts = np.cumsum([0, *(r.faces for r in on_device)])
    bone_starts = np.cumsum([0, *(len(a.bones) for a in actors)])
    records = np.zeros(len(actors), CAST_DTYPE)
    for k, r in enumerate(on_device):
        records[k] = r.record
    records["picture"], records["instance"] = picture, [a.instance for a in actors]
    records["vertex_start"], records["face_start"] = vertex_starts[:-1], face_starts[:-1]
    records["bone_start"] = bone_starts[:-1]
    where = wp.device_from_torch(device)
    cast, scenes = structs(records, device), structs(np.stack([_scene(take) for take in takes]), device)

    def send(array: np.ndarray, kind: type) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, kind)).to(device)

    count, faces = int(vertex_starts[-1]), int(face_starts[-1])
    starts, face_table = send(vertex_starts, np.int32), send(face_starts, np.int32)
    bones = send(np.concatenate([a.bones for a in actors]), np.float32)
    world = torch.empty(count, 3, device=device)
    starts_w, world_w = view(starts, dtype=wp.int32), view(world, dtype=wp.vec3)
    bones_w = view(bones, dtype=wp.vec4)
    wp.launch(geometry.pose_kernel, count, inputs=[cast, starts_w, bones_w, world_w], device=where)
    hanging = [(s + first, v) for actor, s in zip(actors, vertex_starts, strict=False) for first, v in actor.draped]
    if hanging:
        places = send(np.concatenate([np.arange(s, s + len(v)) for s, v in hanging]), np.int64)
        world[places] = send(np.concatenate([v for _, v in hanging]), np.float32)

    total = torch.zeros(count, 5, dtype=torch.int32, device=device)
    face_w, total_w = view(face_table, dtype=wp.int32), view(total, dtype=wp.int32)
    wp.launch(geometry.normal_kernel, faces, inputs=[cast, face_w, world_w, total_w], device=where)
    normal, sunlit = torch.empty(count, 3, device=device), torch.empty(count, 3, device=device)
    strain, clip = torch.empty(count, device=device), torch.empty(count, 4, device=device)
    low = torch.full((len(takes), 3), _FLOAT32_LARGE, device=device)
    high = torch.full((len(takes), 3), -_FLOAT32_LARGE, device=device)
    low_w, high_w = view(low, dtype=wp.float32), view(high, dtype=wp.float32)
    sunlit_w = view(sunlit, dtype=wp.vec3)
    wp.launch(
        geometry.place_kernel,
        count,
        inputs=[
            cast,
            scenes,
            starts_w,
            total_w,
            world_w,
            view(normal, dtype=wp.vec3),
            view(strain),
            view(clip, dtype=wp.vec4),
            sunlit_w,
            low_w,
            high_w,
        ],
        device=where,
    )
    sun_clip = torch.empty(count, 4, device=device)
    wp.launch(
        geometry.sun_kernel,
        count,
        inputs=[cast, starts_w, sunlit_w, low_w, high_w, view(sun_clip, dtype=wp.vec4)],
        device=where,
    )
    return Geometry(
        takes, actors, on_device, cast, scenes, starts, face_table, world, normal, strain, clip, sun_clip, low, high
    )


def _scene(take: Take) -> np.ndarray:
    """The numbers of one picture, as ``records.Scene``."""
    record = np.zeros((), SCENE_DTYPE)
    camera, light = take.camera, take.light
    T = camera.T_camera_world.astype(np.float64)
    height, width = camera.size
    K = camera.intrinsics.astype(np.float64)
    # rows of ``rendering.camera.clip_from_camera``
    clip = np.array(
        [
            [2 * K[0, 0] / width, 2 * K[0, 1] / width, 2 * K[0, 2] / width - 1, 0],
            [0, 2 * K[1, 1] / height, 2 * K[1, 2] / height - 1, 0],
            [0, 0, (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)],
            [0, 0, 1, 0],
        ]
    )
    record["clip_from_world"] = clip @ T
    record["distortion"], record["distortion_limit"] = camera.distortion, distortion_limit(camera.distortion)
    record["focal"] = clip[0, 0], clip[1, 1]
    record["centre"] = clip[0, 2], clip[1, 2]
    record["eye"] = -T[:3, :3].T @ T[:3, 3]
    record["forward"], record["camera_axes"] = T[2, :3], T[:3, :3]
    record["sun"], record["sun_colour"], record["occlusion"] = light.sun, light.sun_colour, light.occlusion
    record["sun_axes"] = light.sun_axes
    return record
