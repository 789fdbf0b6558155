"""The loss terms, one file each, and their weighted sum (METHOD 3 and 4).

A term takes just the tensors it needs and gives a scalar; a new one is a file and a line in ``LOSSES``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

from torch import Tensor

from bodymap.errors import UserError
from bodymap.losses.classification import classification_loss
from bodymap.losses.consistency import consistency_loss
from bodymap.losses.cse import embedding_loss
from bodymap.losses.facing import facing_loss
from bodymap.losses.geodesic import geodesic_loss
from bodymap.losses.layer import layer_loss
from bodymap.losses.silhouette import silhouette_loss

LOSSES: dict[str, Callable[..., Tensor]] = {
    "classification": classification_loss,
    "silhouette": silhouette_loss,
    "layer": layer_loss,
    "geodesic": geodesic_loss,
    "consistency": consistency_loss,
    "embedding": embedding_loss,
    "facing": facing_loss,
}


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L = sum_i lambda_i L_i over the terms present.

    Raises:
        UserError: a term without a weight, or a weight whose name is no loss.
    """
    for name in weights:
        if name not in LOSSES:
            near = difflib.get_close_matches(name, LOSSES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose among {', '.join(LOSSES)}."
            raise UserError(f"There is no loss named {name!r}; {hint}")
    for name in terms:
        if name not in weights:
            raise UserError(f"The loss {name!r} has no weight; give it one, or leave the term out.")
    return sum(weights[name] * term for name, term in terms.items())
