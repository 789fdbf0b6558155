"""Poses in time: clips, key poses and rules as smooth functions of seconds, and the way across the floor they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from bodymap.people.limbs import direction
from bodymap.people.pack import Bones, Clip, Pack
from bodymap.people.person import Person, Placed
from bodymap.people.rotations import matrix_from_quaternion, quaternion_from_matrix
from bodymap.people.skinning import least_rotation, local_from_global, pose_skeleton, rotation_vector, skin
from bodymap.types import LAYER_NAMES

FPS = 30

# Seconds -> local rotations of all bones (163, 3, 3), world-aligned, identity = rest.
Motion = Callable[[float], Float[np.ndarray, "bone 3 3"]]

# Packs keep the poses of a clip but not its pace: seconds of pybullet's clips (their own time steps, added up).
_SECONDS = {
    "dance_a": 1.6,
    "dance_b": 2.52,
    "jump": 1.75,
    "kick": 1.5,
    "punch": 2.1,
    "run": 0.77,
    "spin": 4.4,
    "spinkick": 1.27,
    "walk": 1.23,
}
_UNKNOWN_SECONDS = 8.0  # of somebody else's clip
_CALM = 0.04  # seconds over which clips are smoothed
_FASTEST = 4.0  # rad/s at which the end of a clip is joined to its beginning
_SHOES = LAYER_NAMES.index("shoes")
_CONTACT = 0.012  # metres above the lowest place of the soles within which a place stands


# ---------------------------------------------------------------------------------------------------------- motions
def clip_motion(pack: Pack, clip: Clip) -> Motion:
    """A clip of the pack played in a loop: a cubic spline through its quaternions."""
    q = pack.pose_quaternions[clip.start : clip.start + clip.count].astype(np.float64)
    seconds = _SECONDS.get(clip.name.rsplit("/", 1)[-1].removeprefix("humanoid3d_"), _UNKNOWN_SECONDS)
    step = seconds / max(clip.count - 1, 1)
    # the way from the last pose to the first takes as long as the joint that has the most to do needs
    apart = 2 * np.arccos(np.clip(np.abs((q[0] * q[-1]).sum(-1)), 0, 1)).max()
    period = seconds + max(min(step, 1 / FPS), float(apart) / _FASTEST)
    times = np.concatenate([np.arange(clip.count) * step + k * period for k in range(3)])
    # some clips were cut from two steps and jump a little where they meet
    q = gaussian_filter1d(_aligned(np.tile(q, (3, 1, 1))), _CALM / step, axis=0, mode="nearest")
    spline = CubicSpline(times, q)
    count = len(pack.bones.labels)

    def at(time: float) -> Float[np.ndarray, "bone 3 3"]:
        local = np.tile(np.eye(3), (count, 1, 1))
        local[pack.pose_bones] = matrix_from_quaternion(spline(time % period + period))
        return local

    return at


def key_motion(times: Sequence[float], poses: Sequence[Float[np.ndarray, "bone 3 3"]], hold: float = 0.3) -> Motion:
    """From key pose to key pose (slerp, eased), standing still for the last share ``hold`` of each interval."""
    q = _aligned(np.stack([quaternion_from_matrix(pose) for pose in poses]).astype(np.float64))
    times = np.asarray(times, float)

    def at(time: float) -> Float[np.ndarray, "bone 3 3"]:
        k = int(np.clip(np.searchsorted(times, time, side="right") - 1, 0, len(times) - 2))
        share = (time - times[k]) / (times[k + 1] - times[k])
        return matrix_from_quaternion(slerp(q[k], q[k + 1], ease(share / (1 - hold)))).astype(np.float64)

    return at


def swaying(motion: Motion, bones: Bones, rng: np.random.Generator, strength: float = 1.0) -> Motion:
    """The motion with the small movements of somebody alive: breathing chest, arms and head that never quite rest."""
    moves = {"spine03": 0.008, "spine01": 0.012, "neck01": 0.015, "head": 0.04, "upperarm01": 0.02, "lowerarm01": 0.025}
    joints = [(j, moves[name]) for j, label in enumerate(bones.labels) if (name := label.split(".")[0]) in moves]
    waves = [Wander(rng, np.full(3, strength * size), 0.12, 0.6) for _, size in joints]

    def at(time: float) -> Float[np.ndarray, "bone 3 3"]:
        local = motion(time).copy()
        for (j, _), wave in zip(joints, waves, strict=True):
            local[j] = local[j] @ rotation_vector(wave(time))
        return local

    return at


def sitting_motion(
    standing: Float[np.ndarray, "bone 3 3"],
    resting: Float[np.ndarray, "bone 3 3"],
    bones: Bones,
    heads: Float[np.ndarray, "bone xyz=3"],
    seated: Callable[[float], float],
) -> Motion:
    """Sits down and stands up with both feet on the floor.

    Args:
        standing, resting: poses whose trunk and arms are those of somebody standing and seated; the legs are not used.
        heads: the person's bone heads at rest.
        seated: seconds -> 0 standing .. 1 seated.
    """
    upper = key_motion((0.0, 1.0), (standing, resting), hold=0.0)
    legs = [j for j, label in enumerate(bones.labels) if label.startswith(("upperleg", "lowerleg", "foot"))]
    at_rest = {label: heads[j].astype(float) for j, label in enumerate(bones.labels)}
    bend = bones.index("spine05")

    def at(time: float) -> Float[np.ndarray, "bone 3 3"]:
        share = float(seated(time))
        local = upper(share)
        lean = 0.5 * np.sin(np.pi * share) + 0.06 * share  # the chest goes forward while the hips go back
        local[bones.index("root")] = pelvis = rotation_vector(np.array([0.4 * lean, 0, 0]))
        local[bend] = rotation_vector(np.array([0.6 * lean, 0, 0])) @ local[bend]
        wanted = {"root": pelvis}
        for side, letter in ((1, "L"), (-1, "R")):
            thigh, shin = direction(0.07, 1.5 * share, side), direction(0.03, -0.45 * np.sin(np.pi * share), side)
            hip = least_rotation(at_rest[f"lowerleg01.{letter}"] - at_rest[f"upperleg01.{letter}"], thigh)
            rest_shin = at_rest[f"foot.{letter}"] - at_rest[f"lowerleg01.{letter}"]
            knee = least_rotation(hip @ rest_shin, shin) @ hip
            wanted |= {f"upperleg{k}.{letter}": hip for k in ("01", "02")}
            wanted |= {f"lowerleg{k}.{letter}": knee for k in ("01", "02")}
            wanted[f"foot.{letter}"] = rotation_vector(np.array([0, 0, 0.12 * side]))
        local[legs] = local_from_global(bones.parents, bones.labels, wanted)[legs]
        return local

    return at


def ease(share: float | np.ndarray) -> float | np.ndarray:
    """0..1 to 0..1 without a jerk at either end (quintic); beyond them it stays."""
    u = np.clip(share, 0, 1)
    return u * u * u * (10 + u * (6 * u - 15))


def slerp(
    a: Float[np.ndarray, "*batch 4"], b: Float[np.ndarray, "*batch 4"], share: float
) -> Float[np.ndarray, "*batch 4"]:
    """From unit quaternion a (share 0) to b (1) at an even rate, the short way."""
    cosine = (a * b).sum(-1, keepdims=True)
    b, cosine = np.where(cosine < 0, -b, b), np.abs(cosine)
    angle = np.arccos(np.clip(cosine, 0, 1))
    sine = np.sin(angle)
    near = sine < 1e-6
    weights = [np.where(near, s, np.sin(s * angle) / np.where(near, 1, sine)) for s in (1 - share, share)]
    return weights[0] * a + weights[1] * b


class Wander:
    """Smooth random movement about zero: five sines an axis between two frequencies in hertz."""

    def __init__(self, rng: np.random.Generator, size: Float[np.ndarray, " axis"], slowest: float, fastest: float):
        size = np.asarray(size, float)
        self.frequency = 2 * np.pi * np.exp(rng.uniform(np.log(slowest), np.log(fastest), (len(size), 5)))
        self.phase = rng.uniform(0, 2 * np.pi, (len(size), 5))
        self.size = size / np.sqrt(2.5)

    def __call__(self, time: float) -> Float[np.ndarray, " axis"]:
        """``size`` is the standard deviation over time."""
        return self.size * np.sin(self.frequency * time + self.phase).sum(1)


def _aligned(q: Float[np.ndarray, "key bone 4"]) -> Float[np.ndarray, "key bone 4"]:
    """Signs chosen so that each quaternion lies on the side of the one before."""
    flips = np.sign((q[1:] * q[:-1]).sum(-1, keepdims=True))
    flips[flips == 0] = 1
    return np.concatenate([q[:1], q[1:] * np.cumprod(flips, 0)])


# ----------------------------------------------------------------------------------------------------------- tracks
@dataclass(frozen=True)
class Track:
    """Somebody's way through the frames of a film.

    Attributes:
        local: local rotations.  heading: radians about Z, the pose's own front is -Y.
        root: metres, where the root joint is in the world.
    """

    local: Float[np.ndarray, "frame bone 3 3"]
    heading: Float[np.ndarray, " frame"]
    root: Float[np.ndarray, "frame xyz=3"]

    def __len__(self) -> int:
        return len(self.root)

    def place(self, person: Person, pack: Pack, frame: int) -> Placed:
        """The person in a frame."""
        placed = person.place(pack, self.local[frame])
        turn = about_z(self.heading[frame])
        return placed.moved(turn, self.root[frame] - turn @ placed.posed.position[pack.bones.index("root")])

    def turned(
        self, angle: float | Float[np.ndarray, " frame"], centre: Float[np.ndarray, " xy=2"] = (0.0, 0.0)
    ) -> Track:
        """The whole way (or each frame by its own angle) turned about an upright axis."""
        c, s = np.cos(angle), np.sin(angle)
        x, y = self.root[:, 0] - centre[0], self.root[:, 1] - centre[1]
        root = np.stack([c * x - s * y + centre[0], s * x + c * y + centre[1], self.root[:, 2]], 1)
        return replace(self, heading=self.heading + angle, root=root)

    def shifted(self, shift: Float[np.ndarray, "*frame xy=2"]) -> Track:
        """Moved over the floor, metres."""
        root = self.root.copy()
        root[:, :2] += shift
        return replace(self, root=root)

    def straightened(self) -> Track:
        """Turned so that the way as a whole leads to -Y, and shifted to start at the origin."""
        way = self.root[-1, :2] - self.root[0, :2]
        track = self.shifted(-self.root[0, :2])
        return track.turned(-np.pi / 2 - np.arctan2(way[1], way[0]))


def about_z(angle: float) -> Float[np.ndarray, "3 3"]:
    """Rotation by radians."""
    return rotation_vector(np.array([0, 0, angle]))


def follow_feet(motion: Motion, person: Person, pack: Pack, frames: int, turning: bool = True) -> Track:
    """The way that a motion makes over the floor when what stands neither slides nor sinks.

    From frame to frame the soles, each place weighted by how low it is, stay where they are (a weighted rigid fit in
    the plane, Umeyama 1991 without scale); the lowest place of the soles touches the floor, so nobody jumps.

    Args:
        turning: feet that turn against the hips turn the person; else the hips keep facing -Y (who walks straight on).
    """
    local = np.stack([motion(k / FPS) for k in range(frames)])
    sole = _sole_vertices(person)
    piece = person.pieces[0]
    standing, lowest = np.zeros((frames, len(sole), 3)), np.zeros(frames)
    for k in range(frames):
        posed = pose_skeleton(pack.bones.parents, person.body.heads, local[k])
        standing[k] = skin(piece.vertices[sole], piece.skin_index[sole], piece.skin_weight[sole], posed.transform)
        lowest[k] = standing[k, :, 2].min()
    weight = np.exp(-(((standing[..., 2] - lowest[:, None]) / _CONTACT) ** 2))
    weight = np.sqrt(weight[1:] * weight[:-1]) + 1e-12
    weight /= weight.sum(1, keepdims=True)
    before, after = standing[:-1, :, :2], standing[1:, :, :2]
    centre_before, centre_after = ((weight[..., None] * p).sum(1) for p in (before, after))
    b, a = before - centre_before[:, None], after - centre_after[:, None]
    along = (weight * (a * b).sum(-1)).sum(1)
    across = (weight * (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])).sum(1)
    # toes alone say little about a turn
    heading = np.concatenate([[0.0], np.cumsum(np.arctan2(across, along + 1e-3))]) * turning
    step = centre_before - _turned(np.diff(heading), centre_after)
    origin = np.concatenate([np.zeros((1, 2)), np.cumsum(_turned(heading[:-1], step), 0)])
    heading, origin, lowest = (gaussian_filter1d(x, 1.6, axis=0, mode="nearest") for x in (heading, origin, lowest))
    at_rest = person.body.heads[pack.bones.index("root")].astype(float)
    root = np.empty((frames, 3))
    root[:, :2] = origin + _turned(heading, np.tile(at_rest[:2], (frames, 1)))
    root[:, 2] = at_rest[2] - lowest + _shoe_height(person, sole)
    return Track(local.astype(np.float32), heading, root)


def _turned(angle: Float[np.ndarray, " n"], vectors: Float[np.ndarray, "n xy=2"]) -> Float[np.ndarray, "n xy=2"]:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * vectors[:, 0] - s * vectors[:, 1], s * vectors[:, 0] + c * vectors[:, 1]], 1)


def _sole_vertices(person: Person) -> np.ndarray:
    """Ids of some skin vertices under both feet."""
    rest = person.pieces[0].vertices
    ids = [np.flatnonzero((side * rest[:, 0] > 0) & (rest[:, 2] < rest[:, 2].min() + 0.015)) for side in (1, -1)]
    return np.concatenate([i[:: max(1, len(i) // 60)] for i in ids])


def _shoe_height(person: Person, sole: np.ndarray) -> float:
    """Metres between the soles of the feet and of the shoes at rest."""
    shoes = [piece.vertices[:, 2].min() for piece in person.pieces if piece.layer == _SHOES]
    low = float(person.pieces[0].vertices[sole, 2].min())
    return max(0.0, low - float(min(shoes, default=low)))
