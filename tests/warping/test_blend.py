"""Blending: the background to the bit, edges on edges, light without colour, gains by definition."""

import torch

from bodymap.warping import blend


def test_composite_leaves_the_photo_alone_where_the_matte_is_zero():
    generator = torch.Generator().manual_seed(0)
    photo, picture = torch.rand(9, 9, 3, generator=generator), torch.rand(9, 9, 3, generator=generator)
    matte = torch.zeros(9, 9)
    matte[3:6, 3:6] = 1
    matte[2, 2] = 0.25
    mixed = blend.composite(photo, picture, matte)
    assert torch.equal(mixed[matte == 0], photo[matte == 0])
    assert torch.allclose(mixed[matte == 1], picture[matte == 1])
    assert torch.allclose(mixed[2, 2], 0.75 * photo[2, 2] + 0.25 * picture[2, 2])


def test_matte_moves_to_the_photos_edge_and_stays_inside_the_mask():
    photo = torch.zeros(40, 40, 3)
    photo[:, 20:] = 1
    mask = torch.ones(40, 40, dtype=torch.bool)
    mask[:, 35:] = False
    region = torch.zeros(40, 40)
    region[:, 18:] = 1  # two pixels off the photo's edge
    matte = blend.soft_matte(region * mask, photo, mask, radius=4)
    rows = slice(10, 30)
    assert (matte[~mask] == 0).all()
    assert matte[rows, 18:20].mean() < 0.5 and matte[rows, 20].min() > 0.95
    assert matte[rows, :17].max() < 0.1
    assert (matte[rows, :12] == 0).all() and (matte[rows, 26:30] == 1).all()


def test_majority_takes_specks_away_and_leaves_the_outside():
    labels = torch.ones(20, 20, dtype=torch.long)
    labels[:, 10:] = 3
    labels[:, 17:] = 0
    clean = labels.clone()
    labels[5, 3] = 3
    labels[8, 13] = 2
    assert torch.equal(blend.majority(labels, 1), clean)


def test_shading_transfers_light_not_colour():
    ramp = torch.linspace(0.7, 1.3, 200)[None, :, None].expand(60, 200, 3)
    photo = (0.5 * ramp).contiguous()
    red = torch.zeros(60, 200, 3)
    red[..., 0] = 0.6
    mask, one = torch.ones(60, 200, dtype=torch.bool), torch.ones(60, 200, dtype=torch.long)
    lit = blend.match_shading(red, one, photo, one, mask, radius=8, strength=1.0)
    assert (lit[..., 1:] == 0).all()
    middle = lit[30, 20:180, 0] / 0.6
    assert (middle - ramp[0, 20:180, 0]).abs().max() < 0.08
    assert torch.equal(blend.match_shading(red, one, photo, one, mask, 8, strength=0.0), red)
    # what differs by material is no light: a two-coloured dress in even light changes nothing
    kinds = one.clone()
    kinds[:, 100:] = 3
    two = torch.where(kinds[..., None] == 1, 0.2, 0.8).expand(-1, -1, 3)
    assert torch.allclose(blend.match_shading(red, one, two, kinds, mask, 8, strength=1.0), red, atol=0.01)


def test_gain_maps_medians():
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(500, 3, generator=generator) * 0.2 + 0.4
    gain = torch.tensor([1.2, 0.8, 1.0])
    assert torch.allclose(blend.colour_gain(colours, colours * gain), gain, atol=1e-4)
    assert torch.equal(blend.colour_gain(colours[:3], colours), torch.ones(3))
