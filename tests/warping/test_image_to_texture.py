"""Photo -> texture on renders of the template, whose every texel has a known colour."""

import numpy as np
import pytest
import torch
from support.mapped import (
    LOWER,
    MAGENTA,
    UPPER,
    correspondence,
    layer_at,
    photo_of,
    positions,
    psnr,
    waves,
    with_changes,
)

from bodymap.surface import load_template, points
from bodymap.types import PART_NAMES
from bodymap.warping.atlas import get_atlas
from bodymap.warping.image_to_texture import image_to_texture
from bodymap.warping.texture_to_image import texture_to_image

SIZE = 384


@pytest.fixture(scope="module")
def truth():
    """(T, T, 3) colours and (T, T) layers of every covered texel."""
    t = load_template()
    atlas = get_atlas(t, SIZE)
    inside = atlas.covered
    place = points.position(t, atlas.triangle[inside], atlas.barycentric[inside]).numpy()
    part = points.part(t, atlas.triangle[inside], atlas.barycentric[inside]).numpy()
    colour, layer = torch.zeros(SIZE, SIZE, 3), torch.zeros(SIZE, SIZE, dtype=torch.long)
    colour[inside] = torch.from_numpy(waves(place)).float()
    layer[inside] = torch.from_numpy(layer_at(place, part).astype(np.int64))
    return colour, layer


@pytest.fixture(scope="module")
def front():
    c = correspondence(0.0)
    return c, photo_of(c, waves(positions(c)))


@pytest.mark.parametrize("facing", [0.0, 0.7, np.pi])
def test_what_was_seen_is_right_and_no_background_comes_along(truth, facing):
    c = correspondence(float(facing))
    partial = image_to_texture(load_template(), photo_of(c, waves(positions(c))), c, SIZE)
    seen = partial.seen
    assert seen.float().mean() > 0.12
    assert psnr(partial.colour[seen], truth[0][seen]) > 32
    # magenta lies more than 0.5 from every colour of the texture; a mixture with a fifth of it would show here
    assert (partial.colour[seen] - truth[0][seen]).abs().max() < 0.25
    assert (partial.layer[seen] == truth[1][seen]).float().mean() > 0.985
    assert (partial.colour[~seen] == 0).all() and (partial.layer[~seen] == 0).all()


def test_no_holes_inside_what_was_seen(front):
    c, photo = front
    partial = image_to_texture(load_template(), photo, c, SIZE)
    torso = (c.part == PART_NAMES.index("torso_front")) & c.mask
    texel = (c.uv[torso] * SIZE).astype(int)
    region = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    region[texel[:, 1], texel[:, 0]] = True
    # everything enclosed by the torso's pixels: the box around its middle half has no unseen texel
    rows, columns = torch.nonzero(region, as_tuple=True)
    top, bottom = int(rows.float().quantile(0.25)), int(rows.float().quantile(0.75))
    left, right = int(columns.float().quantile(0.25)), int(columns.float().quantile(0.75))
    assert partial.seen[top:bottom, left:right].all() and (bottom - top) * (right - left) > 500


def test_there_and_back_again(front):
    c, photo = front
    t = load_template()
    partial = image_to_texture(t, photo, c, SIZE)
    warped = texture_to_image(t, partial.colour, c, weight=partial.seen.float())
    back = warped.weight.numpy() > 0.5
    assert not (back & ~c.mask).any()
    assert back.sum() > 0.8 * c.mask.sum()
    assert psnr(warped.values.numpy()[back], photo[back] / 255) > 30


def test_a_photo_shifted_with_its_map_gives_the_same_texture(front):
    c, photo = front
    moved = {name: np.roll(getattr(c, name), (7, -5), (0, 1)) for name in c.__dataclass_fields__}
    one = image_to_texture(load_template(), photo, c, SIZE)
    two = image_to_texture(load_template(), np.roll(photo, (7, -5), (0, 1)), with_changes(c, **moved), SIZE)
    assert torch.equal(one.colour, two.colour) and torch.equal(one.confidence, two.confidence)


def test_only_the_layers_asked_for(front):
    c, photo = front
    partial = image_to_texture(load_template(), photo, c, SIZE, layers=(UPPER,))
    assert set(partial.layer.unique().tolist()) == {0, UPPER}
    everything = image_to_texture(load_template(), photo, c, SIZE)
    assert (partial.seen & ~everything.seen).sum() == 0
    assert partial.seen.sum() > 0.8 * (everything.layer == UPPER).sum()


def test_unsure_pixels_are_left_out(front):
    c, photo = front
    legs = c.layer == LOWER
    unsure = with_changes(c, confidence=np.where(legs, 0.01, c.confidence).astype(np.float32))
    partial = image_to_texture(load_template(), photo, unsure, SIZE)
    assert (partial.layer == LOWER).sum() == 0 and (partial.layer == UPPER).any()


def test_of_two_views_of_a_place_the_sharper_one_wins(front):
    c, _ = front
    width = c.size[1]
    # beside the person stands a copy squeezed to a quarter of its width, in another colour
    both = {name: np.concatenate([getattr(c, name), getattr(c, name)[:, ::4]], 1) for name in c.__dataclass_fields__}
    double = with_changes(c, **both)
    photo = np.empty((*double.size, 3), np.uint8)
    photo[:] = MAGENTA
    photo[:, :width][c.mask] = (0, 200, 0)
    photo[:, width:][c.mask[:, ::4]] = (200, 0, 0)
    partial = image_to_texture(load_template(), photo, double, SIZE)
    green = partial.colour[..., 1] > partial.colour[..., 0]
    assert green[partial.seen].float().mean() > 0.95


def test_nobody_and_nothing(front):
    c, photo = front
    nobody = with_changes(c, mask=np.zeros_like(c.mask))
    assert not image_to_texture(load_template(), photo, nobody, SIZE).seen.any()
    with pytest.raises(ValueError):
        image_to_texture(load_template(), photo[:-1], c, SIZE)
