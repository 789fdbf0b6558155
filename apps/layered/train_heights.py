"""Trains the network of heights, which corrects where Layered-BodyMap puts the lower garment.

    python -m apps.layered.samples matches data/layers -o data/matches
    accelerate launch apps/layered/train_heights.py --config configs/layered/heights/small.yaml --shards data/matches

Several folders are given with commas. Continue a run exactly with --resume; start a new one from weights with --init.
docs/layered.md has what it cost and reached.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from apps.layered.settings import HeightConfig, HeightTaskConfig, LayeredDataConfig
from bodymap.errors import run_command
from bodymap.training.command import read_run, run_parser
from bodymap.training.settings import TrainConfig


@dataclass(frozen=True)
class Config:
    """Everything that decides a run."""

    model: HeightConfig = field(default_factory=HeightConfig)
    data: LayeredDataConfig = field(default_factory=LayeredDataConfig)
    task: HeightTaskConfig = field(default_factory=HeightTaskConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


OUTPUT = "runs/heights"


def main() -> None:
    parser = run_parser(Config, __doc__, OUTPUT)
    parser.add_argument("--shards", metavar="DIR[,DIR]", help="folders of match samples")
    arguments = parser.parse_args()

    if arguments.shards:
        arguments.config_overrides.append(f"data.shards={json.dumps(arguments.shards.split(','))}")
    config, folder = read_run(Config, arguments, lambda _: OUTPUT)

    # -- the slow part --
    from apps.layered.height_task import HeightTask
    from bodymap.training.loop import train
    from bodymap.training.seeding import seed_everything

    seed_everything(config.train.seed)  # the network's first weights, too, are a function of the seed
    task = HeightTask(
        config.model,
        config.data,
        config.task,
        batch_size=config.train.batch_size,
        workers=config.train.workers,
        seed=config.train.seed,
    )
    train(task, config.train, folder, resolved=config, resume=arguments.resume, init=arguments.init)


if __name__ == "__main__":
    run_command(main)
