"""What stands between the coarse stage's graphs: the twin of ``bodymap.network.cse`` on numpy, a picture at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int, UInt8
from scipy import ndimage

from bodymap.deploy.graphs import Graphs


@dataclass(frozen=True)
class CoarseOutput:
    """As ``bodymap.network.cse.CSEOutput``, at stride 4; ``foreground`` is the probability."""

    embedding: Float32[np.ndarray, "dim rows columns"]
    foreground: Float32[np.ndarray, "rows columns"]
    mirrored: Float32[np.ndarray, "dim rows columns"] | None = None


def as_image(picture: UInt8[np.ndarray, "height width rgb=3"]) -> Float32[np.ndarray, "1 rgb=3 height width"]:
    """RGB in [0, 1], channel first, with a batch axis."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def look(graphs: Graphs, image: Float32[np.ndarray, "1 rgb=3 height width"], both_ways: bool = False) -> CoarseOutput:
    """The coarse stage on a picture; with ``both_ways`` also on its mirror image."""
    if not both_ways:
        embedding, foreground = graphs.run("coarse", image)
        return CoarseOutput(embedding[0], sigmoid(foreground[0, 0]))
    # one after the other: half the memory, and on a processor as fast as both at once
    embedding, foreground = graphs.run("coarse", image)
    mirrored, other = graphs.run("coarse", np.ascontiguousarray(image[..., ::-1]))
    probability = sigmoid((foreground[0, 0] + other[0, 0, :, ::-1]) / 2)
    return CoarseOutput(embedding[0], probability, mirrored[0, :, :, ::-1])


def soft_mask(output: CoarseOutput, size: tuple[int, int]) -> Float32[np.ndarray, "height width"]:
    """``mask_from_foreground``: in [0, 1], dilated by about one coarse pixel."""
    return upsampled(ndimage.maximum_filter(output.foreground, 3)[None], size)[0]


def correspondence_image(
    graphs: Graphs, output: CoarseOutput, size: tuple[int, int]
) -> Float32[np.ndarray, "4 height width"]:
    """The coarse match at ``size``: colour code and confidence, all 0 outside its foreground."""
    near = ndimage.maximum_filter(output.foreground, 3) > 0.3
    coarse = np.zeros((4, *near.shape), np.float32)
    coarse[:, near] = _match(
        graphs, output.embedding[:, near].T, None if output.mirrored is None else output.mirrored[:, near].T
    ).T

    # interpolated where neighbours agree, else the embedding is, and decoded anew
    weight = _cell_weight(output)
    rows, columns = _cells(near.shape, size)
    sharp = coarse[:, rows.astype(int)][:, :, columns.astype(int)]
    image = upsampled(coarse * weight, size) / upsampled(weight[None], size)
    agree = np.abs(image - sharp)[:3].max(0) < 0.05
    inside = upsampled(output.foreground[None], size)[0] > 0.5
    edge = np.nonzero(inside & ~agree)
    image[:, edge[0], edge[1]] = _match(graphs, *embeddings_at(output, edge, size)).T
    return image * inside


def embeddings_at(
    output: CoarseOutput, pixels: tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]], size: tuple[int, int]
) -> tuple[Float32[np.ndarray, "n dim"], Float32[np.ndarray, "n dim"] | None]:
    """Both unit embeddings at single pixels (rows, columns) of a picture of ``size``: bilinear between the four cells
    around, each of which counts by its foreground."""
    shape = output.foreground.shape
    (top, bottom, down), (left, right, across) = (
        _between((pixel.astype(np.float32) + np.float32(0.5)) * np.float32(cells / length), cells)
        for pixel, cells, length in zip(pixels, shape, size, strict=True)
    )
    down, across = down[:, None], across[:, None]

    def at(embedding: np.ndarray) -> np.ndarray:
        values = np.ascontiguousarray((embedding * _cell_weight(output)).transpose(1, 2, 0))
        upper = values[top, left] * (1 - across) + values[top, right] * across
        lower = values[bottom, left] * (1 - across) + values[bottom, right] * across
        mean = upper * (1 - down) + lower * down
        return mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)

    return at(output.embedding), None if output.mirrored is None else at(output.mirrored)


def sample_smooth(
    image: Float32[np.ndarray, "channel height width"],
    rows: Float32[np.ndarray, " row"],
    columns: Float32[np.ndarray, " column"],
) -> Float32[np.ndarray, "channel row column"]:
    """Bilinear values of an image at a grid of positions (pixel centres at +0.5), the border continued."""
    top, bottom, down = _between(rows, image.shape[1])
    left, right, across = _between(columns, image.shape[2])
    tall = image[:, top] * (1 - down[:, None]) + image[:, bottom] * down[:, None]
    return tall[:, :, left] * (1 - across) + tall[:, :, right] * across


def upsampled(
    image: Float32[np.ndarray, "channel rows columns"], size: tuple[int, int]
) -> Float32[np.ndarray, "channel height width"]:
    """Bilinear, to ``size``."""
    return sample_smooth(image, *_cells(image.shape[1:], size))


def sigmoid(x: Float32[np.ndarray, "*any"]) -> Float32[np.ndarray, "*any"]:
    with np.errstate(over="ignore"):  # exp of a very sure 'no' may be infinite: its inverse is 0
        return 1 / (1 + np.exp(-x))


def _match(graphs: Graphs, own: np.ndarray, mirrored: np.ndarray | None) -> Float32[np.ndarray, "n 4"]:
    given = (own,) if mirrored is None else (own, mirrored)
    return graphs.run_blocks("match" if mirrored is None else "match_both", *given)[0]


def _cell_weight(output: CoarseOutput) -> Float32[np.ndarray, "rows columns"]:
    return np.maximum(output.foreground, np.float32(1e-3))


def _cells(shape: tuple[int, int], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The centres of a picture's rows and columns as positions on a grid of ``shape`` over it."""
    rows, columns = (
        (np.arange(length, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / length)
        for cells, length in zip(shape, size, strict=True)
    )
    return rows, columns


def _between(position: Float32[np.ndarray, " n"], length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels before and after a position (centres at +0.5), and how far it lies beyond the first one's centre."""
    position = np.clip(position - np.float32(0.5), 0, length - 1)
    low = np.floor(position).astype(int)
    return low, np.minimum(low + 1, length - 1), (position - low).astype(np.float32)
