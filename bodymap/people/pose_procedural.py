"""Poses from rules: a stance, a look and what the arms do; or every joint at random within its limits."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from bodymap.errors import UserError
from bodymap.people.collisions import deepest
from bodymap.people.config import PoseConfig
from bodymap.people.gestures import DOUBLE, GIRDLE, SINGLE, Gesture, Self, draw_gestures
from bodymap.people.joint_limits import clamp, limits
from bodymap.people.joints import ARMS, INDEX, LEFT, RIGHT, rotations
from bodymap.people.limbs import Rest, cross, least_rotations, two_bones, unit
from bodymap.people.physique import FRAME, Physique
from bodymap.people.stances import STANCES, Stance
from bodymap.people.streams import choose

_PAIR = {
    name: (INDEX[f"{name}.L"], INDEX[f"{name}.R"])
    for name in ("girdle", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
}


@dataclass(frozen=True)
class Draft:
    """A drawn posture.

    Attributes:
        root: the pelvis against the world.  angles: of the 16 joints.
        hands: shapes of ``hands.SHAPES`` that the gestures of the left and the right hand ask for.
        loose: (16,) how much of the noise on each joint it stands: hands that rest on something stay there.
    """

    root: Float[np.ndarray, "3 3"]
    angles: Float[np.ndarray, "joint=16 3"]
    hands: tuple[str | None, str | None] = (None, None)
    loose: Float[np.ndarray, " joint=16"] = field(default_factory=lambda: np.ones(16))


def procedural_pose(rng: np.random.Generator, physique: Physique, config: PoseConfig) -> Draft:
    """One posture of this person.

    Raises:
        UserError: the config names a kind of posture or a style of arms that does not exist.
    """
    kind = choose(rng, config.procedural_kind)
    if kind == "random":
        return Draft(_tilt(rng), random_angles(rng, physique))
    if kind not in STANCES:
        raise UserError(f'There is no kind of pose "{kind}"; there are {", ".join((*STANCES, "random"))}.')
    stance = STANCES[kind](rng, physique)
    if stance.looks:
        _look(rng, stance, config)
    return _with_arms(rng, stance, _styles(rng, stance, config), physique)


def random_angles(rng: np.random.Generator, physique: Physique, tries: int = 4) -> Float[np.ndarray, "joint=16 3"]:
    """Every joint anywhere within its limits; of some draws the one with the fewest parts in one another.

    One strength for the whole posture and one for each joint keep all from being extreme at once; half of the postures
    have sides alike.
    """
    rig = physique.rig
    table = limits(rig)
    share = (
        rng.uniform(-1, 1, (tries, 16, 3)) * rng.uniform(0.25, 1, (tries, 16, 1)) * rng.uniform(0.4, 1, (tries, 1, 1))
    )
    alike = np.where(rng.random((tries, 1, 1)) < 0.5, rng.uniform(0, 0.9, (tries, 1, 1)), 0.0)
    share[:, RIGHT] = (1 - alike) * share[:, RIGHT] + alike * share[:, LEFT]
    # from where a joint is most of the time, towards either end of its range
    home = np.zeros((16, 3))
    home[_PAIR["shoulder"], :2] = np.radians((10, 30))
    home[_PAIR["knee"], 0] = home[_PAIR["hip"], 0] = np.radians(20)
    home = clamp(home, rig)
    angles = home + np.where(share < 0, -share * (table[..., 0] - home), share * (table[..., 1] - home))
    angles = clamp(angles, rig)
    return angles[int(deepest(physique, angles).argmin())]


def _tilt(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """A pelvis near upright, seldom any way up."""
    spread = 1.2 if rng.random() < 0.12 else 0.15
    return rotations(rng.normal(0, spread, 3))


def _look(rng: np.random.Generator, stance: Stance, config: PoseConfig) -> None:
    """Where the head looks; over the shoulder the trunk turns along."""
    look = choose(rng, config.look)
    side = 1 if rng.random() < 0.5 else -1
    turn = rng.normal(0, (0.09, 0.06, 0.12))
    if look == "aside":
        turn[2] += side * rng.uniform(0.25, 0.9)
        turn[0] += rng.normal(0, 0.1)
    elif look == "down":
        turn[0] += rng.uniform(0.25, 0.6)
    elif look == "up":
        turn[0] -= rng.uniform(0.2, 0.6)
    elif look == "tilted":
        turn[1] += side * rng.uniform(0.15, 0.35)
    elif look == "back":
        turn[2] += side * rng.uniform(0.8, 1.2)
        stance.spine[2] += side * rng.uniform(0.2, 0.6)
    elif look != "ahead":
        raise UserError(f'There is no look "{look}"; there are ahead, aside, back, down, tilted, up.')
    stance.neck = stance.neck + turn


def _styles(rng: np.random.Generator, stance: Stance, config: PoseConfig) -> tuple[str, str]:
    """Styles of the left and the right arm: the same ones most of the time."""
    table = stance.arms or config.arms
    unknown = [name for name in table if name not in SINGLE and name not in DOUBLE]
    if unknown:
        raise UserError(f'There is no style of arms "{unknown[0]}"; there are {", ".join(sorted((*SINGLE, *DOUBLE)))}.')
    first = choose(rng, table)
    if first in DOUBLE or rng.random() < _ALIKE.get(first, 0.6):
        return first, first
    # the other arm does something that one arm can do alone, most often nothing much
    rest = {name: weight for name, weight in table.items() if name not in DOUBLE and _ALIKE.get(name, 0.6) > 0}
    second = choose(rng, rest) if rest else "down"
    return (first, second) if rng.random() < 0.5 else (second, first)


# the chance that both arms do the same; hardly anybody holds two telephones
_ALIKE = {
    "phone": 0.0,
    "point": 0.02,
    "wave": 0.05,
    "face": 0.06,
    "strap": 0.25,
    "elbow": 0.0,
    "chest": 0.08,
    "front": 0.45,
    "swing": 0.92,
    "run": 1.0,
    "lap": 0.75,
    "down": 0.75,
    "prop": 0.6,
}


def _with_arms(rng: np.random.Generator, stance: Stance, styles: tuple[str, str], physique: Physique) -> Draft:
    angles = np.zeros((16, 3))
    angles[0], angles[1] = stance.spine, stance.neck
    total = np.tile(np.eye(3), (16, 1, 1))
    _set_legs(total, stance, physique)
    # legs, trunk and head first: hands rest on them
    angles[2:] = physique.rig.angles(total)[2:]
    for girdle, style in zip(_PAIR["girdle"], styles, strict=True):
        low, high = GIRDLE.get(style, (-0.03, 0.06))
        angles[girdle, 0] = rng.uniform(low, high)
    angles = clamp(angles, physique.rig)
    skeleton = physique.pose(angles[None])
    gestures = draw_gestures(rng, styles, Self(physique, skeleton, stance.phase))
    total = physique.rig.rotations(angles)
    _set_arms(rng, total, gestures, skeleton, physique)
    loose = np.ones(16)
    for k, gesture in enumerate(gestures):
        if gesture.touches:
            loose[[j for j in ARMS if (j in range(*RIGHT.indices(16))) == bool(k)]] = 0.12
    return Draft(stance.root, physique.rig.settle(total), (gestures[0].hand, gestures[1].hand), loose)


def _set_legs(total: np.ndarray, stance: Stance, physique: Physique) -> None:
    legs = _rest(physique, "leg")
    back = stance.root.T
    thigh, shin = legs.rotations(np.tile(np.eye(3), (2, 1, 1)), stance.thigh @ stance.root, stance.shin @ stance.root)
    total[_PAIR["hip"],] = thigh
    total[_PAIR["knee"],] = thigh.swapaxes(1, 2) @ shin
    if stance.foot is not None:
        total[_PAIR["ankle"],] = shin.swapaxes(1, 2) @ (back @ stance.foot)


def _set_arms(
    rng: np.random.Generator, total: np.ndarray, gestures: tuple[Gesture, Gesture], skeleton, physique: Physique
) -> None:
    arms, rig = _rest(physique, "arm"), physique.rig
    girdle = skeleton.girdle[0]
    start = skeleton.position[0, [FRAME["upper_arm.L"], FRAME["upper_arm.R"]]]
    target = np.stack([s if g.wrist is None else g.wrist for g, s in zip(gestures, start, strict=True)])
    pole = np.stack([np.array([0, 1.0, 0]) if g.pole is None else g.pole for g in gestures])
    upper, fore = two_bones(start, target, *arms.lengths, pole)
    for k, gesture in enumerate(gestures):
        if gesture.wrist is None:
            upper[k], fore[k] = gesture.upper, gesture.fore
    high, low = arms.rotations(girdle, upper, fore)

    # the forearm rolls until the palm faces where it should
    palm = (low @ rig.palm[..., None])[..., 0]
    wanted = np.stack([p if g.palm is None else g.palm for g, p in zip(gestures, palm, strict=True)])
    wanted = wanted - (wanted * fore).sum(1, keepdims=True) * fore
    palm = palm - (palm * fore).sum(1, keepdims=True) * fore
    roll = np.arctan2((fore * cross(palm, wanted)).sum(1), (palm * wanted).sum(1))
    free = np.array([g.palm is None for g in gestures])
    roll = np.where(free, rng.normal(0, 0.4, 2), roll)
    rolled = rotations(fore * roll[:, None]) @ low
    # and the wrist bends towards where the fingers should point
    hand = unit((rolled @ rig.hand[..., None])[..., 0])
    ahead = unit(np.stack([h if g.fingers is None else g.fingers for g, h in zip(gestures, hand, strict=True)]))
    bent = least_rotations(hand, ahead) @ rolled

    total[_PAIR["shoulder"],] = girdle.swapaxes(1, 2) @ high
    total[_PAIR["elbow"],] = high.swapaxes(1, 2) @ rolled
    total[_PAIR["wrist"],] = rolled.swapaxes(1, 2) @ bent


def _rest(physique: Physique, limb: str) -> Rest:
    """The person's arms or legs at rest; kept with the person."""
    kept = physique.__dict__.setdefault("limbs", {})
    if limb not in kept:
        names = ("upper_arm", "forearm", "hand") if limb == "arm" else ("thigh", "shin", "foot")
        joints = [physique.joint[[FRAME[f"{name}.L"], FRAME[f"{name}.R"]]] for name in names]
        hinge = physique.rig.frame[_PAIR["elbow" if limb == "arm" else "knee"], :, 0]
        kept[limb] = Rest(*joints, hinge)
    return kept[limb]
