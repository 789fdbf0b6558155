"""Poses: those of the pack, mixed and mirrored, and procedural ones, with joint noise and living hands."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.people.anatomy import bone_group
from bodymap.people.config import PoseConfig
from bodymap.people.hands import curl_fingers
from bodymap.people.pack import Clip, Pack
from bodymap.people.pose_procedural import procedural_pose
from bodymap.people.skinning import rotation_vector
from bodymap.people.streams import choose

# Standard deviation in radians of what a joint wanders about a pose.
_NOISE = {
    "upperarm01": 0.14,
    "lowerarm01": 0.12,
    "wrist": 0.16,
    "upperleg01": 0.06,
    "lowerleg01": 0.05,
    "foot": 0.06,
    "head": 0.13,
    "neck01": 0.1,
    "spine03": 0.05,
    "spine01": 0.05,
}

_TUMBLING = ("backflip", "cartwheel", "crawl", "getup", "roll", "spinkick", "fly")


def draw_pose(
    rng: np.random.Generator, pack: Pack, heads: Float[np.ndarray, "bone xyz=3"], config: PoseConfig, split: str
) -> Float[np.ndarray, "bone 3 3"]:
    """Local rotations of all bones, world-aligned, identity = rest.

    Args:
        heads: the person's bone heads at rest (procedural poses aim the limbs of *this* skeleton).
    """
    kind = choose(rng, {"pack": config.pack if pack.pose_count else 0.0, "procedural": config.procedural})
    if kind == "pack":
        local = _pack_pose(rng, pack, config, split)
    else:
        local = procedural_pose(rng, pack.bones, heads, config)
    if rng.random() < 0.5:
        local = mirror_pose(local, pack)
    labels = pack.bones.labels
    for j, label in enumerate(labels):
        spread = _NOISE.get(label.split(".")[0])
        if spread:
            local[j] = local[j] @ rotation_vector(rng.normal(0, spread * config.joint_noise, 3))
    return curl_fingers(rng, local, pack, config)


def _pack_pose(rng: np.random.Generator, pack: Pack, config: PoseConfig, split: str) -> np.ndarray:
    """One pose, or the upper body of one on the legs of another."""
    clips = [c for c in pack.clips if c.split == split and c.count] or [c for c in pack.clips if c.count]

    def one() -> np.ndarray:
        weight = np.array([_clip_weight(c) for c in clips])
        clip = clips[rng.choice(len(clips), p=weight / weight.sum())]
        return pack.pose(clip.start + int(rng.integers(clip.count))).copy()

    local = one()
    if rng.random() < config.mix_halves:
        other = one()
        groups = [bone_group(label) for label in pack.bones.labels]
        for j, group in enumerate(groups):
            if group in ("arm", "hand") or pack.bones.labels[j].startswith(("clavicle", "shoulder")):
                local[j] = other[j]
    return local


def _clip_weight(clip: Clip) -> float:
    """How often a clip is taken: poses made to be looked at often, tumbling seldom."""
    if clip.name.rsplit("/", 1)[-1].startswith(_TUMBLING):
        return 0.8
    if clip.kind == "standing":
        return 50.0
    return 3.0 if clip.kind == "still" else min(5.0, np.sqrt(clip.count))


def mirror_pose(local: Float[np.ndarray, "bone 3 3"], pack: Pack) -> Float[np.ndarray, "bone 3 3"]:
    """The pose in a mirror: sides change places, rotations are reflected in x."""
    labels = pack.bones.labels
    swap = {".L": ".R", ".R": ".L"}
    other = [labels.index(label[:-2] + swap[label[-2:]]) if label[-2:] in swap else j for j, label in enumerate(labels)]
    flip = np.diag([-1.0, 1, 1]).astype(local.dtype)
    return flip @ local[other] @ flip
