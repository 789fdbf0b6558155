"""Light on people: the surroundings as nine numbers a colour (spherical harmonics), and one sun that casts shadows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from bodymap.people.config import LightConfig
from bodymap.people.pack import Panorama


@dataclass(frozen=True)
class Light:
    """What falls on a white surface, in linear units where 1 is as bright as white paper in the picture.

    Attributes:
        irradiance: (9, 3) coefficients of ``harmonics`` of the normal; already convolved with the cosine.
        sun: (3,) unit direction towards the sun, world.  sun_colour: (3,).
        occlusion: strength of the darkening in creases, 0..1.
    """

    irradiance: Float[np.ndarray, "basis=9 rgb=3"]
    sun: Float[np.ndarray, " xyz=3"]
    sun_colour: Float[np.ndarray, " rgb=3"]
    occlusion: float

    @property
    def sun_axes(self) -> Float[np.ndarray, "3 3"]:
        """Rows: two directions across the sunlight, and the one it travels in."""
        sun = np.asarray(self.sun, np.float64)
        across = np.cross(sun, [0, 0, 1.0] if abs(sun[2]) < 0.9 else [1.0, 0, 0])
        across /= np.linalg.norm(across)
        return np.stack([across, np.cross(sun, across), -sun]).astype(np.float32)


def harmonics(direction):
    """(..., 3) unit vectors -> (..., 9) real spherical harmonics up to degree 2; numpy or torch."""
    x, y, z = direction[..., 0], direction[..., 1], direction[..., 2]
    one = x * 0 + 1
    parts = [
        0.282095 * one,
        0.488603 * y,
        0.488603 * z,
        0.488603 * x,
        1.092548 * x * y,
        1.092548 * y * z,
        0.315392 * (3 * z * z - 1),
        1.092548 * x * z,
        0.546274 * (x * x - y * y),
    ]
    if isinstance(direction, np.ndarray):
        return np.stack(parts, -1)
    import torch

    return torch.stack(parts, -1)


# Lambert's cosine lobe in each degree (Ramamoorthi and Hanrahan 2001), divided by pi: irradiance of a white surface.
_COSINE = np.array([1.0, *[2 / 3] * 3, *[1 / 4] * 5])[:, None]


def panorama_directions(height: int, width: int, yaw: float) -> Float[np.ndarray, "height width xyz=3"]:
    """World direction of each texel; the middle column looks along -Y turned by ``yaw`` about Z."""
    longitude = ((np.arange(width) + 0.5) / width * 2 - 1) * np.pi + yaw
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    lon, lat = np.meshgrid(longitude, latitude)
    return np.stack([-np.sin(lon) * np.cos(lat), -np.cos(lon) * np.cos(lat), np.sin(lat)], -1)


def draw_light(rng: np.random.Generator, panorama: Panorama | None, yaw: float, config: LightConfig) -> Light:
    """Light of a panorama (turned by ``yaw``), or invented: sky, ground and a lamp or two."""
    if panorama is not None and panorama.radiance is not None:
        light = _of_panorama(rng, panorama, yaw)
    else:
        light = _invented(rng, config)
    irradiance, sun, sun_colour = light
    # exposure: what an upright surface sees on average becomes the wanted brightness; nobody keeps a black picture
    around = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4), np.full(8, 0.3)], -1)
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    seen = np.clip(harmonics(around) @ irradiance, 0, None) + 0.6 * np.clip(around @ sun, 0, None)[:, None] * sun_colour
    gain = rng.uniform(*config.exposure) / max(float(seen.mean()), 1e-6)
    tint = seen.mean(0) / max(float(seen.mean()), 1e-6)
    white = tint ** -rng.uniform(0.65, 1.0)  # cameras balance most of the tint away
    return Light(
        (irradiance * gain * white).astype(np.float32),
        sun.astype(np.float32),
        (sun_colour * gain * white).astype(np.float32),
        float(rng.uniform(*config.occlusion)),
    )


def evened(light: Light) -> Light:
    """The light without its sides: from every direction around it falls alike, in the mean as bright as before; from
    above and below it stays different. So photographs of clouds, flashes and studios look."""
    around = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4), np.zeros(8)], -1)
    sun = np.clip(around @ light.sun, 0, None).mean() * light.sun_colour
    irradiance = np.where(_UPRIGHT, light.irradiance, 0)
    irradiance[0] += sun / 0.282095
    return replace(light, irradiance=irradiance.astype(np.float32), sun_colour=np.zeros(3, np.float32))


# which of ``harmonics`` do not change when one turns about the vertical
_UPRIGHT = np.isin(np.arange(9), (0, 2, 6))[:, None]


def _parts(panorama: Panorama) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(hue of each texel, by how much it outshines the rest, what is left without that), the latter two times the
    texel's solid angle; kept on the record itself, they are the same whichever way the panorama is turned."""
    if "light" not in panorama.__dict__:
        radiance = panorama.radiance.astype(np.float64)
        height, width = radiance.shape[:2]
        latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
        area = np.cos(latitude)[:, None] * (2 * np.pi / width) * (np.pi / height)
        brightness = radiance.mean(-1)
        typical = np.average(brightness, weights=np.broadcast_to(area, brightness.shape))
        ceiling = max(6 * typical, 1e-6)
        excess = np.clip(brightness - ceiling, 0, None) * area
        clipped = radiance * np.minimum(1, ceiling / np.maximum(brightness, 1e-9))[..., None]
        hue = radiance / np.maximum(brightness, 1e-9)[..., None]
        panorama.__dict__["light"] = hue, excess, clipped * area[..., None]
    return panorama.__dict__["light"]


