"""Tights, stockings, net and leggings: thin cloth on the legs under skirts, dresses and shorts; sheer ones let the
skin through.

Leggings are lower clothing; the rest counts as skin, feet included, as it does in labels of photographs
(``bodymap.data.photos``): what is as close as skin moves, swaps and is drawn like it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from bodymap.errors import UserError
from bodymap.people import shells
from bodymap.people.fabric import draw_cloth
from bodymap.people.material import Material, Tint, brightness, cloth_colour, hsv
from bodymap.people.mesh import Piece
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.streams import choose, stream
from bodymap.types import LAYER_NAMES

if TYPE_CHECKING:
    from bodymap.people.dressing import Dresser

LOWER, SKIN = LAYER_NAMES.index("lower"), LAYER_NAMES.index("skin")
_HEM = 0.03  # metres of skin kept under an edge
_OPEN = 0.59  # of a multiplied pattern: what leaves the colour as it is
# Children wear these only.
_FOR_CHILDREN = ("none", "opaque", "patterned", "leggings")


@dataclass(frozen=True)
class SheerMaterial(Material):
    """Cloth that the skin is seen through: ``seen_through`` multiplies the skin's colour by ``colour``."""


def seen_through(piece: Piece, skin: Piece) -> Piece:
    """A sheer piece over this person's skin; any other piece stays as it is."""
    veil = piece.material
    if not isinstance(veil, SheerMaterial):
        return piece
    under = skin.material
    gain = np.asarray(veil.colour, np.float32)
    if under.texture is None:
        tint = None
    elif under.tint is None:
        tint = Tint(gain, 1.0, False, brightness(under.texture))
    else:
        tint = replace(under.tint, colour=(under.tint.colour * gain).astype(np.float32))
    surface = replace(
        under,
        colour=(under.colour * gain).astype(np.float32),
        tint=tint,
        pattern=veil.pattern,
        pattern_size=veil.pattern_size,
        pattern_blend=0.0,
        gloss=veil.gloss,
        shine=veil.shine,
        sheen=veil.sheen,
    )
    return replace(piece, material=surface)


def draw_legwear(d: Dresser, shorts: bool) -> None:
    """Puts on what ``OutfitConfig.legwear`` gives, or nothing; before the skirt or the shorts.

    Raises:
        UserError: there is no legwear of a name.
    """
    rng = stream(d.clothes, "legwear", d.split)
    table = dict(d.config.legwear)
    unknown = set(table) - {"none", *_KINDS}
    if unknown:
        raise UserError(f'There is no legwear "{min(unknown)}"; there are {", ".join(["none", *_KINDS])}.')
    chance = d.config.legwear_shorts if shorts else 1.0
    if not d.body.female:
        table, chance = {"leggings": 1.0}, 0.3 * d.config.legwear_shorts
    elif d.body.age < 16:
        table = {name: weight for name, weight in table.items() if name in _FOR_CHILDREN}
    if rng.random() >= chance or not any(table.values()):
        return
    kind = choose(rng, table)
    if kind != "none":
        _KINDS[kind](rng, d)


def _wear(d: Dresser, level: np.ndarray, material: Material, thick: float, layer: int = SKIN) -> None:
    sheer = isinstance(material, SheerMaterial)
    offset = np.full(len(level), thick, np.float32)
    piece = shells.grow(d.wardrobe, d.body, level, offset, material, layer, "stockings", "skin", 1, textured=sheer)
    if len(piece.triangles):
        d.add(piece, level[:SKIN_VERTICES] < -(_HEM + thick))
        # a shoe spans the toes, which it would be pushed off one by one
        d.layers.height[d.a.of("foot")[:SKIN_VERTICES] > 0.5] = 0


def _tights(d: Dresser) -> np.ndarray:
    """From the waist to the toes."""
    return shells.below(d.a, d.waist - 0.06)


def _veil(rng: np.random.Generator) -> Float[np.ndarray, " rgb=3"]:
    """What sheer cloth leaves of the skin's colour: black, brown and tan ones mostly, some coloured."""
    kind = rng.random()
    if kind < 0.55:
        return np.full(3, rng.uniform(0.22, 0.75)) * np.array([1.0, 0.97, 0.96])
    if kind < 0.85:
        return np.array([1.0, 0.9, 0.8]) * rng.uniform(0.6, 0.98)
    return hsv(rng.random(), rng.uniform(0.2, 0.6), rng.uniform(0.4, 0.9))


