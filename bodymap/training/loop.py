"""The training loop: one function, read from top to bottom, for every task and any number of processes.

    runs/NAME/
      config.yaml      the resolved configuration
      journal.jsonl    commit, versions, one line every few steps
      checkpoint/      the restart point: continue with ``resume=True``
      weights/         the averaged weights as they ship: what inference and ``init`` read
      previews/, tensorboard/

Two ways to go on: *resume* continues a run as if it had never stopped (bit-equal on a CPU of the same kind: order of
the data, augmentation and dropout are functions of the seed and of the samples seen), *init* starts a new run from
weights.
"""

from __future__ import annotations

import atexit
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from bodymap.config import save_config
from bodymap.errors import UserError
from bodymap.files import output_folder
from bodymap.training.average import Average
from bodymap.training.checkpoint import RunState, load_checkpoint, tensors_of
from bodymap.training.journal import Journal, Screen, origin
from bodymap.training.reports import Reports
from bodymap.training.schedule import Progress, fraction_done, rate_factor
from bodymap.training.seeding import seed_everything
from bodymap.training.settings import TrainConfig, check_run_folder
from bodymap.training.sharding import refuse_strangers, spreads, whole
from bodymap.training.task import METRIC_PREFIX, Batch, Task, shipped_part
from bodymap.weights import load, load_into, load_parts


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        reason: "finished", "paused" (``pause_minutes``), or the signal that stopped it ("SIGTERM", "SIGINT").
        state: step, samples, minutes, skipped steps.
        folder: the run's folder.
    """

    reason: str
    state: RunState
    folder: Path


def train(
    task: Task,
    config: TrainConfig,
    folder: str | os.PathLike,
    *,
    resolved: Any = None,
    resume: bool = False,
    init: str | os.PathLike | None = None,
    init_only: Sequence[str] = (),
    quiet: bool = False,
) -> Outcome:
    """Trains ``task`` until its steps or minutes are over, or until SIGTERM or SIGINT.

    Args:
        folder: the run's folder; made if missing. It must not hold a run already, unless ``resume``.
        resolved: the whole configuration (dataclass or plain values), saved as config.yaml.
        resume: continue the run in ``folder`` exactly.
        init: weights to start from (any source of ``bodymap.weights``); all names must fit.
        init_only: parts of the network, such as "cse", that are taken from ``init``; empty: all of it.
        quiet: nothing on the screen.

    Raises:
        UserError: the folder, the checkpoint or the settings do not allow it, or the loss stays non-finite.
    """
    # ---------------------------------------------------------------- machine
    if config.steps is None and config.max_minutes is None:
        raise UserError("A run needs an end: set train.steps, or train.max_minutes.")
    folder = Path(folder)
    check_run_folder(folder, resume)
    if config.threads:
        torch.set_num_threads(config.threads)
    accelerator = _accelerator(config)
    device, rank, world = accelerator.device, accelerator.process_index, accelerator.num_processes
    main = accelerator.is_main_process

    # ---------------------------------------------------- network and optimiser
    if init is not None and not resume:
        if init_only:
            load_parts(task.model, load(init).tensors, init_only, source=init)
        else:
            load_into(shipped_part(task)[0], load(init).tensors, source=init)
    if not resume and hasattr(task, "begin"):
        task.begin()
    task.model.to(device).train()
    if accelerator.mixed_precision == "bf16":
        # the layout of half precision's fast kernels: twice as fast a step on CPUs that have them
        task.model.to(memory_format=torch.channels_last)
    optimizer = _optimizer(task, config, device)
    # Wrapped with the losses inside: autocast and gradient exchange then cover whatever a task calls
    if spread := spreads(accelerator):
        # The optimiser, too: its parameters become the pieces that lie on this process
        module, _ = accelerator.prepare(_Losses(task, accelerator.autocast), optimizer)
    else:
        module = accelerator.prepare(_Losses(task))
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    average = Average(task.model, config.average) if config.average > 0 else None

    # -------------------------------------------------------- start or continue
    source = task.batch_source()
    state = RunState()
    if resume:
        state = load_checkpoint(folder / "checkpoint", task.model, average, optimizer)
        source.load_state(state.source)
    journal = screen = None
    if main:
        output_folder(folder)
        save_config(resolved if resolved is not None else {"train": config}, folder / "config.yaml")
        journal, screen = Journal(folder, config.tensorboard), Screen(quiet)
        count = sum(parameter.numel() for parameter in trained)
        journal.write(
            "resume" if resume else "start", step=state.step, device=_device_name(device), processes=world,
            precision=accelerator.mixed_precision, parameters=count, init=str(init) if init is not None else None,
            init_only=list(init_only), **origin(),
        )  # fmt: skip
        screen.say(
            f"{folder}: {count / 1e6:.2f} M parameters to train on {world} x {_device_name(device)}, "
            f"{config.batch_size * config.accumulate * world} samples a step, from step {state.step}"
        )
        if spread:
            screen.say("The weights are spread over the processes (FSDP): no previews and no evaluations in this run.")
    reports = Reports(task, config, folder, average, source, journal, screen, pictures=not spread) if main else None

    def save() -> None:
        # Weights that lie in pieces are put together by all processes at once
        if spread or reports:
            tensors = tensors_of(task.model, average, optimizer)
        if reports:
            reports.save(state, tensors)

    entered = time.monotonic()
    began = entered - 60 * state.minutes

    # ------------------------------------------------------------------- steps
    with _stopping() as stop, closing(source.batches(state.samples, rank, world, device)) as batches:
        reason, bad_in_a_row, saved = "finished", 0, -1
        while True:
            # All processes go by the same clock and stop at the same step
            pause = config.pause_minutes is not None and time.monotonic() - entered >= 60 * config.pause_minutes
            state.minutes, signalled, pause = _largest(
                accelerator, (time.monotonic() - began) / 60, float(stop.number), float(pause)
            )
            progress = Progress(
                state.step, state.samples, fraction_done(config, state.step, state.minutes), state.minutes
            )
            if signalled:
                reason = signal.Signals(int(signalled)).name
                break
            if progress.fraction >= 1:
                break
            if pause:
                reason = "paused"
                break

            # ---- rate
            rate = config.rate * rate_factor(config, state.step, progress.fraction)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]

            # ---- forward and backward
            figures: dict[str, float] = {}
            for i in range(config.accumulate):
                batch = next(batches)
                last = i == config.accumulate - 1
                slot = state.samples + (i * world + rank) * config.batch_size
                with nullcontext() if last else accelerator.no_sync(module):
                    seed_everything(config.seed, slot)
                    losses = module(batch, progress)
                    total = sum(value for name, value in losses.items() if not name.startswith(METRIC_PREFIX))
                    accelerator.backward(total / config.accumulate)
                for name, value in _numbers({**losses, "loss": total}).items():
                    figures[name] = figures.get(name, 0.0) + value / config.accumulate

            # ---- step, unless something is not finite
            norm = nn.utils.clip_grad_norm_(trained, config.clip or math.inf)
            norm = float(whole({"norm": norm})["norm"])
            bad = not (math.isfinite(figures["loss"]) and math.isfinite(norm))
            if _largest(accelerator, float(bad))[0]:
                state.skipped += 1
                bad_in_a_row += 1
                if reports:
                    reports.skipped(state.step, figures, norm)
                if bad_in_a_row >= config.max_bad_steps:
                    raise UserError(_bad_message(bad_in_a_row, state.step, figures, norm))
            else:
                bad_in_a_row = 0
                optimizer.step()
                if average is not None:
                    average.update(task.model)
            optimizer.zero_grad(set_to_none=True)
            state.step += 1
            state.samples += config.batch_size * config.accumulate * world

            # ---- journal, savings, pictures
            if reports:
                state.minutes = (time.monotonic() - began) / 60
                reports.line(state, figures, norm, rate)
            due = reports is not None and reports.saving_is_due()
            if _largest(accelerator, float(due))[0] if spread else due:
                save()
                saved = state.step
            if reports:
                reports.look(state.step)

        # ----------------------------------------------------------------- end
        if saved != state.step:
            save()
        if reports:
            reports.end(state, reason)
    accelerator.wait_for_everyone()
    atexit.register(_leave_group)
    return Outcome(reason, state, folder)


# ------------------------------------------------------------------------------------------------- parts of the loop


class _Losses(nn.Module):
    """A task's losses as a module: what data-parallel training and autocast wrap."""

    def __init__(self, task: Task, autocast: Callable[[], AbstractContextManager] = nullcontext) -> None:
        super().__init__()
        self.model = task.model
        self.task, self.autocast = task, autocast

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        with self.autocast():
            return self.task.losses(batch, progress)


