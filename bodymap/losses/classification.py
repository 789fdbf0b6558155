"""L_cls: each channel of the colour code as a 256-way classification."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.types import PART_NAMES


def classification_loss(
    scores: Float[Tensor, "n 3 bin"], code: Float[Tensor, "n rgb=3"], weight: Float[Tensor, " n"] | None = None
) -> Float[Tensor, ""]:
    """Cross entropy with the target shared between the two bins around it, mean over channels and weighted pixels.

    With two bins its minimum is the exact value, not the nearest bin's: their expectation is ``code``.

    Args:
        scores: raw scores at N pixels; bin b stands for the value b / (bins - 1).
        code: the true colour code, in [0, 1].
        weight: of each pixel (``part_weight``); only ratios matter. None: all alike.
    """
    if len(scores) == 0:
        return scores.sum()
    log_p = scores.float().log_softmax(-1)
    position = code.float().clamp(0, 1) * (scores.shape[-1] - 1)
    low = position.floor().clamp(max=scores.shape[-1] - 2)
    upper_share = position - low
    at_low = log_p.gather(-1, low.long()[..., None])[..., 0]
    at_high = log_p.gather(-1, low.long()[..., None] + 1)[..., 0]
    loss = -torch.lerp(at_low, at_high, upper_share).mean(-1)
    if weight is None:
        return loss.mean()
    return (loss * weight).sum() / weight.sum().clamp(min=1e-12)


def part_weight(
    part: Int[Tensor, " n"], hand: float = 3.0, head: float = 2.0, foot: float = 3.0
) -> Float[Tensor, " n"]:
    """A weight for each pixel by its body part (index into PART_NAMES): small parts count more than the rest (1)."""
    by_ending = {"hand": hand, "head": head, "foot": foot}
    of_part = [by_ending.get(name.rsplit("_", 1)[-1], 1.0) for name in PART_NAMES]
    return torch.tensor(of_part, device=part.device)[part]
