"""Run-length masks against codes worked out by hand."""

import numpy as np
import pytest

from bodymap.densepose import rle


def test_by_hand():
    # columns first: 3 x 2 with the pixels (1, 0), (2, 0), (0, 1) set: one 0, three 1, two 0
    mask = np.array([[0, 1], [1, 0], [1, 0]], bool)
    assert rle.encode(mask) == {"size": [3, 2], "counts": "132"}
    assert (rle.decode({"size": [3, 2], "counts": "132"}) == mask).all()
    assert (rle.decode({"size": [3, 2], "counts": [1, 3, 2]}) == mask).all()
    assert rle.encode(np.ones((2, 2), bool))["counts"] == "04"  # starts with a run of no 0


def test_long_and_negative_numbers():
    # 40 = 8 + 1 * 32: a group with the sixth bit, chr(8 + 32 + 48) = "X", then "1"
    assert rle.encode(np.zeros((40, 1), bool))["counts"] == "X1"
    # the fourth run is kept as the difference to the second: 1 - 3 = -2 -> 30 -> "N"
    runs = [2, 3, 1, 1, 1]
    mask = np.repeat(np.arange(5) % 2 == 1, runs)[:, None]
    # the fifth: 1 - 1 = 0
    assert rle.encode(mask)["counts"] == "231N0"


@pytest.mark.parametrize("seed", range(4))
def test_there_and_back(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 80, 2)) < rng.random()
    back = rle.decode(rle.encode(mask))
    assert back.shape == mask.shape and (back == mask).all()


@pytest.mark.parametrize(
    "bad",
    [
        {"counts": "132"},
        {"size": [3, 2], "counts": "1321"},
        {"size": [3, 2], "counts": "13"},
        {"size": [3, 2], "counts": "X"},
        {"size": [3, 2], "counts": "\x01"},
        {"size": [1 << 20, 1 << 20], "counts": [1]},
        {"size": [3, 2], "counts": [7, -1]},
        "132",
    ],
)
def test_damage_is_told(bad):
    with pytest.raises(ValueError, match="mask"):
        rle.decode(bad)
