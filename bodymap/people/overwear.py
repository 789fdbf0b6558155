"""What goes over a top: thick stuffs (quilted, fur, teddy), collars, hoods, scarves' ends, a jacket about the waist."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bodymap.errors import UserError
from bodymap.people import shells
from bodymap.people.anatomy import Anatomy
from bodymap.people.fitting import Worn, fitted
from bodymap.people.material import Material, hsv
from bodymap.people.mesh import Piece
from bodymap.people.noise import tileable
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.primitives import moved, rounded
from bodymap.people.props import calm
from bodymap.people.streams import choose, stream
from bodymap.types import LAYER_NAMES

if TYPE_CHECKING:
    from bodymap.people.dressing import Dresser

UPPER = LAYER_NAMES.index("upper")
_SIZE = 128


# ------------------------------------------------------------------ stuffs
def outer_cloth(rng: np.random.Generator, d: Dresser) -> tuple[Material, float]:
    """(cloth of a jacket or coat, metres that it is thicker than others), of ``OutfitConfig.stuffs``.

    Raises:
        UserError: there is no stuff of a name.
    """
    cloth = d.cloth(rng)
    own = stream(d.clothes, "stuff", d.split)
    kind = choose(own, d.config.stuffs)
    if kind == "cloth":
        return cloth, 0.0
    if kind not in STUFFS:
        raise UserError(f'There is no stuff "{kind}"; there are cloth, {", ".join(STUFFS)}.')
    return STUFFS[kind](own, cloth)


def _quilted(rng: np.random.Generator, cloth: Material) -> tuple[Material, float]:
    """Down jackets: bulging bands with seams between them."""
    stuff = _shaded(cloth, _bands(int(rng.integers(4))), rng.uniform(0.12, 0.32))
    return replace(stuff, gloss=float(rng.uniform(0.02, 0.4)), shine=25.0, folds=0.5), float(rng.uniform(0.008, 0.025))


def fur(rng: np.random.Generator, cloth: Material) -> tuple[Material, float]:
    """Long hair that falls in tufts: natural colours mostly."""
    if rng.random() < 0.7:
        cloth = replace(cloth, colour=hsv(rng.uniform(0.05, 0.1), rng.uniform(0.05, 0.6), rng.uniform(0.08, 0.9)))
    stuff = _shaded(cloth, _tufts(int(rng.integers(4)), 3), rng.uniform(0.06, 0.18))
    return replace(stuff, gloss=0.02, sheen=float(rng.uniform(0.25, 0.5)), weave=0.5), float(rng.uniform(0.01, 0.025))


def _teddy(rng: np.random.Generator, cloth: Material) -> tuple[Material, float]:
    """Curly pile, bouclé, sheepskin."""
    stuff = _shaded(cloth, _tufts(4 + int(rng.integers(4)), 1), rng.uniform(0.05, 0.14))
    return replace(stuff, gloss=0.0, sheen=float(rng.uniform(0.2, 0.4)), weave=0.4), float(rng.uniform(0.006, 0.018))


def _shaded(cloth: Material, tile: np.ndarray, metres: float) -> Material:
    """Plain cloth whose colour a tile of grey darkens and brightens."""
    plain = Material(cloth.colour, folds=cloth.folds, relief=cloth.relief, waves=cloth.waves, phases=cloth.phases)
    return replace(plain, pattern=tile, pattern_size=float(metres), pattern_blend=0.0)


@functools.lru_cache(maxsize=8)
def _bands(number: int) -> np.ndarray:
    rng = np.random.default_rng([811, number])
    y, x = np.mgrid[0:_SIZE, 0:_SIZE] / _SIZE
    across = (y + 0.02 * tileable(rng, _SIZE, 4, 2)) * (2 + number % 3)
    if number == 3:  # rhombi
        across = np.maximum(np.abs((x + y) * 2 % 1 - 0.5), np.abs((x - y) * 2 % 1 - 0.5)) + 0.5
    bulge = np.abs(np.sin(np.pi * across)) ** 0.45
    return _grey(0.2 + 0.48 * bulge + 0.12 * np.cos(2 * np.pi * across) * 0.5 + 0.05 * tileable(rng, _SIZE, 12, 2))


@functools.lru_cache(maxsize=8)
def _tufts(number: int, length: int) -> np.ndarray:
    rng = np.random.default_rng([812, number])
    noise = tileable(rng, _SIZE, 16, 3)
    for k in range(1, length + 1):  # drawn out along the hair
        noise = (noise + np.roll(noise, 2 * k, axis=0)) / 1.6
    return _grey(0.55 + 0.24 * noise)


def _grey(value: np.ndarray) -> np.ndarray:
    return np.repeat((np.clip(value, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


# ------------------------------------------------------------------ around the neck
def draw_collar(d: Dresser, cloth: Material) -> None:
    """On a jacket or coat: a collar of fur or cloth that stands or lies about the neck, or a hood on the back."""
    rng = stream(d.clothes, "collar", d.split)
    kind = choose(rng, d.config.collars)
    if kind == "none":
        return
    if kind not in ("fur", "standing", "hood"):
        raise UserError(f'There is no collar "{kind}"; there are none, fur, standing, hood.')
    if kind == "fur":
        cloth = fur(rng, cloth)[0]
    a = d.a
    behind = np.clip((a.rest[:, 1] - a.heads["neck01"][1] + 0.03) / 0.08, 0, 1)
    low, high, thick = rng.uniform(0.02, 0.05), rng.uniform(0.015, 0.05), 0.03 + rng.uniform(0.0, 0.012)
    if kind == "hood":
        low, high = 0.03 + behind * rng.uniform(0.1, 0.16), 0.0 + behind * rng.uniform(0.01, 0.04)
        thick = 0.032 + behind * rng.uniform(0.025, 0.05)
    elif kind == "fur":
        thick, low = thick + rng.uniform(0.006, 0.02), low + rng.uniform(0.0, 0.04)
    level = _ring(a, low, high)
    level = np.maximum(level, shells.open_front(a, rng.uniform(0.01, 0.05)))
    bump = np.clip(-level / 0.03, 0, 1)
    piece = shells.grow(
        d.wardrobe, d.body, level, (thick * (0.75 + 0.25 * bump)).astype(np.float32), cloth, UPPER, "collar", "skin", 8
    )
    if len(piece.triangles):
        d.add(piece, np.zeros(SKIN_VERTICES, bool))


def _ring(a: Anatomy, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """Around the neck, from ``low`` metres below its root to ``high`` above; shoulders within 16 cm."""
    z = a.rest[:, 2] - a.heads["neck01"][2]
    level = np.maximum(np.maximum(z - high, -low - z), (a.of("arm", "hand") - 0.2) * 0.2)
    return np.maximum(level, np.abs(a.rest[:, 0]) - 0.16)


def scarf_ends(rng: np.random.Generator, d: Dresser, cloth: Material) -> list[Piece]:
    """One or two ends of a scarf that hang down the front."""
    a, pieces = d.a, []
    for side in (1.0, -1.0)[: int(rng.integers(1, 3))]:
        long, half = rng.uniform(0.15, 0.5), rng.uniform(0.035, 0.07)
        z = a.heads["neck01"][2] - a.rest[:, 2]
        middle = side * (0.03 + rng.uniform(0.0, 0.1) * np.clip(z / 0.3, 0, 1) + 0.02)
        level = np.maximum(np.abs(a.rest[:, 0] - middle) - half, np.maximum(z - long, -0.01 - z))
        level = np.where(a.rest[:, 1] < a.heads["spine01"][1], level, 0.05)
        level = np.maximum(level, (a.of("arm", "hand", "head") - 0.3) * 0.2)
        offset = np.full(len(level), 0.026 + 0.004 * (side < 0), np.float32)
        piece = shells.grow(d.wardrobe, d.body, level, offset, cloth, UPPER, "scarf", "tights", 10)
        pieces += [piece] if len(piece.triangles) else []
    return pieces


# ------------------------------------------------------------------ about the waist
def tied_jacket(rng: np.random.Generator, d: Dresser) -> list[Worn]:
    """A jacket or shirt tied about the waist by its sleeves: it hangs over the seat, the sleeves in front."""
    a, cloth = d.a, d.cloth(rng)
    x, z = a.rest[:, 0], d.waist - a.rest[:, 2]
    arms = (a.of("arm", "hand") - 0.2) * 0.2
    front = a.rest[:, 1] < a.heads["spine04"][1] - 0.02
    long = rng.uniform(0.22, 0.42)
    rim = np.where(front, rng.uniform(0.03, 0.06), 0.06)
    belt = np.maximum(np.abs(z - 0.03) - rim, arms)
    tail = np.maximum(np.maximum(z - long, -0.02 - z), np.maximum(arms, np.abs(x) - 0.3))
    tail = np.maximum(tail, -(a.rest[:, 1] - a.heads["spine04"][1] - rng.uniform(-0.03, 0.03)))
    levels = [np.minimum(belt, tail)]
    for side in (1.0, -1.0):
        reach, spread = rng.uniform(0.18, 0.36), rng.uniform(0.1, 0.35)
        sleeve = np.abs(x - side * (0.025 + spread * np.clip(z, 0, None))) - rng.uniform(0.025, 0.04)
        levels.append(np.maximum(np.maximum(sleeve, np.maximum(z - reach, -z)), np.where(front, arms, 0.05)))
    out = []
    for k, level in enumerate(levels):
        offset = np.full(len(level), 0.02 + 0.006 * k, np.float32)
        piece = shells.grow(d.wardrobe, d.body, level, offset, cloth, UPPER, "tied jacket", "tights", 8)
        out += [Worn(piece, on_cloth=True)] if len(piece.triangles) else []
    skin, rest = d.body.vertices[:SKIN_VERTICES], a.rest[:SKIN_VERTICES]
    belly = np.flatnonzero((np.abs(rest[:, 0]) < 0.03) & (np.abs(d.waist - 0.03 - rest[:, 2]) < 0.03))
    if len(belly):
        vertex = belly[skin[belly, 1].argmin()]
        deep = float(d.layers.height[vertex]) + 0.03
        knot = rounded((rng.uniform(0.025, 0.04), 0.02, rng.uniform(0.025, 0.04)), 0.8, 12, 8)
        knot = moved(knot, skin[vertex] - np.array([0, deep, 0]))
        out.append(Worn(fitted(d.wardrobe, d.body, knot, "tied jacket", UPPER, calm(cloth), ("torso", "leg"))))
    return out


STUFFS = {"quilted": _quilted, "fur": fur, "teddy": _teddy}
