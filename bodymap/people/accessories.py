"""Hats and scarves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bodymap.people import shells
from bodymap.people.config import OutfitConfig
from bodymap.people.fabric import draw_cloth, made_cloth
from bodymap.people.hair import HAIR, scalp_level
from bodymap.people.mesh import Piece
from bodymap.people.overwear import STUFFS, scarf_ends
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.shape import Body
from bodymap.people.streams import of_split
from bodymap.people.wardrobe import Wardrobe
from bodymap.types import LAYER_NAMES

if TYPE_CHECKING:
    from bodymap.people.dressing import Dresser

_SECTORS = 24  # directions around the head
_GATHER = 0.05  # metres below a hat's edge over which hair widens again
_FLAT = 0.006  # metres that hair stands off the scalp under a hat
UPPER = LAYER_NAMES.index("upper")


def draw_hat(rng: np.random.Generator, wardrobe: Wardrobe, body: Body, config: OutfitConfig, split: str) -> Piece:
    """A hat of the pack, or a cap, beanie or head cloth grown from the scalp."""
    hats = of_split(wardrobe.pack.garments_of("hat", split="all"), split)
    if hats and rng.random() < 0.35:
        garment = hats[rng.integers(len(hats))]
        return wardrobe.wear(garment, body, made_cloth(rng, wardrobe.pack, garment, config, split))
    level = scalp_level(wardrobe, rng.uniform(-0.03, 0.015))
    offset = 0.012 + rng.uniform(0, 0.02) + 0.03 * rng.random() * np.clip(-level / 0.06, 0, 1)
    cloth = draw_cloth(rng, config, split)
    return shells.grow(wardrobe, body, level, offset.astype(np.float32), cloth, HAIR, "cap", "skin", 6)


def press_hair(hair: Piece, hat: Piece, wardrobe: Wardrobe, body: Body) -> Piece:
    """Hair as a hat leaves it: flat on the scalp under it, gathering below its edge; hanging strands stay.

    The hat's edge is its lowest place around the head, direction by direction, near the skull (a wide brim may droop).
    """
    skull = body.vertices[:SKIN_VERTICES][wardrobe.anatomy.is_group("head")[:SKIN_VERTICES]]
    top = skull[skull[:, 2] > np.quantile(skull[:, 2], 0.7)]
    axis = (top[:, :2].min(0) + top[:, :2].max(0)) / 2
    wide = float(np.linalg.norm(top[:, :2] - axis, axis=1).max())

    def sector(vertices: np.ndarray) -> np.ndarray:
        off = vertices[:, :2] - axis
        return ((np.arctan2(off[:, 1], off[:, 0]) / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS

    drawn = hat.vertices[np.unique(hat.triangles)]
    band = drawn[np.linalg.norm(drawn[:, :2] - axis, axis=1) < 1.35 * wide]
    if not len(band):
        return hair
    edge = np.full(_SECTORS, np.inf)
    np.minimum.at(edge, sector(band), band[:, 2])
    edge = np.where(np.isfinite(edge), edge, np.median(band[:, 2]))
    edge = np.minimum(edge, (np.roll(edge, 1) + np.roll(edge, -1)) / 2 + 0.01)
    scalp = body.vertices[wardrobe.nearest(hair.truth)]
    over = (hair.vertices[:, 2] - edge[sector(hair.vertices)] + _GATHER) / _GATHER
    share = np.clip(over, 0, 1)[:, None]
    share = share * share * (3 - 2 * share)
    off = hair.vertices - scalp
    far = np.linalg.norm(off, axis=1, keepdims=True)
    flat = off * np.minimum(1, _FLAT / np.maximum(far, 1e-6))
    return replace(hair, vertices=(scalp + off * (1 - share) + flat * share).astype(np.float32))


def draw_scarf(rng: np.random.Generator, d: Dresser) -> list[Piece]:
    """A ring of cloth around the neck; every other one thick and wound, perhaps with ends that hang down."""
    a = d.a
    z = a.rest[:, 2] - a.heads["neck01"][2]
    level = np.maximum(
        np.maximum(z - rng.uniform(0.03, 0.07), -rng.uniform(0.02, 0.07) - z), (a.of("arm", "hand") - 0.2) * 0.2
    )
    bump = np.clip(-level / 0.03, 0, 1)
    offset = 0.03 + 0.03 * bump * rng.uniform(0.5, 1.3)
    cloth = draw_cloth(rng, d.config, d.split)
    if rng.random() < 0.5:
        if rng.random() < 0.3:
            cloth = STUFFS["teddy" if rng.random() < 0.6 else "fur"](rng, cloth)[0]
        else:
            cloth = replace(cloth, folds=1.0)
        slant = rng.uniform(-1.5, 1.5) * a.rest[:, 0]
        offset = offset + bump * (rng.uniform(0.01, 0.03) + 0.012 * np.cos((z + slant) * rng.uniform(90, 160)))
    ring = shells.grow(d.wardrobe, d.body, level, offset.astype(np.float32), cloth, UPPER, "scarf", "skin", 10)
    return [ring, *(scarf_ends(rng, d, cloth) if rng.random() < 0.55 else [])]
