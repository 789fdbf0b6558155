"""What is worn besides clothes: belts, ties, gloves, socks, watches, chains, waist bags; a registry with ``headwear``.

Layers: belts are part of the lower clothing, ties and gloves of the upper, socks of the shoes. Watches, bracelets,
necklaces and waist bags are ``carried``: they are no garments, and the layer ``skin`` is kept for pixels that show the
template's own surface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bodymap.errors import UserError
from bodymap.people import headwear, shells
from bodymap.people.fitting import Worn, fitted, frame_at
from bodymap.people.headwear import jewellery
from bodymap.people.mesh import cut, keep_triangles
from bodymap.people.overwear import tied_jacket
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.primitives import lathe, moved, rounded, sheet
from bodymap.people.props import calm, plain
from bodymap.types import LAYER_NAMES

if TYPE_CHECKING:
    from bodymap.people.dressing import Dresser

UPPER, LOWER, SHOES, CARRIED = (LAYER_NAMES.index(name) for name in ("upper", "lower", "shoes", "carried"))
# Worn by men about so many times as often as by women, and seldom together with another.
_BY_MEN = {"tie": 3.0, "earrings": 0.2, "necklace": 0.4, "bracelet": 0.6}
_NOT_WITH = {"sunglasses": "glasses"}


def worn_things(rng: np.random.Generator, dresser: Dresser) -> list[Worn]:
    """Everything of ``OutfitConfig.worn`` that this person wears, in an order to put it on.

    Raises:
        UserError: there is no thing of a name.
    """
    out: list[Worn] = []
    chosen: set[str] = set()
    for name, chance in dresser.config.worn.items():
        if name not in WORN:
            raise UserError(f'There is nothing "{name}" to wear; there are {", ".join(sorted(WORN))}.')
        factor = 1.0 if dresser.body.female else _BY_MEN.get(name, 1.0)
        if rng.random() >= chance * factor or _NOT_WITH.get(name) in chosen:
            continue
        chosen.add(name)
        out += WORN[name](rng, dresser)
    return out


def _strip(d: Dresser, level: np.ndarray, offset: float, material, layer: int, name: str, source="skin", steps=2):
    """A band grown from the skin; [] where nothing is left of it."""
    away = np.full(len(d.a.rest), offset, np.float32)
    piece = shells.grow(d.wardrobe, d.body, level.astype(np.float32), away, material, layer, name, source, steps)
    return [piece] if len(piece.triangles) else []


def _band(d: Dresser, signed, half: float, region: np.ndarray, offset: float, material, layer: int, name: str):
    """A strip where |signed| < half within a region (level < 0), however narrow; [] where nothing is left of it.

    Args:
        signed: of places on the default body (n, 3) -> metres from the strip's middle line.
    """
    value = signed(d.a.rest)
    level = np.maximum(np.maximum(region, value - half), -value - 0.03)
    out = []
    # one rim after the other: a strip narrower than the triangles has no vertex in it
    for piece in _strip(d, level, offset, material, layer, name):
        piece = cut(piece, -signed(piece.rest) - half)
        out += [piece] if len(piece.triangles) else []
    return out


def _on_arm(d: Dresser, side: float, along: float):
    """(metres from a ring around one forearm as a function of places, that forearm's region): see ``_band``.

    ``along``: metres from the shoulder.
    """
    a, letter = d.a, "L" if side > 0 else "R"
    elbow, wrist = a.heads[f"lowerarm01.{letter}"], a.heads[f"wrist.{letter}"]
    axis = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    region = np.maximum((0.5 - a.of("arm", "hand")) * 0.2, 0.1 - side * a.rest[:, 0])
    return lambda places: (places - elbow) @ axis - (along - a.elbow), region


def watch(rng: np.random.Generator, d: Dresser) -> list[Worn]:
    """A strap and a dial on the back of the wrist."""
    side = 1.0 if rng.random() < 0.7 else -1.0
    letter = "L" if side > 0 else "R"
    along = d.a.arm_length - rng.uniform(0.012, 0.03)
    strap = plain(np.full(3, rng.uniform(0.03, 0.25)), 0.2) if rng.random() < 0.6 else jewellery(rng)
    signed, region = _on_arm(d, side, along)
    pieces = _band(d, signed, rng.uniform(0.006, 0.011), region, 0.0022, strap, CARRIED, "watch strap")
    heads, rest = d.a.heads, d.a.rest[:SKIN_VERTICES]
    down = heads[f"finger3-1.{letter}"] - heads[f"wrist.{letter}"]
    palm = _palm(d, letter)
    ring = np.flatnonzero((np.abs(d.a.arm[:SKIN_VERTICES] - along) < 0.012) & (side * rest[:, 0] > 0.1))
    if not len(ring) or not pieces:
        return []
    vertex = int(ring[(-(rest[ring] @ palm)).argmax()])
    axes = frame_at(d.body, vertex, down)
    radius, flat = rng.uniform(0.013, 0.021) * _grown(d), 0.0035
    if rng.random() < 0.7:
        case = lathe([(0, 0), (radius, 0), (radius, flat), (radius * 0.9, flat * 1.4), (0, flat * 1.4)], 16)
        face = lathe([(radius * 0.82, flat * 1.5), (0, flat * 1.5)], 16)
    else:
        case = moved(rounded((radius, radius * 0.85, flat), 0.35, 16, 8), (0, 0, flat))
        face = moved(rounded((radius * 0.85, radius * 0.7, flat * 0.3), 0.35, 16, 6), (0, 0, flat * 1.9))
    at = d.body.vertices[vertex] + axes[:, 2] * 0.001
    dark = plain(np.full(3, rng.choice([0.04, 0.9])), 0.5, 50)
    groups = ("hand", "arm")
    for solid, material in ((case, jewellery(rng)), (face, dark)):
        piece = fitted(d.wardrobe, d.body, moved(solid, at, axes), "watch", CARRIED, material, groups)
        index, weight = d.pack.skin_index[vertex], d.pack.skin_weight[vertex]
        count = len(piece.vertices)
        pieces.append(replace(piece, skin_index=np.tile(index, (count, 1)), skin_weight=np.tile(weight, (count, 1))))
    return [Worn(piece) for piece in pieces]


def _palm(d: Dresser, letter: str) -> np.ndarray:
    """Unit direction out of the palm on the default body."""
    heads = d.a.heads
    along = heads[f"finger3-1.{letter}"] - heads[f"wrist.{letter}"]
    palm = np.cross(along, heads[f"finger2-1.{letter}"] - heads[f"finger5-1.{letter}"])
    palm = palm / np.linalg.norm(palm)
    return palm * (np.sign((heads[f"finger1-2.{letter}"] - heads[f"finger3-1.{letter}"]) @ palm) or 1.0)


def _grown(d: Dresser) -> float:
    """This body's size as a share of the default one's: things for children are smaller."""
    tall = d.body.vertices[:SKIN_VERTICES, 2]
    default = d.a.rest[:SKIN_VERTICES, 2]
    return float((tall.max() - tall.min()) / (default.max() - default.min()))


def bracelet(rng: np.random.Generator, d: Dresser) -> list[Worn]:
    """One to four rings or bands around a wrist."""
    side = rng.choice([-1.0, 1.0])
    material = jewellery(rng)
    at, out = d.a.arm_length - rng.uniform(0.0, 0.015), []
    for _ in range(int(rng.integers(1, 5))):
        half = rng.uniform(0.0012, 0.006)
        signed, region = _on_arm(d, side, at)
        out += _band(d, signed, half, region, rng.uniform(0.002, 0.004), material, CARRIED, "bracelet")
        at -= 2 * half + rng.uniform(0.001, 0.004)
    return [Worn(piece) for piece in out]


def necklace(rng: np.random.Generator, d: Dresser) -> list[Worn]:
    """A chain in a plane that slopes from the nape to the chest, perhaps a pendant; also a row of beads."""
    a = d.a
    nape = a.heads["neck01"][2] + rng.uniform(0.015, 0.05)
    drop = rng.uniform(0.02, 0.16)
    back, front = a.heads["neck01"][1] + 0.05, a.heads["neck01"][1] - 0.09
    slope = (drop + 0.02) / (back - front)

    def plane(places: np.ndarray) -> np.ndarray:
        return (places[:, 2] - nape - slope * (places[:, 1] - back)) / np.hypot(1, slope)

    region = np.maximum((a.of("arm", "hand", "head") - 0.3) * 0.2, np.abs(a.rest[:, 0]) - 0.14)
    material = jewellery(rng)
    bare = ~d.hidden & (d.layers.height < 0.003)
    pieces = []
    for piece in _band(d, plane, rng.uniform(0.0008, 0.0025), region, 0.002, material, CARRIED, "necklace"):
        seen = bare[d.wardrobe.nearest(piece.truth)][piece.triangles].all(1)  # the rest is under the shirt
        pieces += [keep_triangles(piece, seen)] if seen.any() else []
    if pieces and rng.random() < 0.5:
        rest = a.rest[:SKIN_VERTICES]
        middle = np.flatnonzero(
            (np.abs(rest[:, 0]) < 0.012) & (rest[:, 1] < front + 0.06) & (a.of("head")[:SKIN_VERTICES] < 0.3)
        )
        vertex = int(middle[np.abs(plane(rest[middle])).argmin()])
        if bare[vertex]:
            axes = frame_at(d.body, vertex, np.array([0, 0, 1.0]))
            size = rng.uniform(0.004, 0.014)
            half = (size, size * rng.uniform(0.5, 1), size * 0.3)
            solid = moved(rounded(half, rng.choice([0.4, 1.0]), 10, 8), (-size, 0, 0.003))
            solid = moved(solid, d.body.vertices[vertex], axes)
            pieces.append(fitted(d.wardrobe, d.body, solid, "pendant", CARRIED, material, ("torso", "neck")))
    return [Worn(piece) for piece in pieces]


def _hoop(d: Dresser, height: float, half: float, tilt: float, off: float):
    """A band around the trunk and all that is worn there: ((row, column, 3) points, closed in the columns).

    Args:
        height: of its middle on the default body; tilt: metres lower in front per metre of depth.
        off: metres away from what is beneath.
    """
    ids = np.flatnonzero(d.a.is_group("torso", "leg")[:SKIN_VERTICES])
    rest = d.a.rest[ids]
    # where that height is on this body
    near = ids[np.abs(rest[:, 2] - height) < 0.012]
    level = float(np.median(d.body.vertices[near, 2]))
    middle = d.body.vertices[near, :2].mean(0)
    reach = 0.7 * abs(float(d.body.heads[d.pack.bones.index("wrist.L")][0]))
    below = [d.body.vertices[ids], *(p.vertices for p in d.pieces)]
    below = np.concatenate([v[(np.abs(v[:, 2] - level) < 0.12) & (np.abs(v[:, 0]) < reach)] for v in below])
    flat = below[:, :2] - middle
    angle, radius = np.arctan2(flat[:, 0], -flat[:, 1]), np.linalg.norm(flat, axis=1)
    columns = 48
    around = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    out, z = np.zeros((3, columns)), np.zeros((3, columns))
    turn = np.abs((angle[None] - around[:, None] + np.pi) % (2 * np.pi) - np.pi) < 0.11
    for i, up in enumerate((-half, 0.0, half)):
        for j in range(columns):
            z[i, j] = level + up + tilt * (out[i, j - 1] if j else 0.1) * -np.cos(around[j])
            some = radius[turn[j] & (np.abs(below[:, 2] - z[i, j]) < 0.015)]
            out[i, j] = some.max() if len(some) else (out[i, j - 1] if j else 0.1)
    for _ in range(3):  # spans hollows, as a tight band does
        mean = (np.roll(out, 2, 1) + np.roll(out, -2, 1) + np.roll(out, 1, 1) + np.roll(out, -1, 1)) / 4
        out = np.maximum(out, mean)
    out = np.maximum(out, out.mean(0, keepdims=True)) + off
    return np.stack([middle[0] + out * np.sin(around), middle[1] - out * np.cos(around), z], -1)


def _closed_band(points: np.ndarray, thick: float):
    """A flat ring through the rows of ``points``, with an inside and rims."""
    inner = points.copy()
    centre = points.mean((0, 1))[:2]
    inner[..., :2] += (centre - inner[..., :2]) * (thick / np.linalg.norm(inner[..., :2] - centre, axis=-1))[..., None]
    rows = np.concatenate([points, inner[::-1], points[:1]])
    return sheet(np.concatenate([rows, rows[:, :1]], 1))


def belt(rng: np.random.Generator, d: Dresser) -> list[Worn]:
    """Leather or cloth around the waist with a buckle."""
    height, half = d.waist + rng.uniform(-0.07, 0.02), rng.uniform(0.012, 0.026)
    points = _hoop(d, height, half, 0.1, 0.006)
    leather = calm(d.cloth(rng, leather=rng.random() < 0.8))
    groups = ("torso", "leg")
    pieces = [fitted(d.wardrobe, d.body, _closed_band(points, 0.004), "belt", LOWER, leather, groups)]
    if rng.random() < 0.75:
        centre = points[1, points.shape[1] // 2] - [0, 0.003, 0]
        size = half * rng.uniform(0.9, 1.3)
        buckle = moved(rounded((size * rng.uniform(1.0, 1.5), 0.004, size), 0.3, 16, 8), centre)
        pieces.append(fitted(d.wardrobe, d.body, buckle, "buckle", LOWER, jewellery(rng), groups))
    return [Worn(piece) for piece in pieces]


def tie(rng: np.random.Generator, d: Dresser) -> list[Worn]:
    """From the collar to the belt, over whatever top there is; nothing on a bare chest."""
    if not any(piece.layer == UPPER for piece in d.pieces):
        return []
    a = d.a
    top, low = a.heads["neck01"][2] - rng.uniform(0.0, 0.02), d.waist + rng.uniform(-0.02, 0.1)
    x, z = np.abs(a.rest[:, 0]), a.rest[:, 2]
    down = np.clip((top - z) / (top - low), 0, 1)
    width = rng.uniform(0.022, 0.04) * (0.45 + 0.55 * down)
    width = np.where(top - z < 0.03, 0.55 * width + 0.008, width)  # the knot
    width = np.minimum(width, np.maximum(z - low, 0) + 0.002)  # the tip
    level = np.maximum(np.maximum(x - width, z - top), low - z)
    level = np.where(a.rest[:, 1] < a.heads["spine01"][1] - 0.05, level, 0.05)
    level = np.maximum(level, (a.of("arm", "hand", "head") - 0.3) * 0.2)
    cloth = calm(d.cloth(rng))
    return [Worn(p, on_cloth=True) for p in _strip(d, level, 0.012, cloth, UPPER, "tie", "skin", 10)]


def gloves(rng: np.random.Generator, d: Dresser) -> list[Worn]:
    """A thin second skin on both hands, to the wrist or over it; some leave the fingertips bare."""
    a = d.a
    start = a.arm_length - rng.uniform(-0.005, 0.06)
    level = np.maximum(start - a.arm, (0.5 - a.of("arm", "hand")) * 0.2)
    if rng.random() < 0.2:
        level = np.maximum(level, a.arm - (a.arm_length + 0.1))
    cloth = calm(d.cloth(rng, leather=rng.random() < 0.5))
    pieces = _strip(d, level, rng.uniform(0.0012, 0.0025), cloth, UPPER, "gloves", "skin", 1)
    return [Worn(p, hides=level[:SKIN_VERTICES] < -0.012) for p in pieces]


def socks(rng: np.random.Generator, d: Dresser) -> list[Worn]:
    """To the ankle, the calf or the knee; only where nothing covers the leg."""
    a = d.a
    height = a.leg_length - rng.choice([0.03, 0.1, 0.2, 0.36]) - rng.uniform(0, 0.03)
    level = np.maximum(height - a.leg, (0.4 - a.of("leg", "foot")) * 0.2)
    cloth = calm(d.cloth(rng))
    if rng.random() < 0.5:
        cloth = replace(cloth, colour=np.full(3, rng.choice([0.06, 0.9]), np.float32), pattern=None)
    out = []
    for piece in _strip(d, level, 0.0018, cloth, SHOES, "socks", "skin", 1):
        covered = d.hidden[d.wardrobe.nearest(piece.truth)][piece.triangles].all(1)
        if not covered.all():
            out.append(Worn(keep_triangles(piece, ~covered)))
    return out


def waist_bag(rng: np.random.Generator, d: Dresser) -> list[Worn]:
    """A pouch before the belly or at the hip, on a belt."""
    height = d.waist - rng.uniform(0.0, 0.06)
    cloth = calm(d.cloth(rng, leather=rng.random() < 0.4))
    points = _hoop(d, height, rng.uniform(0.008, 0.014), 0.0, 0.005)
    groups = ("torso", "leg")
    pieces = [fitted(d.wardrobe, d.body, _closed_band(points, 0.003), "waist bag strap", CARRIED, cloth, groups)]
    angle = rng.uniform(-1.0, 1.0) + (np.pi if rng.random() < 0.25 else 0)
    column = round((angle + np.pi) / (2 * np.pi) * points.shape[1]) % points.shape[1]
    out = points[1, column, :2] - points[1, :, :2].mean(0)
    out = out / np.linalg.norm(out)
    deep, wide, tall = rng.uniform(0.025, 0.05), rng.uniform(0.08, 0.14), rng.uniform(0.045, 0.075)
    place = points[1, column] + np.array([*out, 0]) * deep * 0.7
    axes = np.stack([[-out[1], out[0], 0], [out[0], out[1], 0], [0, 0, 1.0]], 1)
    pouch = moved(rounded((wide, deep, tall), rng.uniform(0.3, 0.6)), place, axes)
    seam = moved(rounded((wide * 0.9, deep * 0.1, 0.004), 0.3, 12, 6), place + np.array([*out, 0]) * deep, axes)
    root = "spine05"
    groups = ("torso", "leg")
    pieces.append(fitted(d.wardrobe, d.body, pouch, "waist bag", CARRIED, cloth, groups, root))
    pieces.append(fitted(d.wardrobe, d.body, seam, "waist bag", CARRIED, jewellery(rng), groups, root))
    return [Worn(piece) for piece in pieces]


WORN: dict[str, Callable[[np.random.Generator, Dresser], list[Worn]]] = {
    "glasses": headwear.glasses,
    "sunglasses": headwear.sunglasses,
    "face_mask": headwear.face_mask,
    "headphones": headwear.headphones,
    "earrings": headwear.earrings,
    "necklace": necklace,
    "watch": watch,
    "bracelet": bracelet,
    "gloves": gloves,
    "socks": socks,
    "belt": belt,
    "tie": tie,
    "waist_bag": waist_bag,
    "tied_jacket": tied_jacket,
}
