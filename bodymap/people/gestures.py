"""What arms and hands do: hanging, on the hips, crossed, at the ear, behind the back, carrying, ...

A gesture says for one arm where the wrist goes, in a frame of the trunk, the head or a thigh, where the elbow points,
how the palm faces and where the fingers point; or it gives the directions of both halves of the arm. Those that touch
the body take its surface from the person's capsules, so that hands rest on fat and thin people alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bodymap.people.limbs import direction
from bodymap.people.physique import CAPSULE, FRAME, Physique, Skeleton

Vector = Float[np.ndarray, " xyz=3"]


@dataclass(frozen=True)
class Gesture:
    """What one arm does. All in the frame of the posed pelvis; palm and fingers may be None: as they come.

    Attributes:
        wrist: where the wrist goes, metres; None: ``upper`` and ``fore`` are unit directions of the arm's halves.
        pole: where the elbow points.
        palm: the way the palm faces.  fingers: the way from the wrist to the knuckles.
        hand: a shape of ``hands.SHAPES``.  touches: it rests on the body, so noise is kept small.
    """

    wrist: Vector | None = None
    pole: Vector | None = None
    upper: Vector | None = None
    fore: Vector | None = None
    palm: Vector | None = None
    fingers: Vector | None = None
    hand: str | None = None
    touches: bool = False


class Self:
    """The person's own body as a gesture sees it: trunk, head and legs posed, arms still to come."""

    def __init__(self, physique: Physique, skeleton: Skeleton, phase: float = 0.0):
        self.physique, self.skeleton, self.phase = physique, skeleton, phase
        self.chest = skeleton.rotation[0, FRAME["spine01"]]
        self.head = skeleton.rotation[0, FRAME["head"]]
        self.forearm = float(physique.radius[CAPSULE["forearm.L"]].max())
        self.palm = float(physique.radius[CAPSULE["palm.L"]].max())

    def trunk(self, height: float, angle: float, away: float) -> tuple[Vector, Vector]:
        """A point ``away`` metres off the trunk's surface (see ``Physique.surface``), and the normal there."""
        point, normal, frame = self.physique.surface(height, angle)
        turn = self.skeleton.rotation[0, frame]
        return self.physique.carried(point, frame, self.skeleton) + away * (turn @ normal), turn @ normal

    def on_head(self, side: float, front: float, up: float) -> Vector:
        """A point about the head: in radii of the skull from its middle."""
        p = self.physique
        k = CAPSULE["skull"]
        point = p.end[k].mean(0) + p.radius[k, 0] * np.array([side, -front, up])
        return p.carried(point, FRAME["head"], self.skeleton)

    def on_thigh(self, along: float, away: float, side: int) -> tuple[Vector, Vector]:
        """A point above the thigh, ``along`` of the way to the knee, and the way up from there."""
        p, k = self.physique, CAPSULE["thigh.L" if side > 0 else "thigh.R"]
        frame = int(p.owner[k])
        turn = self.skeleton.rotation[0, frame]
        up = turn @ np.array([0, -1.0, 0])  # the front of a hanging thigh is the top of a sitting person's
        point = p.end[k, 0] + along * (p.end[k, 1] - p.end[k, 0])
        thick = p.radius[k, 0] + along * (p.radius[k, 1] - p.radius[k, 0])
        return p.carried(point, frame, self.skeleton) + (thick + away) * up, up


# ------------------------------------------------------------------ arms in the air
def _down(rng, me: Self, side: int) -> Gesture:
    upper = direction(rng.uniform(0.08, 0.3), rng.normal(0, 0.13), side)
    fore = direction(rng.uniform(-0.06, 0.2), rng.uniform(0.05, 0.5), side)
    return Gesture(upper=me.chest @ upper, fore=me.chest @ fore)


def _swing(rng, me: Self, side: int) -> Gesture:
    s = -side * me.phase
    upper = direction(rng.uniform(0.1, 0.24), s, side)
    return Gesture(
        upper=me.chest @ upper, fore=me.chest @ direction(rng.uniform(-0.05, 0.15), s + rng.uniform(0.15, 0.7), side)
    )


