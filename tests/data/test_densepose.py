"""Fine-tuning on annotated photographs: what a crop knows, what the losses look at, and that it helps."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from support.densepose import annotation, template_adapter, write_annotations
from support.pictures import template_sample

from bodymap.config import from_dict, load_config
from bodymap.data.augment import Augment
from bodymap.data.batch import UNJUDGED, UNKNOWN, collate, stack
from bodymap.data.densepose import AnnotatedPeople, window_of
from bodymap.data.settings import DataConfig, DensePoseConfig, no_augmentation
from bodymap.densepose import synthetic
from bodymap.densepose.annotations import Person
from bodymap.densify import densify
from bodymap.errors import UserError
from bodymap.losses.silhouette import silhouette_loss
from bodymap.network.cse import embedding_distance
from bodymap.surface import load_template, points
from bodymap.task import BodyMapTask, TaskConfig
from bodymap.train import Config

SIZE = (210, 132)
CROP = (96, 64)
FACINGS = (0.0, 0.6, math.pi, -2.0)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The template seen from four sides; in the first picture a further person at the top left corner, without
    noise."""
    folder = tmp_path_factory.mktemp("set")
    samples = [template_sample(facing, SIZE, seed) for seed, facing in enumerate(FACINGS)]
    instance = samples[0].instance.copy()
    instance[:40, :20] = 2
    samples[0] = replace(samples[0], instance=instance)
    adapter = template_adapter()
    synthetic.write_set(iter(samples), adapter, folder, seed=0, noise=0)
    adapter.save(folder / "adapter.npz")
    return DensePoseConfig(str(folder / "annotations.json"), str(folder / "pictures"), str(folder / "adapter.npz"))


@pytest.fixture(scope="module")
def people(written):
    return AnnotatedPeople(written, CROP, load_template())


def place(triangle, barycentric):
    """(N, 3) rest positions in metres of a batch's pixels."""
    return points.position(load_template(), triangle, barycentric)


def source_pixels(people, index):
    """(row, column) in the picture of the centre of every pixel of the crop."""
    height, width = people.size
    left, top, right, bottom = window_of(people.people[index][1], people.size)
    row = top + (np.arange(height) + 0.5) * (bottom - top) / height
    column = left + (np.arange(width) + 0.5) * (right - left) / width
    return np.meshgrid(np.floor(row).astype(int), np.floor(column).astype(int), indexing="ij")


def true_map(people, index):
    """The exact map of a crop, which its picture was painted from."""
    row, column = source_pixels(people, index)
    inside = (row >= 0) & (row < SIZE[0]) & (column >= 0) & (column < SIZE[1])
    at = row.clip(0, SIZE[0] - 1), column.clip(0, SIZE[1] - 1)
    sample = template_sample(FACINGS[index], SIZE)
    mask = inside & sample.foreground[at]
    return SimpleNamespace(
        mask=mask,
        triangle=np.where(mask, sample.triangle[at], -1),
        barycentric=sample.barycentric[at] * mask[..., None],
        confidence=mask * 1.0,
    )


# ------------------------------------------------------------------------------------------------------ the crops


def test_a_crop_knows_its_points_and_nothing_else(written):
    people = AnnotatedPeople(written, (224, 160), load_template())
    assert len(people) == len(FACINGS)
    for index, facing in enumerate(FACINGS):
        true = template_sample(facing, SIZE)
        batch = collate([people[index]])
        known, foreground = batch["triangle"][0] >= 0, batch["foreground"][0]
        count = len(people.people[index][1].truth.chart)
        assert count < known.sum() <= 9 * count and (known & ~foreground).sum() == 0 and known.sum() < foreground.sum()
        row, column = source_pixels(people, index)
        inside = (row >= 0) & (row < SIZE[0]) & (column >= 0) & (column < SIZE[1])
        seen = inside & true.foreground[row.clip(0, SIZE[0] - 1), column.clip(0, SIZE[1] - 1)]
        both, either = (foreground.numpy() & seen).sum(), (foreground.numpy() | seen).sum()
        assert both / either > 0.9
        # the truth of the picture under each known pixel is what the crop says
        at = known.numpy() & seen
        row, column = row[at], column[at]
        wanted = place(
            torch.from_numpy(true.triangle[row, column]).long(), torch.from_numpy(true.barycentric[row, column])
        )
        found = place(batch["triangle"][0][at], batch["barycentric"][0][at])
        error = (wanted - found).norm(dim=1)
        # a pixel of the crop is 1 cm, seen from straight before
        assert error.median() < 0.015 and (error < 0.04).float().mean() > 0.9
        assert batch["facing"].isnan().all()


