"""Which layer a pixel shows: background, skin, hair, upper, lower, shoes, carried."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.types import LAYER_NAMES

# Shoes and carried things are a few per cent of a person's pixels, the background most of a picture.
_WEIGHT = {"background": 0.5, "shoes": 4.0, "carried": 2.0}


def layer_weight() -> Float[Tensor, " layer"]:
    """What a pixel of each of LAYER_NAMES counts; 1 where nothing else is said."""
    return torch.tensor([_WEIGHT.get(name, 1.0) for name in LAYER_NAMES])


def layer_loss(
    logits: Float[Tensor, "batch layer height width"],
    layer: Int[Tensor, "batch height width"],
    weight: Float[Tensor, " layer"] | None = None,
) -> Float[Tensor, ""]:
    """Cross entropy, mean over the weighted pixels; a layer outside the logits' range (-1, 255) is unknown and does not
    count.

    Args:
        weight: ``layer_weight``; None: all alike.
    """
    known = (layer >= 0) & (layer < logits.shape[1])
    target = layer.long().masked_fill(~known, -1)
    if weight is not None:
        weight = weight.to(logits.device)
    total = F.cross_entropy(logits.float(), target, weight=weight, ignore_index=-1, reduction="sum")
    count = known if weight is None else weight[layer.long()[known]]
    return total / count.sum().clamp(min=1e-12)
