"""Figures of an exchange on pictures small enough to count by hand."""

import math

import numpy as np
import pytest

from bodymap.metrics.exchange import changed_share, colour_distance, foreign, greatest_change, leak_rate

RED, BLUE = np.array([200, 20, 20], np.uint8), np.array([20, 30, 210], np.uint8)


def plain(colour):
    return np.broadcast_to(colour, (8, 10, 3)).copy()


def test_changes_are_counted_where_they_are():
    before = plain(RED)
    after = before.copy()
    after[0, 0, 1] += 30
    after[7, 9, 2] += 5
    everywhere = np.ones((8, 10), bool)
    assert greatest_change(after, before, everywhere) == 30
    assert changed_share(after, before, everywhere) == pytest.approx(1 / 80)
    assert changed_share(after, before, everywhere, tolerance=4) == pytest.approx(2 / 80)
    inside = everywhere.copy()
    inside[0, 0] = False
    assert greatest_change(after, before, inside) == 5 and changed_share(after, before, inside) == 0
    # differences of bytes do not wrap around
    assert greatest_change(plain([0, 0, 0]).astype(np.uint8), plain([255, 0, 0]).astype(np.uint8), inside) == 255
    assert math.isnan(changed_share(after, before, ~everywhere)) and greatest_change(after, before, ~everywhere) == 0


def test_a_perfect_exchange_leaks_nothing_and_none_at_all_everything():
    before, everywhere = plain(RED), np.ones((8, 10), bool)
    assert leak_rate(plain(BLUE), before, everywhere) == 0 and leak_rate(before, before, everywhere) == 1
    half = before.copy()
    half[:4] = BLUE
    assert leak_rate(half, before, everywhere) == 0.5
    assert math.isnan(leak_rate(before, before, ~everywhere))


def test_colours_that_both_have_tell_nothing():
    picture, everywhere = plain(RED), np.ones((8, 10), bool)
    picture[:2] = BLUE
    assert np.array_equal(foreign(picture, everywhere, RED[None] / 255), np.arange(80).reshape(8, 10) < 20)
    # nearly the same counts as the same, and outside the region nothing counts
    near = (RED[None] + 10) / 255
    assert foreign(picture, everywhere, near).sum() == 20 and not foreign(picture, ~everywhere, near).any()
    assert foreign(picture, everywhere, near[:0]).all()


def test_colours_are_as_far_apart_as_their_histograms():
    rng = np.random.default_rng(0)
    red, blue = (np.clip(rng.normal(c / 255, 0.01, (500, 3)), 0, 1) for c in (RED, BLUE))
    assert colour_distance(red, red[::-1]) == pytest.approx(0, abs=1e-6)
    assert colour_distance(red, blue) > 0.99
    mixed = np.concatenate([red, blue])
    # sum_i sqrt(p_i q_i) of one half in common: sqrt(1 / 2)
    assert colour_distance(mixed, red) == pytest.approx(math.sqrt(1 - math.sqrt(0.5)), abs=0.03)
    assert math.isnan(colour_distance(red, red[:0]))
