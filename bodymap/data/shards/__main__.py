"""``python -m bodymap.data.shards``: makes synthetic people and stores them, or checks what is stored."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bodymap.data.shards.index import FORMATS, ShardSettings, sha256, verify_shards
from bodymap.data.shards.writing import write_shards
from bodymap.errors import UserError, run_command


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.verify:
        shards, samples = verify_shards(options.out)
        print(f"{options.out}: {shards} shards, {samples} samples, all whole")
        return 0
    _check(options)

    from bodymap.data.synthetic import Darkroom, SyntheticPeople

    # Other processes and machines open it by its full name
    pack = os.path.abspath(options.pack) if options.pack else None
    settings = ShardSettings(
        pack=sha256(Path(pack)) if pack else "",
        seed=options.seed,
        size=tuple(options.size),
        views_per_person=options.views_per_person,
        split=options.split,
        per_shard=options.per_shard,
        format=options.format,
        device=options.device,
    )
    # Full samples also tell the body under the clothes
    more = {"covered": True} if options.format == "webdataset" else {}
    people = SyntheticPeople(pack, settings.size, settings.seed, settings.views_per_person, settings.split, more)
    make = people.sample if options.device == "cpu" else Darkroom(people, options.device)
    cluster = None
    if options.ray is not None:
        from bodymap.data.shards.cluster import Cluster

        cluster = Cluster(options.ray, options.workers, files={pack: settings.pack} if pack else {})
    write_shards(
        make,
        options.count,
        options.out,
        settings,
        options.workers,
        say=lambda text: print(text, file=sys.stderr, flush=True),
        cluster=cluster,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.data.shards",
        description="Make synthetic people with exact truth and store them in shards.",
    )
    defaults = ShardSettings()
    parser.add_argument("--pack", help="people pack (default: the small one that ships)")
    parser.add_argument("--count", type=int, help="number of samples")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the people (default: %(default)s)")
    parser.add_argument("-o", "--out", required=True, help="folder; a run that was stopped goes on in it")
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default=defaults.format,
        help="compact arrays, or tars of full samples (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes on this machine (default: %(default)s)")
    parser.add_argument(
        "--ray",
        nargs="?",
        const="auto",
        metavar="ADDRESS",
        help="make the shards on a Ray cluster whose machines share the folder, or on a 'local' one of --workers "
        "processes (default ADDRESS: the cluster that this machine belongs to)",
    )
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
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="what photographs the people whom the workers direct; a GPU's pictures differ from a CPU's in some bytes "
        "(default: %(default)s)",
    )
    parser.add_argument("--verify", action="store_true", help="only check every shard of the folder, make nothing")
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.count is None:
        raise UserError("Say how many samples to make with --count (or --verify to check a folder).")
    for name in ("count", "workers", "views_per_person", "per_shard"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1.")
    if options.seed < 0:
        raise UserError("--seed must not be negative.")
    if min(options.size) < 16:
        raise UserError("--size must be at least 16 x 16.")
    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UserError("--device cuda: torch finds no GPU here; leave --device out.")
    if options.pack is not None and not Path(options.pack).is_file():
        raise UserError(f"The people pack {options.pack} does not exist; leave --pack out to use the small one.")


if __name__ == "__main__":
    run_command(main)
