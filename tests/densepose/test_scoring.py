"""GPS, GPSm, matching, average precision: against cases worked out by hand on a strip on which geodesics are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from support.densepose import annotation, strip_adapter, write_annotations

from bodymap.densepose import rle, scoring
from bodymap.densepose.annotations import read_annotations
from bodymap.densepose.iuv import ChartDetection, VertexDetection
from bodymap.metrics import similarity

ADAPTER = strip_adapter()
SIZE = (100, 120)


def box(rect, metres, score=0.9):
    """A box (x, y, w, h) of pixels that all show one place of the strip, ``metres`` along it."""
    chart = np.zeros(SIZE, np.uint8)
    x, y, w, h = rect
    chart[y : y + h, x : x + w] = 2 if metres <= 1 else 3
    uv = np.full((*SIZE, 2), 0.5)
    uv[..., 0] = metres if metres <= 1 else metres - 1
    return ChartDetection(chart, uv, score)


def picture(tmp_path, *people):
    path = tmp_path / "a.json"
    write_annotations(path, list(people), SIZE)
    return read_annotations(path)[0]


def points(*metres):
    """Annotated points inside the box, each ``metres`` along the strip."""
    return [(100 + i, 100, 2 if m <= 1 else 3, m if m <= 1 else m - 1, 0.5) for i, m in enumerate(metres)]


def test_errors_and_background_by_hand(tmp_path):
    where = picture(tmp_path, annotation(points=points(0.1, 0.4, 1.2) + [(0, 0, 2, 0.1, 0.5)]))
    # the last point lies at the box's corner, where the detection has nothing
    errors = scoring.point_errors(ADAPTER, where.people[0], box((20, 30, 40, 40), 0.4))
    assert errors[:3] == pytest.approx([0.3, 0, 0.8], abs=1e-6) and errors[3] == np.inf


def test_gps_in_every_regime_by_hand(tmp_path):
    where = picture(tmp_path, annotation(points=points(0.1, 1.2) + [(0, 0, 2, 0.1, 0.5)]))
    scores = scoring.score_picture(ADAPTER, where, [box((20, 30, 40, 40), 0.4)])
    gauss = lambda g, kappa: math.exp(-(g**2) / (2 * kappa**2))  # noqa: E731
    # torso 0.3 m away, hand 0.8 m away, one on the background, which counts 0
    expected = {
        "part": (gauss(0.3, 0.351) + gauss(0.8, 0.107)) / 3,
        "0.255": (gauss(0.3, 0.255) + gauss(0.8, 0.255)) / 3,
        "1.0": (gauss(0.3, 1) + gauss(0.8, 1)) / 3,
    }
    assert {k: v[0, 0] for k, v in scores.gps.items()} == pytest.approx(expected, rel=1e-5)


def test_the_pixel_is_the_floor_of_255ths(tmp_path):
    # a box of 51 pixels: 254 / 255 of it is 50.8, pixel 50; 255 is just outside
    where = picture(tmp_path, annotation(box=(10, 20, 51, 51), points=[(254, 0, 2, 0, 0), (255, 0, 2, 0, 0)]))
    row, column, inside = scoring.pixel_of(where.people[0], SIZE)
    assert column.tolist() == [60, 61] and row.tolist() == [20, 20] and inside.all()
    edge = picture(tmp_path, annotation(box=(100, 20, 51, 51), points=[(255, 0, 2, 0, 0)]))
    assert not scoring.pixel_of(edge.people[0], SIZE)[2].any()


def test_gpsm_by_hand(tmp_path):
    masks = [rle.encode(np.ones((256, 256), bool))] + [[]] * 13
    where = picture(tmp_path, annotation(box=(10, 20, 50, 50), points=points(0.4), dp_masks=masks))
    # the detection covers the true 50 x 50 and as much again: IoU 1/2
    scores = scoring.score_picture(ADAPTER, where, [box((10, 20, 100, 50), 0.4)])
    assert scores.mask_iou[0, 0] == pytest.approx(0.5) and scores.gps["part"][0, 0] == pytest.approx(1)
    likeness = {m: scores.detections(m).similarity[0, 0] for m in scoring.MEASURES}
    assert likeness == pytest.approx({"gps": 1, "gpsm": math.sqrt(0.5), "iou": 0.5}, abs=1e-6)
    figures = {m: scoring.average_precision([scores], m)["AP"] for m in scoring.MEASURES}
    # .50 to .70 are five of the ten thresholds, IoU reaches only the first
    assert figures == pytest.approx({"gps": 1, "gpsm": 0.5, "iou": 0.1})


def test_crowds_and_the_unannotated_are_nobody(tmp_path):
    bare = {"image_id": 1, "category_id": 1, "area": 900.0}
    crowd = {**bare, "id": 2, "bbox": [60, 60, 60, 40], "iscrowd": 1}
    passer = {**bare, "id": 3, "bbox": [0, 0, 20, 20], "iscrowd": 0}
    person = annotation(1, box=(20, 20, 30, 30), points=points(0.4))
    found = [box((20, 20, 30, 30), 0.4, 0.5)]
    mistake = [box((0, 40, 12, 40), 0.4, 0.9)]
    in_crowd = [box((62, 62, 10, 10), 0.4, 0.8), box((80, 70, 10, 10), 0.4, 0.7)]
    on_passer = [box((0, 0, 20, 20), 0.4, 0.6)]

    def ap(*detections):
        scores = scoring.score_picture(ADAPTER, picture(tmp_path, person, crowd, passer), list(detections))
        return scoring.average_precision([scores])["AP"]

    assert ap(*found) == pytest.approx(1)
    # boxes inside the crowd and on the unannotated person are forgiven, though their scores are higher
    assert ap(*found, *in_crowd, *on_passer) == pytest.approx(1)
    assert ap(*found, *mistake) == pytest.approx(0.5)
    # a second detection on the same passer-by is not
    assert ap(*found, *on_passer, box((0, 0, 20, 19), 0.4, 0.6)) == pytest.approx(0.5)
    # too small an overlap (15 * 20 / 400 = 0.75 < 0.8) is not
    assert ap(*found, box((0, 0, 15, 20), 0.4, 0.6)) == pytest.approx(0.5)


def test_pictures_without_anybody_annotated_do_not_count(tmp_path):
    where = picture(tmp_path, annotation(points=points(0.4)))
    person = scoring.score_picture(ADAPTER, where, [box((20, 30, 40, 40), 0.4, 0.5)])
    empty = scoring.score_picture(ADAPTER, replace(where, people=()), [box((20, 30, 40, 40), 0.4, 0.9)])
    assert scoring.average_precision([person, empty])["AP"] == pytest.approx(1)


def test_sizes_and_numbers_of_detections(tmp_path):
    # the person's area decides; 40 x 40 is medium, the detection's box of 100 x 100 is large
    where = picture(tmp_path, annotation(box=(20, 20, 40, 40), points=points(0.4)))
    figures = scoring.average_precision([scoring.score_picture(ADAPTER, where, [box((0, 0, 100, 100), 0.4)])])
    assert figures["APM"] == pytest.approx(1) and math.isnan(figures["APL"])
    many = [box((0, 0, 5, 5), 0.4, 0.9 - 0.01 * i) for i in range(20)] + [box((20, 20, 40, 40), 0.4, 0.1)]
    assert scoring.average_precision([scoring.score_picture(ADAPTER, where, many)])["AR"] == 0
    assert scoring.average_precision([scoring.score_picture(ADAPTER, where, many[1:])])["AR"] == 1


def test_nothing_detected_at_all(tmp_path):
    scores = scoring.score_picture(ADAPTER, picture(tmp_path, annotation(points=points(0.4, 0.5))), [])
    assert scoring.average_precision([scores])["AP"] == 0 and scores.best.tolist() == [-1]
    assert np.isinf(scores.errors[0]).all() and len(scores.errors[0]) == 2


def test_a_detection_of_cse(tmp_path):
    where = picture(tmp_path, annotation(points=[(100, 100, 2, 0.4, 0.5)]))
    vertex = np.full(SIZE, -1)
    vertex[20:70, 10:60] = 3 * 12 + 1  # the strip's column 12, 0.6 m along it, in its middle
    errors = scoring.point_errors(ADAPTER, where.people[0], VertexDetection(vertex))
    assert errors == pytest.approx([0.2], abs=1e-6)
    from bodymap.errors import UserError

    with pytest.raises(UserError, match="smpl_27554"):
        scoring.point_errors(ADAPTER, where.people[0], VertexDetection(np.full(SIZE, 27000)))


# ------------------------------------------------------- a slow, obvious twin of the evaluator's bookkeeping


def slow_precision_recall(images, threshold, area):
    """COCO's bookkeeping with the DensePose evaluator's rules, detection by detection."""
    low, high = area
    rows, people = [], 0
    for im in images:
        ignored = [bool(i or a < low or a > high) for i, a in zip(im.ignored, im.true_area, strict=True)]
        people += ignored.count(False)
        order = sorted(range(len(im.score)), key=lambda d: -im.score[d])[:20]
        states = {}
        for t in (threshold, similarity.THRESHOLDS[-1]):
            owner, matched = {}, {}
            for d in order:
                best, level = None, t
                for wanted in (False, True):
                    for g in range(len(ignored)):
                        if ignored[g] == wanted and (g not in owner or im.crowd[g]) and im.similarity[d, g] >= level:
                            best, level = g, im.similarity[d, g]
                    if best is not None:
                        break
                if best is not None:
                    matched[d], owner[best] = best, d
            states[t] = matched, owner
        last, owner = states[similarity.THRESHOLDS[-1]]
        verdict = {}
        for d in order:
            if d not in last:
                best, level = None, 0.8
                for g in range(len(ignored)):
                    if (g not in owner or im.crowd[g]) and im.box_iou[d, g] >= level:
                        best, level = g, im.box_iou[d, g]
                if best is not None:
                    verdict[d] = ignored[best]
                    if ignored[best]:
                        owner[best] = d
        matched = states[threshold][0]
        for d in order:
            ignore = all(ignored) if d not in matched else ignored[matched[d]]
            ignore = verdict.get(d, ignore)
            ignore = ignore or (d not in matched and not low <= im.area[d] <= high)
            if not ignore:
                rows.append((im.score[d], d in matched))
    rows.sort(key=lambda row: -row[0])
    if not people:
        return math.nan, math.nan
    hits = [sum(h for _, h in rows[: i + 1]) for i in range(len(rows))]
    curve = [(hit / people, hit / (i + 1)) for i, hit in enumerate(hits)]
    # numpy's 101 points, not k / 100: 0.7000000000000001 is above a recall of 7 / 10, in COCO's evaluator too
    at = [max((p for r, p in curve if r >= recall), default=0) for recall in np.linspace(0, 1, 101)]
    return sum(at) / 101, (curve[-1][0] if curve else 0)


@pytest.mark.parametrize("seed", range(8))
def test_bookkeeping_against_its_slow_twin(seed):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(12):
        d, g = rng.integers(0, 7), rng.integers(0, 5)
        ignored = rng.random(g) < 0.4
        likeness = np.where(ignored, 0, rng.random((d, g)) ** 0.3)
        images.append(
            similarity.ImageDetections(
                likeness, rng.random(d), rng.choice([30.0**2, 50.0**2, 200.0**2], d),
                rng.choice([30.0**2, 50.0**2, 200.0**2], g), ignored,
                box_iou=rng.random((d, g)) ** 0.3, crowd=ignored & (rng.random(g) < 0.5),
            )
        )  # fmt: skip
    for area in similarity.AREAS.values():
        for threshold in (0.5, 0.75, 0.95):
            fast = similarity.precision_recall(images, threshold, area)
            assert fast == pytest.approx(slow_precision_recall(images, threshold, area), nan_ok=True)