def _run(rng, me: Self, side: int) -> Gesture:
    s = -side * me.phase * 0.9 - 0.15
    upper, fore = (
        direction(rng.uniform(0.15, 0.4), s, side),
        direction(-rng.uniform(0, 0.5), s + rng.uniform(1.2, 1.9), side),
    )
    return Gesture(upper=me.chest @ upper, fore=me.chest @ fore, hand="fist" if rng.random() < 0.6 else "relaxed")


def _raised(rng, me: Self, side: int) -> Gesture:
    upper = direction(rng.uniform(1.3, 2.7), rng.uniform(-0.1, 0.7), side)
    fore = direction(rng.uniform(2.2, 3.2), rng.uniform(-0.2, 0.6), side)
    return Gesture(upper=me.chest @ upper, fore=me.chest @ fore)


def _wave(rng, me: Self, side: int) -> Gesture:
    upper = direction(rng.uniform(0.7, 1.7), rng.uniform(0.0, 0.7), side)
    fore = direction(rng.uniform(2.3, 3.1), rng.uniform(-0.1, 0.3), side)
    palm = me.chest @ np.array([0.2 * side, -1.0, 0])
    return Gesture(
        upper=me.chest @ upper, fore=me.chest @ fore, palm=palm, hand="flat" if rng.random() < 0.6 else "spread"
    )


def _point(rng, me: Self, side: int) -> Gesture:
    out, forward = rng.uniform(-0.1, 1.5), rng.uniform(0.9, 1.8)
    upper, fore = (
        direction(out, forward, side),
        direction(out + rng.normal(0, 0.15), forward + rng.uniform(0, 0.3), side),
    )
    return Gesture(
        upper=me.chest @ upper, fore=me.chest @ fore, palm=me.chest @ np.array([-0.5 * side, 0, -1.0]), hand="point"
    )


def _outward(rng, me: Self, side: int) -> Gesture:
    """Stretched out to the side: balancing, measuring, dancing."""
    out, forward = rng.uniform(0.9, 1.8), rng.uniform(-0.3, 0.8)
    fore = direction(out + rng.normal(0, 0.25), forward + rng.uniform(0, 0.5), side)
    return Gesture(upper=me.chest @ direction(out, forward, side), fore=me.chest @ fore)


def _forward(rng, me: Self, side: int) -> Gesture:
    """Reaching for something ahead, up or down."""
    lift = rng.uniform(0.5, 2.2)
    upper = direction(rng.uniform(-0.1, 0.5), lift, side)
    fore = direction(rng.uniform(-0.4, 0.3), lift + rng.uniform(0, 0.7), side)
    return Gesture(upper=me.chest @ upper, fore=me.chest @ fore, hand="cup" if rng.random() < 0.3 else None)


def _wild(rng, me: Self, side: int) -> Gesture:
    upper = direction(rng.uniform(0, 2.2), rng.uniform(-0.6, 2.0), side)
    fore = upper + rng.normal(0, 0.75, 3) + np.array([-0.3 * side, -0.55, 0.2])
    return Gesture(upper=me.chest @ upper, fore=me.chest @ (fore / np.linalg.norm(fore)))


def _behind_on_floor(rng, me: Self, side: int) -> Gesture:
    """Leaning back on a hand."""
    upper = direction(rng.uniform(0.15, 0.5), -rng.uniform(0.5, 0.9), side)
    return Gesture(
        upper=me.chest @ upper,
        fore=me.chest @ direction(rng.uniform(0.05, 0.3), -rng.uniform(0.3, 0.6), side),
        palm=np.array([0, 0.2, -1.0]),
        hand="flat",
    )


