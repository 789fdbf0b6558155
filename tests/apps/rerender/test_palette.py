"""What colours there are to choose from: of hand-painted textures they are known."""

import pytest
import torch

from apps.rerender.palette import LAYERS, TONES, Palette, layers_of, lighter, mixture
from bodymap.surface import load_template
from bodymap.warping import get_atlas

SIZE = 32
DARK, LIGHT = torch.tensor([0.1, 0.3, 0.1]), torch.tensor([0.6, 0.9, 0.8])
UPPER = LAYERS.index("upper")


@pytest.fixture(scope="module")
def atlas():
    return get_atlas(load_template(), SIZE)


@pytest.fixture(scope="module")
def palette(atlas):
    return Palette(load_template(), atlas)


def seen(colour, layer, where):
    """(1, 4 + L, T, T): what the palette is given."""
    out = torch.zeros(1, 4 + len(LAYERS), SIZE, SIZE)
    out[0, :3] = colour
    out[0, 3] = 1
    out[0, 4 + layer] = 1
    return out * where


def jacket(atlas):
    """Dark on the lower half of the texels, light on the upper."""
    template = load_template()
    height = (template.vertices[template.triangles[atlas.triangle.clamp_min(0)]] * atlas.barycentric[..., None]).sum(-2)
    high = height[..., 2] > height[..., 2][atlas.covered].median()
    return torch.where(high, LIGHT[:, None, None], DARK[:, None, None]), high


def test_a_layer_of_two_colours_has_both_and_their_mean(palette, atlas):
    picture, high = jacket(atlas)
    given = seen(picture, UPPER, atlas.covered)
    colours, logits = palette(given, given)
    of_upper = colours.unflatten(1, (len(LAYERS), TONES))[0, UPPER][..., atlas.covered]
    assert torch.allclose(of_upper[1], DARK[:, None].expand_as(of_upper[1]), atol=1e-3)
    assert torch.allclose(of_upper[2], LIGHT[:, None].expand_as(of_upper[2]), atol=1e-3)
    assert (of_upper[0] > DARK[:, None] - 1e-3).all() and (of_upper[0] < LIGHT[:, None] + 1e-3).all()
    # each tone counts where it lies
    tones = logits.unflatten(1, (len(LAYERS), TONES))[0, UPPER]
    right = (tones[2] > tones[1]) == high
    assert right[atlas.covered].float().mean() > 0.9
    assert (logits[..., atlas.covered].argmax(1) // TONES == UPPER).all()


def test_a_plain_layer_has_one_colour_and_nobody_is_misled(palette, atlas):
    given = seen(LIGHT[:, None, None], UPPER, atlas.covered)
    colours, logits = palette(given, given)
    expected = LIGHT[:, None, None].expand(3, SIZE, SIZE)[:, atlas.covered]
    for k in range(colours.shape[1]):  # layers that nobody saw have the colours of what was
        assert torch.allclose(colours[0, k][:, atlas.covered], expected, atol=1e-3)
    assert torch.allclose(mixture(colours, logits)[0][:, atlas.covered], expected, atol=1e-3)
    shares = layers_of(logits).softmax(1)[0, UPPER][atlas.covered]
    assert shares.min() > 0.9


def test_colours_of_two_layers_do_not_mix(palette, atlas):
    picture, high = jacket(atlas)
    given = torch.where(high, seen(picture, UPPER, atlas.covered), seen(picture, LAYERS.index("lower"), atlas.covered))
    colours, _ = palette(given, given)
    colours = colours.unflatten(1, (len(LAYERS), TONES))[0][..., atlas.covered]
    assert torch.allclose(colours[UPPER, 0], LIGHT[:, None].expand_as(colours[UPPER, 0]), atol=1e-3)
    lower = colours[LAYERS.index("lower"), 0]
    assert torch.allclose(lower, DARK[:, None].expand_as(lower), atol=1e-3)


def test_the_mirror_image_speaks_where_nothing_was_seen(palette, atlas):
    picture, high = jacket(atlas)
    own = seen(picture, UPPER, atlas.covered & high)
    other = seen(picture, UPPER, atlas.covered)
    colours, _ = palette(own, other)
    dark = colours.unflatten(1, (len(LAYERS), TONES))[0, UPPER, 1][:, atlas.covered]
    assert torch.allclose(dark, DARK[:, None].expand_as(dark), atol=1e-3)


def test_tones_are_apart_whatever_the_direction_of_their_difference():
    generator = torch.Generator().manual_seed(3)
    first = torch.rand(40, generator=generator) < 0.3
    for one, two in (((0.8, 0.2, 0.2), (0.2, 0.7, 0.2)), ((0.5, 0.5, 0.5), (0.1, 0.1, 0.1)), ((0, 0, 1), (0.2, 0, 0))):
        colour = torch.where(first[None], torch.tensor(one)[:, None], torch.tensor(two)[:, None])[None]
        colour = colour + 0.01 * torch.randn(colour.shape, generator=generator)
        found = lighter(colour, torch.ones(1, 1, 40))[0, 0]
        expected = first if sum(one) > sum(two) else ~first
        assert (found == expected).all()
