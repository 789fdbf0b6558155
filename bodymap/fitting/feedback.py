"""What a fitted body says to the decoder: near which surface sample each pixel's point should lie.

A body has one left hand, on the left: what the network is in two minds about, the fit often knows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor

from bodymap.errors import UserError
from bodymap.fitting.body import fit_body
from bodymap.people.pack import Pack
from bodymap.surface import Template, colour, points
from bodymap.types import LAYER_NAMES, Correspondence

# A worse fit than this, in shares of the person's size, has misunderstood the map
_WORST = 0.011
_SIGMA = 0.10  # metres along the surface: clothes and the fit's own error
_FLOOR = 0.02  # likelihood of what the fit excludes: it may be wrong anywhere
_WEIGHT = 2.0


def body_samples(
    t: Template, codes: Float[Tensor, "rows columns 4"], mask: Bool[Tensor, "rows columns"], pack: Pack | None = None
) -> Int[Tensor, "rows columns"] | None:
    """For each pixel the template sample that a body fitted to the map has there, or nearest to there.

    Args:
        codes: colour code and confidence of the pixels in ``mask``.

    Returns:
        None where no body explains the map well.
    """
    inside = mask.cpu().numpy()
    c = Correspondence.empty(inside.shape)
    triangle, barycentric = colour.decode_colour(t, codes[mask][:, :3].contiguous())
    c.mask[:] = inside
    c.triangle[inside], c.barycentric[inside] = triangle.cpu().numpy(), barycentric.cpu().numpy()
    c.part[inside] = points.part(t, triangle, barycentric).cpu().numpy()
    c.confidence[inside] = codes[mask][:, 3].clamp(0, 1).cpu().numpy()
    c.layer[inside] = LAYER_NAMES.index("upper")  # what is worn is not known here: anything may stand off
    try:
        fit = fit_body(c, pack)
    except UserError:
        return None
    if fit.spread > _WORST:
        return None
    body = fit.correspondence()
    if not body.mask.any():
        return None
    place = torch.from_numpy(body.triangle[body.mask]).long(), torch.from_numpy(body.barycentric[body.mask])
    sample = np.zeros(inside.shape, np.int64)
    sample[body.mask] = points.nearest_sample(t, *(values.to(t.device) for values in place)).cpu().numpy()
    nearest = ndimage.distance_transform_edt(~body.mask, return_distances=False, return_indices=True)
    return torch.from_numpy(sample[tuple(nearest)]).to(t.device)


def evidence_of_body(
    t: Template, expected: Int[Tensor, "rows columns"]
) -> Callable[[Int[Tensor, "block pixel"], Int[Tensor, "block candidate"] | None], Tensor]:
    """``decoding.Evidence`` of ``body_samples``."""

    def says(pixels: Int[Tensor, "block pixel"], samples: Int[Tensor, "block candidate"] | None) -> Tensor:
        return _WEIGHT * colour.evidence_near(t, expected.flatten()[pixels], _SIGMA, _FLOOR, samples)

    return says
