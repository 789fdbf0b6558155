"""Tables from end to end on the smallest network: train, judge, print; stop and go on; refuse to mix settings."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from support.densepose import template_adapter
from support.ellipse import SIZE, ellipse

from bodymap import evaluate
from bodymap.ablation import measures
from bodymap.ablation.baselines import HEADS, build_baseline
from bodymap.ablation.data import Settings, open_folder
from bodymap.ablation.registry import TABLES, TRAININGS, Row, find_tables
from bodymap.ablation.running import CONFIGS, Runner
from bodymap.data.shards import ShardSettings, write_shards
from bodymap.errors import UserError
from bodymap.surface import load_template, points
from bodymap.task import BodyMapTask
from bodymap.weights import load as load_weights

TINY = f"""base: {CONFIGS / "tiny.yaml"}
task: {{stage: bodymap, appearance_start: cse, pixels: 200, geodesic_pixels: 32, pairs: 4}}
augment: {{size: [64, 32]}}
train: {{batch_size: 2, preview_minutes: 0, log_steps: 1}}
"""


@pytest.fixture(scope="module")
def template():
    return load_template()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, template):
    """Arguments: the smallest network untrained, as the weights; four made-up people to train on; two test pictures."""
    from support.sizes import PRESETS

    from bodymap.network import build_model
    from bodymap.weights import save_weights

    torch.manual_seed(0)
    net = build_model(PRESETS["tiny"], template)
    with torch.no_grad():
        net.cse.foreground.bias.fill_(3.0)
    root = tmp_path_factory.mktemp("ablation")
    config = {"model": PRESETS["tiny"].to_dict()}
    save_weights(root / "weights", net.state_dict(), config, {"code_version": template.code_version})
    (root / "tiny.yaml").write_text(TINY)
    write_shards(
        lambda index: ellipse(template, index), 4, root / "people", ShardSettings(size=SIZE, format="webdataset")
    )
    return [
        "tables", "--weights", str(root / "weights"), "--config", str(root / "tiny.yaml"), "--images", "2",
        "--shards", str(root / "people"), "--size", "64x48", "--steps", "2", "--device", "cpu",
    ]  # fmt: skip


def test_a_table_from_end_to_end(inputs, tmp_path, capsys, monkeypatch):
    out = ["-o", str(tmp_path / "t"), "--json", str(tmp_path / "all.json")]
    assert evaluate.main([*inputs, *out, "--only", "2"]) == 0
    text = capsys.readouterr().out
    assert "## Table 2: 2D accuracy" in text and "| BodyMap (paper)" in text and "71.12" in text
    assert "HumanGPS-style" in text and "2 steps each" in text and (tmp_path / "t" / "table_2.md").read_text() in text
    figures = json.loads((tmp_path / "t" / "table_2.json").read_text())
    assert figures["paper"]["CSE"] == [44.52, 67.51, 75.13] and len(figures["rows"]) == 7
    trained = [row for row in figures["rows"] if row["row"]["training"]]
    assert len(trained) == 5 and all(row["cost"]["samples"] == 4 and row["cost"]["steps"] == 2 for row in trained)
    assert all(row["figures"]["images"] == 2 and row["figures"]["pixels"] > 0 for row in figures["rows"])
    assert json.loads((tmp_path / "all.json").read_text())["tables"]["2"]["title"] == "2D accuracy, synthetic"

    # nothing is done twice: not for the same table, and not for another with the same rows
    monkeypatch.setattr("bodymap.ablation.running.Runner._judge", lambda *_: pytest.fail("judged again"))
    assert evaluate.main([*inputs, *out, "--only", "2,3"]) == 0
    assert "## Table 3" in capsys.readouterr().out

    # the sheet takes whatever networks are there
    sheet = tmp_path / "figure.jpg"
    more = ["--weights", inputs[2], "--device", "cpu", "--sheet", str(sheet)]
    assert evaluate.main(["figures", "-o", str(tmp_path / "t"), *more]) == 0
    assert Image.open(sheet).width > 5 * 190


def test_a_stopped_training_goes_on(inputs, tmp_path, monkeypatch):
    steps = []
    losses = BodyMapTask.losses

    def stopped(self, batch, progress=None):
        steps.append(progress.step)
        if len(steps) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return losses(self, batch, progress)

    monkeypatch.setattr(BodyMapTask, "losses", stopped)
    arguments = [*inputs, "-o", str(tmp_path / "t"), "--only", "rgb", "--rows", "rgb"]
    with pytest.raises(UserError, match="goes on"):
        evaluate.main(arguments)
    assert not list((tmp_path / "t").glob("results/*/*.json"))
    evaluate.main(arguments)
    assert steps == [0, 1]  # the second step was the continued run's first
    (row,) = json.loads((tmp_path / "t" / "table_rgb.json").read_text())["rows"]
    assert row["cost"]["steps"] == 2


def test_rows_of_other_settings_are_not_mixed(inputs, tmp_path):
    out = ["-o", str(tmp_path / "t"), "--only", "segmentation"]
    assert evaluate.main([*inputs, *out]) == 0
    figures = json.loads((tmp_path / "t" / "table_segmentation.json").read_text())
    assert len(figures["rows"]) == 4 and "--segmenter" in figures["skipped"][0]
    iou = {row["row"]["mask"]: row["figures"]["mask"]["iou"] for row in figures["rows"]}
    assert iou["true"] == 1 > iou["dilated"] and iou["eroded"] < 1
    with pytest.raises(UserError, match="seed"):
        evaluate.main([*inputs, *out, "--seed", "1"])


def test_what_is_named_later_must_stay_the_same(tmp_path):
    open_folder(Settings(tmp_path, steps=1, minutes=None))
    open_folder(Settings(tmp_path, steps=1, minutes=None, sequences="a"))
    open_folder(Settings(tmp_path, steps=1, minutes=None))
    with pytest.raises(UserError, match="sequences a, not b"):
        open_folder(Settings(tmp_path, steps=1, minutes=None, sequences="b"))
    with pytest.raises(UserError, match="steps"):
        open_folder(Settings(tmp_path, steps=2, minutes=None))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "7"], "no table"),
        (["--only", "4"], "--sequences"),
        (["--only", "1"], "--adapter"),
        (["--only", "2", "--rows", "nobody"], "no row"),
        (["--only", "2", "--pack", "nowhere.pack"], "no such file"),
        (["--only", "2", "--weights", "nowhere"], "no weights"),
    ],
)
def test_mistakes_of_the_user(arguments, message, tmp_path):
    with pytest.raises(UserError, match=message):
        evaluate.main(["tables", "-o", str(tmp_path / "t"), "--device", "cpu", *arguments])


def test_masks_that_are_given(template, tmp_path):
    sample = ellipse(template, 0)
    settings = Settings(tmp_path)
    rows = {mask: Row("", how="predictor", mask=mask) for mask in ("own", "true", "eroded", "dilated")}
    masks = {name: measures.mask_of(row, settings) for name, row in rows.items()}
    assert masks.pop("own") is None
    true, eroded, dilated = (masks[name](sample) for name in ("true", "eroded", "dilated"))
    assert (true == sample.foreground).all() and (eroded <= true).all() and (true <= dilated).all()
    # five pixels at each end of the middle row
    assert true[32].sum() - eroded[32].sum() == dilated[32].sum() - true[32].sum() == 10
    nothing = measures.mask_of(rows["eroded"], settings)(ellipse_of_a_pixel(sample))
    assert nothing.sum() == 1


def ellipse_of_a_pixel(sample):
    small = np.zeros_like(sample.foreground)
    small[30, 20] = True
    return replace(sample, foreground=small)


@pytest.mark.parametrize("kind", HEADS)
def test_a_baseline_that_is_right_is_read_as_right(kind, template):
    """Heads whose outputs are set to the truth decode to it; and their losses are then near their least."""
    from support.sizes import PRESETS

    from bodymap.ablation import charts
    from bodymap.ablation.baselines import baseline_config
    from bodymap.surface import geodesic

    net = build_baseline(kind, baseline_config(PRESETS["tiny"]), template)
    assert net.cse is None and net.correspondence is None
    generator = torch.Generator().manual_seed(1)
    sample = torch.randint(len(template.samples), (60,), generator=generator)
    triangle = template.vertex_triangles[template.samples[sample], 0]
    keep = triangle >= 0
    triangle, sample = triangle[keep], sample[keep]
    corner = (template.triangles[triangle] == template.samples[sample][:, None]).float()
    head = net.score_head
    if kind != "embedding":
        chart, uv = charts.true_places(template, triangle, corner)
        scores = 20 * torch.nn.functional.one_hot(chart, 24).float()
        answer = scores, uv[:, None].expand(-1, 24, 2)
    else:
        answer = template.sample_geodesic[sample] * 5
    head.forward = lambda features: answer
    found, weight, confidence = head.decode(template, torch.zeros(len(triangle), 4))
    assert geodesic.distance(template, found, weight, triangle, corner).median() < 0.02
    assert confidence.min() > 0.5
    normal = torch.tensor([0.0, 0.6, -0.8]).expand(len(triangle), 3)
    truth = {"triangle": triangle, "barycentric": corner, "normal": normal}
    if kind == "simpose":
        head.normals = lambda features: normal
    losses = head.loss(torch.zeros(len(triangle), 4), truth, template)
    assert sum(losses.values()) < 1.5
    assert points.part(template, found, weight).shape == sample.shape


def test_a_term_that_stays_large_counts_less(template):
    """The uncertainties of charts, coordinates and normals end where a term's weighted value is 1/2."""
    head = HEADS["simpose"](4, template)
    features, triangle = torch.zeros(2, 4), torch.tensor([5, 5])
    truth = {"triangle": triangle, "barycentric": torch.tensor([[1.0, 0, 0]] * 2), "normal": torch.eye(3)[:2]}
    optimiser = torch.optim.SGD([head.log_variance], 0.5)
    for _ in range(300):
        losses = head.loss(features, truth, template)
        optimiser.zero_grad()
        sum(value for name, value in losses.items() if not name.startswith("metric_")).backward()
        optimiser.step()
    assert [round(losses[name].item(), 3) for name in ("chart", "uv", "normal")] == [0.5, 0.5, 0.5]


