"""How cameras choose the exposure: by the light in the picture, most of all in its middle and on the person."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_GREY = 0.2  # what the metered mean becomes: linear, where 1 is white paper
_SCALE = 4096  # luminance is summed in integers, so that every device gets the same sum
_BRIGHTEST = 1.5  # lamps and suns count no more than this
_LEAST = 0.004
_WHOLE = 0.01  # a person who covers this share of the picture gets the full weight
_PERSON = 0.72  # that weight
_STRONGEST = 2.6  # stops either way


def meter(
    linear: Float[Tensor, "picture height width rgb=3"],
    subject: Bool[Tensor, "picture height width"],
    strengths: list[float],
) -> list[float]:
    """The gain of each picture that brings what the camera meters to middle grey.

    What is metered is a geometric mean of the subject's and the whole picture's mean luminance, the latter weighted to
    the centre. ``strengths``: share of the correction in stops that is made, 0..1; a night stays darker than a day.
    """
    count, height, width = subject.shape
    device = linear.device
    light = 0.25 * linear[..., 0] + 0.625 * linear[..., 1] + 0.125 * linear[..., 2]
    light = (light.clamp(0, _BRIGHTEST) * _SCALE).to(torch.int64)
    # whole-number weights of rows and columns, 1 at the borders to 4 in the middle
    rows, columns = (
        1 + 3 - (6 * (2 * torch.arange(n, device=device) - (n - 1)).abs()) // (2 * n) for n in (height, width)
    )
    weight = rows[:, None] * columns[None]
    sums = torch.stack(
        [(light * weight).sum((1, 2)), (light * subject).sum((1, 2)), subject.sum((1, 2), dtype=torch.int64)], 1
    ).tolist()
    total = int(weight.sum())
    gains = []
    for (everything, person, pixels), strength in zip(sums, strengths, strict=True):
        mean = max(everything / (_SCALE * total), _LEAST)
        share = _PERSON * min(1.0, pixels / (_WHOLE * height * width))
        own = max(person / (_SCALE * max(pixels, 1)), _LEAST) if pixels else mean
        gain = (_GREY / (own**share * mean ** (1 - share))) ** strength
        gains.append(min(max(gain, 2**-_STRONGEST), 2**_STRONGEST))
    return gains
