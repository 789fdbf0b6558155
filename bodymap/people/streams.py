"""Random streams: each seed opens one independent generator per idea, so that ideas never disturb each other."""

from __future__ import annotations

import zlib

import numpy as np

PATTERNS = 256
TEST_SHARE = 5  # one in five pattern seeds, shapes, ... belongs to the test split


def stream(seed: int, idea: str, split: str = "train") -> np.random.Generator:
    """The generator of one idea ("outfit", "light", ...) of one seed.

    A new idea gets a name of its own instead of more draws from an old stream: that keeps every other idea's bytes.
    """
    # words of 32 bits: an array of them is read faster than a list of numbers, and to the same generator
    words = np.array([zlib.crc32(idea.encode()), int(seed) & 0xFFFFFFFF, 0 if split == "train" else 1], np.uint32)
    return np.random.default_rng(words)


def choose(rng: np.random.Generator, table: dict[str, float]) -> str:
    """A key of ``table``, drawn with its weight (weights need not sum to 1)."""
    weights = np.array(list(table.values()), float)
    # as rng.choice does it, to the bit, without its checks, which cost more than the draw
    sums = (weights / weights.sum()).cumsum()
    return list(table)[int((sums / sums[-1]).searchsorted(rng.random(), side="right"))]


def pattern_seed(rng: np.random.Generator, split: str) -> int:
    """A seed for something procedural (a print, a wall): one in five is never used in training.

    There are few enough (1024 for training) that a process draws each only once.
    """
    number = int(rng.integers(PATTERNS)) * TEST_SHARE
    return number + (TEST_SHARE - 1 if split == "test" else int(rng.integers(TEST_SHARE - 1)))


def of_split(items: tuple, split: str) -> list:
    """The items of a split; all of them where that split has none (a small pack has no test garments)."""
    return [item for item in items if item.split == split] or list(items)
