import subprocess
import sys

import pytest
import torch
from support.sizes import PRESETS
from torch import nn

from bodymap.errors import UserError
from bodymap.network.backbones import BACKBONES, build_backbone
from bodymap.network.config import BackboneConfig, ModelConfig
from bodymap.network.tokens import PatchTokens, pad_to_multiple
from bodymap.network.transformer import VisionTransformer

SMALL = dict(dim=16, depth=2, heads=2, patch=8, grid=(4, 4), channels=(4, 8, 8, 8), width=2)


@pytest.mark.parametrize("kind", BACKBONES)
def test_pyramid_has_the_promised_channels_and_strides(kind):
    backbone = build_backbone(BackboneConfig(kind=kind, **SMALL), channels=3).eval()
    height, width = 2 * backbone.multiple, 3 * backbone.multiple
    pyramid = backbone(torch.rand(1, 3, height, width))
    assert len(pyramid) == len(backbone.channels) == len(backbone.strides) == 4
    for level, channels, stride in zip(pyramid, backbone.channels, backbone.strides, strict=True):
        assert level.shape == (1, channels, height // stride, width // stride)


@pytest.mark.parametrize("kind", BACKBONES)
def test_stream_of_four_channels(kind):
    backbone = build_backbone(BackboneConfig(kind=kind, **SMALL), channels=4).eval()
    assert backbone(torch.rand(1, 4, 64, 64))[0].shape[-2:] == (16, 16)


def test_padding_is_zeros_at_the_right_and_the_bottom():
    image = torch.rand(1, 2, 5, 8)
    padded = pad_to_multiple(image, 4)
    assert padded.shape == (1, 2, 8, 8)
    assert torch.equal(padded[..., :5, :], image)
    assert padded[..., 5:, :].abs().sum() == 0


def test_tokens_are_class_then_patches_row_by_row():
    tokens = PatchTokens(channels=1, dim=1, patch=2, grid=(2, 3))
    with torch.no_grad():
        tokens.project.weight.fill_(1)
        tokens.project.bias.zero_()
        tokens.position.zero_()
        tokens.class_token.fill_(-7)
    patches = torch.arange(6.0).reshape(1, 1, 2, 3).repeat_interleave(2, 2).repeat_interleave(2, 3)
    sequence, grid = tokens(patches)
    assert grid == (2, 3)
    assert sequence[0, :, 0].tolist() == [-7, 0, 4, 8, 12, 16, 20]


def test_position_is_exact_on_its_own_grid_and_resampled_smoothly_on_others():
    tokens = PatchTokens(channels=1, dim=1, patch=2, grid=(4, 4))
    with torch.no_grad():
        tokens.project.weight.zero_()
        tokens.project.bias.zero_()
        tokens.position.copy_(torch.arange(4.0).expand(1, 1, 4, 4))  # a ramp over the columns
    assert tokens(torch.zeros(1, 1, 8, 8))[0][0, 1:5, 0].tolist() == [0, 1, 2, 3]
    finer = tokens(torch.zeros(1, 1, 16, 16))[0][0, 1:9, 0]
    # in the ramp's middle, away from the clamped border, a doubled grid has half the slope
    assert torch.allclose(finer[3:5], torch.tensor([1.25, 1.75]), atol=0.05)
    assert (finer.diff() > 0).all()


def test_transformer_reads_four_depths_and_no_block_is_idle():
    config = BackboneConfig(dim=16, depth=8, heads=2, patch=8, grid=(2, 2))
    transformer = VisionTransformer(config, channels=3)
    assert config.read_depths == (2, 4, 6, 8)
    tokens = transformer(torch.rand(2, 3, 19, 11))  # any size: padded inside
    assert [read.grid for read in tokens] == [(3, 2)] * 4
    assert tokens[0].patches.shape == (2, 6, 16) and tokens[0].class_token.shape == (2, 16)
    assert not torch.equal(tokens[0].patches, tokens[3].patches)
    early = VisionTransformer(BackboneConfig(dim=16, depth=8, heads=2, read=(1, 2, 3, 4)), channels=3)
    assert len(early.blocks) == 4  # those after the last reading would never be trained


def test_checkpointing_changes_nothing_but_memory():
    plain = BackboneConfig(dim=16, depth=4, heads=2, patch=8)
    thrifty = BackboneConfig(dim=16, depth=4, heads=2, patch=8, checkpointing=True)
    first, second = VisionTransformer(plain, 3), VisionTransformer(thrifty, 3)
    second.load_state_dict(first.state_dict())
    image = torch.rand(1, 3, 16, 16)
    for network in (first, second):
        network.train()(image)[-1].patches.sum().backward()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-6)


def test_tiny_vit_keeps_the_statistics_of_photographs():
    backbone = build_backbone(BackboneConfig(kind="tiny_vit"), channels=3).train()
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    backbone(torch.rand(2, 3, 64, 64))
    assert norms and not any(norm.training for norm in norms)
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True))

    from_scratch = build_backbone(BackboneConfig(kind="tiny_vit", frozen_norm=False), channels=3).train()
    assert all(module.training for module in from_scratch.modules() if isinstance(module, nn.BatchNorm2d))


def test_tiny_vit_hears_weights_that_are_loaded_after_an_evaluation():
    backbone = build_backbone(BackboneConfig(kind="tiny_vit"), channels=3).eval()
    image = torch.rand(1, 3, 64, 64)
    before = backbone(image)[3].detach()
    state = {
        name: value + torch.randn_like(value) if name.endswith("attention_biases") else value
        for name, value in backbone.state_dict().items()
    }
    backbone.load_state_dict(state)
    assert not torch.allclose(before, backbone(image)[3])
    backbone(image)[3].sum().backward()  # and there is no graph left over from an earlier call
    backbone(image)[3].sum().backward()


def test_frozen_stages_count_from_the_image():
    backbone = build_backbone(BackboneConfig(kind="tiny_vit", frozen_stages=2), channels=3)
    trained = {name.split(".")[1] for name, p in backbone.named_parameters() if p.requires_grad}
    assert trained == {"stages_1", "stages_2", "stages_3"}


@pytest.mark.parametrize("name", PRESETS)
def test_configuration_survives_plain_data(name):
    assert ModelConfig.from_dict(PRESETS[name].to_dict()) == PRESETS[name]


def test_partial_configuration_keeps_the_defaults_beside_it():
    config = ModelConfig.from_dict({"correspondence": None, "appearance": {"frozen_stages": 1}})
    assert config.correspondence is None
    assert (config.appearance.kind, config.appearance.frozen_stages) == ("tiny_vit", 1)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"decoder": {"featurs": 3}}, "decoder.featurs.*features"),
        ({"appearance": {"kind": "resnest"}}, "resnet"),
        ({"correspondence": {"dim": 64, "heads": 5}}, "heads"),
        ({"correspondence": {"patch": 12}}, "power of two"),
        ({"correspondence": {"read": [1, 2, 3, 9]}}, "depth"),
    ],
)
def test_wrong_settings_are_named(settings, named):
    with pytest.raises(UserError, match=named):
        ModelConfig.from_dict(settings)


def test_configuration_needs_no_torch():
    code = "import sys, bodymap.network, bodymap.network.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
