"""Masks at the photo's resolution: edges that follow the photo.

The guided filter (He, Sun, Tang 2013) fits, in each small window, the matte as a linear function of the photo's
colours; in its fast form (He, Sun 2015) the coefficients are fitted on the small picture and applied to the large one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bodymap.tidying import EDGE_EPSILON, EDGE_RADIUS


def guided_coefficients(
    guide: Float[Tensor, "3 height width"],
    matte: Float[Tensor, "height width"],
    radius: int = EDGE_RADIUS,
    eps: float = EDGE_EPSILON,
) -> Float[Tensor, "4 height width"]:
    """a (3 channels) and b of the local linear model ``matte = a . colour + b``, averaged over all windows of a pixel.

    He et al. 2013, equations 14, 15 and 16 (the colour form).
    """

    def mean(x: Tensor) -> Tensor:
        # windows that reach over the border hold fewer pixels: count_include_pad would darken the edge
        return F.avg_pool2d(x[None], 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)[0]

    # float64 on the small picture: E[xx] - E[x]^2 loses half the digits of float32
    guide, p = guide.double(), matte.double()[None]
    mean_i, mean_p = mean(guide), mean(p)
    outer = guide[:, None] * guide[None, :]
    covariance = mean(outer.flatten(0, 1)).view_as(outer) - mean_i[:, None] * mean_i[None, :]
    covariance = covariance.permute(2, 3, 0, 1) + eps * torch.eye(3, dtype=guide.dtype, device=guide.device)
    cross = (mean(guide * p) - mean_i * mean_p).permute(1, 2, 0)
    a = torch.linalg.solve(covariance, cross[..., None])[..., 0].permute(2, 0, 1)
    b = mean_p - (a * mean_i).sum(0, keepdim=True)
    return mean(torch.cat([a, b])).float()


def apply_guided(
    coefficients: Float[Tensor, "4 height width"], photo: Float[Tensor, "3 rows columns"]
) -> Float[Tensor, "rows columns"]:
    """The matte of a large picture from coefficients that were interpolated to its pixels."""
    return ((coefficients[:3] * photo).sum(0) + coefficients[3]).clamp(0, 1)
