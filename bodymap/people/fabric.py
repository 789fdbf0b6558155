"""Cloth for a garment: its colour or print, its folds, its gloss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bodymap.people import prints
from bodymap.people.config import OutfitConfig
from bodymap.people.material import Material, cloth_colour, folds, recolour
from bodymap.people.pack import Garment, Pack
from bodymap.people.pattern import draw_pattern
from bodymap.people.streams import pattern_seed


def draw_cloth(rng: np.random.Generator, config: OutfitConfig, split: str, leather: bool = False) -> Material:
    """Plain or patterned cloth without a texture; ``leather``: smooth, glossy, rarely patterned."""
    glossy = leather or rng.random() < 0.08
    material = Material(
        colour=np.asarray(cloth_colour(rng), np.float32),
        gloss=float(rng.uniform(0.1, 0.45) if glossy else rng.uniform(0, 0.06)),
        shine=float(rng.uniform(15, 60) if glossy else rng.uniform(6, 16)),
        weave=float(rng.uniform(0, 0.1)),
        sheen=float(rng.uniform(0, 0.12)),
        **folds(rng, rng.uniform(0.05, 0.2) if glossy else rng.uniform(0.2, 1.0)),
    )
    if rng.random() < config.pattern * (0.25 if leather else 1.0):
        material = _printed(rng, material, config, split, 1.0)
    return material


def made_cloth(rng: np.random.Generator, pack: Pack, garment: Garment, config: OutfitConfig, split: str) -> Material:
    """The garment's own texture, most often recoloured, now and then printed over; without one, plain cloth."""
    if garment.texture is None:
        return draw_cloth(rng, config, split)
    own = rng.random() < 0.3
    texture = pack.image(garment.texture)
    tint = recolour(rng, texture, None if own else cloth_colour(rng))
    material = Material(
        colour=np.ones(3, np.float32),
        texture=texture,
        tint=tint,
        alpha=garment.alpha,
        gloss=float(rng.uniform(0, 0.08)),
        shine=float(rng.uniform(6, 20)),
        **folds(rng, rng.uniform(0.05, 0.45)),
    )
    if garment.kind not in ("shoes", "hat") and rng.random() < config.pattern * 0.8:
        material = _printed(rng, material, config, split, 0.0 if rng.random() < 0.6 else 0.85)
    return material


def _printed(rng: np.random.Generator, material: Material, config: OutfitConfig, split: str, blend: float) -> Material:
    seed = pattern_seed(rng, split)
    if rng.random() < config.placed:
        return prints.printed(material, seed, config.prints, blend)
    tile, size = draw_pattern(seed, config.patterns)
    return replace(material, pattern=tile, pattern_size=size, pattern_blend=blend)
