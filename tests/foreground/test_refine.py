"""The guided filter against its plain definition, and masks that get cleaner."""

import numpy as np
import torch
import torch.nn.functional as F

from bodymap.foreground.refine import apply_guided, guided_coefficients
from bodymap.tidying import clean_mask
from bodymap.upsampling import sample_smooth


def test_against_least_squares_in_each_window():
    """He et al. 2013: a ridge regression of the matte on the colours in every window, then the mean over windows."""
    rng = np.random.default_rng(0)
    guide, matte = rng.random((3, 9, 8)), rng.random((9, 8))
    radius, eps = 2, 1e-2
    a, b = np.zeros((9, 8, 3)), np.zeros((9, 8))
    for i in range(9):
        for j in range(8):
            window = slice(max(0, i - radius), i + radius + 1), slice(max(0, j - radius), j + radius + 1)
            x, y = guide[:, *window].reshape(3, -1), matte[window].ravel()
            centred = x - x.mean(1, keepdims=True)
            covariance = centred @ centred.T / x.shape[1]
            a[i, j] = np.linalg.solve(covariance + eps * np.eye(3), centred @ (y - y.mean()) / len(y))
            b[i, j] = y.mean() - a[i, j] @ x.mean(1)
    both = np.concatenate([a, b[..., None]], -1)
    expected = np.zeros_like(both)
    for i in range(9):
        for j in range(8):
            window = slice(max(0, i - radius), i + radius + 1), slice(max(0, j - radius), j + radius + 1)
            expected[i, j] = both[window].reshape(-1, 4).mean(0)
    result = guided_coefficients(torch.from_numpy(guide).float(), torch.from_numpy(matte).float(), radius, eps)
    assert np.allclose(result.permute(1, 2, 0).numpy(), expected, atol=1e-4)


def test_a_flat_matte_stays_flat():
    guide = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    for value in (0.0, 1.0):
        coefficients = guided_coefficients(guide, torch.full((20, 20), value))
        assert torch.allclose(apply_guided(coefficients, guide), torch.full((20, 20), value), atol=1e-4)


def test_edges_follow_the_photo():
    """A finger three pixels wide, seen as a blur at a fifth of the resolution, gets its edges back."""
    height, width, factor = 200, 160, 5
    y, x = np.mgrid[0:height, 0:width]
    truth = ((y - 100) ** 2 + (x - 80) ** 2 < 40**2) | ((np.abs(x - 80 - (y - 60) * 0.3) < 6) & (y < 70) & (y > 15))
    rng = np.random.default_rng(0)
    photo = np.where(truth[..., None], [0.8, 0.6, 0.5], [0.3, 0.4, 0.35]) + rng.normal(0, 0.02, (height, width, 3))
    photo = torch.from_numpy(photo).float().permute(2, 0, 1)
    small = F.avg_pool2d(photo[None], factor)[0]
    matte = F.avg_pool2d(torch.from_numpy(truth).float()[None, None], 3 * factor, factor, factor)[0, 0]
    rows = (torch.arange(height) + 0.5) / factor
    columns = (torch.arange(width) + 0.5) / factor
    plain = sample_smooth(matte[None], rows, columns)[0] > 0.5
    guided = apply_guided(sample_smooth(guided_coefficients(small, matte), rows, columns), photo) > 0.5

    def wrong(mask):
        return int((mask.numpy() ^ truth).sum())

    assert wrong(guided) < 0.4 * wrong(plain)


def test_cleaning():
    mask = np.zeros((100, 100), bool)
    mask[20:80, 20:80] = True
    expected = mask.copy()
    mask[40, 40] = False  # a pinhole
    mask[5:7, 5:7] = True  # a speck
    mask[50:60, 50:60] = False  # a true hole, between arm and body
    expected[50:60, 50:60] = False
    mask[90:96, 30:40] = True  # a foot behind a step
    expected[90:96, 30:40] = True
    assert np.array_equal(clean_mask(mask), expected)
    assert not clean_mask(np.zeros((5, 5), bool)).any()
    assert clean_mask(np.ones((5, 5), bool)).all()
