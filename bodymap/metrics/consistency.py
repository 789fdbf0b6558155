"""Measures that need no labels: the same photograph mirrored, and two photographs of the same person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from bodymap.metrics.landmarks import visible
from bodymap.types import Correspondence

if TYPE_CHECKING:
    from bodymap.surface import Template


def _at(correspondence: Correspondence, rows, columns):
    import torch

    triangle = correspondence.triangle[rows, columns].astype(np.int64)
    return torch.from_numpy(triangle), torch.from_numpy(correspondence.barycentric[rows, columns].astype(np.float32))


def mirror_errors(
    template: Template, correspondence: Correspondence, of_mirrored: Correspondence
) -> Float[np.ndarray, " pixel"]:
    """How far a photograph's points lie from those of its mirror image, mirrored back; metres.

    Args:
        correspondence: of the photograph.
        of_mirrored: of the photograph with its columns reversed.

    Returns:
        One distance for each pixel that either calls foreground; inf where only one does.
    """
    from bodymap.surface import geodesic, points

    width = correspondence.mask.shape[1]
    rows, columns = np.nonzero(correspondence.mask | of_mirrored.mask[:, ::-1])
    both = correspondence.mask[rows, columns] & of_mirrored.mask[rows, width - 1 - columns]
    error = np.full(len(rows), np.inf, np.float32)
    rows, columns = rows[both], columns[both]
    back = points.mirror(template, *_at(of_mirrored, rows, width - 1 - columns))
    error[both] = geodesic.distance(template, *_at(correspondence, rows, columns), *back).numpy()
    return error


@dataclass(frozen=True)
class LandmarkPoints:
    """The surface points that a photograph gives to its landmarks.

    Attributes:
        visible: (33,) bool, the landmark counts.
        triangle: (33,) int, -1 where it was called background or does not count.
        barycentric: (33, 3) float.
    """

    visible: np.ndarray
    triangle: np.ndarray
    barycentric: np.ndarray


def landmark_points(correspondence: Correspondence, landmarks: Float[np.ndarray, "landmark=33 4"]) -> LandmarkPoints:
    """Reads a photograph's map at its landmarks (x, y in shares of the size, z, visibility)."""
    height, width = correspondence.size
    counts = visible(landmarks)
    rows = np.where(counts, landmarks[:, 1] * height, 0).astype(int)
    columns = np.where(counts, landmarks[:, 0] * width, 0).astype(int)
    inside = counts & correspondence.mask[rows, columns]
    triangle = np.where(inside, correspondence.triangle[rows, columns], -1)
    return LandmarkPoints(counts, triangle, correspondence.barycentric[rows, columns])


def landmark_agreement(
    template: Template, first: LandmarkPoints, second: LandmarkPoints
) -> Float[np.ndarray, " landmark_in_both"]:
    """Distance in metres between the points that two photographs of a person give to the same landmark.

    One for each landmark visible in both; inf where either calls it background. It is not zero even for perfect maps,
    because a joint shows another bit of skin from another side: compare photographs from like views, and models with
    each other.
    """
    import torch

    from bodymap.surface import geodesic

    shared = first.visible & second.visible
    both = shared & (first.triangle >= 0) & (second.triangle >= 0)
    error = np.full(len(both), np.inf, np.float32)
    ends = [
        values
        for points in (first, second)
        for values in (
            torch.from_numpy(points.triangle[both].astype(np.int64)),
            torch.from_numpy(points.barycentric[both].astype(np.float32)),
        )
    ]
    error[both] = geodesic.distance(template, *ends).numpy()
    return error[shared]