# ------------------------------------------------------------------ hands on the body
def _hips(rng, me: Self, side: int) -> Gesture:
    at, normal = me.trunk(rng.uniform(0.2, 0.34), side * rng.uniform(1.5, 2.0), me.palm + rng.uniform(0.012, 0.03))
    forward = me.chest @ np.array([0, -1.0, 0])
    hand = _any(rng, "flat", "flat", "relaxed", "relaxed", "fist")
    if hand == "fist":
        fingers, palm = forward - normal * 0.2 + np.array([0, 0, -0.5]), np.array([0, 0.5, -1.0])
    else:
        fingers, palm = forward - 0.25 * normal + np.array([0, 0, -rng.uniform(0.2, 0.9)]), -normal
    pole = me.chest @ np.array([side, rng.uniform(-0.1, 0.8), 0.0])
    return Gesture(at, pole, palm=palm, fingers=fingers, hand=hand, touches=True)


def _pocket(rng, me: Self, side: int) -> Gesture:
    at, normal = me.trunk(rng.uniform(0.1, 0.22), side * rng.uniform(0.95, 1.35), me.palm + rng.uniform(0.0, 0.012))
    fingers = me.skeleton.rotation[0, 0] @ np.array([-0.1 * side, -0.35, -1.0])
    pole = me.chest @ np.array([0.7 * side, rng.uniform(0.5, 1.0), 0])
    return Gesture(at, pole, palm=-normal, fingers=fingers, hand="relaxed", touches=True)


def _back_pocket(rng, me: Self, side: int) -> Gesture:
    at, normal = me.trunk(rng.uniform(0.1, 0.22), side * rng.uniform(2.2, 2.6), me.palm + 0.012)
    pole = me.chest @ np.array([0.8 * side, 1.0, 0])
    return Gesture(at, pole, palm=-normal, fingers=np.array([-0.15 * side, 0, -1.0]), hand="flat", touches=True)


def _crossed(rng, me: Self, side: int, over: bool) -> Gesture:
    """One forearm on the chest, the other on it; the hands at the other arm's elbow."""
    height = 0.6 if over else 0.55
    away = me.forearm * (2.9 if over else 1.0) + 0.006
    at, normal = me.trunk(height, -side * (0.42 if over else 0.5), away)
    across = me.chest @ np.array([-side, 0.25 if over else 0.35, 0.12])
    pole = me.chest @ np.array([0.9 * side, 0.1, -1.0])
    return Gesture(
        at, pole, palm=-normal, fingers=across, hand="flat" if rng.random() < 0.5 else "relaxed", touches=True
    )


def _clasped(rng, me: Self, side: int, height: float, away: float) -> Gesture:
    """Both hands together before the body."""
    at, normal = me.trunk(height, side * 0.35, away)
    at = at + me.chest @ np.array([side * 0.035, 0, 0.012 * side])
    fingers = me.chest @ np.array([-0.75 * side, -0.25, -0.7])
    palm = -0.6 * normal + me.chest @ np.array([-0.7 * side, 0, 0])
    pole = me.chest @ np.array([side, 0.5, -0.3])
    return Gesture(at, pole, palm=palm, fingers=fingers, hand="cup", touches=True)


def _behind(rng, me: Self, side: int, height: float) -> Gesture:
    """Hands clasped behind the back, one in the other."""
    over = side > 0
    at, normal = me.trunk(height + (0.07 if over else 0.0), side * 2.55, me.palm + (0.045 if over else 0.008))
    fingers = me.chest @ np.array([-1.0 * side, 0.1, -0.6])
    pole = me.chest @ np.array([side, 0.7, 0.1])
    return Gesture(at, pole, palm=normal, fingers=fingers, hand="relaxed", touches=True)


def _phone(rng, me: Self, side: int) -> Gesture:
    at = me.on_head(side * 1.75, rng.uniform(0.5, 0.8), -rng.uniform(1.5, 1.75))
    fingers = me.head @ np.array([0.02 * side, 0.3, 1.0])
    pole = me.chest @ np.array([0.6 * side, -rng.uniform(0.2, 0.8), -1.0])
    return Gesture(at, pole, palm=me.head @ np.array([-side, 0.1, 0]), fingers=fingers, hand="grip", touches=True)


