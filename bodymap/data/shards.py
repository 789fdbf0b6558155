"""Synthetic people on disk: ``python -m bodymap.data.shards --pack people.pack --count 20000 --seed 1 -o DIR``.

A folder of shards holds ``shard-00000.safetensors`` and so on, each a fixed number of compact samples
(``bodymap.data.batch``), and ``index.json``: the settings, and for each finished shard its size and SHA-256. Shards
appear whole or not at all; a run that was stopped goes on where it was, and a training may read the folder while it
grows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodymap.errors import UserError, run_command
from bodymap.files import atomic_path, output_folder, sort_safetensors_header

if TYPE_CHECKING:
    from bodymap.data.batch import Compact

FORMAT = "bodymap-shards"
VERSION = 1
INDEX = "index.json"
# Mapped files kept open by one reader
MAX_OPEN = 64

_DAMAGED = "{} is damaged; run python -m bodymap.data.shards again to repair the folder."


@dataclass(frozen=True)
class ShardSettings:
    """What the samples of a folder are a function of.

    Attributes:
        pack: SHA-256 of the people pack, "" for the one that ships.
        seed, views_per_person, split: as ``SyntheticPeople``.
        size: (height, width) in pixels.
        per_shard: samples a shard.
    """

    pack: str = ""
    seed: int = 0
    size: tuple[int, int] = (256, 192)
    views_per_person: int = 4
    split: str = "train"
    per_shard: int = 64


def shard_name(number: int) -> str:
    return f"shard-{number:05d}.safetensors"


# ------------------------------------------------------------------------------------------------------------ writing


def write_shards(
    make: Callable[[int], Compact],
    count: int,
    folder: str | os.PathLike,
    settings: ShardSettings,
    workers: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Writes samples 0 .. count-1 (the last shard may be shorter); finished shards already there are kept.

    Args:
        make: index -> compact sample; must be picklable for more than one worker (``SyntheticPeople.__getitem__``).
        say: takes a line of progress after each shard.

    Raises:
        UserError: the folder holds shards of other settings, or cannot be written to.
    """
    folder = output_folder(folder)
    index = _open_index(folder, settings)
    for leftover in folder.glob(".shard-*"):
        leftover.unlink()  # of a run that was killed
    total = (count + settings.per_shard - 1) // settings.per_shard
    ranges = {n: (n * settings.per_shard, min(count, (n + 1) * settings.per_shard)) for n in range(total)}
    wanted = [n for n in range(total) if not _is_whole(folder, index, n, ranges[n])]
    kept = total - len(wanted)
    if kept:
        say(f"{kept} of {total} shards are there already")

    began, made = time.monotonic(), 0
    to_make = sum(ranges[n][1] - ranges[n][0] for n in wanted)
    job = partial(_write_shard, make, folder)
    for number, entry in _run(job, [(n, *ranges[n]) for n in wanted], workers):
        index["shards"][str(number)] = entry
        _write_index(folder, index)
        made += entry["count"]
        speed = made / (time.monotonic() - began)
        say(f"{made} of {to_make} samples  {speed:.2f} samples/s  {(to_make - made) / speed / 60:.1f} min left")


def _run(job: Callable, tasks: list[tuple[int, int, int]], workers: int) -> Iterator[tuple[int, dict[str, Any]]]:
    if workers <= 1:
        for task in tasks:
            yield job(task)
        return
    import multiprocessing

    # spawn: kernels compiled or GPUs opened by this process do not survive a fork
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(job, tasks)


def _write_shard(
    make: Callable[[int], Compact], folder: Path, task: tuple[int, int, int]
) -> tuple[int, dict[str, Any]]:
    """Makes and writes one shard; returns its number and its entry in the index."""
    import numpy as np
    import torch
    from safetensors.numpy import save_file

    from bodymap.data.batch import FIELDS

    # Processes, not threads, share the work
    torch.set_num_threads(1)
    number, start, stop = task
    samples = [make(i) for i in range(start, stop)]
    tensors = {name: np.stack([sample[name] for sample in samples]) for name in FIELDS}
    with atomic_path(folder / shard_name(number)) as temporary:
        save_file(tensors, temporary, {"format": FORMAT, "version": str(VERSION), "first": str(start)})
        sort_safetensors_header(temporary)
        entry = {"count": stop - start, "bytes": temporary.stat().st_size, "sha256": _sha256(temporary)}
    return number, entry


def _open_index(folder: Path, settings: ShardSettings) -> dict[str, Any]:
    if (folder / INDEX).is_file():
        index = read_index(folder)
        ours, theirs = json.loads(json.dumps(asdict(settings))), index["settings"]
        for name, value in ours.items():
            if theirs.get(name) != value:
                raise UserError(
                    f"{folder} holds shards with {name} {theirs.get(name)}, not {value}; choose another folder."
                )
        return index
    return {"format": FORMAT, "version": VERSION, "settings": asdict(settings), "shards": {}}


def _write_index(folder: Path, index: dict[str, Any]) -> None:
    with atomic_path(folder / INDEX) as temporary:
        temporary.write_text(json.dumps(index, indent=1), encoding="utf-8")


def _is_whole(folder: Path, index: dict[str, Any], number: int, span: tuple[int, int]) -> bool:
    entry, file = index["shards"].get(str(number)), folder / shard_name(number)
    return (
        entry is not None
        and entry["count"] == span[1] - span[0]
        and file.is_file()
        and file.stat().st_size == entry["bytes"]
        and _sha256(file) == entry["sha256"]
    )


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ------------------------------------------------------------------------------------------------------------ reading


