"""What makers of things share: the pack and the seeds' split they may use, and the paints that things come in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from bodymap.people.background import any_colour
from bodymap.people.config import PeopleConfig
from bodymap.people.material import Material, folds, hsv
from bodymap.people.mesh import Piece
from bodymap.people.pack import Pack
from bodymap.people.pattern import draw_pattern
from bodymap.people.primitives import Solid, as_piece
from bodymap.people.streams import pattern_seed


@dataclass(frozen=True)
class Props:
    """Where makers of things find assets and settings."""

    pack: Pack
    config: PeopleConfig
    split: str

    def paint(self, rng: np.random.Generator, printed: float = 0.3) -> Material:
        """Any colour, dull or glossy; ``printed``: the chance of a pattern."""
        material = Material(
            np.asarray(any_colour(rng), np.float32),
            gloss=float(rng.uniform(0, 0.4)),
            shine=float(rng.uniform(5, 60)),
            **folds(rng, rng.uniform(0, 0.3)),
        )
        if rng.random() < printed:
            tile, size = draw_pattern(pattern_seed(rng, self.split))
            material = replace(material, pattern=tile, pattern_size=size * 2)
        return material


def plain(colour: Float[np.ndarray, " rgb=3"], gloss: float = 0.05, shine: float = 20.0) -> Material:
    """One colour, no folds."""
    return Material(np.clip(np.asarray(colour, np.float32), 0.01, 1), gloss=gloss, shine=shine)


def calm(cloth: Material) -> Material:
    """Cloth or leather that hardly wrinkles."""
    return replace(cloth, folds=min(cloth.folds, 0.1), relief=0.0)


def metal(rng: np.random.Generator) -> Material:
    """Painted or bare metal: mostly grey, black, white; now and then a signal colour."""
    if rng.random() < 0.7:
        colour = np.full(3, rng.choice([0.06, 0.3, 0.55, 0.85])) * rng.uniform(0.7, 1.15)
    else:
        colour = hsv(rng.random(), rng.uniform(0.5, 0.9), rng.uniform(0.3, 0.9))
    return plain(colour, rng.uniform(0.15, 0.5), rng.uniform(20, 60))


def wood(rng: np.random.Generator) -> Material:
    """Light to dark wood."""
    return plain(hsv(rng.uniform(0.04, 0.1), rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.85)), rng.uniform(0, 0.25))


def leaves(rng: np.random.Generator) -> Material:
    """Green, seldom red or yellow."""
    hue = rng.uniform(0.2, 0.38) if rng.random() < 0.85 else rng.uniform(0, 0.16)
    return Material(
        hsv(hue, rng.uniform(0.3, 0.75), rng.uniform(0.15, 0.6)), sheen=0.1, **folds(rng, rng.uniform(0.2, 1.0))
    )


def part(solid: Solid, material: Material, uv: np.ndarray | None = None) -> Piece:
    """A piece of a thing."""
    return as_piece(solid, "thing", 0, material, uv=uv)