def _leave_group() -> None:
    """Ends the group of processes, if there is one: its threads, still running while Python takes itself down, abort
    the process now and then. At exit and not before, for what called may train again."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _accelerator(config: TrainConfig) -> Accelerator:
    refuse_strangers()
    on_gpu = config.device == "auto" and torch.cuda.is_available()
    half = config.precision == "bfloat16" or (config.precision == "auto" and (on_gpu or _cpu_is_fast_in_half()))
    return Accelerator(
        cpu=config.device == "cpu",
        mixed_precision="bf16" if half else "no",
        # A task may leave a stage out of some steps; a single process is not wrapped at all
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def _cpu_is_fast_in_half() -> bool:
    """Whether the processor has bfloat16 products (AMX, AVX512-BF16); without them autocast is several times slower."""
    # torch has no public question for it yet; where these are gone, training is as exact as ever and slower
    questions = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(asked() for asked in questions if asked)


def _optimizer(task: Task, config: TrainConfig, device: torch.device) -> torch.optim.Optimizer:
    """AdamW over the task's groups; vectors (biases, norms) are not decayed."""
    groups = []
    for group in task.parameter_groups():
        parameters = [parameter for parameter in group["params"] if parameter.requires_grad]
        decay = group.get("weight_decay", config.weight_decay)
        for chosen, decay_here in (
            ([p for p in parameters if p.ndim >= 2], decay),
            ([p for p in parameters if p.ndim < 2], 0.0),
        ):
            if chosen:
                groups.append({"params": chosen, "factor": float(group.get("factor", 1.0)), "weight_decay": decay_here})
    listed = [parameter for group in groups for parameter in group["params"]]
    names = {parameter: name for name, parameter in task.model.named_parameters() if parameter.requires_grad}
    forgotten = [name for parameter, name in names.items() if id(parameter) not in {id(other) for other in listed}]
    if forgotten or len(listed) != len(names):
        raise ValueError(f"parameter_groups() must list every trained parameter once; missing: {forgotten[:5]}")
    return torch.optim.AdamW(groups, lr=config.rate, betas=config.betas, fused=device.type == "cuda" or None)


