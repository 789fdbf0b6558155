"""Poses from rules: standing, walking, sitting, arms down, crossed, on the hips, raised, and wild ones."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.people.config import PoseConfig
from bodymap.people.pack import Bones
from bodymap.people.skinning import least_rotation, local_from_global, rotation_vector
from bodymap.people.streams import choose


def limb(out: float, forward: float, side: int) -> Float[np.ndarray, " xyz=3"]:
    """Unit direction of a limb: ``out`` radians to the side from straight down, ``forward`` radians towards the front.

    ``side``: +1 the person's left (+X), -1 the right; the front is -Y.
    """
    return np.array([side * np.sin(out), -np.sin(forward) * np.cos(out), -np.cos(forward) * np.cos(out)])


def procedural_pose(
    rng: np.random.Generator, bones: Bones, heads: Float[np.ndarray, "bone xyz=3"], config: PoseConfig
) -> Float[np.ndarray, "bone 3 3"]:
    """Local rotations of all bones."""
    kind = choose(rng, config.procedural_kind)
    at = {label: heads[i].astype(float) for i, label in enumerate(bones.labels)}
    lively = 2.0 if kind == "wild" else 1.0

    # trunk: the pelvis, a chest that bends and turns on it, a head that looks about
    pelvis = rotation_vector(rng.normal(0, [0.04 * lively, 0.03 * lively, 0.03]))
    bend = rng.normal(0.03, 0.07 * lively) + (rng.uniform(0, 0.7) if kind == "wild" and rng.random() < 0.3 else 0)
    turn = rotation_vector(np.array([bend, rng.normal(0, 0.05 * lively), rng.normal(0, 0.15 * lively)]))
    chest = pelvis @ turn
    half = pelvis @ rotation_vector(np.array([bend / 2, 0, 0]))
    wanted = {"root": pelvis, "spine05": pelvis, "spine04": half, "spine03": half, "spine02": chest, "spine01": chest}
    wanted["neck01"] = chest
    wanted["head"] = chest @ rotation_vector(rng.normal([0.02, 0, 0], [0.18, 0.1, 0.34]))

    arms = choose(rng, config.arms) if kind != "wild" else "wild"
    phase = rng.uniform(-0.6, 0.6)
    for side, letter in ((1, "L"), (-1, "R")):
        style = arms if rng.random() < 0.7 else choose(rng, config.arms)
        if kind == "walk" and style in ("down", "front") and rng.random() < 0.8:
            style = "swing"
        upper, fore = _arm(rng, style, side, phase)
        thigh, shin, foot_pitch = _leg(rng, kind, side, phase)
        _set_arm(rng, wanted, at, chest, upper, fore, letter, side, style)
        _set_leg(rng, wanted, at, pelvis, thigh, shin, foot_pitch, letter, side)
    return local_from_global(bones.parents, bones.labels, wanted)


def _arm(rng: np.random.Generator, style: str, side: int, phase: float) -> tuple[np.ndarray, np.ndarray]:
    """Directions of the upper arm and of the forearm in the chest's frame."""
    u = rng.uniform
    if style == "down":
        return limb(u(0.06, 0.32), rng.normal(0, 0.14), side), limb(u(-0.12, 0.28), u(0, 0.45), side)
    if style == "hips":
        return limb(u(0.55, 0.9), u(-0.55, 0.05), side), limb(-u(0.6, 1.05), u(0.2, 0.8), side)
    if style == "pocket":
        return limb(u(0.2, 0.48), u(-0.55, -0.1), side), limb(-u(0.0, 0.35), u(0.1, 0.55), side)
    if style == "crossed":
        return limb(u(0.1, 0.3), u(0.25, 0.55), side), limb(-u(1.0, 1.35), u(1.25, 1.6), side)
    if style == "front":  # hands meet before the belly, hold a phone, a strap
        return limb(u(0.1, 0.35), u(0.0, 0.5), side), limb(-u(0.2, 0.9), u(0.9, 2.1), side)
    if style == "raised":
        return limb(u(0.9, 2.4), u(-0.2, 0.6), side), limb(u(1.2, 3.0), u(0.0, 0.8), side)
    if style == "swing":
        s = -side * phase
        return limb(u(0.08, 0.26), s, side), limb(u(-0.05, 0.15), s + u(0.1, 0.7), side)
    upper = limb(u(0, 1.7), u(-0.6, 2.0), side)
    fore = upper + rng.normal(0, 0.75, 3) + np.array([-0.3 * side, -0.55, 0.2])
    return upper, fore / np.linalg.norm(fore)


