"""Trains the networks of re-rendering.

    python -m apps.rerender.textures --pack people.pack --count 3000 -o data/textures
    accelerate launch apps/rerender/train.py --config configs/rerender/completion.yaml
    python -m apps.rerender.views --pack people.pack --count 500 -o data/views
    accelerate launch apps/rerender/train.py --config configs/rerender/renderer.yaml

Continue a run exactly with --resume; start a new one from weights with --init. docs/rerender.md tells what each cost
and reached.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bodymap.errors import run_command
from bodymap.training.command import read_run, run_parser
from bodymap.training.settings import TrainConfig


@dataclass(frozen=True)
class Config:
    """Everything that decides a run; ``model`` and ``task`` are of their own types, read once torch is there."""

    what: Literal["completion", "renderer"] = "completion"
    model: dict = field(default_factory=dict)
    task: dict = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)


def main() -> None:
    parser = run_parser(Config, __doc__, "runs/rerender_ and what is trained")
    arguments = parser.parse_args()
    config, folder = read_run(Config, arguments, lambda config: f"runs/rerender_{config.what}")

    # -- the slow part --
    from bodymap.training.loop import train
    from bodymap.training.seeding import seed_everything

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
