"""Crops lie inside the photo, hold the box, and are nearly square in their pixels; pieces cover everything."""

import numpy as np
import pytest

from bodymap.cropping import crop_of, pieces_of, resized, round_to


def test_crops_of_any_box():
    rng = np.random.default_rng(0)
    for _ in range(500):
        height, width = (int(side) for side in np.exp(rng.uniform(np.log(16), np.log(6000), 2)))
        left, right = np.sort(rng.uniform(0, width, 2))
        top, bottom = np.sort(rng.uniform(0, height, 2))
        box, (rows, columns) = crop_of((left, top, right, bottom), (height, width), 448, 0.12, 3.0, 32)
        assert 0 <= box[0] <= left and right <= box[2] <= width and 0 <= box[1] <= top and bottom <= box[3] <= height
        assert all(isinstance(side, int) for side in (*box, rows, columns))
        assert rows % 32 == 0 and columns % 32 == 0 and 32 <= min(rows, columns) and max(rows, columns) <= 448
        across, down = columns / (box[2] - box[0]), rows / (box[3] - box[1])
        # where the photo has room, pixels stay square up to rounding to its pixels; else up to half a multiple
        slack = 0.5 / min(box[2] - box[0], box[3] - box[1]) + 16 / max(min(rows, columns) - 16, 1)
        room = box[2] - box[0] < width and box[3] - box[1] < height
        if room:
            slack = 1.5 / min(box[2] - box[0], box[3] - box[1])
        if min(rows, columns) > 32:
            assert abs(across / down - 1) <= slack + 0.02


def test_crops_of_small_people_are_enlarged_but_not_endlessly():
    box, shape = crop_of((500, 500, 520, 550), (1000, 1000), 448, 0.1, 3.0, 32)
    assert max(shape) == 192 and box[3] - box[1] == 60


@pytest.mark.parametrize("size", [(224, 224), (512, 512), (224, 2688), (896, 1344), (544, 512)])
def test_pieces_cover_and_overlap(size):
    covered = np.zeros(size, int)
    deepest = np.zeros(size)
    for (left, top, right, bottom), depth in pieces_of(size, 512, 32):
        assert depth.shape == (bottom - top, right - left) and left % 32 == 0 and top % 32 == 0
        assert right <= size[1] and bottom <= size[0] and max(depth.shape) <= 512
        covered[top:bottom, left:right] += 1
        place = slice(top, bottom), slice(left, right)
        deepest[place] = np.maximum(deepest[place], depth)
    assert covered.min() >= 1
    # every place is seen with some surroundings
    assert deepest.min() >= 32


def test_resizing_keeps_centres_and_kinds():
    ramp = np.tile(np.arange(64, dtype=np.float32) + 0.5, (8, 1))
    assert np.allclose(resized(ramp, (4, 32))[:, 2:-2], np.tile(2 * (np.arange(32) + 0.5), (4, 1))[:, 2:-2], atol=0.01)
    picture = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    assert resized(picture, (30, 40)) is picture
    assert resized(picture, (64, 32)).shape == (64, 32, 3) and resized(picture, (64, 32)).dtype == np.uint8
    assert round_to(5, 32) == 32 and round_to(50, 32) == 64
