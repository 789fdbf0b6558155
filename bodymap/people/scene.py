"""What else is in the picture: further people, things in front of the subject, toys and furniture around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from bodymap.people.background import any_colour
from bodymap.people.config import PeopleConfig
from bodymap.people.material import Material, folds
from bodymap.people.pack import Pack
from bodymap.people.pattern import draw_pattern
from bodymap.people.person import get_person, join
from bodymap.people.pose import draw_pose
from bodymap.people.primitives import Solid, as_piece, merge, moved, rounded, tube
from bodymap.people.skinning import Posed, rotation_vector
from bodymap.people.stage import Actor
from bodymap.people.streams import pattern_seed, stream
from bodymap.types import Camera

# Bystanders come from a small troupe of their own, so that dressing them is paid for once.
_COMPANION_SEEDS = 3_000_000_000


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
    things = stream(scene, "things", split)
    if things.random() < config.scene.occluder:
        actors.append(_thing(_occluder(things, place), things, split))
    if things.random() < config.scene.distractor or (nobody and not actors):
        for _ in range(int(things.integers(1, 4))):
            actors.append(_thing(_distractor(things, place), things, split))
    seat = _seat(stream(scene, "seat", split), pack, posed)
    if seat is not None:
        actors.append(_thing(seat, things, split))
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
        person = get_person(_COMPANION_SEEDS + int(rng.integers(config.scene.companions)), pack, config, split)
        local = draw_pose(rng, pack, person.body.heads, config.pose, split)
        vertices, _ = person.pose(pack, local)
        turn = rotation_vector(np.array([0, 0, rng.uniform(-np.pi, np.pi)]))
        in_front = rng.random() < 0.22
        if in_front:
            depth = place.distance * rng.uniform(0.6, 0.95)
            aside = rng.choice([-1, 1]) * rng.uniform(0.35, 0.9)
        else:
            depth = place.distance + rng.uniform(-0.1, 1.0) + rng.exponential(1.5)
            aside = rng.choice([-1, 1]) * rng.uniform(0.25, 0.5 + place.spread * depth)
        middle = (vertices.min(0) + vertices.max(0)) / 2
        vertices = (vertices - middle * np.array([1, 1, 0])) @ turn.T + place.floor(depth, aside)
        actors.append(Actor(person.mesh, torch.from_numpy(vertices.astype(np.float32)), 2 + k))
    return actors


def _thing(solid: Solid, rng: np.random.Generator, split: str) -> Actor:
    """A solid of one material, on stage."""
    material = Material(
        np.asarray(any_colour(rng), np.float32),
        gloss=float(rng.uniform(0, 0.4)),
        shine=float(rng.uniform(5, 60)),
        **folds(rng, rng.uniform(0, 0.3)),
    )
    if rng.random() < 0.35:
        tile, size = draw_pattern(pattern_seed(rng, split))
        material = replace(material, pattern=tile, pattern_size=size * 2)
    piece = as_piece(solid, "thing", 0, material)
    return Actor(join((piece,)), torch.from_numpy(piece.vertices), 0)


def _turned(rng: np.random.Generator) -> np.ndarray:
    return rotation_vector(np.array([0, 0, rng.uniform(0, 2 * np.pi)]))


def _occluder(rng, place: _Place) -> Solid:
    """Between the camera and the subject: a post, a table, a hedge, a ball."""
    depth = place.distance * rng.uniform(0.45, 0.88)
    aside = rng.normal(0, 0.35)
    kind = rng.random()
    if kind < 0.3:
        solid = rounded((rng.uniform(0.03, 0.12), rng.uniform(0.03, 0.12), rng.uniform(0.5, 1.6)), 0.3)
    elif kind < 0.6:  # table, box, wall, car
        solid = rounded((rng.uniform(0.15, 0.9), rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.5)), rng.uniform(0.1, 0.4))
    elif kind < 0.8:  # a bush: many small balls
        balls = [
            moved(
                rounded((r := rng.uniform(0.05, 0.14), r, r * rng.uniform(0.4, 1)), 1.0, 8, 6),
                rng.normal(0, 0.2, 3) + [0, 0, 0.4],
            )
            for _ in range(18)
        ]
        solid = merge(*balls)
    else:
        solid = moved(rounded((r := rng.uniform(0.08, 0.3), r, r), rng.uniform(0.4, 1)), (0, 0, rng.uniform(0, 1.2)))
    solid = moved(solid, (0, 0, -solid[0][:, 2].min() if kind < 0.8 else 0), _turned(rng))
    return moved(solid, place.floor(depth, aside))


def _distractor(rng, place: _Place) -> Solid:
    """Beside or behind the subject: toys that look a little like people, chairs, boxes, poles."""
    depth = place.distance + rng.uniform(0.1, 2.5)
    aside = rng.choice([-1, 1]) * rng.uniform(0.35, 0.4 + place.spread * depth)
    kind = rng.random()
    if kind < 0.35:
        solid = _teddy(rng)
    elif kind < 0.55:
        solid = _chair(rng)
    elif kind < 0.8:
        half = np.exp(rng.uniform(np.log(0.08), np.log(0.6), 3))
        solid = moved(rounded(tuple(half), rng.uniform(0.1, 1)), (0, 0, half[2]))
    else:
        height = rng.uniform(0.8, 3)
        solid = merge(
            tube(np.linspace([0, 0, 0], [0, 0, height], 6), rng.uniform(0.02, 0.08)),
            moved(rounded((r := rng.uniform(0.08, 0.3), r, r * 1.2), 1.0), (0, 0, height)),
        )
    return moved(moved(solid, (0, 0, 0), _turned(rng)), place.floor(depth, aside))


def _teddy(rng: np.random.Generator) -> Solid:
    """A sitting bear."""
    parts = [rounded((0.2, 0.17, 0.25), 1.0), moved(rounded((0.15, 0.14, 0.14), 1.0), (0, -0.02, 0.36))]
    for x in (-1, 1):
        parts += [
            moved(rounded((0.05, 0.03, 0.05), 1.0), (x * 0.12, 0, 0.48)),
            moved(rounded((0.07, 0.16, 0.07), 1.0), (x * 0.14, -0.2, -0.18)),
            moved(rounded((0.15, 0.06, 0.06), 1.0), (x * 0.25, -0.06, 0.08)),
        ]
    parts.append(moved(rounded((0.06, 0.06, 0.05), 1.0), (0, -0.15, 0.33)))
    solid = moved(merge(*parts), (0, 0, 0.25))
    return solid[0] * np.float32(rng.uniform(0.5, 2.2)), solid[1]


def _chair(rng: np.random.Generator) -> Solid:
    seat, wide = rng.uniform(0.4, 0.5), rng.uniform(0.18, 0.3)
    parts = [
        moved(rounded((wide, wide, 0.03), 0.2), (0, 0, seat)),
        moved(rounded((wide, 0.03, 0.25), 0.2), (0, wide, seat + 0.28)),
    ]
    for x in (-1, 1):
        for y in (-1, 1):
            parts.append(
                tube(
                    np.linspace([x * wide * 0.9, y * wide * 0.9, 0], [x * wide * 0.9, y * wide * 0.9, seat], 3), 0.02, 6
                )
            )
    return merge(*parts)


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
