"""Footwear: shoes of the pack, boots, trainers, pumps and sandals grown from the feet; heels lift the foot itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bodymap.errors import UserError
from bodymap.people import shells
from bodymap.people.anatomy import Anatomy
from bodymap.people.config import OutfitConfig
from bodymap.people.fabric import made_cloth
from bodymap.people.fitting import fitted
from bodymap.people.layers import Layers
from bodymap.people.material import Material, cloth_colour, folds, hsv
from bodymap.people.mesh import cut
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.primitives import lathe, moved
from bodymap.people.props import plain
from bodymap.people.shape import Body
from bodymap.people.skinning import pose_skeleton, rotation_vector, skin
from bodymap.people.skirts import Drape
from bodymap.people.streams import choose, of_split, stream
from bodymap.types import LAYER_NAMES

if TYPE_CHECKING:
    from bodymap.people.dressing import Dresser

UPPER, LOWER, SHOES_LAYER = (LAYER_NAMES.index(name) for name in ("upper", "lower", "shoes"))
_ADULT = 16  # years: from then on heels are worn
_FLAT = 0.006  # metres that trousers stand off the leg inside a boot


# ------------------------------------------------------------------ which
def _draw_kind(rng: np.random.Generator, body: Body, config: OutfitConfig) -> str:
    table = dict(config.footwear)
    unknown = set(table) - {"made", "shell", "none", *SHOES}
    if unknown:
        raise UserError(f'There is no footwear "{min(unknown)}"; there are made, shell, none, {", ".join(SHOES)}.')
    if "heels" in table and len(table) > 1:
        table["heels"] *= 0.0 if body.age < _ADULT else 1.0 if body.female else 0.04
    return choose(rng, table)


def heel_height(seed: int, body: Body, config: OutfitConfig, split: str) -> float:
    """Metres that this person's shoes lift the heels above the balls of the feet; 0 for flat ones.

    Args:
        seed: of what is worn.
    """
    kind = _draw_kind(stream(seed, "shoes", split), body, config)
    rng = stream(seed, "heels", split)
    if kind == "heels":
        return float(rng.uniform(0.03, 0.1))
    if kind == "boots" and body.female and body.age >= _ADULT and rng.random() < 0.5:
        return float(rng.uniform(0.025, 0.08))
    return 0.0


def on_heels(body: Body, pack: Pack, height: float) -> Body:
    """The body with its feet as heels of this height bend them: raised at the ankle, the toes flat."""
    if height <= 0:
        return body
    bones = pack.bones
    ankle, ball = body.heads[bones.index("foot.L")], body.heads[bones.index("toe1-1.L")]
    lever = 1.25 * float(np.linalg.norm(ball[:2] - ankle[:2]))  # from the ball to the middle of the heel
    angle = float(np.arcsin(min(height / lever, 0.6)))
    local = np.tile(np.eye(3), (len(bones.labels), 1, 1))
    for k, label in enumerate(bones.labels):
        if label.startswith("foot"):
            local[k] = rotation_vector(np.array([angle, 0, 0]))
        elif label.startswith("toe") and "-1." in label:
            local[k] = rotation_vector(np.array([-angle, 0, 0]))
    posed = pose_skeleton(bones.parents, body.heads, local)
    vertices = skin(body.vertices, pack.skin_index, pack.skin_weight, posed.transform)
    return replace(body, vertices=vertices.astype(np.float32), heads=posed.position.astype(body.heads.dtype))


def put_on_shoes(rng: np.random.Generator, d: Dresser) -> None:
    """Shoes of the pack, some grown from the feet, or none.

    Raises:
        UserError: there is no footwear of a name.
    """
    kind = _draw_kind(rng, d.body, d.config)
    shoes = of_split(d.pack.garments_of("shoes", split="all"), d.split)
    if kind == "made" and shoes:
        garment = shoes[rng.integers(len(shoes))]
        piece = d.wardrobe.wear(garment, d.body, made_cloth(rng, d.pack, garment, d.config, d.split))
        # the socks of these shoes reach up the shin and would come through trousers
        piece = cut(piece, d.a.leg_length - 0.06 - d.wardrobe.bound(garment).leg)
        d.add(piece, d.under(garment) & d.a.is_group("foot")[:SKIN_VERTICES])
    elif kind == "shell" or (kind == "made" and not shoes):
        height = d.a.leg_length - rng.choice([0.0, 0.08, 0.3], p=[0.55, 0.3, 0.15]) - rng.uniform(-0.01, 0.02)
        level = np.maximum(height - d.a.leg, (0.4 - d.a.of("leg", "foot")) * 0.2)
        thick = rng.uniform(0.004, 0.012)
        sole = np.where(d.a.rest[:, 2] < d.a.rest[:SKIN_VERTICES, 2].min() + 0.02, 0.012, 0.0)
        d.shell(level, thick, 0.0, d.cloth(rng, leather=True), SHOES_LAYER, "boots", "tights", 6, extra=sole)
    elif kind in SHOES:
        # a shoe spans the toes, which what is there already would push it off one by one
        d.layers.height[d.a.of("foot")[:SKIN_VERTICES] > 0.5] = 0
        SHOES[kind](stream(d.clothes, "footwear", d.split), d)


# ------------------------------------------------------------------ what they share
def _along(a: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Of every base vertex: share of the foot's length from the toes (0) to the heel (1), metres above the sole."""
    foot = a.rest[:SKIN_VERTICES][a.of("foot")[:SKIN_VERTICES] > 0.5]
    front, back, floor = foot[:, 1].min(), foot[:, 1].max(), foot[:, 2].min()
    return (a.rest[:, 1] - front) / (back - front), a.rest[:, 2] - floor


