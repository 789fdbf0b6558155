"""The dataset over a folder of shards of either format, also while the folder grows."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodymap.data.shards.index import INDEX, fault, read_index, settings_of, shard_name
from bodymap.errors import UserError

if TYPE_CHECKING:
    from bodymap.data.batch import Compact
    from bodymap.types import Sample


class ShardDataset:
    """Map-style dataset over a folder of shards; items are compact samples.

    Only shards 0, 1, 2, ... up to the first unfinished one count, so that an index means the same sample for ever, also
    while the folder grows (``refresh``).

    Args:
        verify: compare every shard's checksum at the start (reads everything once).

    Raises:
        UserError: no shards, or one is missing, cut off or (with ``verify``) damaged; names the file.
    """

    def __init__(self, folder: str | os.PathLike, verify: bool = False) -> None:
        self.folder = Path(folder)
        self._open: OrderedDict[int, Any] = OrderedDict()
        self.starts: list[int] = [0]
        self.index: dict[str, Any] = {"shards": {}}
        if self._read_index(strict=True) == 0:
            raise UserError(f"{folder} holds no finished shard yet; wait for the first one.")
        if verify:
            for number in range(len(self.starts) - 1):
                if (what := fault(self._file(number), self.index["shards"][str(number)])) is not None:
                    raise _faulty(self._file(number), what)

    def __len__(self) -> int:
        return self.starts[-1]

    def refresh(self) -> int:
        """Looks for new shards; returns the number of samples."""
        return self._read_index(strict=False)

    def _read_index(self, strict: bool) -> int:
        before, self.index = self.index, read_index(self.folder)
        self.settings = settings_of(self.index, self.folder / INDEX)
        starts = [0]
        while (entry := self.index["shards"].get(str(number := len(starts) - 1))) is not None:
            if (what := fault(self._file(number), entry, deep=False)) is not None:
                if not strict:
                    break  # it is being replaced at this moment
                raise _faulty(self._file(number), what)
            if before["shards"].get(str(number)) != entry:
                self._open.pop(number, None)
            starts.append(starts[-1] + entry["count"])
            if entry["count"] < self.settings.per_shard:
                break  # a shorter shard is the last one
        # Never fewer than before: what was promised stays (the files are still mapped)
        self.starts = max(starts, self.starts, key=lambda s: s[-1])
        return len(self)

    def __getitem__(self, index: int) -> Compact:
        number, place = self._place(index)
        return self._shard(number)[place]

    def sample(self, index: int) -> Sample:
        """The full Sample of an index, with camera, parts and normals.

        Raises:
            UserError: the shards hold compact samples only (format safetensors).
        """
        if self.settings.format != "webdataset":
            raise UserError(f"{self.folder} holds compact samples; make full ones with --format webdataset.")
        number, place = self._place(index)
        return self._shard(number).sample(place)

    def _place(self, index: int) -> tuple[int, int]:
        """(shard, place within it)."""
        if index >= len(self):
            self.refresh()  # in a worker: the training process has seen new shards already
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = index // self.settings.per_shard
        return number, index - self.starts[number]

    def _file(self, number: int) -> Path:
        return self.folder / shard_name(number, self.settings.format)

    def _shard(self, number: int) -> Any:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        if self.settings.format == "webdataset":
            from bodymap.data.shards.tar import TarShard as Shard
        else:
            from bodymap.data.shards.arrays import ArrayShard as Shard
        shard = Shard(self._file(number), self.starts[number + 1] - self.starts[number])
        self._open[number] = shard
        if len(self._open) > Shard.MOST_OPEN:
            self._open.popitem(last=False)
        return shard

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def _faulty(file: Path, what: str) -> UserError:
    return UserError(f"{file} {what}; run python -m bodymap.data.shards again to repair the folder.")
