"""A cloth sequence that nobody simulated: coarse garments that go up and down with the body."""

import functools

import numpy as np

from apps.layered.cloth.garments import Garment, Tailor
from apps.layered.cloth.motion import local_rotations, posed_skin
from apps.layered.cloth.sequences import ClothSequence
from apps.layered.cloth.simulation import adult
from bodymap.people.pack import Pack


@functools.lru_cache(maxsize=1)
def tailor() -> Tailor:
    pack = Pack.load()
    return Tailor(pack, adult(pack, 0, "train"), step=0.04)


@functools.lru_cache(maxsize=1)
def outfit() -> tuple[Garment, Garment]:
    lower = tailor().make("trousers")
    return lower, tailor().make("T-shirt", lower)


@functools.lru_cache(maxsize=1)
def still_sequence() -> ClothSequence:
    """Five frames from the rest pose on."""
    body, garments = tailor().body, outfit()
    local = local_rotations("walk", Pack.load(), 5)
    _, lift = posed_skin(Pack.load(), body, local)
    paths = tuple(g.vertices[None] + lift[:, None, None] * np.float32([0, 0, 1]) for g in garments)
    report = {"frames": 5}
    return ClothSequence("walk, T-shirt, trousers", "walk", "train", 0, 30, body, local, lift, garments, paths, report)
