"""Codes between pixels: smooth fields come back exactly, edges stay edges."""

import numpy as np
import torch

from bodymap.tidying import fill_outside
from bodymap.upsampling import sample_codes, sample_smooth


def positions(height, width, factor):
    """All pixels of a picture ``factor`` times as large, in the small picture's coordinates."""
    y, x = torch.meshgrid(torch.arange(height * factor), torch.arange(width * factor), indexing="ij")
    return (y.flatten() + 0.5) / factor, (x.flatten() + 0.5) / factor


def test_a_linear_field_is_reproduced_without_blocks():
    height, width, factor = 20, 15, 5
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    field = torch.stack([0.2 + 0.01 * x, 0.1 + 0.02 * y, 0.5 - 0.01 * x + 0.004 * y, 0.3 + 0.02 * x], -1)
    rows, columns = positions(height, width, factor)
    result = sample_codes(field, rows, columns)
    # beyond the outermost centres the border continues
    r, c = rows.clamp(0.5, height - 0.5), columns.clamp(0.5, width - 0.5)
    truth = torch.stack([0.2 + 0.01 * c, 0.1 + 0.02 * r, 0.5 - 0.01 * c + 0.004 * r, 0.3 + 0.02 * c], -1)
    assert torch.allclose(result, truth, atol=1e-6)


def disc(height, width):
    """Two limbs, one before the other: a disc of one code on another one; the true edge between pixels."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    inside = ((y - height / 2) ** 2 + (x - width / 2) ** 2).sqrt() < height * 0.3
    a, b = torch.tensor([0.2, 0.8, 0.3, 1.0]), torch.tensor([0.7, 0.1, 0.6, 0.5])
    return torch.where(inside[..., None], a, b)


def test_edges_do_not_mix_and_are_smooth():
    small = disc(32, 32)
    factor = 8
    rows, columns = positions(32, 32, factor)
    result = sample_codes(small, rows, columns).view(32 * factor, 32 * factor, 4)
    a, b = small[16, 16], small[0, 0]
    from_a, from_b = (result - a).abs().amax(-1), (result - b).abs().amax(-1)
    assert (torch.minimum(from_a, from_b) < 1e-5).all()  # never a third place
    large = disc(32 * factor, 32 * factor)
    wrong = ((result - large).abs().amax(-1) > 0.1).float().mean()
    nearest = small.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    staircase = ((nearest - large).abs().amax(-1) > 0.1).float().mean()
    assert wrong < 0.6 * staircase


def test_three_limbs_meet():
    field = torch.zeros(4, 4, 4)
    field[:2, :2, 0], field[:2, 2:, 1], field[2:, :, 2] = 1, 1, 1
    rows, columns = positions(4, 4, 6)
    result = sample_codes(field, rows, columns)
    assert torch.isclose(result[:, :3].amax(-1), torch.tensor(1.0), atol=1e-5).all()


def test_fill_and_plain_sampling():
    values = np.zeros((5, 6, 2))
    valid = np.zeros((5, 6), bool)
    values[1, 1], values[4, 5] = (1, 2), (3, 4)
    valid[1, 1] = valid[4, 5] = True
    filled = fill_outside(values, valid)
    assert (filled[0, 0] == (1, 2)).all() and (filled[4, 4] == (3, 4)).all()
    assert fill_outside(values, np.ones_like(valid)) is values
    ramp = torch.arange(8.0).view(1, 1, 8).expand(1, 4, 8).contiguous() + 0.5
    rows, columns = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 2.0, 3.25, 8.0])
    assert torch.allclose(sample_smooth(ramp, rows, columns)[0, 0], torch.tensor([0.5, 2.0, 3.25, 7.5]), atol=1e-5)


def test_nothing_to_sample():
    assert sample_codes(torch.zeros(3, 3, 4), torch.zeros(0), torch.zeros(0)).shape == (0, 4)
