"""L_con: predictions of pixels near each other lie near each other on the body, unless their colours differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class PixelPairs:
    """R random foreground pixels and K pixels near each; indices into images of (batch, height, width).

    Attributes:
        batch: the image of each reference.
        reference: row and column.
        near: row and column; equal to the reference's where fewer than K foreground pixels were found.
    """

    batch: Int[Tensor, " r"]
    reference: Int[Tensor, "r 2"]
    near: Int[Tensor, "r k 2"]

    def flat(self, size: Sequence[int]) -> Int[Tensor, " r+r*k"]:
        """Indices into (batch height width) pixels in a row: the references, then the pixels near each in turn."""
        height, width = size
        reference = (self.batch * height + self.reference[:, 0]) * width + self.reference[:, 1]
        near = (self.batch[:, None] * height + self.near[..., 0]) * width + self.near[..., 1]
        return torch.cat([reference, near.flatten()])


def choose_pairs(
    foreground: Bool[Tensor, "batch height width"],
    count: int = 100,
    neighbours: int = 4,
    radius: int = 6,
    generator: torch.Generator | None = None,
) -> PixelPairs:
    """``count`` random foreground pixels of the whole batch, and random foreground pixels within ``radius`` of each.

    ``generator`` is a CPU generator whatever the device of ``foreground``; the choice is the same everywhere.
    """
    place = foreground.nonzero()
    if len(place) == 0:
        none = torch.zeros(0, dtype=torch.long, device=foreground.device)
        return PixelPairs(none, none.reshape(0, 2), none.reshape(0, neighbours, 2))
    chosen = place[torch.randint(len(place), (count,), generator=generator).to(place.device)]
    batch, reference = chosen[:, 0], chosen[:, 1:]
    offset = torch.randint(-radius, radius + 1, (count, neighbours, 2), generator=generator).to(place.device)
    near = reference[:, None] + offset
    height, width = foreground.shape[1:]
    near = torch.stack([near[..., 0].clamp(0, height - 1), near[..., 1].clamp(0, width - 1)], dim=-1)
    inside = foreground[batch[:, None], near[..., 0], near[..., 1]]
    return PixelPairs(batch, reference, torch.where(inside[..., None], near, reference[:, None]))


def expected_distance(
    reference: Float[Tensor, "r s"], near: Float[Tensor, "r k s"], sample_geodesic: Float[Tensor, "s s"]
) -> Float[Tensor, "r k"]:
    """E[D_g(p_r, p)] = P_r G P^T in metres, for posteriors (not logarithms) over the surface samples; in float32."""
    with torch.autocast(reference.device.type, enabled=False):
        return torch.einsum("rs,rks->rk", reference.float() @ sample_geodesic, near.float())


def consistency_loss(
    distance: Float[Tensor, "r k"],
    reference_colour: Float[Tensor, "r rgb=3"],
    near_colour: Float[Tensor, "r k rgb=3"],
    sigma_geo: float,
    sigma_col: float = 3.0,
) -> Float[Tensor, ""]:
    """log(1 + exp(D_g / sigma_geo - |p_r - p|_1 / sigma_col)), mean over all pairs (the paper's equation 2).

    Whose colours are compared is the caller's switch: the predicted codes (as printed) or the photograph's (a
    smoothness that yields at edges). They weigh the pair and are not learned: else the printed loss would push codes
    apart.

    Args:
        distance: between the predicted points, metres (``expected_distance``).
        reference_colour, near_colour: in [0, 1].
        sigma_geo: the largest geodesic distance on the body, metres.
        sigma_col: the largest L1 distance between colours.
    """
    if distance.numel() == 0:
        return distance.sum()
    contrast = (reference_colour[:, None] - near_colour).abs().sum(-1).detach()
    return F.softplus(distance / sigma_geo - contrast / sigma_col).mean()
