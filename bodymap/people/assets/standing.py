"""Made-up everyday poses (standing, hands on hips, arms crossed, walking, reaching), and a closed fist."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.people.assets.poses import least_rotation, local_from_driven
from bodymap.people.pack import Bones
from bodymap.people.rotations import matrix_from_quaternion

_ARMS = {"down": 0.32, "hips": 0.14, "pocket": 0.14, "crossed": 0.08, "reach": 0.18, "walk": 0.14}


def rotation_from_vector(vector: Float[np.ndarray, " xyz=3"]) -> Float[np.ndarray, "3 3"]:
    """Rotation about ``vector`` by its length in radians."""
    angle = np.linalg.norm(vector)
    q = np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * vector / max(angle, 1e-12)])
    return matrix_from_quaternion(q).astype(np.float64)


def _direction(out: float, forward: float, side: int) -> Float[np.ndarray, " xyz=3"]:
    """Of a limb: ``out`` radians to the side from straight down, ``forward`` radians to the front; side +1 is left."""
    d = np.array([side * np.sin(out), -np.sin(forward) * np.cos(out), -np.cos(forward) * np.cos(out)])
    return d / np.linalg.norm(d)


def standing_poses(
    rng: np.random.Generator, count: int, bones: Bones, heads: Float[np.ndarray, "bone xyz=3"]
) -> Float[np.ndarray, "pose bone 3 3"]:
    """``count`` random everyday poses: local rotations of the rig."""
    return np.concatenate([_standing(rng, bones, heads) for _ in range(count)])


def _standing(rng: np.random.Generator, bones: Bones, heads: np.ndarray) -> np.ndarray:
    at = {label: heads[k] for k, label in enumerate(bones.labels)}
    root = rotation_from_vector(rng.normal(0, 0.04, 3))
    torso = root @ rotation_from_vector(rng.normal(0, (0.06, 0.05, 0.15)))
    half = root @ rotation_from_vector(rng.normal(0, (0.03, 0.03, 0.05)))
    driven = {"root": root, "spine05": root, "spine04": root, "spine03": half, "spine02": torso, "spine01": torso}
    driven["neck01"] = torso
    driven["head"] = torso @ rotation_from_vector(rng.normal(0, (0.2, 0.12, 0.35)))
    kind = rng.choice(list(_ARMS), p=list(_ARMS.values()))
    stride = rng.uniform(-0.5, 0.5)
    for side, label in ((1, "L"), (-1, "R")):
        own = kind if rng.random() < 0.75 else rng.choice(["down", "hips", "pocket", "reach"])
        upper, fore = _arm(rng, str(own), side, stride)
        thigh, shin = _leg(rng, str(kind), side, stride)
        rest = {
            "upper": at[f"lowerarm01.{label}"] - at[f"upperarm01.{label}"],
            "fore": at[f"wrist.{label}"] - at[f"lowerarm01.{label}"],
            "thigh": at[f"lowerleg01.{label}"] - at[f"upperleg01.{label}"],
            "shin": at[f"foot.{label}"] - at[f"lowerleg01.{label}"],
        }
        turn = least_rotation(rest["upper"], upper)
        # the forearm bends on from the turned upper arm: no twist at the elbow
        bend = least_rotation(turn @ rest["fore"], fore) @ turn
        for bone, world in (("upperarm", torso @ turn), ("lowerarm", torso @ bend)):
            driven[f"{bone}01.{label}"] = driven[f"{bone}02.{label}"] = world
        driven[f"wrist.{label}"] = torso @ bend @ rotation_from_vector(rng.normal(0, 0.25, 3))
        leg, lower = root @ least_rotation(rest["thigh"], thigh), root @ least_rotation(rest["shin"], shin)
        for bone, world in (("upperleg", leg), ("lowerleg", lower)):
            driven[f"{bone}01.{label}"] = driven[f"{bone}02.{label}"] = world
        ground = lower if kind == "reach" else root
        toes = np.array([rng.normal(0.05, 0.15), 0, side * rng.uniform(-0.05, 0.5)])
        driven[f"foot.{label}"] = ground @ rotation_from_vector(toes)
        if own == "reach":  # the shoulder rises with the arm
            driven[f"shoulder01.{label}"] = torso @ rotation_from_vector(
                np.array([0, -side * rng.uniform(-0.05, 0.3), 0])
            )
    return local_from_driven({k: v[None] for k, v in driven.items()}, bones, 1)


def _arm(rng: np.random.Generator, kind: str, side: int, stride: float) -> tuple[np.ndarray, np.ndarray]:
    """Directions of upper arm and forearm."""
    u = rng.uniform
    if kind == "down":
        return _direction(u(0.05, 0.35), rng.normal(0, 0.15), side), _direction(u(-0.15, 0.3), u(0, 0.5), side)
    if kind == "hips":
        return _direction(u(0.5, 0.9), u(-0.6, 0.1), side), _direction(-u(0.6, 1.1), u(0.2, 0.9), side)
    if kind == "pocket":
        return _direction(u(0.2, 0.5), u(-0.6, -0.1), side), _direction(u(-0.4, 0), u(0.1, 0.6), side)
    if kind == "crossed":
        return _direction(u(0.05, 0.3), u(0.2, 0.6), side), _direction(-u(0.9, 1.4), u(1.2, 2.0), side)
    if kind == "walk":
        return (
            _direction(u(0.08, 0.3), -side * stride, side),
            _direction(u(-0.1, 0.15), -side * stride + u(0.1, 0.7), side),
        )
    upper = _direction(u(0, 1.6), u(-0.6, 1.8), side)
    fore = upper + rng.normal(0, 0.6, 3) + np.array([-0.3 * side, -0.5, 0.2])
    return upper, fore / np.linalg.norm(fore)


def _leg(rng: np.random.Generator, kind: str, side: int, stride: float) -> tuple[np.ndarray, np.ndarray]:
    """Directions of thigh and shin; the knee bends backwards only."""
    u = rng.uniform
    if kind == "walk":
        swing = side * stride
        return _direction(u(-0.02, 0.06), swing, side), _direction(u(-0.02, 0.06), swing - u(0, 0.6), side)
    if kind == "reach" and rng.random() < 0.6 or rng.random() < 0.12:
        out, forward = u(-0.05, 0.5), u(-0.4, 1.3)
        return _direction(out, forward, side), _direction(out * 0.7, forward - u(0, 1.6), side)
    return _direction(u(-0.05, 0.18), rng.normal(0.03, 0.1), side), _direction(u(-0.05, 0.15), -u(0, 0.2), side)


def closed_fist(bones: Bones, heads: Float[np.ndarray, "bone xyz=3"]) -> Float[np.ndarray, "bone 3 3"]:
    """Local rotations that close both hands; identity for all other bones. Scale each finger's angle for open hands.

    Fingers bend about the line across their knuckles, the thumb across the palm.
    """
    at = {label: heads[k] for k, label in enumerate(bones.labels)}
    out = np.tile(np.eye(3), (len(bones.labels), 1, 1))
    for label in "LR":
        across = at[f"finger5-1.{label}"] - at[f"finger2-1.{label}"]
        across /= np.linalg.norm(across)
        along = at[f"finger3-1.{label}"] - at[f"wrist.{label}"]
        along -= across * (along @ across)
        along /= np.linalg.norm(along)
        # The thumb hangs on the palm's side of the other fingers: that tells which way is closing
        palm = np.cross(across, along)
        palm *= np.sign(palm @ (at[f"finger1-3.{label}"] - at[f"finger2-1.{label}"]))
        bend = np.cross(along, palm)
        for finger in range(2, 6):
            for joint, degrees in ((1, 75), (2, 95), (3, 60)):
                out[bones.index(f"finger{finger}-{joint}.{label}")] = rotation_from_vector(np.radians(degrees) * bend)
        thumb = at[f"finger1-3.{label}"] - at[f"finger1-1.{label}"]
        fold = np.cross(thumb / np.linalg.norm(thumb), across)
        fold /= np.linalg.norm(fold)
        for joint, degrees in ((1, 15), (2, 35), (3, 50)):
            out[bones.index(f"finger1-{joint}.{label}")] = rotation_from_vector(np.radians(degrees) * fold)
    return out.astype(np.float32)