def test_others_are_no_background(people):
    layer = people[0]["layer"]
    row, column = source_pixels(people, 0)
    other = (row >= 0) & (row < 40) & (column >= 0) & (column < 20)
    assert other.sum() > 30
    assert (layer[other] == UNJUDGED).all() and (layer[~other] != UNJUDGED).all()
    assert set(np.unique(people[1]["layer"])) == {0, UNKNOWN}


def test_a_window_has_the_crop_s_shape_and_the_person_inside():
    for box in ((10, 20, 100, 30), (0, 0, 20, 300), (5.5, 3.2, 41.7, 80.9)):
        left, top, right, bottom = window_of(Person(1, box, 1.0, False, None), CROP)
        assert left < box[0] and top < box[1] and right > box[0] + box[2] and bottom > box[1] + box[3]
        assert (bottom - top) / (right - left) == pytest.approx(CROP[0] / CROP[1], rel=0.03)


def test_mirrored_truth_is_the_other_side(people):
    """A picture with its annotation, mirrored, says of each pixel what the mirrored template says."""
    template = load_template()
    batch = stack([people[i] for i in range(4)])
    straight = Augment(no_augmentation(CROP), template)(batch, torch.arange(4))
    flipped = Augment(replace(no_augmentation(CROP), flip_share=1.0), template)(batch, torch.arange(4))
    back = flipped["triangle"].flip(2)
    known = straight["triangle"] >= 0
    assert torch.equal(known, back >= 0) and known.sum() > 200
    here = place(straight["triangle"][known], straight["barycentric"][known])
    there = place(back[known], flipped["barycentric"].flip(2)[known])
    assert (here * torch.tensor([-1.0, 1.0, 1.0]) - there).norm(dim=1).max() < 0.005
    parts = [
        points.part(template, b["triangle"][m], b["barycentric"][m])
        for b, m in ((straight, known), (flipped, flipped["triangle"] >= 0))
    ]
    assert not torch.equal(parts[0].bincount(minlength=16), parts[1].bincount(minlength=16))
    assert torch.equal(straight["layer"], flipped["layer"].flip(2))


def test_mistakes(written, tmp_path):
    template = load_template()
    with pytest.raises(UserError, match="pictures are not in"):
        AnnotatedPeople(replace(written, pictures=str(tmp_path)), CROP, template)
    with pytest.raises(UserError, match="no adapter"):
        AnnotatedPeople(replace(written, adapter=str(tmp_path / "none.npz")), CROP, template)
    write_annotations(tmp_path / "a.json", [annotation(box=(0, 0, 4, 4))])
    with pytest.raises(UserError, match="no annotated person"):
        AnnotatedPeople(replace(written, annotations=str(tmp_path / "a.json")), CROP, template)
    with pytest.raises(UserError, match="exclude each other"):
        load_config(Config, None, ["data.densepose.annotations=a", "data.densepose.pictures=b",
                                   "data.densepose.adapter=c", "data.shards=d"])  # fmt: skip
    assert load_config(Config, None, ["data.densepose.annotations=a", "data.densepose.pictures=b",
                                      "data.densepose.adapter=c"]).data.densepose.pseudo_truth is None  # fmt: skip


