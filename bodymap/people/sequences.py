"""Films of synthetic people with exact truth: ten kinds of sequences by name, smooth in time, each frame a Sample.

A sequence is (name, number): the number is its seed and its split. Person, outfit, scene, light and the faults of lens
and file are drawn once; from frame to frame only poses, places and the camera move, and the grain changes.
To add a kind: a function Casting -> Choreography in ``choreography`` and a line in SEQUENCES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bodymap.errors import UserError
from bodymap.people import choreography
from bodymap.people.background import Backdrop, draw_backdrop, draw_surroundings
from bodymap.people.camera import View, facing_angle, front_of
from bodymap.people.choreography import Casting, Choreography
from bodymap.people.config import PeopleConfig
from bodymap.people.director import Setting, Shot, draw_setting, stage_shot
from bodymap.people.motion import FPS
from bodymap.people.outfit import dress
from bodymap.people.pack import Pack
from bodymap.people.person import Person, Placed, assemble
from bodymap.people.shape import draw_body, with_face
from bodymap.people.shoes import heel_height, on_heels
from bodymap.people.skinning import skin
from bodymap.people.stage import Actor
from bodymap.people.streams import stream
from bodymap.people.studio import samples
from bodymap.types import Camera, Sample

__all__ = ["FIRST_SEED", "FPS", "LENGTH", "SEQUENCES", "Sequence", "split_of"]

LENGTH = choreography.LENGTH

# Out of the way of training's seeds, and of those of the test pictures (bodymap.data.testset).
FIRST_SEED = 0xE8000000

SEQUENCES: dict[str, Callable[[Casting], Choreography]] = {
    make.__name__: make
    for make in (
        choreography.turn,
        choreography.approach,
        choreography.leave,
        choreography.dance,
        choreography.orbit,
        choreography.sit,
        choreography.passing,
        choreography.talk,
        choreography.poses,
        choreography.tracking,
    )
}

_FREE_WAY = 0.45  # metres about the way of people and camera that nothing stands in


class Sequence:
    """One film of LENGTH frames, FPS a second. Making one takes a second or two, then frames come in any order.

    Args:
        name: of SEQUENCES.
        number: seed, and decides the split (``split_of``).
        pack: a people pack.
        config: size and distributions; what a film needs otherwise is changed.

    Raises:
        UserError: there is no such sequence, or the pack has no motion clips.
    """

    def __init__(self, name: str, number: int, pack: Pack, config: PeopleConfig):
        if name not in SEQUENCES:
            raise UserError(f"There is no sequence {name!r}; there are {', '.join(SEQUENCES)}.")
        kind = list(SEQUENCES).index(name)
        self.name, self.pack = name, pack
        self.split = split_of(name, number)
        self.seed = FIRST_SEED + number * len(SEQUENCES) + kind
        scene = replace(config.scene, nobody=0.0, occluder=0.0)
        face = replace(config.face, neutral=1.0, gaze=0.0, blink=0.0)
        camera = replace(config.camera, least_pixels=0.0)
        self.config = replace(config, scene=scene, face=face, camera=camera)
        casting = Casting(pack, self.config, self.split, self.seed, number)
        self.film = SEQUENCES[name](casting)
        self.config = casting.configured(self.film)
        self.setting = self._setting()

    def __len__(self) -> int:
        return LENGTH

    def shot(self, frame: int) -> Shot:
        """A frame before it is taken."""
        film = self.film
        subject = self._subject(frame)
        placed = film.track.place(subject, self.pack, frame)
        others = tuple(
            Actor.person(person, track.place(person, self.pack, frame), 2 + k)
            for k, (person, track) in enumerate(film.others)
        )
        faults = self.setting.faults
        setting = replace(
            self.setting,
            extras=(*others, *film.things, *self.setting.extras),
            faults=replace(faults, seed=(faults.seed + frame) % (1 << 31)),
        )
        view = _view(film.cameras[frame], self.pack, placed)
        shot = stage_shot(subject, film.track.local[frame], placed, view, setting, self.config, (self.seed,) * 4)
        return replace(shot, body={**shot.body, "sequence": self.name, "frame": frame})

    def sample(self, frame: int) -> Sample:
        """A frame with its truth."""
        return samples([self.shot(frame)], self.config.supersample)[0]

    def _subject(self, frame: int) -> Person:
        film, pack = self.film, self.pack
        if film.faces is None:
            return film.subject
        seed = film.subject.seed
        body = with_face(draw_body(stream(seed, "body", self.split), pack, self.split), pack, film.faces[frame])
        body = on_heels(body, pack, heel_height(seed, body, self.config.outfit, self.split))
        return assemble(seed, body, tuple(dress(seed, pack, body, self.config.outfit, self.split)))

    def _setting(self) -> Setting:
        """Drawn about the middle frame, less what would be walked through."""
        film, middle = self.film, LENGTH // 2
        placed = film.track.place(film.subject, self.pack, middle)
        eyes = np.array([_eye(camera) for camera in film.cameras])
        scene = self.seed
        if film.moving_camera:
            scene = self._scene_with_depth(film.cameras[middle])
        setting = draw_setting(scene, self.pack, self.config, self.split, film.cameras[middle], placed)
        tracks = [film.track, *(track for _, track in film.others)]
        ways = np.concatenate([eyes[:, :2], *(track.root[:, :2] for track in tracks)])
        extras = tuple(actor for actor in setting.extras if _distance(actor, ways) > _FREE_WAY)
        backdrop = _around(setting.backdrop, np.concatenate([eyes, *(track.root for track in tracks)]))
        if film.moving_camera:
            backdrop = replace(backdrop, grain_strength=0.0)  # it sticks to the picture
        # further people of the scene come after those of the film
        extras = tuple(replace(a, instance=a.instance + len(film.others)) if a.instance > 1 else a for a in extras)
        return replace(setting, extras=extras, backdrop=backdrop)

    def _scene_with_depth(self, camera: Camera) -> int:
        """The first scene seed whose background is a room: before a flat picture a camera cannot move."""
        config, split = self.config.scene, self.split
        for scene in range(self.seed, self.seed + 1000):
            around = draw_surroundings(stream(scene, "surroundings", split), self.pack, config, split)
            if draw_backdrop(stream(scene, "background", split), self.pack, around, camera, config, split).blocks:
                return scene
        raise UserError("These settings draw no room for a moving camera; do not set SceneConfig.panorama to 1.")


def split_of(name: str, number: int) -> str:
    """Half of the sequences of a number, and of each kind, show assets that training never saw."""
    return "test" if (list(SEQUENCES).index(name) + number) % 2 == 0 else "train"


def _view(camera: Camera, pack: Pack, placed: Placed) -> View:
    direction = _eye(camera) - (placed.probe.min(0) + placed.probe.max(0)) / 2
    direction[2] = 0
    return View(camera, facing_angle(front_of(pack.bones, placed.posed), direction), "sequence")


def _eye(camera: Camera) -> np.ndarray:
    T = camera.T_camera_world.astype(float)
    return -T[:3, :3].T @ T[:3, 3]


def _distance(actor: Actor, ways: np.ndarray) -> float:
    """Metres over the floor from an actor to the nearest place of the ways."""
    m = actor.mesh
    some = slice(None, None, max(1, len(m.vertices) // 1500))
    vertices = skin(m.vertices.numpy()[some], m.index.numpy()[some], m.weight.numpy()[some], actor.bones)[:, :2]
    return float(np.sqrt(((vertices[:, None] - ways[None, ::6]) ** 2).sum(-1).min()))


def _around(backdrop: Backdrop, places: np.ndarray, margin: float = 0.8) -> Backdrop:
    """A room large enough that everybody and the camera stay in it, without blocks in their way."""
    if not backdrop.blocks:
        return backdrop
    inside = places @ backdrop.axes.T
    low, high = backdrop.low.copy(), backdrop.high.copy()
    low[:2] = np.minimum(low[:2], inside.min(0)[:2] - margin)
    high[:2] = np.maximum(high[:2], inside.max(0)[:2] + margin)
    high[2] = max(high[2], inside[:, 2].max() + 0.3)

    def clear(block) -> bool:
        flat = inside[:, :2]
        gap = np.maximum(np.maximum(block.low[:2] - flat, flat - block.high[:2]), 0)
        return bool(np.linalg.norm(gap, axis=1).min() > _FREE_WAY)

    blocks = (*backdrop.blocks[:6], *(b for b in backdrop.blocks[6:] if clear(b)))
    return replace(backdrop, low=low, high=high, blocks=blocks)
