"""Where a fit begins: the library poses, turned about the vertical, that best explain the pixels seen from afar.

A single view does not tell whether a limb points towards the camera or away from it; poses that people take do.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.fitting.evidence import Evidence
from bodymap.people.pack import Pack
from bodymap.people.pose import mirror_pose
from bodymap.people.rig import Rig, State
from bodymap.people.skinning import rotation_vector

POINTS = 120
_VIEWS = 24  # turns about the vertical
_TILTS = np.radians([-20.0, 0.0, 25.0])  # the camera looks up, level, down at the person
_UPRIGHT = 0.5  # radians squared of lean that count as much as the misfit itself

# Most people who are photographed stand: radians that a joint strays from the rest pose, which does
_STANDING = {"spine": 0.1, "neck": 0.2, "head": 0.3, "upperleg01": 0.4, "lowerleg01": 0.45, "foot": 0.4}
_USUAL = 20.0  # chi squares of unusual joints that count as much as the misfit itself

# From the pack's axes (x the person's left, z up, facing -y) to a camera's (x right, y down, z away)
CAMERA_FROM_WORLD = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])


def candidates(
    pack: Pack, evidence: Evidence, centre: Float[np.ndarray, " xy=2"], focal: float, count: int
) -> list[State]:
    """The best starting states, no two of them alike.

    Args:
        centre, focal: of the camera, pixels.
    """
    few = evidence.some(POINTS)
    rig = Rig.at(pack, few.corners, few.share)
    locals_ = _library(pack)
    doubt = 1 + _unusual(pack, locals_) / _USUAL
    points = _posed(rig, locals_)  # (pose, n, 3)
    points -= rig.heads[0]  # the root, about which a pose is turned

    target = (few.pixel - centre) @ [1, 1j]
    weight = few.weight / few.spread**2
    weight = weight / weight.sum()
    mean = weight @ target
    target = target - mean
    found: list[tuple[float, int, np.ndarray, complex, complex]] = []
    for tilt in _TILTS:
        for turn in np.arange(_VIEWS) * 2 * np.pi / _VIEWS:
            rotation = rotation_vector([tilt, 0, 0]) @ CAMERA_FROM_WORLD @ rotation_vector([0, 0, turn])
            seen = points @ rotation[:2].T @ [1, 1j]
            middle = seen @ weight
            seen = seen - middle[:, None]
            # the similarity that takes what is seen to the pixels, in closed form: a complex factor
            size = (np.abs(seen) ** 2) @ weight
            factor = (seen.conj() @ (weight * target)) / size
            # tilted cameras are rare: a lean counts as misfit
            rest = np.abs(target) ** 2 @ weight - np.abs(factor) ** 2 * size
            rest *= doubt + (np.angle(factor) ** 2 + tilt**2) / _UPRIGHT
            for k in np.argsort(rest)[:count]:
                found.append((float(rest[k]), int(k), rotation, complex(factor[k]), complex(middle[k])))
    found.sort(key=lambda entry: entry[0])
    states: list[State] = []
    taken: list[tuple[int, np.ndarray]] = []
    for _, k, rotation, factor, middle in found:
        if any(_alike(rotation, other) and k // 2 == pose // 2 for pose, other in taken):
            continue
        taken.append((k, rotation))
        states.append(_state(pack, locals_[k], rotation, factor, middle, mean, focal))
        if len(states) == count:
            break
    return states


def standing_spread(pack: Pack) -> Float[np.ndarray, " bone"]:
    """How far each bone strays from the rest pose in people who stand, radians; infinite where nothing is known."""
    return np.array([next((v for p, v in _STANDING.items() if s.startswith(p)), np.inf) for s in pack.bones.labels])


def _unusual(pack: Pack, locals_: np.ndarray) -> Float[np.ndarray, " pose"]:
    angle = np.arccos(np.clip((np.trace(locals_, axis1=2, axis2=3) - 1) / 2, -1, 1))
    return (angle**2) @ standing_spread(pack) ** -2.0


def _state(pack, local, rotation, factor: complex, middle: complex, mean: complex, focal: float) -> State:
    """The state of a pose turned by ``rotation`` and rolled and scaled by ``factor`` in the picture."""
    roll = rotation_vector([0, 0, np.angle(factor)]) @ rotation
    depth = focal / abs(factor)
    # where the root is seen, so that the points' mean lands on the pixels' mean
    place = (mean - factor * middle) / focal * depth
    turned = local.copy()
    turned[0] = roll @ local[0]
    move = np.array([place.real, place.imag, depth]) - pack.base_heads[0]
    return State(np.zeros(len(pack.shape_basis)), turned, move)


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    return float(np.arccos(np.clip((np.trace(a @ b.T) - 1) / 2, -1, 1))) < np.radians(50)


def _library(pack: Pack) -> Float[np.ndarray, "pose bone 3 3"]:
    """The pack's poses and their mirror images, in turn."""
    poses = (pack.pose(index) for index in range(pack.pose_count))
    return np.stack([either for pose in poses for either in (pose, mirror_pose(pose, pack))]).astype(float)


def _posed(rig: Rig, locals_: np.ndarray) -> Float[np.ndarray, "pose point xyz=3"]:
    """As ``rig.posed`` of the mean shape, of many poses at once."""
    rotation = np.empty_like(locals_)
    position = np.empty((*locals_.shape[:2], 3))
    for j, parent in enumerate(rig.parents):
        if parent < 0:
            rotation[:, j], position[:, j] = locals_[:, j], rig.heads[j]
        else:
            rotation[:, j] = rotation[:, parent] @ locals_[:, j]
            position[:, j] = position[:, parent] + rotation[:, parent] @ (rig.heads[j] - rig.heads[parent])
    move = position - np.einsum("pjab,jb->pja", rotation, rig.heads)
    transform = np.concatenate([rotation, move[..., None]], -1).reshape(len(locals_), -1, 12)
    blend = np.matmul(rig.weight.astype(float), transform).reshape(len(locals_), -1, 3, 4)
    return np.einsum("pnab,nb->pna", blend[..., :3], rig.base) + blend[..., 3]