def _of_panorama(rng: np.random.Generator, panorama: Panorama, yaw: float):
    """Spherical harmonics of all but the brightest spot; that becomes the sun."""
    hue, excess, clipped = _parts(panorama)
    direction = panorama_directions(*excess.shape, yaw)
    sun, sun_colour = np.array([0.0, 0, 1.0]), np.zeros(3)
    if excess.sum() > 0:
        peak = direction.reshape(-1, 3)[excess.argmax()]
        near = (direction @ peak) > 0.9
        weight = excess * near
        mean = (direction * weight[..., None]).sum((0, 1))
        sun = mean / np.linalg.norm(mean)
        sun_colour = (hue * weight[..., None]).sum((0, 1)) / np.pi
    coefficients = np.einsum("hwb,hwc->bc", harmonics(direction), clipped)
    # a very strong sun would leave the rest black: real cameras and real walls give some of it back
    ambient = float((coefficients[0] * 0.282095).mean())
    limit = rng.uniform(1.0, 3.5) * max(ambient, 1e-6)
    sun_colour = sun_colour * min(1.0, limit / max(float(sun_colour.mean()), 1e-9))
    return coefficients * _COSINE, sun, sun_colour


def _invented(rng: np.random.Generator, config: LightConfig):
    """Ambient, sky or ground, one to three soft lamps; now and then a hard one."""

    def tone(spread: float) -> np.ndarray:
        return np.clip(1 + rng.normal(0, spread, 3), 0.6, 1.5)

    coefficients = np.zeros((9, 3))
    coefficients[0] = rng.uniform(0.3, 0.9) * tone(0.05) / 0.282095
    coefficients += harmonics(np.array([0, 0, 1.0]))[:, None] * rng.uniform(-0.1, 0.8) * tone(0.08) * 2
    for _ in range(int(rng.integers(1, 4))):
        towards = rng.normal(0, 1, 3)
        towards[2] = abs(towards[2]) * 0.7
        towards /= np.linalg.norm(towards)
        coefficients += harmonics(towards)[:, None] * rng.uniform(0.2, 2.0) * tone(0.08) * 2
    sun, sun_colour = np.array([0.0, 0, 1.0]), np.zeros(3)
    if rng.random() < config.sun:
        height, around = np.radians(rng.uniform(20, 75)), rng.uniform(0, 2 * np.pi)
        sun = np.array([np.cos(height) * np.cos(around), np.cos(height) * np.sin(around), np.sin(height)])
        sun_colour = rng.uniform(0.5, 2.5) * tone(0.06) * np.array([1.05, 1.0, 0.92])
    return coefficients * _COSINE, sun, sun_colour
