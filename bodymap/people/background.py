"""What lies behind people: views into panoramas, rooms, streets and studios from rules. ``film.backdrop`` paints it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, UInt8

from bodymap.people.config import SceneConfig
from bodymap.people.material import cloth_colour, hsv
from bodymap.people.noise import fractal_noise, smooth_noise, tileable
from bodymap.people.pack import Pack, Panorama
from bodymap.people.pattern import draw_pattern
from bodymap.people.streams import of_split, pattern_seed
from bodymap.types import Camera

_TILE = 128  # texels of a wall texture's side; the same as a pattern's
_LARGEST_FLAT = 256  # rows of a flat image; larger pictures stretch it


@dataclass(frozen=True)
class Surroundings:
    """The panorama in use (or None) and its turn about Z, so that light and background agree."""

    panorama: Panorama | None
    yaw: float


def draw_surroundings(rng: np.random.Generator, pack: Pack, config: SceneConfig, split: str) -> Surroundings:
    """Chooses a panorama or none."""
    panoramas = of_split(pack.panoramas, split)
    use = panoramas and rng.random() < config.panorama
    chosen = panoramas[rng.integers(len(panoramas))] if use else None
    return Surroundings(chosen, float(rng.uniform(-np.pi, np.pi)))


@dataclass(frozen=True)
class Block:
    """A wall of a room or a block in it.

    Attributes:
        low, high: corners in the room's axes, metres (walls: not used).
        tile: (P, P, 3) uint8, repeats every ``metres``.  tint: (3,) multiplies it.
        shade: (3,) brightness of the sides across x, y and z.
    """

    tile: UInt8[np.ndarray, "p p rgb=3"]
    metres: float
    tint: Float[np.ndarray, " rgb=3"]
    low: Float[np.ndarray, " xyz=3"] = field(default_factory=lambda: np.zeros(3))
    high: Float[np.ndarray, " xyz=3"] = field(default_factory=lambda: np.zeros(3))
    shade: Float[np.ndarray, " xyz=3"] = field(default_factory=lambda: np.ones(3))


@dataclass(frozen=True)
class Backdrop:
    """What lies behind people: a flat image, a panorama, or a room seen from inside.

    Attributes:
        image: (h, w, 3) uint8 sRGB: the flat image, stretched over the picture, or the panorama.
        yaw: of the panorama, radians.  saturation, contrast, gain: how it is toned.
        blocks: empty, or the room's six walls (low x, high x, low y, ...) and what stands in it.
        axes: (3, 3) world to room.  low, high: the room's corners.  sky: colour in place of the ceiling, or None.
        grain: (P, P, 3) uint8 fine structure, repeats every ``grain_pixels``.  grain_strength: 0 none.
        defocus: blur in pixels at 256 pixels of height (a lens focused on the person).
    """

    image: UInt8[np.ndarray, "h w rgb=3"] | None = None
    panorama: bool = False
    yaw: float = 0.0
    saturation: float = 1.0
    contrast: float = 1.0
    gain: float = 1.0
    blocks: tuple[Block, ...] = ()
    axes: Float[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3))
    low: Float[np.ndarray, " xyz=3"] = field(default_factory=lambda: np.zeros(3))
    high: Float[np.ndarray, " xyz=3"] = field(default_factory=lambda: np.zeros(3))
    sky: Float[np.ndarray, " rgb=3"] | None = None
    grain: UInt8[np.ndarray, "p p rgb=3"] | None = None
    grain_pixels: float = 128.0
    grain_strength: float = 0.0
    defocus: float = 0.0


def draw_backdrop(
    rng: np.random.Generator, pack: Pack, around: Surroundings, camera: Camera, config: SceneConfig, split: str
) -> Backdrop:
    """Chooses and describes it; ``film`` paints it."""
    defocus = float(0.5 + 4.0 * rng.random() ** 3) if rng.random() < config.defocus else 0.0
    if around.panorama is not None:
        grained = rng.random() < 0.25  # seen at 60 degrees it is soft: give some the fine structure they lost
        return Backdrop(
            image=pack.image(around.panorama.image),
            panorama=True,
            yaw=around.yaw,
            saturation=float(rng.uniform(0.7, 1.1)),
            contrast=float(rng.uniform(0.95, 1.35)),
            gain=float(rng.uniform(0.75, 1.3)),
            grain=_grain(int(rng.integers(8))),
            grain_pixels=float(rng.uniform(90, 400)),
            grain_strength=float(rng.uniform(0.05, 0.3)) if grained else 0.0,
            defocus=defocus,
        )
    style = rng.random()
    if style < config.studio:
        return Backdrop(image=_bytes(_studio(rng, (96, 96 * camera.size[1] // camera.size[0]))))
    if style < 0.78:
        return replace(_room(rng, camera, split), defocus=defocus)
    size = camera.size
    if size[0] > _LARGEST_FLAT:
        size = (_LARGEST_FLAT, max(8, _LARGEST_FLAT * size[1] // size[0]))
    return Backdrop(image=_bytes(_abstract(rng, size, split)), defocus=defocus)


def _bytes(image: np.ndarray) -> UInt8[np.ndarray, "h w rgb=3"]:
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


@functools.lru_cache(maxsize=8)
def _grain(number: int) -> UInt8[np.ndarray, "p p rgb=3"]:
    """Fine structure around mid grey."""
    tile = tileable(np.random.default_rng([97, number]), 128, 32, 3)
    return _bytes(np.repeat(0.5 + 0.5 * np.clip(tile, -1, 1)[..., None], 3, -1))


def any_colour(rng: np.random.Generator) -> np.ndarray:
    """Walls, cars, plants: mostly muted."""
    if rng.random() < 0.4:
        return np.asarray(cloth_colour(rng), np.float32)
    return hsv(rng.random(), rng.random() ** 1.8 * 0.55, rng.uniform(0.12, 1))


def _studio(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Plain paper, a soft spot of light, hardly any grain."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]] / max(size)
    colour = any_colour(rng) if rng.random() < 0.5 else np.full(3, rng.uniform(0.55, 1.0))
    spot = np.exp(-((x - rng.random()) ** 2 + (y - rng.random()) ** 2) / rng.uniform(0.1, 1.0))
    fall = rng.uniform(0.6, 1.0) + (1 - rng.uniform(0.6, 1.0)) * spot
    return colour * fall[..., None]


@functools.lru_cache(maxsize=1024)
def wall_tile(seed: int) -> UInt8[np.ndarray, "p p rgb=3"]:
    """A seamless tile for walls, floors and furniture: plain, plaster, boards, bricks, carpet. See ``pattern_seed``."""
    rng = np.random.default_rng([1717, seed])
    kind = rng.random()
    colour = any_colour(rng)
    if kind < 0.35:
        tile = colour * (1 + rng.uniform(0, 0.25) * tileable(rng, _TILE, 6, 4)[..., None])
    elif kind < 0.6:  # boards, tiles and bricks: a grid of cells of slightly different tone
        rows, columns = int(rng.integers(2, 9)), int(rng.integers(1, 6))
        y, x = np.mgrid[0:_TILE, 0:_TILE] / _TILE
        shift = 0.5 * (np.floor(y * rows) % 2) * (rng.random() < 0.6)
        u, v = (x * columns + shift) % columns, y * rows
        tone = rng.uniform(0.8, 1.15, (rows + 1, columns + 1))[np.floor(v).astype(int), np.floor(u).astype(int)]
        joint = (u % 1 < 0.04) | (v % 1 < 0.06)
        tile = colour * np.where(joint, rng.uniform(0.4, 1.3), tone)[..., None]
        tile = tile * (1 + 0.15 * tileable(rng, _TILE, 12, 3)[..., None])
    elif kind < 0.8:
        return draw_pattern(seed)[0]
    else:
        noise = tileable(rng, _TILE, 4, 5)[..., None]
        tile = colour * (1 + noise) + any_colour(rng) * np.clip(noise, 0, 1)
    return _bytes(tile)


def _wall(rng: np.random.Generator, split: str, **kwargs) -> Block:
    """A random tile in a tone of its own."""
    tint = rng.uniform(0.75, 1.2) * (1 + rng.normal(0, 0.06, 3))
    return Block(wall_tile(pattern_seed(rng, split)), float(rng.uniform(0.6, 3.5)), np.clip(tint, 0.5, 1.4), **kwargs)


def _room(rng: np.random.Generator, camera: Camera, split: str) -> Backdrop:
    """The inside of a box (or a yard without ceiling) with furniture- and building-like blocks."""
    T = camera.T_camera_world.astype(np.float64)
    turn = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(turn), np.sin(turn)
    axes = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    origin, ahead = axes @ (-T[:3, :3].T @ T[:3, 3]), axes @ T[2, :3]
    reach = np.exp(rng.uniform(np.log(3.5), np.log(14)))
    low, high = origin - rng.uniform(0.5, 1, 3) * reach, origin + rng.uniform(0.5, 1, 3) * reach
    low[2], high[2] = min(0.0, origin[2] - 0.05), max(rng.uniform(2.3, 5.0), origin[2] + 0.3)
    blocks = []
    for _ in range(6):
        wall = _wall(rng, split)
        blocks.append(replace(wall, tint=wall.tint * rng.uniform(0.7, 1.1)))
    sky = any_colour(rng) * 0.3 + np.array([0.55, 0.65, 0.75]) if rng.random() < 0.4 else None
    for _ in range(int(rng.integers(0, 9))):
        place = origin + (ahead + rng.normal(0, 0.6, 3)) * reach * rng.uniform(0.3, 0.9)
        half = np.exp(rng.uniform(np.log(0.08), np.log(1.0), 3))
        base = 0.0 if rng.random() < 0.7 else rng.uniform(0.3, 1.8)
        corner = np.array([place[0] - half[0], place[1] - half[1], base])
        blocks.append(_wall(rng, split, low=corner, high=corner + 2 * half, shade=rng.uniform(0.6, 1.1, 3)))
    return Backdrop(blocks=tuple(blocks), axes=axes, low=low, high=high, sky=sky)


def _abstract(rng: np.random.Generator, size: tuple[int, int], split: str) -> np.ndarray:
    """Blurred colours, foliage, and clutter without perspective."""
    height, width = size
    y = np.linspace(0, 1, height)[:, None, None]
    image = any_colour(rng) * (1 - y) + any_colour(rng) * y + np.zeros((height, width, 1))
    colours = np.stack([fractal_noise(rng, size, int(rng.integers(2, 6)), 4) for _ in range(3)], -1)
    colours = colours.mean(-1, keepdims=True) + (colours - colours.mean(-1, keepdims=True)) * rng.uniform(0.1, 0.6)
    image = image + colours * rng.uniform(0.1, 0.6)
    if rng.random() < 0.5:  # foliage: noise cut at a level, lit by other noise
        mask = smooth_noise(rng, size, (int(rng.integers(15, 60)), int(rng.integers(12, 45)))) + smooth_noise(
            rng, size, (4, 3)
        )
        green = (
            any_colour(rng)
            if rng.random() < 0.4
            else hsv(rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.7), rng.uniform(0.2, 0.7))
        )
        lit = 0.5 + 0.8 * smooth_noise(rng, size, (40, 30))[..., None]
        image = np.where((mask > rng.uniform(0.9, 1.3))[..., None], green * lit, image)
    for _ in range(int(rng.integers(0, 10))):
        h, w = (int(v) for v in np.exp(rng.uniform(np.log(6), np.log(140), 2)))
        top, left = int(rng.integers(-h // 2, height)), int(rng.integers(-w // 2, width))
        rows = slice(max(0, top), max(0, min(height, top + h)))
        columns = slice(max(0, left), max(0, min(width, left + w)))
        block = image[rows, columns]
        if block.size:
            tile = wall_tile(pattern_seed(rng, split)) / np.float32(255)
            r, c = np.arange(block.shape[0]) % _TILE, np.arange(block.shape[1]) % _TILE
            image[rows, columns] = tile[r[:, None], c[None]] if rng.random() < 0.5 else any_colour(rng)
    return image
