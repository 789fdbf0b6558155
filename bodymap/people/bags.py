"""Bags of all kinds: what they are made of, and how they hang from hands, arms, shoulders and backs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bodymap.people import shells
from bodymap.people.fitting import Worn
from bodymap.people.material import Material, cloth_colour, hsv
from bodymap.people.mesh import Piece, cut
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.primitives import Solid, as_piece, box, merge, moved, rounded, sheet, tube
from bodymap.people.props import plain
from bodymap.people.shape import Body
from bodymap.people.skinning import Posed
from bodymap.people.wardrobe import Wardrobe
from bodymap.types import LAYER_NAMES

CARRIED = LAYER_NAMES.index("carried")
# A forearm that rises or falls less than this (sine of its slope) carries a bag in the bend of the elbow.
_LEVEL = 0.75

Parts = list[tuple[Solid, Material]]


# ------------------------------------------------------------------ how they hang
@dataclass(frozen=True)
class Hang:
    """Hangs a solid straight down from a hand, its flat side along the leg.

    With an ``elbow`` it hangs in the bend of that arm as long as the forearm is about level; from a hanging arm it has
    slid down into the hand.
    """

    solid: np.ndarray
    hand: int
    knuckle: int
    root: int
    outward: float
    tilt: float
    elbow: int | None = None

    def __call__(self, skin: np.ndarray, posed: Posed | None) -> np.ndarray:
        """Vertices in the pose; ``solid`` hangs below its origin, x along the walking direction."""
        at = 0.25 * posed.position[self.hand] + 0.75 * posed.position[self.knuckle]
        if self.elbow is not None:
            forearm = posed.position[self.hand] - posed.position[self.elbow]
            if abs(forearm[2]) < _LEVEL * np.linalg.norm(forearm):
                at = posed.position[self.elbow] + 0.3 * forearm
        return _below(self.solid, at, posed, self.root, self.outward, self.tilt)


@dataclass(frozen=True)
class OnShoulder:
    """Hangs a solid from a shoulder: beside the trunk, a little behind the arm. ``reach``: out and back, metres."""

    solid: np.ndarray
    hand: int  # the bone that it hangs from: the upper arm's
    neck: int
    root: int
    side: float
    reach: tuple[float, float]
    tilt: float

    def __call__(self, skin: np.ndarray, posed: Posed | None) -> np.ndarray:
        """Vertices in the pose; ``solid`` hangs below its origin, x along the walking direction."""
        out, back = self.reach
        top = 0.8 * posed.position[self.hand] + 0.2 * posed.position[self.neck]
        top = np.append(top[:2], max(posed.position[self.hand][2], top[2])) + np.array([0, 0, 0.05])
        left, front = _floor_axes(posed, self.root)
        # straps run from the shoulder's top outwards and back to where the bag is
        share = np.clip(-self.solid[:, 2:] / 0.2, 0, 1)
        vertices = _below(self.solid, top, posed, self.root, 0.0, self.tilt)
        return (vertices + share * (left * self.side * out - front * back)).astype(np.float32)


def _floor_axes(posed: Posed, root: int) -> tuple[np.ndarray, np.ndarray]:
    """The person's left and front, level with the floor."""
    left = posed.rotation[root][:, 0].astype(float)
    left[2] = 0
    left /= max(np.linalg.norm(left), 1e-6)
    return left, np.array([left[1], -left[0], 0.0])


def _below(solid: np.ndarray, at: np.ndarray, posed: Posed, root: int, outward: float, tilt: float) -> np.ndarray:
    left, front = _floor_axes(posed, root)
    c, s = np.cos(tilt), np.sin(tilt)
    down = np.array([0, 0, 1.0])
    rotation = np.stack([c * front + s * down, left, -s * front + c * down], 1)
    return (at + left * outward + solid @ rotation.T).astype(np.float32)


# ------------------------------------------------------------------ what they are made of
def _metal(rng) -> Material:
    colour = np.array([0.85, 0.62, 0.25]) if rng.random() < 0.5 else np.full(3, rng.choice([0.1, 0.45, 0.75]))
    return plain(colour * rng.uniform(0.8, 1.1), 0.5, 50)


def _trim(rng, cloth: Material) -> Material:
    """Of handles and flaps: the bag's own leather, darker leather, or a colour of its own."""
    kind = rng.random()
    if kind < 0.5:
        return cloth
    if kind < 0.8:
        return plain(hsv(rng.uniform(0.03, 0.1), rng.uniform(0.4, 0.8), rng.uniform(0.08, 0.5)), 0.25, 30)
    return plain(np.asarray(cloth_colour(rng)), 0.2, 30)


