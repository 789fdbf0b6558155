"""The ``safetensors`` format: a shard is one array a field over all its compact samples, mapped when read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bodymap.data.batch import Compact, compact
from bodymap.data.shards.index import DAMAGED, FORMAT, VERSION
from bodymap.errors import UserError
from bodymap.files import parse_json, sort_safetensors_header
from bodymap.types import Sample

_KINDS = {"U8": np.uint8, "I8": np.int8, "I16": np.int16, "F32": np.float32}


def write(samples: Iterable[Sample | Compact], file: Path, first: int) -> None:
    """Writes a shard; ``first`` is the dataset's index of its first sample.

    Compact samples may hold other fields than ours (an app's own truth), all of them the same.
    """
    from safetensors.numpy import save_file

    parts = [compact(sample) for sample in samples]
    # (safetensors writes the memory as it lies, whatever the strides say)
    tensors = {name: np.ascontiguousarray(np.stack([part[name] for part in parts])) for name in parts[0]}
    save_file(tensors, file, {"format": FORMAT, "version": str(VERSION), "first": str(first)})
    sort_safetensors_header(file)


class ArrayShard:
    """The samples of a shard, mapped from disk, not read: one costs its own bytes only.

    Raises:
        UserError: the file's header is damaged.
    """

    MOST_OPEN = 64

    def __init__(self, file: Path, count: int) -> None:
        self.arrays: dict[str, Any] = {}
        try:
            content = np.memmap(file, np.uint8, "r")
            length = int(content[:8].view(np.uint64)[0])
            header = parse_json(bytes(content[8 : 8 + length]).decode("utf-8"))
            header.pop("__metadata__", None)
            for name, entry in header.items():
                start, stop = (8 + length + offset for offset in entry["data_offsets"])
                self.arrays[name] = content[start:stop].view(_KINDS[entry["dtype"]]).reshape(entry["shape"])
                if len(self.arrays[name]) != count:
                    raise ValueError(f"{len(self.arrays[name])} samples instead of {count}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise UserError(DAMAGED.format(f"{file} ({error})")) from None

    def __getitem__(self, place: int) -> Compact:
        return {name: array[place] for name, array in self.arrays.items()}
