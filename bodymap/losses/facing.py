"""Which side of the person is towards the camera: front, left, back, right."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def facing_target(facing: Float[Tensor, " batch"]) -> Float[Tensor, "batch 4"]:
    """The angle (radians, 0 front, +pi/2 = the person's left side seen) shared linearly between two directions."""
    directions = torch.arange(4, device=facing.device) * (math.pi / 2)
    difference = torch.remainder(facing[:, None] - directions + math.pi, 2 * math.pi) - math.pi
    return (1 - difference.abs() / (math.pi / 2)).clamp(min=0)


def facing_loss(logits: Float[Tensor, "batch 4"], facing: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Cross entropy with ``facing_target``; images whose angle is unknown (NaN) do not count."""
    known = ~facing.isnan()
    target = facing_target(facing[known].float())
    return F.cross_entropy(logits[known].float(), target, reduction="sum") / known.sum().clamp(min=1)
