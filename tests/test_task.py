"""The BodyMap task: every stage gives finite losses with gradients where it should, learns, and is fed by the real
loop."""

import math
from dataclasses import replace

import pytest
import torch
import yaml
from support.pictures import template_sample

from bodymap.config import from_dict
from bodymap.data.batch import collate
from bodymap.data.settings import AugmentConfig, DataConfig
from bodymap.errors import UserError
from bodymap.network.config import ModelConfig
from bodymap.task import BodyMapTask, TaskConfig
from bodymap.train import Config


@pytest.fixture(scope="module")
def tiny(request):
    with open(request.config.rootpath / "configs/bodymap/tiny.yaml") as file:
        return from_dict(Config, yaml.safe_load(file))


@pytest.fixture(scope="module")
def batch():
    return collate([template_sample(facing, (96, 64), seed) for seed, facing in enumerate((0, 0.5, math.pi, -2))])


def make(tiny: Config, **task) -> BodyMapTask:
    torch.manual_seed(0)
    settings = from_dict(TaskConfig, {**tiny.task, **task})
    return BodyMapTask(
        tiny.model, DataConfig(), AugmentConfig(size=(96, 64)), settings, batch_size=4, workers=0, seed=0
    )


@pytest.mark.parametrize("stage", ["cse", "bodymap", "both"])
def test_each_stage_trains_its_own_parameters_only(tiny, batch, stage):
    task = make(tiny, stage=stage)
    task.model.train()
    losses = task.losses(batch)
    assert all(torch.isfinite(value) for value in losses.values())
    sum(value for name, value in losses.items() if not name.startswith("metric_")).backward()
    for name, parameter in task.model.named_parameters():
        mine = name.startswith("cse.") == (stage == "cse") or stage == "both"
        assert parameter.requires_grad == mine, name
        if not mine:
            assert parameter.grad is None
    if stage != "bodymap":
        assert {"embedding", "cse_silhouette", "facing"} <= set(losses)
    if stage != "cse":
        assert {"classification", "silhouette", "layer", "geodesic", "consistency"} <= set(losses)


def test_the_appearance_encoder_may_start_from_the_coarse_stage(tiny):
    task = make(tiny, appearance_start="cse")
    ours, coarse = task.model.appearance.state_dict(), task.model.cse.encoder.state_dict()
    assert not all(torch.equal(ours[name], coarse[name]) for name in ours)
    task.begin()
    ours = task.model.appearance.state_dict()
    assert all(torch.equal(ours[name], coarse[name]) for name in ours)
    with torch.no_grad():
        next(task.model.appearance.parameters()).add_(1)
    assert torch.equal(next(iter(task.model.cse.encoder.state_dict().values())), next(iter(coarse.values())))

    other = replace(tiny, model=replace(tiny.model, appearance=replace(tiny.model.appearance, depth=2)))
    with pytest.raises(UserError, match="appearance_start"):
        make(other, appearance_start="cse").begin()


def test_terms_can_be_left_out(tiny, batch):
    losses = make(tiny, losses={"geodesic": 0.0, "consistency": 0.0}).losses(batch)
    assert "geodesic" not in losses and "consistency" not in losses


def test_it_learns(tiny, batch):
    task = make(tiny, stage="both", pixels=600, geodesic_pixels=64, cse_pixels=400, pairs=20)
    task.model.train()
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=3e-3)
    torch.manual_seed(1)
    history = []
    for _ in range(50):
        losses = task.losses(batch)
        total = sum(value for name, value in losses.items() if not name.startswith("metric_"))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in losses.items()})
    first, last = history[0], history[-1]
    for name in ("classification", "silhouette", "layer", "embedding", "cse_silhouette"):
        assert last[name] < 0.9 * first[name], name
    sheet = task.previews(batch)["maps"]
    assert sheet.shape == (4 * 96, 4 * 64, 3) and sheet.dtype.name == "uint8"


def test_rgb_only_has_no_correspondence(tiny, batch):
    settings = {**ModelConfig.to_dict(tiny.model), "correspondence": None}
    task = BodyMapTask(
        ModelConfig.from_dict(settings), DataConfig(), AugmentConfig(size=(96, 64)), TaskConfig(stage="both"),
        batch_size=4, workers=0, seed=0,
    )  # fmt: skip
    assert task.model.correspondence is None
    assert torch.isfinite(task.losses(batch)["classification"])