def _sheer_cloth(rng: np.random.Generator, veil: Float[np.ndarray, " rgb=3"]) -> SheerMaterial:
    return SheerMaterial(
        np.asarray(veil, np.float32), gloss=float(rng.uniform(0, 0.25)), shine=float(rng.uniform(15, 45)), sheen=0.05
    )


def _opaque_cloth(rng: np.random.Generator) -> Material:
    colour = np.full(3, rng.uniform(0.03, 0.12)) if rng.random() < 0.6 else np.asarray(cloth_colour(rng))
    return Material(
        np.asarray(colour, np.float32),
        gloss=float(rng.uniform(0, 0.1)),
        shine=18.0,
        weave=float(rng.uniform(0, 0.15)),
        sheen=float(rng.uniform(0, 0.1)),
    )


def _sheer(rng: np.random.Generator, d: Dresser) -> None:
    _wear(d, _tights(d), _sheer_cloth(rng, _veil(rng)), 0.0012)


def _opaque(rng: np.random.Generator, d: Dresser) -> None:
    _wear(d, _tights(d), _opaque_cloth(rng), 0.0015)


def _patterned(rng: np.random.Generator, d: Dresser) -> None:
    cloth = draw_cloth(rng, replace(d.config, pattern=1.0, placed=0.0), d.split)
    cloth = replace(cloth, folds=0.0, relief=0.0, pattern_size=float(cloth.pattern_size * rng.uniform(0.3, 0.8)))
    _wear(d, _tights(d), cloth, 0.0015)


def _net(rng: np.random.Generator, d: Dresser) -> None:
    """Fishnet, or sheer cloth with dots or lines: dark threads over the skin."""
    size = 64
    y, x = np.mgrid[0:size, 0:size] / size
    kind = rng.choice(3, p=[0.6, 0.25, 0.15])
    if kind == 0:
        mesh = np.minimum(np.abs((x + y) % 1 - 0.5), np.abs((x - y) % 1 - 0.5)) < rng.uniform(0.06, 0.14)
        metres = rng.uniform(0.012, 0.05)
    elif kind == 1:
        mesh = np.hypot(x - 0.5, y - 0.5) < rng.uniform(0.12, 0.25)
        metres = rng.uniform(0.015, 0.04)
    else:
        mesh = np.abs(x - 0.5) < rng.uniform(0.08, 0.25)
        metres = rng.uniform(0.01, 0.04)
    tile = np.where(mesh[..., None], rng.uniform(0, 0.15), _OPEN)
    veil = np.ones(3) * rng.uniform(0.7, 0.95) if kind == 0 else _veil(rng) ** 0.6
    cloth = replace(
        _sheer_cloth(rng, veil),
        pattern=np.repeat((tile * 255).astype(np.uint8), 3, axis=2),
        pattern_size=float(metres),
    )
    _wear(d, _tights(d), cloth, 0.0012)


def _leggings(rng: np.random.Generator, d: Dresser) -> None:
    """Thicker, to the ankle, the calf or the knee."""
    length = d.a.leg_length * rng.choice([0.98, 0.8, 0.58], p=[0.7, 0.2, 0.1])
    cloth = _opaque_cloth(rng) if rng.random() < 0.6 else draw_cloth(rng, d.config, d.split)
    cloth = replace(cloth, folds=min(cloth.folds, 0.1), relief=0.0)
    _wear(d, np.maximum(_tights(d), shells.legs(d.a, length)), cloth, 0.002, LOWER)


def _thigh_high(rng: np.random.Generator, d: Dresser) -> None:
    """Two stockings that end above the knee."""
    top = d.a.knee * rng.uniform(0.45, 0.9)
    level = np.maximum(top - d.a.leg, (0.4 - d.a.of("leg", "foot")) * 0.2)
    cloth = _sheer_cloth(rng, _veil(rng)) if rng.random() < 0.4 else _opaque_cloth(rng)
    _wear(d, level, cloth, 0.0015)


_KINDS = {
    "sheer": _sheer,
    "opaque": _opaque,
    "patterned": _patterned,
    "net": _net,
    "leggings": _leggings,
    "thigh_high": _thigh_high,
}
