"""From the network's crop to the photo's pixels: surface codes that stay smooth on the body and sharp between limbs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

AGREEMENT = 0.1  # codes that differ by more (largest channel, [0, 1]) lie on different places of the body
_BLOCK = 1 << 15


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
    result, spread = blended(codes, rows, columns)
    torn = torch.nonzero(spread > agreement)[:, 0]
    if len(torn):
        # only positions at a limb's edge take the long way
        result[torn] = one_sided(codes, rows[torn], columns[torn], agreement)
    return result


def blended(
    codes: Float[Tensor, "height width channel"], rows: Float[Tensor, " point"], columns: Float[Tensor, " point"]
) -> tuple[Float[Tensor, "point channel"], Float[Tensor, " point"]]:
    """Bilinear values, and how far the four codes around lie apart (largest channel): ``sample_codes``, where a
    position's four pixels agree."""
    corner, weight, _ = _corners(codes, rows, columns)
    spread = (corner[..., :3].amax(1) - corner[..., :3].amin(1)).amax(-1)
    return (corner * weight[..., None]).sum(1), spread


def one_sided(
    codes: Float[Tensor, "height width channel"],
    rows: Float[Tensor, " point"],
    columns: Float[Tensor, " point"],
    agreement: float = AGREEMENT,
) -> Float[Tensor, "point channel"]:
    """``sample_codes`` where a position's four pixels do not agree."""
    corner, weight, (top, left, dy, dx) = _corners(codes, rows, columns)
    steps = torch.arange(-1, 3, device=codes.device)
    offsets = torch.cartesian_prod(steps, steps)
    around = _neighbours(codes, top, left, offsets)
    squared = (offsets[:, 0] - dy[:, None]) ** 2 + (offsets[:, 1] - dx[:, None]) ** 2
    kernel = torch.exp(-squared / (2 * 0.7**2))
    differs = (corner[:, :, None, :3] - around[:, None, :, :3]).abs().amax(-1)
    same = differs <= agreement
    support = (same * kernel[:, None]).sum(-1)
    side = support.argmax(1)[:, None, None].expand(-1, 1, 3)
    # bilinear over the agreeing corners keeps the seam to the smooth interior closed; the chosen one always agrees
    agrees = (corner[..., :3] - corner[..., :3].gather(1, side)).abs().amax(-1) <= agreement
    share = (weight + 1e-3) * agrees
    return (corner * (share / share.sum(1, keepdim=True))[..., None]).sum(1)


def _corners(codes: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Values (point, 4, channel) and bilinear weights (point, 4) of the pixels around; the first one's row and column,
    and how far beyond its centre the position lies."""
    height, width = codes.shape[:2]
    # beyond the outermost centres the border continues; without this an extrapolated weight would be negative
    y, x = (rows - 0.5).clamp(0, height - 1), (columns - 0.5).clamp(0, width - 1)
    top, left = y.floor().long(), x.floor().long()
    dy, dx = y - top, x - left
    near = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], device=codes.device)
    weight = torch.stack([(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx], 1)
    return _neighbours(codes, top, left, near), weight, (top, left, dy, dx)


def _neighbours(codes: Tensor, top: Tensor, left: Tensor, offsets: Tensor) -> Tensor:
    height, width = codes.shape[:2]
    r = (top[:, None] + offsets[:, 0]).clamp(0, height - 1)
    c = (left[:, None] + offsets[:, 1]).clamp(0, width - 1)
    return codes.reshape(-1, codes.shape[-1])[r * width + c]
