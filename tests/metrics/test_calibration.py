"""Calibration, against cases worked out by hand."""

import math

import numpy as np
import pytest

from bodymap.metrics import calibration


def error(confidence, correct, bins=10):
    table = calibration.reliability(np.array(confidence, float), np.array(correct, bool), bins)
    return calibration.expected_calibration_error(table)


def test_honest_confidence_has_no_error():
    assert error([0.75] * 4, [True, True, True, False]) == pytest.approx(0)
    assert error([1.0, 1.0, 0.0], [True, True, False]) == pytest.approx(0)


def test_overconfidence_is_its_gap():
    assert error([0.95] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.45)


def test_bins_are_weighed_by_their_matches():
    # three at .95 all right (gap .05), one at .25 right (gap .75)
    assert error([0.95, 0.95, 0.95, 0.25], [True] * 4) == pytest.approx((3 * 0.05 + 0.75) / 4)


def test_bins():
    table = calibration.reliability(np.array([0.0, 0.1, 0.99, 1.0]), np.array([True, False, True, True]), 10)
    assert table.count.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert table.accuracy[9] == 1 and math.isnan(table.accuracy[4])
    assert math.isnan(error([], []))
