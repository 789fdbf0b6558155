"""Which layer a pixel shows: background, skin, hair, upper, lower, shoes, carried."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def layer_loss(
    logits: Float[Tensor, "batch layer height width"], layer: Int[Tensor, "batch height width"]
) -> Float[Tensor, ""]:
    """Cross entropy over all pixels; a layer outside the logits' range (-1, 255) is unknown and does not count."""
    known = (layer >= 0) & (layer < logits.shape[1])
    target = layer.long().masked_fill(~known, -1)
    total = F.cross_entropy(logits.float(), target, ignore_index=-1, reduction="sum")
    return total / known.sum().clamp(min=1)
