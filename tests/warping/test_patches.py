"""Holes are filled with the pattern around them."""

import numpy as np
import pytest
import torch

from bodymap.warping.patches import fill_from_patches
from bodymap.warping.pyramid import push_pull


def striped(height=96, width=128, period=16):
    """Vertical stripes, darker below: a pattern that goes on sideways only."""
    column = (np.arange(width) // (period // 2)) % 2
    shade = np.where(np.arange(height) < height // 2, 220, 120)
    return np.repeat((shade[:, None] - 80 * column[None])[..., None], 3, -1).astype(np.uint8)


def test_the_pattern_goes_on_and_the_rest_stays():
    photo = striped()
    hole = np.zeros(photo.shape[:2], bool)
    hole[30:70, 50:80] = True
    spoilt = np.where(hole[..., None], np.uint8(255), photo)
    made = fill_from_patches(spoilt, hole)
    assert np.array_equal(made[~hole], photo[~hole])
    error = np.abs(made.astype(float) - photo)[hole].mean()
    known = torch.from_numpy(~hole).float()
    smooth = push_pull(torch.from_numpy(spoilt).float(), known, 12)[0].numpy()
    assert error < 8 < np.abs(smooth - photo)[hole].mean() / 2
    # nothing random is left to chance, and what was in the hole does not matter
    assert np.array_equal(made, fill_from_patches(photo, hole))


def test_large_photos_keep_their_grain():
    rng = np.random.default_rng(0)
    photo = rng.integers(100, 156, (600, 400, 3), dtype=np.uint8)
    hole = np.zeros((600, 400), bool)
    hole[200:400, 100:300] = True
    made = fill_from_patches(photo, hole)
    assert made[hole].std() > 0.7 * photo[hole].std()


def test_nothing_is_copied_from_where_it_may_not_be():
    photo = np.full((80, 120, 3), 100, np.uint8)
    photo[20:60, 80:110] = (255, 0, 0)
    avoid = photo[..., 1] == 0
    hole = np.zeros((80, 120), bool)
    hole[20:60, 30:82] = True
    made = fill_from_patches(photo, hole & ~avoid, avoid)
    assert np.array_equal(made[avoid], photo[avoid])
    assert (made[hole & ~avoid][:, 0] < 180).mean() > 0.95


def test_no_whole_patch_to_copy():
    photo = np.full((40, 40, 3), 90, np.uint8)
    hole = np.ones((40, 40), bool)
    hole[:2] = False
    assert np.abs(fill_from_patches(photo, hole).astype(int) - 90).max() <= 1
    with pytest.raises(ValueError, match="nothing to fill"):
        fill_from_patches(photo, np.ones((40, 40), bool))


def test_a_guess_says_what_is_looked_for():
    rng = np.random.default_rng(2)
    dark, light = (rng.integers(low, low + 60, (120, 40, 1)) for low in (20, 180))
    photo = np.concatenate([dark, np.full((120, 60, 1), 50), light], 1).repeat(3, 2).astype(np.uint8)
    hole = np.zeros(photo.shape[:2], bool)
    hole[20:100, 40:100] = True
    made = fill_from_patches(photo, hole, guess=True)
    assert made[hole].max() < 120  # beside light pixels, too
    assert made[hole].std() > 8
