"""Renders of the template with their exact correspondence, painted by functions of the place: swaps have a truth."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import torch

from bodymap.surface import load_template, points
from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence, Sample
from support.pictures import template_sample

MAGENTA = np.array([255, 0, 255], np.uint8)
UPPER, LOWER, SKIN, HAIR, SHOES = (LAYER_NAMES.index(n) for n in ("upper", "lower", "skin", "hair", "shoes"))
HANDS = [i for i, name in enumerate(PART_NAMES) if name.endswith("hand")]
FOREARMS = [i for i, name in enumerate(PART_NAMES) if name.endswith("forearm")]
FEET = [i for i, name in enumerate(PART_NAMES) if name.endswith("foot")]


@functools.cache
def correspondence(facing: float = 0.0, size: tuple[int, int] = (420, 264), sleeves: bool = True) -> Correspondence:
    """The template's exact map; hips to ankles ``lower``, chest and (with sleeves) arms ``upper``, crown ``hair``."""
    t = load_template()
    sample = template_sample(facing, size)
    inside = sample.foreground
    triangle = torch.from_numpy(sample.triangle[inside]).long()
    barycentric = torch.from_numpy(sample.barycentric[inside])
    uv = np.full((*size, 2), np.nan, np.float32)
    uv[inside] = points.uv(t, triangle, barycentric).numpy()
    colour = np.zeros((*size, 3), np.uint8)
    colour[inside] = (points.code(t, triangle, barycentric) * 255).round().byte().numpy()
    layer = np.zeros(size, np.int8)
    layer[inside] = layer_at(points.position(t, triangle, barycentric).numpy(), sample.part[inside], sleeves)
    return Correspondence(
        mask=inside,
        confidence=inside.astype(np.float32),
        colour=colour,
        uv=uv,
        part=sample.part,
        triangle=sample.triangle,
        barycentric=sample.barycentric,
        layer=layer,
    )


def of_sample(sample: Sample) -> Correspondence:
    """The true map of a synthetic photograph's subject."""
    t, inside = load_template(), sample.foreground
    triangle, barycentric = (
        torch.from_numpy(sample.triangle[inside]).long(),
        torch.from_numpy(sample.barycentric[inside]),
    )
    result = Correspondence.empty(inside.shape)
    result.mask[:], result.confidence[:] = inside, inside
    result.triangle[:], result.barycentric[:] = sample.triangle, sample.barycentric
    result.part[:], result.layer[:] = sample.part, sample.layer
    result.uv[inside] = points.uv(t, triangle, barycentric).numpy()
    result.colour[inside] = (points.code(t, triangle, barycentric) * 255).round().byte().numpy()
    return result


def layer_at(position: np.ndarray, part: np.ndarray, sleeves: bool = True) -> np.ndarray:
    height = position[:, 2]
    layer = np.full(len(position), SKIN, np.int8)
    bare = np.isin(part, HANDS if sleeves else HANDS + FOREARMS)
    layer[(height < 0.45) & (height > -0.05) & ~bare] = UPPER
    layer[(height <= -0.05) & (height > -0.65) & ~bare] = LOWER
    layer[np.isin(part, FEET)] = SHOES
    layer[(part == PART_NAMES.index("head")) & (height > 0.72)] = HAIR
    return layer


def positions(c: Correspondence) -> np.ndarray:
    """(N, 3) rest positions of the mask's pixels."""
    triangle, barycentric = torch.from_numpy(c.triangle[c.mask]).long(), torch.from_numpy(c.barycentric[c.mask])
    return points.position(load_template(), triangle, barycentric).numpy()


def waves(position: np.ndarray) -> np.ndarray:
    """A smooth texture in [0.1, 0.9] without seams, (N, 3)."""
    return 0.5 + 0.4 * np.sin(position * 14 + np.array([0.0, 2.0, 4.0])) * np.cos(position[:, [1, 2, 0]] * 9)


def photo_of(c: Correspondence, colours: np.ndarray, background: np.ndarray = MAGENTA) -> np.ndarray:
    """(H, W, 3) uint8: the mask's pixels in ``colours`` ((N, 3) in [0, 1]), plain background."""
    image = np.empty((*c.size, 3), np.uint8)
    image[:] = background
    image[c.mask] = (np.clip(colours, 0, 1) * 255).round().astype(np.uint8)
    return image


def dressed(c: Correspondence, palette: dict[int, tuple[float, float, float]]) -> np.ndarray:
    """A photo with one colour a layer."""
    table = np.zeros((len(LAYER_NAMES), 3))
    for layer, colour in palette.items():
        table[layer] = colour
    return photo_of(c, table[c.layer[c.mask]])


def with_changes(c: Correspondence, **changes: np.ndarray) -> Correspondence:
    return replace(c, **changes)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2) + 1e-12))