def _on_foot(a: Anatomy) -> np.ndarray:
    return (0.4 - a.of("leg", "foot")) * 0.2


def _shoe_leather(rng: np.random.Generator, wrinkled: float = 0.1) -> Material:
    """Leather, patent leather, suede or rubber: black and brown for two thirds."""
    k = rng.random()
    if k < 0.45:
        colour = np.full(3, rng.uniform(0.03, 0.12))
    elif k < 0.7:
        colour = hsv(rng.uniform(0.03, 0.11), rng.uniform(0.35, 0.75), rng.uniform(0.15, 0.6))
    else:
        colour = np.asarray(cloth_colour(rng))
    suede = rng.random() < 0.3
    return Material(
        np.clip(colour, 0.02, 1).astype(np.float32),
        gloss=0.0 if suede else float(rng.uniform(0.08, 0.5)),
        shine=float(rng.uniform(15, 60)),
        sheen=float(rng.uniform(0.1, 0.3)) if suede else 0.0,
        **folds(rng, wrinkled),
    )


def _sole_stuff(rng: np.random.Generator) -> Material:
    shade = rng.choice([0.05, 0.88, 0.4], p=[0.5, 0.3, 0.2])
    colour = np.full(3, shade) * ([1.0, 0.75, 0.5] if shade == 0.4 else [1.0, 1.0, 0.97])
    return plain(colour, 0.08, 15)


def _cover(d: Dresser, level, offset, material, name: str, source="tights", steps=4, hides=0.03) -> None:
    """A piece of a shoe over level < 0; ``hides``: metres inside its edge from where on skin is left out (0: none)."""
    away = np.broadcast_to(np.asarray(offset, np.float32), len(level))
    piece = shells.grow(d.wardrobe, d.body, level, np.array(away), material, SHOES_LAYER, name, source, steps)
    if len(piece.triangles):
        hidden = level[:SKIN_VERTICES] < -(hides + 0.005) if hides else np.zeros(SKIN_VERTICES, bool)
        d.add(piece, hidden)


def _panel(d: Dresser, level, offset, material, name: str, source="tights", steps=4) -> None:
    """What is sewn on a shoe: lies outside it because it is grown further, and hides nothing."""
    away = np.broadcast_to(np.asarray(offset, np.float32), len(level))
    piece = shells.grow(d.wardrobe, d.body, level, np.array(away), material, SHOES_LAYER, name, source, steps)
    if len(piece.triangles):
        d.pieces.append(piece)


def _heels(rng: np.random.Generator, d: Dresser, height: float, material: Material, thick: float) -> None:
    """A block, a cone or a stiletto under both heels, down to where the balls of the feet stand."""
    u, up = _along(d.a)
    skin_u, skin_up = u[:SKIN_VERTICES], up[:SKIN_VERTICES]
    foot = d.a.of("foot")[:SKIN_VERTICES] > 0.5
    top = rng.uniform(0.017, 0.024)
    low = rng.choice([0.006, 0.012, 0.02], p=[0.4, 0.25, 0.35])
    for side, sign in (("L", 1.0), ("R", -1.0)):
        mine = foot & (sign * d.a.rest[:SKIN_VERTICES, 0] > 0)
        heel = d.body.vertices[:SKIN_VERTICES][mine & (skin_u > 0.82) & (skin_up < 0.02)]
        floor = float(d.body.vertices[:SKIN_VERTICES][mine][:, 2].min()) - 0.5 * thick
        if not len(heel):
            continue
        centre, reach = heel.mean(0), float(heel[:, 2].mean()) - floor
        profile = [(0, 0), (low, 0), (0.5 * (low + top) * 0.9, 0.5 * reach), (top, reach), (top, reach + 0.012)]
        solid = moved(lathe(profile, 12), (centre[0], centre[1], floor))
        d.pieces.append(
            fitted(d.wardrobe, d.body, solid, "heel", SHOES_LAYER, material, ("foot",), bone=f"foot.{side}")
        )


