"""Poses for the 163-bone rig from .bvh files (any skeleton with known bone names) and from pybullet's humanoid clips.

A pose is one world-aligned local rotation a bone: global = parent's global @ local, identity = the rest pose (arms
hanging out at about 45 degrees). Headings are taken out: every posed person faces -Y, whoever renders turns it.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bodymap.errors import UserError
from bodymap.people.pack import Bones
from bodymap.people.rotations import matrix_from_quaternion

_WORLD_FROM_Y_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
# pybullet's humanoid faces +X with Y up
_WORLD_FROM_BULLET = np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]])


@dataclass(frozen=True)
class Bvh:
    """A .bvh file: skeleton and one row of channel values a frame. ``channels[j]`` are names such as Xrotation."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float[np.ndarray, "joint xyz=3"]
    channels: tuple[tuple[str, ...], ...]
    frames: Float[np.ndarray, "frame channel"]
    frame_time: float


def read_bvh(path: Path) -> Bvh:
    """Parses a .bvh file.

    Raises:
        UserError: unreadable, or not a .bvh with at least one complete frame.
    """
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    stack: list[int | None] = []
    current: int | None = None
    try:
        words = iter(path.read_text(encoding="utf-8", errors="replace").split())
        for word in words:
            if word in ("ROOT", "JOINT"):
                parents.append(next((s for s in reversed(stack) if s is not None), -1))
                names.append(next(words))
                offsets.append([0.0, 0.0, 0.0])
                channels.append(())
                current = len(names) - 1
            elif word == "End":
                next(words)
                current = None
            elif word == "{":
                stack.append(current)
            elif word == "}":
                stack.pop()
            elif word == "OFFSET":
                value = [float(next(words)) for _ in range(3)]
                if stack[-1] is not None:
                    offsets[stack[-1]] = value
            elif word == "CHANNELS":
                channels[stack[-1]] = tuple(next(words) for _ in range(int(next(words))))
            elif word == "Frames:":
                count = int(next(words))
                next(words), next(words)  # "Frame Time:"
                frame_time = float(next(words))
                values = np.array([float(word) for word in words])
                break
        width = sum(map(len, channels))
        frames = values[: count * width].reshape(count, width)
    except OSError as error:
        raise UserError(f"Cannot read the motion {path} ({error.strerror}).") from None
    except (ValueError, IndexError, StopIteration, RuntimeError, TypeError, UnboundLocalError):
        raise UserError(f"{path} is not a complete .bvh motion.") from None
    if not len(frames) or not np.isfinite(frames).all():
        raise UserError(f"{path} is not a complete .bvh motion.")
    # in whatever unit: a bone is not longer than a thousand kilometres
    if not 1e-6 <= frame_time <= 1e6 or not (np.abs(offsets) <= 1e9).all():
        raise UserError(f"{path} is not a sound .bvh motion: its frame time or an offset is no sensible number.")
    return Bvh(tuple(names), tuple(parents), np.array(offsets), tuple(channels), frames, frame_time)


def axis_rotation(axis: str, degrees: Float[np.ndarray, " frame"]) -> Float[np.ndarray, "frame 3 3"]:
    """Rotations about X, Y or Z."""
    radians = np.radians(degrees)
    c, s, o, i = np.cos(radians), np.sin(radians), np.zeros_like(radians), np.ones_like(radians)
    rows = {
        "X": [[i, o, o], [o, c, -s], [o, s, c]],
        "Y": [[c, o, s], [o, i, o], [-s, o, c]],
        "Z": [[c, -s, o], [s, c, o], [o, o, i]],
    }[axis]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def local_rotations(bvh: Bvh, frames: Sequence[int]) -> Float[np.ndarray, "frame joint 3 3"]:
    """Local rotations of all joints, in the file's axes, channels applied in their order."""
    out = np.tile(np.eye(3), (len(frames), len(bvh.names), 1, 1))
    column = 0
    for joint, channels in enumerate(bvh.channels):
        for channel in channels:
            if channel.endswith("rotation"):
                out[:, joint] = out[:, joint] @ axis_rotation(channel[0].upper(), bvh.frames[list(frames), column])
            column += 1
    return out