def _leg(rng: np.random.Generator, kind: str, side: int, phase: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Directions of the thigh and of the shin in the pelvis' frame, and the foot's pitch against the ground."""
    u = rng.uniform
    if kind == "walk":
        forward = side * phase
        lift = u(0, 0.25) + max(0.0, -forward) * u(0.2, 1.2)
        return limb(u(-0.04, 0.06), forward, side), limb(u(-0.04, 0.06), forward - lift, side), u(-0.05, 0.25)
    if kind == "sit":
        forward = u(1.2, 1.6)
        return limb(u(0.0, 0.35), forward, side), limb(u(-0.15, 0.15), u(-0.15, 0.4), side), u(-0.1, 0.15)
    if kind == "wild":
        forward = u(-0.5, 1.3)
        return limb(u(-0.05, 0.6), forward, side), limb(u(-0.1, 0.4), forward - u(0, 1.5), side), u(-0.3, 0.6)
    out = u(-0.08, 0.2)
    if rng.random() < 0.12:  # one leg placed across or before the other
        out, forward = -u(0.05, 0.2), u(0.0, 0.3)
    else:
        forward = rng.normal(0.02, 0.08)
    return limb(out, forward, side), limb(out * u(0.3, 1.1), forward - u(0, 0.22), side), u(-0.05, 0.12)


def _set_arm(rng, wanted, at, chest, upper, fore, letter, side, style) -> None:
    rest_upper = at[f"lowerarm01.{letter}"] - at[f"upperarm01.{letter}"]
    rest_fore = at[f"wrist.{letter}"] - at[f"lowerarm01.{letter}"]
    shoulder = least_rotation(rest_upper, upper)
    elbow = least_rotation(shoulder @ rest_fore, fore) @ shoulder
    # the upper arm turns half of what the forearm's roll needs: no candy wrapper at the elbow
    for bone in ("upperarm01", "upperarm02"):
        wanted[f"{bone}.{letter}"] = chest @ shoulder
    roll = rotation_vector(fore * rng.normal(0, 0.5))
    wanted[f"lowerarm01.{letter}"] = chest @ elbow
    wanted[f"lowerarm02.{letter}"] = chest @ rotation_vector(fore * 0.0) @ elbow
    wanted[f"wrist.{letter}"] = chest @ roll @ elbow @ rotation_vector(rng.normal(0, 0.22, 3))
    lift = max(0.0, float(np.arccos(np.clip(-upper[2], -1, 1))) - 1.1)
    girdle = rotation_vector(np.array([0, -side * 0.45 * lift, 0])) if style in ("raised", "wild") else np.eye(3)
    wanted[f"shoulder01.{letter}"] = chest @ girdle


def _set_leg(rng, wanted, at, pelvis, thigh, shin, foot_pitch, letter, side) -> None:
    rest_thigh = at[f"lowerleg01.{letter}"] - at[f"upperleg01.{letter}"]
    rest_shin = at[f"foot.{letter}"] - at[f"lowerleg01.{letter}"]
    hip = least_rotation(rest_thigh, thigh)
    knee = least_rotation(hip @ rest_shin, shin) @ hip
    for bone in ("upperleg01", "upperleg02"):
        wanted[f"{bone}.{letter}"] = pelvis @ hip
    for bone in ("lowerleg01", "lowerleg02"):
        wanted[f"{bone}.{letter}"] = pelvis @ knee
    # feet stand on the ground unless the shin is far from upright
    upright = float(np.clip(-shin[2], 0, 1)) ** 2
    ankle = rotation_vector(_vector(knee) * (1 - upright))
    turn = rotation_vector(np.array([foot_pitch, 0, side * rng.uniform(-0.05, 0.45)]))
    wanted[f"foot.{letter}"] = pelvis @ ankle @ turn


def _vector(rotation: np.ndarray) -> np.ndarray:
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    if angle < 1e-6:
        return np.zeros(3)
    axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    return axis / max(2 * np.sin(angle), 1e-9) * angle