# ------------------------------------------------------------------ boots
def _boots(rng: np.random.Generator, d: Dresser) -> None:
    """From the ankle to over the knee, smooth or with folds; trousers are tucked in."""
    a = d.a
    tall = {"ankle": 0.34, "calf": 0.24, "knee": 0.28, "over": 0.14 if d.body.age >= _ADULT else 0.0}
    if not d.body.female:
        tall = {"ankle": 0.68, "calf": 0.24, "knee": 0.08}
    top = {
        "ankle": a.leg_length - rng.uniform(0.05, 0.12),
        "calf": a.leg_length - rng.uniform(0.14, 0.26),
        "knee": a.knee + rng.uniform(0.02, 0.08),
        "over": a.knee - rng.uniform(0.04, 0.2),
    }[choose(rng, tall)]
    inside = False
    for piece in d.pieces:  # under a skirt they end a little inside it
        if isinstance(piece.drape, Drape) and piece.name == "skirt":
            inside = inside or top < piece.drape.cut.hem
            top = max(top, piece.drape.cut.hem - 0.015)
    top = min(top, a.leg_length - 0.03)
    level = np.maximum(top - a.leg, _on_foot(a))
    slouchy = rng.random() < 0.35
    leather = _shoe_leather(rng, rng.uniform(0.5, 1.0) if slouchy else rng.uniform(0.0, 0.15))
    thick = rng.uniform(0.004, 0.008)
    wide = rng.uniform(0.0, 0.016) * (not inside)
    shaft = np.clip((a.leg_length - 0.06 - a.leg) / max(a.leg_length - 0.06 - top, 0.02), 0, 1)
    _tuck(d, top)
    height = heel_height(d.clothes, d.body, d.config, d.split)
    _cover(d, level, thick + wide * shaft, leather, "boots", steps=6)
    u, up = _along(a)
    sole = _sole_stuff(rng) if rng.random() < 0.6 else leather
    thickness = thick + rng.uniform(0.003, 0.008)
    _panel(d, np.maximum(up - rng.uniform(0.008, 0.018), _on_foot(a)), thickness, sole, "boots")
    if height:
        _heels(rng, d, height, sole, thickness)
    elif rng.random() < 0.3:  # a rim of fur or knitting, or a turned-down top
        rim = np.maximum(level, a.leg - top - rng.uniform(0.02, 0.06))
        fluffy = replace(_shoe_leather(rng), gloss=0.0, sheen=0.3, weave=0.4)
        _panel(d, rim, thick + wide + rng.uniform(0.005, 0.014), fluffy, "boots", steps=6)


def _tuck(d: Dresser, top: float) -> None:
    """Presses trousers to the leg below ``top`` (metres along the leg), where a boot will be."""
    changed = False
    for k, piece in enumerate(d.pieces):
        if piece.drape is not None or piece.layer not in (LOWER, UPPER) or piece.name == "stockings":
            continue
        vertex = d.wardrobe.nearest(piece.truth)
        leg = np.where(d.a.of("leg", "foot")[vertex] > 0.5, d.a.leg[vertex], 0)
        share = np.clip((leg - top + 0.03) / 0.05, 0, 1)
        if not share.any():
            continue
        normal = d.body.skin_normal[vertex]
        height = ((piece.vertices - d.body.vertices[vertex]) * normal).sum(1)
        press = np.maximum(height - _FLAT, 0) * share
        d.pieces[k] = replace(piece, vertices=(piece.vertices - normal * press[:, None]).astype(np.float32))
        changed = True
    if changed:
        d.layers = Layers(d.wardrobe, d.body)
        for piece in d.pieces:
            d.layers.record(piece)
        d.layers.height[d.a.of("foot")[:SKIN_VERTICES] > 0.5] = 0


