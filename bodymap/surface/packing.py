"""Packs the islands of a UV layout anew, some of them enlarged: hands need more texels than their makers gave them.

Only ``make_template`` uses it. Islands are moved, turned and scaled as wholes; who is neighbour of whom stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation
from scipy.signal import fftconvolve

_GRID = 512  # places are tried on a grid of so many cells a side
_GAP = 3  # cells that stay free around every island
_RIM = 5  # and along the border of the atlas


@dataclass(frozen=True)
class Move:
    """What becomes of one island.

    Attributes:
        island: its index.
        corner: (x, y): among the free places the one that is furthest this way.
        scale: of its lengths.
        turns: the angles that may be tried, degrees.
    """

    island: int
    corner: tuple[float, float]
    scale: float = 1.0
    turns: tuple[float, ...] = (0.0,)


def packed(
    uv: Float[np.ndarray, "uvvertex uv=2"],
    uv_triangles: Int[np.ndarray, "face 3"],
    island: Int[np.ndarray, " face"],
    moves: Sequence[Move],
) -> Float[np.ndarray, "uvvertex uv=2"]:
    """The layout with some islands moved, one after the other; the rest stay where they are.

    Raises:
        ValueError: there is no room for an island.
    """
    out = uv.astype(np.float64).copy()
    moving = [move.island for move in moves]
    taken = _drawn(out, uv_triangles[~np.isin(island, moving)], (_GRID, _GRID))
    for move in moves:
        own = uv_triangles[island == move.island]
        vertices = np.unique(own)
        best = None
        for turn in move.turns:
            placed = _placed(out[vertices], own, vertices, move, turn, taken)
            if placed is not None and (best is None or placed[0] > best[0]):
                best = placed
        if best is None:
            raise ValueError(f"there is no room for island {move.island} at {move.scale:g} times its size")
        out[vertices] = best[1]
        taken |= _drawn(out, own, taken.shape)
    return out


def _placed(
    points: np.ndarray, triangles: np.ndarray, vertices: np.ndarray, move: Move, turn: float, taken: np.ndarray
) -> tuple[float, np.ndarray] | None:
    """(how far towards the corner, the island's points there), or None where it fits nowhere."""
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    points = (points - points.mean(0)) @ np.array([[c, s], [-s, c]]) * move.scale
    points = points - points.min(0) + _RIM / _GRID
    width, height = np.ceil(points.max(0) * _GRID).astype(int) + _RIM
    if max(width, height) > _GRID:
        return None
    at = np.zeros((vertices.max() + 1, 2))
    at[vertices] = points
    shape = _drawn(at, triangles, (height, width))
    y, x = np.mgrid[-_GAP : _GAP + 1, -_GAP : _GAP + 1]
    wide = binary_dilation(shape, np.hypot(x, y) <= _GAP + 0.5)
    clash = fftconvolve(taken.astype(np.float32), wide[::-1, ::-1].astype(np.float32), mode="valid")
    rows, columns = np.nonzero(clash < 0.5)
    if not len(rows):
        return None
    score = (columns + width / 2) * move.corner[0] + (rows + height / 2) * move.corner[1]
    best = int(score.argmax())
    return float(score[best]), points + np.array([columns[best], rows[best]]) / _GRID


def _drawn(uv: np.ndarray, triangles: np.ndarray, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """The cells that triangles touch."""
    image = Image.new("1", size[::-1])
    draw = ImageDraw.Draw(image)
    for corners in uv[triangles] * _GRID:
        draw.polygon([tuple(corner) for corner in corners], fill=1, outline=1)
    return np.array(image)
