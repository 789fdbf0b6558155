import pytest
import torch
from support.sizes import PRESETS

from bodymap.errors import UserError
from bodymap.network.backbones import build_backbone
from bodymap.network.config import BackboneConfig
from bodymap.network.model import build_model
from bodymap.network.pretrained import load_mobilesam, load_trial, mobilesam_names, warm_start

# Spelled out, not computed: (MobileSAM's name, timm's name).
PAIRS = [
    ("patch_embed.seq.0.c.weight", "patch_embed.conv1.conv.weight"),
    ("patch_embed.seq.2.bn.bias", "patch_embed.conv2.bn.bias"),
    ("layers.0.blocks.1.conv2.c.weight", "stages_0.blocks.1.conv2.conv.weight"),
    ("layers.0.downsample.conv1.c.weight", "stages_1.downsample.conv1.conv.weight"),
    ("layers.1.blocks.0.attn.attention_biases", "stages_1.blocks.0.attn.attention_biases"),
    ("layers.2.blocks.3.local_conv.bn.running_mean", "stages_2.blocks.3.local_conv.bn.running_mean"),
    ("layers.2.downsample.conv3.bn.weight", "stages_3.downsample.conv3.bn.weight"),
    ("layers.3.blocks.1.mlp.fc1.weight", "stages_3.blocks.1.mlp.fc1.weight"),
]


@pytest.fixture(scope="module")
def small(sphere):
    return build_model(PRESETS["small"], sphere)


def mobilesam_like(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Random weights in MobileSAM's layout, made by undoing the renaming stage by stage."""
    foreign = {}
    for name, value in encoder.state_dict().items():
        for stage in (0, 1, 2, 3):
            name = name.replace(f"stages_{stage}.downsample", f"layers.{stage - 1}.downsample")
            name = name.replace(f"stages_{stage}.", f"layers.{stage}.")
        name = name.replace("patch_embed.conv1", "patch_embed.seq.0").replace("patch_embed.conv2", "patch_embed.seq.2")
        name = name.replace(".conv.weight", ".c.weight")
        foreign[name] = torch.randn(value.shape).half() if value.is_floating_point() else value
    return foreign | {"neck.0.weight": torch.zeros(1), "head.bias": torch.zeros(1), "norm_head.bias": torch.zeros(1)}


def trial_like(stage) -> dict[str, torch.Tensor]:
    """Random weights in the trial's layout."""
    foreign = {"mean": torch.zeros(1, 3, 1, 1), "part.bias": torch.zeros(15), "code.0.bias": torch.zeros(192)}
    own = {"encoder.model.": "enc.", "foreground.": "mask."}
    own |= {f"lateral{s}.": f"l{s}." for s in (4, 8, 16)} | {f"merge{s}.": f"c{s}." for s in (4, 8, 16)}
    for name, value in stage.state_dict().items():
        for ours, theirs in own.items():
            if name.startswith(ours):
                value = torch.rand(value.shape).half() if value.is_floating_point() else value
                foreign[theirs + name[len(ours) :]] = value
    return foreign


def test_names_of_mobilesam():
    renamed = mobilesam_names({foreign: torch.zeros(()) for foreign, _ in PAIRS} | {"neck.1.bias": torch.zeros(())})
    assert list(renamed) == [ours for _, ours in PAIRS]
    state = build_backbone(BackboneConfig(kind="tiny_vit"), channels=3).model.state_dict()
    assert set(renamed) <= set(state)


def test_mobilesam_fills_the_whole_encoder_from_float16():
    backbone = build_backbone(BackboneConfig(kind="tiny_vit"), channels=3)
    foreign = mobilesam_like(backbone.model)
    report = load_mobilesam(backbone, foreign)
    assert not report.missing and not report.unexpected
    state = backbone.model.state_dict()
    for theirs, ours in PAIRS:
        assert torch.equal(state[ours], foreign[theirs].float())
    assert state[PAIRS[0][1]].dtype == torch.float32


def test_trial_fills_all_but_the_new_heads(small):
    foreign = trial_like(small.cse)
    report = load_trial(small.cse, foreign)
    assert {name.split(".")[0] for name in report.missing} == {"basis", "embed", "context"}
    assert not report.unexpected
    assert torch.equal(small.cse.merge8[0][0].weight, foreign["c8.0.0.weight"].float())
    assert torch.equal(small.cse.lateral16[1].running_mean, foreign["l16.1.running_mean"].float())
    assert torch.equal(small.cse.foreground.bias, foreign["mask.bias"].float())


def test_warm_start_fills_both_encoders_and_tells_the_sources_apart(small):
    trial = trial_like(small.cse)
    assert set(warm_start(small, trial)) == {"cse", "appearance"}
    name = "stages_2.blocks.0.attn.qkv.weight"
    assert torch.equal(small.appearance.model.state_dict()[name], trial["enc." + name].float())

    sam = mobilesam_like(small.appearance.model)
    warm_start(small, sam)
    for encoder in (small.cse.encoder, small.appearance):
        assert torch.equal(encoder.model.state_dict()[PAIRS[4][1]], sam[PAIRS[4][0]].float())


def test_report_names_what_does_not_match(small):
    foreign = trial_like(small.cse)
    del foreign["mask.bias"]
    foreign["surplus.weight"] = torch.zeros(1)
    report = load_trial(small.cse, foreign)
    assert "foreground.bias" in report.missing and report.unexpected == ("surplus.weight",)
    assert "missing: foreground.bias" in str(report) and "unexpected: surplus.weight" in str(report)


def test_foreign_weights_are_refused_in_a_sentence(small, tiny):
    with pytest.raises(UserError, match="another network"):
        load_trial(small.cse, {"something.weight": torch.zeros(1)})
    with pytest.raises(UserError, match="shape"):
        load_trial(small.cse, trial_like(small.cse) | {"mask.weight": torch.zeros(2, 64, 1, 1)})
    with pytest.raises(UserError, match="no TinyViT"):
        warm_start(tiny, {"enc.x": torch.zeros(1)})
