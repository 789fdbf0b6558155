"""Geodesics for the losses' tests: a circle of 12 samples, whose distances are known by heart."""

import math

import pytest
import torch


@pytest.fixture()
def circle() -> torch.Tensor:
    """(12, 12) metres along a circle of circumference 12: sample i and j are min(|i - j|, 12 - |i - j|) apart."""
    index = torch.arange(12)
    apart = (index[:, None] - index).abs()
    return torch.minimum(apart, 12 - apart).float()


@pytest.fixture()
def circle_functions() -> torch.Tensor:
    """(12, 5) the circle's smoothest functions."""
    angle = torch.arange(12) * (2 * math.pi / 12)
    return torch.stack([torch.ones(12), angle.cos(), angle.sin(), (2 * angle).cos(), (2 * angle).sin()], dim=1)
