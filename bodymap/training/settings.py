"""Settings of the training loop; imports nothing heavy, so that a command can check them at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bodymap.config import check_ranges
from bodymap.errors import UserError
from bodymap.files import previous_folder


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast, how often to save. At least one of ``steps`` and ``max_minutes`` must be given."""

    # ---- length and schedule
    steps: int | None = _option(None, "optimiser steps of the whole run")
    max_minutes: float | None = _option(None, "minutes of the whole run, restarts counted together")
    pause_minutes: float | None = _option(None, "minutes after which this process saves and stops, to be resumed later")
    warmup_steps: int = _option(50, "steps over which the rate rises from zero")
    decay: float = _option(0.25, "last share of the run over which the rate falls linearly to zero")

    # ---- optimiser
    rate: float = _option(1e-3, "learning rate; a parameter group's factor multiplies it")
    weight_decay: float = _option(0.02, "AdamW's, on matrices and kernels only")
    betas: tuple[float, float] = _option((0.9, 0.999), "AdamW's")
    clip: float = _option(5.0, "largest norm of the gradient; larger ones are scaled down; 0: never")
    average: float = _option(0.999, "decay of the averaged weights (EMA) once warmed up; 0: no averaging")

    # ---- batches
    batch_size: int = _option(12, "samples a process and forward pass")
    accumulate: int = _option(1, "forward passes an optimiser step")
    workers: int = _option(0, "processes that prepare data, beside each training process")
    seed: int = _option(0, "of data order, augmentation and dropout; a run is a function of it and of the data")

    # ---- machine
    device: Literal["auto", "cpu"] = _option("auto", "auto takes the GPU where there is one")
    precision: Literal["auto", "float32", "bfloat16"] = _option(
        "auto", "auto: bfloat16 autocast on GPUs and on CPUs with AMX or AVX512-BF16"
    )
    threads: int = _option(0, "threads of CPU operators in the training process; 0: leave torch's choice")

    # ---- reports
    save_minutes: float = _option(10.0, "minutes between two savings; also at the end and when told to stop")
    preview_minutes: float = _option(10.0, "minutes between two preview sheets; 0: none")
    evaluate_minutes: float = _option(0.0, "minutes between two evaluations of the task; 0: none")
    log_steps: int = _option(20, "steps between two lines of the journal, which hold the means over these steps")
    tensorboard: bool = _option(True, "also write TensorBoard files, where that package is installed")
    max_bad_steps: int = _option(20, "non-finite steps in a row after which the run gives up")

    def __post_init__(self) -> None:
        # That one of steps and max_minutes is there is for ``train`` to insist on: defaults must be constructible
        check_ranges(
            self, warmup_steps=(0, 2**40), rate=(0, 1e6), weight_decay=(0, 1e6), betas=(0, 0.999999), clip=(0, 1e30),
            batch_size=(1, 100_000), accumulate=(1, 100_000), workers=(0, 4096), seed=(0, 2**63 - 1),
            threads=(0, 4096), save_minutes=(0, 1e9), preview_minutes=(0, 1e9), evaluate_minutes=(0, 1e9),
        )  # fmt: skip
        for name in ("batch_size", "accumulate", "log_steps", "max_bad_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1.")
        for name in ("steps", "max_minutes", "pause_minutes", "rate"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0.")
        if not 0 <= self.decay <= 1:
            raise ValueError("decay is a share of the run, from 0 to 1.")
        if not 0 <= self.average < 1:
            raise ValueError("average must be from 0 to below 1.")


def check_run_folder(folder: str | os.PathLike, resume: bool) -> None:
    """A new run must not overwrite one, and a continued one must be there.

    Raises:
        UserError: it is not so.
    """
    checkpoint = Path(folder) / "checkpoint"
    there = checkpoint.exists() or previous_folder(checkpoint).exists()
    if there and not resume:
        raise UserError(f"{folder} already holds a run; continue it with --resume, or choose another folder.")
    if resume and not there:
        raise UserError(f"{checkpoint} holds no checkpoint to continue from; start the run without --resume.")
