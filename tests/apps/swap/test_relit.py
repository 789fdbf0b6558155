"""The renderer inside a swap: what it says of light reaches the source's clothes and nothing else."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from support.mapped import LOWER, SHOES, SKIN, UPPER, correspondence, dressed

from apps.rerender import normals
from apps.rerender.renderer import RendererConfig, RendererNet
from apps.swap import relit
from apps.swap.transfer import swap

ONE = {SKIN: (0.9, 0.7, 0.6), UPPER: (0.1, 0.3, 0.8), LOWER: (0.3, 0.3, 0.3), SHOES: (0.5, 0.1, 0)}
TWO = {SKIN: (0.5, 0.35, 0.3), UPPER: (0.8, 0.7, 0.1), LOWER: (0.1, 0.5, 0.2), SHOES: (0.9, 0.9, 0.9)}


@pytest.fixture(scope="module")
def maps():
    return correspondence(0.0), correspondence(0.4)


def inside(where, pixels=3):
    return ndimage.binary_erosion(where, iterations=pixels)


def renderer(gain: float) -> RendererNet:
    """Everything lighter or darker by one factor."""
    network = RendererNet(RendererConfig(channels=(8, 8), texture_channels=(8,), size=64)).eval()
    with torch.no_grad():
        network.leave.bias[12:] = gain
    return network


def swapped(maps, what, network=None):
    photos = dressed(maps[0], ONE), dressed(maps[1], TWO)
    # without the target's own light, which would even it out
    return swap(photos[0], maps[0], photos[1], maps[1], what, texture_size=256, shading=0, renderer=network)


@pytest.mark.parametrize("what", ["all", "upper"])
def test_one_that_says_nothing_changes_nothing(maps, what):
    plain, same = swapped(maps, what), swapped(maps, what, renderer(0.0))
    assert np.abs(plain.image.astype(int) - same.image).max() <= 1
    assert np.array_equal(plain.region, same.region)


@pytest.mark.parametrize("what", ["all", "upper"])
def test_its_light_falls_on_the_sources_clothes_alone(maps, what):
    plain, dark = swapped(maps, what), swapped(maps, what, renderer(float(np.log(0.5))))
    target = maps[1]
    cloth = inside(target.mask & (target.layer == UPPER), 5)
    ratio = dark.image[cloth].astype(float).mean(0) / plain.image[cloth].astype(float).mean(0)
    assert np.abs(ratio - 0.5).max() < 0.05
    kept = plain.region == 0
    assert np.array_equal(dark.image[kept], plain.image[kept])
    if what == "upper":
        bare = inside(target.mask & (target.layer == SKIN) & kept)
        assert bare.sum() > 100 and np.array_equal(dark.image[bare], dressed(target, TWO)[bare])


def test_the_body_behind_each_map_tells_how_its_surface_turned(maps, monkeypatch):
    asked = []
    correction = relit.correction

    def watched(network, warp):
        asked.append((warp.normals, warp.form))
        return correction(network, warp)

    monkeypatch.setattr(relit, "correction", watched)
    swapped(maps, "upper", renderer(0.0))
    pixels, form = asked[0]
    known = pixels[6] != 0
    assert known.float().mean() > 0.05 and (pixels[6][known] > 0).float().mean() > 0.8
    # between the two cameras lie 0.4 radians about the vertical
    before, after = pixels[:3, known], pixels[3:6, known]
    before, after = (torch.nn.functional.normalize(n[[0, 2]], dim=0) for n in (before, after))
    angle = torch.atan2(before[0] * after[1] - before[1] * after[0], (before * after).sum(0))
    assert abs(abs(float(angle.median())) - 0.4) < 0.15
    assert form is not None and form.norm(dim=0).max() > 0.9


def test_where_no_body_fits_it_goes_without(maps, monkeypatch):
    monkeypatch.setattr(normals, "body_of", lambda correspondence: None)
    assert np.array_equal(swapped(maps, "upper", renderer(0.0)).region, swapped(maps, "upper").region)