def test_normals_are_learnt_from_pictures(inputs, tmp_path, template):
    """A ball's normals, which the stored samples hold, are found by the second task; the uncertainties move as well."""
    from support.sizes import PRESETS

    from bodymap.ablation.baselines import BaselineTask
    from bodymap.data.normals import write_normals
    from bodymap.data.settings import AugmentConfig, DataConfig
    from bodymap.task import TaskConfig

    shards = inputs[inputs.index("--shards") + 1]
    write_normals(shards, None, tmp_path / "normals")
    torch.manual_seed(0)
    task = BaselineTask(
        "simpose", PRESETS["tiny"], DataConfig(shards=shards), AugmentConfig(size=(64, 32)),
        TaskConfig(stage="bodymap", pixels=400), batch_size=4, workers=0, seed=0, start={},
        normals=tmp_path / "normals",
    )  # fmt: skip
    groups = task.parameter_groups()
    assert [p.shape for p in groups[-1]["params"]] == [(3,)] and groups[-1]["factor"] > 1
    counted = sum(len(group["params"]) for group in groups)
    assert counted == len({id(p) for p in task.model.parameters() if p.requires_grad})
    rate = 3e-3
    optimiser = torch.optim.Adam([{"params": g["params"], "lr": rate * g["factor"]} for g in groups])
    degrees = []
    for _, batch in zip(range(40), task.batch_source().batches(0, 0, 1, torch.device("cpu")), strict=False):
        losses = task.losses(batch)
        degrees.append(float(losses.pop("metric_normal_degrees")))
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    assert np.mean(degrees[-5:]) < 0.7 * degrees[0]
    assert task.model.score_head.log_variance.abs().min() > 0.05


