"""What lies behind people: views into panoramas along the camera's own rays, rooms, streets and studios from rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bodymap.people.config import SceneConfig
from bodymap.people.material import cloth_colour, hsv
from bodymap.people.noise import fractal_noise, smooth_noise
from bodymap.people.pack import Pack, Panorama
from bodymap.people.pattern import draw_pattern
from bodymap.people.streams import of_split, pattern_seed
from bodymap.types import Camera

_TILE = 128  # texels of a wall texture's side; the same as a pattern's


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


def camera_rays(camera: Camera) -> Float[np.ndarray, "height width xyz=3"]:
    """Unit world direction through each pixel's centre."""
    height, width = camera.size
    k = camera.intrinsics
    x = ((np.arange(width) + 0.5) - k[0, 2]) / k[0, 0]
    y = ((np.arange(height) + 0.5) - k[1, 2]) / k[1, 1]
    rays = np.stack([*np.meshgrid(x, y), np.ones((height, width))], -1) @ camera.T_camera_world[:3, :3]
    return (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).astype(np.float32)


def draw_background(
    rng: np.random.Generator, pack: Pack, around: Surroundings, camera: Camera, config: SceneConfig, split: str
) -> Float[np.ndarray, "height width rgb=3"]:
    """Linear colours in about [0, 1]."""
    rays = camera_rays(camera)
    if around.panorama is not None:
        image = _look_into(pack.image(around.panorama.image), rays, around.yaw)
        grey = image.mean(-1, keepdims=True)
        image = grey + (image - grey) * rng.uniform(0.4, 1.05)
        image = (image - 0.5) * rng.uniform(0.95, 1.6) + 0.5
        image = image * rng.uniform(0.75, 1.3)
        if rng.random() < 0.25:  # a panorama seen at 60 degrees is soft: give some of it the fine structure it lost
            fine = fractal_noise(rng, camera.size, int(rng.integers(20, 70)), 3)[..., None]
            image = image * (1 + rng.uniform(0.05, 0.2) * fine)
        return np.clip(image, 0, 1) ** 2.2
    style = rng.random()
    if style < config.studio:
        image = _studio(rng, camera.size)
    elif style < 0.78:
        image = _room(rng, rays, camera, split)
    else:
        image = _abstract(rng, camera.size, split)
    return np.clip(image, 0, 1).astype(np.float32) ** 2.2


def _look_into(panorama: np.ndarray, rays: np.ndarray, yaw: float) -> Float[np.ndarray, "height width rgb=3"]:
    """Bilinear look-up; sRGB in [0, 1]. The reverse of ``light.panorama_directions``."""
    height, width = panorama.shape[:2]
    longitude = np.arctan2(-rays[..., 0], -rays[..., 1]) - yaw
    u = (longitude / (2 * np.pi) + 0.5) % 1 * width - 0.5
    v = np.clip((0.5 - np.arcsin(np.clip(rays[..., 2], -1, 1)) / np.pi) * height - 0.5, 0, height - 1.001)
    u0, v0 = np.floor(u).astype(int), np.floor(v).astype(int)
    fu, fv = (u - u0)[..., None].astype(np.float32), (v - v0)[..., None].astype(np.float32)
    a, b = u0 % width, (u0 + 1) % width
    c = np.minimum(v0 + 1, height - 1)
    top = panorama[v0, a] * (1 - fu) + panorama[v0, b] * fu
    bottom = panorama[c, a] * (1 - fu) + panorama[c, b] * fu
    return (top * (1 - fv) + bottom * fv) / 255


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


def _texture(rng: np.random.Generator, split: str) -> np.ndarray:
    """A (_TILE, _TILE, 3) tile for walls and floors: plain, plaster, boards, bricks, carpet."""
    kind = rng.random()
    colour = any_colour(rng)
    if kind < 0.35:
        tile = colour * (1 + rng.uniform(0, 0.25) * fractal_noise(rng, (_TILE, _TILE), 6, 4)[..., None])
    elif kind < 0.6:  # boards, tiles and bricks: a grid of cells of slightly different tone
        rows, columns = int(rng.integers(2, 9)), int(rng.integers(1, 6))
        y, x = np.mgrid[0:_TILE, 0:_TILE] / _TILE
        shift = 0.5 * (np.floor(y * rows) % 2) * (rng.random() < 0.6)
        u, v = (x * columns + shift) % columns, y * rows
        tone = rng.uniform(0.8, 1.15, (rows + 1, columns + 1))[np.floor(v).astype(int), np.floor(u).astype(int)]
        joint = (u % 1 < 0.04) | (v % 1 < 0.06)
        tile = colour * np.where(joint, rng.uniform(0.4, 1.3), tone)[..., None]
        tile = tile * (1 + 0.15 * fractal_noise(rng, (_TILE, _TILE), 12, 3)[..., None])
    elif kind < 0.8:
        tile = draw_pattern(pattern_seed(rng, split))[0].astype(np.float32) / 255
    else:
        noise = fractal_noise(rng, (_TILE, _TILE), 4, 5)[..., None]
        tile = colour * (1 + noise) + any_colour(rng) * np.clip(noise, 0, 1)
    return np.clip(tile, 0, 1).astype(np.float32)


