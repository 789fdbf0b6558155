"""L_sil: the predicted foreground against the true one."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def silhouette_loss(
    logits: Float[Tensor, "batch 1 height width"],
    foreground: Bool[Tensor, "batch height width"],
    bce: float = 1.0,
    judged: Bool[Tensor, "batch height width"] | None = None,
) -> Float[Tensor, ""]:
    """1 - soft IoU, mean over the images, plus ``bce`` times the binary cross entropy of the pixels.

    The IoU balances small people with large; the cross entropy has a gradient where the IoU's is flat (an image that
    is wrong everywhere, or has no person at all).

    Args:
        judged: pixels that count; None: all.
    """
    logits, truth = logits[:, 0].float(), foreground.float()
    p = logits.sigmoid()
    if judged is not None:
        p, truth = p * judged, truth * judged
    intersection = (p * truth).sum((1, 2))
    union = (p + truth - p * truth).sum((1, 2))
    loss = (1 - intersection / union.clamp(min=1e-6)).mean()
    if judged is None:
        return loss + bce * F.binary_cross_entropy_with_logits(logits, truth)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return loss + bce * (entropy * judged).sum() / judged.sum().clamp(min=1)
