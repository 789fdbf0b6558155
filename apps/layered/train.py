"""Trains Layered-BodyMap.

    accelerate launch apps/layered/train.py --config configs/layered/small.yaml --shards data/layers -o runs/layered

Folders of shards are made by apps.layered.samples (people of the engine) and apps.layered.simulate (cloth); several are
given with commas. Continue a run exactly with --resume; start a new one from weights with --init. docs/layered.md has
what each run cost and reached.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from apps.layered.settings import LayeredConfig, LayeredDataConfig, LayeredTaskConfig
from bodymap.data.settings import AugmentConfig
from bodymap.errors import run_command
from bodymap.training.command import read_run, run_parser
from bodymap.training.settings import TrainConfig


@dataclass(frozen=True)
class Config:
    """Everything that decides a run."""

    model: LayeredConfig = field(default_factory=LayeredConfig)
    data: LayeredDataConfig = field(default_factory=LayeredDataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    task: LayeredTaskConfig = field(default_factory=LayeredTaskConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


OUTPUT = "runs/layered"


def main() -> None:
    parser = run_parser(Config, __doc__, OUTPUT)
    parser.add_argument("--shards", metavar="DIR[,DIR]", help="folders of training pictures")
    arguments = parser.parse_args()

    if arguments.shards:
        arguments.config_overrides.append(f"data.shards={json.dumps(arguments.shards.split(','))}")
    config, folder = read_run(Config, arguments, lambda _: OUTPUT)

    # -- the slow part --
    from apps.layered.task import LayeredTask
    from bodymap.training.loop import train
    from bodymap.training.seeding import seed_everything

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
