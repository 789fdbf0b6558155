"""Who moves how in each kind of sequence (``sequences.SEQUENCES``), and from where a camera watches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from bodymap.errors import UserError
from bodymap.people.camera import look_at
from bodymap.people.carried import closed_hands
from bodymap.people.config import FaceConfig, PeopleConfig, PoseConfig
from bodymap.people.face import draw_face
from bodymap.people.hands import curl_fingers
from bodymap.people.mesh import join
from bodymap.people.motion import (
    FPS,
    Motion,
    Track,
    Wander,
    clip_motion,
    ease,
    follow_feet,
    key_motion,
    sitting_motion,
    swaying,
)
from bodymap.people.pack import Pack
from bodymap.people.person import Person, get_person
from bodymap.people.pose import draw_pose
from bodymap.people.primitives import moved, rounded
from bodymap.people.props import Props, part
from bodymap.people.skinning import pose_skeleton
from bodymap.people.stage import Actor
from bodymap.people.streams import stream
from bodymap.types import Camera

LENGTH = 180  # frames: a pair 120 frames apart, the paper's longest interval, exists sixty times

_SECONDS = np.arange(LENGTH) / FPS


@dataclass(frozen=True)
class Choreography:
    """A film as it is acted.

    Attributes:
        subject: in the rest pose.  track: their way.
        cameras: one a frame.
        others: further people, on the stage from the first frame to the last.
        things: what stands there for the plot.
        faces: (F, A) strengths of the pack's facial actions; None: at rest.
        moving_camera: the background needs depth.
        bystanders, occluders: chances of further people and of things in front.
    """

    subject: Person
    track: Track
    cameras: tuple[Camera, ...]
    others: tuple[tuple[Person, Track], ...] = ()
    things: tuple[Actor, ...] = ()
    faces: Float[np.ndarray, "frame action"] | None = None
    moving_camera: bool = False
    bystanders: float = 0.0
    occluders: float = 0.0


@dataclass(frozen=True)
class Casting:
    """What a choreography is drawn from. ``number`` counts the sequences of one kind."""

    pack: Pack
    config: PeopleConfig
    split: str
    seed: int
    number: int

    def rng(self, idea: str) -> np.random.Generator:
        return stream(self.seed, f"sequence {idea}", self.split)

    def person(self, which: int = 0) -> Person:
        """The subject (0) or somebody else."""
        return get_person(self.seed + which * (1 << 20), self.pack, self.config, self.split)

    def clip(self, *names: str) -> Motion:
        """A motion clip whose name ends in one of these, of this split if there is one; else any of them."""
        clips = [c for c in self.pack.clips if c.kind == "motion" and c.count > 3]
        named = [c for c in clips if c.name.rsplit("/", 1)[-1].endswith(names)]
        if not named:
            raise UserError(f"The people pack has no motion clip named {' or '.join(names)}; build it with pybullet.")
        mine = [c for c in named if c.split == self.split] or named
        return clip_motion(self.pack, mine[self.number % len(mine)])

    def pose(self, idea: str, person: Person, arms: dict[str, float]) -> Float[np.ndarray, "bone 3 3"]:
        """Somebody standing, with arms in one of these ways."""
        config = PoseConfig(pack=0.0, joint_noise=0.5, procedural_kind={"stand": 1.0}, arms=arms)
        local = draw_pose(self.rng(idea), self.pack, person.body.heads, config, self.split)
        return closed_hands(local, person.pieces, self.pack)

    def gripping(self, motion: Motion, person: Person) -> Motion:
        """The motion with hands that hold what the person carries, and natural fingers."""
        pose = curl_fingers(self.rng("fingers"), motion(0.0).copy(), self.pack, PoseConfig())
        pose = closed_hands(pose, person.pieces, self.pack)
        fingers = [j for j, label in enumerate(self.pack.bones.labels) if label.startswith("finger")]

        def at(time: float) -> Float[np.ndarray, "bone 3 3"]:
            local = motion(time).copy()
            local[fingers] = pose[fingers]
            return local

        return at

    def walk(self, person: Person, *names: str) -> Track:
        """Straight on to -Y from the origin."""
        motion = self.gripping(self.clip(*names), person)
        return follow_feet(motion, person, self.pack, LENGTH, turning=False).straightened()

    def configured(self, film: Choreography) -> PeopleConfig:
        """The settings of the scene about a film."""
        scene = replace(self.config.scene, bystander=film.bystanders, occluder=film.occluders)
        if film.moving_camera:  # panoramas lie infinitely far: whoever passes a camera would glide over their floor
            scene = replace(scene, panorama=0.0, studio=0.0)
        return replace(self.config, scene=scene)


def film_from(
    eyes: Float[np.ndarray, "frame xyz=3"] | Float[np.ndarray, " xyz=3"],
    targets: Float[np.ndarray, "frame xyz=3"] | Float[np.ndarray, " xyz=3"],
    tall: float,
    distance: float,
    size: tuple[int, int],
    shake: Wander | None = None,
) -> tuple[Camera, ...]:
    """Cameras of one lens, which shows ``tall`` metres at ``distance``; ``shake``: (5,) metres of the eye, radians of
    the direction."""
    height, width = size
    focal = height * distance / tall
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    eyes, targets = (np.broadcast_to(np.asarray(x, float), (LENGTH, 3)) for x in (eyes, targets))
    cameras = []
    for eye, target, time in zip(eyes, targets, _SECONDS, strict=True):
        if shake is not None:
            move = shake(time)
            eye = eye + move[:3]
            away = np.linalg.norm(target - eye)
            target = target + move[:3] + away * np.array([move[3], 0, move[4]])
        T = np.eye(4)
        T[:3, :3] = look_at(eye, target, 0.0)
        T[:3, 3] = -T[:3, :3] @ eye
        cameras.append(Camera(intrinsics, T.astype(np.float32), size))
    return tuple(cameras)


def _hand_held(casting: Casting, strength: float = 1.0) -> Wander:
    size = strength * np.array([0.008, 0.008, 0.006, 0.004, 0.004])
    return Wander(casting.rng("hand held"), size, 0.2, 1.5)


def _stature(person: Person) -> float:
    """Metres from the sole to the highest hair or hat."""
    z = person.mesh.vertices.numpy()[person.drawn, 2]
    return float(np.quantile(z, 0.999) - z.min())


def _still(casting: Casting, person: Person, arms: dict[str, float]) -> Track:
    """Somebody who stands and breathes."""
    pose = casting.pose("stand", person, arms)
    motion = swaying(lambda _: pose, casting.pack.bones, casting.rng("sway"))
    track = follow_feet(motion, person, casting.pack, LENGTH)
    return track.shifted(-track.root[:, :2].mean(0))


def _looking(direction: float, distance: float, height: float) -> np.ndarray:
    """An eye: radians about Z from -Y, towards +X."""
    return np.array([np.sin(direction) * distance, -np.cos(direction) * distance, height])


# -------------------------------------------------------------------------------------------------------- the kinds
def turn(casting: Casting) -> Choreography:
    """Somebody stands on a turntable: once around in six seconds."""
    person = casting.person()
    track = _still(casting, person, {"down": 0.5, "hips": 0.2, "front": 0.2, "raised": 0.1})
    track = track.turned(casting.rng("start").uniform(-np.pi, np.pi) + 2 * np.pi * _SECONDS * FPS / LENGTH)
    tall = _stature(person)
    eye, target = _looking(0.0, 3.2, 0.75 * tall), np.array([0, 0, 0.5 * tall])
    cameras = film_from(eye, target, 1.3 * tall, 3.2, casting.config.size)
    return Choreography(person, track, cameras, bystanders=casting.config.scene.bystander)


def approach(casting: Casting) -> Choreography:
    """Somebody walks up to the camera, from head to foot until only the chest and the face are in the picture."""
    person = casting.person()
    track = casting.walk(person, "walk")
    tall = _stature(person)
    way = -track.root[-1, 1]
    eye = np.array([0.12, -way - 0.75 * tall, 0.85 * tall])
    cameras = film_from(eye, np.array([0, way, 0.8 * tall]), 1.15 * tall, 1.8 * tall, casting.config.size)
    return Choreography(person, track, cameras, bystanders=0.3)


def leave(casting: Casting) -> Choreography:
    """Somebody walks out of the picture at one side, and after a second and a half comes back."""
    person = casting.person()
    way = casting.walk(person, "walk")
    half = LENGTH // 2
    side = 1 if casting.rng("side").random() < 0.5 else -1
    # the second half is the way back, about the place of the turn
    turning = np.pi * ease((np.arange(LENGTH) - half) / 20 + 0.5)
    track = way.turned(turning, way.root[half, :2]).turned(side * np.pi / 2)
    tall = _stature(person)
    reach = abs(track.root[half, 0])
    shown = 1.15 * tall * casting.config.size[1] / casting.config.size[0]
    # at the middle of the way out the whole person is past the border
    track = track.shifted(np.array([side * (0.5 * shown - 0.72 * reach), 0]))
    eye, target = np.array([0, -3.4, 0.8 * tall]), np.array([0, 0, 0.52 * tall])
    return Choreography(person, track, film_from(eye, target, 1.15 * tall, 3.4, casting.config.size), bystanders=0.3)


def dance(casting: Casting) -> Choreography:
    """A dancer; the camera turns after them."""
    person = casting.person()
    motion = casting.gripping(casting.clip("dance_a", "dance_b"), person)
    track = follow_feet(motion, person, casting.pack, LENGTH)
    track = track.shifted(-track.root[:, :2].mean(0)).turned(casting.rng("start").uniform(-np.pi, np.pi))
    tall = _stature(person)
    middle = 0.8 * gaussian_filter1d(track.root[:, :2], 0.5 * FPS, axis=0)
    target = np.concatenate([middle, np.full((LENGTH, 1), 0.5 * tall)], 1)
    cameras = film_from(
        _looking(0.0, 4.2, 0.8 * tall), target, 1.4 * tall, 4.2, casting.config.size, _hand_held(casting)
    )
    return Choreography(person, track, cameras, moving_camera=True)


def orbit(casting: Casting) -> Choreography:
    """Somebody stands still; a camera goes half around them and comes closer."""
    person = casting.person()
    track = _still(casting, person, {"down": 0.4, "hips": 0.2, "crossed": 0.2, "pocket": 0.2})
    rng = casting.rng("orbit")
    share = ease(_SECONDS / _SECONDS[-1])
    angle = rng.uniform(-np.pi, np.pi) + rng.choice([-1, 1]) * np.pi * share
    tall = _stature(person)
    distance = 3.6 - 1.9 * share
    eye = np.stack([np.sin(angle) * distance, -np.cos(angle) * distance, tall * (0.6 + 0.35 * share)], 1)
    target = np.stack([0 * share, 0 * share, tall * (0.5 + 0.22 * share)], 1)
    cameras = film_from(eye, target, 1.2 * tall, 3.6, casting.config.size, _hand_held(casting))
    return Choreography(person, track, cameras, moving_camera=True, bystanders=0.3)


def sit(casting: Casting) -> Choreography:
    """Somebody sits down on a box, rests, and stands up."""
    person, bones = casting.person(), casting.pack.bones
    standing = casting.pose("stand", person, {"down": 1.0})
    resting = casting.pose("rest", person, {"front": 0.8, "crossed": 0.2})

    def seated(time: float) -> float:
        return float(ease((time - 0.4) / 1.6) - ease((time - 3.9) / 1.6))

    motion = sitting_motion(standing, resting, bones, person.body.heads, seated)
    track = follow_feet(swaying(motion, bones, casting.rng("sway"), 0.6), person, casting.pack, LENGTH)
    lowest = int(track.root[:, 2].argmin())
    posed = pose_skeleton(bones.parents, person.body.heads, track.local[lowest])
    shift = track.root[lowest] - posed.position[bones.index("root")]
    at = {name: posed.position[bones.index(name)] + shift for name in ("upperleg01.L", "upperleg01.R", "foot.L")}
    hips = (at["upperleg01.L"] + at["upperleg01.R"]) / 2
    # under the hips, with its front behind the heels
    tall = _stature(person)
    front, back, top = at["foot.L"][1] + 0.07 * tall, hips[1] + 0.14 * tall, hips[2] - 0.075 * tall
    half = np.array([0.16 * tall, (back - front) / 2, top / 2])
    rng = casting.rng("seat")
    solid = moved(rounded(tuple(half), 0.12), np.array([hips[0], (front + back) / 2, top / 2]))
    seat = Actor.thing(join((part(solid, Props(casting.pack, casting.config, casting.split).paint(rng)),)))
    direction = rng.uniform(-1.3, 1.3)
    eye = _looking(direction, 3.3, 0.7 * tall)
    cameras = film_from(eye, np.array([0, 0.1 * tall, 0.48 * tall]), 1.3 * tall, 3.3, casting.config.size)
    return Choreography(person, track, cameras, things=(seat,), bystanders=0.3)


def passing(casting: Casting) -> Choreography:
    """Two people walk past each other; in every other film of this kind the subject is the one who is hidden."""
    person, other = casting.person(), casting.person(1)
    depth = -0.95 if casting.number % 2 == 0 else 0.95
    tracks = []
    for who, side, aside in ((person, 1, 0.0), (other, -1, depth)):
        way = casting.walk(who, "walk").turned(side * np.pi / 2)
        middle = way.root[LENGTH // 2, :2]
        tracks.append(way.shifted(np.array([0, aside]) - middle))
    tall = _stature(person)
    shown = 1.9 * abs(tracks[0].root[0, 0])  # both are in the picture most of the time
    wide = casting.config.size[1] / casting.config.size[0]
    eye, target = np.array([0, -5.2, 0.85 * tall]), np.array([0, 0, 0.5 * tall])
    cameras = film_from(eye, target, max(1.25 * tall, shown / wide), 5.2, casting.config.size)
    return Choreography(person, tracks[0], cameras, others=((other, tracks[1]),))


def talk(casting: Casting) -> Choreography:
    """Somebody talks to the camera, close up: hands, head and face move."""
    person = casting.person()
    arms = {"front": 0.7, "hips": 0.15, "down": 0.15}
    times = np.concatenate([[0.0], np.cumsum(casting.rng("beats").uniform(0.7, 1.3, 10))])
    first = casting.pose("talk 0", person, arms)
    still = ("root", "upperleg", "lowerleg", "foot")
    legs = [j for j, label in enumerate(casting.pack.bones.labels) if label.startswith(still)]
    keys = [first]
    for k in range(1, len(times)):
        pose = casting.pose(f"talk {k}", person, arms)
        pose[legs] = first[legs]
        keys.append(pose)
    motion = swaying(key_motion(times, keys, 0.25), casting.pack.bones, casting.rng("sway"), 1.5)
    track = follow_feet(motion, person, casting.pack, LENGTH)
    track = track.shifted(-track.root[:, :2].mean(0)).turned(casting.rng("start").uniform(-0.5, 0.5))
    tall = _stature(person)
    eye, target = _looking(0.0, 1.25, 0.9 * tall), np.array([0, 0, 0.8 * tall])
    cameras = film_from(eye, target, 0.5 * tall, 1.25, casting.config.size, _hand_held(casting, 0.6))
    return Choreography(person, track, cameras, faces=_speech(casting), bystanders=0.3)


def poses(casting: Casting) -> Choreography:
    """From one everyday pose of the pack to the next."""
    person, pack = casting.person(), casting.pack
    clips = [c for c in pack.clips if c.kind == "standing"]
    if not clips:
        raise UserError("The people pack has no standing poses; build it again.")
    clip = next((c for c in clips if c.split == casting.split), clips[0])
    rng = casting.rng("poses")
    times = np.concatenate([[0.0], np.cumsum(rng.uniform(1.0, 1.6, 7))])
    keys = []
    while len(keys) < len(times):
        local = pack.pose(clip.start + int(rng.integers(clip.count))).astype(float)
        if not _upright(local, pack):
            continue
        local = curl_fingers(rng, local, pack, PoseConfig())
        keys.append(closed_hands(local, person.pieces, pack))
    motion = swaying(key_motion(times, keys, 0.25), pack.bones, casting.rng("sway"))
    track = follow_feet(motion, person, pack, LENGTH)
    track = track.shifted(-track.root[:, :2].mean(0))
    tall = _stature(person)
    eye, target = _looking(rng.uniform(-np.pi, np.pi), 3.4, 0.8 * tall), np.array([0, 0, 0.5 * tall])
    return Choreography(person, track, film_from(eye, target, 1.35 * tall, 3.4, casting.config.size), bystanders=0.4)


def tracking(casting: Casting) -> Choreography:
    """Somebody walks (in every other film of this kind: runs) past things and people; a camera goes with them."""
    person = casting.person()
    track = casting.walk(person, "run" if casting.number % 2 else "walk")
    tall = _stature(person)
    going = np.stack([0 * _SECONDS, np.linspace(track.root[0, 1], track.root[-1, 1], LENGTH), 0 * _SECONDS], 1)
    direction = casting.rng("side").uniform(-np.pi, np.pi)
    eye = going + _looking(direction, 3.5, 0.75 * tall)
    target = going + np.array([0, 0, 0.5 * tall])
    cameras = film_from(eye, target, 1.35 * tall, 3.5, casting.config.size, _hand_held(casting, 1.5))
    return Choreography(person, track, cameras, moving_camera=True, bystanders=0.8, occluders=0.6)


def _upright(local: Float[np.ndarray, "bone 3 3"], pack: Pack) -> bool:
    """Neither squatting nor sitting: no seat stands there."""
    posed, rest = pose_skeleton(pack.bones.parents, pack.base_heads, local), pack.base_heads
    hip, feet = pack.bones.index("upperleg01.L"), [pack.bones.index(f"foot.{side}") for side in "LR"]
    return posed.position[hip, 2] - posed.position[feet, 2].min() > 0.85 * (rest[hip, 2] - rest[feet, 2].min())


def _speech(casting: Casting) -> Float[np.ndarray, "frame action"] | None:
    """Changing expressions, a jaw that moves as in speech, and blinks; None: the pack has no facial actions."""
    names = casting.pack.face.names
    if not names:
        return None
    rng = casting.rng("face")
    config = FaceConfig(neutral=0.25, expression={"smile": 1, "talk": 2, "surprise": 0.5, "sad": 0.3, "laugh": 0.3})
    drawn = [draw_face(rng, casting.pack, replace(config, blink=0.0, gaze=0.4)) for _ in range(8)]
    keys = np.stack([np.zeros(len(names)) if weights is None else weights for weights in drawn])
    beat = _SECONDS / _SECONDS[-1] * (len(keys) - 1)
    k = np.minimum(beat.astype(int), len(keys) - 2)
    share = ease((beat - k) / 0.6)[:, None]
    faces = keys[k] * (1 - share) + keys[k + 1] * share
    jaw, wave = names.index("jawOpen"), Wander(rng, np.array([0.12]), 2.0, 4.5)
    talking = np.array([max(0.0, 0.1 + float(wave(time)[0])) for time in _SECONDS])
    faces[:, jaw] = np.clip(np.maximum(faces[:, jaw], talking), 0, 1)
    blinks = np.cumsum(rng.uniform(1.2, 3.0, 8))
    shut = np.clip(1 - np.abs(_SECONDS[:, None] - blinks[None]) / 0.12, 0, 1).max(1)
    for side in ("Left", "Right"):
        lid = names.index(f"eyeBlink{side}")
        faces[:, lid] = np.maximum(faces[:, lid], shut)
    return faces.astype(np.float32)
