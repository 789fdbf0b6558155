"""Where a run stands, and the learning rate that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from bodymap.training.settings import TrainConfig


@dataclass(frozen=True)
class Progress:
    """Where the run stands at the start of a step.

    Attributes:
        step: optimiser steps made so far.
        samples: training samples seen so far, over all processes.
        fraction: share of the run that is over, in [0, 1]; of steps or of time, whichever is further.
        minutes: time spent so far, restarts counted together.
    """

    step: int
    samples: int
    fraction: float
    minutes: float


def fraction_done(config: TrainConfig, step: int, minutes: float) -> float:
    """Share of the run that is over: max(step / steps, minutes / max_minutes), at most 1."""
    of_steps = step / config.steps if config.steps is not None else 0.0
    of_time = minutes / config.max_minutes if config.max_minutes is not None else 0.0
    return min(1.0, max(of_steps, of_time))


def rate_factor(config: TrainConfig, step: int, fraction: float) -> float:
    """Learning rate over its peak: short rise, constant, linear fall over the last ``decay`` of the run.

    The rise counts from 1/warmup, so the first step already learns; the last step of a run by steps still has the rate
    (1/steps)/decay.
    """
    rise = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps > 0 else 1.0
    fall = min(1.0, (1.0 - fraction) / config.decay) if config.decay > 0 else 1.0
    return rise * fall
