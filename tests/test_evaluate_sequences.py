"""Temporal consistency: the truth is consistent with itself, another frame's truth is not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bodymap.evaluation import report
from bodymap.evaluation.sequences import evaluate_sequence, followed, frame_pairs, summarise_sequences
from bodymap.people import Pack, PeopleConfig
from bodymap.people.sequences import Sequence
from bodymap.surface import load_template
from bodymap.types import Correspondence


@cache
def frame(number: int):
    return _film().sample(number)


@cache
def _film():
    return Sequence("turn", 0, Pack.load(None), PeopleConfig(size=(128, 128)))


def as_prediction(sample):
    empty = Correspondence.empty(sample.image.shape[:2])
    return replace(empty, mask=sample.foreground, triangle=sample.triangle, barycentric=sample.barycentric)


def test_pairs():
    assert list(frame_pairs(14, 12)) == [(0, 1), (0, 12), (12, 13)]
    assert list(frame_pairs(121, 100)) == [(0, 1), (0, 12), (0, 120), (100, 101), (100, 112)]


def evaluate(predict, length=25):
    return evaluate_sequence(load_template(), frame, length, predict, 12)


def test_the_truth_is_consistent():
    asked = []

    def predict(number, sample):
        assert sample.image.tobytes() == frame(number).image.tobytes()
        asked.append(number)
        return as_prediction(sample)

    errors = evaluate(predict)
    assert sorted(asked) == [0, 1, 12, 13, 24]  # each frame once
    assert len(errors[1]) > 500 and len(errors[12]) > 300 and not len(errors[120])
    assert np.mean(errors[1] < 0.05) > 0.99 and np.mean(errors[12] < 0.05) > 0.95

    figures = summarise_sequences({"turn": [errors], "dance": [errors, errors]})
    assert figures["all"]["1"]["vertices"] == 3 * len(errors[1])
    assert figures["turn"]["12"]["within_cm"]["5"] == pytest.approx(np.mean(errors[12] <= 0.05))
    text = report.sequence_report(figures)
    assert "BodyMap (paper)" in text and "88.70" in text and "| all" in text


def test_a_prediction_that_stays_where_it_was_is_not():
    still = as_prediction(frame(0))
    errors = evaluate(lambda number, sample: still)
    assert np.mean(errors[12] < 0.05) < 0.7


def test_nothing_found_is_wrong():
    errors = evaluate(lambda number, sample: Correspondence.empty(sample.image.shape[:2]), 2)
    assert np.isinf(errors[1]).all()


def test_followed_frames_are_all_seen_in_turn():
    """The answers are those of the right frames, although the pairs ask for them out of turn."""
    seen = []

    def follow(pictures):
        for number, picture in enumerate(pictures):
            assert picture.tobytes() == frame(number).image.tobytes()
            seen.append(number)
            yield {} if number == 12 else {0: as_prediction(frame(number)), 1: None}

    errors = evaluate(followed(follow, frame, 26, 12), 26)
    assert seen == list(range(26))
    # pairs: (0, 1), (0, 12), (12, 13), (12, 24), (24, 25); in frame 12 nobody was found
    assert np.isinf(errors[12]).all()
    assert 0.2 < np.isinf(errors[1]).mean() < 0.5 and (errors[1][np.isfinite(errors[1])] < 0.05).mean() > 0.99
