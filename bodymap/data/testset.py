"""The synthetic test sets, stored: pictures, sequences of frames, and a small reference of the truth.

python -m bodymap.data.testset images -o DIR
python -m bodymap.data.testset sequences -o DIR
python -m bodymap.data.testset reference -o FILE.npz

A folder holds ``testset.json`` and folders of WebDataset shards (``bodymap.data.shards``) of full Samples with the
truth of the covered body: one a test set of pictures, or one a sequence. The same arguments give the same bytes; a run
that was stopped goes on where it was. ``python -m bodymap.evaluate`` reads them.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodymap.errors import UserError, run_command

if TYPE_CHECKING:
    from bodymap.data.shards import ShardDataset
    from bodymap.people import Pack, PeopleConfig
    from bodymap.types import Sample

# Each test picture has one number from here on for its four seeds. Training hashes its indices to 32-bit seeds: one of
# them meets a given test picture's once in tens of thousands of epochs, and even then the other three seeds differ.
FIRST_TEST_SEED = 0xE0000000

RECORD = "testset.json"
_FORMAT, _VERSION = "bodymap-testset", 1
_FRAMES_A_SHARD = 30

# The reference: 16 pictures of the shipped pack
REFERENCE_FIELDS = ("part", "layer", "triangle")
_REFERENCE_SIZE = (128, 96)
_REFERENCE_COUNT = 8  # of each test set


@dataclass(frozen=True)
class TestSet:
    """A set of pictures: its name in folders and JSON, what it is called on the screen, and the split of its assets."""

    name: str
    title: str
    split: str


TEST_SETS: tuple[TestSet, ...] = (
    TestSet("held_out_assets", "held-out assets", "test"),
    TestSet("new_combinations", "new combinations of seen assets", "train"),
)


# ----------------------------------------------------------------------------------------------------------- making
def draw_test_picture(
    which: TestSet, number: int, pack: Pack | None = None, config: PeopleConfig | None = None
) -> Sample:
    """Picture ``number`` of a set, always with somebody in it.

    Args:
        pack: None: the shipped one.  config: None: the defaults.
    """
    from bodymap.people import PeopleConfig, sample

    config = PeopleConfig() if config is None else config
    config = replace(config, scene=replace(config.scene, nobody=0.0))
    seed = FIRST_TEST_SEED + number
    return sample(seed, seed, seed, seed, pack=pack, config=config, split=which.split)


@dataclass(frozen=True)
class Pictures:
    """Index -> Sample of a set's pictures, for ``write_shards``. ``pack``: file, None the shipped one."""

    which: TestSet
    pack: str | None
    size: tuple[int, int]
    first: int = 0

    def __call__(self, index: int) -> Sample:
        from bodymap.people import PeopleConfig

        return draw_test_picture(
            self.which, self.first + index, _pack(self.pack), PeopleConfig(size=self.size, covered=True)
        )


@dataclass(frozen=True)
class Frames:
    """Frame -> Sample of one sequence, for ``write_shards``."""

    name: str
    number: int
    pack: str | None
    size: tuple[int, int]

    def __call__(self, frame: int) -> Sample:
        return _sequence(self).sample(frame)


@functools.lru_cache(maxsize=1)
def _pack(path: str | None) -> Pack:
    from bodymap.people import Pack

    return Pack.load(path)


@functools.lru_cache(maxsize=1)
def _sequence(frames: Frames):
    from bodymap.people import PeopleConfig
    from bodymap.people.sequences import Sequence

    config = PeopleConfig(size=frames.size, covered=True)
    return Sequence(frames.name, frames.number, _pack(frames.pack), config)


