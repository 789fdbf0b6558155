"""Accuracy, against cases worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bodymap.metrics import accuracy
from bodymap.surface import load_template, points
from bodymap.types import LAYER_NAMES, PART_NAMES


def make(colour, geodesic, side=None, layer="skin"):
    count = len(colour)
    return accuracy.PixelErrors(
        colour=np.array(colour, np.float32),
        geodesic=np.array(geodesic, np.float32),
        confidence=np.zeros(count, np.float32),
        part=np.zeros(count, np.int16),
        region=np.zeros(count, np.int16),
        layer=np.full(count, LAYER_NAMES.index(layer), np.int8),
        side=np.array(side if side is not None else [0] * count, np.int8),
        loose=np.zeros(count, bool),
    )


def random_points(template, count, seed=0):
    outer = torch.nonzero(template.triangle_inner == 0)[:, 0]
    generator = torch.Generator().manual_seed(seed)
    triangle = outer[torch.randint(len(outer), (count,), generator=generator)]
    barycentric = torch.rand(count, 3, generator=generator)
    return triangle.numpy(), (barycentric / barycentric.sum(-1, keepdim=True)).numpy()


def compare(template, truth, guess):
    count = len(truth[0])
    return accuracy.compare_pixels(template, *truth, np.ones(count, np.int8), *guess, np.full(count, 0.5, np.float32))


@pytest.fixture(scope="module")
def template():
    return load_template()


def test_windows_include_their_edge_and_a_miss_is_wrong_everywhere():
    errors = make([0, 5, 5.01, 20, 255, math.inf], [0, 0.01, 0.02, 0.05, 0.5, math.inf])
    assert accuracy.acc_rgb(errors) == pytest.approx({"5": 2 / 6, "10": 3 / 6, "20": 4 / 6})
    assert accuracy.acc_cm(errors) == pytest.approx({"1": 2 / 6, "2": 3 / 6, "5": 4 / 6, "10": 4 / 6})


def test_mean_and_median_count_a_miss_as_the_worst():
    errors = make([0, 0, 0, math.inf], [0.01, 0.02, 0.06, math.inf])
    figures = accuracy.geodesic_error(errors, worst=2.0)
    assert figures["median_cm"] == pytest.approx(4)  # between 2 and 6
    assert figures["mean_cm"] == pytest.approx((1 + 2 + 6 + 200) / 4)
    assert figures["mean_found_cm"] == pytest.approx(3)


def test_nothing_to_measure_is_nan_not_perfect():
    empty = make([], [])
    assert math.isnan(accuracy.acc_rgb(empty)["5"]) and math.isnan(accuracy.swap_rate(empty))
    assert math.isnan(accuracy.geodesic_error(empty, 2.0)["median_cm"])


def test_the_truth_itself_is_exact(template):
    truth = random_points(template, 500)
    errors = compare(template, truth, truth)
    assert errors.colour.max() == 0 and errors.geodesic.max() < 1e-6
    assert accuracy.acc_cm(errors)["1"] == 1 and accuracy.swap_rate(errors) == 0
    assert np.all(errors.confidence == 0.5)
    part = points.part(template, torch.from_numpy(truth[0]), torch.from_numpy(truth[1]))
    assert np.array_equal(errors.part, part.numpy())


def test_everything_missed_is_all_wrong(template):
    truth = random_points(template, 50)
    errors = compare(template, truth, (np.full(50, -1), np.zeros((50, 3), np.float32)))
    assert set(accuracy.acc_rgb(errors).values()) == set(accuracy.acc_cm(errors).values()) == {0.0}
    assert not errors.found.any() and np.all(errors.confidence == 0)


def test_half_mirrored_is_half_wrong_and_half_swapped(template):
    truth = random_points(template, 400)
    triangle, barycentric = (torch.from_numpy(values) for values in truth)
    mirrored = [values.numpy() for values in points.mirror(template, triangle, barycentric)]
    lateral = points.position(template, triangle, barycentric)[:, 0].abs().numpy() > accuracy.LATERAL_METRES
    flip = np.arange(400) % 2 == 0
    guess = np.where(flip, mirrored[0], truth[0]), np.where(flip[:, None], mirrored[1], truth[1])
    errors = compare(template, truth, guess)
    assert np.array_equal(errors.side, np.where(lateral, np.where(flip, -1, 1), 0))
    assert accuracy.swap_rate(errors) == pytest.approx((flip & lateral).sum() / lateral.sum())
    # a lateral point is at least twice its distance from the midplane away from its mirror image
    assert errors.geodesic[flip & lateral].min() >= 2 * accuracy.LATERAL_METRES
    assert errors.geodesic[~flip].max() < 1e-6


def test_colour_error_is_the_largest_channel(template):
    truth, guess = random_points(template, 100, 1), random_points(template, 100, 2)
    errors = compare(template, truth, guess)
    code = [points.code(template, torch.from_numpy(t), torch.from_numpy(b)).numpy() for t, b in (truth, guess)]
    assert np.allclose(errors.colour, 255 * np.abs(code[0] - code[1]).max(-1), atol=1e-3)


@pytest.mark.parametrize(
    ("degrees", "view"),
    [(0, "front"), (44, "front"), (-44, "front"), (46, "side"), (-90, "side"), (134, "side"),
     (136, "back"), (-180, "back"), (360, "front"), (540, "back")],
)  # fmt: skip
def test_views(degrees, view):
    assert accuracy.view_of(math.radians(degrees)) == view


def test_flips_by_view():
    right, wrong = make([0] * 4, [0] * 4, [1, 1, 1, -1]), make([0] * 4, [0] * 4, [-1, -1, 1, 0])
    assert not accuracy.is_flipped(right) and accuracy.is_flipped(wrong)
    assert not accuracy.is_flipped(make([0, 0], [0, 0], [1, -1]))  # half is not more than half
    assert not accuracy.is_flipped(make([math.inf], [math.inf]))  # nothing can be said
    unseen = make([math.inf], [math.inf])
    table = accuracy.flips_by_view([0.0, math.pi, math.pi, 0.0], [right, wrong, right, unseen])
    assert table["front"] == {"images": 1, "flipped": 0.0, "swap_rate": 0.25}
    assert table["back"]["images"] == 2 and table["back"]["flipped"] == 0.5
    assert table["back"]["swap_rate"] == pytest.approx(3 / 7)
    assert table["side"]["images"] == 0 and math.isnan(table["side"]["flipped"])
    assert table["all"]["images"] == 3 and table["all"]["flipped"] == pytest.approx(1 / 3)


def test_by_part_region_layer_and_place():
    from bodymap.surface.parts import REGION_NAMES

    regions = [REGION_NAMES.index(name) for name in ("left_thumb", "right_armpit", "face", "face")]
    layers = [LAYER_NAMES.index(name) for name in ("skin", "upper", "skin", "hair")]
    errors = replace(
        make([0, 0, 0, math.inf], [0.01, 0.04, 0.2, math.inf]),
        part=np.array([PART_NAMES.index(n) for n in ("left_hand", "torso_front", "head", "head")], np.int16),
        region=np.array(regions, np.int16),
        layer=np.array(layers, np.int8),
        loose=np.array([False, True, False, False]),
    )
    assert {n: f["pixels"] for n, f in accuracy.by_part(errors, 2).items()} == {
        "left_hand": 1,
        "torso_front": 1,
        "head": 2,
    }
    assert accuracy.by_region(errors, 2)["face"]["found"] == 0.5
    assert accuracy.by_layer(errors, 2)["upper"]["acc_cm"]["5"] == 1
    places = accuracy.by_place(errors, 2)
    assert set(places) == {"fingers", "armpits", "face", "hair", "upper garments", "loose cloth"}
    assert places["face"]["pixels"] == 1  # the fringe is hair
    assert places["hair"]["acc_cm"]["10"] == 0


def test_concatenate_keeps_every_pixel():
    both = accuracy.concatenate([make([1, 2], [3, 4]), make([5], [6])])
    assert both.colour.tolist() == [1, 2, 5] and both.geodesic.tolist() == [3, 4, 6] and len(both) == 3
