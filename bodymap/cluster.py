"""Several machines through Ray (``pip install bodymap[cluster]``), or a local cluster that ends with the run."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bodymap.batch import Item, MakeWork, attempt, done_already
from bodymap.errors import UserError

LOCAL = "local"
# How often a process of the cluster is started anew, and a picture given to another one, before the run ends
_RESTARTS = 2
_AT_ONCE = 4  # pictures that a process is handed together


@contextmanager
def connected(address: str, cpus: int, what: str) -> Iterator[Any]:
    """Ray, joined to the cluster at ``address`` ("auto": the one that this machine belongs to; "local": started here,
    with ``cpus`` processes), and left at the end. A connection that is there already is used and kept.

    Args:
        what: is done, for the sentence that says what Ray is needed for.

    Raises:
        UserError: Ray is not installed, or there is no cluster.
    """
    try:
        import ray
    except ImportError:
        raise UserError(f"{what} on several machines needs Ray; pip install bodymap[cluster].") from None
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address, cpus)
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()  # ends what still runs


def _connect(ray: Any, address: str, cpus: int) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address == LOCAL:
            ray.init(LOCAL, num_cpus=cpus, include_dashboard=False, **quiet)
        else:
            _knock(address)
            ray.init(address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise UserError(
            f"There is no Ray cluster at {address} ({reason}); start one with ray start --head, or use --ray {LOCAL}."
        ) from None


def _knock(address: str) -> None:
    """Ray itself waits for a silent address for more than ten minutes."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "")
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def absolute(
    items: Sequence[Item], options: argparse.Namespace, names: Sequence[str]
) -> tuple[list[Item], argparse.Namespace]:
    """Items and options with full paths: other machines begin in other folders.

    Args:
        names: of the options that are paths, where such a file or folder exists, or shall.
    """
    options = argparse.Namespace(**vars(options))
    for name in names:
        value = getattr(options, name)
        if isinstance(value, Path) or (value is not None and os.path.exists(value)):
            setattr(options, name, type(value)(os.path.abspath(value)))
    return [Item(Path(os.path.abspath(item.path)), item.stem) for item in items], options


def map_items(
    items: Sequence[Item],
    make: MakeWork,
    output: Path,
    endings: Sequence[str],
    address: str,
    workers: int | None,
    gpus: bool,
) -> Iterator[tuple[Item, str | UserError]]:
    """Each item with its line or its fault, in the order in which they finish: Ray Data gives the items to processes
    that make their own work once.

    Args:
        output, endings: the folder that all machines share, and how the last file of an item's outputs ends.
        workers: processes; None: one a GPU, or one a machine.
        gpus: each process gets a GPU of its own.

    Raises:
        UserError: no Ray, no cluster, a process that keeps dying, or a machine that does not share the folder.
    """
    with connected(address, workers or 1, "Mapping") as ray:
        try:
            import ray.data
        except ImportError as error:
            raise UserError(f"Mapping needs Ray Data ({error}); pip install bodymap[cluster].") from None
        # our own bar is enough
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars, context.print_on_execution_start = False, False
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        share = {"num_cpus": 1.0, "num_gpus": 1.0 if gpus else 0.0}
        if workers is None:
            workers = max(1, int(sum(node.get("GPU", 0) for node in nodes))) if gpus else len(nodes)
            if not gpus:
                share["num_cpus"] = min(node.get("CPU", 1) for node in nodes)
        rows = [{"number": k} for k in range(len(items))]
        data = ray.data.from_items(rows, override_num_blocks=max(1, -(-len(items) // _AT_ONCE)))
        with warnings.catch_warnings():
            # the one way to say how often a process is started anew, else for ever; to change with Ray 2.64
            warnings.filterwarnings("ignore", message=".*ray_remote_args")
            data = data.map_batches(
                _Process,
                fn_constructor_args=(make, list(items)),
                batch_size=_AT_ONCE,
                compute=ray.data.ActorPoolStrategy(size=workers),
                ray_remote_args_fn=partial(dict, max_restarts=_RESTARTS, max_task_retries=_RESTARTS),
                **share,
            )
        try:
            for row in data.iter_rows():
                item, said = items[int(row["number"])], str(row["said"])
                if row["failed"]:
                    yield item, UserError(said)
                    continue
                if not done_already([item], output, endings):
                    raise UserError(f"The maps of {item.path} are not in {output} here; all machines must share it.")
                yield item, said
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            reason = (str(cause).strip() or type(cause).__name__).splitlines()[0][:200]
            raise UserError(f"A process of the cluster failed for good ({reason}); --resume goes on.") from None


class _Process:
    """A process of the cluster: one work for all pictures that it is given."""

    def __init__(self, make: MakeWork, items: list[Item]) -> None:
        self.work, self.items = make(), items

    def __call__(self, batch: dict[str, Any]) -> dict[str, list]:
        said, failed = [], []
        for number in batch["number"]:
            item = self.items[int(number)]
            try:
                said.append(attempt(self.work, item, self.work.read(item)))
                failed.append(False)
            except UserError as error:
                said.append(str(error))
                failed.append(True)
        return {"number": list(batch["number"]), "said": said, "failed": failed}
