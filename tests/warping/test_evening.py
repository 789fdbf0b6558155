"""Evening a map: exact maps hardly move, noise shrinks, seams and edges of the body against itself stay."""

from dataclasses import replace

import pytest
import torch
from support.mapped import correspondence

from bodymap.surface import load_template, points
from bodymap.warping import evening
from bodymap.warping import grid as grids


@pytest.fixture(scope="module")
def exact():
    return grids.pixel_grid(load_template(), correspondence(0.4))


def test_exact_maps_hardly_move(exact):
    evened = evening.smooth(load_template(), exact, 2)
    step = exact.step[exact.valid].median()
    moved = (evened.position - exact.position).norm(dim=-1)[exact.valid]
    assert moved.median() < 0.1 * step and moved.quantile(0.99) < 2 * step
    # neither does the outline shrink
    outline = exact.valid & ~grids.erode(exact.valid, 1)
    assert (evened.position - exact.position)[outline].norm(dim=-1).median() < 0.3 * step
    assert evening.smooth(load_template(), exact, 0) is exact


def test_noise_shrinks_and_points_stay_on_the_surface(exact):
    t = load_template()
    step = exact.step[exact.valid].median()
    noise = torch.randn(exact.position.shape, generator=torch.Generator().manual_seed(0)) * step * 0.7
    noisy = replace(exact, position=exact.position + noise * exact.valid[..., None])
    evened = evening.smooth(t, noisy, 4)
    inner = grids.erode(exact.valid, 4)
    left = (evened.position - exact.position).norm(dim=-1)[inner]
    assert left.median() < 0.4 * noise.norm(dim=-1)[inner].median()
    on = points.position(t, *points.closest(t, evened.position[inner]))
    assert (on - evened.position[inner]).norm(dim=-1).quantile(0.99) < 1e-4


def test_steps_of_enlarged_maps_are_not_zero(exact):
    blocky = exact.position[::4, ::4].repeat_interleave(4, 0).repeat_interleave(4, 1)
    valid = exact.valid[::4, ::4].repeat_interleave(4, 0).repeat_interleave(4, 1)
    step = grids._typical_step(blocky, valid)[valid].median()
    assert 0.5 < step / exact.step[exact.valid].median() < 2.5
