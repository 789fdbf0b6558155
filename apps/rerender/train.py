"""Trains the networks of re-rendering.

    python -m apps.rerender.textures --pack people.pack --count 3000 -o data/textures
    accelerate launch apps/rerender/train.py --config configs/rerender/completion.yaml
    python -m apps.rerender.views --pack people.pack --count 500 -o data/views
    accelerate launch apps/rerender/train.py --config configs/rerender/renderer.yaml

Continue a run exactly with --resume; start a new one from weights with --init. docs/rerender.md tells what each cost
and reached.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bodymap.config import add_config_arguments, config_from_arguments
from bodymap.errors import UserError, run_command
from bodymap.training.settings import TrainConfig, check_run_folder


@dataclass(frozen=True)
class Config:
    """Everything that decides a run; ``model`` and ``task`` are of their own types, read once torch is there."""

    what: Literal["completion", "renderer"] = "completion"
    model: dict = field(default_factory=dict)
    task: dict = field(default_factory=dict)
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
    parser.add_argument("-o", "--output", metavar="DIR", help="the run's folder (runs/rerender_ and what is trained)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --output exactly")
    parser.add_argument("--init", metavar="WEIGHTS", help="start from weights: a folder, a file or a hub id")
    arguments = parser.parse_args()

    saved = None
    if arguments.resume:
        saved = Path(arguments.output or ".") / "config.yaml"
        if not saved.exists():
            raise UserError(f"{saved.parent} holds no run to continue; give its folder with -o.")
    config = config_from_arguments(Config, arguments, saved)
    folder = Path(arguments.output or f"runs/rerender_{config.what}")
    if config.train.steps is None and config.train.max_minutes is None:
        raise UserError("A run needs an end: give --steps or --max-minutes, or set one in the configuration.")
    check_run_folder(folder, arguments.resume)

    from bodymap.training.loop import seed_everything, train

    seed_everything(config.train.seed)  # the network's first weights, too, are a function of the seed
    train(build_task(config), config.train, folder, resolved=config, resume=arguments.resume, init=arguments.init)


def build_task(config: Config):
    """The task of a configuration."""
    from bodymap.config import from_dict

    if config.what == "completion":
        from apps.rerender.completion import CompletionConfig as Model
        from apps.rerender.completion_task import CompletionTask as Task
        from apps.rerender.completion_task import CompletionTaskConfig as TaskConfig
    else:
        from apps.rerender.renderer import RendererConfig as Model
        from apps.rerender.renderer_task import RendererTask as Task
        from apps.rerender.renderer_task import RendererTaskConfig as TaskConfig
    return Task(
        from_dict(Model, config.model, "model"),
        from_dict(TaskConfig, config.task, "task"),
        batch_size=config.train.batch_size,
        workers=config.train.workers,
        seed=config.train.seed,
    )


if __name__ == "__main__":
    run_command(main)
