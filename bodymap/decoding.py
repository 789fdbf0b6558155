"""Scores and evidence of a whole crop -> surface points, in blocks of pixels.

To weigh each of some thousand samples of the template for each pixel takes several times as long as the network itself.
Neighbouring pixels mostly show neighbouring places: here a block of 4 x 4 pixels is first asked which samples could win
anywhere in it, and its pixels weigh only those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.cropping import blocks_of
from bodymap.surface import Template, colour, points

BLOCK = 4  # pixels a side
CANDIDATES = 128  # samples that the pixels of a block weigh
_CORNERS = [0, BLOCK - 1, BLOCK * (BLOCK - 1), BLOCK * BLOCK - 1]
# Blocks whose scores are held at a time. With few, starting kernels would be all that a GPU does
_AT_A_TIME, _AT_A_TIME_GPU = 256, 4096


class Evidence(Protocol):
    """Whatever knows something of where pixels lie on the surface, besides the scores."""

    def __call__(
        self, pixels: Int[Tensor, "block pixel"], samples: Int[Tensor, "block candidate"] | None
    ) -> Float[Tensor, "block pixel candidate"]:
        """Log likelihoods, up to a constant a pixel.

        Args:
            pixels: row * columns + column on the crop.
            samples: which ones are asked for; None: all of the template's, in order.
        """
        ...


def decode_crop(
    t: Template,
    scores: Callable[[Int[Tensor, " n"]], Float[Tensor, "n 3 256"]],
    wanted: Bool[Tensor, "rows columns"],
    evidence: Sequence[Evidence] = (),
    candidates: int = CANDIDATES,
) -> Float[Tensor, "rows columns 4"]:
    """Colour code of the surface point and confidence, in [0, 1], of the pixels that are wanted; elsewhere 0.

    Args:
        scores: of pixels, row * columns + column.
        evidence: the posteriors of all are multiplied (``colour.decode_scores``).
    """
    rows, columns = wanted.shape
    pixels, inside = (torch.from_numpy(one).to(wanted.device) for one in blocks_of(wanted.cpu().numpy(), BLOCK))
    codes = torch.zeros(rows * columns + 1, 4, device=wanted.device)
    size = _AT_A_TIME_GPU if wanted.is_cuda else _AT_A_TIME
    for block in torch.arange(len(pixels), device=wanted.device).split(size):
        place, there = pixels[block], inside[block]

        def says(which: list[int] | slice, samples: Tensor | None, place: Tensor = place) -> Tensor | None:
            return _sum([one(place[:, which], samples) for one in evidence])

        answer = decode_blocks(t, scores(place.flatten()).view(*place.shape, 3, colour.BINS), says, candidates)
        codes[torch.where(there, place, rows * columns).flatten()] = answer
    return codes[:-1].view(rows, columns, 4)


def decode_blocks(
    t: Template,
    scores: Float[Tensor, "block pixel 3 256"],
    says: Callable[[list[int] | slice, Int[Tensor, "block candidate"] | None], Tensor | None],
    candidates: int = CANDIDATES,
) -> Float[Tensor, "n 4"]:
    """Colour code of the surface point and confidence of each pixel, block after block.

    Args:
        says: the sum of all evidence of some of each block's pixels, of some samples (None: all of them); None where
            there is no evidence.
    """
    log_p = scores.float().log_softmax(-1)
    among, unseen = _promising(t, log_p, says(_CORNERS, None), candidates)
    triangle, barycentric, confidence = colour.decode_among(t, log_p, among, says(slice(None), among), unseen)
    return torch.cat([points.code(t, triangle, barycentric), confidence[:, None]], -1)


def _promising(
    t: Template,
    log_p: Float[Tensor, "block pixel 3 256"],
    said: Float[Tensor, "block corner sample"] | None,
    count: int,
) -> tuple[Int[Tensor, "block candidate"], Float[Tensor, " block"]]:
    """The samples that may be the likeliest somewhere in each block, and the others' share of the posterior
    (two of the corners are asked)."""
    # no pixel's score of a sample is above the sum of the highest that its bins have anywhere in the block
    bound = colour.sample_scores(t, log_p.amax(1))
    whole = colour.sample_scores(t, log_p[:, _CORNERS[::3]])
    if said is not None:
        bound += (said - said.amax(-1, keepdim=True)).amax(1)  # a constant a pixel is open
        whole = (whole + said[:, ::3]) * colour.FUSED_TEMPER
    among = bound.topk(min(count, bound.shape[1])).indices
    seen = whole.softmax(-1).gather(2, among[:, None].expand(-1, 2, -1)).sum(-1)
    return among, 1 - seen.mean(1)


def _sum(terms: Sequence[Tensor]) -> Tensor | None:
    return sum(terms[1:], terms[0]) if terms else None