def read_index(folder: str | os.PathLike) -> dict[str, Any]:
    """The checked content of a folder's index.json.

    Raises:
        UserError: it is missing, damaged, or of another format.
    """
    path = Path(folder) / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no shards; make some with python -m bodymap.data.shards.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); make the shards anew.") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT or index.get("version") != VERSION:
        raise UserError(f"{path} is not an index that this version of bodymap can read.")
    return index


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
        self._open: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self.starts: list[int] = [0]
        self.index: dict[str, Any] = {"shards": {}}
        if self._read_index(strict=True) == 0:
            raise UserError(f"{folder} holds no finished shard yet; wait for the first one.")
        if verify:
            for number in range(len(self.starts) - 1):
                if _sha256(self.folder / shard_name(number)) != self.index["shards"][str(number)]["sha256"]:
                    raise UserError(
                        f"{self.folder / shard_name(number)} is damaged; delete it and make the shards again."
                    )

    def __len__(self) -> int:
        return self.starts[-1]

    def refresh(self) -> int:
        """Looks for new shards; returns the number of samples."""
        return self._read_index(strict=False)

    def _read_index(self, strict: bool) -> int:
        before, self.index = self.index, read_index(self.folder)
        self.settings = ShardSettings(**{**self.index["settings"], "size": tuple(self.index["settings"]["size"])})
        starts = [0]
        while (entry := self.index["shards"].get(str(number := len(starts) - 1))) is not None:
            file = self.folder / shard_name(number)
            size = file.stat().st_size if file.is_file() else None
            if size != entry["bytes"]:
                if not strict:
                    break  # it is being replaced at this moment
                what = "is missing" if size is None else f"has {size} bytes instead of {entry['bytes']}"
                raise UserError(f"{file} {what}; run python -m bodymap.data.shards again to repair the folder.")
            if before["shards"].get(str(number)) != entry:
                self._open.pop(number, None)
            starts.append(starts[-1] + entry["count"])
            if entry["count"] < self.settings.per_shard:
                break  # a shorter shard is the last one
        # Never fewer than before: what was promised stays (the files are still mapped)
        self.starts = max(starts, self.starts, key=lambda s: s[-1])
        return len(self)

    def __getitem__(self, index: int) -> Compact:
        if index >= len(self):
            self.refresh()  # in a worker: the training process has seen new shards already
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = index // self.settings.per_shard
        arrays = self._arrays(number)
        return {name: array[index - self.starts[number]] for name, array in arrays.items()}

    def _arrays(self, number: int) -> dict[str, Any]:
        """The arrays of a shard, mapped from disk, not read."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        arrays = _map_safetensors(self.folder / shard_name(number))
        self._open[number] = arrays
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        return arrays

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def _map_safetensors(file: Path) -> dict[str, Any]:
    """Every tensor of a file as a read-only array over one memory map: a sample costs its own bytes only."""
    import numpy as np

    kinds = {"U8": np.uint8, "I8": np.int8, "I16": np.int16, "F32": np.float32}
    content = np.memmap(file, np.uint8, "r")
    length = int(content[:8].view(np.uint64)[0])
    try:
        header = json.loads(bytes(content[8 : 8 + length]))
        header.pop("__metadata__", None)
        arrays = {}
        for name, entry in header.items():
            start, stop = (8 + length + offset for offset in entry["data_offsets"])
            arrays[name] = content[start:stop].view(kinds[entry["dtype"]]).reshape(entry["shape"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(_DAMAGED.format(f"{file} ({error})")) from None
    return arrays


# ------------------------------------------------------------------------------------------------------------ command


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.data.shards",
        description="Make synthetic people with exact truth and store them in shards.",
    )
    defaults = ShardSettings()
    parser.add_argument("--pack", help="people pack (default: the small one that ships)")
    parser.add_argument("--count", type=int, required=True, help="number of samples")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the people (default: %(default)s)")
    parser.add_argument("-o", "--out", required=True, help="folder; a run that was stopped goes on in it")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=defaults.size,
        metavar=("HEIGHT", "WIDTH"),
        help="pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--split", choices=("train", "test"), default=defaults.split, help="assets (default: %(default)s)"
    )
    parser.add_argument(
        "--views-per-person",
        type=int,
        default=defaults.views_per_person,
        help="default: %(default)s",
    )
    parser.add_argument("--per-shard", type=int, default=defaults.per_shard, help="samples (default: %(default)s)")
    options = parser.parse_args(arguments)
    for name in ("count", "workers", "views_per_person", "per_shard"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1.")
    if options.seed < 0:
        raise UserError("--seed must not be negative.")
    if min(options.size) < 16:
        raise UserError("--size must be at least 16 x 16.")
    if options.pack is not None and not Path(options.pack).is_file():
        raise UserError(f"The people pack {options.pack} does not exist; leave --pack out to use the small one.")

    from bodymap.data.synthetic import SyntheticPeople

    people = SyntheticPeople(options.pack, tuple(options.size), options.seed, options.views_per_person, options.split)
    settings = ShardSettings(
        pack=_sha256(Path(options.pack)) if options.pack else "",
        seed=options.seed,
        size=tuple(options.size),
        views_per_person=options.views_per_person,
        split=options.split,
        per_shard=options.per_shard,
    )
    write_shards(
        people.__getitem__,
        options.count,
        options.out,
        settings,
        options.workers,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    return 0


if __name__ == "__main__":
    run_command(main)
