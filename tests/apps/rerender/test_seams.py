"""Tones meet where islands of the atlas meet on the body."""

from __future__ import annotations

import pytest
import torch

from apps.rerender.seams import level_seams, seam_texels
from bodymap.surface import Template, load_template, points
from bodymap.warping.atlas import get_atlas

SIZE = 512


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template()


def positions(template: Template) -> torch.Tensor:
    atlas = get_atlas(template, SIZE)
    out = torch.zeros(SIZE, SIZE, 3)
    out[atlas.covered] = points.position(template, atlas.triangle[atlas.covered], atlas.barycentric[atlas.covered])
    return out.view(-1, 3)


def two_tones(template: Template) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(colour, layer, left, pairs of texels that meet in the middle of the back): each half of the body has a tone."""
    place = positions(template)
    left = place[:, 0] > 0
    colour = torch.where(left[:, None], 0.6, 0.4).expand(-1, 3).view(SIZE, SIZE, 3).contiguous()
    pairs = seam_texels(template, SIZE)
    middle = (left[pairs[:, 0]] != left[pairs[:, 1]]) & (place[pairs].abs()[..., 0] < 0.02).all(1)
    back = (place[pairs[:, 0], 1] > 0) & (place[pairs[:, 0], 2] > 0.1) & (place[pairs[:, 0], 2] < 0.4)
    pairs = pairs[middle & back]
    assert len(pairs) > 100
    return colour, get_atlas(template, SIZE).covered.long() * 3, left, pairs


def test_texels_that_meet_lie_at_one_place(template: Template) -> None:
    pairs, place = seam_texels(template, SIZE), positions(template)
    away = (place[pairs[:, 0]] - place[pairs[:, 1]]).norm(dim=1)
    assert away.median() < 0.004 and away.max() < 0.025  # a texel is 3.5 mm


def test_two_made_up_halves_meet_halfway(template: Template) -> None:
    colour, layer, _, pairs = two_tones(template)
    after = (colour + level_seams(template, colour, layer, layer > 0)).view(-1, 3)
    step = (after[pairs[:, 0]] - after[pairs[:, 1]]).abs()
    assert step.median() < 0.02  # 0.2 before
    assert (after[pairs[:, 0]] - 0.5).abs().median() < 0.02


def test_what_was_seen_stays_and_the_rest_comes_to_it(template: Template) -> None:
    colour, layer, left, pairs = two_tones(template)
    free = (layer > 0) & ~left.view(SIZE, SIZE)
    added = level_seams(template, colour, layer, free)
    assert not added[~free].any()
    after = (colour + added).view(-1, 3)
    assert (after[pairs] - 0.6).abs().median() < 0.02


def test_hems_and_even_cloth_keep_their_colours(template: Template) -> None:
    colour, layer, left, pairs = two_tones(template)
    other = torch.where(left.view(SIZE, SIZE) & (layer > 0), 4, layer)
    added = level_seams(template, colour, other, layer > 0).view(-1, 3)
    assert added[pairs].abs().max() < 1e-5
    assert level_seams(template, torch.full_like(colour, 0.3), layer, layer > 0).abs().max() < 1e-5