def _room(rng: np.random.Generator, rays: np.ndarray, camera: Camera, split: str) -> np.ndarray:
    """The inside of a box (or a yard without ceiling) with furniture- and building-like blocks, ray by ray."""
    T = camera.T_camera_world
    eye = -T[:3, :3].T @ T[:3, 3]
    forward = T[2, :3]
    turn = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(turn), np.sin(turn)
    axes = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
    origin = (axes @ eye).astype(np.float32)
    d = rays @ axes.T
    d = np.where(np.abs(d) < 1e-5, 1e-5, d)
    reach = np.exp(rng.uniform(np.log(3.5), np.log(14)))
    low = np.array([origin[0] - rng.uniform(0.5, 1) * reach, origin[1] - rng.uniform(0.5, 1) * reach, 0.0])
    high = np.array([origin[0] + rng.uniform(0.5, 1) * reach, origin[1] + rng.uniform(0.5, 1) * reach, 0.0])
    low, high = np.minimum(low, origin - 0.5), np.maximum(high, origin + 0.5)
    low[2] = min(0.0, origin[2] - 0.05)
    high[2] = max(rng.uniform(2.3, 5.0), origin[2] + 0.3)
    to_wall = np.where(d > 0, (high - origin) / d, (low - origin) / d)
    axis = to_wall.argmin(-1)
    distance = to_wall.min(-1)
    face = axis * 2 + (np.take_along_axis(d, axis[..., None], -1)[..., 0] > 0)
    image = _paint(rng, origin + d * distance[..., None], axis, face, [_texture(rng, split) for _ in range(6)])
    if rng.random() < 0.4:  # no ceiling: sky
        image = np.where((face == 5)[..., None], any_colour(rng) * 0.3 + np.array([0.55, 0.65, 0.75]), image)
    shade = rng.uniform(0.7, 1.1, 6)[face]
    image = image * shade[..., None]
    for _ in range(int(rng.integers(0, 9))):
        ahead = axes @ forward
        place = origin + (ahead + rng.normal(0, 0.6, 3)) * reach * rng.uniform(0.3, 0.9)
        half = np.exp(rng.uniform(np.log(0.08), np.log(1.0), 3))
        base = 0.0 if rng.random() < 0.7 else rng.uniform(0.3, 1.8)
        a = np.array([place[0] - half[0], place[1] - half[1], base])
        b = np.array([place[0] + half[0], place[1] + half[1], base + 2 * half[2]])
        near, far = (a - origin) / d, (b - origin) / d
        near, far = np.minimum(near, far), np.maximum(near, far)
        enter, leave = near.max(-1), far.min(-1)
        hit = (enter < leave) & (enter > 0.2) & (enter < distance)
        if not hit.any():
            continue
        side = near.argmax(-1)
        distance = np.where(hit, enter, distance)
        tile = _texture(rng, split)
        painted = (
            _paint(rng, origin + d * enter[..., None], side, side * 2, [tile] * 6)
            * rng.uniform(0.6, 1.1, 3)[side][..., None]
        )
        image = np.where(hit[..., None], painted, image)
    return image


def _paint(rng, points, axis, face, tiles) -> np.ndarray:
    """Looks the tiles up with the two coordinates that run along each face."""
    first = np.where(axis == 0, 1, 0)
    second = np.where(axis == 2, 1, 2)
    size = rng.uniform(0.6, 3.5, 6)[face]
    u = np.take_along_axis(points, first[..., None], -1)[..., 0] / size
    v = np.take_along_axis(points, second[..., None], -1)[..., 0] / size
    stack = np.stack(tiles)
    return stack[face, (v % 1 * _TILE).astype(int) % _TILE, (u % 1 * _TILE).astype(int) % _TILE]


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
            tile = _texture(rng, split)
            r, c = np.arange(block.shape[0]) % _TILE, np.arange(block.shape[1]) % _TILE
            image[rows, columns] = tile[r[:, None], c[None]] if rng.random() < 0.5 else any_colour(rng)
    return image
