"""What lies opposite on the body lies at the same height and as far aside, on the other face."""

from __future__ import annotations

import pytest
import torch

from apps.rerender.opposite import laid_opposite, opposite_index, opposite_places
from bodymap.surface import Template, load_template, points
from bodymap.types import LAYER_NAMES, PART_NAMES
from bodymap.warping import PartialTexture
from bodymap.warping.atlas import get_atlas

SIZE = 256


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template()


@pytest.fixture(scope="module")
def places(template: Template) -> tuple[torch.Tensor, torch.Tensor]:
    """(rest position (T T, 3), part (T T), -1 outside) of each texel."""
    atlas = get_atlas(template, SIZE)
    inside = atlas.covered.view(-1)
    where = atlas.triangle.view(-1)[inside], atlas.barycentric.view(-1, 3)[inside]
    position = torch.zeros(SIZE * SIZE, 3)
    part = torch.full((SIZE * SIZE,), -1)
    position[inside], part[inside] = points.position(template, *where), points.part(template, *where)
    return position, part


def test_opposites_are_as_high_and_as_far_aside_on_the_other_face(template: Template, places) -> None:
    position, part = places
    index = opposite_index(template, SIZE)
    there = index >= 0
    away = (position[index[there]] - position[there])[:, [0, 2]].norm(dim=1)
    assert away.median() < 0.008 and away.quantile(0.99) < 0.04  # a texel is 7 mm
    back = there & (part == PART_NAMES.index("torso_back"))
    front = part[index[back]] == PART_NAMES.index("torso_front")
    # the labels meet where they like at the sides, the neck and the crotch; amid the back there is no doubt
    x, _, z = position[back].unbind(1)
    assert front[(x.abs() < 0.08) & (z > 0.1) & (z < 0.45)].all()
    # and there again one is where one was
    again = index[index[there].clamp_min(0)]
    home = (position[again[again >= 0]] - position[there][again >= 0]).norm(dim=1)
    assert home.median() < 0.012


def test_heads_hands_and_feet_have_none(template: Template, places) -> None:
    _, part = places
    none = opposite_index(template, SIZE) < 0
    for name in ("head", "left_hand", "right_hand", "left_foot", "right_foot"):
        assert none[part == PART_NAMES.index(name)].all(), name
    for name in ("torso_back", "left_forearm", "right_shin"):
        assert none[part == PART_NAMES.index(name)].float().mean() < 0.1, name  # where a triangle is half a hand


def test_folded_middles_look_further_out(template: Template, places) -> None:
    position, part = places
    atlas = get_atlas(template, SIZE)
    uv, island = opposite_places(template, SIZE, 0.04)
    column, row = (uv.view(-1, 2) * SIZE).long().clamp(0, SIZE - 1).unbind(-1)
    index = atlas.source.view(-1)[row * SIZE + column]
    back = (part == PART_NAMES.index("torso_back")) & (island.view(-1) >= 0)
    across, found = position[back, 0], position[index[back], 0]
    middle = across.abs() < 0.04
    assert (found[middle].abs() > 0.035).float().mean() > 0.97
    assert (found[middle] * across[middle] >= 0).float().mean() > 0.97  # on its own side
    wanted = torch.where(middle, 0.08 - across.abs(), across.abs())
    assert (found.abs() - wanted).abs().median() < 0.008


def test_what_was_seen_is_laid_over_its_opposite(template: Template, places) -> None:
    position, part = places
    atlas = get_atlas(template, SIZE)
    upper = LAYER_NAMES.index("upper")
    # the front of the trunk in a colour that is its place
    seen = (part == PART_NAMES.index("torso_front")).view(SIZE, SIZE)
    colour = ((position + 1) / 2).view(SIZE, SIZE, 3) * seen[..., None]
    laid = laid_opposite(template, PartialTexture(colour, seen.float(), upper * seen.long()))
    back = (part == PART_NAMES.index("torso_back")).view(SIZE, SIZE) & laid.seen
    assert back.sum() > 0.8 * (part == PART_NAMES.index("torso_back")).sum()
    assert (laid.layer[back] == upper).all()
    away = (2 * laid.colour - 1 - position.view(SIZE, SIZE, 3))[back][:, [0, 2]].norm(dim=1)
    assert away.quantile(0.95) < 0.02
    assert not laid.colour[~laid.seen].any() and not laid.seen[~atlas.covered].any()
