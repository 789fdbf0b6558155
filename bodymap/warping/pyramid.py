"""Push-pull: a smooth surface through scattered values, coarse where they are far and exact where they are."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def push_pull(
    values: Float[Tensor, "height width c"], weight: Float[Tensor, "height width"], levels: int
) -> tuple[Float[Tensor, "height width c"], Float[Tensor, "height width"]]:
    """Fills where ``weight`` is 0 from the values around (Gortler et al. 1996, section 3.4).

    Args:
        weight: in [0, 1]; where it is 1 the value stays.
        levels: halvings; values travel about 2^levels pixels, and no further.

    Returns:
        The values, and a reach in [0, 1]: 1 at the known, falling with the distance from it, 0 out of reach.
    """
    colour, reach = push_pull_batch(values.permute(2, 0, 1)[None], weight[None, None], levels)
    return colour[0].permute(1, 2, 0), reach[0, 0]


def push_pull_batch(
    values: Float[Tensor, "batch c height width"], weight: Float[Tensor, "batch 1 height width"], levels: int
) -> tuple[Float[Tensor, "batch c height width"], Float[Tensor, "batch 1 height width"]]:
    """``push_pull`` of many pictures, channel first."""
    value, mass = values * weight, weight
    pyramid = [(value, mass)]
    for _ in range(levels):
        if min(value.shape[-2:]) < 2:
            break
        # odd sizes: the last row and column stand alone in their cell
        pad = (0, value.shape[-1] % 2, 0, value.shape[-2] % 2)
        total = functional.avg_pool2d(functional.pad(mass, pad), 2) * 4
        value = functional.avg_pool2d(functional.pad(value, pad), 2) * 4
        # a coarse cell saturates: full weight from one known pixel on, so that sparse values reach as far as dense ones
        mass = total.clamp(max=1)
        value = value * (mass / total.clamp_min(1e-8))
        pyramid.append((value, mass))

    value, mass = pyramid[-1]
    colour, reach = value / mass.clamp_min(1e-8), mass
    for value, mass in reversed(pyramid[:-1]):
        # interpolate colour times reach, or cells out of reach would darken their neighbours
        both = torch.cat([colour * reach, reach], 1)
        both = functional.interpolate(both, scale_factor=2, mode="bilinear", align_corners=False)
        both = both[..., : value.shape[-2], : value.shape[-1]]
        coarse_reach = both[:, -1:]
        coarse = both[:, :-1] / coarse_reach.clamp_min(1e-8)
        reach = mass + (1 - mass) * coarse_reach
        colour = (value + (1 - mass) * coarse_reach * coarse) / reach.clamp_min(1e-8)
    return colour, reach
