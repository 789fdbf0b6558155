"""Contact sheets: pictures in rows and columns, scaled to one tile size, with labels; same input, same bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

PAPER, INK = (255, 255, 255), (30, 30, 30)

Picture = UInt8[np.ndarray, "_ _ rgb=3"]  # of any size


def grid(
    pictures: Sequence[Picture | None],
    columns: int,
    tile: tuple[int, int] | None = None,
    gap: int = 4,
    background: tuple[int, int, int] = PAPER,
) -> Picture:
    """Pictures from left to right, then down; each is scaled into its tile with its aspect kept and centred.

    Args:
        pictures: (H, W, 3) uint8; None leaves a tile empty.
        tile: (height, width); None: the largest picture's.
    """
    if columns < 1 or not any(picture is not None for picture in pictures):
        raise ValueError("a grid needs at least one picture and one column")
    if tile is None:
        sizes = [picture.shape[:2] for picture in pictures if picture is not None]
        tile = max(size[0] for size in sizes), max(size[1] for size in sizes)
    rows = -(-len(pictures) // columns)
    height, width = tile
    sheet = np.empty((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), np.uint8)
    sheet[:] = background
    for n, picture in enumerate(pictures):
        if picture is None:
            continue
        fitted = fit(picture, tile)
        top = (n // columns) * (height + gap) + (height - fitted.shape[0]) // 2
        left = (n % columns) * (width + gap) + (width - fitted.shape[1]) // 2
        sheet[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return sheet


def fit(picture: Picture, tile: tuple[int, int]) -> Picture:
    """Scaled to the largest size that fits into (height, width), aspect kept."""
    from PIL import Image

    height, width = picture.shape[:2]
    scale = min(tile[0] / height, tile[1] / width)
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    if shape == (height, width):
        return picture
    kernel = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(shape[::-1], kernel))


def labelled(
    picture: Picture,
    text: str,
    size: int = 14,
    background: tuple[int, int, int] = PAPER,
    ink: tuple[int, int, int] = INK,
) -> Picture:
    """The picture with a line of text above it; text that is too long is cut with an ellipsis."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    width = picture.shape[1]
    if font.getlength(text) > width - 4:
        while text and font.getlength(text + "...") > width - 4:
            text = text[:-1]
        text += "..."
    strip = Image.new("RGB", (width, round(size * 1.5)), background)
    ImageDraw.Draw(strip).text((2, round(size * 0.15)), text, fill=ink, font=font)
    return np.vstack([np.asarray(strip), picture])


def contact_sheet(
    rows: Sequence[Sequence[Picture | None]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    tile: tuple[int, int] = (256, 192),
    gap: int = 4,
    label_size: int = 14,
) -> Picture:
    """A table of pictures, labels above the columns and above each row's first tile.

    Args:
        rows: rows of (H, W, 3) uint8; shorter rows and None leave tiles empty.
        tile: (height, width) of each picture's place.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        raise ValueError("a contact sheet needs at least one picture")
    width = columns * (tile[1] + gap) - gap
    bands: list[np.ndarray] = []
    if column_labels:
        names = [*column_labels, *[""] * columns][:columns]
        blank = np.full((0, tile[1], 3), 255, np.uint8)
        cells = [labelled(blank, name, label_size) for name in names]
        spacer = np.full((cells[0].shape[0], gap, 3), 255, np.uint8)
        bands.append(np.hstack([piece for cell in cells for piece in (cell, spacer)][:-1]))
    for n, row in enumerate(rows):
        filled = [*row, *[None] * (columns - len(row))]
        if all(picture is None for picture in filled):
            band = np.full((tile[0], width, 3), 255, np.uint8)
        else:
            band = grid(filled, columns, tile, gap)
        if n < len(row_labels):
            band = labelled(band, row_labels[n], label_size)
        bands += [band, np.full((gap, width, 3), 255, np.uint8)]
    return np.vstack(bands[:-1])


def legend(names: Sequence[str], colours: UInt8[np.ndarray, "count rgb=3"], size: int = 14) -> Picture:
    """A column of colour swatches with their names."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    width = round(max(font.getlength(name) for name in names)) + 8
    rows = []
    for name, colour in zip(names, colours, strict=True):
        text = labelled(np.full((0, width, 3), 255, np.uint8), name, size)
        swatch = np.full((text.shape[0], text.shape[0] + 4, 3), 255, np.uint8)
        swatch[2:-2, 2:-4] = colour
        rows.append(np.hstack([swatch, text]))
    return np.vstack(rows)
