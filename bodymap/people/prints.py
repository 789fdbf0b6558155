"""Prints that sit in one place: lettering and logos on the chest or the back, photographs, gradients, colour blocks.

A print is a tile so large that it covers the default body once: column and row of a texel are the metres across and
up of the default body (``Piece.rest``), so that a print lies where its maker put it, whatever the garment.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from bodymap.errors import UserError
from bodymap.people.anatomy import Anatomy
from bodymap.people.material import Material, cloth_colour, hsv
from bodymap.people.mesh import Piece
from bodymap.people.noise import fractal_noise, tileable
from bodymap.people.streams import choose

_SIZE = 512  # texels of a side
METRES = 1.75  # what they cover: more than the default body is tall
_INK = 120  # texels of a side of a logo before it is scaled into place


@dataclass(frozen=True)
class PlacedMaterial(Material):
    """Cloth whose ``pattern`` is a print in one place; ``side``: "front", "back" or "around"."""

    side: str = "around"


@dataclass(frozen=True)
class _Sheet:
    """The cloth before printing: ``x``, ``z`` (n, n) metres on the default body, and its colours (3,)."""

    x: Float[np.ndarray, "n n"]
    z: Float[np.ndarray, "n n"]
    ground: Float[np.ndarray, " rgb=3"]
    ink: Float[np.ndarray, " rgb=3"]
    second: Float[np.ndarray, " rgb=3"]


def place_print(piece: Piece, anatomy: Anatomy) -> Piece:
    """The piece with cloth coordinates that put its print in place; pieces without a placed print stay as they are.

    A print of one side is sent off the cloth on the other: its rows run on half a tile away, by way of the rows
    beyond the head, which are plain.
    """
    if not isinstance(piece.material, PlacedMaterial):
        return piece
    side = piece.material.side
    across, along = piece.rest[:, 0], -piece.rest[:, 2]
    if side != "around":
        behind = np.clip((piece.rest[:, 1] - anatomy.heads["upperarm01.L"][1]) / 0.04 + 0.5, 0, 1)
        along = along - 0.5 * METRES * (behind if side == "front" else 1 - behind)
        across = across if side == "front" else -across
    return replace(piece, cloth=np.stack([across, along], 1).astype(np.float32))


def printed(material: Material, seed: int, kinds: dict[str, float], blend: float) -> PlacedMaterial:
    """The material with a placed print; everything about the print follows from the seed."""
    tile, side = draw_print(seed, tuple(kinds.items()))
    fields = {name: getattr(material, name) for name in material.__dataclass_fields__}
    fields |= {"pattern": tile, "pattern_size": METRES, "pattern_blend": blend}
    return PlacedMaterial(**fields, side=side)


@functools.lru_cache(maxsize=16)
def draw_print(seed: int, kinds: tuple[tuple[str, float], ...]) -> tuple[UInt8[np.ndarray, "p p rgb=3"], str]:
    """(tile, side).

    Raises:
        UserError: there is no print of a name.
    """
    rng = np.random.default_rng([4243, seed])
    kind = choose(rng, dict(kinds))
    if kind not in PRINTS:
        raise UserError(f'There is no print "{kind}"; there are {", ".join(sorted(PRINTS))}.')
    centre = (np.arange(_SIZE, dtype=np.float32) + 0.5) / _SIZE
    metres = np.where(centre < 0.5, centre, centre - 1) * METRES
    x, z = np.meshgrid(metres, -metres)
    ground, ink, second = (np.asarray(cloth_colour(rng), np.float32) for _ in range(3))
    if np.abs(ground - ink).max() < 0.3:
        ink = np.clip(np.round(1 - ground) + rng.normal(0, 0.06, 3), 0.03, 0.97).astype(np.float32)
    image, side = PRINTS[kind](rng, _Sheet(x, z, ground, ink, second))
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), side


def _side(rng: np.random.Generator) -> str:
    return "front" if rng.random() < 0.7 else "back"


def _plain(sheet: _Sheet) -> Float[np.ndarray, "n n rgb=3"]:
    return np.broadcast_to(sheet.ground, (*sheet.x.shape, 3)).copy()


def _stamp(image: np.ndarray, picture: np.ndarray, cover: np.ndarray, at: tuple[float, float], wide: float) -> None:
    """Prints a picture (h, w, 3) in [0, 1] where ``cover`` (h, w), centred on (x, z), ``wide`` metres wide."""
    columns = max(4, round(wide / METRES * _SIZE))
    rows = max(4, round(columns * cover.shape[0] / cover.shape[1]))

    def fit(values: np.ndarray) -> np.ndarray:
        small = Image.fromarray(np.asarray(np.clip(values, 0, 1) * 255, np.uint8)).resize((columns, rows))
        return np.asarray(small, np.float32) / 255

    picture, cover = fit(picture), fit(cover)[..., None]
    row = round(-at[1] / METRES * _SIZE) - rows // 2 + np.arange(rows)
    column = round(at[0] / METRES * _SIZE) - columns // 2 + np.arange(columns)
    place = np.ix_(row % _SIZE, column % _SIZE)
    image[place] = picture * cover + image[place] * (1 - cover)


def _spot(rng: np.random.Generator, side: str) -> tuple[tuple[float, float], float]:
    """Where a print sits ((x, z), metres) and how wide it is: across the chest, or small above the heart."""
    if side == "front" and rng.random() < 0.25:
        return (float(rng.choice([-1, 1]) * rng.uniform(0.06, 0.09)), float(rng.uniform(0.36, 0.42))), rng.uniform(
            0.04, 0.09
        )
    return (0.0, float(rng.uniform(0.27, 0.38))), float(rng.uniform(0.14, 0.27))


def _word(rng: np.random.Generator) -> str:
    """Letters in an order that can be said, or a number."""
    if rng.random() < 0.15:
        return str(rng.integers(1, 100))
    syllable = [
        rng.choice(list("BCDFGHKLMNPRSTVWZ")) + rng.choice(list("AEIOUY")) for _ in range(int(rng.integers(1, 4)))
    ]
    word = "".join(syllable) + (rng.choice(list("NRSTXLK")) if rng.random() < 0.5 else "")
    return str(word if rng.random() < 0.7 else word.capitalize())


def _written(rng: np.random.Generator, lines: int) -> Float[np.ndarray, "height width"]:
    """Words under each other, as coverage."""
    rows = []
    for _ in range(lines):
        font = ImageFont.load_default(size=int(rng.integers(26, 60)))
        text = _word(rng)
        left, top, right, bottom = font.getbbox(text)
        image = Image.new("L", (int(right - left) + 6, int(bottom - top) + 6))
        ImageDraw.Draw(image).text((3 - left, 3 - top), text, 255, font, stroke_width=int(rng.integers(0, 3)))
        rows.append(np.asarray(image, np.float32) / 255)
    wide = max(row.shape[1] for row in rows)
    return np.concatenate(
        [np.pad(r, ((0, 0), ((wide - r.shape[1]) // 2, wide - r.shape[1] - (wide - r.shape[1]) // 2))) for r in rows]
    )


def _lettering(rng: np.random.Generator, sheet: _Sheet) -> tuple[np.ndarray, str]:
    side, image = _side(rng), _plain(sheet)
    cover = _written(rng, int(rng.integers(1, 4)))
    at, wide = _spot(rng, side)
    if rng.random() < 0.25:  # on a block of another colour
        block = np.ones((int(cover.shape[0] * 1.3) + 8, int(cover.shape[1] * 1.1) + 8))
        _stamp(image, block[..., None] * sheet.second, block, at, wide * 1.08)
    wide *= min(1.0, 1.2 * cover.shape[1] / cover.shape[0])
    _stamp(image, cover[..., None] * 0 + sheet.ink, cover, at, wide)
    return image, side


def _logo(rng: np.random.Generator, sheet: _Sheet) -> tuple[np.ndarray, str]:
    """Rings, discs, stars, waves and bars in two colours, perhaps a word beneath."""
    side, image = _side(rng), _plain(sheet)
    y, x = (np.mgrid[0:_INK, 0:_INK] + 0.5) / _INK * 2 - 1
    picture, cover = np.zeros((_INK, _INK, 3)) + sheet.ink, np.zeros((_INK, _INK))
    for k in range(int(rng.integers(1, 4))):
        size, points, turn = rng.uniform(0.4, 0.95) * 0.8**k, int(rng.integers(3, 9)), rng.uniform(0, 6.3)
        r, angle = np.hypot(x, y), np.arctan2(y, x) + turn
        shape = {
            "disc": r < size,
            "ring": (r < size) & (r > size * rng.uniform(0.6, 0.9)),
            "star": r < size * (0.7 + 0.3 * np.cos(points * angle)),
            "polygon": r * np.cos((angle % (2 * np.pi / points)) - np.pi / points) < size * np.cos(np.pi / points),
            "bar": (np.abs(y - rng.uniform(-0.4, 0.4)) < 0.15 * size) & (np.abs(x) < size),
            "wave": np.abs(y - 0.3 * np.sin(points * x + turn)) < 0.12 * size,
        }[choose(rng, {"disc": 1, "ring": 1.5, "star": 1.5, "polygon": 1.5, "bar": 1, "wave": 1})] & (r < 1)
        colour = (sheet.ink, sheet.second, sheet.ground)[k % 3]
        picture, cover = np.where(shape[..., None], colour, picture), np.maximum(cover, shape)
    at, wide = _spot(rng, side)
    _stamp(image, picture, cover, at, wide * 0.8)
    if rng.random() < 0.5 and wide > 0.1:
        word = _written(rng, 1)
        _stamp(
            image,
            np.zeros((*word.shape, 3)) + sheet.ink,
            word,
            (at[0], at[1] - 0.5 * wide),
            wide * rng.uniform(0.4, 0.9),
        )
    return image, side


def _photo(rng: np.random.Generator, sheet: _Sheet) -> tuple[np.ndarray, str]:
    """A landscape of noise in a frame: sky, hills, a sun."""
    side, image = _side(rng), _plain(sheet)
    y, x = (np.mgrid[0:_INK, 0:_INK] + 0.5) / _INK
    sky = hsv(rng.random(), rng.uniform(0.2, 0.7), rng.uniform(0.5, 1))
    picture = sky * (1 - 0.5 * y[..., None]) + hsv(rng.random(), 0.4, 0.9) * 0.5 * y[..., None]
    sun = np.hypot(x - rng.random(), y - rng.uniform(0.1, 0.5)) < rng.uniform(0.05, 0.2)
    picture = np.where(sun[..., None], hsv(rng.uniform(0, 0.17), 0.6, 1.0), picture)
    for k in range(int(rng.integers(1, 5))):
        hill = rng.uniform(0.3, 0.6) + 0.13 * k + 0.3 * fractal_noise(rng, (_INK, _INK), 4, 4)[:1]
        colour = hsv(rng.random(), rng.uniform(0.1, 0.7), rng.uniform(0.1, 0.7))
        picture = np.where((y > hill)[..., None], colour, picture)
    picture = picture * (1 + 0.5 * fractal_noise(rng, (_INK, _INK), 12, 3)[..., None])
    cover = np.ones((_INK, _INK)) if rng.random() < 0.7 else (np.hypot(x - 0.5, y - 0.5) < 0.5) * 1.0
    tall = int(_INK * rng.uniform(0.6, 1.0))
    at, wide = _spot(rng, side)
    _stamp(image, picture[:tall], cover[:tall], at, wide * rng.uniform(0.8, 1.1))
    return image, side


def _gradient(rng: np.random.Generator, sheet: _Sheet) -> tuple[np.ndarray, str]:
    """From one colour at the shoulders to another at the hem or the feet."""
    low = rng.choice([-0.1, 0.1, -0.7])
    z = sheet.z[:, :1, None]  # all columns are alike
    share = np.clip((z - low) / (rng.uniform(0.35, 0.6) - low), 0, 1)
    share = share if rng.random() < 0.7 else np.clip(share * 4 - rng.uniform(0, 3), 0, 1)
    return np.broadcast_to(sheet.ground * share + sheet.ink * (1 - share), (*sheet.z.shape, 3)), "around"


def _tie_dye(rng: np.random.Generator, sheet: _Sheet) -> tuple[np.ndarray, str]:
    """Rings or a spiral of colours around a place on the trunk."""
    x, z = sheet.x - rng.normal(0, 0.06), sheet.z - rng.uniform(0.15, 0.4)
    r, angle = np.hypot(x, z), np.arctan2(z, x)
    wobble = 0.7 * tileable(rng, _SIZE, 10, 3)  # without a seam: the tile ends at the middle of the body
    arms = int(rng.integers(0, 4))
    phase = r * rng.uniform(4, 12) + arms * angle / (2 * np.pi) + wobble
    colours = np.array([sheet.ground, sheet.ink, sheet.second, np.full(3, 0.9)])
    level = (phase - np.floor(phase)) * len(colours)
    first = level.astype(int) % len(colours)
    second = (first + 1) % len(colours)
    share = np.clip((level - np.floor(level)) * 1.6 - 0.3, 0, 1)
    mixed = [channel[first] * (1 - share) + channel[second] * share for channel in colours.T.copy()]
    return np.stack(mixed, -1), "around"


def _blocks(rng: np.random.Generator, sheet: _Sheet) -> tuple[np.ndarray, str]:
    """Colour blocks: sleeves, halves, a yoke, a chest in two or three colours."""
    image = _plain(sheet)
    kind = choose(rng, {"sleeves": 0.4, "halves": 0.15, "yoke": 0.3, "slant": 0.15})
    if kind == "sleeves":
        mask = np.abs(sheet.x) > rng.uniform(0.15, 0.2) + 0.15 * rng.choice([0, 1]) * (0.5 - sheet.z)
    elif kind == "halves":
        mask = sheet.x > 0
    elif kind == "yoke":
        mask = sheet.z > rng.uniform(0.2, 0.42)
    else:
        mask = sheet.z + rng.choice([-1, 1]) * rng.uniform(0.3, 1.2) * sheet.x > 0.3
    image[mask] = sheet.ink
    if kind != "halves" and rng.random() < 0.35:
        low = rng.uniform(0.0, 0.25)
        image[(sheet.z < low) & ~mask] = sheet.second
    return image, "around"


def _stripe(rng: np.random.Generator, sheet: _Sheet) -> tuple[np.ndarray, str]:
    """One to three broad bands around the chest."""
    image = _plain(sheet)
    top = rng.uniform(0.2, 0.42)
    for k in range(int(rng.integers(1, 4))):
        wide = rng.uniform(0.02, 0.12)
        image[(sheet.z < top) & (sheet.z > top - wide)] = (sheet.ink, sheet.second)[k % 2]
        top -= wide + rng.uniform(0, 0.05)
    return image, "around"


PRINTS = {
    "lettering": _lettering,
    "logo": _logo,
    "photo": _photo,
    "gradient": _gradient,
    "tie_dye": _tie_dye,
    "blocks": _blocks,
    "stripe": _stripe,
}
