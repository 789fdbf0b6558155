"""What a scan's numbers mean: its unit and its up axis, as given or as guessed from its size."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.errors import UserError

AXES: dict[str, tuple[int, int, int]] = {
    "x": (1, 0, 0),
    "y": (0, 1, 0),
    "z": (0, 0, 1),
    "-x": (-1, 0, 0),
    "-y": (0, -1, 0),
    "-z": (0, 0, -1),
}
UNITS: dict[str, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "foot": 0.3048}
_GUESSED = ("m", "cm", "mm")  # of a figure between these heights; else its size says nothing
_HEIGHTS = (0.8, 2.6)
_UNKNOWN_HEIGHT = 1.7


def scale_of(vertices: Float[np.ndarray, "vertex xyz=3"], unit: str | None, height: float | None) -> tuple[float, str]:
    """Metres in one unit of the scan, and its name.

    Args:
        vertices: those that triangles use.
        unit: a key of UNITS, or None: the one that makes a person of it.
        height: metres; overrules units by the scan's longest side.

    Raises:
        UserError: an unknown unit, or a height that nobody has.
    """
    extent = float((np.quantile(vertices, 0.9995, axis=0) - np.quantile(vertices, 0.0005, axis=0)).max())
    if height is not None:
        if not 0.4 <= height <= 2.6:
            raise UserError(f"--height is in metres and lies between 0.4 and 2.6, not {height}.")
        return height / extent, f"a height of {height} m"
    if unit is not None:
        if unit not in UNITS:
            raise UserError(f"There is no unit {unit!r}; choose one of {', '.join(UNITS)}.")
        return UNITS[unit], unit
    for name in _GUESSED:
        if _HEIGHTS[0] <= extent * UNITS[name] <= _HEIGHTS[1]:
            return UNITS[name], name
    return _UNKNOWN_HEIGHT / extent, f"an assumed height of {_UNKNOWN_HEIGHT} m"