def test_pseudo_truth_fills_the_person(written, tmp_path):
    """With a perfect network in the predictor's place nearly all of the person is known, points still count most."""
    sparse = AnnotatedPeople(written, CROP, load_template())
    truth = {sparse.crop(index).image.tobytes(): true_map(sparse, index) for index in range(4)}
    known = lambda image, mask: truth[image.tobytes()]  # noqa: E731
    assert densify(sparse, known, tmp_path) == len(FACINGS) and densify(sparse, known, tmp_path) == 0
    dense = AnnotatedPeople(replace(written, pseudo_truth=str(tmp_path)), CROP, load_template())
    batch = collate([dense[i] for i in range(4)])
    points_only = collate([sparse[i] for i in range(4)])
    annotated, everything = points_only["triangle"] >= 0, batch["triangle"] >= 0
    assert everything.sum() > 0.8 * batch["foreground"].sum() > 1.2 * annotated.sum()
    assert torch.equal(batch["triangle"][annotated], points_only["triangle"][annotated])
    assert (batch["trust"][annotated] == 1).all() and (batch["trust"][~everything] == 0).all()
    assert 0.1 < batch["trust"][everything & ~annotated].mean() <= 0.31
    changed = Augment(replace(no_augmentation(CROP), flip_share=1.0), load_template())(batch, torch.arange(4))
    assert torch.equal(changed["trust"].flip(2), batch["trust"])

    with pytest.raises(UserError, match="give the same"):
        AnnotatedPeople(replace(written, pseudo_truth=str(tmp_path)), (96, 96), load_template())[0]
    (tmp_path / f"{dense.people[0][1].id}.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="cannot be read"):
        dense[0]
    (tmp_path / f"{dense.people[0][1].id}.npz").unlink()
    with pytest.raises(UserError, match="lacks the pseudo-truth of 1 of 4"):
        AnnotatedPeople(replace(written, pseudo_truth=str(tmp_path)), CROP, load_template())


# ------------------------------------------------------------------------------------------------------- the losses


@pytest.fixture(scope="module")
def tiny(request):
    with open(request.config.rootpath / "configs/bodymap/tiny.yaml") as file:
        return from_dict(Config, yaml.safe_load(file))


def make(tiny, written, **task) -> BodyMapTask:
    torch.manual_seed(0)
    settings, augment = from_dict(TaskConfig, {**tiny.task, **task}), no_augmentation(CROP)
    return BodyMapTask(
        tiny.model, DataConfig(densepose=written, size=CROP), augment, settings, batch_size=4, workers=0, seed=0
    )


def test_judged_pixels_alone_make_the_silhouette():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 6, 5, generator=generator)
    truth = torch.rand(2, 6, 5, generator=generator) < 0.5
    everything = torch.ones_like(truth)
    assert silhouette_loss(logits, truth, judged=everything) == pytest.approx(float(silhouette_loss(logits, truth)))
    judged = everything.clone()
    judged[:, 4:] = False  # as if those rows were not there
    cut = silhouette_loss(logits[:, :, :4], truth[:, :4])
    assert silhouette_loss(logits, truth, judged=judged) == pytest.approx(float(cut))


def test_no_loss_looks_where_nothing_is_known(tiny, written, people):
    """Gradients of the point losses are exactly zero off the known pixels, the silhouette's on further people."""
    task = make(tiny, written, stage="both", losses={"consistency": 0.0})
    task.model.train()
    seen = {}

    def keep(name, call):
        def wrapped(*arguments):
            seen[name] = out = call(*arguments)
            for tensor in (out.features, out.foreground) if name == "fine" else (out.embedding, out.foreground):
                tensor.retain_grad()
            return out

        return wrapped

    task.model.forward = keep("fine", task.model.forward)
    task.model.cse.forward = keep("cse", task.model.cse.forward)
    batch = collate([people[i] for i in range(4)])
    losses = task.losses(batch)
    assert "layer" not in losses and losses["facing"] == 0
    (losses["classification"] + losses["geodesic"] + losses["embedding"]).backward(retain_graph=True)
    known = batch["triangle"] >= 0
    fine = seen["fine"].features.grad.abs().sum(1)
    assert (fine[~known] == 0).all() and (fine[known] > 0).any()
    coarse = seen["cse"].embedding.grad.abs().sum(1)
    known = known[:, 2::4, 2::4]
    assert (coarse[~known] == 0).all() and (coarse[known] > 0).all()

    (losses["silhouette"] + losses["cse_silhouette"]).backward()
    unjudged = batch["layer"] == UNJUDGED
    fine = seen["fine"].foreground.grad[:, 0]
    assert (fine[unjudged] == 0).all() and (fine[~unjudged] != 0).all()
    coarse = seen["cse"].foreground.grad[:, 0]
    assert (coarse[unjudged[:, 2::4, 2::4]] == 0).all() and (coarse[~unjudged[:, 2::4, 2::4]] != 0).all()