def _face(rng, me: Self, side: int) -> Gesture:
    """At the chin, the cheek or the mouth."""
    at = me.on_head(side * rng.uniform(0.3, 0.9), rng.uniform(2.0, 2.3), -rng.uniform(1.9, 2.3))
    pole = me.chest @ np.array([0.45 * side, -0.3, -1.0])
    fingers = me.head @ np.array([-0.2 * side, 0.45, 1.0])
    return Gesture(
        at,
        pole,
        palm=me.head @ np.array([-0.2 * side, 1.0, 0]),
        fingers=fingers,
        hand=_any(rng, "relaxed", "fist", "point"),
        touches=True,
    )


def _hair(rng, me: Self, side: int) -> Gesture:
    """In the hair, on top or at the back of the head."""
    back = rng.random() < 0.5
    at = me.on_head(side * (1.5 if back else 1.45), -0.5 if back else 0.75, 0.2 if back else 0.95)
    fingers = me.head @ np.array([-side * 0.7, 0.6, 0.35] if not back else [-side, 0.3, 0.0])
    palm = me.head @ np.array([-side * 0.5, 0.15, -1.0] if not back else [-side * 0.25, -1.0, -0.1])
    pole = me.chest @ np.array([side, -0.25, 0.6])
    return Gesture(at, pole, palm=palm, fingers=fingers, hand="flat", touches=True)


def _strap(rng, me: Self, side: int) -> Gesture:
    """Holding a strap at the shoulder."""
    at, normal = me.trunk(rng.uniform(0.72, 0.82), side * rng.uniform(0.75, 1.0), me.palm + 0.02)
    fingers = me.chest @ np.array([-0.25 * side, 0.1, 1.0])
    pole = me.chest @ np.array([0.6 * side, 0.1, -1.0])
    return Gesture(at, pole, palm=-normal, fingers=fingers, hand="fist", touches=True)


def _chest(rng, me: Self, side: int) -> Gesture:
    """A hand laid on the chest or the belly."""
    at, normal = me.trunk(rng.uniform(0.35, 0.75), side * rng.uniform(-0.1, 0.5), me.palm + 0.012)
    pole = me.chest @ np.array([side, -0.1, -0.6])
    fingers = me.chest @ np.array([-side, 0.0, rng.uniform(-0.2, 0.5)])
    return Gesture(at, pole, palm=-normal, fingers=fingers, hand="flat", touches=True)


def _other_arm(rng, me: Self, side: int) -> Gesture:
    """Across the belly, holding the other arm's elbow."""
    at, normal = me.trunk(rng.uniform(0.42, 0.5), -side * 0.6, me.forearm + 0.012)
    fingers = me.chest @ np.array([-side, 0.45, 0.0])
    pole = me.chest @ np.array([0.9 * side, 0.2, -1.0])
    return Gesture(at, pole, palm=-normal, fingers=fingers, hand="relaxed", touches=True)


def _front(rng, me: Self, side: int) -> Gesture:
    """Before the belly or the chest: looking at a phone, talking, holding a cup."""
    at, normal = me.trunk(rng.uniform(0.3, 0.75), side * rng.uniform(0.0, 0.8), rng.uniform(0.12, 0.3))
    fingers = me.chest @ np.array([-side * rng.uniform(0, 0.8), -1.0, rng.uniform(-0.1, 0.8)])
    palm = me.chest @ np.array([-side, rng.uniform(-0.2, 0.6), rng.uniform(-0.6, 1.0)])
    pole = me.chest @ np.array([0.6 * side, 0.3, -1.0])
    return Gesture(at, pole, palm=palm, fingers=fingers, hand=_any(rng, "relaxed", "grip", "cup", "flat"))


def _carry(rng, me: Self, side: int, height: float, wide: float, away: float) -> Gesture:
    """Both forearms ahead, as under a box or a tray."""
    at, _ = me.trunk(height, 0.0, away)
    at = at + me.chest @ np.array([side * wide, 0, 0])
    palm = me.chest @ np.array([-side, 0, 0.9])
    pole = me.chest @ np.array([0.4 * side, 0.6, -1.0])
    return Gesture(at, pole, palm=palm, fingers=me.chest @ np.array([-0.25 * side, -1.0, 0.0]), hand="cup")


