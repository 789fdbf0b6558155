"""Printed and woven cloth, drawn as seamless tiles: stripes, checks, dots, florals, camouflage, denim, knits."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from bodymap.people.material import cloth_colour
from bodymap.people.noise import tileable
from bodymap.people.streams import choose

_SIZE = 128
_KINDS = {
    "stripes": 0.2,
    "bands": 0.06,
    "check": 0.12,
    "tartan": 0.07,
    "dots": 0.08,
    "floral": 0.12,
    "animal": 0.06,
    "camouflage": 0.05,
    "herringbone": 0.04,
    "scribble": 0.06,
    "denim": 0.08,
    "knit": 0.06,
}


def draw_pattern(seed: int) -> tuple[UInt8[np.ndarray, "p p rgb=3"], float]:
    """(tile, metres one repeat covers). Everything follows from the seed; see ``streams.pattern_seed``."""
    rng = np.random.default_rng([4242, seed])
    kind = choose(rng, _KINDS)
    y, x = np.mgrid[0:_SIZE, 0:_SIZE] / _SIZE
    a, b, c = (np.asarray(cloth_colour(rng), np.float32) for _ in range(3))
    if np.abs(a - b).max() < 0.2:  # a pattern that nobody sees is none
        b = np.clip(1 - a + rng.normal(0, 0.1, 3), 0, 1).astype(np.float32)
    tile = globals()["_" + kind](rng, x, y, a, b, c)
    size = float(np.exp(rng.uniform(np.log(0.12), np.log(0.6))))
    if kind in ("denim", "knit", "herringbone"):
        size = float(rng.uniform(0.06, 0.2))
    return (np.clip(tile, 0, 1) * 255).astype(np.uint8), size


def _mix(mask: np.ndarray, a: np.ndarray, b: np.ndarray) -> Float[np.ndarray, "p p 3"]:
    m = np.asarray(mask, np.float32)[..., None]
    return a * m + b * (1 - m)


def _soft(value: np.ndarray, width: float = 0.02) -> np.ndarray:
    """A step from 0 to 1 at value 0, ``width`` wide."""
    return np.clip(value / width + 0.5, 0, 1)


def _stripes(rng, x, y, a, b, c):
    n = int(rng.integers(1, 7))
    along = y if rng.random() < 0.65 else x if rng.random() < 0.75 else x + y
    phase = (along * n) % 1
    out = _mix(_soft(rng.uniform(0.15, 0.7) - phase, 0.02 * n), a, b)
    if rng.random() < 0.4:
        out = _mix(_soft(0.06 - np.abs(phase - 0.85), 0.02 * n), c, out)
    return out


def _bands(rng, x, y, a, b, c):
    """Irregular bands of several colours."""
    edges = np.sort(rng.random(int(rng.integers(3, 8))))
    colours = np.array([(a, b, c)[rng.integers(3)] for _ in range(len(edges) + 1)])
    return colours[np.searchsorted(edges, (y if rng.random() < 0.8 else x).ravel()) % len(edges)].reshape(*y.shape, 3)


def _check(rng, x, y, a, b, c):
    n = int(rng.integers(1, 6))
    share = rng.uniform(0.25, 0.6)
    return _mix(0.5 * ((x * n % 1) < share) + 0.5 * ((y * n % 1) < share), a, b)


def _tartan(rng, x, y, a, b, c):
    def threads(t):
        line = np.zeros((*t.shape, 3), np.float32) + b
        for colour in (a, c, cloth_colour(rng)):
            centre, width = rng.random(), rng.uniform(0.02, 0.2)
            line = _mix(np.abs((t - centre + 0.5) % 1 - 0.5) < width / 2, colour, line)
        return line

    n = int(rng.integers(1, 4))
    state = rng.bit_generator.state
    across = threads(x * n % 1)
    rng.bit_generator.state = state
    return (across + threads(y * n % 1)) / 2


def _dots(rng, x, y, a, b, c):
    n, radius = int(rng.integers(2, 9)), rng.uniform(0.12, 0.4)
    u, v = x * n, y * n
    u = u + 0.5 * (np.floor(v) % 2) * (n % 2 == 0)
    return _mix(_soft(radius - np.hypot(u % 1 - 0.5, v % 1 - 0.5), 0.05), a, b)


def _floral(rng, x, y, a, b, c):
    out = np.zeros((*x.shape, 3), np.float32) + b
    for _ in range(int(rng.integers(6, 40))):
        cx, cy = rng.random(2)
        size, petals, turn = rng.uniform(0.03, 0.16), int(rng.integers(3, 8)), rng.uniform(0, 6.3)
        dx, dy = (x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5
        r, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
        edge = size * (0.65 + 0.35 * np.cos(petals * angle + turn))
        colour = (a, c, cloth_colour(rng))[rng.integers(3)]
        out = _mix(_soft(edge - r, 0.015), np.asarray(colour, np.float32), out)
        out = _mix(_soft(size * 0.25 - r, 0.01), c, out)
    return out


def _animal(rng, x, y, a, b, c):
    noise = tileable(rng, _SIZE, int(rng.integers(5, 16)), 2)
    if rng.random() < 0.5:
        return _mix(_soft(0.06 - np.abs(noise), 0.02), a * 0.5, b)
    return _mix(_soft(noise - 0.12, 0.03), a * 0.6, _mix(_soft(noise + 0.1, 0.03), c, b))


def _camouflage(rng, x, y, a, b, c):
    out = np.zeros((*x.shape, 3), np.float32) + a
    for colour in (b, c, cloth_colour(rng)):
        out = _mix(_soft(tileable(rng, _SIZE, int(rng.integers(3, 8)), 3) - 0.12, 0.02), np.asarray(colour), out)
    return out


def _herringbone(rng, x, y, a, b, c):
    n = int(rng.integers(4, 10))
    zig = np.abs((x * n % 1) - 0.5) * 2
    return _mix(((y * n * 2 + zig) % 1) < 0.5, a, 0.6 * a + 0.4 * b)


def _scribble(rng, x, y, a, b, c):
    """Lettering, logos and graphics, from afar: strokes and blocks on a plain ground."""
    out = np.zeros((*x.shape, 3), np.float32) + a
    for _ in range(int(rng.integers(2, 14))):
        cx, cy = rng.random(2)
        w, h = np.exp(rng.uniform(np.log(0.015), np.log(0.25), 2))
        turn = rng.normal(0, 0.5)
        dx, dy = (x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5
        u, v = np.cos(turn) * dx + np.sin(turn) * dy, -np.sin(turn) * dx + np.cos(turn) * dy
        mask = (np.abs(u) < w) & (np.abs(v) < h) if rng.random() < 0.6 else np.hypot(u / w, v / h) < 1
        out = _mix(mask, b if rng.random() < 0.7 else c, out)
    return out


def _denim(rng, x, y, a, b, c):
    base = np.array([0.2, 0.28, 0.42]) * rng.uniform(0.5, 1.9)
    twill = ((x + y) * 24 % 1) < 0.5
    return (base * (1 + 0.25 * tileable(rng, _SIZE, 4, 4)[..., None]) * (1 + 0.18 * twill[..., None])).astype(
        np.float32
    )


def _knit(rng, x, y, a, b, c):
    n = int(rng.integers(5, 12))
    loop = np.abs(np.sin(np.pi * x * n)) * (
        0.7 + 0.3 * np.abs(np.sin(np.pi * (y * n * 1.5 + np.abs((x * n % 1) - 0.5))))
    )
    return a * (0.55 + 0.55 * loop[..., None])
