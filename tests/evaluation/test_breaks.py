"""Where it breaks: pictures whose difficulty is known, sorted into the right bins, and the worst of them shown."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from support.ellipse import ellipse, truth_as_prediction

from bodymap.evaluation import breaks
from bodymap.evaluation.judge import judge
from bodymap.evaluation.report import plain
from bodymap.surface import load_template
from bodymap.types import PART_NAMES, Correspondence


@pytest.fixture(scope="module")
def template():
    return load_template()


@pytest.fixture(scope="module")
def sample(template):
    return ellipse(template, 0)


def test_height_and_rescaling(template, sample):
    assert breaks.person_height(sample) == 47
    half = breaks.rescaled(sample, 0.5)
    assert half.image.shape == (32, 24, 3) and abs(breaks.person_height(half) - 23.5) <= 1
    # whatever is foreground still has a point, and the truth judged by itself is right
    assert ((half.triangle >= 0) == half.foreground).all()
    assert judge(template, half, truth_as_prediction(template, half)).errors.geodesic.max() == 0
    larger = breaks.Picture("x", sample, lambda factor: ("rendered", factor))
    assert breaks.at_height(larger, 94) == ("rendered", 2.0)
    assert breaks.at_height(replace(larger, enlarge=None), 94) is None
    assert breaks.person_height(breaks.at_height(larger, 20)) in (19, 20, 21)


def test_what_is_in_the_picture(sample):
    def painted(*names):
        part = np.full(sample.part.shape, -1, np.int16)
        inside = np.argwhere(sample.foreground)
        for name, places in zip(names, np.array_split(inside, len(names)), strict=True):
            part[places[:, 0], places[:, 1]] = PART_NAMES.index(name)
        return breaks.visible_part(replace(sample, part=part))

    assert painted("head", "torso_front", "left_foot") == "head to foot"
    assert painted("head", "torso_back") == "head without feet"
    assert painted("left_shin", "right_foot") == "feet without head"
    assert painted("left_hand") == "neither"


def test_what_is_hidden(sample):
    assert math.isnan(breaks.occluded_share(sample))
    body = np.where(sample.foreground, 3, -1).astype(np.int32)
    seen = sample.foreground.copy()
    seen[:32] = False
    known = replace(sample, foreground=seen, covered_triangle=body)
    assert breaks.occluded_share(known) == pytest.approx(1 - seen.sum() / sample.foreground.sum())


def test_light(sample):
    image = np.where(sample.foreground[..., None], [200, 100, 50], [150, 130, 50]).astype(np.uint8)
    grey, contrast = breaks.light_of(replace(sample, image=image))
    assert grey == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50) and contrast == pytest.approx(50)


def test_skin_tone_is_that_of_another_converter_of_colours():
    import torch
    from kornia.color import rgb_to_lab

    colours = np.random.default_rng(0).uniform(0.02, 1, (50, 3))
    light, _, b = rgb_to_lab(torch.from_numpy(colours).T[None, :, :, None])[0, :, :, 0].numpy()
    expected = np.degrees(np.arctan2(light - 50, b))
    assert np.allclose([breaks.skin_tone(c) for c in colours], expected, atol=0.2)
    assert breaks.skin_tone((0.93, 0.78, 0.69)) > 41 and breaks.skin_tone((0.33, 0.22, 0.15)) < -30


def test_who_the_person_is(template, sample):
    judged = judge(template, sample, truth_as_prediction(template, sample))
    body = {"age": 70.0, "female": True, "skin": (0.93, 0.78, 0.69)}
    known = [breaks.record_of(template, replace(sample, body=body), judged, "a")]
    axes = breaks.axes(known + [breaks.record_of(template, sample, judged, "b")])  # the second does not say
    assert axes["age, years"] == {"above 60": known} and axes["sex"] == {"female": known}
    assert axes["skin tone, degrees"] == {"above 41": known}


def test_records_bins_and_gallery(template):
    people = [ellipse(template, seed, facing) for seed, facing in enumerate((0.0, math.pi / 2, math.pi))]
    known = {s.image.tobytes(): truth_as_prediction(template, s) for s in people[:2]}  # the third is not found

    def predict(image):
        return known.get(image.tobytes()) or Correspondence.empty(image.shape[:2])

    gallery, steps = breaks.Gallery(template, count=2), []
    pictures = [breaks.Picture(f"set {i}", s) for i, s in enumerate(people)]
    records = list(breaks.evaluate_breaks(template, pictures, predict, 1, gallery, lambda: steps.append(0)))
    assert len(steps) == 3 + len(breaks.HEIGHTS) and len(records) == 3  # nobody is blown up to 64 pixels
    assert [r.within_5 for r in records] == [1, 1, 0] and [r.view for r in records] == ["front", "side", "back"]
    assert records[2].gpsm == 0 and records[2].median_cm == pytest.approx(100 * float(template.sample_geodesic.max()))
    figures = breaks.summarise(records)
    assert figures["all"]["every picture"]["within_5"] == pytest.approx(2 / 3)
    assert figures["seen from"]["back"] | {"pictures": 1, "within_10": 0} == figures["seen from"]["back"]
    assert "hidden, per cent" not in figures and "sex" not in figures and "person's height, pixels" not in figures
    assert figures["place"]["upper garments"]["within_5"] == pytest.approx(2 / 3, abs=0.02)
    text = breaks.report(figures)
    assert "| seen from" in text and "| front" in text and "| upper garments" in text
    json.dumps(plain([asdict(r) for r in records]), allow_nan=False)
    # the worst two, the worst first
    assert [entry[1] for entry in sorted(gallery._worst, key=lambda e: -e[0])][0] == "set 2"
    assert gallery.sheet().shape[2] == 3 and breaks.Gallery(template).sheet() is None


def test_the_heights_are_rendered_or_rescaled(template, sample):
    def predict(image):
        return Correspondence.empty(image.shape[:2])

    def enlarge(factor):  # a picture of the same person, more pixels
        grown = breaks.rescaled(sample, factor)
        return replace(grown, image=np.zeros((*grown.foreground.shape, 3), np.uint8))

    records = list(breaks.evaluate_breaks(template, [breaks.Picture("a", sample, enlarge)], predict, 1))
    assert [r.height for r in records[1:]] == list(breaks.HEIGHTS) and all(r.rescaled for r in records[1:])
    assert set(breaks.summarise(records)["person's height, pixels"]) == {str(h) for h in breaks.HEIGHTS}


def test_error_map_colours(template, sample):
    found = truth_as_prediction(template, sample)
    right = breaks.error_map(template, sample, found)
    assert (right[sample.foreground] == (25, 35, 80)).all() and (right[~sample.foreground] == 0).all()
    missed = breaks.error_map(template, sample, Correspondence.empty(sample.foreground.shape))
    assert (missed[sample.foreground] == (255, 60, 255)).all()
