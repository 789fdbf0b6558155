"""From a reading of a crop to the photo's own resolution: the twin of ``bodymap.expansion`` on numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from scipy import ndimage

from bodymap.cropping import Box
from bodymap.deploy.coarse import sample_smooth
from bodymap.deploy.graphs import Graphs
from bodymap.tidying import EDGE_EPSILON, clean_mask
from bodymap.types import Correspondence

_BAND = 1 << 20  # photo pixels that are worked on at a time


@dataclass(frozen=True)
class Reading:
    """As ``bodymap.expansion.Reading``; ``foreground`` only of this person."""

    box: Box
    size: tuple[int, int]
    picture: Float32[np.ndarray, "rgb=3 rows columns"]
    codes: Float32[np.ndarray, "rows columns 4"]
    foreground: Float32[np.ndarray, "rows columns"]
    layer: Float32[np.ndarray, "layer rows columns"]


def expand(
    graphs: Graphs,
    photo: UInt8[np.ndarray, "height width rgb=3"],
    reading: Reading,
    mask: Bool[np.ndarray, "height width"] | None = None,
) -> Correspondence:
    """A reading at the photo's resolution; a ``mask`` is taken as it is, in place of the network's."""
    left, top, right, bottom = reading.box
    inside = mask[top:bottom, left:right] if mask is not None else fine_mask(photo, reading, graphs.config.edge_radius)
    result = Correspondence.empty(reading.size)
    result.mask[top:bottom, left:right] = inside
    for start, stop in _bands(reading.box):
        ys, xs = np.nonzero(inside[start:stop])
        if len(ys) == 0:
            continue
        place = top + start + ys, left + xs
        codes = sample_codes(graphs, reading.codes, *_positions(reading, start + ys, xs))
        triangle, barycentric, part, uv, code = graphs.surface_of(np.ascontiguousarray(codes[:, :3]))
        result.triangle[place] = triangle
        result.barycentric[place] = barycentric
        result.confidence[place] = codes[:, 3].clip(0, 1)
        result.part[place] = part
        result.uv[place] = uv.clip(0, 1)
        result.colour[place] = (code * 255).round().clip(0, 255)
        logits = sample_smooth(reading.layer[1:], *_band_positions(reading, start, stop))
        result.layer[place] = logits.argmax(0)[ys, xs] + 1
    return result


def sample_codes(
    graphs: Graphs,
    codes: Float32[np.ndarray, "height width 4"],
    rows: Float32[np.ndarray, " point"],
    columns: Float32[np.ndarray, " point"],
) -> Float32[np.ndarray, "point 4"]:
    """Codes at positions between the pixels, sharp between limbs: ``bodymap.upsampling.sample_codes``."""
    result, torn = graphs.run_blocks("blended", rows, columns, fixed=(codes,))
    if torn.any():
        result[torn] = graphs.run_blocks("one_sided", rows[torn], columns[torn], fixed=(codes,))[0]
    return result


def fine_mask(
    photo: UInt8[np.ndarray, "height width rgb=3"], reading: Reading, radius: int
) -> Bool[np.ndarray, "rows columns"]:
    """The mask inside the crop's box at the photo's resolution: edges follow the photo."""
    left, top, right, bottom = reading.box
    inside = np.zeros((bottom - top, right - left), bool)
    fitted = guided_coefficients(reading.picture, reading.foreground, radius) if radius else reading.foreground[None]
    for start, stop in _bands(reading.box):
        alpha = sample_smooth(fitted, *_band_positions(reading, start, stop))
        if radius:
            window = photo[top + start : top + stop, left:right].transpose(2, 0, 1) / np.float32(255)
            alpha = (alpha[:3] * window).sum(0, keepdims=True) + alpha[3:]
        inside[start:stop] = alpha[0] > 0.5
    return clean_mask(inside)


def guided_coefficients(
    guide: Float32[np.ndarray, "3 height width"], matte: Float32[np.ndarray, "height width"], radius: int
) -> Float32[np.ndarray, "4 height width"]:
    """The guided filter's a and b: ``bodymap.foreground.refine.guided_coefficients``."""
    size, shape = 2 * radius + 1, matte.shape
    # windows that reach over the border hold fewer pixels
    share = ndimage.uniform_filter(np.ones(shape), size, mode="constant")

    def mean(x: Float[np.ndarray, "channel height width"]) -> Float[np.ndarray, "channel height width"]:
        return np.stack([ndimage.uniform_filter(one, size, mode="constant") for one in x]) / share

    guide, p = guide.astype(float), matte.astype(float)[None]
    mean_i, mean_p = mean(guide), mean(p)
    outer = mean((guide[:, None] * guide[None]).reshape(9, *shape)).reshape(3, 3, *shape)
    covariance = (outer - mean_i[:, None] * mean_i[None]).transpose(2, 3, 0, 1) + EDGE_EPSILON * np.eye(3)
    cross = (mean(guide * p) - mean_i * mean_p).transpose(1, 2, 0)
    a = np.linalg.solve(covariance, cross[..., None])[..., 0].transpose(2, 0, 1)
    b = mean_p - (a * mean_i).sum(0, keepdims=True)
    return mean(np.concatenate([a, b])).astype(np.float32)


def _bands(box: Box) -> list[tuple[int, int]]:
    left, top, right, bottom = box
    rows = max(1, _BAND // (right - left))
    return [(start, min(start + rows, bottom - top)) for start in range(0, bottom - top, rows)]


def _band_positions(reading: Reading, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    return _positions(reading, np.arange(start, stop), np.arange(reading.box[2] - reading.box[0]))


def _positions(reading: Reading, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the box as positions in the crop, pixel centres at +0.5."""
    left, top, right, bottom = reading.box
    height, width = reading.foreground.shape
    half = np.float32(0.5)
    y = (rows.astype(np.float32) + half) * np.float32(height / (bottom - top))
    x = (columns.astype(np.float32) + half) * np.float32(width / (right - left))
    return y, x
