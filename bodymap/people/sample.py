"""Four seeds in, one synthetic photograph with its exact truth out: the composition of everything in this folder."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bodymap.people.background import camera_rays, draw_background, draw_surroundings
from bodymap.people.camera import View, draw_view
from bodymap.people.config import PeopleConfig
from bodymap.people.light import Light, draw_light
from bodymap.people.pack import Pack
from bodymap.people.person import Person, get_person
from bodymap.people.photograph import develop
from bodymap.people.pose import draw_pose
from bodymap.people.scene import draw_extras
from bodymap.people.shade import Rendered, render
from bodymap.people.stage import Actor, Stage, set_stage
from bodymap.people.streams import stream
from bodymap.people.truth import read_truth
from bodymap.rendering import rasterize
from bodymap.rendering.camera import clip_from_world
from bodymap.types import Camera, Sample


@functools.lru_cache(maxsize=2)
def _shipped_pack() -> Pack:
    return Pack.load(None)


def sample(
    person: int,
    pose: int,
    camera: int,
    scene: int,
    *,
    pack: Pack | None = None,
    config: PeopleConfig | None = None,
    split: str = "train",
) -> Sample:
    """One synthetic photograph. The same seeds, pack and config give the same bytes.

    Args:
        person: seed of body, skin, hair and clothes.  pose: of joints and fingers.
        camera: of view point and framing (which also adapts to the posed body).
        scene: of surroundings, light, further people, things and the photograph's faults.
        pack: None: the small one that ships.
        config: None: the defaults.
        split: "train" or "test"; they share no held-out asset, pattern or shape.
    """
    pack = _shipped_pack() if pack is None else pack
    config = PeopleConfig() if config is None else config
    with torch.no_grad():
        return _compose(person, pose, camera, scene, pack, config, split)


def _compose(person: int, pose: int, camera: int, scene: int, pack: Pack, config: PeopleConfig, split: str) -> Sample:
    # The subject, posed, and a camera that frames it.
    subject = get_person(person, pack, config, split)
    local = draw_pose(stream(pose, "pose", split), pack, subject.body.heads, config.pose, split)
    vertices, posed = subject.pose(pack, local)
    drawn = subject.drawn
    view = draw_view(stream(camera, "camera", split), vertices[drawn], pack.bones, posed, config.size, config.camera)
    actors = [Actor(subject.mesh, torch.from_numpy(vertices.astype(np.float32)), 1)]
    nobody = stream(scene, "nobody", split).random() < config.scene.nobody

    # The rest of the scene.
    around = draw_surroundings(stream(scene, "surroundings", split), pack, config.scene, split)
    light = draw_light(stream(scene, "light", split), around.panorama, around.yaw, config.light)
    extras = draw_extras(scene, pack, config, split, view.camera, posed, vertices[drawn], nobody)
    stage, rendered = _shoot([] if nobody else actors, extras, view.camera, light, config)
    background = draw_background(stream(scene, "background", split), pack, around, view.camera, config.scene, split)
    background = _on_the_floor(background, rendered, view.camera, vertices[drawn], light)
    image = develop(stream(scene, "photograph", split), _over(background, rendered, config), config.photograph)

    truth = read_truth(stage, rendered, view.camera, config.supersample)
    return Sample(
        image=image,
        camera=view.camera,
        facing=math.nan if nobody else view.facing,
        body=_describe(subject, local, view),
        seeds=(person, pose, camera, scene),
        **truth,
    )


def _shoot(
    subject: list[Actor], extras: list[Actor], camera: Camera, light: Light, config: PeopleConfig
) -> tuple[Stage, Rendered]:
    """Renders with all extras; without them if they leave too little of the subject to see."""
    fine = _supersampled(camera, config.supersample)
    stage = set_stage(subject + extras)
    rendered = render(stage, fine, light, config.layers)
    if subject and extras:
        visible = int((stage.instance[rendered.triangle] == 1).sum())
        least = config.camera.least_pixels * fine.size[0] * fine.size[1]
        if visible < least or visible < 0.5 * _area(subject, fine):
            stage = set_stage(subject)
            rendered = render(stage, fine, light, config.layers)
    return stage, rendered


def _area(actors: list[Actor], camera: Camera) -> float:
    """Samples that the actors would cover alone; a quick look at a quarter of the size."""
    coarse = replace(
        camera,
        intrinsics=camera.intrinsics * np.array([[0.25], [0.25], [1]], np.float32),
        size=(camera.size[0] // 4, camera.size[1] // 4),
    )
    vertices = torch.cat([actor.vertices for actor in actors])
    fragments = rasterize(clip_from_world(vertices, coarse)[None], actors[0].mesh.triangles, coarse.size)[0]
    return 16.0 * float((fragments.triangle >= 0).sum())


def _supersampled(camera: Camera, factor: int) -> Camera:
    """The same view with ``factor`` times as many pixels each way."""
    intrinsics = camera.intrinsics.copy()
    intrinsics[:2] *= factor
    return replace(camera, intrinsics=intrinsics, size=(camera.size[0] * factor, camera.size[1] * factor))


def _over(background: np.ndarray, rendered: Rendered, config: PeopleConfig) -> np.ndarray:
    """People over the background, averaged down to the picture's size; linear."""
    height, width = rendered.size
    colour, cover = torch.zeros(height * width, 3), torch.zeros(height * width, 1)
    colour[rendered.seen], cover[rendered.seen] = rendered.colour.clamp(0, 4), 1.0

    def shrink(image: Tensor) -> np.ndarray:
        flat = image.T.reshape(1, -1, height, width)
        return torch.nn.functional.avg_pool2d(flat, config.supersample)[0].permute(1, 2, 0).numpy()

    return shrink(colour) + background * (1 - shrink(cover))


def _on_the_floor(
    background: np.ndarray, rendered: Rendered, camera: Camera, vertices: np.ndarray, light
) -> np.ndarray:
    """Darkens the floor (z = 0) where people keep the sun off it, and close to what touches it."""
    rays = camera_rays(camera).reshape(-1, 3)
    T = camera.T_camera_world
    eye = -T[:3, :3].T @ T[:3, 3]
    down = np.flatnonzero(rays[:, 2] < -0.02)
    distance = eye[2] / -rays[down, 2]
    down, distance = down[distance < 25], distance[distance < 25]
    if not len(down):
        return background
    floor = torch.from_numpy((eye + rays[down] * distance[:, None]).astype(np.float32))
    shade = torch.ones(len(down))
    if rendered.shadow.active:
        sun = float(light.sun_colour.mean())
        share = sun / (sun + float(light.irradiance[0].mean()) * 0.282 + 1e-6)
        shade = 1 - 0.75 * share * (1 - rendered.shadow(floor + torch.tensor([0, 0, 0.02])))
    touching = vertices[vertices[:, 2] < 0.1]
    touching = torch.from_numpy(touching[:: max(1, len(touching) // 48)].astype(np.float32))
    near = torch.cdist(floor[:, :2], touching[:, :2]).min(1).values
    shade = shade * (1 - 0.5 * light.occlusion * torch.exp(-((near / 0.12) ** 2)))
    out = background.reshape(-1, 3).copy()
    out[down] *= shade.numpy()[:, None]
    return out.reshape(background.shape)


def _describe(subject: Person, local: np.ndarray, view: View) -> dict:
    return {
        "shape": subject.body.coefficients,
        "local_rotations": local.astype(np.float32),
        "heads": subject.body.heads,
        "pieces": tuple(piece.name for piece in subject.pieces),
        "framing": view.framing,
    }
