"""The sheet of a swap: source, its map and texture, target, its map, result, side by side."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

from bodymap.types import Correspondence
from bodymap.visual import colour_map, contact_sheet

TILE = (420, 320)
_UNSEEN = np.array((245, 245, 245), np.uint8)


def swap_sheet(
    src_photo: UInt8[np.ndarray, "src_height src_width rgb=3"],
    src_correspondence: Correspondence,
    texture: UInt8[np.ndarray, "texel texel rgb=3"],
    seen: Bool[np.ndarray, "texel texel"],
    tgt_photo: UInt8[np.ndarray, "height width rgb=3"],
    tgt_correspondence: Correspondence,
    result: UInt8[np.ndarray, "height width rgb=3"],
    tile: tuple[int, int] = TILE,
) -> UInt8[np.ndarray, "sheet_height sheet_width rgb=3"]:
    """One row of six labelled pictures; the texture shows only what the source's photo showed."""
    pictures = [
        src_photo,
        colour_map(src_correspondence, (255, 255, 255)),
        np.where(seen[..., None], texture, _UNSEEN),
        tgt_photo,
        colour_map(tgt_correspondence, (255, 255, 255)),
        result,
    ]
    labels = ("source", "its map", "its texture", "target", "its map", "result")
    return contact_sheet([pictures], column_labels=labels, tile=tile)