def test_every_measure_has_its_columns():
    share = {"5": 0.5, "10": 0.6, "20": 0.7}
    names = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
    pictures = {
        "acc_rgb": share, "acc_cm": {"5": 0.5, "10": 0.6}, "geodesic": {"median_cm": 3.0}, "mask": {"iou": 0.9},
        "swap_rate": None, "ap": dict.fromkeys(names, 0.5),
    }  # fmt: skip
    samples = {
        "pictures": pictures,
        "masks": pictures,
        "sequences": {
            "temporal": {"all": {n: {"vertices": 3, "within_cm": {"5": 0.5}} for n in ("1", "12", "120")}},
            "swap_rate": 0.1,
        },
        "densepose": {
            "ap": {"gps part": pictures["ap"]}, "acc_rgb": share, "geodesic": {"median": None}, "background": 0.1,
        },
    }  # fmt: skip
    for table in TABLES:
        figures = samples[table.measure]
        assert all(measures.figure(figures, column, table.measure) >= 0.5 for column in table.columns)
        assert measures.extras(figures, table.measure)


METHODS = {row.training for row in find_tables(["2"])[0].rows if row.training}
LOSSES = {"classification", "silhouette", "geodesic", "consistency"}


@pytest.mark.parametrize("name", [name for name in TRAININGS if name not in METHODS])
def test_every_other_row_trains(name, inputs, tmp_path, monkeypatch):
    """Those of table 2 are trained above: the network that it names, by the losses that it names, from the weights."""
    training = TRAININGS[name]
    small = ("data.size=[64,64]", "augment.size=[64,32]", "train.batch_size=2", "train.log_steps=1")
    if training.data != "people":
        monkeypatch.setitem(TRAININGS, name, replace(training, base="tiny", overrides=(*training.overrides, *small)))
    template_adapter().save(tmp_path / "adapter.npz")
    given = dict(zip(inputs[1::2], inputs[2::2], strict=True))
    settings = Settings(
        tmp_path / "t", minutes=None, steps=2, people=2, weights=given["--weights"], config=given["--config"],
        shards=given["--shards"], adapter=str(tmp_path / "adapter.npz"), device="cpu",
    )  # fmt: skip
    weights, cost = Runner(settings, lambda text: None).train(name)
    assert cost["steps"] == 2 and cost["samples"] == 4
    before, after = load_weights(given["--weights"]), load_weights(weights)
    coarse = [name for name in before.tensors if name.startswith("cse.")]
    kept = [torch.equal(after.tensors[name], before.tensors[name]) for name in coarse]
    assert coarse and (all(kept) if training.data == "people" else not all(kept))
    for override in training.overrides:
        stream, _, kind = override.partition(".kind=")
        assert not kind or after.config["model"][stream.removeprefix("model.")]["kind"] == kind
    said = [json.loads(line) for line in (tmp_path / "t" / "runs" / name / "journal.jsonl").read_text().splitlines()]
    figures = next(entry["figures"] for entry in said if entry["kind"] == "step")
    assert all(np.isfinite(value) for value in figures.values())
    left_out = {"cls": LOSSES - {"classification"}, "sil": {"geodesic", "consistency"}, "geo": {"consistency"}}
    assert LOSSES - set(figures) == left_out.get(name, set())
