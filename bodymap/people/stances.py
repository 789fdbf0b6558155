"""What trunk, head and legs do: standing, contrapposto, walking, running, stairs, sitting, kneeling, lying, ..."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from bodymap.people.joints import rotations
from bodymap.people.limbs import direction, two_bones
from bodymap.people.physique import FRAME, Physique

Pair = Float[np.ndarray, "side=2 xyz=3"]
_DOWN = np.array([0, 0, -1.0])


@dataclass
class Stance:
    """A posture without arms; left before right. World axes: the person faces -Y, up is Z.

    Attributes:
        root: (3, 3) the pelvis against the world.
        spine, neck: flexion, side and twist, radians.
        thigh, shin: (2, 3) unit directions.
        foot: (2, 3, 3) of the feet, identity flat on the ground pointing ahead; None: as the shins have it.
        arms: styles of arms that suit, in place of the config's table; empty: any.
        phase: of a stride, radians, the left leg ahead.
        looks: the head may turn as the config says.
    """

    root: Float[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3))
    spine: np.ndarray = field(default_factory=lambda: np.zeros(3))
    neck: np.ndarray = field(default_factory=lambda: np.zeros(3))
    thigh: Pair = field(default_factory=lambda: np.tile(_DOWN, (2, 1)))
    shin: Pair = field(default_factory=lambda: np.tile(_DOWN, (2, 1)))
    foot: Float[np.ndarray, "side=2 3 3"] | None = None
    arms: dict[str, float] = field(default_factory=dict)
    phase: float = 0.0
    looks: bool = True


_UPRIGHT_SPINE = (0.05, 0.04, 0.1)


def _both(make: Callable[[int], np.ndarray]) -> np.ndarray:
    return np.stack([make(1), make(-1)])


def _feet(toes: tuple[float, float], pitch: tuple[float, float]) -> Float[np.ndarray, "side=2 3 3"]:
    """Feet on the ground, toes turned out by ``toes``, heels raised by ``pitch``, radians."""
    turn = rotations(np.array([[0, 0, toes[0]], [0, 0, -toes[1]]]))
    return turn @ rotations(np.array([[pitch[0], 0, 0], [pitch[1], 0, 0]]))


def _grounded(
    physique: Physique, s: Stance, at: Pair, toes: tuple[float, float], sink: float, pitch=(0.0, 0.0)
) -> Stance:
    """Puts both feet on the ground.

    Args:
        at: (2, 3) where each ankle is: x and y from under its hip, z above the ground, metres.
        toes: by how much they turn out.  sink: by how much the leg that is stretched most is shorter than straight.
    """
    j = physique.joint
    hips = (j[[FRAME["thigh.L"], FRAME["thigh.R"]]] - j[0]) @ s.root.T
    upper, lower = physique.length("thigh", "shin", 0), physique.length("shin", "foot", 0)
    length = (upper + lower) * (1 - sink)
    # as high as both feet allow
    reach = np.sqrt(np.maximum(length**2 - (at[:, :2] ** 2).sum(1), 0.05 * length**2))
    ground = (hips[:, 2] - reach - at[:, 2]).max()
    target = np.concatenate([hips[:, :2] + at[:, :2], (ground + at[:, 2])[:, None]], 1)
    pole = np.array([[np.sin(toes[0]), -np.cos(toes[0]), 0], [-np.sin(toes[1]), -np.cos(toes[1]), 0]])
    s.thigh, s.shin = two_bones(hips, target, upper, lower, pole)
    s.foot = _feet(toes, pitch)
    return s


# ------------------------------------------------------------------ on the feet
def _stand(rng, physique: Physique) -> Stance:
    s = Stance(root=rotations(rng.normal(0, (0.04, 0.03, 0.03))), spine=rng.normal((0.0, 0, 0), _UPRIGHT_SPINE))
    wide = rng.uniform(-0.03, 0.13)
    at = np.array([[wide, rng.normal(0, 0.05), 0], [-wide, rng.normal(0, 0.05), 0]])
    return _grounded(physique, s, at, (rng.uniform(-0.05, 0.45), rng.uniform(-0.05, 0.45)), rng.uniform(0.002, 0.02))


def _contrapposto(rng, physique: Physique) -> Stance:
    """The weight on one leg: the hip over it stands out and up, the shoulders answer, the other knee bends."""
    weight = 0 if rng.random() < 0.5 else 1
    side = 1 if weight == 0 else -1
    roll = rng.uniform(0.05, 0.15)
    s = Stance(root=rotations(np.array([rng.normal(0, 0.04), -side * roll, side * rng.uniform(-0.05, 0.2)])))
    s.spine = np.array([rng.normal(0.0, 0.05), side * roll * rng.uniform(0.8, 1.7), -side * rng.uniform(-0.05, 0.2)])
    s.neck = np.array([0.0, -side * rng.uniform(-0.05, 0.12), 0.0])
    at = np.zeros((2, 3))
    at[weight] = (-side * rng.uniform(0.03, 0.1), rng.normal(0, 0.03), 0)
    free = 1 - weight
    ahead = rng.uniform(-0.05, 0.22)
    at[free] = (-side * rng.uniform(0.0, 0.2), -ahead, 0)
    toes = [rng.uniform(0, 0.3)] * 2
    toes[free] = rng.uniform(0.1, 0.7)
    pitch = [0.0, 0.0]
    if ahead < 0.05:
        pitch[free] = rng.uniform(0, 0.5)
        at[free, 2] = 0.1 * np.sin(pitch[free])
    return _grounded(physique, s, at, (toes[0], toes[1]), rng.uniform(0.001, 0.006), (pitch[0], pitch[1]))


def _crossed_legs(rng, physique: Physique) -> Stance:
    """Standing with one ankle before the other."""
    s = _stand(rng, physique)
    front = 1 if rng.random() < 0.5 else -1
    at = np.zeros((2, 3))
    for k, side in enumerate((1, -1)):
        at[k] = (-side * rng.uniform(0.11, 0.14), -0.09 if side == front else 0.06, 0)
    return _grounded(physique, s, at, (rng.uniform(0, 0.3), rng.uniform(0, 0.3)), 0.01)


def _walk(rng, physique: Physique) -> Stance:
    phase = rng.uniform(-0.55, 0.55)
    s = Stance(phase=phase)
    s.root = rotations(np.array([rng.normal(0.04, 0.03), rng.normal(0, 0.03), 0.18 * phase]))
    s.spine = np.array([rng.normal(0.03, 0.05), rng.normal(0, 0.03), -0.4 * phase + rng.normal(0, 0.05)])
    s.neck[2] = 0.2 * phase
    pitch = [0.0, 0.0]
    for k, side in enumerate((1, -1)):
        forward = side * phase
        bend = rng.uniform(0.02, 0.2) + max(0.0, -forward) * rng.uniform(0.2, 1.3)
        s.thigh[k] = direction(rng.uniform(-0.03, 0.05), forward, side)
        s.shin[k] = direction(rng.uniform(-0.03, 0.05), forward - bend, side)
        # toes up before the heel strikes, the heel up behind
        pitch[k] = -forward * rng.uniform(0.1, 0.6) if forward > 0 else (bend - forward) * rng.uniform(0.3, 0.7)
    s.foot = _feet((rng.uniform(-0.02, 0.25), rng.uniform(-0.02, 0.25)), (pitch[0], pitch[1]))
    s.arms = {"swing": 0.66, "pocket": 0.08, "phone": 0.05, "front": 0.07, "strap": 0.05, "down": 0.06, "wave": 0.03}
    return s


def _run(rng, physique: Physique) -> Stance:
    side = 1 if rng.random() < 0.5 else -1
    phase = rng.uniform(0.4, 0.9)
    s = Stance(phase=side * phase, arms={"run": 1.0})
    lean = rng.uniform(0.05, 0.3)
    s.root = rotations(np.array([lean, 0, side * 0.2 * phase]))
    s.spine = np.array([rng.uniform(0, 0.12), 0, -side * 0.45 * phase])
    s.neck = np.array([-lean * 0.8, 0, side * 0.25 * phase])
    for k, own in enumerate((1, -1)):
        forward = phase * rng.uniform(0.9, 1.4) if own == side else -phase * rng.uniform(0.4, 0.9)
        bend = rng.uniform(0.9, 1.9) if own == side else rng.uniform(0.2, 1.6)
        s.thigh[k] = direction(rng.uniform(0, 0.08), forward, own)
        s.shin[k] = direction(rng.uniform(0, 0.06), forward - bend, own)
    return s


def _stairs(rng, physique: Physique) -> Stance:
    side = 1 if rng.random() < 0.5 else -1
    up = rng.random() < 0.6
    high, ahead = rng.uniform(0.13, 0.3), rng.uniform(0.12, 0.32)
    at = np.zeros((2, 3))
    k = 0 if side > 0 else 1
    at[k] = (0, -ahead * (1.0 if up else -0.3), high)
    at[1 - k] = (0, ahead * (0.25 if up else -0.5), 0)
    s = Stance(root=rotations(np.array([rng.uniform(0.0, 0.15), rng.normal(0, 0.03), 0])), phase=side * 0.3)
    s.spine = rng.normal((0.08, 0, 0), _UPRIGHT_SPINE)
    s.arms = {"swing": 0.5, "down": 0.2, "forward": 0.12, "pocket": 0.06, "strap": 0.06, "phone": 0.06}
    pitch = [0.0, 0.0]
    pitch[1 - k] = rng.uniform(0, 0.6)
    at[1 - k, 2] = 0.12 * np.sin(pitch[1 - k])
    return _grounded(physique, s, at, (rng.uniform(0, 0.2), rng.uniform(0, 0.2)), 0.01, (pitch[0], pitch[1]))


def _bend(rng, physique: Physique) -> Stance:
    """Bent forward: looking into something, tying a lace, out of breath, picking up."""
    lean = rng.uniform(0.15, 0.8)
    s = Stance(root=rotations(np.array([lean, 0, rng.normal(0, 0.05)])))
    s.spine = np.array([rng.uniform(0.2, 0.9), rng.normal(0, 0.08), rng.normal(0, 0.15)])
    s.neck = np.array([rng.uniform(-0.7, 0.2), 0, rng.normal(0, 0.2)])
    s.looks = False
    wide = rng.uniform(-0.02, 0.15)
    # the hips go back as the trunk goes forward
    back = 0.25 * lean
    at = np.array([[wide, -back + rng.normal(0, 0.08), 0], [-wide, -back + rng.normal(0, 0.08), 0]])
    s.arms = {"knees": 0.35, "forward": 0.2, "down": 0.25, "hips": 0.1, "front": 0.1}
    return _grounded(physique, s, at, (rng.uniform(0, 0.3), rng.uniform(0, 0.3)), rng.uniform(0.005, 0.15))


def _lean(rng, physique: Physique) -> Stance:
    """Against a wall or a table at the side, or with the back to it."""
    side = 1 if rng.random() < 0.5 else -1
    s = Stance()
    if rng.random() < 0.55:
        roll = rng.uniform(0.05, 0.14)
        s.root = rotations(np.array([0, side * roll, 0]))
        s.spine = np.array([rng.normal(0, 0.05), side * rng.uniform(-0.1, 0.15), rng.normal(0, 0.1)])
        lift = 1.0 * roll
        at = np.array([[-side * lift, 0.0, 0], [-side * lift, 0.0, 0]])
        at[0 if side < 0 else 1, :2] += (side * rng.uniform(0.0, 0.16), -rng.uniform(0.0, 0.12))
        s.neck = np.array([0, -side * roll * 0.8, 0])
    else:
        tilt = rng.uniform(0.08, 0.25)
        s.root = rotations(np.array([-tilt, 0, 0]))
        s.spine = np.array([rng.uniform(0, 0.25), 0, rng.normal(0, 0.08)])
        s.neck = np.array([tilt, 0, 0])
        at = np.array([[0.02, -0.9 * tilt, 0], [-0.02, -0.9 * tilt + rng.uniform(0, 0.15), 0]])
    return _grounded(physique, s, at, (rng.uniform(0, 0.3), rng.uniform(0, 0.3)), rng.uniform(0.003, 0.02))


def _crouch(rng, physique: Physique) -> Stance:
    deep = rng.uniform(0.35, 1.0)
    s = Stance(root=rotations(np.array([rng.uniform(0.1, 0.45), rng.normal(0, 0.04), rng.normal(0, 0.06)])))
    s.spine = np.array([rng.uniform(0.1, 0.5), rng.normal(0, 0.05), rng.normal(0, 0.12)])
    s.neck = np.array([-rng.uniform(0, 0.5), 0, rng.normal(0, 0.2)])
    out = rng.uniform(0.1, 0.45)
    heel = rng.uniform(0.0, 0.6) if deep > 0.7 else 0.0
    for k, side in enumerate((1, -1)):
        forward = deep * rng.uniform(1.55, 1.75)
        s.thigh[k] = direction(out, forward, side)
        s.shin[k] = direction(0.4 * out, forward - deep * rng.uniform(2.2, 2.35), side)
    s.foot = _feet((out, out), (heel, heel))
    s.arms = {"knees": 0.35, "forward": 0.2, "down": 0.15, "front": 0.15, "clasped": 0.15}
    s.looks = False
    return s


# ------------------------------------------------------------------ on a seat, on the floor
def _sit(rng, physique: Physique) -> Stance:
    s = Stance(root=rotations(np.array([rng.normal(-0.05, 0.1), rng.normal(0, 0.03), 0])))
    s.spine = rng.normal((0.15, 0, 0), (0.15, 0.06, 0.12))
    kind = rng.random()
    out = rng.uniform(0.0, 0.4)
    toes = [rng.uniform(0, 0.4), rng.uniform(0, 0.4)]
    for k, side in enumerate((1, -1)):
        s.thigh[k] = direction(out, rng.uniform(1.3, 1.55), side)
        s.shin[k] = direction(rng.uniform(-0.1, 0.12), rng.uniform(-0.25, 0.35), side)
    pitch = [max(0.0, -float(np.arctan2(-s.shin[k, 1], -s.shin[k, 2]))) * 0.6 for k in (0, 1)]
    s.foot = _feet((toes[0], toes[1]), (pitch[0], pitch[1]))
    if kind < 0.22:  # one knee over the other
        k = int(rng.integers(2))
        side = 1 - 2 * k
        s.thigh[k] = direction(-0.2, 1.82, side)
        s.shin[k] = direction(rng.uniform(0.0, 0.3), rng.uniform(0.15, 0.5), side)
        s.thigh[1 - k] = direction(0.02, 1.45, -side)
        s.shin[1 - k] = direction(0.02, rng.uniform(-0.1, 0.2), -side)
        s.foot = None
    s.arms = {
        "lap": 0.4,
        "clasped": 0.12,
        "front": 0.14,
        "crossed": 0.07,
        "face": 0.07,
        "phone": 0.05,
        "down": 0.05,
        "raised": 0.03,
        "wild": 0.03,
        "chest": 0.04,
    }
    return s


def _sit_floor(rng, physique: Physique) -> Stance:
    """On the floor, the legs ahead, stretched or with the knees up."""
    knees = np.where(rng.random(2) < 0.4, rng.uniform(0, 0.2, 2), rng.uniform(0.7, 1.8, 2))
    # heels on the floor: how the thigh must rise for this knee
    rise = np.arctan2(np.sin(knees), 1 + np.cos(knees)) - 0.04
    # with the knees up the pelvis rolls back and the spine rounds
    back = rng.uniform(-0.35, 0.05) - 0.45 * rise.max()
    s = Stance(root=rotations(np.array([back, 0, 0])), spine=rng.normal((0.25, 0, 0), (0.15, 0.06, 0.12)))
    s.spine[0] -= 0.5 * back
    s.neck[0] = -0.3 * back
    for k, side in enumerate((1, -1)):
        up = np.pi / 2 + rise[k]
        s.thigh[k] = direction(rng.uniform(0.04, 0.25), up, side)
        s.shin[k] = direction(rng.uniform(0.0, 0.15), up - knees[k], side)
    s.arms = {
        "prop": 0.42 if back < -0.2 else 0.1,
        "lap": 0.22,
        "knees": 0.2,
        "front": 0.1,
        "clasped": 0.1,
        "down": 0.05,
    }
    return s


def _cross_legged(rng, physique: Physique) -> Stance:
    s = Stance(
        root=rotations(np.array([rng.uniform(-0.3, -0.05), 0, 0])), spine=rng.normal((0.22, 0, 0), (0.12, 0.05, 0.1))
    )
    front = 1 if rng.random() < 0.5 else -1
    for k, side in enumerate((1, -1)):
        near = side == front
        thigh = np.array([side * 0.7, -0.72, rng.uniform(0.05, 0.25)])
        shin = np.array([-side * 0.9, -0.2 if near else 0.14, -0.38])
        s.thigh[k], s.shin[k] = thigh / np.linalg.norm(thigh), shin / np.linalg.norm(shin)
    s.arms = {"lap": 0.4, "knees": 0.2, "clasped": 0.15, "front": 0.15, "prop": 0.1}
    return s


def _kneel(rng, physique: Physique) -> Stance:
    """On one knee, on both, or sitting on the heels."""
    s = Stance(root=rotations(np.array([rng.uniform(-0.05, 0.2), 0, rng.normal(0, 0.05)])))
    s.spine = rng.normal((0.1, 0, 0), (0.12, 0.06, 0.12))
    kind = rng.random()
    pointed = rng.uniform(0.6, 0.85)
    feet = []
    low = rng.uniform(0.95, 1.08)
    for k, side in enumerate((1, -1)):
        out = rng.uniform(0.02, 0.22)
        if kind < 0.5 and k == 0:  # this knee is up; the mirror serves the other
            s.thigh[k], s.shin[k] = (
                direction(out, rng.uniform(1.25, 1.5), side),
                direction(0.3 * out, rng.uniform(-0.15, 0.2), side),
            )
            feet.append(rotations(np.array([0, 0, side * out])))
            continue
        if kind < 0.8:  # upright on the knee
            s.thigh[k], s.shin[k] = direction(out, rng.uniform(-0.1, 0.1), side), direction(0, -1.5, side)
        else:  # on the heels
            s.thigh[k], s.shin[k] = direction(out, low, side), direction(0.0, -1.36, side)
        feet.append(rotations(np.array([np.pi / 2 + pointed - 0.3, 0, 0])))
    s.foot = np.stack(feet)
    s.arms = {"lap": 0.3, "down": 0.15, "front": 0.2, "forward": 0.15, "clasped": 0.1, "hips": 0.1}
    return s


def _lie(rng, physique: Physique) -> Stance:
    """On the back, the front or a side."""
    quarter = {"back": -1.0, "front": 1.0, "side": 0.0}
    way = ("back", "back", "front", "side")[int(rng.integers(4))]
    s = Stance(looks=way != "front")
    tilt = rotations(np.array([quarter[way] * np.pi / 2, 0, 0]))
    if way == "side":
        tilt = rotations(np.array([0, np.pi / 2, 0]))
    s.root = rotations(np.array([0, 0, rng.uniform(-np.pi, np.pi)])) @ tilt
    bend = rng.uniform(0, 1.3) if way == "side" or (way == "back" and rng.random() < 0.4) else 0.0
    for k, side in enumerate((1, -1)):
        forward = bend * rng.uniform(0.6, 1.0) + rng.normal(0, 0.05)
        knee = bend * rng.uniform(1.2, 1.7) + rng.uniform(0, 0.15)
        s.thigh[k] = s.root @ direction(rng.uniform(0.0, 0.25), forward, side)
        s.shin[k] = s.root @ direction(rng.uniform(0.0, 0.2), forward - knee, side)
    s.spine = rng.normal((0.1 if way == "side" else 0.0, 0, 0), 0.08)
    s.arms = {"down": 0.35, "chest": 0.2, "raised": 0.15, "outward": 0.2, "hair": 0.1}
    return s


def _wild(rng, physique: Physique) -> Stance:
    """Dancing, sport, play: everything larger."""
    s = Stance(root=rotations(rng.normal(0, (0.15, 0.1, 0.1))))
    s.spine = rng.normal((0.1, 0, 0), (0.25, 0.18, 0.3))
    for k, side in enumerate((1, -1)):
        forward = rng.uniform(-0.5, 1.4)
        s.thigh[k] = direction(rng.uniform(-0.05, 0.7), forward, side)
        s.shin[k] = direction(rng.uniform(-0.1, 0.4), forward - rng.uniform(0, 1.5), side)
    s.arms = {"wild": 0.5, "raised": 0.12, "outward": 0.15, "forward": 0.13, "run": 0.05, "point": 0.05}
    return s


STANCES: dict[str, Callable[..., Stance]] = {
    "stand": _stand,
    "contrapposto": _contrapposto,
    "crossed_legs": _crossed_legs,
    "walk": _walk,
    "run": _run,
    "stairs": _stairs,
    "bend": _bend,
    "lean": _lean,
    "crouch": _crouch,
    "sit": _sit,
    "sit_floor": _sit_floor,
    "cross_legged": _cross_legged,
    "kneel": _kneel,
    "lie": _lie,
    "wild": _wild,
}
