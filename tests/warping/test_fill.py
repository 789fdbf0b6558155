"""Filling: the seen untouched, the other side mirrored, garments apart, no jump across seams."""

import numpy as np
import pytest
import torch
from support.mapped import HAIR, LOWER, SHOES, SKIN, UPPER, layer_at

from bodymap.surface import load_template, points
from bodymap.warping.atlas import get_atlas, sample_texture, triangle_islands
from bodymap.warping.fill import MIRRORED, OUTSIDE, SEEN, SMOOTH, fill_texture
from bodymap.warping.image_to_texture import PartialTexture

SIZE = 256
PALETTE = torch.tensor([[0, 0, 0], [0.9, 0.7, 0.6], [0.3, 0.2, 0.1], [0.1, 0.3, 0.8], [0.4, 0.4, 0.1], [0.7, 0.1, 0.1]])


@pytest.fixture(scope="module")
def body():
    """(position, layer) of every texel, 0 outside."""
    t = load_template()
    atlas = get_atlas(t, SIZE)
    inside = atlas.covered
    position, layer = torch.zeros(SIZE, SIZE, 3), torch.zeros(SIZE, SIZE, dtype=torch.long)
    position[inside] = points.position(t, atlas.triangle[inside], atlas.barycentric[inside])
    part = points.part(t, atlas.triangle[inside], atlas.barycentric[inside]).numpy()
    layer[inside] = torch.from_numpy(layer_at(position[inside].numpy(), part).astype(np.int64))
    return position, layer


def partial_of(colour, layer, seen):
    return PartialTexture(colour * seen[..., None], seen.float(), layer * seen)


def test_seen_texels_stay_and_every_texel_gets_something(body):
    position, layer = body
    atlas = get_atlas(load_template(), SIZE)
    colour = torch.rand(SIZE, SIZE, 3, generator=torch.Generator().manual_seed(0))
    seen = atlas.covered & (position[..., 1] < -0.05)
    filled = fill_texture(load_template(), partial_of(colour, layer, seen))
    assert torch.equal(filled.colour[seen], colour[seen]) and torch.equal(filled.layer[seen], layer[seen])
    assert torch.equal(filled.covered, atlas.covered)
    assert (filled.origin[seen] == SEEN).all() and (filled.origin[~atlas.covered] == OUTSIDE).all()
    assert (filled.layer[atlas.covered] > 0).all() and (filled.colour[~atlas.covered] == 0).all()
    assert filled.colour.isfinite().all()


def test_a_symmetric_texture_is_completed_from_one_side(body):
    position, layer = body
    atlas = get_atlas(load_template(), SIZE)
    colour = PALETTE[layer]
    # seen: the person's left, and a little beyond the middle
    seen = atlas.covered & (position[..., 0] > -0.01)
    filled = fill_texture(load_template(), partial_of(colour, layer, seen))
    mirrored = filled.origin == MIRRORED
    assert (mirrored | seen).sum() > 0.97 * atlas.covered.sum()
    # exact inside a garment; a texel on a garment's edge may sample both sides of it
    error = (filled.colour - colour).abs().amax(-1)[mirrored]
    assert error.median() < 1e-6 and (error < 1e-3).float().mean() > 0.97
    assert (filled.layer == layer)[mirrored].float().mean() > 0.99


def test_mirroring_follows_the_light_of_this_side(body):
    position, layer = body
    atlas = get_atlas(load_template(), SIZE)
    light = torch.where(position[..., :1] > 0, 0.8, 0.5).expand(-1, -1, 3)
    # the right thigh's outside is unseen, the rest of both sides is seen in its own light
    hidden = atlas.covered & (position[..., 0] < -0.16) & (position[..., 2] < 0) & (position[..., 2] > -0.3)
    filled = fill_texture(load_template(), partial_of(light, layer, atlas.covered & ~hidden))
    taken = hidden & (filled.origin == MIRRORED)
    assert taken.sum() > 50
    assert (filled.colour[taken] - 0.5).abs().mean() < 0.06


def test_smooth_filling_keeps_garments_apart(body):
    _, layer = body
    atlas = get_atlas(load_template(), SIZE)
    position = body[0]
    seen = atlas.covered & (position[..., 1] < -0.06)
    filled = fill_texture(load_template(), partial_of(PALETTE[layer], layer, seen), mirror=False)
    smooth = filled.origin == SMOOTH
    assert smooth.sum() > 10_000 and not (filled.origin == MIRRORED).any()
    # one colour a layer was seen, so each filled texel has exactly its layer's colour
    assert (filled.colour - PALETTE[filled.layer])[smooth].abs().max() < 0.02
    # garments go round the body, hair covers the back of the head
    height, back = position[..., 2], smooth & (position[..., 1] > 0)
    assert (filled.layer[back & (height > 0.1) & (height < 0.3) & (position[..., 0].abs() < 0.15)] == UPPER).all()
    assert (filled.layer[back & (height < -0.3) & (height > -0.5)] == LOWER).all()
    assert (filled.layer[back & (height > 0.72)] == HAIR).float().mean() > 0.95
    assert {SKIN, SHOES} <= set(filled.layer.unique().tolist())


def test_no_jump_across_seams(body):
    t = load_template()
    position, layer = body
    atlas = get_atlas(t, SIZE)
    colour = position * 0.4 + 0.5
    seen = atlas.covered & (position[..., 1] < -0.06)
    filled = fill_texture(t, partial_of(colour, torch.where(layer > 0, SKIN, 0), seen), mirror=False)
    # the same vertex on two places of the layout
    corner_vertex, corner_uv = t.triangles.flatten(), t.uv_triangles.flatten()
    island = triangle_islands(t).repeat_interleave(3)
    outer = (t.triangle_inner == 0).repeat_interleave(3)
    order = torch.argsort(corner_vertex * len(t.uv) + corner_uv)
    v, u, i, o = corner_vertex[order], corner_uv[order], island[order], outer[order]
    seam = (v[1:] == v[:-1]) & (u[1:] != u[:-1]) & o[1:] & o[:-1]
    known = (filled.origin == SEEN).float()[..., None]
    picture = torch.cat([filled.colour, known], -1)
    one, _ = sample_texture(picture, t.uv[u[:-1][seam]], i[:-1][seam], atlas)
    two, _ = sample_texture(picture, t.uv[u[1:][seam]], i[1:][seam], atlas)
    filled_on_both = (one[:, 3] == 0) & (two[:, 3] == 0)
    assert filled_on_both.sum() > 100
    jump = (one - two)[filled_on_both, :3].abs().amax(1)
    assert jump.median() < 0.01 and jump.quantile(0.95) < 0.06


def test_one_garment_over_the_whole_body(body):
    position, layer = body
    atlas = get_atlas(load_template(), SIZE)
    seen = atlas.covered & (position[..., 1] < -0.06)
    filled = fill_texture(load_template(), partial_of(PALETTE[layer], layer, seen), layers=(UPPER,))
    assert set(filled.layer[atlas.covered].unique().tolist()) == {UPPER}
    assert (filled.colour - PALETTE[UPPER])[atlas.covered].abs().max() < 0.02


def test_nothing_seen_is_an_error():
    empty = PartialTexture(torch.zeros(64, 64, 3), torch.zeros(64, 64), torch.zeros(64, 64, dtype=torch.long))
    with pytest.raises(ValueError):
        fill_texture(load_template(), empty)
