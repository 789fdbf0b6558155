"""Four seeds in, everything one photograph is taken of out: who stands where, in what light, before what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bodymap.people.background import Backdrop, draw_backdrop, draw_surroundings
from bodymap.people.camera import View, draw_view
from bodymap.people.carried import closed_hands
from bodymap.people.config import PeopleConfig
from bodymap.people.film.develop import Faults
from bodymap.people.film.stagehand import Take
from bodymap.people.light import Light, draw_light
from bodymap.people.pack import Pack
from bodymap.people.person import Person, Placed, get_person
from bodymap.people.photograph import draw_faults
from bodymap.people.pose import draw_pose
from bodymap.people.scene import draw_extras
from bodymap.people.stage import Actor
from bodymap.people.streams import stream
from bodymap.types import Camera


@dataclass(frozen=True)
class Shot:
    """A photograph before it is taken.

    Attributes:
        take: what stands before the camera.  faults: what lens and file will do.
        facing, body, seeds: as in ``types.Sample``.
        covered: whether the truth under the clothes is wanted.  bare: the subject without them, if so.
    """

    take: Take
    faults: Faults
    facing: float
    body: dict[str, Any]
    seeds: tuple[int, int, int, int]
    covered: bool = False
    bare: Actor | None = None


def direct(person: int, pose: int, camera: int, scene: int, pack: Pack, config: PeopleConfig, split: str) -> Shot:
    """The shot of four seeds; see ``people.sample``."""
    subject = get_person(person, pack, config, split)
    local = draw_pose(stream(pose, "pose", split), pack, subject.body.heads, config.pose, split)
    local = closed_hands(local, subject.pieces, pack)
    placed = subject.place(pack, local)
    view = draw_view(
        stream(camera, "camera", split), placed.probe, pack.bones, placed.posed, config.size, config.camera
    )
    setting = draw_setting(scene, pack, config, split, view.camera, placed)
    return stage_shot(subject, local, placed, view, setting, config, (person, pose, camera, scene))


@dataclass(frozen=True)
class Setting:
    """Where a photograph is taken, drawn from a scene's seed; a film keeps one for all its frames.

    Attributes:
        light, backdrop, faults: of the picture.
        extras: everybody and everything but the subject.
        nobody: the subject is left out.
    """

    light: Light
    backdrop: Backdrop
    extras: tuple[Actor, ...]
    faults: Faults
    nobody: bool = False


def draw_setting(scene: int, pack: Pack, config: PeopleConfig, split: str, camera: Camera, placed: Placed) -> Setting:
    """Surroundings, light, things and faults of a scene's seed, about a subject before a camera."""
    nobody = stream(scene, "nobody", split).random() < config.scene.nobody
    around = draw_surroundings(stream(scene, "surroundings", split), pack, config.scene, split)
    return Setting(
        light=draw_light(stream(scene, "light", split), around.panorama, around.yaw, config.light),
        backdrop=draw_backdrop(stream(scene, "background", split), pack, around, camera, config.scene, split),
        extras=tuple(draw_extras(scene, pack, config, split, camera, placed.posed, placed.probe, nobody)),
        faults=draw_faults(stream(scene, "photograph", split), config.photograph),
        nobody=nobody,
    )


def stage_shot(
    subject: Person,
    local: Float[np.ndarray, "bone 3 3"],
    placed: Placed,
    view: View,
    setting: Setting,
    config: PeopleConfig,
    seeds: tuple[int, int, int, int],
) -> Shot:
    """A posed subject before a camera."""
    nobody = setting.nobody
    actors = setting.extras if nobody else (Actor.person(subject, placed, 1), *setting.extras)
    touching = np.zeros((0, 2)) if nobody else _touching(placed.probe)
    body = {
        "shape": subject.body.coefficients,
        "local_rotations": local.astype(np.float32),
        "heads": subject.body.heads,
        "pieces": tuple(piece.name for piece in subject.pieces),
        "framing": view.framing,
        "age": float(subject.body.age),
        "female": bool(subject.body.female),
        "skin": subject.skin_colour,
    }
    return Shot(
        take=Take(actors, view.camera, setting.light, setting.backdrop, touching, config.camera.least_pixels),
        faults=setting.faults,
        facing=math.nan if nobody else view.facing,
        body=body,
        seeds=seeds,
        covered=config.covered,
        bare=None if nobody or not config.covered else Actor(subject.bare, placed.posed.transform, 1),
    )


def _touching(vertices: np.ndarray, count: int = 24) -> np.ndarray:
    """Where a person touches the floor: some of the lowest vertices, (n, 2)."""
    low = vertices[vertices[:, 2] < 0.1, :2]
    return low[:: max(1, len(low) // count)]
