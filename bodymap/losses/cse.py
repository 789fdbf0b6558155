"""The CSE stage's soft loss over surface samples (Neverova et al. 2020, section 3.2)."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def embedding_loss(
    distance: Float[Tensor, "n s"],
    target: Int[Tensor, " n"],
    sample_geodesic: Float[Tensor, "s s"],
    sigma_e: float,
    sigma_g: float,
) -> Float[Tensor, ""]:
    """Cross entropy between softmax(-g / sigma_g) and softmax(-|e - e_v| / sigma_e), mean over the pixels.

    Args:
        distance: between the pixels' embeddings and the samples' (``network.cse.embedding_distance``).
        target: the sample nearest to the true point.
        sample_geodesic: metres between samples; not squared.
        sigma_e: the network's ``CSEConfig.sigma``: decoding must use what training used.
        sigma_g: metres; about half the samples' spacing makes the target nearly a single sample.
    """
    if len(target) == 0:
        return distance.sum()
    truth = (-sample_geodesic[target] / sigma_g).softmax(-1)
    return -(truth * (-distance.float() / sigma_e).log_softmax(-1)).sum(-1).mean()
