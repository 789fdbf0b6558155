"""Correspondences as pictures: colour code, parts, layers, confidence, and any of them over the photo."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence

if TYPE_CHECKING:
    from bodymap.surface import Template

BACKGROUND = (255, 255, 255)


def colour_map(
    correspondence: Correspondence, background: tuple[int, int, int] = (0, 0, 0)
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """The colour code; black outside, as other programs expect it of a map."""
    return _on_background(correspondence.colour, correspondence.mask, background)


def code_picture(
    template: Template,
    mask: Bool[np.ndarray, "height width"],
    triangle: Int[np.ndarray, "height width"],
    barycentric: Float[np.ndarray, "height width 3"],
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """The colour code of surface points, such as a Sample's truth; black outside the mask."""
    import torch

    from bodymap.surface import points

    colours = np.zeros((*mask.shape, 3), np.uint8)
    place = torch.from_numpy(triangle[mask]).long(), torch.from_numpy(barycentric[mask]).float()
    colours[mask] = (255 * points.code(template, *place)).round().byte().numpy()
    return colours


def part_map(
    correspondence: Correspondence, background: tuple[int, int, int] = BACKGROUND
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """One colour a part; the person's left and right share a hue, the left one is the lighter."""
    return _on_background(PART_COLOURS[correspondence.part.clip(0)], correspondence.mask, background)


def layer_map(
    correspondence: Correspondence, background: tuple[int, int, int] = BACKGROUND
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """One colour a layer."""
    return _on_background(LAYER_COLOURS[correspondence.layer], correspondence.mask, background)


def confidence_map(
    correspondence: Correspondence, background: tuple[int, int, int] = BACKGROUND
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """From dark violet (0) over green to yellow (1)."""
    stops = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], float)
    position = np.clip(correspondence.confidence, 0, 1) * (len(stops) - 1)
    channels = [np.interp(position, np.arange(len(stops)), stops[:, c]) for c in range(3)]
    return _on_background(np.stack(channels, -1).round().astype(np.uint8), correspondence.mask, background)


def overlay(
    photo: UInt8[np.ndarray, "height width rgb=3"],
    colours: UInt8[np.ndarray, "height width rgb=3"],
    mask: Bool[np.ndarray, "height width"],
    strength: float = 0.6,
    outline: bool = True,
) -> UInt8[np.ndarray, "height width rgb=3"]:
    """A map over the photo, which stays visible in its light and dark; with a thin white outline.

    Args:
        strength: 0 shows the photo alone, 1 the map alone.
    """
    result = photo.copy()
    result[mask] = (photo[mask] * (1 - strength) + colours[mask] * strength + 0.5).astype(np.uint8)
    if outline and mask.any():
        result[_outline(mask)] = 255
    return result


def _outline(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Pixels of the mask beside one outside it; as wide as the picture's size asks for to be seen."""
    from scipy import ndimage

    width = max(1, round(max(mask.shape) / 1000))
    return mask & ~ndimage.binary_erosion(mask, iterations=width, border_value=1)


def _on_background(
    colours: UInt8[np.ndarray, "height width rgb=3"],
    mask: Bool[np.ndarray, "height width"],
    background: tuple[int, int, int],
) -> UInt8[np.ndarray, "height width rgb=3"]:
    return np.where(mask[..., None], colours, np.array(background, np.uint8))


def palette(count: int, saturation: float = 0.65, value: float = 0.9) -> UInt8[np.ndarray, "count rgb=3"]:
    """Colours far apart: hues in steps of the golden ratio."""
    hues = (np.arange(count) * 0.61803398875) % 1
    colours = np.array([colorsys.hsv_to_rgb(hue, saturation, value) for hue in hues])
    return (colours * 255).round().astype(np.uint8)


def _part_colours() -> UInt8[np.ndarray, "part rgb=3"]:
    pairs = [name.removeprefix("left_") for name in PART_NAMES if name.startswith("left_")]
    hues = {name: n / len(pairs) for n, name in enumerate(pairs)}
    colours = []
    for n, name in enumerate(PART_NAMES):
        side, _, limb = name.partition("_")
        if side in ("left", "right"):
            light = (0.45, 1.0) if side == "left" else (0.85, 0.7)
            colours.append(colorsys.hsv_to_rgb(hues[limb], *light))
        else:
            colours.append(colorsys.hsv_to_rgb(0.08, 0.15, 0.95 - 0.18 * n))
    return (np.array(colours) * 255).round().astype(np.uint8)


PART_COLOURS: UInt8[np.ndarray, "part rgb=3"] = _part_colours()
LAYER_COLOURS: UInt8[np.ndarray, "layer rgb=3"] = np.array(
    [(255, 255, 255), (230, 180, 145), (95, 60, 35), (70, 130, 200), (90, 165, 95), (60, 60, 70), (225, 145, 40)],
    np.uint8,
)
assert len(LAYER_COLOURS) == len(LAYER_NAMES)
