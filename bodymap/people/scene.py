"""What else is in the picture: further people, things in front of the subject, toys and furniture around it."""

from __future__ import annotations

import numpy as np

from bodymap.people.carried import closed_hands
from bodymap.people.config import PeopleConfig
from bodymap.people.lookalikes import companion, moved_actor
from bodymap.people.mesh import join
from bodymap.people.pack import Pack
from bodymap.people.pose import draw_pose
from bodymap.people.primitives import Solid, moved, rounded
from bodymap.people.props import Props, part
from bodymap.people.skinning import Posed, rotation_vector
from bodymap.people.stage import Actor
from bodymap.people.streams import stream
from bodymap.people.things import draw_thing
from bodymap.types import Camera


def draw_extras(
    scene: int,
    pack: Pack,
    config: PeopleConfig,
    split: str,
    camera: Camera,
    posed: Posed,
    vertices: np.ndarray,
    nobody: bool = False,
) -> list[Actor]:
    """Everything but the subject.

    Args:
        posed, vertices: the subject's skeleton and drawn vertices, world.
        nobody: things only, at least one.
    """
    place = _Place(camera, vertices)
    actors = [] if nobody else _bystanders(stream(scene, "bystanders", split), pack, config, split, place)
    props = Props(pack, config, split)
    things = stream(scene, "things", split)
    if things.random() < config.scene.occluder:
        actors += _in_front(things, place, props)
    if things.random() < config.scene.distractor or (nobody and not actors):
        for _ in range(int(things.integers(1, 4))):
            actors += _about(things, place, props)
    seat = _seat(stream(scene, "seat", split), pack, posed)
    if seat is not None:
        actors.append(Actor.thing(join((part(seat, props.paint(things)),))))
    return actors


class _Place:
    """The floor before the camera: metres ahead and to the right of it."""

    def __init__(self, camera: Camera, vertices: np.ndarray):
        T = camera.T_camera_world
        self.eye = -T[:3, :3].T @ T[:3, 3]
        ahead = T[2, :3].astype(float).copy()
        ahead[2] = 0
        self.ahead = ahead / max(np.linalg.norm(ahead), 1e-6)
        self.right = np.array([self.ahead[1], -self.ahead[0], 0.0])
        centre = (vertices.min(0) + vertices.max(0)) / 2
        self.distance = float(max((centre - self.eye) @ self.ahead, 0.5))
        self.aside = float((centre - self.eye) @ self.right)
        self.tall = float(vertices[:, 2].max())
        # half the width of the picture, per metre of distance
        self.spread = 0.5 * camera.size[1] / float(camera.intrinsics[0, 0])

    def floor(self, ahead: float, aside: float) -> np.ndarray:
        """The floor point so many metres ahead of the camera and to the right of the line to the subject."""
        point = self.eye + self.ahead * ahead + self.right * (aside + self.aside * ahead / self.distance)
        return np.array([point[0], point[1], 0.0])


def _bystanders(rng, pack, config, split, place: _Place) -> list[Actor]:
    actors: list[Actor] = []
    if rng.random() >= config.scene.bystander:
        return actors
    for k in range(int(rng.integers(1, config.scene.bystanders + 1))):
        person = companion(int(rng.integers(config.scene.companions)), Props(pack, config, split))
        local = draw_pose(rng, pack, person.body.heads, config.pose, split)
        placed = person.place(pack, closed_hands(local, person.pieces, pack))
        turn = rotation_vector(np.array([0, 0, rng.uniform(-np.pi, np.pi)]))
        in_front = rng.random() < 0.22
        if in_front:
            depth = place.distance * rng.uniform(0.6, 0.95)
            aside = rng.choice([-1, 1]) * rng.uniform(0.35, 0.9)
        else:
            depth = place.distance + rng.uniform(-0.1, 1.0) + rng.exponential(1.5)
            aside = rng.choice([-1, 1]) * rng.uniform(0.25, 0.5 + place.spread * depth)
        middle = (placed.probe.min(0) + placed.probe.max(0)) / 2 * np.array([1, 1, 0])
        placed = placed.moved(turn, place.floor(depth, aside) - turn @ middle)
        actors.append(Actor.person(person, placed, 2 + k))
    return actors


def _in_front(rng: np.random.Generator, place: _Place, props: Props) -> list[Actor]:
    """A thing between the camera and the subject."""
    depth = place.distance * rng.uniform(0.45, 0.88)
    return _put(rng, draw_thing(rng, props.config.scene.occluders, props), place.floor(depth, rng.normal(0, 0.35)))


def _about(rng: np.random.Generator, place: _Place, props: Props) -> list[Actor]:
    """A thing beside or behind the subject; most face the camera more or less."""
    depth = place.distance + rng.uniform(0.1, 2.5)
    aside = rng.choice([-1, 1]) * rng.uniform(0.35, 0.4 + place.spread * depth)
    return _put(rng, draw_thing(rng, props.config.scene.distractors, props), place.floor(depth, aside), place.ahead)


def _put(
    rng: np.random.Generator, actors: list[Actor], floor: np.ndarray, ahead: np.ndarray | None = None
) -> list[Actor]:
    """Turned any way, or (where the camera looks ``ahead``) two times in three towards it, and set down."""
    angle = rng.uniform(0, 2 * np.pi)
    if ahead is not None and rng.random() < 0.67:
        angle = np.arctan2(ahead[1], ahead[0]) - np.pi / 2 + rng.normal(0, 0.5)  # -Y to the camera
    turn = rotation_vector(np.array([0, 0, angle]))
    return [moved_actor(actor, turn, floor) for actor in actors]


def _seat(rng, pack: Pack, posed: Posed) -> Solid | None:
    """A block under someone who sits in the air: thighs level, hips well above the floor."""
    index = pack.bones.index
    hips = (posed.position[index("upperleg01.L")] + posed.position[index("upperleg01.R")]) / 2
    knees = [posed.position[index(f"lowerleg01.{s}")] for s in "LR"]
    level = all(knee[2] > hips[2] - 0.17 for knee in knees)
    if not level or hips[2] < 0.3 or rng.random() < 0.25:
        return None
    top = hips[2] - 0.13
    half = (rng.uniform(0.2, 0.5), rng.uniform(0.16, 0.24), top / 2)
    back = -(knees[0] + knees[1] - 2 * hips)
    back[2] = 0
    back = back / max(np.linalg.norm(back), 1e-6)
    axes = np.stack([np.array([-back[1], back[0], 0]), back, [0, 0, 1.0]], 1)
    return moved(rounded(half, 0.15), np.array([hips[0], hips[1], top / 2]) + back * 0.05, axes)
