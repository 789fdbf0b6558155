"""The CSE stage's soft loss over surface samples (Neverova et al. 2020, section 3.2)."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def soft_truth(sample_geodesic: Float[Tensor, "s s"], sigma_g: float) -> Float[Tensor, "s s"]:
    """softmax(-g / sigma_g): row t is the distribution that a pixel of sample t should be given.

    Args:
        sample_geodesic: metres between samples; not squared.
        sigma_g: metres; about half the samples' spacing makes the target nearly a single sample.
    """
    return (-sample_geodesic / sigma_g).softmax(-1)


def embedding_loss(
    distance: Float[Tensor, "n s"],
    target: Int[Tensor, " n"],
    truth: Float[Tensor, "s s"],
    sigma_e: float,
    weight: Float[Tensor, " n"] | None = None,
) -> Float[Tensor, ""]:
    """Cross entropy between a pixel's true distribution and softmax(-|e - e_v| / sigma_e), mean over weighted pixels.

    Args:
        distance: between the pixels' embeddings and the samples' (``network.cse.embedding_distance``).
        target: the sample nearest to the true point.
        truth: ``soft_truth``; a table, because the matrices here are the whole cost of the stage's loss.
        sigma_e: the network's ``CSEConfig.sigma``: decoding must use what training used.
        weight: of each pixel (``part_weight``); only ratios matter. None: all alike.
    """
    if len(target) == 0:
        return distance.sum()
    scaled = distance.float() / -sigma_e
    # sum_v t_v (log z - s_v) with sum_v t_v = 1
    loss = scaled.logsumexp(-1) - (truth[target] * scaled).sum(-1)
    return loss.mean() if weight is None else (loss * weight).sum() / weight.sum().clamp(min=1e-12)
