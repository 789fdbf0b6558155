import dataclasses

import pytest
import torch
import torch.nn.functional as F
from support.sizes import PRESETS
from torch.utils._python_dispatch import TorchDispatchMode

from bodymap.losses import classification_loss, silhouette_loss
from bodymap.network.config import FusionConfig, ModelConfig
from bodymap.network.heads import BINS, ScoreHead, features_at
from bodymap.network.model import build_model


def count(network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def disc(height: int, width: int) -> torch.Tensor:
    row, column = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return (row**2 + column**2 < 0.7)[None]


@pytest.mark.parametrize("size", [(64, 48), (33, 50), (17, 9)])
def test_everything_is_at_the_images_size(tiny, size):
    prediction = tiny.eval()(torch.rand(2, 3, *size))
    assert prediction.features.shape == (2, PRESETS["tiny"].decoder.fine + 4, *size)
    assert prediction.foreground.shape == (2, 1, *size)
    assert prediction.layer.shape == (2, 7, *size)
    assert prediction.facing.shape == (2, 4)
    assert tiny.scores(prediction.features[0].flatten(1).T[:10]).shape == (10, 3, BINS)


def test_small_takes_odd_sizes(sphere):
    small = build_model(PRESETS["small"], sphere).eval()
    with torch.no_grad():
        assert small(torch.rand(1, 3, 70, 45)).features.shape == (1, 36, 70, 45)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("tiny", 0.1e6, 1e6),
        ("small", 12e6, 16e6),
        ("base", 30e6, 50e6),
        ("large", 180e6, 230e6),
        ("huge", 550e6, 680e6),
    ],
)
def test_sizes(sphere, name, least, most):
    with torch.device("meta"):
        network = build_model(PRESETS[name], sphere)
    assert least < count(network) < most


@pytest.mark.parametrize(
    "changes", [{}, {"correspondence": None}, {"fusion": FusionConfig(kind="concat", units=2)}], ids=str
)
def test_gradient_reaches_every_parameter(sphere, changes):
    network = build_model(dataclasses.replace(PRESETS["tiny"], **changes), sphere).train()
    image, mask = torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32)
    prediction = network(image, mask)
    scores = network.scores(prediction.features.flatten(2).transpose(1, 2).flatten(0, 1)[::7])
    loss = scores.square().mean() + prediction.foreground.mean() + prediction.layer.square().mean()
    cse = network.cse(image)
    embedding = cse.embedding.permute(0, 2, 3, 1) @ network.cse.vertex_embedding().T
    (loss + embedding.square().mean() + cse.foreground.mean() + cse.facing.square().mean()).backward()
    idle = {name for name, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0}
    assert not idle


def test_gradient_does_not_flow_through_what_the_coarse_stage_supplies(tiny):
    tiny.train()
    prediction = tiny(torch.rand(1, 3, 32, 32))
    prediction.features.sum().backward()
    assert all(parameter.grad is None for parameter in tiny.cse.parameters())


def test_what_lies_outside_the_mask_is_not_seen(tiny):
    tiny.eval()
    image, mask = torch.rand(1, 3, 40, 40), disc(40, 40)[:, None].float()
    correspondence = torch.rand(1, 4, 40, 40)
    other = torch.where(mask > 0, image, torch.rand_like(image))
    elsewhere = torch.where(mask > 0, correspondence, torch.rand_like(correspondence))
    a, b = tiny(image, mask, correspondence), tiny(other, mask, elsewhere)
    assert torch.equal(a.features, b.features)
    changed = tiny(image.flip(1), mask, correspondence)
    assert not torch.allclose(a.features, changed.features)


def test_the_correspondence_stream_matters_and_rgb_only_has_none(tiny, sphere):
    image, mask = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    first, second = torch.rand(2, 1, 4, 32, 32)
    assert not torch.allclose(tiny(image, mask, first).features, tiny(image, mask, second).features)
    rgb_only = build_model(dataclasses.replace(PRESETS["tiny"], correspondence=None), sphere)
    assert torch.equal(rgb_only(image, mask, first).features, rgb_only(image, mask).features)
    assert rgb_only(image, mask).cse is None  # nothing was missing: the coarse stage was not run
    assert count(rgb_only) < count(tiny)


def test_the_coarse_stage_supplies_exactly_what_it_would_be_asked_for(tiny):
    tiny.eval()
    image, mask = torch.rand(2, 3, 36, 28), disc(36, 28)[:, None].float().expand(2, -1, -1, -1)
    correspondence = tiny.correspondence_image(tiny.cse(image), (36, 28))
    assert torch.equal(tiny(image, mask).features, tiny(image, mask, correspondence).features)


def test_without_a_coarse_stage_mask_and_correspondence_are_asked_for(sphere):
    network = build_model(dataclasses.replace(PRESETS["tiny"], cse=None), sphere)
    with pytest.raises(ValueError, match="no CSE stage"):
        network(torch.rand(1, 3, 16, 16))
    assert network(torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16), torch.rand(1, 4, 16, 16)).facing is None


def test_padding_moves_nothing(tiny):
    """An image that needs padding gives what the same image gives on a canvas that does not."""
    tiny.eval()
    image, mask = torch.rand(1, 3, 28, 21), torch.ones(1, 1, 28, 21)
    correspondence = torch.rand(1, 4, 28, 21)
    canvas = [F.pad(x, (0, 11, 0, 4)) for x in (image, mask, correspondence)]
    assert torch.allclose(tiny(image, mask, correspondence).features, tiny(*canvas).features[..., :28, :21], atol=1e-5)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    numel = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.numel())
        return result


