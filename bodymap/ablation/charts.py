"""24 charts on our template, divided as DensePose divides its body (Gueler et al. 2018), for the part-chart baseline.

Head and torso in two, hands and feet whole, every other limb in a front and a back half; coordinates within a chart are
those of the template's atlas, stretched over the chart's box. (``bodymap.densepose.charts`` is DensePose's own division
of SMPL, which needs files that only a user may have.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.surface import Template
from bodymap.surface.points import SurfacePoints, closest_on_triangle
from bodymap.types import PART_NAMES

COUNT = 24
_CANDIDATES = 6  # triangles near a predicted place that are looked at


@dataclass(frozen=True)
class Charts:
    """Attributes:
    triangle_chart: 0..23; -1 inside the mouth.
    corner_uv: within the chart, in [0, 1].
    """

    triangle_chart: Int[Tensor, " face"]
    corner_uv: Float[Tensor, "face corner=3 uv=2"]


def build_charts(t: Template) -> Charts:
    """The charts of a template, on its device; kept in its cache."""
    if "charts" not in t.cache:
        chart = _division(t)
        uv = t.uv[t.uv_triangles]
        for index in range(COUNT):
            members = uv[chart == index]
            low, high = members.flatten(0, 1).amin(0), members.flatten(0, 1).amax(0)
            uv[chart == index] = (members - low) / (high - low)
        t.cache["charts"] = Charts(chart, uv)
    return t.cache["charts"]


def _division(t: Template) -> Int[Tensor, " face"]:
    centre = t.vertices[t.triangles].mean(1)
    part = t.triangle_part
    chart = torch.full_like(part, -1)
    next_chart = 0
    for index, name in enumerate(PART_NAMES):
        members = part == index
        limb = name.split("_", 1)[-1]
        if name == "neck":
            continue
        if name == "head":
            half = centre[:, 0] > 0
        elif limb in ("upper_arm", "forearm", "thigh", "shin"):
            half = _front(centre, members)
        else:
            chart[members] = next_chart
            next_chart += 1
            continue
        chart[members & half], chart[members & ~half] = next_chart, next_chart + 1
        next_chart += 2
    # the neck goes with the torso, as in DensePose
    neck = part == PART_NAMES.index("neck")
    front = centre[:, 1] < centre[neck, 1].mean()
    for name, half in (("torso_front", front), ("torso_back", ~front)):
        chart[neck & half] = chart[part == PART_NAMES.index(name)][0]
    chart[t.triangle_inner != 0] = -1
    return chart


def _front(centre: Tensor, members: Tensor) -> Tensor:
    """Triangles before the axis of a limb; the template faces -Y."""
    own = centre[members]
    middle = own.mean(0)
    axis = torch.linalg.svd(own - middle, full_matrices=False).Vh[0]
    along = (centre - middle) @ axis
    return centre[:, 1] < middle[1] + along * axis[1]


def true_places(
    t: Template, triangle: Int[Tensor, " n"], barycentric: Float[Tensor, "n 3"]
) -> tuple[Int[Tensor, " n"], Float[Tensor, "n uv=2"]]:
    """Chart (-1 inside the mouth) and coordinates of surface points."""
    charts = build_charts(t)
    return charts.triangle_chart[triangle], (charts.corner_uv[triangle] * barycentric[..., None]).sum(-2)


def surface_points(t: Template, chart: Int[Tensor, " n"], uv: Float[Tensor, "n uv=2"]) -> SurfacePoints:
    """The points nearest in their chart to predicted places. On the CPU; results on the template's device."""
    from scipy.spatial import cKDTree

    charts = build_charts(t)
    if "chart_tree" not in t.cache:
        known = (charts.triangle_chart >= 0).nonzero()[:, 0].cpu()
        middle = charts.corner_uv.mean(1).cpu()[known]
        # charts lie so far from each other that the nearest triangle is always one of the same chart
        apart = torch.cat([10.0 * charts.triangle_chart.cpu()[known][:, None], middle], 1)
        t.cache["chart_tree"] = cKDTree(apart.numpy()), known.numpy()
    tree, known = t.cache["chart_tree"]
    place = torch.cat([10.0 * chart[:, None].float(), uv.float().clamp(0, 1)], 1).cpu().numpy()
    near = tree.query(place, k=np.arange(1, _CANDIDATES + 1))[1]
    candidates = torch.from_numpy(known[near]).to(uv.device)
    corners = charts.corner_uv[candidates]
    queries = uv.float().clamp(0, 1)[:, None]
    weights = closest_on_triangle(queries, *corners.unbind(-2))
    distance = ((weights[..., None] * corners).sum(-2) - queries).square().sum(-1)
    distance = distance.masked_fill(charts.triangle_chart[candidates] != chart[:, None], torch.inf)
    row, best = torch.arange(len(chart), device=uv.device), distance.argmin(1)
    return candidates[row, best], weights[row, best]
