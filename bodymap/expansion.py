"""From the network's reading of a crop to a Correspondence at the photo's own resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from bodymap.foreground import refine
from bodymap.surface import colour, points
from bodymap.tidying import EDGE_RADIUS, clean_mask
from bodymap.types import Correspondence
from bodymap.upsampling import sample_codes, sample_smooth

if TYPE_CHECKING:
    from bodymap.surface import Template

_BAND = 1 << 20  # photo pixels that are worked on at a time


@dataclass(frozen=True)
class Reading:
    """What the network says of one person, on the crop; enough to answer for any pixel inside it.

    Attributes:
        box: (left, top, right, bottom) of the crop in photo pixels.
        size: (height, width) of the photo.
        picture: the crop as the network saw it, RGB in [0, 1].
        codes: colour code in [0, 1] and, last, confidence; continued beyond the person.
        foreground: probability in [0, 1] that a pixel belongs to a person.
        own: where that person is this one.
        layer: logits of LAYER_NAMES.
    """

    box: tuple[int, int, int, int]
    size: tuple[int, int]
    picture: Float[Tensor, "rgb=3 rows columns"]
    codes: Float[Tensor, "rows columns 4"]
    foreground: Float[Tensor, "rows columns"]
    own: Float[Tensor, "rows columns"]
    layer: Float[Tensor, "layer rows columns"]


@torch.inference_mode()
def expand(
    template: Template,
    photo: UInt8[np.ndarray, "height width rgb=3"],
    reading: Reading,
    *,
    mask: Bool[np.ndarray, "height width"] | None = None,
    matte: Float32[np.ndarray, "height width"] | None = None,
    radius: int = EDGE_RADIUS,
) -> Correspondence:
    """A reading at the photo's resolution. Memory: the result, and one band of rows of the crop at a time.

    Args:
        mask: taken as it is, in place of the network's.
        matte: another segmenter's matte, of which this person's part is taken.
        radius: of the guided filter that fits the network's mask to the photo, in pixels of the crop; 0: none.
    """
    left, top, right, bottom = reading.box
    inside = mask[top:bottom, left:right] if mask is not None else fine_mask(photo, reading, matte, radius)
    result = Correspondence.empty(reading.size)
    result.mask[top:bottom, left:right] = inside

    for start, stop in bands(reading):
        ys, xs = np.nonzero(inside[start:stop])
        if len(ys) == 0:
            continue
        place = top + start + ys, left + xs
        codes = sample_codes(reading.codes, *_positions(reading, start + ys, xs))
        triangle, barycentric = colour.decode_colour(template, codes[:, :3].contiguous())
        result.triangle[place] = triangle.cpu().numpy()
        result.barycentric[place] = barycentric.cpu().numpy()
        result.confidence[place] = codes[:, 3].clamp(0, 1).cpu().numpy()
        result.part[place] = points.part(template, triangle, barycentric).cpu().numpy()
        result.uv[place] = points.uv(template, triangle, barycentric).clamp(0, 1).cpu().numpy()
        # the colour of the point itself, so that every field says the same
        code = points.code(template, triangle, barycentric)
        result.colour[place] = (code * 255).round().clamp(0, 255).byte().cpu().numpy()

        # inside the mask there is always something: background is no answer
        logits = sample_smooth(reading.layer, *band_positions(reading, start, stop))
        layer = logits[1:].argmax(0).cpu().numpy() + 1
        result.layer[place] = layer[ys, xs]
    return result


def fine_mask(
    photo: UInt8[np.ndarray, "height width rgb=3"],
    reading: Reading,
    matte: Float32[np.ndarray, "height width"] | None,
    radius: int,
) -> Bool[np.ndarray, "rows columns"]:
    """This person's mask inside the crop's box, at the photo's resolution: edges follow the photo.

    Args, as ``expand``: ``matte``, ``radius``.
    """
    left, top, right, bottom = reading.box
    inside = np.zeros((bottom - top, right - left), bool)
    probability = reading.foreground * reading.own
    coefficients = refine.guided_coefficients(reading.picture, probability, radius) if radius else None
    for start, stop in bands(reading):
        y, x = band_positions(reading, start, stop)
        if matte is None and radius == 0:
            alpha = sample_smooth(probability[None], y, x)[0]
        elif matte is None:
            window = torch.from_numpy(photo[top + start : top + stop, left:right].copy()).to(y.device)
            alpha = refine.apply_guided(sample_smooth(coefficients, y, x), window.permute(2, 0, 1).float() / 255)
        else:
            alpha = torch.from_numpy(matte[top + start : top + stop, left:right].copy()).to(y.device)
            alpha = alpha * (sample_smooth(reading.own[None], y, x)[0] > 0.5)
        inside[start:stop] = (alpha > 0.5).cpu().numpy()
    return clean_mask(inside)


def bands(reading: Reading) -> list[tuple[int, int]]:
    """Rows of the box, (start, stop), in bands that are cheap to hold."""
    left, top, right, bottom = reading.box
    rows = max(1, _BAND // (right - left))
    return [(start, min(start + rows, bottom - top)) for start in range(0, bottom - top, rows)]


def band_positions(reading: Reading, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of a band of the box as positions in the crop, for ``upsampling.sample_smooth``."""
    return _positions(reading, np.arange(start, stop), np.arange(reading.box[2] - reading.box[0]))


def _positions(reading: Reading, rows: np.ndarray, columns: np.ndarray) -> tuple[Tensor, Tensor]:
    """Pixels of the box (0: its first row, first column) as positions in the crop, pixel centres at +0.5."""
    left, top, right, bottom = reading.box
    height, width = reading.foreground.shape
    device = reading.foreground.device
    y = (torch.from_numpy(rows).to(device).float() + 0.5) * (height / (bottom - top))
    x = (torch.from_numpy(columns).to(device).float() + 0.5) * (width / (right - left))
    return y, x


def without(correspondence: Correspondence, taken: Bool[np.ndarray, "height width"]) -> Correspondence:
    """The same with some pixels made background, in place."""
    lost = correspondence.mask & taken
    if lost.any():
        background = Correspondence.empty((1, 1))
        for name, values in vars(background).items():
            getattr(correspondence, name)[lost] = values[0, 0]
    return correspondence
