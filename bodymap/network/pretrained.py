"""Weights of other networks as a start: MobileSAM's image encoder, and the training trial's network.

Both are given as dictionaries of tensors (any float type); the functions copy what fits and report the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bodymap.errors import UserError
from bodymap.network.backbones import TinyVitPyramid
from bodymap.network.cse import CSEStage
from bodymap.network.model import BodyMapNet

# The trial's names -> the CSE stage's. Its other heads (code, part) predict another code and are left behind.
_TRIAL = {
    "enc": "encoder.model",
    "l4": "lateral4",
    "l8": "lateral8",
    "l16": "lateral16",
    "c4": "merge4",
    "c8": "merge8",
    "c16": "merge16",
    "mask": "foreground",
}
_TRIAL_DROPPED = ("code", "part", "mean", "std")
_MOBILESAM_DROPPED = ("head", "norm_head", "neck")  # classification, and the prompt decoder's projection


@dataclass(frozen=True)
class LoadReport:
    """What came of loading foreign weights.

    Attributes:
        loaded: names, in the module, that were filled.
        missing: names in the module that the weights lack: left as they were.
        unexpected: names in the weights that the module lacks: ignored.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} tensors loaded, {len(self.missing)} missing, {len(self.unexpected)} unexpected"]
        lines += [f"  missing: {name}" for name in self.missing]
        lines += [f"  unexpected: {name}" for name in self.unexpected]
        return "\n".join(lines)


def mobilesam_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """MobileSAM's image encoder under the names of timm's TinyViT features; its head and neck are dropped.

    A stage's downsampling stands at the stage's end there, and at the next stage's beginning here.
    """
    renamed = {}
    for name, tensor in tensors.items():
        if name.split(".")[0] in _MOBILESAM_DROPPED:
            continue
        name = re.sub(r"layers\.(\d)\.downsample", lambda match: f"stages_{int(match[1]) + 1}.downsample", name)
        name = re.sub(r"layers\.(\d)", r"stages_\1", name)
        name = name.replace("patch_embed.seq.0", "patch_embed.conv1").replace("patch_embed.seq.2", "patch_embed.conv2")
        renamed[name.replace(".c.weight", ".conv.weight")] = tensor
    return renamed


def trial_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The trial's network under the names of the CSE stage (``CSEConfig()``); heads of no use here are dropped."""
    renamed = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        if first in _TRIAL:
            renamed[f"{_TRIAL[first]}.{rest}"] = tensor
        elif first not in _TRIAL_DROPPED:
            renamed[name] = tensor
    return renamed


def load_mobilesam(backbone: TinyVitPyramid, tensors: Mapping[str, Tensor]) -> LoadReport:
    """Fills a TinyViT stream (``tiny_vit_5m_224``) with MobileSAM's encoder, which saw eleven million photographs.

    Raises:
        UserError: nothing fits, or a tensor has another shape.
    """
    return _load(backbone.model, mobilesam_names(tensors))


def load_trial(stage: CSEStage, tensors: Mapping[str, Tensor]) -> LoadReport:
    """Fills the CSE stage with the trial's encoder, decoder and mask head.

    Missing afterwards are what the trial did not have: ``embed``, ``basis`` and ``context`` (which starts as nothing).

    Raises:
        UserError: nothing fits, or a tensor has another shape.
    """
    return _load(stage, trial_names(tensors))


def warm_start(net: BodyMapNet, tensors: Mapping[str, Tensor]) -> dict[str, LoadReport]:
    """Starts whatever can be started from the trial's or from MobileSAM's weights, which are told apart by their names.

    The CSE stage (or its encoder alone), and the streams that are a TinyViT of three channels.

    Returns:
        A report for each part that was filled, by the part's name.

    Raises:
        UserError: the weights are neither, or do not fit.
    """
    trial = any(name.startswith("enc.") for name in tensors)
    reports = {}
    if net.cse is not None and isinstance(net.cse.encoder, TinyVitPyramid):
        reports["cse"] = load_trial(net.cse, tensors) if trial else load_mobilesam(net.cse.encoder, tensors)
    if isinstance(net.appearance, TinyVitPyramid):
        encoder = {name[4:]: tensor for name, tensor in tensors.items() if name.startswith("enc.")}
        if trial:
            reports["appearance"] = _load(net.appearance.model, encoder)
        else:
            reports["appearance"] = load_mobilesam(net.appearance, tensors)
    if not reports:
        raise UserError("This network has no TinyViT that these weights could start; choose another size or start.")
    return reports


def _load(module: nn.Module, tensors: Mapping[str, Tensor]) -> LoadReport:
    """Copies tensors by name; shapes must agree."""
    own = module.state_dict()
    loaded = [name for name in own if name in tensors]
    if not loaded:
        raise UserError("None of these weights' names belong to this network; they are another network's.")
    for name in loaded:
        if own[name].shape != tensors[name].shape:
            found, wanted = tuple(tensors[name].shape), tuple(own[name].shape)
            raise UserError(f"The weights' {name} has shape {found} where the network has {wanted}; the sizes differ.")
    with torch.no_grad():
        for name in loaded:
            own[name].copy_(tensors[name])  # state_dict shares memory with the module
    return LoadReport(
        tuple(loaded),
        tuple(name for name in own if name not in tensors),
        tuple(name for name in tensors if name not in own),
    )
