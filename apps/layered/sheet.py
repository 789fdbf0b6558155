"""Contact sheets of layer maps: picture, what is visible, body, upper, lower."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from apps.layered.masks import draw_layers
from bodymap.types import LayerMaps
from bodymap.visual import colour_map
from bodymap.visual.sheets import contact_sheet

COLUMNS = ("photo", "layers", "body", "upper", "lower")


def layer_sheet(
    rows: Sequence[tuple[UInt8[np.ndarray, "height width rgb=3"], LayerMaps]], tile: tuple[int, int] = (320, 220)
) -> UInt8[np.ndarray, "rows columns rgb=3"]:
    """One row a picture, as (picture, maps)."""
    return contact_sheet([row_of(photo, maps) for photo, maps in rows], column_labels=COLUMNS, tile=tile)


def row_of(photo: UInt8[np.ndarray, "height width rgb=3"], maps: LayerMaps) -> list[np.ndarray | None]:
    """Picture, layers and the three maps; None where a layer is not there."""
    layers = [maps.body, maps.upper, maps.lower]
    return [photo, draw_layers(maps.visible), *(None if c is None else colour_map(c) for c in layers)]