def global_from_local(
    local: Float[np.ndarray, "*batch joint 3 3"], parents: Sequence[int]
) -> Float[np.ndarray, "*batch joint 3 3"]:
    """Global rotations; parents come before children."""
    out = local.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            out[..., joint, :, :] = out[..., parent, :, :] @ local[..., joint, :, :]
    return out


def least_rotation(a: Float[np.ndarray, " xyz=3"], b: Float[np.ndarray, " xyz=3"]) -> Float[np.ndarray, "3 3"]:
    """The smallest rotation that turns direction a into direction b; any half turn where they are opposite."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    cosine = float(a @ b)
    if cosine < -1 + 1e-9:
        axis = np.cross(a, np.eye(3)[np.abs(a).argmin()])
        axis /= np.linalg.norm(axis)
        return 2 * np.outer(axis, axis) - np.eye(3)
    x, y, z = np.cross(a, b)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + k + k @ k / (1 + cosine)


# ---------------------------------------------------------------------- retargeting
# Our bone -> source bones that may drive it, the first that exists does. {side} is the source's word for the side.
# Names of CMU's .bvh conversions and of Mixamo agree; CC_Base is Character Creator's.
_SPINE = {"spine05": 0, "spine04": 0, "spine03": 1, "spine02": 1, "spine01": 2}
_NECK = {"neck01": 0, "neck02": 0, "neck03": 1}
_SKELETONS = (
    {
        "sides": ("Left", "Right"),
        "hips": "Hips",
        "spine": ("LowerBack", "Spine", "Spine1", "Spine2"),
        "neck": ("Neck", "Neck1"),
        "head": "Head",
        "thigh": "UpLeg",
        "shin": "Leg",
        "foot": "Foot",
        "clavicle": "Shoulder",
        "arm": "Arm",
        "forearm": "ForeArm",
        "hand": "Hand",
    },
    {
        "sides": ("CC_Base_L_", "CC_Base_R_"),
        "hips": "CC_Base_Hip",
        "spine": ("CC_Base_Waist", "CC_Base_Spine01", "CC_Base_Spine02"),
        "neck": ("CC_Base_NeckTwist01", "CC_Base_NeckTwist02"),
        "head": "CC_Base_Head",
        "thigh": "Thigh",
        "shin": "Calf",
        "foot": "Foot",
        "clavicle": "Clavicle",
        "arm": "Upperarm",
        "forearm": "Forearm",
        "hand": "Hand",
    },
)
# chained bones share one source; the direction of a limb is from its first bone to the next limb's first bone
_LIMBS = (
    ("thigh", ("upperleg01", "upperleg02"), "shin", "lowerleg01"),
    ("shin", ("lowerleg01", "lowerleg02"), "foot", "foot"),
    ("foot", ("foot",), None, None),
    ("clavicle", ("clavicle",), None, None),
    ("arm", ("upperarm01", "upperarm02"), "forearm", "lowerarm01"),
    ("forearm", ("lowerarm01", "lowerarm02"), "hand", "wrist"),
    ("hand", ("wrist",), None, None),
)


def retarget_bvh(
    bvh: Bvh,
    bones: Bones,
    heads: Float[np.ndarray, "bone xyz=3"],
    frames: Sequence[int] | None = None,
    face_front: bool = True,
) -> Float[np.ndarray, "frame bone 3 3"]:
    """Local rotations of our rig for frames of a .bvh (all by default).

    A file on our own rig (MakeHuman's default skeleton) is taken as it is; others are retargeted by bone name:
    G_target = G_source C, C the least rotation from the target's rest direction of a bone to the source's.

    Args:
        heads: rest bone heads of the body, metres.
        face_front: every frame is turned about the vertical so that the hips face -Y.

    Raises:
        UserError: a skeleton whose bones have unknown names.
    """
    frames = range(len(bvh.frames)) if frames is None else frames
    local = local_rotations(bvh, frames)
    if len(set(bvh.names) & set(bones.labels)) > 20:
        out = np.tile(np.eye(3), (len(frames), len(bones.labels), 1, 1))
        for joint, name in enumerate(bvh.names):
            if name in bones.labels:
                out[:, bones.index(name)] = local[:, joint]
        return out
    names = [name.split(":")[-1] for name in bvh.names]
    skeleton = next((s for s in _SKELETONS if s["hips"] in names and s["sides"][0] + s["thigh"] in names), None)
    if skeleton is None:
        raise UserError(f"The skeleton of this motion is not known (its bones are {', '.join(names[:6])}, ...).")
    positions = np.zeros_like(bvh.offsets)
    for joint, parent in enumerate(bvh.parents):
        positions[joint] = bvh.offsets[joint] + (positions[parent] if parent >= 0 else 0)
    up = positions[names.index(skeleton["head"])] - positions[names.index(skeleton["hips"])]
    axes = _WORLD_FROM_Y_UP if abs(up[1]) > abs(up[2]) else np.eye(3)
    turned = axes @ global_from_local(local, bvh.parents) @ axes.T
    if face_front:
        turned = remove_heading(turned, names.index(skeleton["hips"]))
    drive = _drive(skeleton, names, positions @ axes.T, bones, heads)
    driven = local_from_driven({b: turned[:, joint] @ c for b, (joint, c) in drive.items()}, bones, len(frames))
    if not np.isfinite(driven).all():
        raise UserError("The skeleton of this motion has bones without length, whose direction nobody knows.")
    return driven


def _drive(
    skeleton: dict, names: list[str], positions: np.ndarray, bones: Bones, heads: np.ndarray
) -> dict[str, tuple[int, np.ndarray]]:
    """Our bone -> (source joint, C)."""
    drive: dict[str, tuple[int, np.ndarray]] = {}
    for side, ours in zip(skeleton["sides"], ("L", "R"), strict=True):
        for source, targets, next_source, next_target in _LIMBS:
            if side + skeleton[source] not in names:
                continue
            joint, c = names.index(side + skeleton[source]), np.eye(3)
            if next_source is not None and side + skeleton[next_source] in names:
                there = positions[names.index(side + skeleton[next_source])] - positions[joint]
                here = heads[bones.index(f"{next_target}.{ours}")] - heads[bones.index(f"{targets[0]}.{ours}")]
                c = least_rotation(here, there)
            for target in targets:
                drive[f"{target}.{ours}"] = (joint, c)
    for chain, ranks in ((skeleton["spine"], _SPINE), (skeleton["neck"], _NECK)):
        present = [name for name in chain if name in names]
        for target, rank in ranks.items() if present else ():
            drive[target] = (names.index(present[min(rank, len(present) - 1)]), np.eye(3))
    drive["root"] = (names.index(skeleton["hips"]), np.eye(3))
    drive["head"] = (names.index(skeleton["head"]), np.eye(3))
    return drive


def remove_heading(turned: Float[np.ndarray, "frame joint 3 3"], hips: int) -> Float[np.ndarray, "frame joint 3 3"]:
    """Turns each frame about the vertical so that the hips' front points to -Y."""
    front = turned[:, hips] @ np.array([0.0, -1, 0])
    yaw = np.degrees(np.arctan2(front[:, 0], -front[:, 1]))
    return axis_rotation("Z", -yaw)[:, None] @ turned


def local_from_driven(driven: dict[str, np.ndarray], bones: Bones, count: int) -> Float[np.ndarray, "frame bone 3 3"]:
    """Local rotations from the global ones of some bones ((count, 3, 3) each); all other bones follow their parents."""
    world = np.tile(np.eye(3), (count, len(bones.labels), 1, 1))
    local = world.copy()
    for b, (label, parent) in enumerate(zip(bones.labels, bones.parents, strict=True)):
        above = world[:, parent] if parent >= 0 else np.eye(3)
        world[:, b] = driven.get(label, above)
        local[:, b] = np.swapaxes(np.broadcast_to(above, (count, 3, 3)), 1, 2) @ world[:, b]
    return local


# ---------------------------------------------------------------------- pybullet's humanoid
def bullet_clips() -> dict[str, Path]:
    """Clip name -> file of the motions in the pip package pybullet (zlib licence); empty where it is not installed."""
    spec = importlib.util.find_spec("pybullet_data")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(spec.submodule_search_locations[0]) / "data" / "motions"
    return {p.stem.removeprefix("humanoid3d_"): p for p in sorted(folder.glob("humanoid3d_*.txt"))}


def read_bullet(path: Path) -> Float[np.ndarray, "frame 44"]:
    """Frames of a clip: dt, root xyz, then rotations in the order of ``retarget_bullet``.

    Raises:
        UserError: damaged.
    """
    try:
        frames = np.array(json.loads(path.read_text())["Frames"], np.float64)
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is not a readable humanoid motion.") from None
    if frames.ndim != 2 or frames.shape[1] != 44:
        raise UserError(f"{path} is not a readable humanoid motion.")
    return frames


def retarget_bullet(
    frames: Float[np.ndarray, "frame 44"], bones: Bones, heads: Float[np.ndarray, "bone xyz=3"]
) -> Float[np.ndarray, "frame bone 3 3"]:
    """Local rotations of our rig for frames of a pybullet humanoid clip (limbs hang straight down at its rest)."""
    column = 4

    def ball() -> np.ndarray:
        nonlocal column
        column += 4
        return matrix_from_quaternion(frames[:, column - 4 : column]).astype(np.float64)

    def hinge() -> np.ndarray:
        nonlocal column
        column += 1
        return axis_rotation("Z", np.degrees(frames[:, column - 1]))

    root, chest, neck = ball(), ball(), ball()
    limbs = {s: {k: f() for k, f in _bullet_order(ball, hinge)} for s in ("R", "L")}  # order of evaluation = of columns
    world = {"root": root, "chest": root @ chest}
    world["neck"] = world["chest"] @ neck
    for side, limb in limbs.items():
        world["thigh" + side] = root @ limb["hip"]
        world["shin" + side] = world["thigh" + side] @ limb["knee"]
        world["foot" + side] = world["shin" + side] @ limb["ankle"]
        world["arm" + side] = world["chest"] @ limb["shoulder"]
        world["forearm" + side] = world["arm" + side] @ limb["elbow"]
    keys = list(world)
    stacked = np.stack([_WORLD_FROM_BULLET @ world[k] @ _WORLD_FROM_BULLET.T for k in keys], 1)
    stacked = remove_heading(stacked, keys.index("root"))
    world = {k: stacked[:, i] for i, k in enumerate(keys)}

    driven = {"root": world["root"], "head": world["neck"], "neck01": world["chest"]}
    driven |= {b: world["neck"] for b in ("neck02", "neck03")}
    driven |= {b: world["root"] for b in ("spine05", "spine04")}
    driven |= {b: world["chest"] for b in ("spine03", "spine02", "spine01")}
    down = np.array([0.0, 0, -1])
    for side in "LR":
        for source, targets, _, following in _LIMBS:
            if source in ("clavicle", "hand"):
                continue
            c = np.eye(3)
            if following is not None:
                here = heads[bones.index(f"{following}.{side}")] - heads[bones.index(f"{targets[0]}.{side}")]
                c = least_rotation(here, down)
            for target in targets:
                driven[f"{target}.{side}"] = world[source + side] @ c
        driven[f"wrist.{side}"] = driven[f"lowerarm02.{side}"]
    return local_from_driven(driven, bones, len(frames))


def _bullet_order(ball, hinge):
    return (
        ("hip", ball),
        ("knee", hinge),
        ("ankle", ball),
        ("shoulder", ball),
        ("elbow", hinge),
    )
