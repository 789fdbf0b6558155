"""Trains Layered-BodyMap.

    accelerate launch apps/layered/train.py --config configs/layered/small.yaml --shards data/layers -o runs/layered

Folders of shards are made by apps.layered.samples (people of the engine) and apps.layered.simulate (cloth); several are
given with commas. Continue a run exactly with --resume; start a new one from weights with --init. docs/layered.md has
what each run cost and reached.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

from apps.layered.settings import LayeredConfig, LayeredDataConfig, LayeredTaskConfig
from bodymap.config import add_config_arguments, config_from_arguments
from bodymap.data.settings import AugmentConfig
from bodymap.errors import UserError, run_command
from bodymap.training.settings import TrainConfig, check_run_folder


@dataclass(frozen=True)
class Config:
    """Everything that decides a run."""

    model: LayeredConfig = field(default_factory=LayeredConfig)
    data: LayeredDataConfig = field(default_factory=LayeredDataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    task: LayeredTaskConfig = field(default_factory=LayeredTaskConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


FLAGS = {
    "--steps": "train.steps",
    "--max-minutes": "train.max_minutes",
    "--batch-size": "train.batch_size",
    "--workers": "train.workers",
    "--device": "train.device",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser, Config, FLAGS)
    parser.add_argument("--shards", metavar="DIR[,DIR]", help="folders of training pictures")
    parser.add_argument(
        "-o", "--output", default="runs/layered", metavar="DIR", help="the run's folder (default: %(default)s)"
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in --output exactly")
    parser.add_argument("--init", metavar="WEIGHTS", help="start from weights: small, a folder or a file")
    arguments = parser.parse_args()

    folder = Path(arguments.output)
    saved = folder / "config.yaml"
    if arguments.resume and not saved.exists():
        raise UserError(f"{folder} holds no run to continue; give its folder with -o.")
    if arguments.shards:
        arguments.config_overrides.append(f"data.shards={json.dumps(arguments.shards.split(','))}")
    config = config_from_arguments(Config, arguments, saved if arguments.resume else None)
    if config.train.steps is None and config.train.max_minutes is None:
        raise UserError("A run needs an end: give --steps or --max-minutes, or set one in the configuration.")
    check_run_folder(folder, arguments.resume)

    # -- the slow part --
    from apps.layered.task import LayeredTask
    from bodymap.training.loop import seed_everything, train

    seed_everything(config.train.seed)  # the network's first weights, too, are a function of the seed
    task = LayeredTask(
        config.model,
        config.data,
        config.augment,
        config.task,
        batch_size=config.train.batch_size,
        workers=config.train.workers,
        seed=config.train.seed,
    )
    train(task, config.train, folder, resolved=config, resume=arguments.resume, init=arguments.init)


if __name__ == "__main__":
    run_command(main)