def test_trust_weighs_the_points(tiny, written):
    """Losses on points with a trust of 0 on half of the pixels are those of the other half alone."""
    task = make(tiny, written, stage="both", losses={"consistency": 0.0}, pixels=100_000, geodesic_pixels=100_000,
                cse_pixels=100_000, inputs={"own": 1.0, "true_mask": 0.0, "no_mask": 0.0})  # fmt: skip
    task.model.eval()
    batch = collate([template_sample(facing, CROP) for facing in FACINGS])
    upper = torch.zeros_like(batch["foreground"])
    upper[:, : CROP[0] // 2] = True
    with torch.no_grad():
        weighted = task.losses(batch | {"trust": upper.float()})
        cut = task.losses(batch | {"triangle": torch.where(upper, batch["triangle"], -1)})
    for name in ("classification", "geodesic", "embedding"):
        assert float(weighted[name]) == pytest.approx(float(cut[name]), rel=1e-4), name


def test_synthetic_people_are_judged_whole(tiny, written):
    """The same network and batch: whether a run could be on photographs changes nothing for synthetic people."""
    batch = collate([template_sample(facing, CROP) for facing in FACINGS])
    task = make(tiny, written, stage="cse")
    with torch.no_grad():
        ours = task.losses(batch)["cse_silhouette"]
        plain = replace(task.data, densepose=None)
        task.data = plain
        assert task.losses(batch)["cse_silhouette"] == pytest.approx(float(ours))


def test_fine_tuning_lowers_the_error(tiny, written, people):
    """From the annotated points alone the match gets better there, and on the pixels that nobody annotated."""
    task = make(tiny, written, stage="cse")
    template = load_template()
    batch = collate([people[i] for i in range(4)])
    maps = [true_map(people, i) for i in range(4)]
    triangle, weight = (torch.from_numpy(np.stack([getattr(m, n) for m in maps])) for n in ("triangle", "barycentric"))
    triangle, weight = triangle[:, 2::4, 2::4].long(), weight[:, 2::4, 2::4].float()
    annotated = batch["triangle"][:, 2::4, 2::4] >= 0

    def errors() -> list[float]:
        """Median geodesic error of the coarse match in metres: on annotated pixels, on the person's others."""
        task.model.eval()
        with torch.no_grad():
            cse = task.model.cse(batch["image"])
            distance = embedding_distance(
                cse.embedding.permute(0, 2, 3, 1).flatten(0, 2), task.model.cse.vertex_embedding()
            )
        task.model.train()
        found = distance.argmin(1).view_as(triangle)
        return [
            float(template.sample_geodesic[found[m], points.nearest_sample(template, triangle[m], weight[m])].median())
            for m in ((triangle >= 0) & annotated, (triangle >= 0) & ~annotated)
        ]

    before = errors()
    optimizer = torch.optim.AdamW(task.model.cse.parameters(), lr=3e-3)
    stream = task.batch_source().batches(0, 0, 1, torch.device("cpu"))
    for step in range(50):
        # a falling rate, so that the norms' running averages catch up
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 50)
        losses = task.losses(next(stream))
        total = sum(value for name, value in losses.items() if not name.startswith("metric_"))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    after = errors()
    assert after[0] < 0.3 * before[0] and after[1] < 0.5 * before[1], (before, after)


def test_without_a_coarse_stage_there_is_nothing_to_start_from(tiny, written):
    with pytest.raises(UserError, match="needs a CSE stage"):
        make(replace(tiny, model=replace(tiny.model, cse=None)), written, stage="bodymap")