def _lap(rng, me: Self, side: int) -> Gesture:
    """A hand on the own thigh, for those who sit."""
    at, up = me.on_thigh(rng.uniform(0.4, 0.8), me.palm + 0.012, side)
    thigh = me.skeleton.rotation[0, FRAME["thigh.L" if side > 0 else "thigh.R"]]
    along = thigh @ np.array([0, 0, -1.0])
    pole = me.chest @ np.array([side, 0.4, -0.2])
    fingers = along - side * rng.uniform(0, 0.7) * me.skeleton.rotation[0, 0][:, 0]
    return Gesture(at, pole, palm=-up, fingers=fingers, hand=_any(rng, "flat", "relaxed"), touches=True)


def _knees(rng, me: Self, side: int) -> Gesture:
    """Propped on the knees: crouching, out of breath, waiting."""
    at, up = me.on_thigh(rng.uniform(0.75, 0.95), me.palm + 0.012, side)
    pole = me.chest @ np.array([side, 0.2, 0.3])
    thigh = me.skeleton.rotation[0, FRAME["thigh.L" if side > 0 else "thigh.R"]]
    fingers = thigh @ np.array([-0.3 * side, 0.2, -1.0])
    return Gesture(at, pole, palm=-up, fingers=fingers, hand="flat", touches=True)


def _any(rng, *names: str) -> str:
    return names[int(rng.integers(len(names)))]


SINGLE: dict[str, Callable[..., Gesture]] = {
    "down": _down,
    "swing": _swing,
    "run": _run,
    "hips": _hips,
    "pocket": _pocket,
    "back_pocket": _back_pocket,
    "front": _front,
    "raised": _raised,
    "wave": _wave,
    "point": _point,
    "outward": _outward,
    "forward": _forward,
    "wild": _wild,
    "phone": _phone,
    "face": _face,
    "hair": _hair,
    "strap": _strap,
    "chest": _chest,
    "elbow": _other_arm,
    "lap": _lap,
    "knees": _knees,
    "prop": _behind_on_floor,
}
# gestures of both arms together: one draw serves both
DOUBLE = ("crossed", "clasped", "behind", "carry")
# by how much an arm's girdle rises, radians (least, most)
GIRDLE = {
    "raised": (0.2, 0.5),
    "wave": (0.05, 0.25),
    "hair": (0.2, 0.4),
    "outward": (0.0, 0.2),
    "wild": (0.0, 0.2),
    "prop": (0.0, 0.2),
}


def draw_gestures(rng: np.random.Generator, styles: tuple[str, str], me: Self) -> tuple[Gesture, Gesture]:
    """The left and the right arm's gesture. A style of DOUBLE must be both arms'."""
    if styles[0] in DOUBLE:
        return _double(rng, styles[0], me)
    left, right = (SINGLE[style](rng, me, side) for style, side in zip(styles, (1, -1), strict=True))
    return left, right


def _double(rng, style: str, me: Self) -> tuple[Gesture, Gesture]:
    if style == "crossed":
        top = rng.random() < 0.5
        return _crossed(rng, me, 1, top), _crossed(rng, me, -1, not top)
    if style == "clasped":
        height, away = rng.uniform(0.05, 0.4), me.palm + rng.uniform(0.03, 0.1)
        return _clasped(rng, me, 1, height, away), _clasped(rng, me, -1, height, away)
    if style == "behind":
        height = rng.uniform(0.16, 0.32)
        return _behind(rng, me, 1, height), _behind(rng, me, -1, height)
    height, wide, away = rng.uniform(0.15, 0.55), rng.uniform(0.1, 0.24), rng.uniform(0.14, 0.3)
    return _carry(rng, me, 1, height, wide, away), _carry(rng, me, -1, height, wide, away)
