"""Means over squares at a cost that hardly grows with their size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def window_mean(
    image: Float[Tensor, "*channels height width"],
    size: int,
    border: Literal["inside", "zero", "crop"] = "inside",
) -> Float[Tensor, "*channels rows columns"]:
    """The mean over ``size`` x ``size`` pixels around each one.

    Args:
        size: odd, unless ``border`` is "crop".
        border: of a square that reaches over the picture's: "inside" takes the mean of what lies in the picture, "zero"
            counts what is outside as 0, "crop" leaves the square out, so that the answer is ``size - 1`` smaller each
            way and its first pixel is the mean of the square in the corner.

    Raises:
        ValueError: ``size`` is not positive, or even where a square needs a pixel in its middle.
    """
    if size < 1 or (size % 2 == 0 and border != "crop"):
        raise ValueError(f"size must be a positive{'' if border == 'crop' else ' odd'} number, not {size}.")
    for axis in (-2, -1):
        image = _means(image, size, axis, border)
    return image


def mean_within(
    image: Float[Tensor, "batch c height width"], weight: Float[Tensor, "batch 1 height width"], size: int
) -> Float[Tensor, "batch c height width"]:
    """The mean over ``size`` x ``size`` pixels around each one, of what has ``weight`` only; 0 where nothing has.

    Args:
        weight: >= 0.  size: odd.
    """
    return window_mean(image * weight, size, "zero") / window_mean(weight, size, "zero").clamp_min(1e-6)


def _means(image: Tensor, size: int, axis: int, border: str) -> Tensor:
    if border == "crop":
        return runs(image, size, axis, torch.add) / size
    reach = size // 2
    padded = functional.pad(image, (reach, reach) if axis == -1 else (0, 0, reach, reach))
    if border == "zero":
        return runs(padded, size, axis, torch.add) / size
    length = image.shape[axis]
    at = torch.arange(length, device=image.device)
    count = (at + reach).clamp_max(length - 1) - (at - reach).clamp_min(0) + 1
    return runs(padded, size, axis, torch.add) / (count if axis == -1 else count[:, None])


def runs(image: Tensor, size: int, axis: int, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """All runs of ``size`` neighbours along an axis, each joined to one value; ``size - 1`` shorter.

    Runs of 1, 2, 4, ... neighbours are each made of two of the ones before; those that make up ``size`` are joined.
    Sums lose no digits so, unlike differences of running totals.

    Args:
        join: associative, as torch.add or torch.maximum.
    """
    count = image.shape[axis] - size + 1
    total, begun, width = None, 0, 1
    while True:
        if size & width:
            part = image.narrow(axis, begun, count)
            total = part if total is None else join(total, part)
            begun += width
        if 2 * width > size:
            return total
        rest = image.shape[axis] - width
        image = join(image.narrow(axis, 0, rest), image.narrow(axis, width, rest))
        width *= 2
