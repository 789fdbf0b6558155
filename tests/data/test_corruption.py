"""Corrupted truth: off switches give the truth back, each mistake is the one it says."""

import torch

from bodymap.data.corruption import CorruptionConfig, corrupt

NOTHING = CorruptionConfig(noise=0, mirrored=0, patch=0, holes=0, empty=0)


def inputs():
    code = torch.rand(2, 3, 1, 1).expand(2, 3, 32, 24).contiguous()
    foreground = torch.ones(2, 32, 24, dtype=torch.bool)
    return code, foreground


def test_without_mistakes_a_constant_code_comes_back():
    code, foreground = inputs()
    out = corrupt(code, foreground, NOTHING)
    torch.testing.assert_close(out[:, :3], code)
    assert (out[:, 3] == 1).all()


def test_mirrored_swaps_left_and_right_only():
    code, foreground = inputs()
    out = corrupt(code, foreground, CorruptionConfig(noise=0, mirrored=1, patch=0, holes=0, empty=0))
    torch.testing.assert_close(out[:, 0], 1 - code[:, 0])
    torch.testing.assert_close(out[:, 1:3], code[:, 1:])


def test_nothing_outside_the_foreground_and_nothing_when_empty():
    code, foreground = inputs()
    foreground[:, :, 12:] = False
    out = corrupt(code, foreground, CorruptionConfig())
    assert (out[..., 12:] == 0).all()
    assert (corrupt(code, foreground, CorruptionConfig(empty=1)) == 0).all()


def test_the_generator_decides():
    code, foreground = inputs()
    a, b, c = (corrupt(code, foreground, CorruptionConfig(), torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
