"""The trainings for real, on tiny networks and a few people: they learn, resume exactly, and their weights load."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from apps.rerender import evaluate, textures, views
from apps.rerender.adversary import Adversary, AdversaryConfig
from apps.rerender.completion import CompletionNet
from apps.rerender.partials import Spoil, SpoilConfig, collate
from apps.rerender.pretrained import find, load_completion, load_renderer
from apps.rerender.renderer import RendererConfig, RendererNet, Warp, refine
from apps.rerender.renderer_task import Vary
from apps.rerender.shelves import write_shelf
from apps.rerender.textures import TextureFolder, TextureSettings, make_person
from apps.rerender.train import Config, build_task
from apps.rerender.views import ViewFolder, ViewSettings, make_views
from bodymap import UserError
from bodymap.config import load_config
from bodymap.metrics import image
from bodymap.people import Pack
from bodymap.surface import load_template
from bodymap.training.loop import train
from bodymap.training.schedule import Progress
from bodymap.training.seeding import seed_everything
from bodymap.training.settings import TrainConfig
from bodymap.warping import get_atlas
from bodymap.weights import load

CONFIGS = Path(__file__).parents[3] / "configs" / "rerender"
TRAIN = TrainConfig(batch_size=3, tensorboard=False, precision="float32", warmup_steps=1)


@pytest.fixture(scope="module")
def texture_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("textures")
    settings, pack = TextureSettings(size=64, per_file=2), Pack.load(None)
    make = lambda people: [make_person(k, settings, pack) for k in people]  # noqa: E731
    write_shelf(folder, textures.RECORD, settings, make, 3, settings.per_file, quiet=True)
    return folder


@pytest.fixture(scope="module")
def view_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    settings = ViewSettings(predicted=0.0, onto=(1.0, 1.0, 0.0), texture=128, per_file=2)
    tools = views._Tools(Pack.load(None), None, None)
    make = lambda people: [make_views(k, settings, tools) for k in people]  # noqa: E731
    write_shelf(folder, views.RECORD, settings, make, 2, settings.per_file, quiet=True)
    return folder


def completion_config(folder, **train) -> Config:
    model = {"size": 64, "channels": [8, 12, 16]}
    task = {"textures": str(folder), "adversary": {"weight": 0.1, "begin_minutes": 0.0, "width": 8}}
    return Config("completion", model, task, replace(TRAIN, **train))


def run(config, folder, **options):
    seed_everything(config.train.seed)
    return train(build_task(config), config.train, folder, resolved=config, quiet=True, **options)


def test_textures_show_a_dressed_person(texture_folder):
    stored = TextureFolder(texture_folder)
    assert len(stored) == 6 and stored.size == 64
    sample = stored[5]
    inside = sample["layer"] > 0
    assert 0.4 < inside.float().mean() < 0.8
    assert len(torch.unique(sample["layer"][inside])) >= 2
    assert 0.02 < (sample["seen"] > 0).float().mean() < 0.5
    assert bool((sample["colour"][~inside] == 0).all()) and sample["colour"][inside].float().std() > 5


def test_people_in_an_even_light_are_the_same_people(texture_folder):
    even = make_person(1, TextureSettings(size=64, even=1.0), Pack.load(None))
    sample = TextureFolder(texture_folder)[2]
    assert bool((torch.from_numpy(even["layer"][0]) == sample["layer"]).all())
    assert bool((torch.from_numpy(even["seen"][0]) == sample["seen"]).all())
    assert not bool((torch.from_numpy(even["colour"][0]) == sample["colour"]).all())
    with pytest.raises(UserError, match="between 0 and 1"):
        textures.main(["--count", "1", "--even", "1.5", "-o", "nowhere"])


def test_a_stopped_run_of_the_textures_goes_on(texture_folder):
    settings = TextureSettings(size=64, per_file=2)
    before = {file: file.stat().st_mtime_ns for file in texture_folder.glob("*.safetensors")}
    write_shelf(texture_folder, textures.RECORD, settings, None, 3, 2, quiet=True)
    assert before == {file: file.stat().st_mtime_ns for file in texture_folder.glob("*.safetensors")}
    with pytest.raises(UserError, match="other settings"):
        write_shelf(texture_folder, textures.RECORD, replace(settings, seed=1), None, 3, 2, quiet=True)
    with pytest.raises(UserError, match="no such data"):
        TextureFolder(texture_folder / "nothing")


def test_spoiling_is_a_function_of_the_slot(texture_folder):
    stored = TextureFolder(texture_folder)
    spoil = Spoil(load_template(), 64, SpoilConfig(), 3)
    batch = collate([stored[k] for k in range(3)])
    one, two = (spoil(batch, torch.tensor([4, 5, 6])) for _ in range(2))
    other = spoil(batch, torch.tensor([7, 5, 6]))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["colour"][0], other["colour"][0]) and torch.equal(one["colour"][1], other["colour"][1])
    seen = one["confidence"] > 0
    assert torch.equal(seen[:, 0], one["layer"] > 0)
    assert bool((one["colour"][(~seen).expand(-1, 3, -1, -1)] == 0).all())


def test_stored_textures_may_be_larger_than_the_network(texture_folder):
    stored = TextureFolder(texture_folder)
    spoil = Spoil(load_template(), 32, SpoilConfig(flip=0, second=0, recolour=0), 3)
    out = spoil(collate([stored[0]]), torch.tensor([4]))
    assert out["texture"].shape == (1, 3, 32, 32)
    inside = out["labels"][0] > 0
    assert torch.equal(inside, get_atlas(load_template(), 32).covered)
    whole = stored[0]["colour"][stored[0]["layer"] > 0].float().mean() / 255
    assert out["texture"][0][:, inside].mean() == pytest.approx(float(whole), abs=0.05)


def test_the_completion_learns_and_resumes_exactly(texture_folder, tmp_path):
    straight = run(completion_config(texture_folder, steps=6), tmp_path / "straight")
    paused = completion_config(texture_folder, steps=6, pause_minutes=1e-6)
    run(paused, tmp_path / "paused")
    run(completion_config(texture_folder, steps=6), tmp_path / "paused", resume=True)
    one, two = (load_completion(tmp_path / name).state_dict() for name in ("straight", "paused"))
    assert straight.state.step == 6 and all(torch.equal(one[name], two[name]) for name in one)
    assert list((tmp_path / "straight" / "previews").glob("completion*.png"))
    # what is stored is what ships, without the adversary, and a new run may start from it
    stored = load(tmp_path / "straight" / "weights").tensors
    assert not any(name.startswith(("network.", "adversary.")) for name in stored)
    began = completion_config(texture_folder, steps=1, rate=1e-9, warmup_steps=0, average=0.0)
    run(began, tmp_path / "again", init=tmp_path / "straight" / "weights")
    again = load_completion(tmp_path / "again").state_dict()
    learnt = [name for name in one if name.endswith(("weight", "bias"))]  # batch norm's statistics move in one step
    assert learnt and all(torch.allclose(one[name], again[name], atol=2e-3) for name in learnt)


def test_a_longer_run_lowers_the_loss(texture_folder, tmp_path):
    config = completion_config(texture_folder, steps=30, log_steps=5, rate=3e-3)
    run(config, tmp_path / "run")
    import json

    lines = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    # the start is not bad: colours are spread from what was seen
    l1 = [line["figures"]["l1"] for line in lines if "l1" in line.get("figures", {})]
    assert l1[-1] < 0.9 * l1[0]


def test_the_judge_and_the_maker_do_not_train_each_other():
    judge = Adversary(4, AdversaryConfig(weight=1.0, begin_minutes=0.0, width=4))
    made = torch.rand(2, 3, 32, 32, requires_grad=True)
    losses = judge.losses(made, torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32), minutes=1.0)
    losses["judge"].backward(retain_graph=True)
    assert made.grad is None
    judge.zero_grad()
    (losses["adversary"] + losses["matching"]).backward()
    assert made.grad.abs().sum() > 0
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in judge.parameters())
    assert Adversary(4, AdversaryConfig()).losses(made, made, made[:, :1], 1.0) == {}


def test_views_lay_the_person_onto_the_other_picture(view_folder):
    stored = ViewFolder(view_folder)
    assert len(stored) == 4
    for k in range(4):
        sample = stored[k]
        mask, alpha = sample["mask"] > 0, sample["alpha"] > 0
        assert bool((sample["warped"][~mask] == 0).all())
        assert (mask & alpha).sum() > 0.5 * mask.sum()  # things may stand before the body


def test_the_renderer_trains(view_folder, tmp_path, monkeypatch):
    model = {"channels": [8, 8, 12], "texture_channels": [8, 8]}
    config = Config("renderer", model, {"views": str(view_folder)}, replace(TRAIN, steps=3))
    outcome = run(config, tmp_path / "run")
    assert outcome.state.step == 3 and outcome.state.skipped == 0
    network = load_renderer(find("renderer", str(tmp_path / "run")))
    monkeypatch.setattr(image, "lpips_distance", lambda a, b, region, weights=None: float((a - b).abs().mean()))
    figures = evaluate.measure_views(str(view_folder), network, quiet=True)
    assert list(figures) == ["warp only", "completed", "rendered"]
    assert figures["completed"]["psnr"] > figures["warp only"]["psnr"]


def test_the_fillings_are_measured(texture_folder, monkeypatch):
    from apps.rerender.completion import CompletionConfig

    def distance(made, truth, region, weights=None):
        return float((made - truth).abs().mean(0)[region].mean())

    monkeypatch.setattr(image, "lpips_distance", distance)
    network = CompletionNet(CompletionConfig(size=64, channels=(8, 8)), load_template()).eval()
    figures = evaluate.measure_completion(str(texture_folder), network, count=1, quiet=True)
    assert list(figures) == ["nearest", "smooth", "symmetry+smooth", "learned"]
    assert all(row["seconds"] > 0 for row in figures.values())
    assert all(row["seen_psnr"] > 40 for row in figures.values())
    assert all(np.isfinite(list(row.values())).all() for row in figures.values())


@pytest.mark.parametrize("name", ["completion", "renderer"])
def test_the_configurations_build(name):
    file = CONFIGS / f"{name}.yaml"
    config = load_config(Config, file)
    assert config.what == name and f"configs/rerender/{name}.yaml" in file.read_text()
    with torch.device("cpu"):
        task = build_task(config)
    assert 1e6 < sum(p.numel() for p in task.model.parameters()) < 8e6


def test_the_renderer_begins_at_the_warp():
    network = RendererNet(RendererConfig(channels=(8, 8), texture_channels=(8,))).eval()
    warped, mask = torch.rand(1, 3, 32, 24), torch.zeros(1, 1, 32, 24)
    mask[..., 8:20, 6:18] = 1
    light, form = torch.rand(1, 7, 32, 24), torch.rand(1, 3, 64, 64)
    texture, seen = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    made = network(warped * mask, mask, warped * mask, mask, light, texture, seen, form)
    assert torch.allclose((made.colour - warped).abs() * mask, torch.zeros(1), atol=1e-5)


def test_outlines_have_no_say_in_the_colours(view_folder):
    model, settings = {"channels": [8, 8], "texture_channels": [8]}, {"views": str(view_folder)}
    task = build_task(Config("renderer", model, settings | {"perceptual": {"weight": 1.0, "crop": 512}}, TRAIN))
    task.features = lambda shown, wanted: (shown - wanted).abs().mean()
    batch = Vary.nothing()(collate([ViewFolder(view_folder)[0]]), torch.tensor([0]))
    both = batch["mask"] * batch["alpha"]
    spoilt = batch | {"image": torch.where(both > 0, batch["image"], 1 - batch["image"])}
    losses = [task.losses(b, Progress(0, 0, 0.0, 0.0)) for b in (batch, spoilt)]
    assert losses[0].keys() == losses[1].keys()
    for name, value in losses[0].items():
        assert torch.equal(value, losses[1][name])
    assert losses[0]["colour"] > 0 and losses[0]["perceptual"] > 0


def test_a_renderer_that_changes_nothing_leaves_the_picture():
    network = RendererNet(RendererConfig(channels=(8, 8), texture_channels=(8,), size=64)).eval()
    alpha = torch.zeros(1, 90, 70)
    alpha[:, 20:80, 10:50] = 1
    colour = torch.rand(3, 90, 70) * alpha
    texture = torch.rand(4, 128, 128)
    made = refine(network, Warp(colour, alpha, colour, alpha, texture))
    assert torch.allclose(made, colour, atol=1e-4)
    assert torch.equal(refine(network, Warp(colour, alpha, colour, 0 * alpha, texture)), colour)


def test_a_correction_lies_on_the_person_alone_and_keeps_detail():
    network = RendererNet(RendererConfig(channels=(8, 8), texture_channels=(8,), size=64)).eval()
    with torch.no_grad():
        network.leave.bias[:12], network.leave.bias[12:] = 0.1, np.log(0.5)  # what is added; the light
    alpha = torch.zeros(1, 90, 70)
    alpha[:, 20:80, 10:50] = 1
    colour = 0.8 * torch.rand(3, 90, 70) * alpha
    made = refine(network, Warp(colour, alpha, colour, alpha, torch.rand(4, 128, 128)))
    assert torch.allclose(made, 0.5 * colour + 0.1 * alpha, atol=1e-4)
