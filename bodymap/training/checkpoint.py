"""The restart point of a run: everything that fixes its next step, as safetensors and JSON, never a pickle.

    checkpoint/
      model.safetensors      the network's state, full precision
      average.safetensors    the averaged weights
      optimizer.safetensors  "<moment>/<parameter name>"
      state.json             step, samples, minutes, the data's state, and the size of each file

Random number generators are not in it: the loop seeds them anew at every step from (seed, step, process).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bodymap.errors import UserError
from bodymap.files import atomic_folder, read_json, read_safetensors, recover_folder
from bodymap.training.average import Average
from bodymap.training.sharding import spread_like, whole
from bodymap.weights import load_into

FORMAT = "bodymap-checkpoint"
VERSION = 1
FILES = ("model", "average", "optimizer")


@dataclass
class RunState:
    """The numbers of a run.

    Attributes:
        step: optimiser steps made, skipped ones included.
        samples: training samples seen, over all processes; the next slot.
        minutes: time spent, restarts counted together.
        skipped: steps left out because loss or gradient was not finite.
        average_updates: how many steps the averaged weights have taken in.
        source: the batch source's own state.
    """

    step: int = 0
    samples: int = 0
    minutes: float = 0.0
    skipped: int = 0
    average_updates: int = 0
    source: dict[str, Any] = field(default_factory=dict)


def tensors_of(
    model: nn.Module, average: Average | None, optimizer: torch.optim.Optimizer
) -> dict[str, dict[str, Tensor]]:
    """What a checkpoint's files hold, a name of FILES each; with FSDP every process must call it."""
    return {
        "model": whole(model.state_dict()),
        "average": whole(average.tensors) if average is not None else {},
        "optimizer": whole(optimizer_tensors(optimizer, model)),
    }


def save_checkpoint(folder: str | os.PathLike, tensors: dict[str, dict[str, Tensor]], state: RunState) -> None:
    """Writes ``tensors_of`` a run and its numbers, all of it or nothing; the checkpoint before is replaced."""
    with atomic_folder(folder) as temporary:
        sizes = {}
        for name in FILES:
            # clone: safetensors refuses tensors that share memory (tied weights)
            stored = {key: tensor.detach().cpu().clone().contiguous() for key, tensor in tensors[name].items()}
            save_file(stored, temporary / f"{name}.safetensors")
            sizes[name] = (temporary / f"{name}.safetensors").stat().st_size
        content = {"format": FORMAT, "version": VERSION, "sizes": sizes, **asdict(state)}
        (temporary / "state.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def load_checkpoint(
    folder: str | os.PathLike, model: nn.Module, average: Average | None, optimizer: torch.optim.Optimizer
) -> RunState:
    """Puts a checkpoint into the three objects and returns the run's numbers.

    Raises:
        UserError: there is none, a file is cut off or of another format, or it belongs to another network.
    """
    folder = Path(folder)
    state = read_state(folder)
    tensors = {name: _read(folder / f"{name}.safetensors") for name in FILES}
    own = model.state_dict()
    for group in ("model", "average"):
        tensors[group] = {name: spread_like(t, own[name]) if name in own else t for name, t in tensors[group].items()}
    load_into(model, tensors["model"], source=folder / "model.safetensors")
    if average is not None:
        # A run that was started without averaging can be continued with it: the average begins here
        average.load(tensors["average"] or model.state_dict(), state.average_updates)
    load_optimizer(optimizer, model, tensors["optimizer"])
    return state


def read_state(folder: str | os.PathLike) -> RunState:
    """The numbers of a checkpoint; checks the sizes of its files.

    Raises:
        UserError: there is no checkpoint, or it is not whole.
    """
    folder = Path(folder)
    recover_folder(folder)
    try:
        content = read_json(folder / "state.json")
    except FileNotFoundError:
        raise UserError(f"{folder} holds no checkpoint to continue from; start the run without resuming it.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'state.json'} is damaged ({error}); start again from the run's weights.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise UserError(f"{folder / 'state.json'} is not a checkpoint that this version of bodymap can read.")
    state = _state_of(content, folder / "state.json")
    for name, size in content["sizes"].items():
        file = folder / f"{name}.safetensors"
        found = file.stat().st_size if file.is_file() else None
        if found != size:
            what = "is missing" if found is None else f"has {found} bytes instead of {size}"
            raise UserError(f"{file} {what}; start again from the weights of the run.")
    return state


def _state_of(content: dict[str, Any], file: Path) -> RunState:
    """The numbers in a state.json; its sizes are those of FILES.

    Raises:
        UserError: something is missing, or of another type or sign.
    """
    try:
        values = {name: content[name] for name in RunState.__dataclass_fields__}
        for name, value in values.items():
            known = dict if name == "source" else (int, float) if name == "minutes" else int
            if not isinstance(value, known) or isinstance(value, bool) or (known is not dict and not 0 <= value < 1e15):
                raise ValueError(f"{name} is {str(value)[:60]!r}")
        if not isinstance(content["sizes"], dict) or set(content["sizes"]) != set(FILES):
            raise ValueError("the sizes of the files are not there")
    except (KeyError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(f"{file} is damaged ({reason}); start again from the run's weights.") from None
    return RunState(**values)


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimiser's state by parameter name: "exp_avg/encoder.weight" -> tensor."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{key}/{names[parameter]}": tensor
        for parameter, entries in optimizer.state.items()
        for key, tensor in entries.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """The inverse of ``optimizer_tensors``; the order of parameters and groups does not matter.

    Raises:
        UserError: a name is not a parameter of ``model``.
    """
    own = dict(model.named_parameters())
    names = {parameter: name for name, parameter in own.items()}
    content = optimizer.state_dict()
    numbers = {
        names[parameter]: number
        for group, packed in zip(optimizer.param_groups, content["param_groups"], strict=True)
        for parameter, number in zip(group["params"], packed["params"], strict=True)
    }
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        entry, _, name = key.partition("/")
        if name not in numbers:
            raise UserError(f'The checkpoint\'s optimiser knows a parameter "{name}" that is not trained now.')
        state.setdefault(numbers[name], {})[entry] = spread_like(tensor, own[name])
    _check_moments(optimizer, state)
    optimizer.load_state_dict({"state": state, "param_groups": content["param_groups"]})
    # the fused kernels of a GPU want the moments in their parameter's memory layout
    for parameter, entries in optimizer.state.items():
        for name, tensor in entries.items():
            if tensor.shape == parameter.shape:
                entries[name] = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def _check_moments(optimizer: torch.optim.Optimizer, state: dict[int, dict[str, Tensor]]) -> None:
    """A parameter has all of the optimiser's entries or none, each of its own shape or a single number."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    every = {entry for entries in state.values() for entry in entries}
    for number, entries in state.items():
        shapes = {tensor.shape for tensor in entries.values()}
        if entries.keys() != every or not shapes <= {parameters[number].shape, torch.Size([])}:
            raise UserError("The optimizer.safetensors is damaged; start again from the weights of the run.")


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return read_safetensors(file)[0]
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is damaged ({error}); start again from the weights of the run.") from None
