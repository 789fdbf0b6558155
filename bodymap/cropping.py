"""Boxes, scales and pieces of photographs: which pixels the network gets to see."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from bodymap.errors import UserError

# A person's crop: sides are multiples that all networks take without padding; the longest one is at least what shows
# hands, at most what memory bears, and by default what the shipped weights do best at.
MULTIPLE = 32
SMALLEST, DEFAULT, LARGEST = 128, 448, 2048

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are the first pixels outside


def check_size(size: int) -> int:
    """The longest side of a crop, if it can be one.

    Raises:
        UserError: not a multiple of MULTIPLE, too small or too large.
    """
    if size % MULTIPLE or not SMALLEST <= size <= LARGEST:
        raise UserError(f"The size must be a multiple of {MULTIPLE} from {SMALLEST} to {LARGEST}, not {size}.")
    return size


def round_to(value: float | int, multiple: int) -> int:
    """The nearest multiple that is not zero."""
    return max(multiple, round(value / multiple) * multiple)


def crop_of(
    box: tuple[float | int, float | int, float | int, float | int],
    size: tuple[int, int],
    longest: int,
    margin: float,
    enlarge: float,
    multiple: int,
) -> tuple[Box, tuple[int, int]]:
    """(crop, shape): the box with a margin, inside the photo, and the (rows, columns) to which it is scaled.

    The longer side becomes ``longest`` (less where that would enlarge more than ``enlarge`` times). The shorter one is
    rounded up to a multiple, and the crop widened by as much where the photo has room: pixels stay nearly square.
    Nothing outside the photo is made up: a person cut by its border is seen as cut.

    Args:
        size: (height, width) of the photo.
    """
    height, width = size
    left, top, right, bottom = box
    extra = margin * max(right - left, bottom - top)
    spans = [_grow(left, right, extra, width), _grow(top, bottom, extra, height)]
    lengths = [end - start for start, end in spans]
    long = max(lengths)
    target = min(longest, max(round_to(long * enlarge, multiple), 4 * multiple))
    scale = target / long
    sides = []
    for n, limit in ((0, width), (1, height)):
        side = target if lengths[n] == long else -(-round(lengths[n] * scale) // multiple) * multiple
        side = max(side, multiple)
        wanted = min(limit, round(side / scale))
        spans[n] = _grow(*spans[n], max(0.0, (wanted - lengths[n]) / 2), limit, wanted)
        # without room to widen, the nearest multiple distorts least
        sides.append(round_to((spans[n][1] - spans[n][0]) * scale, multiple))
    (left, right), (top, bottom) = spans
    return (left, top, right, bottom), (sides[1], sides[0])


def _grow(start: float | int, end: float | int, extra: float, limit: int, length: int | None = None) -> tuple[int, int]:
    """An interval enlarged on both sides, in whole pixels inside [0, limit]; with ``length`` shifted to keep it."""
    low, high = int(np.floor(start - extra)), int(np.ceil(end + extra))
    if length is not None:
        low = min(max(0, low), limit - length)
        high = low + length
    low, high = max(0, low), min(limit, high)
    return low, max(high, low + 1)


def resized(picture: Shaped[np.ndarray, "height width *channel"], shape: tuple[int, int]) -> np.ndarray:
    """A uint8 picture, or a float32 map, scaled to (rows, columns) with antialiasing; centres at +0.5 stay aligned."""
    from PIL import Image

    if picture.shape[:2] == tuple(shape):
        return picture
    kernel = Image.Resampling.BICUBIC if picture.dtype == np.uint8 else Image.Resampling.BILINEAR
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.array(image.resize((shape[1], shape[0]), kernel, reducing_gap=3.0))


def pieces_of(
    size: tuple[int, int], piece: int, multiple: int
) -> Iterator[tuple[Box, Float[np.ndarray, "rows columns"]]]:
    """Overlapping pieces that cover a picture, and how deep each of their pixels lies inside (the picture's own border
    does not count). Sides are multiples; neighbouring pieces share at least a quarter of their length."""
    for top, bottom in _spans(size[0], piece, multiple):
        for left, right in _spans(size[1], piece, multiple):
            vertical = _depth(top, bottom, size[0])
            horizontal = _depth(left, right, size[1])
            yield (left, top, right, bottom), np.minimum(vertical[:, None], horizontal[None, :])


def _spans(length: int, piece: int, multiple: int) -> list[tuple[int, int]]:
    if length <= piece:
        return [(0, length)]
    count = 1 + -(-(length - piece) // (piece * 3 // 4))
    starts = np.linspace(0, length - piece, count)
    starts = [int(round(start / multiple)) * multiple for start in starts]
    return [(start, start + piece) for start in starts]


def _depth(start: int, end: int, limit: int) -> Float[np.ndarray, " pixel"]:
    position = np.arange(end - start) + 0.5
    before = position if start > 0 else np.full(end - start, np.inf)
    after = (end - start) - position if end < limit else np.full(end - start, np.inf)
    return np.minimum(before, after)


def blocks_of(
    wanted: Bool[np.ndarray, "rows columns"], side: int
) -> tuple[Int[np.ndarray, "block pixel"], Bool[np.ndarray, "block pixel"]]:
    """The pixels (row * columns + column) of each block of side x side in which any is wanted, and which of them are;
    one that is not wanted is replaced by one of the same block that is."""
    rows, columns = wanted.shape
    padding = (0, -rows % side), (0, -columns % side)
    blocks = []
    for values in (np.arange(rows * columns).reshape(rows, columns), wanted):
        padded = np.pad(values, padding)
        cut = padded.reshape(padded.shape[0] // side, side, padded.shape[1] // side, side).swapaxes(1, 2)
        blocks.append(cut.reshape(-1, side * side))
    pixels, inside = blocks
    some = inside.any(1)
    pixels, inside = pixels[some], inside[some]
    spare = np.take_along_axis(pixels, inside.argmax(1)[:, None], 1)
    return np.where(inside, pixels, spare), inside
