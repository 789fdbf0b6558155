"""L_geo: how far on the body the prediction lies from the truth, as an expectation under the posterior."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def geodesic_loss(
    log_posterior: Float[Tensor, "n s"],
    target: Int[Tensor, " n"],
    sample_geodesic: Float[Tensor, "s s"],
    weight: Float[Tensor, " n"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over pixels of sum_s p(s) g(s, target), in metres.

    The paper's equation 1 with the argmax, which has no gradient, replaced by the posterior. It costs N x S memory:
    give it a few hundred pixels an image.

    Args:
        log_posterior: over the surface samples (``surface.colour.sample_log_posterior``).
        target: the sample nearest to the true point (``surface.points.nearest_sample``).
        sample_geodesic: metres between samples.
        weight: of each pixel; only ratios matter. None: all alike.
    """
    if len(target) == 0:
        return log_posterior.sum()
    distance = (log_posterior.exp() * sample_geodesic[target]).sum(-1)
    return distance.mean() if weight is None else (distance * weight).sum() / weight.sum().clamp(min=1e-12)
