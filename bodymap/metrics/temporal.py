"""Temporal consistency: is a point of one frame found again at the right place of a later frame?

A surface point visible in both frames is looked up in the first frame's prediction; its match is the pixel of the
second frame whose predicted point is nearest to that. The match is right if the true point there lies within tau of
the point that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from bodymap.surface import Template

INTERVALS: tuple[int, ...] = (1, 12, 120)  # frames, the paper's
TAU_CM = 5
CURVE_CM: tuple[int, ...] = (1, 2, 5, 10)


@dataclass(frozen=True)
class SurfaceMap:
    """A surface point for every pixel of a frame: triangle (H, W) int, -1 outside, and barycentric (H, W, 3) float."""

    triangle: np.ndarray
    barycentric: np.ndarray


def vertex_pixels(template: Template, truth: SurfaceMap) -> Int[np.ndarray, " vertex"]:
    """For every template vertex the flat index of the pixel that shows it best, -1 where it is not visible.

    A pixel shows the vertex nearest to its point; of several pixels the one with the largest barycentric weight counts.
    """
    inside = np.flatnonzero(truth.triangle.ravel() >= 0)
    triangle = truth.triangle.ravel()[inside]
    barycentric = truth.barycentric.reshape(-1, 3)[inside]
    corner = barycentric.argmax(axis=-1)
    vertex = template.triangles.numpy()[triangle, corner]
    weight = barycentric[np.arange(len(inside)), corner]
    pixel = np.full(len(template.vertices), -1)
    # in rising order of weight, so that the largest is written last
    order = np.argsort(weight, kind="stable")
    pixel[vertex[order]] = inside[order]
    return pixel


def match_errors(
    template: Template,
    truth_a: SurfaceMap,
    truth_b: SurfaceMap,
    predicted_a: SurfaceMap,
    predicted_b: SurfaceMap,
    chunk: int = 512,
) -> Float[np.ndarray, " vertex_in_both"]:
    """Geodesic error in metres of the match of each vertex visible in both frames; inf where there is none.

    There is none where the first prediction calls the pixel background, or the match lies on the true background.
    """
    import torch

    from bodymap.surface import geodesic, points

    first, second = vertex_pixels(template, truth_a), vertex_pixels(template, truth_b)
    asked = first[(first >= 0) & (second >= 0)]
    error = np.full(len(asked), np.inf, np.float32)

    def at(frame: SurfaceMap, pixel):
        triangle, barycentric = frame.triangle.ravel()[pixel], frame.barycentric.reshape(-1, 3)[pixel]
        return torch.from_numpy(triangle.astype(np.int64)), torch.from_numpy(barycentric.astype(np.float32))

    known = np.flatnonzero(predicted_a.triangle.ravel()[asked] >= 0)
    candidates = np.flatnonzero(predicted_b.triangle.ravel() >= 0)
    if not len(known) or not len(candidates):
        return error

    # nearest in space on the rest surface: over the few centimetres that matter the same as along the surface
    query = points.position(template, *at(predicted_a, asked[known]))
    key = points.position(template, *at(predicted_b, candidates))
    nearest = torch.cat([torch.cdist(part, key).argmin(dim=1) for part in query.split(chunk)]).numpy()
    matched = candidates[nearest]

    on_person = truth_b.triangle.ravel()[matched] >= 0
    known, matched = known[on_person], matched[on_person]
    error[known] = geodesic.distance(template, *at(truth_b, matched), *at(truth_a, asked[known])).numpy()
    return error


def consistency(
    errors: Float[np.ndarray, " vertex_in_both"], tolerances_cm: Sequence[float] = CURVE_CM
) -> dict[str, float]:
    """``{"5": share, ...}``: the share of matches within so many centimetres; the headline is TAU_CM."""
    return {f"{cm:g}": float(np.mean(errors <= cm / 100)) if len(errors) else float("nan") for cm in tolerances_cm}
