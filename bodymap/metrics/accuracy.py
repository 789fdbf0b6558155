"""Per-pixel correspondence errors in colours and in metres, summed up by window, part, region, layer and side.

Two rules hold throughout. A true foreground pixel that the prediction calls background is wrong in every measure: its
error is infinite. And shares are over pixels, so that a picture counts by its foreground area.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from bodymap.types import LAYER_NAMES, PART_NAMES

if TYPE_CHECKING:
    from bodymap.surface import Template

COLOUR_WINDOWS: tuple[int, ...] = (5, 10, 20)  # of 255, the paper's
DISTANCE_WINDOWS_CM: tuple[int, ...] = (1, 2, 5, 10)

# A point this far from the template's plane of symmetry is clearly on one side of the body
LATERAL_METRES = 0.05

VIEWS: tuple[str, ...] = ("front", "side", "back")


@dataclass(frozen=True)
class PixelErrors:
    """N true foreground pixels (of one picture or of many), compared with a prediction.

    Attributes:
        colour: (N,) float32, largest channel difference of the colour codes in 0..255; inf where called background.
        geodesic: (N,) float32, metres along the template; inf where called background.
        confidence: (N,) float32 in [0, 1], the prediction's; 0 where called background.
        part: (N,) int16, the true part, index into PART_NAMES.
        region: (N,) int16, the true region, index into surface.parts.REGION_NAMES.
        layer: (N,) int8, the true layer, index into LAYER_NAMES.
        side: (N,) int8: +1 the point lies on the right side of the body's midplane, -1 on the wrong one, 0 where
            that cannot be said (near the midplane, or called background).
        loose: (N,) bool, on loose cloth that hangs away from the body (skirts, coat tails).
    """

    colour: np.ndarray
    geodesic: np.ndarray
    confidence: np.ndarray
    part: np.ndarray
    region: np.ndarray
    layer: np.ndarray
    side: np.ndarray
    loose: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """(N,) bool: called foreground."""
        return np.isfinite(self.geodesic)

    def select(self, keep: Bool[np.ndarray, " pixel"]) -> PixelErrors:
        """The pixels where ``keep`` holds."""
        return PixelErrors(*(getattr(self, field.name)[keep] for field in fields(self)))

    def __len__(self) -> int:
        return len(self.geodesic)


def concatenate(errors: Iterable[PixelErrors]) -> PixelErrors:
    """The pixels of several pictures as one set."""
    errors = list(errors)
    return PixelErrors(*(np.concatenate([getattr(e, field.name) for e in errors]) for field in fields(PixelErrors)))


def compare_pixels(
    template: Template,
    true_triangle: Int[np.ndarray, " pixel"],
    true_barycentric: Float[np.ndarray, "pixel 3"],
    true_layer: Int[np.ndarray, " pixel"],
    triangle: Int[np.ndarray, " pixel"],
    barycentric: Float[np.ndarray, "pixel 3"],
    confidence: Float[np.ndarray, " pixel"],
    loose: Bool[np.ndarray, " pixel"] | None = None,
) -> PixelErrors:
    """Compares the predicted surface points of true foreground pixels with the true ones.

    Args:
        true_triangle, true_barycentric: the truth; every pixel has one.
        true_layer: index into LAYER_NAMES.
        triangle: the prediction, -1 where the pixel was called background.
        barycentric, confidence: ignored where ``triangle`` is -1.
        loose: on loose cloth; None: nothing is.
    """
    import torch

    from bodymap.surface import geodesic, points

    found = triangle >= 0
    truth = torch.from_numpy(true_triangle.astype(np.int64)), torch.from_numpy(true_barycentric.astype(np.float32))
    found_truth = tuple(values[torch.from_numpy(found)] for values in truth)
    guess = (
        torch.from_numpy(triangle[found].astype(np.int64)),
        torch.from_numpy(barycentric[found].astype(np.float32)),
    )

    colour = np.full(len(triangle), np.inf, np.float32)
    difference = points.code(template, *guess) - points.code(template, *found_truth)
    colour[found] = 255 * difference.abs().amax(dim=-1).numpy()

    metres = np.full(len(triangle), np.inf, np.float32)
    metres[found] = geodesic.distance(template, *guess, *found_truth).numpy()

    # the template is symmetric about x = 0 and its left is +x
    true_x, x = points.position(template, *found_truth)[:, 0], points.position(template, *guess)[:, 0]
    side = np.zeros(len(triangle), np.int8)
    side[found] = torch.where(true_x.abs() > LATERAL_METRES, torch.sign(true_x * x), torch.zeros_like(x)).numpy()

    return PixelErrors(
        colour=colour,
        geodesic=metres,
        confidence=np.where(found, confidence, 0).astype(np.float32),
        part=points.part(template, *truth).numpy().astype(np.int16),
        region=points.region(template, *truth).numpy().astype(np.int16),
        layer=true_layer.astype(np.int8),
        side=side,
        loose=np.zeros(len(triangle), bool) if loose is None else loose,
    )


# ---------------------------------------------------------------------------------------------------- windows


def share_within(error: Float[np.ndarray, " pixel"], window: float) -> float:
    """The share of pixels whose error is at most ``window``; nan of no pixels."""
    return float(np.mean(error <= window)) if len(error) else math.nan


def acc_rgb(errors: PixelErrors, windows: Sequence[float] = COLOUR_WINDOWS) -> dict[str, float]:
    """``{"5": share, ...}``: colour code within the window (0..255, largest channel). It depends on the code."""
    return {f"{window:g}": share_within(errors.colour, window) for window in windows}


def acc_cm(errors: PixelErrors, windows: Sequence[float] = DISTANCE_WINDOWS_CM) -> dict[str, float]:
    """``{"1": share, ...}``: surface point within so many centimetres, geodesically. It does not depend on the code."""
    return {f"{window:g}": share_within(errors.geodesic, window / 100) for window in windows}


def geodesic_error(errors: PixelErrors, worst: float) -> dict[str, float]:
    """Median and mean geodesic error in centimetres.

    Args:
        worst: metres; what a pixel called background counts (the largest distance on the body). The mean over the
            pixels called foreground stands beside, for it says what the matches themselves are like.
    """
    if not len(errors):
        return {"median_cm": math.nan, "mean_cm": math.nan, "mean_found_cm": math.nan}
    counted = np.where(errors.found, errors.geodesic, worst)
    found = errors.geodesic[errors.found]
    return {
        "median_cm": 100 * float(np.median(counted)),
        "mean_cm": 100 * float(np.mean(counted)),
        "mean_found_cm": 100 * float(np.mean(found)) if len(found) else math.nan,
    }


def summary(errors: PixelErrors, worst: float) -> dict:
    """Everything above for one set of pixels: pixels, found, acc_rgb, acc_cm, geodesic, swap_rate."""
    return {
        "pixels": len(errors),
        "found": float(np.mean(errors.found)) if len(errors) else math.nan,
        "acc_rgb": acc_rgb(errors),
        "acc_cm": acc_cm(errors),
        "geodesic": geodesic_error(errors, worst),
        "swap_rate": swap_rate(errors),
    }


def by_name(errors: PixelErrors, index: Int[np.ndarray, " pixel"], names: Sequence[str], worst: float) -> dict:
    """``{name: summary}`` for every name that occurs; ``index`` says which of ``names`` a pixel belongs to."""
    present = np.unique(index)
    return {names[i]: summary(errors.select(index == i), worst) for i in present if 0 <= i < len(names)}


def by_part(errors: PixelErrors, worst: float) -> dict:
    """``{part: summary}``, the true part."""
    return by_name(errors, errors.part, PART_NAMES, worst)


def by_region(errors: PixelErrors, worst: float) -> dict:
    """``{region: summary}``, the true region of the surface point (fingers, face, armpits, ...)."""
    from bodymap.surface.parts import REGION_NAMES

    return by_name(errors, errors.region, REGION_NAMES, worst)


def by_layer(errors: PixelErrors, worst: float) -> dict:
    """``{layer: summary}``, the true layer (hair, upper, ...)."""
    return by_name(errors, errors.layer, LAYER_NAMES, worst)


def by_place(errors: PixelErrors, worst: float) -> dict:
    """``{place: summary}`` for the places where correspondence is hard; a place is a set of regions, or a layer.

    Cloth over an armpit counts as armpit: it carries the body point it is bound to. Hair and carried things do not, so
    that a fringe is not face and a mug not fingers.
    """
    from bodymap.surface.parts import FINGER_REGIONS, REGION_NAMES

    worn = ~np.isin(errors.layer, [LAYER_NAMES.index("hair"), LAYER_NAMES.index("carried")])
    regions = {
        "face": [REGION_NAMES.index("face")],
        "neck": [REGION_NAMES.index("neck")],
        "armpits": [i for i, name in enumerate(REGION_NAMES) if name.endswith("armpit")],
        "fingers": sorted(FINGER_REGIONS),
    }
    places = {name: worn & np.isin(errors.region, members) for name, members in regions.items()}
    for name, layer in (("hair", "hair"), ("upper garments", "upper"), ("lower garments", "lower"), ("shoes", "shoes")):
        places[name] = errors.layer == LAYER_NAMES.index(layer)
    places["loose cloth"] = errors.loose
    return {name: summary(errors.select(chosen), worst) for name, chosen in places.items() if chosen.any()}


# ----------------------------------------------------------------------------------------------- left and right


def swap_rate(errors: PixelErrors) -> float:
    """The share of clearly lateral pixels that were matched to the other side of the body; nan where there are none."""
    lateral = errors.side != 0
    return float(np.mean(errors.side[lateral] < 0)) if lateral.any() else math.nan


def is_flipped(errors: PixelErrors) -> bool:
    """Whether a picture is flipped: more than half of its clearly lateral pixels lie on the wrong side."""
    return swap_rate(errors) > 0.5  # nan is not


def view_of(facing: float) -> str:
    """The word of VIEWS for an angle as in ``Sample.facing``: a quarter turn about 0 is front, one about pi is back."""
    turn = abs(math.remainder(facing, 2 * math.pi))
    return "front" if turn <= math.pi / 4 else "back" if turn >= 3 * math.pi / 4 else "side"


def flips_by_view(facings: Sequence[float], errors: Sequence[PixelErrors]) -> dict[str, dict[str, float]]:
    """Left/right confusion by the side from which the person is seen.

    Args:
        facings: per picture, ``Sample.facing``.
        errors: per picture, its pixels.

    Returns:
        ``{view: {"images": count, "flipped": share of them that are flipped, "swap_rate": over their pixels}}``, for
        front, side, back, and all. Pictures in which no lateral pixel was found are not counted.
    """
    views = [view_of(facing) for facing in facings]
    table = {}
    for view in (*VIEWS, "all"):
        chosen = [e for e, v in zip(errors, views, strict=True) if view in (v, "all") and e.side.any()]
        table[view] = {
            "images": len(chosen),
            "flipped": float(np.mean([is_flipped(e) for e in chosen])) if chosen else math.nan,
            "swap_rate": swap_rate(concatenate(chosen)) if chosen else math.nan,
        }
    return table
