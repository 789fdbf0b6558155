"""Bands around the trunk go on at their height."""

from __future__ import annotations

import pytest
import torch

from apps.rerender.bands import _heights, continued_bands
from apps.rerender.pattern import GARMENTS
from bodymap.surface import load_template
from bodymap.warping.atlas import get_atlas

SIZE = 256


def worn(paint):
    """(truth, known, trunk, what was found) of a garment painted by height and column, known on half the columns."""
    template = load_template()
    atlas = get_atlas(template, SIZE)
    height, trunk = _heights(template, atlas)
    layer = torch.where(trunk, GARMENTS[0], 1) * atlas.covered
    column = (torch.arange(SIZE) / SIZE).expand(SIZE, SIZE)
    known = atlas.covered & (torch.arange(SIZE) % 32 < 16)
    truth = paint(height, column)[..., None].expand(SIZE, SIZE, 3).contiguous()
    found = continued_bands(template, atlas, truth * known[..., None], layer, known)
    return truth, known, trunk, found


def test_bands_go_on_at_their_height() -> None:
    truth, known, trunk, (profile, banded) = worn(lambda height, _: 0.5 + 0.3 * (torch.sin(60 * height)).sign())
    assert torch.equal(banded, trunk)
    # but for the texels that lie on an edge between two bands
    assert ((profile - truth)[trunk & ~known].abs().amax(-1) < 0.02).float().mean() > 0.8
    assert not profile[~trunk].any()


def test_heights_that_nobody_sees_lie_between() -> None:
    template = load_template()
    atlas = get_atlas(template, SIZE)
    height, trunk = _heights(template, atlas)
    middle = (height > 0.2) & (height < 0.3)
    layer = torch.where(trunk, GARMENTS[0], 1) * atlas.covered
    truth = 0.5 + 0.3 * (torch.sin(60 * height)).sign()[..., None].expand(SIZE, SIZE, 3)
    truth = torch.where(((height - 0.25).abs() < 0.07)[..., None], torch.tensor([0.1, 0.2, 0.6]), truth)
    profile, banded = continued_bands(template, atlas, truth, layer, trunk & ~middle)
    assert banded[middle & trunk].all()
    assert (profile - truth)[middle & trunk].abs().max() < 0.02


@pytest.mark.parametrize(
    "paint",
    [
        lambda height, column: 0.5 + 0.3 * torch.sign(torch.sin(200 * column)),  # stripes down the body
        lambda height, column: 0.5 + 0.3 * torch.sign(torch.sin(60 * height) * torch.sin(200 * column)),  # checks
        lambda height, column: 0.2 + 0.9 * height,  # light from above
        lambda height, column: 0.5 + 0.03 * torch.sign(torch.sin(60 * height)),  # a knit
    ],
)
def test_what_is_no_band_is_left_to_the_network(paint) -> None:
    profile, banded = worn(paint)[3]
    assert not banded.any() and not profile.any()
