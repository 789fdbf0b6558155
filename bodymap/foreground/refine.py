"""Masks at the photo's resolution: edges that follow the photo, no specks, no pinholes.

The guided filter (He, Sun, Tang 2013) fits, in each small window, the matte as a linear function of the photo's
colours; in its fast form (He, Sun 2015) the coefficients are fitted on the small picture and applied to the large one.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

# Pixels of the small picture. Measured by `benchmarks/predict.py masks` on 15 photographs with the first trained
# weights: IoU .937 without, .947 with 2, .956 with 5, .958 with 8. A perfect mask loses .009 with 2 and .015 with 5:
# the better the network's own edges become, the smaller this should be.
RADIUS = 5
EPSILON = 1e-3  # smallest variance of colours that counts as an edge; colours in [0, 1]


def guided_coefficients(
    guide: Float[Tensor, "3 height width"],
    matte: Float[Tensor, "height width"],
    radius: int = RADIUS,
    eps: float = EPSILON,
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


def clean_mask(
    mask: Bool[np.ndarray, "height width"], speck: float = 0.003, pinhole: float = 0.0004
) -> Bool[np.ndarray, "height width"]:
    """Removes patches smaller than ``speck`` of the largest one's area, fills holes smaller than ``pinhole`` of it."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return mask
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    if count > 1:
        mask = (areas >= speck * areas.max())[labels]
    holes, count = ndimage.label(~mask)
    if count:
        sizes = np.bincount(holes.ravel())
        fill = sizes < max(pinhole * areas.max(), 2)
        fill[0] = False
        # a hole at the border is background that the crop cuts off
        border = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
        fill[border] = False
        mask = mask | fill[holes]
    return mask
