"""The figures: a perfect answer is perfect, what is missing counts, hidden and visible are apart."""

import numpy as np
import pytest
from support.pictures import template_sample

from apps.layered.evaluate import main, report
from apps.layered.evaluation import Answer, Tally, answer_of_single, damaged, kinds_of
from apps.layered.samples import layers_of
from apps.layered.truth import LayeredSample, LayerTruth
from bodymap.data.batch import compact
from bodymap.errors import UserError
from bodymap.types import Correspondence


@pytest.fixture(scope="module")
def picture():
    plain = template_sample(0.3, (96, 64))
    layers = layers_of(compact(plain))
    mask = layers["layer"].astype(np.uint8)
    truths = {"body": LayerTruth(plain.triangle, plain.barycentric, mask == 1)}
    single = answer_of_single(_as_correspondence(plain), layers["layer"])
    for index, name in enumerate(("upper", "lower"), start=2):
        truths[name] = LayerTruth(*single.places[name], mask == index)
    return LayeredSample(plain.image, mask, camera=plain.camera, about={}, **truths)


def _as_correspondence(sample) -> Correspondence:
    c = Correspondence.empty(sample.triangle.shape)
    c.mask[:] = sample.foreground
    c.triangle[:], c.barycentric[:] = sample.triangle, sample.barycentric
    return c


def test_a_perfect_answer(picture):
    places = {name: (getattr(picture, name).triangle, getattr(picture, name).barycentric) for name in ("body",)}
    places |= {n: (getattr(picture, n).triangle, getattr(picture, n).barycentric) for n in ("upper", "lower")}
    tally = Tally()
    tally.add(Answer(picture.mask, places), picture, {"upper": "shirt"})
    figures = tally.figures()
    for name in ("body", "upper", "lower", "body covered", "upper: shirt"):
        assert figures[name]["median_cm"] < 0.01 and figures[name]["acc_5"] == 1
    assert figures["mean"]["iou"] == 1 and figures["upper"]["boundary_f"] == 1
    assert "upper: shirt" in report({"ours": figures})


def test_what_is_not_found_is_infinitely_wrong(picture):
    nothing = np.full(picture.mask.shape, -1), np.zeros((*picture.mask.shape, 3), np.float32)
    tally = Tally()
    tally.add(Answer(np.zeros_like(picture.mask), {n: nothing for n in ("body", "upper", "lower")}), picture)
    figures = tally.figures()
    assert figures["upper"]["acc_20"] == 0 and np.isinf(figures["upper"]["median_cm"])
    assert figures["body"]["iou"] == 0


def test_regions_pass_over_unknown_pixels(picture):
    truth = picture.mask.astype(int)
    found = truth.copy()
    truth[:50] = -1
    found[:50] = 2
    tally = Tally()
    tally.regions(found, truth)
    assert tally.figures()["mean"]["iou"] == 1


def test_kinds_and_damage(picture):
    assert kinds_of(["skin", "slim trousers", "Shirt"]) == {"upper": "shirt", "lower": "trousers"}
    assert kinds_of(["coat", "coat skirt"]) == {"upper": "coat"}
    mask = picture.mask.astype(np.int8)
    assert (damaged(mask, 3) > 0).sum() > (mask > 0).sum() > (damaged(mask, -3) > 0).sum()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--photos", "a", "--cloth", "b"], "exclude"),
        (["--pack", "missing.pack"], "missing.pack"),
        (["--count", "0"], "at least 1"),
        (["--json", "missing/figures.json"], "does not exist"),
    ],
)
def test_bad_options(arguments, words):
    with pytest.raises(UserError, match=words):
        main(arguments)
