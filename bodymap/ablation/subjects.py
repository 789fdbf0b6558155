"""What a row judges: a network as something that maps a picture, whatever it is and however it is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bodymap.ablation.registry import Row
from bodymap.cropping import MULTIPLE, Box, crop_of, resized
from bodymap.errors import UserError
from bodymap.evaluation.network import cse_map, network_map, record
from bodymap.surface import Template
from bodymap.types import Correspondence

_LONGEST = 320  # of a given box, pixels: what networks trained on 224 x 160 know


@dataclass(frozen=True)
class Subject:
    """Attributes:
    predict: (picture (H, W, 3) uint8, the person's mask or None) -> Correspondence; nobody found: an empty one.
    boxed: the same, shown only the box (left, top, right, bottom) of the person; None where a search is part of it.
    predictor: the BodyMap behind it, where it is one.
    parameters: of the whole network.
    """

    predict: Callable[[np.ndarray, np.ndarray | None], Correspondence]
    boxed: Callable[[np.ndarray, Box], Correspondence] | None
    predictor: Any
    parameters: int


def load_subject(row: Row, weights: str | Path | None, template: Template, device: str | None) -> Subject:
    """The network of a row.

    Args:
        weights: of its training, or the shipped ones.

    Raises:
        UserError: no such weights; weights without a coarse stage where one is needed.
    """
    from bodymap import weights as sources
    from bodymap.loading import choose_device

    if row.how.startswith("predictor"):
        return _predictor(row, weights, device)
    loaded = sources.load(weights, template.code_version)
    baseline = loaded.config.get("baseline")
    net = (_baseline if baseline else _own)(loaded, template)
    net.eval().requires_grad_(False).to(choose_device(device))
    maps = _maps(row, net, template, bool(baseline))

    def boxed(picture: np.ndarray, box: Box) -> Correspondence:
        (left, top, right, bottom), shape = crop_of(box, picture.shape[:2], _LONGEST, 0.12, 3.0, MULTIPLE)
        return _pasted(maps(resized(picture[top:bottom, left:right], shape)), box=(left, top, right, bottom),
                       size=picture.shape[:2])  # fmt: skip

    return Subject(lambda picture, mask: maps(picture), boxed, None, sum(p.numel() for p in net.parameters()))


def _own(loaded: Any, template: Template) -> Any:
    from bodymap.loading import load_network

    net = load_network(loaded, template)
    if net.cse is None:
        raise UserError(f"{loaded.path} has no coarse stage, which these tables need.")
    return net


def _baseline(loaded: Any, template: Template) -> Any:
    from bodymap.ablation.baselines import build_baseline
    from bodymap.network.config import ModelConfig
    from bodymap.weights import load_into

    net = build_baseline(loaded.config["baseline"], ModelConfig.from_dict(loaded.config["model"]), template)
    load_into(net, loaded.tensors, source=loaded.path)
    return net


def _maps(row: Row, net: Any, template: Template, baseline: bool) -> Callable[[np.ndarray], Correspondence]:
    device = next(net.parameters()).device
    if baseline:
        return lambda picture: _baseline_map(net, template, picture)
    if row.how == "cse":
        return lambda picture: cse_map(net, template, picture, device=device)
    silhouette = "cse" if row.mask == "cse" else "fine"
    return lambda picture: network_map(net, template, picture, silhouette=silhouette, device=device)


@torch.inference_mode()
def _baseline_map(net: Any, template: Template, picture: np.ndarray) -> Correspondence:
    device = next(net.parameters()).device
    image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].to(device).float() / 255
    prediction = net(image, torch.ones_like(image[:, :1]))
    mask = prediction.foreground[0, 0] > 0
    if not mask.any():
        return Correspondence.empty(picture.shape[:2])
    features = prediction.features[0][:, mask].T
    parts = [net.score_head.decode(template.to(device), block) for block in features.split(4096)]
    place = (torch.cat(values).cpu().numpy() for values in zip(*parts, strict=True))
    return record(mask.cpu().numpy(), *place, np.zeros(picture.shape[:2], np.int8))


def _predictor(row: Row, weights: str | Path | None, device: str | None) -> Subject:
    from bodymap.predictor import BodyMap, PredictorConfig

    # trained rows share the coarse stage: with its posterior in the decoding they would all look alike
    config = PredictorConfig(
        stage="cse" if row.how == "predictor_cse" else "bodymap",
        coarse_weight=0.0 if row.training in ("rgb", "bodymap") else PredictorConfig.coarse_weight,
    )
    model = BodyMap.from_pretrained(weights, device=device, config=config)
    if model.net.cse is None:
        raise UserError(f"{weights} has no coarse stage, which finds people.")

    def predict(picture: np.ndarray, mask: np.ndarray | None) -> Correspondence:
        try:
            return model.predict(picture, mask)
        except UserError:  # the picture itself is sound: this is the only thing it can mean
            return Correspondence.empty(picture.shape[:2])

    return Subject(predict, None, model, sum(p.numel() for p in model.net.parameters()))


def _pasted(found: Correspondence, box: Box, size: tuple[int, int]) -> Correspondence:
    """A crop's map at its place in the picture, by the nearest pixel."""
    left, top, right, bottom = box
    rows = ((np.arange(bottom - top) + 0.5) * found.size[0] / (bottom - top)).astype(int)
    columns = ((np.arange(right - left) + 0.5) * found.size[1] / (right - left)).astype(int)
    result = Correspondence.empty(size)
    for name in ("mask", "confidence", "triangle", "barycentric", "layer"):
        getattr(result, name)[top:bottom, left:right] = getattr(found, name)[rows[:, None], columns[None]]
    return result
