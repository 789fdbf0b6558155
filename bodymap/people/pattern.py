"""Printed and woven cloth, drawn as seamless tiles: stripes, checks, dots, florals, lace, camouflage, denim, knits."""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float, UInt8

from bodymap.errors import UserError
from bodymap.people.config import OutfitConfig
from bodymap.people.material import cloth_colour
from bodymap.people.noise import tileable
from bodymap.people.streams import choose

_SIZE = 128


def draw_pattern(seed: int, kinds: dict[str, float] | None = None) -> tuple[UInt8[np.ndarray, "p p rgb=3"], float]:
    """(tile, metres one repeat covers). Everything follows from the seed; see ``streams.pattern_seed``.

    Args:
        kinds: weights by name; None: those of ``OutfitConfig.patterns``.

    Raises:
        UserError: there is no pattern of a name.
    """
    return _drawn(seed, tuple((OutfitConfig().patterns if kinds is None else kinds).items()))


@functools.lru_cache(maxsize=1280)  # see ``streams.PATTERNS``; 48 kB each
def _drawn(seed: int, kinds: tuple[tuple[str, float], ...]) -> tuple[UInt8[np.ndarray, "p p rgb=3"], float]:
    rng = np.random.default_rng([4242, seed])
    kind = choose(rng, dict(kinds))
    if kind not in PATTERNS:
        raise UserError(f'There is no pattern "{kind}"; there are {", ".join(sorted(PATTERNS))}.')
    y, x = np.mgrid[0:_SIZE, 0:_SIZE] / _SIZE
    a, b, c = (np.asarray(cloth_colour(rng), np.float32) for _ in range(3))
    if np.abs(a - b).max() < 0.2:  # a pattern that nobody sees is none
        b = np.clip(1 - a + rng.normal(0, 0.1, 3), 0, 1).astype(np.float32)
    tile = PATTERNS[kind](rng, x, y, a, b, c)
    size = float(np.exp(rng.uniform(np.log(0.12), np.log(0.6))))
    if kind in ("denim", "knit", "herringbone", "houndstooth"):
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


