"""Many pictures one after the other in bounded memory: whole folders, bad files named and passed over.

    items = gather([Path("photos")], output)
    code = work_through(items, make_work, output)

The next picture is read beside the network, one ahead and no further; a picture's outputs are written before the next
one's begin. What is done already can be left out (``resume``), so that a run that was stopped goes on. ``bodymap.
cluster`` hands the same work to several machines.
"""

from __future__ import annotations

import argparse
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bodymap.errors import UserError, one_line
from bodymap.outputs import place_of

# What is taken from a folder; a file named on the command line may be called anything
PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".jp2")


@dataclass(frozen=True)
class Item:
    """One file to be done: where it lies, and where its outputs go, relative to the output folder, without ending."""

    path: Path
    stem: str


class Work(Protocol):
    """What is done with each file."""

    def read(self, item: Item) -> Any:
        """What can be done beside the network: reading. Raises UserError."""
        ...

    def do(self, item: Item, picture: Any) -> str:
        """Writes the outputs, all or none; returns a line that tells. Raises UserError."""
        ...


# Pickles, so that other processes make their own
MakeWork = Callable[[], Work]


def gather(paths: Sequence[Path], output: Path, endings: Sequence[str] = PICTURE_ENDINGS) -> list[Item]:
    """The files named, and those below the folders named, in the order of their names.

    A folder's subfolders are kept in the outputs' names; what begins with a dot and the output folder are left out.

    Args:
        endings: of the files that are taken from folders.

    Raises:
        UserError: a folder without pictures, or one that is the output folder itself.
    """
    items = []
    for path in paths:
        if not os.path.isdir(path):
            items.append(Item(path, path.stem))
            continue
        if place_of(path) == place_of(output):
            raise UserError(f"The maps would lie among the photos of {path}; choose another output folder.")
        found = [
            Item(file, os.fspath(file.relative_to(path).with_suffix("")))
            for file in _files_below(path, place_of(output))
            if file.suffix.lower() in endings
        ]
        if not found:
            raise UserError(f"There are no photos in {path}; give a folder with {', '.join(endings)} files.")
        items += found
    return items


def _files_below(folder: Path, leave_out: str) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name[0] != "." and os.path.realpath(os.path.join(where, name)) != leave_out
        )
        yield from (Path(where, name) for name in sorted(files) if name[0] != ".")


def add_batch_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of commands that map many pictures."""
    parser.add_argument("--resume", action="store_true", help="leave out what has its maps in DIR already")
    parser.add_argument(
        "--ray",
        nargs="?",
        const="auto",
        metavar="ADDRESS",
        help="map on a Ray cluster whose machines share photos and DIR, or on a 'local' one (default ADDRESS: the "
        "cluster that this machine belongs to)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="processes of --ray (default: one a GPU with --device cuda, else one a machine)",
    )


def check_batch_arguments(options: argparse.Namespace) -> None:
    """Refuses flags that do not go together."""
    if options.workers is not None and (options.ray is None or options.workers < 1):
        raise UserError("--workers goes with --ray, and must be at least 1.")


def attempt(work: Work, item: Item, picture: Any) -> str:
    """``work.do``; a lack of memory, too, is a UserError that names the file.

    Args:
        picture: what ``work.read`` gave, or the UserError that it raised.
    """
    if isinstance(picture, UserError):
        raise picture
    try:
        return work.do(item, picture)
    except MemoryError:
        raise UserError(f"{item.path} needs more memory than there is; scale it down.") from None


def read_ahead(work: Work, items: Iterable[Item], ahead: int = 1) -> Iterator[tuple[Item, Any]]:
    """Each item with its picture, read by a thread of its own; a UserError of reading takes the picture's place.

    Args:
        ahead: pictures that wait at most, besides the one being read and the one in use.
    """
    waiting: queue.Queue = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def put(entry: Any) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def read() -> None:
        for item in items:
            if stopped.is_set():
                return
            try:
                put((item, work.read(item)))
            except UserError as error:
                put((item, error))
            except BaseException as error:  # a fault of ours: it must be raised where it is seen
                return put(error)
        put(None)

    thread = threading.Thread(target=read, name="read_ahead", daemon=True)
    thread.start()
    try:
        while (entry := waiting.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry
            del entry  # the next picture comes before this one is let go otherwise
    finally:
        stopped.set()
        thread.join()


def done_already(items: Sequence[Item], output: Path, endings: Sequence[str]) -> set[Item]:
    """The items of which a file ``<stem><ending>`` is there: each output is complete once its last file is."""
    return {item for item in items if any((output / f"{item.stem}{ending}").is_file() for ending in endings)}


def work_through(
    items: Sequence[Item],
    make: MakeWork,
    skipped: int = 0,
    results: Iterator[tuple[Item, str | UserError]] | None = None,
) -> int:
    """Does one item after the other with a bar that tells the time left; faults are told and passed over.

    Args:
        skipped: how many more were done before.
        results: each item with its line or its fault, in any order, where others do the work; None: it is done here.

    Returns:
        the exit code: 0, or 1 where something could not be done.
    """
    from tqdm import tqdm

    failed = 0
    with tqdm(total=len(items) + skipped, initial=skipped, unit="file", disable=len(items) + skipped < 2) as bar:
        for _, said in results if results is not None else _here(make(), items):
            if isinstance(said, UserError):
                failed += 1
                bar.write(f"error: {one_line(said)}", file=sys.stderr)
            else:
                bar.write(said, file=sys.stdout)
            bar.update()
    if len(items) + skipped > 1:
        already = f", {skipped} were there already" if skipped else ""
        print(f"{len(items) - failed} of {len(items) + skipped} mapped{already}, {failed} failed", file=sys.stderr)
    return int(failed > 0)


def _here(work: Work, items: Sequence[Item]) -> Iterator[tuple[Item, str | UserError]]:
    pictures = read_ahead(work, items)
    try:
        for item, picture in pictures:
            try:
                said: str | UserError = attempt(work, item, picture)
            except UserError as error:
                said = error
            del picture
            yield item, said
    finally:
        pictures.close()
