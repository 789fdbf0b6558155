"""Contact sheets: photo | map | overlay of every picture in a grid, each with its scores above it."""

from __future__ import annotations

import os

import numpy as np

from bodymap.files import atomic_path
from bodymap.types import Correspondence
from bodymap.visual.maps import colour_map, overlay
from bodymap.visual.sheets import fit, grid, labelled

_TILE = (232, 174)  # height, width of a picture in the sheet
_GREY = (60, 60, 60)
_COLUMNS = 4


class Sheet:
    """Collects pictures and writes them as one PNG; keeps only what it scaled down."""

    def __init__(self) -> None:
        self._entries: list[np.ndarray] = []

    def add(self, image: np.ndarray, correspondence: Correspondence, caption: str) -> None:
        """One picture, (H, W, 3) uint8, with its map."""
        colours = colour_map(correspondence)
        pictures = [image, colours, overlay(image, colours, correspondence.mask)]
        entry = grid([fit(picture, _TILE) for picture in pictures], 3, _TILE, gap=2, background=_GREY)
        self._entries.append(labelled(entry, caption))

    def write(self, path: str | os.PathLike) -> None:
        """Writes the pictures in rows of a few; nothing if there are none."""
        if self._entries:
            write_picture(grid(self._entries, min(_COLUMNS, len(self._entries))), path)


def write_picture(picture: np.ndarray, path: str | os.PathLike) -> None:
    """(H, W, 3) uint8 as a JPEG where the name says so, else as a PNG; whole or not at all."""
    from PIL import Image

    how = {"format": "JPEG", "quality": 80} if str(path).lower().endswith((".jpg", ".jpeg")) else {"format": "PNG"}
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, **how)
