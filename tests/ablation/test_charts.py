"""24 charts: sides that mirror each other, halves that look where they should, and the way back to the surface."""

import pytest
import torch

from bodymap.ablation import charts
from bodymap.surface import load_template, points
from bodymap.types import PART_NAMES


@pytest.fixture(scope="module")
def template():
    return load_template()


def test_there_are_24_and_they_cover_the_outside(template):
    chart = charts.build_charts(template).triangle_chart
    assert set(chart.tolist()) == set(range(-1, 24))
    assert ((chart < 0) == (template.triangle_inner != 0)).all()
    uv = charts.build_charts(template).corner_uv[chart >= 0]
    assert uv.min() >= 0 and uv.max() <= 1
    # a chart lies on one part, but for the neck's halves
    parts = [set(template.triangle_part[chart == index].tolist()) for index in range(24)]
    neck = PART_NAMES.index("neck")
    assert all(len(part - {neck}) == 1 for part in parts) and sum(neck in part for part in parts) == 2


def test_front_halves_are_in_front(template):
    chart = charts.build_charts(template).triangle_chart
    centre = template.vertices[template.triangles].mean(1)
    for name in ("left_thigh", "right_shin", "left_forearm"):
        members = template.triangle_part == PART_NAMES.index(name)
        front, back = (members & (chart == index) for index in sorted(set(chart[members].tolist()) - {-1}))
        assert centre[front, 1].mean() < centre[back, 1].mean()
        assert 0.3 < front.sum() / members.sum() < 0.7


def test_round_trip(template):
    outer = (template.triangle_inner == 0).nonzero()[:, 0]
    generator = torch.Generator().manual_seed(0)
    triangle = outer[torch.randint(len(outer), (500,), generator=generator)]
    weight = torch.rand(500, 3, generator=generator) + 0.1
    weight = weight / weight.sum(1, keepdim=True)
    chart, uv = charts.true_places(template, triangle, weight)
    back = charts.surface_points(template, chart, uv)
    assert (charts.true_places(template, *back)[0] == chart).all()
    error = (points.position(template, *back) - points.position(template, triangle, weight)).norm(dim=1)
    assert error.median() < 1e-3 and (error < 0.02).float().mean() > 0.97
