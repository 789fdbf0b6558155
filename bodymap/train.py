"""Trains CSE and BodyMap.

    accelerate launch -m bodymap.train --config configs/bodymap/small.yaml --shards data/people
    python -m bodymap.train --config configs/bodymap/small.yaml --init small --max-minutes 60 -o runs/more

Continue a run exactly with --resume; start a new one from weights with --init (the shipped ones: --init small), or from
foreign weights (the MobileSAM encoder) with --start FILE. docs/training.md has the recipes and what each cost and
reached.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from bodymap.data.settings import AugmentConfig, DataConfig
from bodymap.errors import UserError, run_command
from bodymap.network.config import ModelConfig
from bodymap.training.command import read_run, run_parser
from bodymap.training.settings import TrainConfig


@dataclass(frozen=True)
class Config:
    """Everything that decides a run. ``task`` is a section of its own type, read when torch is there (bodymap.task)."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    task: dict = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)


OUTPUT = "runs/bodymap"


def main() -> None:
    parser = run_parser(Config, __doc__, OUTPUT, {"--shards": "data.shards", "--pack": "data.pack"})
    parser.add_argument(
        "--init-only",
        metavar="PARTS",
        type=lambda text: tuple(text.split(",")),
        default=(),
        help="of --init only these parts of the network: cse, appearance, correspondence, decoder, ...",
    )
    parser.add_argument(
        "--start", metavar="FILE", help="start encoders from foreign weights (MobileSAM, the trial's network)"
    )
    arguments = parser.parse_args()

    if arguments.init and arguments.start:
        raise UserError("--init and --start exclude each other; --init already holds every encoder.")
    if arguments.init_only and not arguments.init:
        raise UserError("--init-only says which parts of --init are taken; give --init too.")
    config, folder = read_run(Config, arguments, lambda _: OUTPUT)
    _train(config, folder, arguments)


def _train(config: Config, folder: Path, arguments: argparse.Namespace) -> None:
    from bodymap.config import from_dict
    from bodymap.task import BodyMapTask, TaskConfig
    from bodymap.training.loop import train
    from bodymap.training.seeding import seed_everything

    seed_everything(config.train.seed)  # the network's first weights, too, are a function of the seed
    task = BodyMapTask(
        config.model,
        config.data,
        config.augment,
        from_dict(TaskConfig, config.task, "task"),
        batch_size=config.train.batch_size,
        workers=config.train.workers,
        seed=config.train.seed,
    )
    if arguments.start and not arguments.resume:
        _start_from(task.model, arguments.start)
    train(
        task,
        config.train,
        folder,
        resolved=config,
        resume=arguments.resume,
        init=arguments.init,
        init_only=arguments.init_only,
    )


def _start_from(model, path: str) -> None:
    from bodymap.files import read_safetensors
    from bodymap.network.pretrained import warm_start

    try:
        tensors = read_safetensors(path)[0]
    except (OSError, ValueError) as error:
        raise UserError(f"The weights {path} cannot be read ({error}).") from None
    for part, report in warm_start(model, tensors).items():
        print(f"{part}: {str(report).splitlines()[0]}")


if __name__ == "__main__":
    run_command(main)
