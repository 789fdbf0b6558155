"""An analytic template for the network's tests: a sphere with 64 samples, its geodesics and its smoothest functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from support.sizes import PRESETS
from torch import Tensor

from bodymap.network.model import BodyMapNet, build_model


@dataclass(frozen=True)
class Sphere:
    """What the network asks of a template: constants at the samples."""

    positions: Tensor
    sample_code: Tensor
    sample_geodesic: Tensor
    sample_eigenvectors: Tensor
    sample_mirror: Tensor  # any involution will do


def make_sphere(count: int = 64) -> Sphere:
    """A golden spiral of samples on the unit sphere; polynomials up to degree 3 in place of eigenfunctions."""
    index = torch.arange(count, dtype=torch.float64) + 0.5
    z, turn = 1 - 2 * index / count, index * math.pi * (1 + math.sqrt(5))
    radius = (1 - z * z).sqrt()
    x, y = radius * turn.cos(), radius * turn.sin()
    p = torch.stack([x, y, z], dim=1)
    smooth = [x**0, x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1]
    smooth += [x * (x * x - 3 * y * y), y * (3 * x * x - y * y), z * (x * x - y * y), x * y * z]
    geodesic = (p @ p.T).clamp(-1, 1).arccos()
    geodesic.fill_diagonal_(0)
    return Sphere(
        p.float(), ((p + 1) / 2).float(), geodesic.float(), torch.stack(smooth, 1).float(), index.long().flip(0)
    )


@pytest.fixture(scope="session")
def sphere() -> Sphere:
    return make_sphere()


@pytest.fixture()
def tiny(sphere: Sphere) -> BodyMapNet:
    """A fresh ``tiny`` network, the same in every test."""
    torch.manual_seed(0)
    return build_model(PRESETS["tiny"], sphere)
