"""Fills a folder with shards: finished ones are kept, a half-written one is never seen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodymap.data.shards.index import ShardSettings, fault, open_index, sha256, shard_name, write_index
from bodymap.errors import UserError
from bodymap.files import atomic_path, output_folder

if TYPE_CHECKING:
    from bodymap.data.batch import Compact
    from bodymap.data.shards.cluster import Cluster
    from bodymap.types import Sample

# index -> sample; one that has ``many(indices) -> samples`` is asked for a whole shard at once
Make = Callable[[int], "Sample | Compact"]


@dataclass(frozen=True)
class Task:
    """One shard to be made: samples start .. stop-1 of the dataset, into ``folder``.

    Depends on nothing else, so it can be done anywhere, twice, or again.
    """

    number: int
    start: int
    stop: int
    folder: Path
    format: str

    def run(self, make: Make) -> dict[str, Any]:
        """Makes and writes the shard; returns its entry in the index."""
        import torch

        # Processes, not threads, share the work
        torch.set_num_threads(1)
        if self.format == "webdataset":
            from bodymap.data.shards.tar import write
        else:
            from bodymap.data.shards.arrays import write
        indices = range(self.start, self.stop)
        made = make.many(indices) if hasattr(make, "many") else (make(index) for index in indices)
        with atomic_path(self.file) as temporary:
            write(made, temporary, self.start)
            return {"count": self.count, "bytes": temporary.stat().st_size, "sha256": sha256(temporary)}

    @property
    def file(self) -> Path:
        return self.folder / shard_name(self.number, self.format)

    @property
    def count(self) -> int:
        return self.stop - self.start


def write_shards(
    make: Make,
    count: int,
    folder: str | os.PathLike,
    settings: ShardSettings,
    workers: int = 1,
    say: Callable[[str], None] = lambda text: None,
    cluster: Cluster | None = None,
) -> None:
    """Writes samples 0 .. count-1 (the last shard may be shorter); finished shards already there are kept.

    Args:
        make: index -> Sample, or for the safetensors format also a compact one; must be picklable for more than one
            worker (``SyntheticPeople.sample``).
        workers: processes on this machine.
        say: takes a line of progress after each shard.
        cluster: several machines, instead of ``workers``; they must share the folder.

    Raises:
        UserError: the folder holds shards of other settings, or cannot be written to; Ray or a machine fails.
    """
    folder = output_folder(folder).absolute()
    index = open_index(folder, settings)
    for pattern in (".shard-*", ".index-*"):  # of a run that was killed
        for leftover in folder.glob(pattern):
            leftover.unlink(missing_ok=True)
    starts = range(0, count, settings.per_shard)
    tasks = [
        Task(number, start, min(count, start + settings.per_shard), folder, settings.format)
        for number, start in enumerate(starts)
    ]
    wanted = [task for task in tasks if not _is_whole(task, index)]
    if len(wanted) < len(tasks):
        say(f"{len(tasks) - len(wanted)} of {len(tasks)} shards are there already")

    began, made, to_make = time.monotonic(), 0, sum(task.count for task in wanted)
    if cluster is not None:
        from bodymap.data.shards.cluster import run_tasks

        done = run_tasks(make, wanted, cluster, say)
    else:
        done = _run(make, wanted, workers)
    for task, entry in done:
        index["shards"][str(task.number)] = entry
        write_index(folder, index)
        made += task.count
        speed = made / (time.monotonic() - began)
        say(f"{made} of {to_make} samples  {speed:.2f} samples/s  {(to_make - made) / speed / 60:.1f} min left")


def _is_whole(task: Task, index: dict[str, Any]) -> bool:
    entry = index["shards"].get(str(task.number))
    return entry is not None and entry["count"] == task.count and fault(task.file, entry) is None


def _run(make: Make, tasks: list[Task], workers: int) -> Iterator[tuple[Task, dict[str, Any]]]:
    if workers <= 1:
        for task in tasks:
            yield task, task.run(make)
        return
    import multiprocessing

    # spawn: kernels compiled or GPUs opened by this process do not survive a fork
    with multiprocessing.get_context("spawn").Pool(workers, _start, (make,)) as pool:
        yield from pool.imap_unordered(_do, tasks)


_make: Make | None = None  # of a worker process: the pack that it opens serves all its shards


def _start(make: Make) -> None:
    global _make
    _make = make


def _do(task: Task) -> tuple[Task, dict[str, Any]]:
    if _make is None:
        raise UserError("A worker process did not start properly; try again with --workers 1.")
    return task, task.run(_make)
