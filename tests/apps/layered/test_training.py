"""The layered network: it starts as good as the single-layer match, trains by the real loop, and comes back."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from support.pictures import template_sample

from apps.layered.heads import LAYERS, LayeredNet, carried_over, features_at, load_coarse, look
from apps.layered.predictor import LayeredBodyMap
from apps.layered.samples import layers_of
from apps.layered.settings import LayeredConfig
from apps.layered.surfaces import surfaces
from apps.layered.train import Config, main
from bodymap.config import load_config
from bodymap.data.shards import ShardSettings, write_shards
from bodymap.errors import UserError
from bodymap.surface import colour, points

CONFIGS = Path(__file__).parents[3] / "configs" / "layered"


@pytest.fixture(scope="module")
def coarse():
    return load_coarse("small")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    pictures = [layers_of(template_sample(0.5 * i, (96, 64), i)) for i in range(4)]
    write_shards(pictures.__getitem__, 4, folder, ShardSettings(size=(96, 64), per_shard=4))
    return folder


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGS.glob("*.yaml")))
def test_configs_load_build_and_say_how_to_use_them(name, coarse):
    file = CONFIGS / f"{name}.yaml"
    config = load_config(Config, file)
    with torch.device("meta"):
        count = sum(p.numel() for p in LayeredNet(config.model, coarse).parameters())
    assert count < 7e6  # float16 weights stay below 14 MB
    assert file.read_text().startswith("# ") and f"configs/layered/{name}.yaml" in file.read_text()


def test_any_size_and_features_between_pixels(coarse):
    net = LayeredNet(LayeredConfig(features=16, fine=16, edge=8), coarse).eval()
    image, mask = torch.rand(2, 3, 70, 50), torch.randint(-1, 5, (2, 70, 50))
    with torch.no_grad():
        output = net(look(coarse, image), image, mask)
    assert output.visible.shape == (2, 4, 70, 50) and output.presence.shape == (2, 3, 70, 50)
    # bilinear upsampling by two is the slow twin of reading between pixels
    pixels = torch.randperm(2 * 70 * 50)[:200]
    dense = F.interpolate(output.features, scale_factor=2, mode="bilinear", align_corners=False)[..., :70, :50]
    expected = dense.permute(0, 2, 3, 1).flatten(0, 2)[pixels]
    assert torch.allclose(features_at(output.features, pixels, (70, 50)), expected, atol=1e-5)


def test_a_new_network_starts_at_the_match(coarse):
    torch.manual_seed(0)
    net = LayeredNet(LayeredConfig(features=16, fine=16, edge=8), coarse).eval()
    of = surfaces()
    triangle = torch.nonzero(of["body"].triangle_part == 2)[:40, 0]  # the chest
    place = triangle, torch.full((len(triangle), 3), 1 / 3)
    match = torch.cat([points.code(of["body"], *place), torch.ones(len(triangle), 1)], -1)
    for name in ("body", "upper"):
        with torch.no_grad():
            scores = net.scores(name, torch.zeros(len(match), 16), carried_over(name, match))
        found = colour.decode_scores(of[name], scores)
        distance = points.position(of[name], found[0], found[1]) - points.position(of["body"], *place)
        assert distance.norm(dim=-1).median() < 0.15, name


def test_it_trains_resumes_and_is_read_back(tmp_path, shards, monkeypatch, coarse):
    def run(*more: str) -> None:
        command = ["train.py", "--config", str(CONFIGS / "tiny.yaml"), "--shards", str(shards), "-o", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", [*command, "--device", "cpu", "--set", "train.tensorboard=false", *more])
        main()

    run("--steps", "2")
    first = LayeredBodyMap.from_pretrained(tmp_path, device="cpu").net.state_dict()
    run("--steps", "4", "--resume")
    model = LayeredBodyMap.from_pretrained(tmp_path, device="cpu")
    assert any(not torch.equal(value, first[name]) for name, value in model.net.state_dict().items())
    assert set(model.net.score_heads) == set(LAYERS)
    assert not any(name.startswith("coarse") for name in first)  # shared, not stored again
    with pytest.raises(UserError, match="already holds a run"):
        run("--steps", "4")
    with pytest.raises(UserError, match="needs an end"):
        monkeypatch.setattr(sys, "argv", ["train.py", "--shards", str(shards), "-o", str(tmp_path / "new")])
        main()
