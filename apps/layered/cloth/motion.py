"""Motions for cloth: walking in several manners and movements of the hands, made from rules, from the rest pose on.

Everybody walks on the spot, as on a treadmill: at a constant speed cloth cannot tell the difference. The gait is the
textbook's: flexion of hip, knee and ankle over the cycle (Perry, Gait Analysis, 1992), rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from apps.layered.cloth.solver import FPS
from bodymap.people.motion import ease
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.shape import Body
from bodymap.people.skinning import pose_skeleton, rotation_vector, skin, vector_of_rotation

HANGING = 26.0  # degrees from the rest pose to arms that hang
CLOSED = 6.0  # degrees from the rest pose to legs that walk
Rotations = dict[str, Float[np.ndarray, "3 3"]]


def _cycle(shares: list[float], degrees: list[float]) -> Callable[[float], float]:
    curve = CubicSpline([*shares, shares[0] + 1], [*degrees, degrees[0]], bc_type="periodic")
    return lambda phase: float(curve(phase % 1.0))


_HIP = _cycle([0.0, 0.15, 0.32, 0.5, 0.63, 0.77, 0.9], [26, 20, 5, -11, -6, 18, 28])
_KNEE = _cycle([0.0, 0.14, 0.36, 0.5, 0.62, 0.73, 0.86, 0.95], [4, 17, 6, 13, 40, 58, 28, 5])
_ANKLE = _cycle([0.0, 0.08, 0.3, 0.48, 0.62, 0.8], [0, -5, 6, 10, -15, 0])


def _turn(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Float[np.ndarray, "3 3"]:
    """Degrees about one axis of the world."""
    return rotation_vector(np.radians([x, y, z]))


@dataclass(frozen=True)
class Manner:
    """How somebody walks.

    Attributes:
        cadence: cycles (two steps) a second.  stride: of the legs' angles.  arms: degrees that the arms swing.
        knees: further degrees that hip and knee lift.  bend: degrees of the elbows.  yaw: degrees the whole body turns
        to and fro.  lean: degrees forwards.
    """

    cadence: float = 0.9
    stride: float = 1.0
    arms: float = 20.0
    knees: float = 0.0
    bend: float = 18.0
    yaw: float = 0.0
    lean: float = 2.0


def _walk(time: float, manner: Manner) -> Rotations:
    phase = manner.cadence * time
    out: Rotations = {}
    for side, sign, own in (("L", 1, phase + 0.25), ("R", -1, phase + 0.75)):
        lift = manner.knees * max(0.0, np.sin(2 * np.pi * (own - 0.55))) ** 2
        out[f"upperleg01.{side}"] = _turn(y=sign * CLOSED) @ _turn(x=-(manner.stride * _HIP(own) + lift))
        out[f"lowerleg01.{side}"] = _turn(x=manner.stride * _KNEE(own) + 1.3 * lift)
        out[f"foot.{side}"] = _turn(x=-(manner.stride * _ANKLE(own) + 2))
        swing = -np.cos(2 * np.pi * (own - 0.02)) * manner.arms * manner.stride
        out[f"upperarm01.{side}"] = _turn(x=-swing) @ _turn(y=sign * HANGING)
        out[f"lowerarm01.{side}"] = _turn(x=-(0.5 * manner.bend + 0.6 * max(swing, 0.0)))
    wave, across = np.cos(2 * np.pi * phase), np.sin(2 * np.pi * phase)
    out["root"] = _turn(z=-4 * wave + manner.yaw * np.sin(2 * np.pi * 0.35 * time)) @ _turn(y=3 * across)
    for bone in ("spine04", "spine03", "spine02"):
        out[bone] = _turn(z=2.4 * wave) @ _turn(y=-across) @ _turn(x=manner.lean / 3)
    return out


def _stand(time: float) -> Rotations:
    """Both feet on the floor, the weight going from one to the other."""
    sway = np.sin(2 * np.pi * 0.4 * time)
    out = {f"upperleg01.{s}": _turn(y=3 * k + 1.2 * sway) for s, k in (("L", 1), ("R", -1))}
    out |= {f"upperarm01.{s}": _turn(y=HANGING * k) for s, k in (("L", 1), ("R", -1))}
    out |= {f"lowerarm01.{s}": _turn(x=-10) for s in "LR"}
    out["spine03"] = _turn(y=-1.5 * sway)
    return out


def _wave(time: float) -> Rotations:
    up = float(ease(time / 0.9))
    out = _stand(time)
    out["upperarm01.R"] = _turn(y=-HANGING + 84 * up) @ _turn(z=-10 * up)
    out["lowerarm01.R"] = _turn(x=-10 - 60 * up) @ _turn(y=24 * up * np.sin(2 * np.pi * 1.2 * time))
    return out


def _raise(time: float) -> Rotations:
    out = _stand(time)
    lift = 0.5 - 0.5 * np.cos(2 * np.pi * 0.42 * time)
    for side, sign in (("L", 1), ("R", -1)):
        out[f"upperarm01.{side}"] = _turn(y=sign * (24 - 72 * lift))
        out[f"lowerarm01.{side}"] = _turn(x=-14)
    return out


def _reach(time: float) -> Rotations:
    out = _stand(time)
    for side, sign, shifted in (("L", 1, 0.0), ("R", -1, 0.35)):
        forth = 42 * (0.5 - 0.5 * np.cos(2 * np.pi * 0.45 * max(time - shifted, 0.0)))
        out[f"upperarm01.{side}"] = _turn(x=-forth) @ _turn(y=sign * HANGING)
        out[f"lowerarm01.{side}"] = _turn(x=-18 - 0.2 * forth)
    out["spine03"] = _turn(x=5 * np.sin(2 * np.pi * 0.45 * time) ** 2)
    return out


def _twist(time: float) -> Rotations:
    out = _stand(time)
    turn = np.sin(2 * np.pi * 0.5 * time)
    for bone in ("spine04", "spine03", "spine02"):
        out[bone] = _turn(z=11 * turn)
    out["root"] = _turn(z=14 * turn)
    for side, sign in (("L", 1), ("R", -1)):
        out[f"upperarm01.{side}"] = _turn(y=sign * -14) @ _turn(x=-12 * sign * turn)
        out[f"lowerarm01.{side}"] = _turn(x=-20)
    return out


def _squat(time: float) -> Rotations:
    out = _stand(time)
    down = 0.5 - 0.5 * np.cos(2 * np.pi * 0.4 * time)
    for side, sign in (("L", 1), ("R", -1)):
        out[f"upperleg01.{side}"] = _turn(y=-4 * sign * down) @ _turn(x=-48 * down)
        out[f"lowerleg01.{side}"] = _turn(x=68 * down)
        out[f"foot.{side}"] = _turn(x=-20 * down)
        out[f"upperarm01.{side}"] = _turn(x=-52 * down) @ _turn(y=sign * 24)
    out["spine03"] = _turn(x=14 * down)
    return out


MOTIONS: dict[str, Callable[[float], Rotations]] = {
    "walk": lambda t: _walk(t, Manner()),
    "stroll": lambda t: _walk(t, Manner(cadence=0.7, stride=0.75, arms=12, lean=0)),
    "stride": lambda t: _walk(t, Manner(cadence=1.05, stride=1.2, arms=24, bend=28, lean=5)),
    "march": lambda t: _walk(t, Manner(cadence=0.85, stride=0.8, knees=22, arms=26)),
    "turning walk": lambda t: _walk(t, Manner(yaw=42)),
    "swagger": lambda t: _walk(t, Manner(cadence=0.8, stride=1.05, arms=30, bend=10, yaw=10, lean=-2)),
    "wave": _wave,
    "raise": _raise,
    "reach": _reach,
    "twist": _twist,
    "squat": _squat,
}


def local_rotations(
    name: str,
    pack: Pack,
    frames: int,
    start: float = 0.0,
    blend: float = 0.6,
    arms_off: float = 0.0,
    legs_off: float = 0.0,
) -> Float[np.ndarray, "frame bone 3 3"]:
    """The motion from the rest pose on, which it leaves within ``blend`` seconds; world-aligned, identity = rest.

    ``arms_off``, ``legs_off``: degrees by which both arms, both legs stay further out.
    """
    motion = MOTIONS[name]
    arms = {f"upperarm01.{side}": _turn(y=-sign * arms_off) for side, sign in (("L", 1), ("R", -1))}
    legs = {f"upperleg01.{side}": _turn(y=-sign * legs_off) for side, sign in (("L", 1), ("R", -1))}
    still = np.eye(3)
    local = np.tile(np.eye(3, dtype=np.float32), (frames, len(pack.bones.labels), 1, 1))
    for k in range(frames):
        share = float(ease(k / FPS / blend))
        for bone, rotation in motion(start + k / FPS).items():
            # on the side on which the motions themselves bring arms and legs in
            rotation = legs.get(bone, still) @ rotation @ arms.get(bone, still)
            local[k, pack.bones.index(bone)] = rotation_vector(share * vector_of_rotation(rotation))
    return local


def posed_skin(
    pack: Pack, body: Body, local: Float[np.ndarray, "frame bone 3 3"]
) -> tuple[Float[np.ndarray, "frame vertex xyz=3"], Float[np.ndarray, " frame"]]:
    """(skin in every frame, metres that it was moved up): the lowest vertex stays about where it is at rest."""
    rest = body.vertices[:SKIN_VERTICES]
    index, weight = pack.skin_index[:SKIN_VERTICES], pack.skin_weight[:SKIN_VERTICES]
    frames = np.stack(
        [skin(rest, index, weight, pose_skeleton(pack.bones.parents, body.heads, one).transform) for one in local]
    )
    lift = gaussian_filter1d(rest[:, 2].min() - frames[..., 2].min(1), 1.0, mode="nearest").astype(np.float32)
    frames[..., 2] += lift[:, None]
    return frames, lift