# ------------------------------------------------------------------ low shoes
def _trainers(rng: np.random.Generator, d: Dresser) -> None:
    """Low or ankle-high, of two colours, on a pale sole."""
    a = d.a
    u, up = _along(a)
    top = a.leg_length - (rng.uniform(0.005, 0.025) if rng.random() < 0.75 else rng.uniform(0.04, 0.08))
    body = plain(np.full(3, rng.choice([0.06, 0.92])) if rng.random() < 0.55 else np.asarray(cloth_colour(rng)), 0.06)
    second = plain(np.asarray(cloth_colour(rng)), 0.08)
    sole = plain(np.full(3, 0.92) if rng.random() < 0.7 else np.asarray(cloth_colour(rng)), 0.05)
    thick = rng.uniform(0.006, 0.01)
    level = np.maximum(top - a.leg, _on_foot(a))
    _cover(d, level, thick, body, "trainers", steps=6)
    _panel(d, np.maximum(up - rng.uniform(0.016, 0.026), _on_foot(a)), thick + 0.006, sole, "trainers", steps=6)
    panels = {
        "toe": u - rng.uniform(0.1, 0.22),
        "heel": rng.uniform(0.78, 0.9) - u,
        "tongue": np.maximum(np.abs(np.abs(a.rest[:, 0]) - 0.18) - 0.016, np.abs(u - 0.45) * 0.25 - 0.05),
        "stripes": np.maximum(0.1 - np.abs((u * 7 + 12 * up) % 1 - 0.5) * 0.5, np.abs(u - 0.55) - 0.2),
    }
    for region in panels.values():
        if rng.random() < 0.5:
            inside = np.maximum(np.maximum(region * 0.25, level + 0.004), 0.012 - up)
            _panel(d, inside, thick + 0.0025, second, "trainers", steps=6)


def _pumps(rng: np.random.Generator, d: Dresser) -> None:
    """Closed over the toes, low at the sides, on a heel; now and then with a strap around the ankle."""
    a = d.a
    u, up = _along(a)
    opening = rng.uniform(0.2, 0.32)
    rim = np.interp(u, [opening, opening + 0.1, 0.7, 1.0], [0.2, 0.026, 0.03, rng.uniform(0.05, 0.065)])
    level = np.maximum((up - rim) * 0.7, _on_foot(a))
    leather = _shoe_leather(rng)
    thick = rng.uniform(0.003, 0.006)
    _cover(d, level, thick, leather, "pumps", hides=0.012)
    sole = leather if rng.random() < 0.5 else _sole_stuff(rng)
    _panel(d, np.maximum(up - 0.008, _on_foot(a)), thick + 0.004, sole, "pumps")
    _heels(rng, d, heel_height(d.clothes, d.body, d.config, d.split), sole, thick + 0.004)
    if rng.random() < 0.3:
        _strap(d, a.leg - (a.leg_length - 0.005), 0.006, leather, np.full(len(up), -1.0))


def _strap(d: Dresser, signed: np.ndarray, half: float, material: Material, region: np.ndarray) -> None:
    """A band of half width ``half`` where ``signed`` (metres, per base vertex) is near zero, inside region < 0."""
    value = np.maximum(region, _on_foot(d.a))
    _panel(d, np.maximum(value, np.abs(signed) - half), 0.004, material, "sandals", "skin", 2)


def _sandals(rng: np.random.Generator, d: Dresser) -> None:
    """A sole and straps; the toes are bare."""
    a = d.a
    u, up = _along(a)
    leather = _shoe_leather(rng, 0.0)
    sole = leather if rng.random() < 0.4 else _sole_stuff(rng)
    _panel(d, np.maximum(up - 0.011, _on_foot(a)), rng.uniform(0.008, 0.02), sole, "sandals", steps=6)
    above = np.maximum(0.006 - up, a.leg_length - 0.3 - a.leg)
    top = np.maximum(above, up - 0.14)  # of the foot
    length = 0.25
    places = rng.uniform([0.2, 0.36, 0.5], [0.28, 0.44, 0.56])
    slant = rng.uniform(-1.0, 1.0) * (np.abs(a.rest[:, 0]) - 0.18)
    for place in places[: int(rng.integers(1, 4))]:
        _strap(d, (u - place) * length + slant, rng.uniform(0.007, 0.02), leather, top)
    if rng.random() < 0.75:  # around the ankle, and behind the heel
        _strap(d, a.leg - (a.leg_length - rng.uniform(0.0, 0.02)), rng.uniform(0.006, 0.012), leather, above)
    for k in range(int(rng.integers(1, 5)) if rng.random() < 0.15 else 0):
        _strap(d, a.leg - (a.leg_length - 0.06 - 0.05 * k), 0.006, leather, above)


SHOES: dict[str, Callable[[np.random.Generator, Dresser], None]] = {
    "boots": _boots,
    "trainers": _trainers,
    "heels": _pumps,
    "sandals": _sandals,
}
