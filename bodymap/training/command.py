"""What every training command shares: its flags, where the run lies, and what is refused before torch is imported."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from bodymap.config import add_config_arguments, config_from_arguments
from bodymap.errors import UserError
from bodymap.training.settings import check_run_folder

Config = TypeVar("Config")

FLAGS = {
    "--steps": "train.steps",
    "--max-minutes": "train.max_minutes",
    "--batch-size": "train.batch_size",
    "--workers": "train.workers",
    "--device": "train.device",
}


def run_parser(
    cls: type, description: str | None, output: str, flags: Mapping[str, str] | None = None
) -> argparse.ArgumentParser:
    """A parser that knows the configuration ``cls`` (with a section ``train``), --output, --resume and --init.

    Args:
        output: what help says of the run's folder where none is given.
        flags: further short flags, as ``config.add_config_arguments`` takes them.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser, cls, {**(flags or {}), **FLAGS})
    parser.add_argument("-o", "--output", metavar="DIR", help=f"the run's folder (default: {output})")
    parser.add_argument("--resume", action="store_true", help="continue the run in --output exactly")
    parser.add_argument(
        "--init", metavar="WEIGHTS", help="start from weights: a name that ships, a folder, a file or a hub id"
    )
    return parser


def read_run(cls: type[Config], arguments: argparse.Namespace, output: Callable[[Config], str]) -> tuple[Config, Path]:
    """The configuration, which a continued run has kept, and the run's folder.

    Args:
        output: the folder of a configuration, where none was given.

    Raises:
        UserError: nothing to continue, a run that would be overwritten, a run without an end, a bad configuration.
    """
    given = arguments.output
    saved = None
    if arguments.resume:
        saved = Path(given or output(cls())) / "config.yaml"
        if not saved.exists():
            raise UserError(f"{saved.parent} holds no run to continue; give its folder with -o.")
    config = config_from_arguments(cls, arguments, saved)
    folder = Path(given or output(config))
    if config.train.steps is None and config.train.max_minutes is None:
        raise UserError("A run needs an end: give --steps or --max-minutes, or set one in the configuration.")
    check_run_folder(folder, arguments.resume)
    return config, folder