def write_pictures(
    folder: str | os.PathLike,
    count: int = 2000,
    size: tuple[int, int] = (512, 384),
    seed: int = 0,
    pack: str | None = None,
    workers: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Stores ``count`` pictures, half of each of TEST_SETS.

    Args:
        size: (height, width).  seed: other pictures for other seeds; those of 0 are what ``evaluate synthetic`` makes.

    Raises:
        UserError: the folder holds something else, or cannot be written to.
    """
    from bodymap.data.shards import write_shards
    from bodymap.files import output_folder

    root, settings = output_folder(folder), _shard_settings(pack, size, seed, 50)
    first = seed * 1_000_000
    counts = {which.name: count // 2 if which.split == "train" else count - count // 2 for which in TEST_SETS}
    record = _about("images", settings) | {"sets": counts}
    _check_folder(root, record)
    for which in TEST_SETS:
        if counts[which.name]:
            make = Pictures(which, pack, size, first)
            there = replace(settings, split=which.split)
            tell = functools.partial(_tell, say, which.title)
            write_shards(make, counts[which.name], root / which.name, there, workers, tell)
    _write_record(root, record)


def write_sequences(
    folder: str | os.PathLike,
    frames: int = 1800,
    size: tuple[int, int] = (512, 512),
    seed: int = 0,
    pack: str | None = None,
    workers: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Stores sequences that have ``frames`` frames together, as many of each kind; a tenth of the 18000 of the full set
    is one of each.

    Args:
        size: (height, width).  seed: other people and scenes for other seeds.

    Raises:
        UserError: fewer frames than kinds of sequences; the folder holds something else, or cannot be written to.
    """
    from bodymap.data.shards import write_shards
    from bodymap.files import output_folder
    from bodymap.people.sequences import FPS

    root, settings = output_folder(folder), _shard_settings(pack, size, seed, _FRAMES_A_SHARD)
    planned = plan_sequences(frames, seed)
    record = _about("sequences", settings) | {"fps": FPS, "sequences": planned}
    _check_folder(root, record)
    for entry in planned:
        make = Frames(entry["name"], entry["number"], pack, size)
        tell = functools.partial(_tell, say, entry["folder"])
        there = replace(settings, seed=entry["number"], split=entry["split"])
        write_shards(make, entry["frames"], root / entry["folder"], there, workers, tell)
    _write_record(root, record)


def plan_sequences(frames: int, seed: int = 0) -> list[dict[str, Any]]:
    """Which sequences have this many frames together: {"folder", "name", "number", "split", "frames"} of each."""
    from bodymap.people.sequences import LENGTH, SEQUENCES, split_of

    kinds = list(SEQUENCES)
    if frames < len(kinds):
        raise UserError(f"There are {len(kinds)} kinds of sequences; --frames must be at least {len(kinds)}.")
    rounds = -(-frames // (LENGTH * len(kinds)))
    share, more = divmod(frames, rounds * len(kinds))
    return [
        {
            "folder": f"{name}_{k:03d}",
            "name": name,
            "number": seed * 1000 + k,
            "split": split_of(name, seed * 1000 + k),
            "frames": share + (k * len(kinds) + i < more),
        }
        for k in range(rounds)
        for i, name in enumerate(kinds)
    ]


def _shard_settings(pack: str | None, size: tuple[int, int], seed: int, per_shard: int):
    from bodymap.data.shards import ShardSettings
    from bodymap.data.shards.index import sha256

    digest = sha256(Path(pack)) if pack else ""
    return ShardSettings(digest, seed, tuple(size), views_per_person=1, per_shard=per_shard, format="webdataset")


def _about(kind: str, settings) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "kind": kind,
        "pack": settings.pack,
        "seed": settings.seed,
        "size": list(settings.size),
    }


def _tell(say: Callable[[str], None], title: str, text: str) -> None:
    say(f"{title}: {text}")


def _check_folder(root: Path, record: dict[str, Any]) -> None:
    """An earlier test set in the folder may only be a shorter or longer one."""
    if not (root / RECORD).is_file():
        return
    theirs = _read_record(root)
    for name in ("kind", "pack", "seed", "size"):
        if theirs.get(name) != record[name]:
            raise UserError(f"{root} holds a test set with another {name}; choose another folder.")


def _write_record(root: Path, record: dict[str, Any]) -> None:
    from bodymap.files import atomic_path

    with atomic_path(root / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


# ---------------------------------------------------------------------------------------------------------- reading
@dataclass(frozen=True)
class StoredSequence:
    """One sequence of a folder: its kind, the split of its assets, and its frames (``frames.sample(k)``)."""

    name: str
    split: str
    frames: ShardDataset


def stored_pictures(folder: str | os.PathLike, which: TestSet) -> ShardDataset | None:
    """A set's pictures (``.sample(k)`` gives a Sample); None where the folder has none of it.

    Raises:
        UserError: there is no finished test set of pictures, or it is damaged.
    """
    from bodymap.data.shards import ShardDataset

    root = Path(folder)
    record = _read_record(root, "images")
    return ShardDataset(root / which.name) if record["sets"].get(which.name) else None


def stored_sequences(folder: str | os.PathLike) -> Iterator[StoredSequence]:
    """The sequences of a folder.

    Raises:
        UserError: there are no finished sequences, or they are damaged.
    """
    from bodymap.data.shards import ShardDataset

    root = Path(folder)
    for entry in _read_record(root, "sequences")["sequences"]:
        yield StoredSequence(entry["name"], entry["split"], ShardDataset(root / entry["folder"]))


def _read_record(root: Path, kind: str | None = None) -> dict[str, Any]:
    from bodymap.files import read_json

    try:
        record = read_json(root / RECORD)
    except FileNotFoundError:
        made = f" {kind}" if kind else ""
        raise UserError(
            f"{root} holds no finished test set; make one with python -m bodymap.data.testset{made} -o {root}."
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{root / RECORD} is damaged ({error}); make the test set again.") from None
    if not isinstance(record, dict) or record.get("format") != _FORMAT or record.get("version") != _VERSION:
        raise UserError(f"{root / RECORD} is not a test set that this version of bodymap can read.")
    if not _is_record(record):
        raise UserError(f"{root / RECORD} is damaged; make the test set again.")
    if kind is not None and record.get("kind") != kind:
        raise UserError(f"{root} holds a test set of {record.get('kind')}, not of {kind}.")
    return record


def _is_record(record: dict[str, Any]) -> bool:
    """Whether a record names its sets, or folders of sequences, as we write them."""
    if record.get("kind") == "images":
        sets = record.get("sets")
        return isinstance(sets, dict) and all(type(count) is int for count in sets.values())
    entries = record.get("sequences")
    texts = ("folder", "name", "split")
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in texts) for entry in entries
    )


# -------------------------------------------------------------------------------------------------------- reference
def reference_samples() -> list[Sample]:
    """The 16 pictures of the reference; some seconds."""
    from bodymap.people import PeopleConfig

    config = PeopleConfig(size=_REFERENCE_SIZE)
    return [draw_test_picture(which, k, _pack(None), config) for which in TEST_SETS for k in range(_REFERENCE_COUNT)]


def reference_arrays(samples: list[Sample]) -> dict[str, np.ndarray]:
    """Their integer truth, (16, H, W) int16 each, by name of REFERENCE_FIELDS."""
    return {name: np.stack([getattr(s, name) for s in samples]).astype(np.int16) for name in REFERENCE_FIELDS}


def write_reference(file: str | os.PathLike) -> None:
    """Stores the truth of ``reference_samples`` as a compressed npz (tests/people/reference.npz)."""
    from bodymap.files import atomic_path

    arrays = reference_arrays(reference_samples())
    with atomic_path(file) as temporary:
        with open(temporary, "wb") as stream:
            np.savez_compressed(stream, **arrays)


# ---------------------------------------------------------------------------------------------------------- command
def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    import torch

    torch.set_num_threads(1)  # sums in another order would change bytes
    if options.command == "reference":
        write_reference(options.out)
        print(f"wrote {options.out}")
        return 0
    if options.pack is not None and not Path(options.pack).is_file():
        raise UserError(f"The people pack {options.pack} does not exist; leave --pack out to use the small one.")
    common = {
        "size": options.size,
        "seed": options.seed,
        "pack": os.path.abspath(options.pack) if options.pack else None,
        "workers": options.workers,
        "say": lambda text: print(text, file=sys.stderr, flush=True),
    }
    if options.command == "images":
        write_pictures(options.out, options.count, **common)
    else:
        write_sequences(options.out, options.frames, **common)
    print(f"wrote {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bodymap.data.testset", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    images = commands.add_parser("images", help="pictures: half of held-out assets, half new combinations of seen ones")
    images.add_argument("--count", type=_positive, default=2000, metavar="N", help="pictures in all (%(default)s)")
    _add_common(images, "512x384")
    sequences = commands.add_parser("sequences", help="sequences of frames with a moving person or camera")
    sequences.add_argument(
        "--frames",
        type=_positive,
        default=1800,
        metavar="N",
        help="frames in all (%(default)s; full set: 18000)",
    )
    _add_common(sequences, "512x512")
    reference = commands.add_parser("reference", help="the integer truth of 16 pictures, which a test compares with")
    reference.add_argument("-o", "--out", required=True, metavar="FILE.npz")
    return parser


def _add_common(parser: argparse.ArgumentParser, size: str) -> None:
    parser.add_argument("-o", "--out", required=True, metavar="DIR", help="a run that was stopped goes on in it")
    parser.add_argument("--size", type=_size, default=size, metavar="HxW", help="height x width (%(default)s)")
    parser.add_argument("--seed", type=_seed, default=0, metavar="S", help="another number, other people (%(default)s)")
    parser.add_argument("--pack", metavar="FILE", help="people pack; without it the small one that ships")
    parser.add_argument("--workers", type=_positive, default=1, metavar="N", help="processes (%(default)s)")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 99")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and 32 <= int(height) <= 4096 and 32 <= int(width) <= 4096):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512x384 (32 to 4096 pixels each)")
    return int(height), int(width)


if __name__ == "__main__":
    run_command(main)
