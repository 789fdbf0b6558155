"""What a run's first process does beside its steps: lines, savings, previews and evaluations when they are due."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from bodymap.training.average import Average
from bodymap.training.checkpoint import RunState, save_checkpoint
from bodymap.training.journal import Journal, Screen
from bodymap.training.schedule import fraction_done
from bodymap.training.seeding import seed_everything
from bodymap.training.settings import TrainConfig
from bodymap.training.task import Batch, BatchSource, Task, shipped_part
from bodymap.weights import save_weights


class Reports:
    """The first process's pen: the loop tells it what happened, and asks whether something is due.

    Args:
        pictures: whether previews and evaluations are made; False where no process has the whole weights.
    """

    def __init__(
        self, task: Task, config: TrainConfig, folder: Path, average: Average | None, source: BatchSource,
        journal: Journal, screen: Screen, pictures: bool = True,
    ) -> None:  # fmt: skip
        self.task, self.config, self.folder = task, config, folder
        self.average, self.source = average, source
        self.journal, self.screen, self.pictures = journal, screen, pictures
        self.sums: dict[str, float] = {}
        self.steps = 0
        self.timer, self.samples = time.monotonic(), None
        self.preview_batch: Batch | None = None
        # Pictures come after the first step already: whoever breaks them learns it at once
        self.saved = self.evaluated = time.monotonic()
        self.previewed = -math.inf
        self.at_step = dict.fromkeys(("preview", "evaluate"), -1)

    def skipped(self, step: int, figures: Mapping[str, float], norm: float) -> None:
        self.journal.write("skip", step=step, figures=dict(figures), norm=norm)
        self.screen.say(f"step {step} left out: the loss or its gradient is not finite")

    def line(self, state: RunState, figures: Mapping[str, float], norm: float, rate: float) -> None:
        """After a step: a line of the journal, where one is due."""
        # Means over the steps since the last line; a non-finite step has its own line and stays out
        if math.isfinite(norm) and math.isfinite(figures["loss"]):
            for name, value in {**figures, "norm": norm}.items():
                self.sums[name] = self.sums.get(name, 0.0) + value
            self.steps += 1
        if self.samples is None:
            # The first step pays for warming up: the speed counts from here
            self.timer, self.samples = time.monotonic(), state.samples
        if state.step % self.config.log_steps == 0 and self.steps:
            self._line(state, rate)

    def saving_is_due(self) -> bool:
        return self._due(self.config.save_minutes, self.saved)

    def look(self, step: int) -> None:
        """Previews and evaluations, where they are due."""
        if self._due(self.config.preview_minutes, self.previewed):
            self.preview(step)
        if self._due(self.config.evaluate_minutes, self.evaluated):
            self.evaluate(step)

    def end(self, state: RunState, reason: str) -> None:
        """The run's last pictures and words; it is saved already."""
        if reason == "finished":  # after a signal every second counts
            if self.config.preview_minutes > 0 and self.at_step["preview"] != state.step:
                self.preview(state.step)
            if self.config.evaluate_minutes > 0 and self.at_step["evaluate"] != state.step:
                self.evaluate(state.step)
        self.journal.write(
            "stop", reason=reason, step=state.step, samples=state.samples, minutes=round(state.minutes, 4)
        )
        self.screen.say(f"{reason} at step {state.step}, {state.minutes:.1f} min; weights in {self.folder / 'weights'}")
        self.journal.close()
        self.screen.close()

    def save(self, state: RunState, tensors: dict[str, dict[str, Tensor]]) -> None:
        """The restart point, and the averaged weights in the format that ships; ``tensors`` of ``tensors_of``."""
        state.source = self.source.state()
        state.average_updates = self.average.updates if self.average is not None else 0
        save_checkpoint(self.folder / "checkpoint", tensors, state)
        shipped = tensors["average" if self.average is not None else "model"]
        prefix = shipped_part(self.task)[1]
        shipped = {name.removeprefix(prefix): t for name, t in shipped.items() if name.startswith(prefix)}
        extra = self.task.weights_metadata() if hasattr(self.task, "weights_metadata") else {}
        metadata = {**extra, "step": str(state.step), "samples": str(state.samples)}
        save_weights(self.folder / "weights", shipped, self.task.weights_config(), metadata)
        self.journal.write("save", step=state.step, samples=state.samples)
        self.saved = time.monotonic()

    def preview(self, step: int) -> None:
        if not self.pictures:
            return
        if self.preview_batch is None:
            device = next(self.task.model.parameters()).device
            self.preview_batch = self.source.batch(0, device)
        with self._looking():
            sheets = self.task.previews(self.preview_batch)
        self.journal.previews(step, sheets)
        self.previewed, self.at_step["preview"] = time.monotonic(), step

    def evaluate(self, step: int) -> None:
        if self.pictures and hasattr(self.task, "evaluate"):
            with self._looking():
                figures = self.task.evaluate()
            self.journal.figures("evaluate", step, figures)
            self.screen.say(f"step {step}: " + "  ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        self.evaluated, self.at_step["evaluate"] = time.monotonic(), step

    def _line(self, state: RunState, rate: float) -> None:
        means = {name: value / self.steps for name, value in self.sums.items()}
        seconds = time.monotonic() - self.timer
        speed = (state.samples - self.samples) / seconds if seconds > 0 else 0.0
        fraction = fraction_done(self.config, state.step, state.minutes)
        self.journal.figures(
            "step", state.step, means, samples=state.samples, minutes=round(state.minutes, 4), rate=rate,
            speed=round(speed, 3), skipped=state.skipped,
        )  # fmt: skip
        self.screen.report(state.step, fraction, state.minutes, speed, means)
        self.sums, self.steps, self.timer, self.samples = {}, 0, time.monotonic(), state.samples

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """The averaged weights, eval mode, no gradients, and random numbers that are the same each time."""
        seed_everything(self.config.seed)
        with self._averaged(), torch.no_grad():
            yield

    def _averaged(self):
        average = self.average if self.average is not None else Average(self.task.model, 0.0)
        return average.applied_to(self.task.model)

    def _due(self, minutes: float, since: float) -> bool:
        return minutes > 0 and time.monotonic() - since >= 60 * minutes
