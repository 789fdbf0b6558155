"""How things look: colours that people wear, hair and skin tones, recoloured textures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from bodymap.people.noise import fractal_noise


@dataclass(frozen=True)
class Tint:
    """How a texture is recoloured when it is read; sRGB in [0, 1].

    Attributes:
        colour: (3,). ``replaces``: the texture's brightness, divided by ``mean`` and raised to ``power``, times this
            colour; else each channel, raised to ``power``, times its gain here.
        mean: brightness of the texture's opaque part.
    """

    colour: Float[np.ndarray, " rgb=3"]
    power: float
    replaces: bool
    mean: float


@dataclass(frozen=True)
class Material:
    """The surface of one piece; colours are sRGB (the shader makes them linear).

    Attributes:
        texture: (H, W, 3 or 4) uint8 looked up with the piece's UV, or None: ``colour`` everywhere.
        tint: recolours the texture; None: as it is.
        colour: (3,) in [0, 1].
        alpha: the texture's fourth channel cuts the shape out.
        pattern: (P, P, 3) uint8, repeats over the cloth coordinates, or None.
        pattern_size: metres one repeat covers.  pattern_blend: 1 replaces the colour, 0 multiplies it.
        folds: strength of wrinkles, 0 (skin, leather) .. 1.  waves (6, 3) rad/m, phases (6,): the wrinkles.
        relief: metres that wrinkles stand out where the pose presses the cloth together.
        gloss: share of the highlight.  shine: its exponent.
        weave: strength of fine grain, 0..1.
        sheen: brightening at grazing angles (velvet, fleece, hair).
    """

    colour: Float[np.ndarray, " rgb=3"]
    texture: UInt8[np.ndarray, "height width channel"] | None = None
    alpha: bool = False
    pattern: UInt8[np.ndarray, "p p rgb=3"] | None = None
    pattern_size: float = 0.3
    pattern_blend: float = 1.0
    folds: float = 0.0
    relief: float = 0.0
    waves: Float[np.ndarray, "k xyz=3"] | None = None
    phases: Float[np.ndarray, " k"] | None = None
    gloss: float = 0.05
    shine: float = 20.0
    weave: float = 0.0
    sheen: float = 0.0
    tint: Tint | None = None

    @property
    def mean_brightness(self) -> float:
        """Of the surface without its print, sRGB in [0, 1]."""
        if self.tint is not None and self.tint.replaces:
            return float(np.mean(self.tint.colour))
        if self.texture is None:
            return float(np.mean(self.colour))
        gain = 1.0 if self.tint is None else float(np.mean(self.tint.colour))
        return brightness(self.texture) * gain

    @property
    def mean_colour(self) -> Float[np.ndarray, " rgb=3"]:
        """Of the surface without its print, sRGB in [0, 1]."""
        if self.tint is not None and self.tint.replaces:
            return np.asarray(self.tint.colour, np.float32)
        if self.texture is None:
            return np.asarray(self.colour, np.float32)
        thin = self.texture[::4, ::4]
        solid = thin[..., :3][thin[..., 3] > 128] if thin.shape[-1] == 4 else thin
        mean = solid.reshape(-1, 3).mean(0) / 255 if solid.size else np.asarray(self.colour)
        return mean if self.tint is None else np.clip(mean**self.tint.power * self.tint.colour, 0, 1)


def brightness(texture: UInt8[np.ndarray, "height width channel"]) -> float:
    """Mean of the opaque part, of every eighth texel each way, in [0, 1]."""
    step = max(1, min(8, min(texture.shape[:2]) // 16))
    thin = texture[::step, ::step]
    solid = thin[..., :3][thin[..., 3] > 128] if texture.shape[-1] == 4 else thin
    return float(solid.mean()) / 255 if solid.size else 0.5


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Hue in [0, 1) (wraps), saturation, value -> sRGB in [0, 1]."""
    k = (np.array([5.0, 3.0, 1.0]) + hue * 6) % 6
    return (value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)).astype(np.float32)


def cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """Colours as people wear them: black, white, grey, navy, denim, beige and brown for two thirds, then anything."""
    k = rng.random()
    if k < 0.19:
        return (np.array([0.07, 0.07, 0.08]) + rng.random() * 0.1 + rng.normal(0, 0.01, 3)).clip(0.02, 1)
    if k < 0.33:
        return np.array([0.86, 0.86, 0.84]) + rng.random() * 0.13
    if k < 0.44:
        return np.full(3, rng.uniform(0.25, 0.75)) + rng.normal(0, 0.02, 3)
    if k < 0.57:
        return hsv(rng.uniform(0.56, 0.67), rng.uniform(0.2, 0.65), rng.uniform(0.16, 0.75))
    if k < 0.7:
        return hsv(rng.uniform(0.03, 0.13), rng.uniform(0.15, 0.6), rng.uniform(0.35, 0.92))
    return hsv(rng.random(), rng.uniform(0.1, 0.9) ** 1.3, rng.uniform(0.2, 1))


_HAIR = np.array(
    [[0.1, 0.08, 0.07], [0.27, 0.18, 0.11], [0.42, 0.28, 0.16], [0.72, 0.56, 0.34], [0.6, 0.6, 0.6], [0.45, 0.18, 0.09]]
)


def hair_colour(rng: np.random.Generator) -> np.ndarray:
    """Black to blond, grey, red; one in thirty dyed."""
    if rng.random() < 0.03:
        return hsv(rng.random(), rng.uniform(0.4, 0.9), rng.uniform(0.4, 1))
    base = _HAIR[rng.choice(len(_HAIR), p=[0.34, 0.22, 0.14, 0.15, 0.09, 0.06])]
    return np.clip(base * rng.uniform(0.6, 1.4), 0.02, 0.95)


def skin_colour(rng: np.random.Generator) -> np.ndarray:
    """Along a line from dark to light skin (sRGB), with a little redness of its own."""
    stops = np.array(
        [[0.26, 0.17, 0.12], [0.44, 0.29, 0.2], [0.64, 0.46, 0.35], [0.82, 0.64, 0.53], [0.93, 0.78, 0.69]]
    )
    t = rng.uniform(0, len(stops) - 1)
    k = min(int(t), len(stops) - 2)
    return np.clip(stops[k] + (t - k) * (stops[k + 1] - stops[k]) + rng.normal(0, 0.02, 3), 0.05, 1)


def recolour(
    rng: np.random.Generator, texture: np.ndarray, target: np.ndarray | None, contrast: tuple[float, float] = (0.4, 1.2)
) -> Tint:
    """Gives a texture another mean colour and keeps its shading; ``target`` None: only gain and hue wander a little."""
    if target is None:
        gain = np.clip(1 + rng.normal(0, 0.06, 3), 0.8, 1.2)
        return Tint(gain.astype(np.float32), float(rng.uniform(0.75, 1.2)), False, brightness(texture))
    return Tint(np.asarray(target, np.float32), float(rng.uniform(*contrast)), True, brightness(texture))


def toned(
    rng: np.random.Generator, texture: UInt8[np.ndarray, "height width channel"], target: Float[np.ndarray, " rgb=3"]
) -> Tint:
    """Gives a skin another mean colour and keeps its own shades: lips, palms, freckles move with the rest.

    Args:
        target: sRGB in [0, 1], the mean of the recoloured texture.
    """
    thin = texture[::8, ::8, :3].reshape(-1, 3) / 255.0
    # A gain alone would flatten what is darkened and exaggerate what is lightened
    power = (target.mean() / max(brightness(texture), 0.02)) ** -0.3 * rng.uniform(0.85, 1.1)
    gain = target / np.maximum((thin**power).mean(0), 0.02)
    return Tint(gain.astype(np.float32), float(power), False, brightness(texture))


def procedural_skin(rng: np.random.Generator, size: int = 256) -> UInt8[np.ndarray, "size size 3"]:
    """Skin without a photograph: one tone, mottled at several scales."""
    tone = skin_colour(rng)
    mottle = fractal_noise(rng, (size, size), 6, 5)[..., None] * np.array([0.1, 0.12, 0.12])
    return (np.clip(tone * (1 + mottle), 0, 1) * 255).astype(np.uint8)


def folds(rng: np.random.Generator, strength: float) -> dict:
    """Wrinkles as plane waves over the rest body: mostly steep across the limbs' axes, a few free ones."""
    count = 6
    direction = rng.normal(0, 1, (count, 3))
    # cloth hangs: folds run down, or gather diagonally; waves with a small vertical part
    direction[: count // 2, 2] *= 0.35
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = np.exp(rng.uniform(np.log(0.03), np.log(0.2), (count, 1)))
    return {
        "folds": float(strength),
        "relief": 0.008 * float(strength),
        "waves": (direction * 2 * np.pi / length).astype(np.float32),
        "phases": rng.uniform(0, 2 * np.pi, count).astype(np.float32),
    }