def _largest(accelerator: Accelerator, *values: float) -> tuple[float, ...]:
    """Each value's largest over all processes."""
    if accelerator.num_processes == 1:
        return values
    everywhere = accelerator.gather(torch.tensor([values], dtype=torch.float64, device=accelerator.device))
    return tuple(everywhere.amax(0).tolist())


def _numbers(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalar tensors to floats with one transfer."""
    stacked = torch.stack([value.detach().float().reshape(()) for value in values.values()])
    return {name.removeprefix(METRIC_PREFIX): number for name, number in zip(values, stacked.tolist(), strict=True)}


def _bad_message(count: int, step: int, figures: Mapping[str, float], norm: float) -> str:
    listed = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
    return (
        f"The loss or its gradient was not finite {count} steps in a row, last at step {step} ({listed}, norm "
        f"{norm:.4g}); lower train.rate, or look at the term that is not finite."
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@dataclass
class _Stop:
    number: int = 0


@contextmanager
def _stopping() -> Iterator[_Stop]:
    """Inside the block SIGTERM and SIGINT only leave a note: the step ends and is saved. A second one interrupts."""
    stop = _Stop()

    def note(number, frame) -> None:
        if stop.number:
            raise KeyboardInterrupt
        stop.number = number

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not in the main thread: nobody can signal us
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
