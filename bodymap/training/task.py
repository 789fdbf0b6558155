"""What the loop asks of a task: its network, its data, its losses, its pictures. No task knows of Accelerate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from bodymap.training.schedule import Progress

Batch = dict[str, Tensor]

# Entries of ``losses`` with this prefix are reported but not added to the loss
METRIC_PREFIX = "metric_"


@runtime_checkable
class BatchSource(Protocol):
    """An endless stream of batches. Batch k is a function of the seed and k alone: not of workers, restarts or clocks.

    ``bodymap.training.loader.Loader`` is the one to use.
    """

    def batches(self, start: int, rank: int, world: int, device: torch.device) -> Iterator[Batch]:
        """The batches of process ``rank`` of ``world``, from the sample counted ``start`` (over all processes) on."""
        ...

    def batch(self, start: int, device: torch.device) -> Batch:
        """One batch apart from the stream, the same at every call: previews look at it."""
        ...

    def state(self) -> dict[str, Any]:
        """What, beside the number of samples, fixes the rest of the stream; JSON values. Empty for most sources."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over ``state()`` of a run that is continued; called before ``batches``."""
        ...


@runtime_checkable
class Task(Protocol):
    """One thing to learn.

    ``begin``, ``evaluate``, ``weights_metadata`` and ``shipped`` are optional. ``shipped`` is the part of ``model``
    whose weights are stored for inference and started from (an adversary is only in the restart points); without it
    all of ``model``. ``begin()`` is called once when a new run begins, after the weights that it starts from were
    loaded. ``evaluate() -> dict[str, float]`` is called with the averaged
    weights in ``model``, in eval mode and without gradients, on the first process only.
    """

    model: nn.Module

    def parameter_groups(self) -> list[dict[str, Any]]:
        """[{"params": parameters, "factor": of the learning rate, "weight_decay": optional}]; frozen ones may be in."""
        ...

    def batch_source(self) -> BatchSource:
        """The training data."""
        ...

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """Named scalar losses, already weighted: the loop minimises their sum. "metric_..." entries are only reported.

        Uses ``self.model`` and nothing else that has parameters. Called under autocast on a GPU: reductions that need
        float32 cast themselves. Random numbers may come from torch, numpy or random: the loop seeds all three before
        every call.
        """
        ...

    def previews(self, batch: Batch) -> dict[str, np.ndarray]:
        """Sheets to look at, name -> (H, W, 3) uint8, of one fixed batch; the averaged weights are in ``model``."""
        ...

    def weights_config(self) -> dict[str, Any]:
        """Plain values from which the network can be built again; saved beside the weights as config.yaml."""
        ...


def shipped_part(task: Task) -> tuple[nn.Module, str]:
    """(the part of ``task.model`` that ships, what its tensors' names begin with in ``model``)."""
    part = getattr(task, "shipped", task.model)
    name = next(name for name, module in task.model.named_modules() if module is part)
    return part, f"{name}." if name else ""
