"""Dense truth for an annotated person made of the few annotated points and what a network says of all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bodymap.densepose.adapter import Adapter
from bodymap.densepose.charts import COARSE_OF_CHART
from bodymap.densepose.mesh import MeshPoints
from bodymap.types import Correspondence

TRUST = 0.3  # what a pixel of pseudo-truth counts at most; an annotated one counts 1
_REACH = 0.05  # of a correction over the picture, as a share of its height: about the spacing of the points
_PRIOR = 0.2  # what "no correction" weighs beside annotations; one at the pixel itself weighs 1
_CONFIDENT = 0.5  # of the network, or of annotations near by: less is no truth at all
_DOUBT = 0.1  # metres of disagreement between network and annotations near by at which trust falls to 1/e


@dataclass(frozen=True)
class PseudoTruth:
    """Over a picture. ``triangle``: -1 where nothing is known. ``trust``: in [0, TRUST], 0 there."""

    triangle: Int[np.ndarray, "height width"]
    barycentric: Float[np.ndarray, "height width corner=3"]
    trust: Float[np.ndarray, "height width"]


def pseudo_truth(
    adapter: Adapter,
    found: Correspondence,
    coarse: Int[np.ndarray, "height width"],
    pixel: Int[np.ndarray, "point rowcolumn=2"],
    chart: Int[np.ndarray, " point"],
    truth: MeshPoints,
) -> PseudoTruth:
    """The network's answer, moved along the body by what the annotated points of the same coarse part say is wrong
    with it near by.

    x(p) = x_net(p) + sum_i w_i (X_i - x_net(q_i)) / (sum_i w_i + prior), w_i a Gaussian of |p - q_i|, X_i the annotated
    place of pixel q_i on SMPL's body; then back onto the body. Left out are pixels where the network is not sure and no
    point is near, and those that end up on another part than the annotators' masks say.

    Args:
        found: the network's map of the same picture.
        coarse: the annotators' coarse part of each pixel (index into COARSE_NAMES), 0 off the person.
        pixel: (row, column) of the annotated points, inside the picture.
        chart, truth: what was annotated there, as 1..24 and as places on SMPL.
    """
    size = coarse.shape
    triangle, barycentric = np.full(size, -1, np.int64), np.zeros((*size, 3))
    trust = np.zeros(size)
    at = (coarse > 0) & found.mask
    if not at.any():
        return PseudoTruth(triangle, barycentric, trust)
    part_of = np.array(COARSE_OF_CHART)
    own = adapter.body.position(adapter.smpl_of_template(found.triangle[at], found.barycentric[at]))
    everywhere = np.full((*size, 3), np.nan)
    everywhere[at] = own
    error = adapter.body.position(truth) - everywhere[pixel[:, 0], pixel[:, 1]]
    known = np.isfinite(error).all(1)  # where the network saw the person at all
    error, pixel, part = error[known], pixel[known], part_of[chart[known]]

    squared = ((np.argwhere(at)[:, None] - pixel[None]) ** 2).sum(-1)
    weight = np.exp(-squared / (2 * (_REACH * size[0]) ** 2)) * (coarse[at][:, None] == part[None])
    support = weight.sum(1)
    place = adapter.body.closest(own + weight @ error / (support + _PRIOR)[:, None])
    disagreement = weight @ np.linalg.norm(error, axis=1) / (support + _PRIOR)

    confidence = np.maximum(found.confidence[at], np.minimum(support, 1))
    right = part_of[adapter.iuv_of_smpl(place)[0]] == coarse[at]
    kept = right & (confidence >= _CONFIDENT)
    face, corners = adapter.template_of_smpl(place)
    triangle[at] = np.where(kept, face, -1)
    barycentric[at] = corners * kept[:, None]
    trust[at] = TRUST * kept * confidence * np.exp(-disagreement / _DOUBT)
    return PseudoTruth(triangle, barycentric, trust)


def coarse_at(
    coarse: Int[np.ndarray, "256 256"],
    box: tuple[float, float, float, float],
    x: Float[np.ndarray, " column"],
    y: Float[np.ndarray, " row"],
) -> Int[np.ndarray, "row column"]:
    """``PointTruth.coarse`` at places of the picture in pixels; 0 outside the box."""
    grid = coarse.shape[0]
    column = np.floor((x - box[0]) / max(box[2], 1e-6) * grid).astype(int)
    row = np.floor((y - box[1]) / max(box[3], 1e-6) * grid).astype(int)
    inside = ((row >= 0) & (row < grid))[:, None] & ((column >= 0) & (column < grid))
    return np.where(inside, coarse[row.clip(0, grid - 1)][:, column.clip(0, grid - 1)], 0).astype(np.int64)
