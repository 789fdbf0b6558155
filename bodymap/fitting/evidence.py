"""What a map says to a fit: pixels spread over the person, the surface points seen there, and how far to trust each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bodymap.errors import UserError
from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence

# How far the pixel of a surface point strays, in shares of the person's size in the picture: cloth and hair stand off.
_SPREAD = {"skin": 0.008, "hair": 0.04, "upper": 0.018, "lower": 0.018, "shoes": 0.014}
_HANDS = tuple(PART_NAMES.index(f"{side}_hand") for side in ("left", "right"))


@dataclass(frozen=True)
class Evidence:
    """``n`` pixels of one person.

    Attributes:
        pixel: their centres (x, y).
        corners, share: the surface point of each, as vertices of the template and their barycentric weights.
        spread: standard deviation of where the point would be seen, in pixels.
        weight: of each measurement in [0, 1]: the map's own confidence.
        height: the person's size in pixels: the diagonal of the box around it.
    """

    pixel: Float[np.ndarray, "point xy=2"]
    corners: Int[np.ndarray, "point corner=3"]
    share: Float[np.ndarray, "point corner=3"]
    spread: Float[np.ndarray, " point"]
    weight: Float[np.ndarray, " point"]
    height: float

    def __len__(self) -> int:
        return len(self.pixel)

    def some(self, count: int) -> Evidence:
        """About ``count`` of them, as evenly spread."""
        keep = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).astype(int))
        fields = (self.pixel, self.corners, self.share, self.spread, self.weight)
        return Evidence(*(values[keep] for values in fields), self.height)


def gather(c: Correspondence, triangles: Int[np.ndarray, "face corner=3"], count: int = 1200) -> Evidence:
    """Pixels on a regular grid over the person, and on a finer one over the hands.

    Raises:
        UserError: so little of a person is seen that there is nothing to fit.
    """
    rows, columns = np.nonzero(c.mask)
    if len(rows) < 64:
        raise UserError("Too little of a person is mapped to fit a body to it; take a photo that shows more.")
    height = float(np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1))
    usable = c.mask & (c.layer != LAYER_NAMES.index("carried")) & (c.confidence > 0.05)
    hand = usable & np.isin(c.part, _HANDS)
    place = np.concatenate([_on_grid(usable & ~hand, count), _on_grid(hand, count // 6)])
    if len(place) < 32:
        raise UserError("The map of this photo is too uncertain to fit a body to it.")
    # in an order that is even over the picture whichever share of it is taken
    place = place[np.random.default_rng(0).permutation(len(place))]
    at = place[:, 0], place[:, 1]
    spread = np.array([_SPREAD.get(name, 0.02) for name in LAYER_NAMES])[c.layer[at]]
    return Evidence(
        pixel=place[:, ::-1] + 0.5,
        corners=triangles[c.triangle[at]],
        share=c.barycentric[at].astype(float),
        spread=spread * height,
        weight=c.confidence[at].astype(float),
        height=height,
    )


def _on_grid(mask: np.ndarray, count: int) -> np.ndarray:
    """(n, 2) rows and columns: about ``count`` pixels of the mask on a square grid."""
    step = max(1, int(np.sqrt(mask.sum() / count)))
    rows, columns = np.nonzero(mask[step // 2 :: step, step // 2 :: step])
    return np.stack([rows, columns], 1) * step + step // 2
