"""Means over squares against torch's own pooling."""

import pytest
import torch
from torch.nn import functional

from bodymap.warping.windows import mean_within, window_mean


@pytest.mark.parametrize("size", [1, 3, 5, 9, 21])
def test_means_at_the_border(size):
    image, reach = torch.rand(2, 3, 17, 26), size // 2
    for border, inside in (("inside", False), ("zero", True)):
        expected = functional.avg_pool2d(image, size, 1, reach, count_include_pad=inside)
        torch.testing.assert_close(window_mean(image, size, border), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 6, 7, 16])
def test_means_of_whole_squares(size):
    image = torch.rand(3, 17, 26)
    torch.testing.assert_close(
        window_mean(image, size, "crop"), functional.avg_pool2d(image, size, 1), rtol=0, atol=1e-6
    )


def test_a_square_larger_than_the_picture_is_the_mean_of_all():
    image = torch.rand(5, 7)
    torch.testing.assert_close(window_mean(image, 31), image.mean().expand(5, 7))


def test_no_digits_are_lost_far_into_a_picture():
    image = torch.full((4000, 8), 1000.0)
    image[-1] = 1.0
    assert window_mean(image, 3, "crop")[-1, 0] == pytest.approx(2001 / 3, rel=1e-6)


def test_bad_sizes_are_refused():
    for size, border in ((0, "inside"), (-1, "crop"), (4, "zero"), (2, "inside")):
        with pytest.raises(ValueError, match="size must be"):
            window_mean(torch.rand(8, 8), size, border)


def test_the_mean_within_leaves_out_what_has_no_weight() -> None:
    image = torch.full((1, 2, 9, 9), 3.0)
    image[..., 5:] = 100.0
    weight = torch.zeros(1, 1, 9, 9)
    weight[..., :5] = 1.0
    mean = mean_within(image, weight, 3)
    assert torch.allclose(mean[..., :6], torch.tensor(3.0))
    assert not mean[..., 6:].any()
