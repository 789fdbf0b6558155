"""Texture -> photo: exact colours, no neighbours' islands, finer textures averaged and not skipped."""

import numpy as np
import torch
from support.mapped import correspondence

from bodymap.surface import load_template
from bodymap.warping.atlas import get_atlas
from bodymap.warping.texture_to_image import halve, texture_to_image


def test_coordinates_as_a_texture_come_back_as_uv():
    t, c = load_template(), correspondence(0.7)
    line = (torch.arange(512) + 0.5) / 512
    texture = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    warped = texture_to_image(t, texture, c, smooth=0, antialias=False)
    assert np.allclose(warped.values.numpy()[c.mask], c.uv[c.mask], atol=1.5 / 512)
    assert (warped.weight[torch.from_numpy(c.mask)] > 0).all()
    assert (warped.weight[~torch.from_numpy(c.mask)] == 0).all() and (
        warped.values[~torch.from_numpy(c.mask)] == 0
    ).all()


def test_outside_of_the_islands_never_shows():
    t, c = load_template(), correspondence(0.0)
    atlas = get_atlas(t, 256)
    texture = torch.where(atlas.covered, 1.0, 0.0)[..., None]
    for smooth in (0, 2):
        warped = texture_to_image(t, texture, c, smooth=smooth)
        assert torch.allclose(warped.values[torch.from_numpy(c.mask)], torch.tensor(1.0), atol=1e-5)


def test_small_pictures_average_the_texture():
    t = load_template()
    small = correspondence(0.0, (120, 75))
    checks = torch.zeros(1024, 1024, 1)
    checks[::2, ::2] = 1
    checks[1::2, 1::2] = 1
    mask = torch.from_numpy(small.mask)
    averaged = texture_to_image(t, checks, small).values[mask]
    skipped = texture_to_image(t, checks, small, antialias=False).values[mask]
    assert (averaged - 0.5).abs().mean() < 0.05 < (skipped - 0.5).abs().mean()


def test_halving_leaves_unknown_texels_out():
    texture = torch.tensor([[1.0, 9.0], [3.0, 9.0]])[..., None]
    weight = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    value, mass = halve(texture, weight)
    assert value.item() == 2.0 and mass.item() == 0.5
