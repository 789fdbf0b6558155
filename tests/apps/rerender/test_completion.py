"""The completion keeps what was seen, at any size, and takes the other side's detail where it may."""

import numpy as np
import pytest
import torch

from apps.rerender.completion import (
    CompletionConfig,
    CompletionNet,
    complete_texture,
    detail_of,
    mirror_index,
    shrink,
)
from apps.rerender.pretrained import find, load_completion
from bodymap import UserError
from bodymap.config import to_dict
from bodymap.surface import load_template
from bodymap.types import LAYER_NAMES
from bodymap.warping import PartialTexture, get_atlas
from bodymap.warping.fill import OUTSIDE, SEEN
from bodymap.warping.pyramid import push_pull, push_pull_batch
from bodymap.weights import save_weights

TINY = CompletionConfig(size=64, channels=(8, 8, 12))
UPPER = LAYER_NAMES.index("upper")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CompletionNet(TINY, load_template()).eval()


def left_half(size: int) -> PartialTexture:
    """Seen: the person's left side, striped."""
    atlas = get_atlas(load_template(), size)
    place = (load_template().vertices[load_template().triangles[atlas.triangle.clamp_min(0)]]
             * atlas.barycentric[..., None]).sum(-2)  # fmt: skip
    seen = atlas.covered & (place[..., 0] > 0)
    colour = torch.stack([torch.sin(200 * place[..., 2]) * 0.2 + 0.5, place[..., 0].clamp(0, 1), seen * 0.3], -1)
    return PartialTexture(colour * seen[..., None], seen * 0.9, seen * UPPER)


@pytest.mark.parametrize("size", [48, 64, 150, 256])
def test_the_seen_stays_and_everything_is_filled(network, size):
    partial = left_half(size)
    done = complete_texture(load_template(), partial, network)
    atlas = get_atlas(load_template(), size)
    assert torch.equal(done.colour[partial.seen], partial.colour[partial.seen])
    assert torch.equal(done.layer[partial.seen], partial.layer[partial.seen])
    assert torch.equal(done.origin == OUTSIDE, ~atlas.covered)
    assert torch.equal(done.origin == SEEN, partial.seen)
    assert bool((done.layer[atlas.covered] > 0).all()) and bool(done.colour.isfinite().all())
    assert 0 <= done.colour.min() and done.colour.max() <= 1


def test_nothing_seen_is_refused(network):
    empty = PartialTexture(torch.zeros(64, 64, 3), torch.zeros(64, 64), torch.zeros(64, 64, dtype=torch.long))
    with pytest.raises(ValueError, match="Nothing was seen"):
        complete_texture(load_template(), empty, network)


def test_the_mirror_image_of_the_mirror_image_is_the_texture():
    atlas = get_atlas(load_template(), 128)
    index = mirror_index(atlas)
    inside = torch.nonzero(index >= 0)[:, 0]
    twice = index[index[inside]]
    offset = torch.stack([(twice % 128 - inside % 128).abs(), (twice // 128 - inside // 128).abs()]).amax(0)
    assert (offset <= 1).float().mean() > 0.97


def test_detail_is_what_differs_from_around():
    flat = torch.full((1, 3, 20, 20), 0.4)
    weight = torch.zeros(1, 1, 20, 20)
    weight[..., 5:15, 5:15] = 1
    assert detail_of(flat, weight, 5).abs().max() < 1e-6
    flat[..., 10, 10] = 0.9
    assert detail_of(flat, weight, 5)[0, 0, 10, 10] == pytest.approx(0.5 * 24 / 25, abs=1e-5)


def test_shrinking_takes_means_of_what_was_seen():
    colour, confidence = torch.zeros(8, 8, 3), torch.zeros(8, 8)
    colour[0, 0], confidence[0, 0] = 0.8, 0.5
    small = shrink(PartialTexture(colour, confidence, (confidence > 0) * UPPER), 4)
    assert bool((small.confidence == 0).all())  # a quarter is not enough
    colour[0, 1], confidence[0, 1] = 0.4, 0.5
    small = shrink(PartialTexture(colour, confidence, (confidence > 0) * UPPER), 4)
    assert small.colour[0, 0, 0] == pytest.approx(0.6) and small.confidence[0, 0] == pytest.approx(0.5)
    assert small.layer[0, 0] == UPPER and small.seen.sum() == 1


def test_many_pyramids_are_each_one():
    rng = torch.Generator().manual_seed(1)
    values = torch.rand(2, 3, 20, 24, generator=rng)
    weight = (torch.rand(2, 1, 20, 24, generator=rng) > 0.8).float()
    colour, reach = push_pull_batch(values, weight, 4)
    for k in range(2):
        one, its_reach = push_pull(values[k].permute(1, 2, 0), weight[k, 0], 4)
        assert torch.allclose(colour[k].permute(1, 2, 0), one) and torch.allclose(reach[k, 0], its_reach)


def test_weights_come_back(network, tmp_path):
    metadata = {"code_version": load_template().code_version}
    save_weights(tmp_path / "w", network.state_dict(), {"model": to_dict(TINY)}, metadata)
    loaded = load_completion(find("completion", str(tmp_path / "w")))
    partial = left_half(64)
    one, two = (complete_texture(load_template(), partial, n).colour for n in (network, loaded))
    assert np.allclose(one, two, atol=0.01)  # float16
    assert find("completion", "plain") is None
    with pytest.raises(UserError, match="no weights"):
        find("completion", str(tmp_path / "nothing"))
