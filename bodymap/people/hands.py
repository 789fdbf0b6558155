"""Fingers: each finger closes by its own share of a fist and spreads a little; no motion capture has them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.people.config import PoseConfig
from bodymap.people.pack import Pack
from bodymap.people.skinning import rotation_vector
from bodymap.people.streams import choose
from bodymap.people.wardrobe import Wardrobe


def curl_fingers(
    rng: np.random.Generator, local: Float[np.ndarray, "bone 3 3"], pack: Pack, config: PoseConfig
) -> Float[np.ndarray, "bone 3 3"]:
    """Sets the finger bones of both hands; a pose that already moves them keeps them half of the time."""
    labels = pack.bones.labels
    fist = fist_vectors(pack)
    for side in "LR":
        fingers = [[labels.index(f"finger{f}-{k}.{side}") for k in (1, 2, 3)] for f in range(1, 6)]
        moved = any(np.abs(local[j] - np.eye(3)).max() > 1e-3 for finger in fingers for j in finger)
        if moved and rng.random() < 0.5:
            continue
        hand = choose(rng, config.hands)
        for f, finger in enumerate(fingers):
            if hand == "relaxed":
                t = rng.uniform(0.1, 0.45) + 0.04 * f
            elif hand == "flat":
                t = rng.uniform(0, 0.12)
            elif hand == "fist":
                t = rng.uniform(0.75, 1.0)
            elif hand == "point":
                t = rng.uniform(0, 0.1) if f == 1 else rng.uniform(0.6, 1)
            else:  # free
                t = rng.random()
            spread = rng.normal(0, 0.09) if hand != "fist" else rng.normal(0, 0.02)
            for k, j in enumerate(finger):
                local[j] = rotation_vector(fist[j] * np.clip(t + rng.normal(0, 0.06), 0, 1.05))
                if k == 0 and f > 0:
                    local[j] = local[j] @ rotation_vector(_spread_axis(pack, side) * (spread + 0.03 * (f - 2.5)))
    return local


def fist_vectors(pack: Pack) -> np.ndarray:
    """(J, 3) rotation vectors of a closed fist: the pack's, else bent about the knuckle line."""
    kept = Wardrobe.of(pack).kept
    if "fist" not in kept:
        if pack.fist is not None:
            vectors = np.stack([_rotation_to_vector(r) for r in pack.fist])
        else:
            vectors = np.zeros((len(pack.bones.labels), 3))
            for j, label in enumerate(pack.bones.labels):
                if label.startswith("finger"):
                    side = label[-1]
                    across = _head(pack, f"finger2-1.{side}") - _head(pack, f"finger5-1.{side}")
                    palm = _spread_axis(pack, side)
                    bend = np.cross(palm, np.cross(across, palm))
                    bend = bend / np.linalg.norm(bend) * (1 if side == "L" else -1)
                    angle = (
                        (0.35, 0.45, 0.7)[int(label[8]) - 1] if label[6] == "1" else (1.35, 1.6, 1.1)[int(label[8]) - 1]
                    )
                    vectors[j] = bend * angle
        kept["fist"] = vectors
    return kept["fist"]


def _head(pack: Pack, label: str) -> np.ndarray:
    return pack.base_heads[pack.bones.index(label)].astype(float)


def _spread_axis(pack: Pack, side: str) -> np.ndarray:
    """Unit normal of the palm; turning about it spreads the fingers."""
    along = _head(pack, f"finger3-1.{side}") - _head(pack, f"wrist.{side}")
    across = _head(pack, f"finger2-1.{side}") - _head(pack, f"finger5-1.{side}")
    normal = np.cross(along, across)
    return normal / np.linalg.norm(normal)


def _rotation_to_vector(rotation: np.ndarray) -> np.ndarray:
    """Axis times angle of a rotation of less than half a turn."""
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    if angle < 1e-6:
        return np.zeros(3)
    axis = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]], float
    )
    return axis / max(2 * np.sin(angle), 1e-9) * angle
