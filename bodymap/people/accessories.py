"""Hats and scarves."""

from __future__ import annotations

import numpy as np

from bodymap.people import shells
from bodymap.people.config import OutfitConfig
from bodymap.people.fabric import draw_cloth, made_cloth
from bodymap.people.hair import HAIR, scalp_level
from bodymap.people.mesh import Piece
from bodymap.people.shape import Body
from bodymap.people.streams import of_split
from bodymap.people.wardrobe import Wardrobe
from bodymap.types import LAYER_NAMES

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


def draw_scarf(rng: np.random.Generator, wardrobe: Wardrobe, body: Body, config: OutfitConfig, split: str) -> Piece:
    """A ring of cloth around the neck."""
    a = wardrobe.anatomy
    z = a.rest[:, 2] - a.heads["neck01"][2]
    level = np.maximum(
        np.maximum(z - rng.uniform(0.03, 0.07), -rng.uniform(0.02, 0.07) - z), (a.of("arm", "hand") - 0.2) * 0.2
    )
    bump = np.clip(-level / 0.03, 0, 1)
    offset = 0.03 + 0.03 * bump * rng.uniform(0.5, 1.3)
    cloth = draw_cloth(rng, config, split)
    return shells.grow(wardrobe, body, level, offset.astype(np.float32), cloth, UPPER, "scarf", "skin", 10)
