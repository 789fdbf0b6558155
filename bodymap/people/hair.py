"""Heads: eyes, brows, lashes and hair, from the pack's hair cards or grown from the scalp."""

from __future__ import annotations

import numpy as np

from bodymap.people import shells
from bodymap.people.anatomy import Anatomy
from bodymap.people.config import OutfitConfig
from bodymap.people.material import Material, cloth_colour, folds, hair_colour, recolour
from bodymap.people.mesh import Piece
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.shape import Body
from bodymap.people.streams import choose, of_split
from bodymap.people.wardrobe import Wardrobe
from bodymap.types import LAYER_NAMES

HAIR = LAYER_NAMES.index("hair")


def draw_head(
    rng: np.random.Generator, wardrobe: Wardrobe, body: Body, config: OutfitConfig, split: str
) -> list[Piece]:
    """Everything that belongs on a bare head."""
    pack = wardrobe.pack
    colour = hair_colour(rng)
    if body.age > 58 and rng.random() < 0.6:
        colour = np.full(3, rng.uniform(0.5, 0.85))
    pieces = []
    for kind in ("eyes", "eyebrows", "eyelashes"):
        items = of_split(pack.garments_of(kind, split="all"), split)
        if items:
            garment = items[rng.integers(len(items))]
            if kind == "eyes":
                iris = of_split(pack.eyes, split)
                texture = pack.image(iris[rng.integers(len(iris))].texture) if iris else _iris(rng)
                material = Material(np.ones(3, np.float32), texture=texture[..., :3], gloss=0.4, shine=60.0)
            else:
                dark = colour * rng.uniform(0.4, 0.9) if kind == "eyebrows" else np.full(3, 0.05)
                texture = pack.image(garment.texture) if garment.texture else None
                tint = None if texture is None else recolour(rng, texture, dark)
                material = Material(np.asarray(dark, np.float32), texture=texture, tint=tint, alpha=garment.alpha)
            pieces.append(wardrobe.wear(garment, body, material))
    kind = choose(rng, config.hair)
    made = of_split(pack.garments_of("hair", split="all"), split)
    mine = "female" if body.female else "male"
    made = [g for g in made if g.gender in ("any", mine)] if rng.random() < 0.8 else made
    if kind == "made" and made:
        garment = made[rng.integers(len(made))]
        texture = tint = None
        if garment.texture is not None:
            texture = pack.image(garment.texture)
            tint = recolour(rng, texture, None if rng.random() < 0.12 else colour, (0.5, 1.1))
        material = Material(
            np.asarray(colour, np.float32),
            texture=texture,
            tint=tint,
            alpha=garment.alpha,
            gloss=0.12,
            shine=12.0,
            sheen=0.1,
        )
        pieces.append(wardrobe.wear(garment, body, material))
        if garment.alpha:  # cards let the scalp through: a thin cap of the same colour beneath them
            pieces.append(_scalp(rng, wardrobe, body, 0.85 * material.mean_colour, 0.0, "under hair"))
    elif kind == "shell" or (kind == "made" and not made):
        thick = float(rng.choice([0.003, 0.012, 0.03, 0.06], p=[0.35, 0.35, 0.2, 0.1]) * rng.uniform(0.7, 1.3))
        pieces.append(_scalp(rng, wardrobe, body, colour, thick, "hair"))
    return pieces


def _scalp(
    rng: np.random.Generator, wardrobe: Wardrobe, body: Body, colour: np.ndarray, thick: float, name: str
) -> Piece:
    """Hair as a shell over the scalp, rough where it is long."""
    a = wardrobe.anatomy
    level = scalp_level(wardrobe, 0.0 if thick else -0.008)
    depth = np.clip(-level / 0.03, 0, 1)  # thin along the hairline
    rest, under = a.rest.astype(float), np.flatnonzero(thick * depth)
    wave = np.zeros(len(rest))
    for _ in range(5):
        k = rng.normal(0, 1, 3) * rng.uniform(20, 90)
        wave[under] += np.cos((rest @ k)[under] + rng.uniform(0, 6.3)) / 5
    offset = (0.002 if thick else 0.0006) + thick * depth * (0.8 + 0.4 * wave)
    material = Material(
        np.asarray(colour, np.float32),
        gloss=0.1,
        shine=10.0,
        sheen=0.1,
        weave=0.3,
        **folds(rng, 0.5 if thick > 0.008 else 0.1),
    )
    return shells.grow(wardrobe, body, level, offset.astype(np.float32), material, HAIR, name, "skin", 3)


def scalp_level(wardrobe: Wardrobe, down: float = 0.0) -> np.ndarray:
    """Negative over the hair, about metres to the hairline (forehead, ear, nape); ``down`` > 0 reaches further."""
    if "scalp" not in wardrobe.kept:
        wardrobe.kept["scalp"] = _hair_level(wardrobe.anatomy)
    return (wardrobe.kept["scalp"] - down).astype(np.float32)


def _hair_level(a: Anatomy) -> np.ndarray:
    """``scalp_level`` of the hairline itself."""
    top, joint = a.rest[:SKIN_VERTICES, 2].max(), a.heads["head"]
    tall = top - joint[2]
    # (metres behind the head joint, share of the height between joint and crown)
    behind = np.array([-0.13, -0.10, -0.055, -0.02, 0.03, 0.1]) * tall / 0.15
    height = np.array([0.70, 0.66, 0.42, 0.30, -0.22, -0.3])
    line = joint[2] + tall * np.interp(a.rest[:, 1] - joint[1], behind, height)
    return np.maximum(line - a.rest[:, 2], (0.6 - a.of("head", "neck")) * 0.2)


def _iris(rng: np.random.Generator, size: int = 128) -> np.ndarray:
    """Both eyes where MakeHuman's textures have them: the left one's pupil at (0.705, 0.297), the right one's at
    (0.293, 0.703)."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    r = np.minimum(np.hypot(u - 0.705, v - 0.297), np.hypot(u - 0.293, v - 0.703))[..., None]
    colour = np.clip(cloth_colour(rng) * 0.6, 0.05, 0.6)
    out = np.where(r < 0.05, 0.02, np.where(r < 0.12, colour, 0.92))
    return (np.broadcast_to(out, (size, size, 3)) * 255).astype(np.uint8)
