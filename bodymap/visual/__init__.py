"""Pictures to look at: maps in colour, overlays, labelled sheets."""

from bodymap.visual.maps import colour_map, confidence_map, layer_map, overlay, palette, part_map
from bodymap.visual.sheets import contact_sheet, grid, labelled, legend

__all__ = [
    "colour_map",
    "confidence_map",
    "contact_sheet",
    "grid",
    "labelled",
    "layer_map",
    "legend",
    "overlay",
    "palette",
    "part_map",
]
