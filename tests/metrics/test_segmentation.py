"""Masks, against cases worked out by hand."""

import math

import numpy as np
import pytest

from bodymap.metrics import segmentation


def square(top, left, side, shape=(20, 20)):
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_iou_leak_and_miss():
    truth, mask = square(4, 4, 8), square(4, 8, 8)
    # 32 pixels shared, 64 each
    assert segmentation.mask_iou(mask, truth) == pytest.approx(32 / 96)
    assert segmentation.leak(mask, truth) == segmentation.miss(mask, truth) == pytest.approx(0.5)
    empty = np.zeros((20, 20), bool)
    assert segmentation.mask_iou(empty, truth) == 0 and segmentation.miss(empty, truth) == 1
    assert segmentation.mask_iou(empty, empty) == 1 and math.isnan(segmentation.leak(truth, empty))


def test_boundary_is_the_rim_and_not_the_frame():
    assert segmentation.boundary(square(4, 4, 8)).sum() == 28
    assert segmentation.boundary(np.ones((5, 5), bool)).sum() == 0
    half = np.zeros((6, 6), bool)
    half[:, :3] = True
    assert np.array_equal(np.argwhere(segmentation.boundary(half))[:, 1], np.full(6, 2))


def test_widen_is_a_disc():
    point = square(10, 10, 1)
    assert segmentation.widen(point, 2).sum() == 13
    assert segmentation.widen(point, 0).sum() == 1
    assert segmentation.widen(square(0, 0, 1), 2).sum() == 6  # a quarter of it, with its axes


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (2, 1.0), (12, 0.0)])
def test_boundary_f_within_two_pixels(shift, expected):
    assert segmentation.boundary_f(square(2, 2, 6), square(2, 2 + shift, 6)) == expected


def test_boundary_f_by_hand():
    truth = np.zeros((9, 40), bool)
    truth[:, :20] = True  # its boundary is column 19
    mask = truth.copy()
    mask[5:, :] = False
    mask[5:, :10] = True  # the upper rows agree; in the lower ones the outline is 10 columns off, with a step between
    edge, true_edge = segmentation.boundary(mask), segmentation.boundary(truth)
    rows, columns = np.nonzero(edge)
    # row 4 is rim from column 10 to 19; only columns 17 and more lie within 2 of column 19
    precision = (columns >= 17).mean()
    recall = (np.nonzero(true_edge)[0] <= 6).mean()  # rows 0-4 agree, rows 5 and 6 lie within 2 of (4, 19)
    expected = 2 * precision * recall / (precision + recall)
    assert segmentation.boundary_f(mask, truth) == pytest.approx(expected)
    assert 0 < expected < 1
    assert segmentation.boundary_f(np.zeros_like(mask), truth) == 0
    assert segmentation.boundary_f(np.zeros_like(mask), np.zeros_like(mask)) == 1
