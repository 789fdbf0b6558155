"""Poses: those of the pack, mixed and mirrored, and procedural ones; within anatomical limits, no limb in another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.people.collisions import untangle
from bodymap.people.config import PoseConfig
from bodymap.people.hands import curl_fingers
from bodymap.people.joint_limits import clamp
from bodymap.people.joints import ARMS, JOINTS, MIRROR, Rig, mirror_angles
from bodymap.people.pack import Clip, Pack
from bodymap.people.physique import Physique
from bodymap.people.pose_procedural import Draft, procedural_pose
from bodymap.people.streams import choose
from bodymap.people.wardrobe import Wardrobe

# Standard deviation in radians of what flexion, side and twist of a joint wander about a pose.
_WANDER = {
    "spine": (0.06, 0.05, 0.07),
    "neck": (0.1, 0.08, 0.14),
    "girdle": (0.04, 0.03, 0.0),
    "shoulder": (0.12, 0.1, 0.12),
    "elbow": (0.12, 0.0, 0.15),
    "wrist": (0.14, 0.1, 0.0),
    "hip": (0.05, 0.05, 0.06),
    "knee": (0.05, 0.0, 0.02),
    "ankle": (0.05, 0.04, 0.05),
}
_NOISE = np.array([_WANDER[name.split(".")[0]] for name in JOINTS])

_TUMBLING = ("backflip", "cartwheel", "crawl", "getup", "roll", "spinkick", "fly")


def draw_pose(
    rng: np.random.Generator, pack: Pack, heads: Float[np.ndarray, "bone xyz=3"], config: PoseConfig, split: str
) -> Float[np.ndarray, "bone 3 3"]:
    """Local rotations of all bones, world-aligned, identity = rest. Joints stay within ``joint_limits``; arms and legs
    touch the body at most (``collisions``).

    Args:
        heads: the person's bone heads at rest: limbs of *this* build are aimed, and kept out of *this* trunk.

    Raises:
        UserError: the config names a kind of pose, a style of arms or a shape of hands that does not exist.
    """
    rig, physique = Rig.of(pack), Physique.of(pack, heads)
    kind = choose(rng, {"pack": config.pack if pack.pose_count else 0.0, "procedural": config.procedural})
    if kind == "pack":
        local, draft = _pack_pose(rng, pack, config, split)
    else:
        local = np.tile(np.eye(3, dtype=np.float32), (len(pack.bones.labels), 1, 1))
        draft = procedural_pose(rng, physique, config)
    root, angles, hands, loose = draft.root, draft.angles, draft.hands, draft.loose
    if rng.random() < 0.5:
        local, root = mirror_pose(local, pack), MIRROR @ root @ MIRROR
        angles, loose, hands = mirror_angles(angles), mirror_angles(loose[:, None])[:, 0], hands[::-1]
    angles = angles + rng.normal(0, 1, (16, 3)) * _NOISE * (config.joint_noise * loose[:, None])
    local = curl_fingers(rng, local, pack, config, hands)
    angles = untangle(physique, clamp(angles, rig), physique.offsets(local))
    local = rig.write(local, angles)
    local[0] = root
    return local


def _pack_pose(rng: np.random.Generator, pack: Pack, config: PoseConfig, split: str) -> tuple[np.ndarray, Draft]:
    """One pose, or the arms of one on the body of another: all bones, and the joints as they are to be varied."""
    table = _clip_table(pack, split)

    def one() -> tuple[np.ndarray, np.ndarray]:
        clip = table[0][int(np.searchsorted(table[1], rng.random(), side="right"))]
        local = pack.pose(clip.start + int(rng.integers(clip.count)))
        return local, Rig.of(pack).read(local)

    local, angles = one()
    if rng.random() < config.mix_halves:
        other, with_arms = one()
        angles[ARMS,] = with_arms[ARMS,]
        fingers = Wardrobe.of(pack).kept.setdefault(
            "finger_bones",
            [j for j, label in enumerate(pack.bones.labels) if label.startswith(("finger", "metacarpal"))],
        )
        local[fingers] = other[fingers]
    return local, Draft(local[0].astype(float), angles)


def _clip_table(pack: Pack, split: str) -> tuple[list[Clip], np.ndarray]:
    """The clips of a split, and the sums of their chances up to each."""
    kept = Wardrobe.of(pack).kept
    if ("clips", split) not in kept:
        clips = [c for c in pack.clips if c.split == split and c.count] or [c for c in pack.clips if c.count]
        weight = np.cumsum([_clip_weight(c) for c in clips])
        kept["clips", split] = clips, weight[:-1] / weight[-1]
    return kept["clips", split]


def _clip_weight(clip: Clip) -> float:
    """How often a clip is taken: poses made to be looked at often, tumbling seldom."""
    if clip.name.rsplit("/", 1)[-1].startswith(_TUMBLING):
        return 0.8
    if clip.kind == "standing":
        return 20.0  # made up, as the procedural ones are
    return 3.0 if clip.kind == "still" else min(5.0, np.sqrt(clip.count))


def mirror_pose(local: Float[np.ndarray, "bone 3 3"], pack: Pack) -> Float[np.ndarray, "bone 3 3"]:
    """The pose in a mirror: sides change places, rotations are reflected in x."""
    flip = np.outer((-1, 1, 1), (-1, 1, 1)).astype(local.dtype)
    return local[Rig.of(pack).mirrored] * flip