def _bag(rng: np.random.Generator, half: tuple[float, float, float], drop: float, cloth: Material, kind: str) -> Parts:
    """A bag below the origin: handles, then a body ``drop`` lower, with what makers put on bags.

    Args:
        half: half sizes across, through and up, metres.
        kind: "soft", "stiff", "paper" (sharp edges, nothing on it) or "roll" (a travelling bag).
    """
    wide, deep, tall = half
    roundness = {"soft": rng.uniform(0.35, 0.7), "stiff": rng.uniform(0.15, 0.35), "roll": 0.55}.get(kind, 0.0)
    body = box(half, rows=3) if kind == "paper" else rounded(half, roundness, 24, 14)
    shape = body[0].astype(float)
    rise = shape[:, 2] / tall  # -1 at the bottom, 1 at the top
    if kind in ("soft", "stiff"):
        # wider above or below; a soft bag closes to a line at the top and sags
        shape[:, 0] *= 1 + rng.uniform(-0.3, 0.25) * rise
        shape[:, 1] *= 1 - (rng.uniform(0.2, 0.8) if kind == "soft" else rng.uniform(0, 0.5)) * np.clip(rise, 0, 1)
        if kind == "soft":
            wave = rng.uniform(0, 0.12) * np.sin(shape[:, 0] / wide * rng.uniform(2, 5) + rng.uniform(0, 6))
            shape[:, 2] += tall * wave * np.clip(rise, 0, 1)
    middle = -drop - tall
    parts: Parts = [((np.asarray(shape + [0, 0, middle], np.float32), body[1]), cloth)]
    trim, metal = _trim(rng, cloth), _metal(rng)

    # two handles, or one
    t = np.linspace(0, np.pi, 10)
    spread, rows = wide * rng.uniform(0.3, 0.7), rng.choice([1, 2], p=[0.25, 0.75])
    foot = rng.uniform(0, 0.6) * tall  # how far down the sides the handles are sewn on
    handles = []
    for y in (0.0,) if rows == 1 else (-0.8 * deep, 0.8 * deep):
        arch = np.stack([spread * np.cos(t), y * (1 - 0.7 * np.sin(t)), -drop - 0.02 + (drop + 0.02) * np.sin(t)], 1)
        ends = [[spread, y * 1.1, -drop - foot], [-spread, y * 1.1, -drop - foot]] if rows == 2 else []
        path = np.concatenate([ends[:1], arch, ends[1:]]) if ends else arch
        handles.append(tube(path, 0.003 if kind == "paper" else rng.uniform(0.005, 0.011), 6))
    parts.append((merge(*handles), trim))
    if kind == "paper":
        if rng.random() < 0.6:  # a label on both sides
            size = wide * rng.uniform(0.25, 0.7)
            label = box((size, deep + 0.002, size * rng.uniform(0.2, 1.0)))
            parts.append((moved(label, (0, 0, middle * rng.uniform(0.8, 1.2))), plain(np.asarray(cloth_colour(rng)))))
        return parts

    # flap, pocket, band; buckles and studs; a long strap that hangs down
    extras, buckles = [], []
    for y in (-deep, deep):
        if rng.random() < 0.4:  # a flap over the upper part
            low = rng.uniform(0.3, 0.8)
            flap = rounded((wide * rng.uniform(0.6, 0.95), deep * 0.35, tall * low), 0.3, 16, 8)
            extras.append(moved(flap, (0, y * 0.72, middle + tall * (1 - low))))
        elif rng.random() < 0.5:  # a pocket on the lower part
            pocket = rounded((wide * rng.uniform(0.35, 0.8), deep * 0.3, tall * rng.uniform(0.2, 0.45)), 0.3, 16, 8)
            extras.append(moved(pocket, (rng.normal(0, 0.1) * wide, y * 0.8, middle - tall * 0.3)))
        for _ in range(int(rng.integers(0, 4))):
            buckle = box((rng.uniform(0.005, 0.02), 0.004, rng.uniform(0.005, 0.015)))
            at = (rng.uniform(-0.7, 0.7) * wide, y * 1.06, middle + rng.uniform(-0.4, 0.7) * tall)
            buckles.append(moved(buckle, at))
    if rng.random() < 0.25:
        band = rounded((wide * 1.02, deep * 1.04, tall * rng.uniform(0.06, 0.3)), max(roundness, 0.2), 24, 6)
        extras.append(moved(band, (0, 0, middle + rng.uniform(-0.9, 0.2) * tall * 0.6)))
    if rng.random() < 0.3:
        sag = rng.uniform(0.5, 2.6) * tall
        end = wide * rng.uniform(0.6, 1.0)
        loop = np.stack([end * np.cos(t), np.full(10, deep * rng.choice([-1, 1])), -drop - sag * np.sin(t)], 1)
        extras.append(tube(loop, rng.uniform(0.004, 0.01), 6))
    if extras:
        parts.append((merge(*extras), trim))
    if buckles:
        parts.append((merge(*buckles), metal))
    return parts


