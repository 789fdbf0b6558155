"""Push-pull: exact at the known, constant stays constant, reach is bounded."""

import torch

from bodymap.warping.pyramid import push_pull


def test_known_values_stay_and_constants_spread():
    generator = torch.Generator().manual_seed(0)
    weight = (torch.rand(37, 50, generator=generator) < 0.1).float()
    values = torch.rand(37, 50, 2, generator=generator)
    filled, reach = push_pull(values, weight, levels=6)
    known = weight == 1
    assert torch.allclose(filled[known], values[known], atol=1e-6) and (reach[known] == 1).all()
    constant, _ = push_pull(torch.full((37, 50, 2), 0.3), weight, levels=6)
    assert torch.allclose(constant, torch.full_like(constant, 0.3), atol=1e-5)


def test_reach_ends():
    weight = torch.zeros(64, 64)
    weight[32, 32] = 1
    _, reach = push_pull(torch.ones(64, 64, 1), weight, levels=2)
    far = torch.ones(64, 64, dtype=torch.bool)
    far[24:41, 24:41] = False
    assert (reach[far] == 0).all() and reach[32, 34] > 0