def _stars(rng, x, y, a, b, c):
    """Stars, or hearts and rings, in rows or strewn."""
    out = np.zeros((*x.shape, 3), np.float32) + b
    points, strewn = int(rng.integers(4, 8)), rng.random() < 0.5
    n = int(rng.integers(2, 5))
    for k in range(n * n):
        cx, cy = rng.random(2) if strewn else ((k % n + 0.5 * (k // n % 2)) / n, k // n / n)
        size = rng.uniform(0.25, 0.42) / n
        dx, dy = (x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5
        r, angle = np.hypot(dx, dy), np.arctan2(dy, dx) + (rng.uniform(0, 6.3) if strewn else -np.pi / 2)
        # straight edges between the tips: distance along the spoke that the angle has from the nearest tip
        spoke = np.abs((angle * points / (2 * np.pi) + 0.5) % 1 - 0.5) * 2
        edge = size / (1 + 1.4 * spoke)
        out = _mix(_soft(edge - r, 0.012), a if rng.random() < 0.75 else c, out)
    return out


def _zigzag(rng, x, y, a, b, c):
    n, teeth = int(rng.integers(2, 7)), int(rng.integers(2, 7))
    phase = (y * n + np.abs((x * teeth % 1) - 0.5) * 2 * rng.uniform(0.4, 1.2)) % 1
    out = _mix(_soft(rng.uniform(0.25, 0.6) - phase, 0.03 * n), a, b)
    return _mix(_soft(0.08 - np.abs(phase - 0.8), 0.02 * n), c, out) if rng.random() < 0.5 else out


def _paisley(rng, x, y, a, b, c):
    """Bent drops with rings inside, strewn."""
    out = np.zeros((*x.shape, 3), np.float32) + b
    colours = (a, c, np.asarray(cloth_colour(rng), np.float32))
    for _ in range(int(rng.integers(8, 18))):
        cx, cy = rng.random(2)
        size, turn, way = rng.uniform(0.06, 0.14), rng.uniform(0, 6.3), rng.choice([-1, 1])
        dx, dy = (x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5
        u = (np.cos(turn) * dx + np.sin(turn) * dy) / size
        v = (-np.sin(turn) * dx + np.cos(turn) * dy) / size
        v = v - way * 0.45 * np.clip(u, 0, 2) ** 2  # the tip bends
        width = np.where(u < 0, 1.0, np.clip(1 - u / 1.7, 0.02, 1))
        r = np.hypot(np.where(u < 0, u, u * 0.55), v / width)
        for k, share in enumerate((1.0, 0.75, 0.4)):
            out = _mix(_soft(share - r, 0.12), colours[k % 3], out)
    return out


def _ikat(rng, x, y, a, b, c):
    """Rhombi whose edges run, as dyed threads do."""
    n = int(rng.integers(1, 4))
    threads = np.repeat(rng.normal(0, 0.06, (1, 64)), _SIZE // 64, axis=1)
    v = (y + threads + 0.02 * tileable(rng, _SIZE, 32, 2)) * n
    rhombus = np.abs((v % 1) - 0.5) + np.abs((x * n % 1) - 0.5)
    out = np.zeros((*x.shape, 3), np.float32) + b
    for edge, colour in ((0.45, a), (0.3, c), (0.14, b)):
        out = _mix(_soft(edge - rhombus, 0.05), colour, out)
    return out


def _lace(rng, x, y, a, b, c):
    """Openwork: a light net with flowers over a darker or skin-like ground."""
    n = int(rng.integers(8, 16))
    u, v = x * n, y * n
    net = np.minimum(np.abs((u + v) % 1 - 0.5), np.abs((u - v) % 1 - 0.5))
    white = np.clip(np.full(3, rng.uniform(0.75, 1.0)) if rng.random() < 0.7 else a * 0.3, 0, 1)
    ground = np.array([0.7, 0.52, 0.42]) * rng.uniform(0.4, 1.2) if rng.random() < 0.6 else b * 0.5
    out = _mix(_soft(0.14 - net, 0.08), white, ground.astype(np.float32))
    for _ in range(int(rng.integers(4, 12))):
        cx, cy = rng.random(2)
        dx, dy = (x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5
        r, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
        edge = rng.uniform(0.05, 0.12) * (0.7 + 0.3 * np.cos(int(rng.integers(4, 8)) * angle + rng.uniform(0, 6)))
        out = _mix(_soft(edge - r, 0.02), white, out)
    return out


def _houndstooth(rng, x, y, a, b, c):
    n = int(rng.integers(2, 6))
    u, v = x * n % 1 * 4, y * n % 1 * 4
    across, down = (u % 4) < 2, (v % 4) < 2
    twill = ((np.floor(u * 2) + np.floor(v * 2)) % 4) < 2
    return _mix(np.where(across & down, 1.0, np.where(across | down, twill, 0.0)), a, b)


def _cloudy(rng, x, y, a, b, c):
    """All-over photographic prints and batik: colours that flow into each other."""
    field = tileable(rng, _SIZE, int(rng.integers(2, 6)), 4) + 0.3 * np.sin(2 * np.pi * (x + y))
    colours = np.array([a, b, c, np.asarray(cloth_colour(rng))])
    level = np.clip((field + 0.6) / 1.2, 0, 1) * (len(colours) - 1)
    low = np.minimum(level.astype(int), len(colours) - 2)
    share = (level - low)[..., None]
    return colours[low] * (1 - share) + colours[low + 1] * share


PATTERNS = {
    "stripes": _stripes,
    "bands": _bands,
    "check": _check,
    "tartan": _tartan,
    "dots": _dots,
    "floral": _floral,
    "animal": _animal,
    "camouflage": _camouflage,
    "herringbone": _herringbone,
    "scribble": _scribble,
    "denim": _denim,
    "knit": _knit,
    "stars": _stars,
    "zigzag": _zigzag,
    "paisley": _paisley,
    "ikat": _ikat,
    "lace": _lace,
    "houndstooth": _houndstooth,
    "cloudy": _cloudy,
}
