"""GPS, average precision and recall, against cases worked out by hand."""

import math

import numpy as np
import pytest

from bodymap.metrics import similarity
from bodymap.types import PART_NAMES


def image(likeness, scores, areas=None, true_areas=None, ignored=None):
    likeness = np.asarray(likeness, float)
    people = likeness.shape[1]
    return similarity.ImageDetections(
        similarity=likeness,
        score=np.array(scores, float),
        area=np.array(areas if areas is not None else [20000.0] * len(scores)),
        true_area=np.array(true_areas if true_areas is not None else [20000.0] * people),
        ignored=np.array(ignored if ignored is not None else [False] * people),
    )


def test_gps_by_hand():
    kappa = similarity.KAPPA
    assert similarity.gps(np.zeros(5)) == 1
    assert similarity.gps(np.full(5, np.inf)) == 0
    # at one kappa's distance exp(-1/2); half of the points called background
    assert similarity.gps(np.array([kappa, kappa])) == pytest.approx(math.exp(-0.5))
    assert similarity.gps(np.array([0, np.inf])) == pytest.approx(0.5)
    assert math.isnan(similarity.gps(np.zeros(0)))


def test_kappa_by_part_is_the_official_evaluators():
    assert len(similarity.KAPPA_BY_PART) == len(PART_NAMES)
    table = dict(zip(PART_NAMES, similarity.KAPPA_BY_PART, strict=True))
    expected = {"torso_back": 0.351, "left_hand": 0.107, "right_foot": 0.126, "left_thigh": 0.237, "right_shin": 0.173,
                "left_upper_arm": 0.142, "right_forearm": 0.128, "head": 0.150}  # fmt: skip
    assert {name: table[name] for name in expected} == expected
    hand, torso = PART_NAMES.index("left_hand"), PART_NAMES.index("torso_front")
    assert similarity.gps_by_part(np.array([0.107, 0.351]), np.array([hand, torso])) == pytest.approx(math.exp(-0.5))
    assert similarity.gps_by_part(np.array([0.1]), np.array([hand])) < similarity.gps_by_part(
        np.array([0.1]), np.array([torso])
    )


def test_gps_masked():
    assert similarity.gps_masked(0.81, 0.49) == pytest.approx(0.63)


def test_one_perfect_detection_is_full_marks():
    figures = similarity.average_precision([image([[1.0]], [0.9])])
    assert {k: v for k, v in figures.items() if not k.endswith("M")} == {
        k: pytest.approx(1.0) for k in ("AP", "AP50", "AP75", "APL", "AR", "AR50", "AR75", "ARL")
    }
    assert math.isnan(figures["APM"]) and math.isnan(figures["ARM"])  # nobody of medium size


def test_thresholds_count_up_to_the_likeness():
    # .72 passes .50 .55 .60 .65 .70: five of ten thresholds
    figures = similarity.average_precision([image([[0.72]], [0.9])])
    assert figures["AP"] == pytest.approx(0.5) and figures["AR"] == pytest.approx(0.5)
    assert figures["AP50"] == pytest.approx(1) and figures["AP75"] == 0


def test_no_detection_at_all():
    assert similarity.average_precision([image(np.zeros((0, 1)), [], true_areas=[20000.0])])["AP"] == 0


def test_a_confident_mistake_costs_precision():
    # by score: wrong, right. Precision at every recall is 1/2, recall 1.
    precision, recall = similarity.precision_recall([image([[0.1], [0.9]], [0.8, 0.5])], 0.5)
    assert (precision, recall) == (pytest.approx(0.5), 1.0)
    # the other way about the mistake comes after recall 1 and costs nothing
    assert similarity.precision_recall([image([[0.1], [0.9]], [0.5, 0.8])], 0.5)[0] == pytest.approx(1)


def test_precision_by_hand_over_two_images():
    # two people; sorted by score: hit (recall .5, precision 1), miss, hit (recall 1, precision 2/3)
    images = [image([[0.9], [0.2]], [0.9, 0.8]), image([[0.8]], [0.7])]
    precision, recall = similarity.precision_recall(images, 0.5)
    # of the 101 recall points 0, .01, ..., .50 (51 of them) see precision 1, the other 50 see 2/3
    assert precision == pytest.approx((51 + 50 * 2 / 3) / 101) and recall == 1


def test_half_of_the_people_missed():
    images = [image([[0.9]], [0.9]), image(np.zeros((0, 1)), [], true_areas=[20000.0])]
    precision, recall = similarity.precision_recall(images, 0.5)
    assert precision == pytest.approx(51 / 101) and recall == 0.5


def test_a_person_is_matched_once_and_by_the_best_score():
    match = similarity.match_detections(np.array([[0.7, 0.6], [0.9, 0.65], [0.9, 0.9]]), np.zeros(2, bool), 0.5)
    # first come takes its best; the second must take the other; nobody is left for the third
    assert match.tolist() == [0, 1, -1]


def test_ignored_people_count_neither_way():
    # the second detection falls on an ignored person: no false positive, and nobody to recall
    precision, recall = similarity.precision_recall(
        [image([[0.9, 0], [0, 0.9]], [0.5, 0.9], ignored=[False, True])], 0.5
    )
    assert (precision, recall) == (pytest.approx(1), 1.0)


def test_sizes_are_told_apart():
    images = [image([[0.9]], [0.9], [50.0**2], [50.0**2]), image([[0.3]], [0.9], [200.0**2], [200.0**2])]
    figures = similarity.average_precision(images)
    assert figures["APM"] == pytest.approx(0.9) and figures["APL"] == 0  # .50 to .90 are nine thresholds of ten
    # an unmatched detection of another size is nobody's mistake
    extra = image([[0.9], [0.0]], [0.5, 0.9], [50.0**2, 300.0**2], [50.0**2])
    assert similarity.precision_recall([extra], 0.5, similarity.AREAS["medium"])[0] == pytest.approx(1)


def test_only_twenty_detections_count():
    scores = np.linspace(0.9, 0.5, 25)
    likeness = np.zeros((25, 1))
    likeness[22] = 0.9
    assert similarity.precision_recall([image(likeness, scores)], 0.5)[1] == 0
