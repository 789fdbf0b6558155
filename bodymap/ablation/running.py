"""One row after the other: train, judge, one JSON file each. What is there already is not done again, so a run that was
stopped or killed goes on where it was: a training from its last checkpoint, a table from its last row."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from bodymap.ablation import data, measures
from bodymap.ablation.data import Settings, own_json
from bodymap.ablation.registry import TRAININGS, Row, Table, Training
from bodymap.errors import UserError
from bodymap.evaluation.progress import Progress
from bodymap.evaluation.report import write_json
from bodymap.files import output_folder

CONFIGS = Path(__file__).parents[2] / "configs" / "bodymap"


class Runner:
    """Gets the results of rows, from the folder or by work.

    Args:
        settings: of the whole folder, which is opened (``data.open_folder``).
        say: takes lines of progress.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        data.open_folder(settings)
        self.settings, self.say = settings, say

    @cached_property
    def template(self) -> Any:
        from bodymap.surface import load_template

        return load_template()

    @cached_property
    def pictures(self) -> list:
        return data.test_pictures(self.settings, self.say)

    # ------------------------------------------------------------------------------------------------------- a row

    def result(self, row: Row, table: Table) -> dict:
        """What ``results/<key>.json`` holds: the row, its cost, its figures.

        Raises:
            data.Missing: it needs a file that the user has not named.
            UserError: it was stopped; anything that training and judging raise.
        """
        path = self.settings.folder / "results" / f"{row.key(table.measure)}.json"
        if not path.is_file():
            self._check(row, table)
            cost: dict[str, Any] = {}
            weights: str | Path | None = self.settings.weights
            if row.training is not None:
                self.say(f"table {table.name}, {row.label}: training, {self.settings.budget}")
                weights, cost = self.train(row.training)
            output_folder(path.parent)
            self.say(f"table {table.name}, {row.label}: judging")
            began = time.monotonic()
            figures, parameters = self._judge(row, table, weights)
            record = {
                "row": {"label": row.label, "training": row.training, "how": row.how, "mask": row.mask},
                "seed": self.settings.seed,
                "budget": self.settings.budget if row.training else None,
                "cost": {**cost, "parameters": parameters, "judged_seconds": round(time.monotonic() - began, 1)},
                "figures": figures,
            }
            write_json(record, path)
        return own_json(path)

    def _check(self, row: Row, table: Table) -> None:
        """What is missing is told before anything is trained."""
        if table.measure == "densepose" and not self.settings.adapter:
            raise data.Missing(
                f"Table {table.name} needs --adapter NPZ, which you make of your own files with "
                "python -m bodymap.densepose.adapter (docs/densepose.md)."
            )
        if table.measure == "sequences" and not self.settings.sequences:
            raise data.Missing(
                f"Table {table.name} needs --sequences DIR, made by python -m bodymap.data.testset sequences -o DIR."
            )
        if row.mask == "segmenter" and not self.settings.segmenter:
            raise data.Missing("This row needs --segmenter, such as onnx:FILE or rembg.")

    def _judge(self, row: Row, table: Table, weights: str | Path | None) -> tuple[dict, int]:
        import torch

        from bodymap.ablation.subjects import load_subject

        torch.manual_seed(self.settings.seed)
        subject = load_subject(row, weights, self.template, self.settings.device)
        if table.measure == "sequences":
            figures = measures.on_sequences(subject, self.settings, self.template, self.say)
        elif table.measure == "densepose":
            figures = measures.on_densepose(subject, self.settings, self.say)
        else:
            step = Progress(len(self.pictures), row.label).step
            given = measures.mask_of(row, self.settings) if table.measure == "masks" else None
            figures = measures.on_pictures(subject, self.pictures, self.template, step, given)
        return figures, subject.parameters

    # --------------------------------------------------------------------------------------------------- a training

    def train(self, name: str) -> tuple[Path, dict[str, Any]]:
        """(weights, cost) of a training of TRAININGS, which is begun, continued, or there already.

        Raises:
            UserError: it was told to stop.
        """
        from bodymap.training.loop import train
        from bodymap.training.seeding import seed_everything

        training, folder = TRAININGS[name], self.settings.folder / "runs" / name
        done = folder / "done.json"
        if not done.is_file():
            config = self._config(training)
            seed_everything(config.train.seed)
            task = self._task(training, config)
            resume = (folder / "checkpoint").exists()
            ours = training.kind == "bodymap"
            outcome = train(
                task,
                config.train,
                output_folder(folder),
                resolved=config,
                resume=resume,
                init=(self.settings.weights or "small") if ours else None,
                init_only=training.start if ours else (),
                quiet=True,
            )
            if outcome.reason != "finished":
                raise UserError(f"Stopped by {outcome.reason} in {folder}; the same command goes on from there.")
            trained = sum(p.numel() for p in task.model.parameters() if p.requires_grad)
            cost = {
                "minutes": round(outcome.state.minutes, 2),
                "steps": outcome.state.step,
                "samples": outcome.state.samples,
                "trained_parameters": trained,
            }
            write_json(cost, done)
        return folder / "weights", own_json(done)

    def _config(self, training: Training) -> Any:
        import torch

        from bodymap.config import load_config
        from bodymap.train import Config

        settings = self.settings
        path = Path(settings.config) if settings.config and training.data == "people" else None
        path = path or CONFIGS / f"{training.base}.yaml"
        if not path.is_file():
            raise UserError(f"{path} is missing; run from a checkout of the repository, or name a file with --config.")
        gpu = settings.device != "cpu" and torch.cuda.is_available()
        overrides = [
            f"train.steps={settings.steps or 'null'}",
            f"train.max_minutes={'null' if settings.steps else settings.minutes}",
            f"train.seed={settings.seed}",
            "train.tensorboard=false",
            *(["train.device=cpu"] if settings.device == "cpu" else []),
            # rows of a folder may be trained on different processors, and only some have bfloat16
            *([] if gpu else ["train.precision=float32"]),
            *training.overrides,
        ]
        config = load_config(Config, path, overrides)
        if training.data == "people":
            views = config.data.views_per_person
            return load_config(
                Config,
                path,
                [*overrides, f"data.shards={data.training_people(settings, config.data.size, views, self.say)}"],
            )
        annotations, pictures = data.annotated_set(settings, "train", self.say)
        overrides += [f"data.densepose.annotations={annotations}", f"data.densepose.pictures={pictures}"]
        overrides += [f"data.densepose.adapter={settings.adapter}"]
        if training.data == "dense":
            folder = settings.folder / "pseudo_truth"
            self._densify(load_config(Config, path, overrides), folder)
            overrides.append(f"data.densepose.pseudo_truth={folder}")
        return load_config(Config, path, overrides)

    def _task(self, training: Training, config: Any) -> Any:
        from bodymap.ablation.baselines import BaselineTask
        from bodymap.config import from_dict
        from bodymap.task import BodyMapTask, TaskConfig
        from bodymap.weights import load

        parts = config.model, config.data, config.augment, from_dict(TaskConfig, config.task, "task")
        how = {"batch_size": config.train.batch_size, "workers": config.train.workers, "seed": config.train.seed}
        if training.kind == "bodymap":
            return BodyMapTask(*parts, **how)
        start = load(self.settings.weights, self.template.code_version).tensors
        normals = data.training_normals(self.settings, self.say) if training.kind == "simpose" else None
        return BaselineTask(training.kind, *parts, start=start, normals=normals, **how)

    def _densify(self, config: Any, folder: Path) -> None:
        from bodymap.data.densepose import AnnotatedPeople
        from bodymap.densify import densify
        from bodymap.predictor import BodyMap

        people = AnnotatedPeople(config.data.densepose, config.data.size, self.template)
        model = BodyMap.from_pretrained(self.settings.weights, device=self.settings.device)
        densify(people, lambda image, mask: model.predict(image, mask), folder, Progress(len(people), "people").step)
