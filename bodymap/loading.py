"""What a predictor is built from: a network filled with weights, a device, a number type."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import torch

from bodymap.errors import UserError

if TYPE_CHECKING:
    from bodymap.network import BodyMapNet
    from bodymap.surface import Template
    from bodymap.weights import Weights


def load_network(source: Weights, template: Template) -> BodyMapNet:
    """The network that weights (``bodymap.weights.Weights``) describe, filled with them.

    Raises:
        UserError: unknown keys in their configuration, or tensors that do not fit it.
    """
    from bodymap.config import from_dict
    from bodymap.network import ModelConfig, build_model
    from bodymap.weights import load_into

    section = source.config.get("model")
    if not isinstance(section, dict):
        raise UserError(f'{source.path}: the configuration has no section "model", which describes the network.')
    config = from_dict(ModelConfig, section, f"{source.path}: model")
    try:
        net = build_model(config, template)
    except UserError as error:
        raise UserError(f"{source.path}: {error}") from None
    load_into(net, source.tensors, source=source.path)
    return net


def compile_network(net: BodyMapNet) -> None:
    """Both stages by ``torch.compile``, in place. Crops have many sizes: one compilation, with symbolic sides, for all.

    Raises:
        UserError: for a CPU, without a C++ compiler.
    """
    compiler = os.environ.get("CXX", "c++")
    if next(net.parameters()).device.type == "cpu" and not any(map(shutil.which, (compiler, "g++", "clang++"))):
        raise UserError("Compiling for a CPU needs a C++ compiler such as g++; install one, or leave compile out.")
    # the parts, not the whole: between them stand decodings whose sizes depend on the picture
    for part in (net.cse, net.appearance, net.correspondence, net.decoder):
        if part is not None:
            part.compile(dynamic=True)


def choose_device(device: str | torch.device | None) -> torch.device:
    """Checks that a device exists; None: a GPU where there is one.

    Raises:
        UserError: an unknown name, or a device that this machine lacks.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except (RuntimeError, TypeError):
        raise UserError(f"{device!r} is not a device; use cpu, cuda, cuda:1 or mps.") from None
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise UserError(f"The device {device} is not available on this machine; use cpu.")
    return device


def choose_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if isinstance(dtype, str):
        if dtype not in known:
            raise UserError(f"{dtype!r} is not a number type for the network; use {', '.join(known)}.")
        return known[dtype]
    return dtype