def test_scores_are_never_dense(tiny):
    height, width = 96, 96
    with torch.no_grad(), Largest() as largest:
        prediction = tiny.eval()(torch.rand(1, 3, height, width))
    assert largest.numel < 64 * height * width  # dense scores would be 768 a pixel
    with pytest.raises(ValueError, match="gathered pixels"):
        tiny.scores(prediction.features)


def test_a_new_network_says_what_its_coarse_input_says(tiny):
    image, mask = torch.rand(1, 3, 32, 24), torch.ones(1, 1, 32, 24)
    code = torch.rand(1, 3, 32, 24)
    prediction = tiny.eval()(image, mask, torch.cat([code, torch.ones(1, 1, 32, 24)], dim=1))
    scores = tiny.scores(features_at(prediction.features, torch.ones(1, 32, 24, dtype=torch.bool)))
    mode = scores.argmax(-1) / (BINS - 1)
    error = (mode - code[0].flatten(1).T).abs()
    assert error.mean() < 0.1  # the trust is not complete, so that the pixel's own guess can be learned


def test_where_nothing_coarse_is_known_the_pixel_decides_alone():
    head = ScoreHead(PRESETS["tiny"].heads, 8, coarse=True)
    features = torch.randn(20, 8)
    unknown = [torch.cat([features, torch.rand(20, 3), torch.zeros(20, 1)], dim=1) for _ in range(2)]
    with torch.no_grad():  # the hidden layer sees the code as well; that it may ignore it is all that is asked
        head.hidden.weight[:, 8:] = 0
    assert torch.equal(head(unknown[0]), head(unknown[1]))
    known = torch.cat([unknown[0][:, :-1], torch.ones(20, 1)], dim=1)
    assert not torch.allclose(head(known), head(unknown[0]))


def test_peak_is_students_t(tiny):
    """With the free scores silent, the probabilities fall off as (1 + z^2)^-2 around the place."""
    head = ScoreHead(PRESETS["tiny"].heads, 8, coarse=False)
    with torch.no_grad():
        head.waves.zero_()
        head.place.weight.zero_()
        head.place.bias.copy_(torch.tensor([0.2, 0.5, 0.8]))
        head.width.bias.fill_(-3.0)
    p = head(torch.randn(1, 8)).softmax(-1)[0]
    z = (torch.arange(BINS) / 255 - torch.tensor([[0.2], [0.5], [0.8]])) * 20.0855
    expected = (1 + z**2) ** -2
    assert torch.allclose(p, expected / expected.sum(-1, keepdim=True), atol=1e-5)
    assert p.argmax(-1)[0] == 51 and p.argmax(-1)[2] == 204


def test_neighbouring_bins_start_alike():
    head = ScoreHead(PRESETS["tiny"].heads, 8, coarse=False)
    scores = head(torch.randn(50, 8)).detach()
    near, far = (scores[..., 1:] - scores[..., :-1]).abs().mean(), (scores[..., 60:] - scores[..., :-60]).abs().mean()
    assert near < 0.3 * far


def test_scores_are_float32_in_mixed_precision(tiny):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = tiny(torch.rand(1, 3, 32, 24)).features
        assert tiny.scores(features[0].flatten(1).T[:5]).dtype == torch.float32


def test_features_are_gathered_in_the_order_of_the_mask():
    features, mask = torch.rand(2, 5, 4, 3), torch.rand(2, 4, 3) > 0.5
    gathered = features_at(features, mask)
    for row, (image, y, x) in zip(gathered, mask.nonzero().tolist(), strict=True):
        assert torch.equal(row, features[image, :, y, x])


def test_same_seed_same_network_same_answer(sphere):
    def features():
        torch.manual_seed(11)
        network = build_model(PRESETS["tiny"], sphere).eval()
        return network(torch.rand(1, 3, 32, 24)).features

    assert torch.equal(features(), features())


def test_weights_survive_a_file_and_the_templates_constants_are_not_in_it(tiny, sphere):
    state = tiny.state_dict()
    assert not any("eigenvectors" in name or name.endswith("cse.code") for name in state)
    other = build_model(ModelConfig.from_dict(tiny.config.to_dict()), sphere)
    other.load_state_dict({name: value.half() for name, value in state.items()})
    image = torch.rand(1, 3, 32, 24)
    assert torch.allclose(tiny.eval()(image).foreground, other.eval()(image).foreground, atol=0.05)


def test_one_image_is_learned_by_heart(tiny):
    torch.manual_seed(1)
    height, width = 48, 40
    foreground = disc(height, width)
    row, column = torch.meshgrid(torch.linspace(0.1, 0.9, height), torch.linspace(0.2, 0.8, width), indexing="ij")
    code = torch.stack([row, column, 1 - (row + column) / 2], dim=-1)[foreground[0]]
    image = torch.rand(1, 3, height, width) * 0.2 + torch.stack([row, column, row * column])[None] * 0.8
    mask = F.max_pool2d(foreground[:, None].float(), 5, stride=1, padding=2)  # wider than the truth, as in use
    correspondence = torch.zeros(1, 4, height, width)

    tiny.train()
    optimizer = torch.optim.AdamW(tiny.parameters(), lr=4e-3, fused=True)
    for _ in range(80):
        prediction = tiny(image, mask, correspondence)
        scores = tiny.scores(features_at(prediction.features, foreground))
        loss = classification_loss(scores, code) + silhouette_loss(prediction.foreground, foreground)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    tiny.eval()
    with torch.no_grad():
        prediction = tiny(image, mask, correspondence)
        p = tiny.scores(features_at(prediction.features, foreground)).softmax(-1)
    decoded = (p * torch.arange(BINS)).sum(-1)
    within = ((decoded - code * 255).abs().amax(-1) <= 10).float().mean()
    found = prediction.foreground[:, 0] > 0
    iou = (found & foreground).sum() / (found | foreground).sum()
    assert within > 0.9
    assert iou > 0.97
