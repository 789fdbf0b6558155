"""What lens, sensor and file do to a picture: focus, grain, exposure, colour, compression."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from bodymap.people.config import PhotographConfig


def develop(
    rng: np.random.Generator, linear: Float[np.ndarray, "height width rgb=3"], config: PhotographConfig
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """Linear light to a finished sRGB picture."""
    # highlights roll off instead of clipping
    light = np.clip(linear, 0, None)
    light = np.where(light > 0.8, 0.8 + 0.2 * np.tanh((light - 0.8) / 0.35), light)
    image = np.clip(light, 0, 1) ** (1 / 2.2)
    if rng.random() < config.motion:
        image = _shaken(image, rng.normal(0, 0.012, 2) * image.shape[0])
    if rng.random() < config.tone:
        image = image ** rng.uniform(0.8, 1.2)
        image = (image - 0.5) * rng.uniform(0.88, 1.35) + 0.5 + rng.normal(0, 0.03)
        image = image * np.clip(1 + rng.normal(0, 0.05, 3), 0.85, 1.15)
        grey = image.mean(-1, keepdims=True)
        image = grey + (image - grey) * rng.uniform(0.5, 1.15)
    if rng.random() < config.monochrome:
        image = np.repeat(image.mean(-1, keepdims=True), 3, -1)
    if rng.random() < config.noise:
        size = image.shape[:2]
        grain = rng.normal(0, 1, size + (1 if rng.random() < 0.5 else 3,)).astype(np.float32)
        image = image + grain * rng.uniform(0.003, 0.035)
    out = Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
    if rng.random() < config.blur:
        out = out.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1)))
    if rng.random() < config.low_resolution:
        share = rng.uniform(0.35, 0.8)
        small = (max(16, int(out.width * share)), max(16, int(out.height * share)))
        out = out.resize(small, Image.Resampling.BILINEAR).resize(out.size, Image.Resampling.BICUBIC)
    if rng.random() < config.jpeg:
        data = io.BytesIO()
        out.save(data, "jpeg", quality=int(rng.integers(35, 96)))
        out = Image.open(io.BytesIO(data.getvalue())).convert("RGB")
    return np.asarray(out)


def _shaken(image: Float[np.ndarray, "height width rgb=3"], way: np.ndarray) -> Float[np.ndarray, "height width rgb=3"]:
    """The mean over a straight movement of ``way`` pixels (rows, columns) during the exposure."""
    steps = int(np.clip(np.abs(way).max(), 2, 9))
    total = np.zeros_like(image)
    for t in np.linspace(-0.5, 0.5, steps):
        rows, columns = (int(round(v)) for v in way * t)
        moved = np.clip(np.arange(image.shape[0]) + rows, 0, image.shape[0] - 1)
        total += image[moved][:, np.clip(np.arange(image.shape[1]) + columns, 0, image.shape[1] - 1)]
    return total / steps
