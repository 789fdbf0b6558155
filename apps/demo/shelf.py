"""What was worked out is kept while there is room: the thing asked for longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
import torch

T = TypeVar("T")


class Shelf:
    """Values by key, together of at most ``capacity`` bytes of arrays; for one thread at a time."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value kept under the key, or else made now and kept; what ``make`` raises passes through."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key][0]
        value = make()
        self._values[key] = value, bytes_of(value)
        # what is larger than the shelf by itself is handed out, but not kept
        while self._values and self.used > self.capacity:
            self._values.popitem(last=False)
        return value

    @property
    def used(self) -> int:
        return sum(size for _, size in self._values.values())

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)


def bytes_of(value: Any) -> int:
    """Of the arrays and tensors in a record of records; other things are small."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, (tuple, list)):
        return sum(map(bytes_of, value))
    if is_dataclass(value):
        return sum(bytes_of(getattr(value, field.name)) for field in fields(value))
    return 0
