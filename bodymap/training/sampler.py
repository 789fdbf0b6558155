"""Which sample comes when: a pure function of (seed, number of samples seen), for any number of processes and workers.

The samples of a run are counted through: *slot* n is the n-th sample that any process sees. A sampler maps slots to
indices of the dataset; whoever draws random numbers for a sample seeds them with its slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from bodymap.errors import UserError


class Sampler(Protocol):
    """Slot -> index, plus what must be kept to go on."""

    def index(self, slot: int) -> int: ...

    def state(self) -> dict[str, Any]: ...

    def load_state(self, state: dict[str, Any]) -> None: ...


class Forward:
    """Slot n is index n: for data made on the fly, of which there is no end."""

    def index(self, slot: int) -> int:
        return slot

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        pass


class Shuffled:
    """Epoch after epoch in a new random order. The data may grow: call ``grow`` with the slot from which it counts.

    The sizes so far and where they began are the state: with it, the same slots give the same indices elsewhere.
    """

    def __init__(self, size: int, seed: int) -> None:
        if size < 1:
            raise ValueError("there is no data to draw from")
        self.seed = seed
        self.sizes: list[tuple[int, int]] = [(0, size)]  # (first slot, size from there on)

    def grow(self, size: int, slot: int) -> None:
        """From ``slot`` on the data has ``size`` samples; a new round begins there."""
        if size != self.sizes[-1][1] and slot >= self.sizes[-1][0]:
            self.sizes.append((slot, size))

    def index(self, slot: int) -> int:
        start, size = next(entry for entry in reversed(self.sizes) if entry[0] <= slot)
        epoch, position = divmod(slot - start, size)
        return int(_permutation(self.seed, start, epoch, size)[position])

    def state(self) -> dict[str, Any]:
        return {"sizes": [list(entry) for entry in self.sizes]}

    def load_state(self, state: dict[str, Any]) -> None:
        try:
            sizes = [(int(start), int(size)) for start, size in state["sizes"]]
            starts = [start for start, _ in sizes]
            whole = starts[:1] == [0] and starts == sorted(starts) and all(size > 0 for _, size in sizes)
        except (KeyError, TypeError, ValueError, OverflowError):
            whole = False
        if not whole:
            raise UserError(
                "The order of the data in the checkpoint is damaged; start again from the weights of the run."
            )
        self.sizes = sizes


@lru_cache(maxsize=4)
def _permutation(seed: int, start: int, epoch: int, size: int) -> np.ndarray:
    return np.random.default_rng([seed, start, epoch]).permutation(size)


def slots(start: int, batch_size: int, rank: int, world: int) -> Iterator[range]:
    """The slots of each batch of one process: the processes take turns, ``batch_size`` slots each."""
    first = start + rank * batch_size
    while True:
        yield range(first, first + batch_size)
        first += batch_size * world
