"""From the network's crop to the photo's pixels: surface codes that stay smooth on the body and sharp between limbs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

AGREEMENT = 0.1  # codes that differ by more (largest channel, [0, 1]) lie on different places of the body
_BLOCK = 1 << 15


def fill_outside(
    values: Float[np.ndarray, "height width channel"], valid: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width channel"]:
    """Gives each pixel that is not valid the value of the nearest valid one. At least one must be valid."""
    if valid.all():
        return values
    rows, columns = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return values[rows, columns]


def sample_smooth(
    image: Float[Tensor, "channel height width"], rows: Float[Tensor, " row"], columns: Float[Tensor, " column"]
) -> Float[Tensor, "channel row column"]:
    """Bilinear values of an image at a grid of positions (pixel centres at +0.5), the border continued."""
    height, width = image.shape[-2:]
    grid = torch.stack(
        torch.broadcast_tensors((columns / width * 2 - 1)[None, :], (rows / height * 2 - 1)[:, None]), -1
    )
    return F.grid_sample(image[None], grid[None], padding_mode="border", align_corners=False)[0]


def sample_codes(
    codes: Float[Tensor, "height width channel"],
    rows: Float[Tensor, " point"],
    columns: Float[Tensor, " point"],
    agreement: float = AGREEMENT,
) -> Float[Tensor, "point channel"]:
    """Codes at positions (pixel centres at +0.5) between the pixels of a code image.

    Bilinear where the four pixels around a position agree. Where they do not, a limb ends there: the position goes to
    the side that carries more weight in the 4 x 4 pixels around it, which draws the boundary as a smooth curve instead
    of a staircase, and only pixels of that side are averaged: two places never mix into a third one.

    Args:
        codes: the first three channels are the code; further ones (confidence) are averaged along with it.
    """
    blocks = [
        _sample_block(codes, rows[i : i + _BLOCK], columns[i : i + _BLOCK], agreement)
        for i in range(0, len(rows), _BLOCK)
    ]
    return torch.cat(blocks) if blocks else codes.new_zeros(0, codes.shape[-1])


def _sample_block(codes: Tensor, rows: Tensor, columns: Tensor, agreement: float) -> Tensor:
    height, width = codes.shape[:2]
    # beyond the outermost centres the border continues; without this an extrapolated weight would be negative
    y, x = (rows - 0.5).clamp(0, height - 1), (columns - 0.5).clamp(0, width - 1)
    top, left = y.floor().long(), x.floor().long()
    dy, dx = y - top, x - left
    flat = codes.reshape(-1, codes.shape[-1])

    def neighbours(offsets: Tensor) -> Tensor:
        r = (top[:, None] + offsets[:, 0]).clamp(0, height - 1)
        c = (left[:, None] + offsets[:, 1]).clamp(0, width - 1)
        return flat[r * width + c]

    near = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], device=codes.device)
    corner = neighbours(near)
    weight = torch.stack([(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx], 1)
    result = (corner * weight[..., None]).sum(1)
    spread = (corner[..., :3].amax(1) - corner[..., :3].amin(1)).amax(-1)
    torn = torch.nonzero(spread > agreement)[:, 0]
    if len(torn) == 0:
        return result

    # only positions at a limb's edge take the long way
    steps = torch.arange(-1, 3, device=codes.device)
    offsets = torch.cartesian_prod(steps, steps)
    top, left, dy, dx = top[torn], left[torn], dy[torn], dx[torn]
    around = neighbours(offsets)
    squared = (offsets[:, 0] - dy[:, None]) ** 2 + (offsets[:, 1] - dx[:, None]) ** 2
    kernel = torch.exp(-squared / (2 * 0.7**2))
    corner = corner[torn]
    differs = (corner[:, :, None, :3] - around[:, None, :, :3]).abs().amax(-1)
    same = differs <= agreement
    support = (same * kernel[:, None]).sum(-1)
    side = support.argmax(1)
    row = torch.arange(len(torn), device=codes.device)
    # bilinear over the agreeing corners keeps the seam to the smooth interior closed; the chosen one always agrees
    agrees = (corner[..., :3] - corner[row, side][:, None, :3]).abs().amax(-1) <= agreement
    share = (weight[torn] + 1e-3) * agrees
    result[torn] = (corner * (share / share.sum(1, keepdim=True))[..., None]).sum(1)
    return result
