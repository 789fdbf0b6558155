"""What camera and file will do to a picture: the draw. ``film.develop`` does it."""

from __future__ import annotations

import numpy as np

from bodymap.people.config import PhotographConfig
from bodymap.people.film.develop import Faults


def draw_faults(rng: np.random.Generator, config: PhotographConfig) -> Faults:
    """Chances as in the config."""
    faults: dict = {"metered": float(rng.uniform(*config.metered))}
    # the meter errs a little; now and then what it meets fools it
    faults["exposure"] = float(rng.normal(0, config.misjudged if rng.random() < 0.08 else config.exposure))
    if rng.random() < config.motion:
        faults["motion"] = tuple(float(v) for v in rng.normal(0, 0.012, 2))
    if rng.random() < config.tone:
        faults |= {
            "gamma": float(rng.uniform(0.85, 1.15)),
            "contrast": float(rng.uniform(0.88, 1.25)),
            "lift": float(rng.normal(0, 0.025)),
            "balance": tuple(float(v) for v in np.clip(1 + rng.normal(0, 0.03, 3), 0.9, 1.1)),
            "saturation": float(rng.uniform(0.75, 1.2)),
        }
    if rng.random() < config.monochrome:
        faults["saturation"] = 0.0
    if rng.random() < config.noise:
        faults |= {"grain": float(rng.uniform(0.003, 0.035)), "grain_colour": bool(rng.random() < 0.5)}
    if rng.random() < config.blur:
        faults["blur"] = float(rng.uniform(0.3, 1.1))
    if rng.random() < config.low_resolution:
        faults["resolution"] = float(rng.uniform(0.35, 0.8))
    if rng.random() < config.jpeg:
        faults["quality"] = int(rng.integers(35, 96))
    return Faults(**faults, seed=int(rng.integers(1 << 31)))
