"""Shards made by several machines through Ray (``pip install bodymap[cluster]``): one task a shard.

The machines share the output folder. A task writes its shard under a temporary name and moves it into place; the driver
keeps the index, gives a failed task to another try, and checks that what a machine says it wrote can be seen here.
"""

from __future__ import annotations

import functools
import pickle
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodymap.cluster import LOCAL, connected
from bodymap.data.shards.index import fault, sha256
from bodymap.errors import UserError

if TYPE_CHECKING:
    from bodymap.data.shards.writing import Make, Task


@dataclass(frozen=True)
class Cluster:
    """Where tasks run.

    Attributes:
        address: of a running cluster ("auto": the one that this machine belongs to), or "local": one that is started on
            this machine and ends with the run.
        cpus: of a local cluster.
        attempts: how often a shard is tried.
        files: files that every machine must have, path -> SHA-256 (the people pack).
    """

    address: str = LOCAL
    cpus: int = 1
    attempts: int = 3
    files: Mapping[str, str] = field(default_factory=dict)


def run_tasks(
    make: Make, tasks: list[Task], cluster: Cluster, say: Callable[[str], None]
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Yields each task with its entry in the index, in the order in which they finish.

    Raises:
        UserError: Ray is not installed or not there; a shard failed ``attempts`` times; a machine lacks a file or does
            not share the folder.
    """
    if not tasks:
        return
    with connected(cluster.address, cluster.cpus, "Making shards") as ray:
        yield from _run(ray, make, tasks, cluster, say)


def _run(
    ray: Any, make: Make, tasks: list[Task], cluster: Cluster, say: Callable[[str], None]
) -> Iterator[tuple[Task, dict[str, Any]]]:
    # The driver counts the attempts itself, so that it can say what went wrong
    remote = ray.remote(num_cpus=1, max_retries=0)(_make_shard)
    pickled = ray.cloudpickle.dumps(make)
    waiting, running, failed = list(reversed(tasks)), {}, dict.fromkeys((task.number for task in tasks), 0)
    while waiting or running:
        # Twice the processors: nobody waits for the driver, and a growing cluster sees that there is work
        limit = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while waiting and len(running) < limit:
            task = waiting.pop()
            running[remote.remote(pickled, task, dict(cluster.files))] = task
        ready, _ = ray.wait(list(running))
        for reference in ready:
            task = running.pop(reference)
            try:
                entry, machine = ray.get(reference)
            except ray.exceptions.RayError as error:
                cause = getattr(error, "cause", None) or error
                if isinstance(cause, UserError):
                    raise UserError(str(cause)) from None
                failed[task.number] += 1
                reason = f"{type(cause).__name__}: {str(cause).strip()}".splitlines()[0]
                if failed[task.number] >= cluster.attempts:
                    raise UserError(
                        f"{task.file.name} failed {cluster.attempts} times ({reason}); what is finished is kept."
                    ) from None
                say(f"{task.file.name} failed ({reason}); trying again")
                waiting.append(task)
                continue
            if (what := fault(task.file, entry, deep=False)) is not None:
                raise UserError(
                    f"{task.file}, just made on {machine}, {what} here; --out must be a folder that all machines share."
                )
            yield task, entry


def _make_shard(pickled: bytes, task: Task, files: dict[str, str]) -> tuple[dict[str, Any], str]:
    """Runs on a machine of the cluster: the shard's entry, and the machine's name."""
    for path, expected in files.items():
        _check_file(path, expected)
    if not task.folder.is_dir():
        raise UserError(
            f"{platform.node()} has no folder {task.folder}; --out must be a folder that all machines share."
        )
    return task.run(_unpickled(pickled)), platform.node()


@functools.lru_cache(maxsize=1)
def _unpickled(pickled: bytes) -> Make:
    """One for all tasks of a process: the pack that it opens serves all its shards."""
    return pickle.loads(pickled)


@functools.lru_cache(maxsize=8)
def _check_file(path: str, expected: str) -> None:
    if not Path(path).is_file():
        raise UserError(f"{platform.node()} has no {path}; every machine must have the pack at the same place.")
    if sha256(Path(path)) != expected:
        raise UserError(f"{path} on {platform.node()} is another file than here; copy the pack to every machine.")
