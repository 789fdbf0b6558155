"""Folders of training data: numbered safetensors files beside a record of the settings that decide them.

Each file is a function of the settings and its number, and appears whole or not at all: a run that was stopped goes on
where it was, and a training may read the folder while it grows.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodymap.errors import UserError
from bodymap.files import read_json

if TYPE_CHECKING:
    import torch

_VERSION = 2  # 2: the atlas as it is packed now
Parts = list[dict[str, np.ndarray]]


def write_shelf(
    folder: Path,
    record: str,
    settings: Any,
    make: Callable[[range], Parts],
    count: int,
    per_file: int,
    workers: int = 1,
    quiet: bool = False,
) -> None:
    """Fills the folder with ``count`` people.

    Args:
        record: name of the file of settings.  settings: a dataclass.
        make: numbers of people -> their arrays; must pickle if there are several ``workers`` (processes).

    Raises:
        UserError: the folder holds data of other settings.
    """
    import multiprocessing

    from tqdm import tqdm

    from bodymap.files import atomic_path, output_folder

    root = output_folder(folder)
    about = json.loads(json.dumps({"version": _VERSION, **asdict(settings)}))
    if (root / record).is_file():
        try:
            there = read_json(root / record)
        except (OSError, ValueError) as error:
            raise UserError(f"{root / record} is damaged ({str(error)[:100]}); choose another folder.") from None
        if there != about:
            raise UserError(f"{root} holds data of other settings; choose another folder.")
    else:
        with atomic_path(root / record) as temporary:
            temporary.write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    files = [k for k in range(-(-count // per_file)) if not (root / file_name(k)).is_file()]
    write = functools.partial(_write_file, root=root, make=make, count=count, per_file=per_file)
    with tqdm(total=len(files), desc=str(root), unit="file", disable=quiet) as bar:
        if workers == 1:
            for number in files:
                write(number)
                bar.update()
        else:
            with multiprocessing.get_context("spawn").Pool(workers) as pool:
                for _ in pool.imap_unordered(write, files):
                    bar.update()


def file_name(number: int) -> str:
    """Of a folder's file."""
    return f"{number:05d}.safetensors"


def _write_file(number: int, root: Path, make: Callable[[range], Parts], count: int, per_file: int) -> None:
    import torch
    from safetensors.numpy import save_file

    from bodymap.files import atomic_path

    torch.set_num_threads(1)  # sums in another order would change bytes
    parts = make(range(number * per_file, min(count, (number + 1) * per_file)))
    with atomic_path(root / file_name(number)) as temporary:
        # contiguous: safetensors writes the memory as it lies
        arrays = {name: np.ascontiguousarray(np.concatenate([part[name] for part in parts])) for name in parts[0]}
        save_file(arrays, temporary)


class Shelf:
    """The samples of a folder: index -> tensors by name; a dataset that grows with ``refresh``.

    Raises:
        UserError: there are none.
    """

    RECORD = ""
    COMMAND = ""
    # name -> shape of a sample's arrays, all uint8; a number of the record where a text stands
    ARRAYS: Mapping[str, tuple[int | str, ...]] = {}

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.record = read_json(self.folder / self.RECORD)
        except (OSError, ValueError):
            raise UserError(f"{folder} holds no such data; make some with {self.COMMAND} -o {folder}.") from None
        if not isinstance(self.record, dict) or self.record.get("version") != _VERSION:
            raise UserError(f"{self.folder / self.RECORD} is damaged or of another version; make the data again.")
        sides = [side for shape in self.ARRAYS.values() for side in shape if isinstance(side, str)]
        if any(type(self.record.get(side)) is not int or not 0 < self.record[side] <= 8192 for side in sides):
            raise UserError(f"{self.folder / self.RECORD} is damaged; make the data again.")
        self._files: list = []
        self._starts = [0]
        if not self.refresh():
            raise UserError(f"{folder} holds no finished file yet; wait for the first one.")

    def refresh(self) -> int:
        """Looks for new files; returns the number of samples."""
        from safetensors import SafetensorError, safe_open

        while (file := self.folder / file_name(len(self._files))).is_file():
            try:
                handle = safe_open(file, framework="pt")
                count = self._count(handle)
            except (SafetensorError, OSError, ValueError) as error:
                raise UserError(f"{file} is damaged ({error}); delete it and make it again.") from None
            self._files.append(handle)
            self._starts.append(self._starts[-1] + count)
        return self._starts[-1]

    def _count(self, handle: Any) -> int:
        """How many samples a file holds. Raises ValueError unless its arrays are what they must be."""
        slices = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118 - not a dict
        if set(slices) != set(self.ARRAYS):
            raise ValueError(f"it holds {', '.join(sorted(slices)) or 'nothing'}")
        counts = set()
        for name, shape in self.ARRAYS.items():
            count, *rest = slices[name].get_shape() or [0]
            wanted = [self.record[side] if isinstance(side, str) else side for side in shape]
            if rest != wanted or slices[name].get_dtype() != "U8":
                raise ValueError(f"{name} is {slices[name].get_dtype()} {[count, *rest]}")
            counts.add(count)
        if len(counts) != 1 or not min(counts):
            raise ValueError("its arrays have different lengths, or none")
        return counts.pop()

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        handle, place = self._at(index)
        return {name: handle.get_slice(name)[place] for name in handle.keys()}  # noqa: SIM118 - not a dict

    def get(self, index: int, name: str) -> torch.Tensor:
        """One entry of a sample alone."""
        handle, place = self._at(index)
        return handle.get_slice(name)[place]

    def _at(self, index: int) -> tuple[Any, int]:
        if index >= len(self):
            self.refresh()  # in a worker: the training process has seen new files already
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._files[number], index - self._starts[number]

    def __getstate__(self) -> dict[str, Any]:
        # mapped files do not travel to workers: they open their own
        return {**self.__dict__, "_files": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _files=[], _starts=[0])
        self.refresh()


# ----------------------------------------------------------------------------------------------------------- commands
def add_shelf_arguments(parser: argparse.ArgumentParser) -> None:
    """What the commands that fill such folders share."""
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="a run that was stopped goes on in it")
    parser.add_argument("--count", type=positive, default=2000, metavar="N", help="people (%(default)s)")
    parser.add_argument("--split", choices=("train", "test"), default="train", help="of the assets (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another number, other people (%(default)s)")
    parser.add_argument("--pack", metavar="FILE", help="people pack; without it the small one that ships")
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="processes (%(default)s)")


def pack_digest(pack: str | None) -> str:
    """SHA-256 of a pack; empty for the shipped one.

    Raises:
        UserError: there is no such file.
    """
    if pack is None:
        return ""
    from bodymap.data.shards.index import sha256

    if not Path(pack).is_file():
        raise UserError(f"The people pack {pack} does not exist; leave --pack out to use the small one.")
    return sha256(Path(pack))


def positive(text: str) -> int:
    """An option's whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)
