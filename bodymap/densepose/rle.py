"""COCO's run-length masks: column by column, the lengths of the runs of 0 and of 1 in turn, as numbers or as text.

The text holds five bits a character (from character 48 on), the sixth bit says that the number goes on; the lowest
group comes first, the last one carries the sign; from the third number on, the difference to the last but one is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool

_LARGEST = 1 << 28  # pixels; a file must not make us take gigabytes


def decode(rle: dict[str, Any]) -> Bool[np.ndarray, "height width"]:
    """The mask of ``{"size": [height, width], "counts": text or numbers}``.

    Raises:
        ValueError: it is none, or its runs do not fill the size.
    """
    try:
        height, width = (int(side) for side in rle["size"])
        counts = rle["counts"]
        runs = np.array(_numbers(counts) if isinstance(counts, (str, bytes)) else list(counts), np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"a mask that is no run-length code ({str(error)[:60]})") from None
    if height < 0 or width < 0 or height * width > _LARGEST:
        raise ValueError(f"a mask of the impossible size {height} x {width}")
    if runs.ndim != 1 or (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise ValueError("a mask whose runs do not fill its size")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def encode(mask: Bool[np.ndarray, "height width"]) -> dict[str, Any]:
    """The mask as COCO writes it, with the counts as text."""
    flat = np.asarray(mask, bool).T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
    if len(flat) and flat[0]:
        runs.insert(0, 0)
    return {"size": [int(side) for side in mask.shape], "counts": _text(runs)}


def _numbers(text: str | bytes) -> list[int]:
    codes = text if isinstance(text, bytes) else text.encode("ascii")
    runs: list[int] = []
    value = shift = 0
    for code in codes:
        group = code - 48
        if not 0 <= group < 64:
            raise ValueError("a character that does not belong there")
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("the text ends within a number")
    return runs


def _text(runs: list[int]) -> str:
    out = []
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            group = value & 31
            value >>= 5
            # the last group must carry the sign
            if last := value == (-1 if group & 16 else 0):
                out.append(chr(group + 48))
            else:
                out.append(chr((group | 32) + 48))
            if last:
                break
    return "".join(out)