def _kind(rng) -> str:
    return "soft" if rng.random() < 0.6 else "stiff"


# ------------------------------------------------------------------ in the hand, on the arm, on the shoulder
def _hand_bag(rng, wardrobe, body, cloth, side) -> list[Worn]:
    half = rng.uniform(0.08, 0.24), rng.uniform(0.03, 0.09), rng.uniform(0.07, 0.2)
    if rng.random() < 0.12:  # a clutch
        return _hung(rng, wardrobe, body, [(rounded((half[0], 0.02, half[2] * 0.6), 0.15), cloth)], side, "hand bag")
    return _hung(rng, wardrobe, body, _bag(rng, half, rng.uniform(0.05, 0.3), cloth, _kind(rng)), side, "hand bag")


def _arm_bag(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """In the bend of the elbow, where the forearm is level."""
    half = rng.uniform(0.09, 0.22), rng.uniform(0.04, 0.09), rng.uniform(0.08, 0.18)
    parts = _bag(rng, half, rng.uniform(0.08, 0.2), cloth, _kind(rng))
    return _hung(rng, wardrobe, body, parts, side, "arm bag", elbow=True)


def _travel_bag(rng, wardrobe, body, cloth, side) -> list[Worn]:
    radius = rng.uniform(0.09, 0.16)
    half = rng.uniform(0.18, 0.3), radius, radius * rng.uniform(0.9, 1.2)
    return _hung(rng, wardrobe, body, _bag(rng, half, rng.uniform(0.1, 0.2), cloth, "roll"), side, "travel bag")


def _shopping_bag(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """Paper or plastic: flat sides, a print."""
    half = rng.uniform(0.1, 0.2), rng.uniform(0.03, 0.08), rng.uniform(0.12, 0.24)
    cloth = replace(cloth, gloss=float(rng.uniform(0, 0.3)))
    return _hung(rng, wardrobe, body, _bag(rng, half, rng.uniform(0.08, 0.16), cloth, "paper"), side, "shopping bag")


def _coat_on_arm(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """A jacket or coat laid over a level forearm, or held by the hand."""
    along, around = 9, 22
    half, drop = rng.uniform(0.1, 0.2), rng.uniform(0.25, 0.5)
    x = np.linspace(-1, 1, along)[:, None]
    t = np.linspace(-1, 1, around)[None]  # from the outer hem over the arm to the inner one
    hang = np.clip((np.abs(t) - 0.25) / 0.75, 0, 1)
    wave = hang * (0.02 * np.cos(x * rng.uniform(4, 9) + rng.uniform(0, 6)))
    wide = 0.05 + 0.02 * hang + wave
    y = np.where(np.abs(t) < 0.25, 0.05 * np.sin(t / 0.25 * np.pi / 2), np.sign(t) * wide)
    top = 0.05 * np.cos(np.clip(t / 0.25, -1, 1) * np.pi / 2)
    lengths = drop * np.where(t > 0, rng.uniform(0.6, 1.0), 1.0) * (1 + 0.08 * np.sin(x * rng.uniform(1, 3)))
    z = top - hang * lengths - 0.01
    points = np.stack([half * x * (1 + 0.25 * hang) + 0 * t, y + 0 * x, z + 0 * x], -1)
    soft = replace(cloth, folds=max(cloth.folds, 0.5))
    # its thickness: seen from the end it is a bundle, not two sheets
    bundle = moved(rounded((0.9 * half, 0.055, 0.36 * drop), 0.5, 20, 10), (0, 0, -0.4 * drop - 0.02))
    solids = [(sheet(points), soft), (bundle, soft)]
    return _hung(rng, wardrobe, body, solids, side, "coat on arm", elbow=True)


def _hung(rng, wardrobe, body, parts: Parts, side: str, name: str, elbow: bool = False) -> list[Worn]:
    """Hangs solids from a hand, or from the bend of an arm."""
    scale = _scale(body)
    labels = wardrobe.pack.bones.labels
    hand, knuckle = labels.index(f"wrist.{side}"), labels.index(f"finger3-1.{side}")
    deep = float(np.abs(parts[0][0][0][:, 1]).max())
    outward = (1.0 if side == "L" else -1.0) * float(rng.uniform(0, deep))
    tilt = float(rng.normal(0, 0.08))
    fore = labels.index(f"lowerarm01.{side}") if elbow else None
    out = []
    for (vertices, triangles), material in parts:
        # the handles lie in the closed fingers
        solid = (vertices * scale + [0, 0, 0.015]).astype(np.float32), triangles
        truth = wardrobe.bind(by_the_hand(wardrobe, solid[0], side), ("hand",))
        piece = as_piece(solid, name, CARRIED, material, truth)
        drape = Hang(solid[0], hand, knuckle, labels.index("root"), outward, tilt, fore)
        out.append(Worn(replace(piece, drape=drape)))
    return out


def _tote(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """On the shoulder of its own side, beside or behind the arm."""
    half = rng.uniform(0.1, 0.22), rng.uniform(0.03, 0.08), rng.uniform(0.1, 0.2)
    parts = _bag(rng, half, rng.uniform(0.22, 0.45), cloth, "soft" if rng.random() < 0.75 else "stiff")
    scale = _scale(body)
    a, labels = wardrobe.anatomy, wardrobe.pack.bones.labels
    sign = 1.0 if side == "L" else -1.0
    arm = labels.index(f"upperarm01.{side}")
    reach = float(rng.uniform(0.0, 0.12)), float(rng.uniform(-0.06, 0.14))
    tilt = float(rng.normal(0, 0.06))
    out = []
    for (vertices, triangles), material in parts:
        solid = (vertices * scale).astype(np.float32), triangles
        # on the default body: against the side of the trunk
        flat = np.stack([sign * (0.12 + 0 * solid[0][:, 1]), -0.4 * solid[0][:, 0], 0.6 * solid[0][:, 2]], 1)
        hip, top = a.heads[f"upperleg01.{side}"], a.heads[f"upperarm01.{side}"]
        flat[:, 2] = np.clip(flat[:, 2] + top[2], hip[2] - 0.05, None)
        truth = wardrobe.bind(flat.astype(np.float32), ("torso", "leg"))
        piece = as_piece(solid, "tote", CARRIED, material, truth)
        drape = OnShoulder(solid[0], arm, labels.index("neck01"), labels.index("root"), sign, reach, tilt)
        out.append(Worn(replace(piece, drape=drape)))
    return out


def _scale(body: Body) -> float:
    return float(body.heads[:, 2].max() - body.vertices[:, 2].min()) / 1.6


def by_the_hand(wardrobe: Wardrobe, solid: np.ndarray, side: str) -> np.ndarray:
    """Where a hanging thing lies by the hand of the default body: along the fingers, for binding."""
    a = wardrobe.anatomy
    wrist, tip = a.heads[f"wrist.{side}"], a.heads[f"finger3-3.{side}"]
    down = (tip - wrist) / np.linalg.norm(tip - wrist)
    across = a.heads[f"finger2-1.{side}"] - a.heads[f"finger5-1.{side}"]
    across = across - down * (across @ down)
    across /= np.linalg.norm(across)
    through = np.cross(down, across)
    # shrunk into the hand's own size, so that the thing spreads over it instead of ending at its rim
    local = solid / np.abs(solid).max(0) * np.array([0.05, 0.03, 0.11])
    centre = a.heads[f"finger3-1.{side}"]
    return centre + local[:, :1] * across + local[:, 1:2] * through - (local[:, 2:] + 0.05) * down


# ------------------------------------------------------------------ on the back, across the chest
def _backpack(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """A rounded box on the back, and two straps around the shoulders."""
    a = wardrobe.anatomy
    chest = body.heads[wardrobe.pack.bones.index("spine02")]
    torso = body.vertices[:SKIN_VERTICES][a.of("torso")[:SKIN_VERTICES] > 0.9]
    near = torso[np.abs(torso[:, 2] - chest[2]) < 0.1]
    wide = 0.85 * np.abs(near[:, 0]).max() * rng.uniform(0.7, 1.05)
    tall, deep = rng.uniform(0.14, 0.26), rng.uniform(0.05, 0.12)
    centre = np.array([0, near[:, 1].max() + deep * 0.8, chest[2] + rng.uniform(-0.08, 0.02)])
    solid = moved(rounded((wide, deep, tall), rng.uniform(0.25, 0.55)), centre)
    flat = solid[0].copy()
    flat[:, 1] = np.minimum(flat[:, 1], near[:, 1].max())
    truth = wardrobe.bind(flat - chest + a.heads["spine02"], ("torso",))
    piece = as_piece(solid, "backpack", CARRIED, cloth, truth)
    bone = wardrobe.pack.bones.index("spine02")
    piece = replace(piece, skin_index=np.full((len(solid[0]), 6), bone))
    half = rng.uniform(0.01, 0.02)
    region = np.maximum(a.heads["spine03"][2] + 0.05 - a.rest[:, 2], (a.of("arm", "hand", "neck", "head") - 0.6) * 0.2)
    # over the shoulder, above shirt and jacket; it bends as they do, for it grows from the same mesh
    straps = _strap(wardrobe, body, lambda p: np.abs(p[:, 0]) - 0.095, half, region, 0.032, cloth, "straps", 10)
    return [Worn(piece), *([Worn(straps, on_cloth=True)] if len(straps.triangles) else [])]


def _strap(wardrobe, body, signed, half: float, region, off: float, cloth: Material, name: str, steps: int) -> Piece:
    """A band of one width where |signed| < half (metres, of places on the default body) within region < 0."""
    value = signed(wardrobe.anatomy.rest)
    level = np.maximum(np.maximum(value - half, region), -value - 0.06)
    offset = np.full(len(value), off, np.float32)
    piece = shells.grow(wardrobe, body, level.astype(np.float32), offset, cloth, CARRIED, name, "tights", steps)
    # one rim after the other: a band narrower than the triangles has no vertex in it
    return cut(piece, -signed(piece.rest) - half) if len(piece.triangles) else piece


def _shoulder_bag(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """A bag at the hip, or before it, on a strap across the chest."""
    a = wardrobe.anatomy
    sign = 1.0 if side == "L" else -1.0
    bones = wardrobe.pack.bones
    hip = body.heads[bones.index(f"upperleg01.{side}")]
    half = rng.uniform(0.08, 0.17), rng.uniform(0.025, 0.06), rng.uniform(0.06, 0.14)
    skin = body.vertices[:SKIN_VERTICES][a.of("torso", "leg")[:SKIN_VERTICES] > 0.9]
    near = skin[np.abs(skin[:, 2] - hip[2]) < 0.06]
    angle = rng.uniform(-0.3, 1.1)  # from the side towards the front
    outward = np.array([sign * np.cos(angle), -np.sin(angle), 0.0])
    reach = float((near[:, :2] @ outward[:2]).max()) + half[1] + 0.02
    top = np.array([0, 0.3 * hip[1], hip[2] + half[2] + rng.uniform(-0.02, 0.12)]) + reach * outward
    across = np.array([-outward[1], outward[0], 0.0])
    axes = np.stack([across, outward, [0, 0, 1.0]], 1)
    out = []
    for solid, material in _bag(rng, half, 0.02, cloth, _kind(rng)):
        placed = moved(solid, top, axes)
        truth = wardrobe.bind(placed[0] + (a.heads[f"upperleg01.{side}"] - hip), ("torso", "leg"))
        piece = as_piece(placed, "shoulder bag", CARRIED, material, truth)
        out.append(Worn(replace(piece, skin_index=np.full((len(placed[0]), 6), bones.index("root")))))
    # a band from this hip over the other shoulder
    shoulder = a.heads["shoulder01.R" if side == "L" else "shoulder01.L"] * np.array([0.9, 1, 1])
    low = a.heads[f"upperleg01.{side}"] + np.array([sign * 0.06, 0, 0.08])
    along = shoulder - low
    normal = np.array([along[2], 0, -along[0]]) / np.hypot(along[0], along[2])
    half_width = rng.uniform(0.01, 0.025)
    region = (a.of("arm", "hand", "neck", "head", "leg", "foot") - 0.25) * 0.2
    strap = _strap(wardrobe, body, lambda p: (p - low) @ normal, half_width, region, 0.036, cloth, "strap", 3)
    return [*out, *([Worn(strap, on_cloth=True)] if len(strap.triangles) else [])]


BAGS = {
    "hand_bag": _hand_bag,
    "arm_bag": _arm_bag,
    "tote": _tote,
    "travel_bag": _travel_bag,
    "shopping_bag": _shopping_bag,
    "shoulder_bag": _shoulder_bag,
    "backpack": _backpack,
    "coat_on_arm": _coat_on_arm,
}
