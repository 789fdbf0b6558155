"""The task of heights: what the shared loop trains ``apps.layered.heights`` on. Masks and matches, cut and spoilt."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from apps.layered.corruption import damage
from apps.layered.heights import HeightNet, height_loss
from apps.layered.samples import LOWER, NOWHERE, Shards, match_sample, stack
from apps.layered.settings import HeightConfig, HeightTaskConfig, LayeredDataConfig
from apps.layered.surfaces import code_version, surfaces
from bodymap.config import to_dict
from bodymap.data.batch import Batch
from bodymap.network.config import built

_MARGIN = 0.12  # about the person, as in a crop (LayeredPredictorConfig)


class HeightTask:
    """See ``bodymap.training.task.Task``."""

    def __init__(
        self,
        model: HeightConfig,
        data: LayeredDataConfig,
        config: HeightTaskConfig,
        *,
        batch_size: int,
        workers: int,
        seed: int,
    ) -> None:
        self.model_config, self.data, self.config = model, data, config
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.model = built(lambda: HeightNet(model))

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "factor": 1.0}]

    def batch_source(self):
        from bodymap.training.loader import Loader

        return Loader(
            Shards(self.data.shards, match_sample, self.data.shares or None, self.data.seed),
            stack,
            functools.partial(augmented, config=self.config),
            batch_size=self.batch_size,
            seed=self.seed,
            workers=self.workers,
        )

    def losses(self, batch: Batch, progress: Any = None) -> dict[str, Tensor]:
        mask = damage(batch["layer"], self.config.masks)
        height, spread = self.model(mask, self._match(batch))
        error = (height - batch["height"]).detach().abs()[batch["known"] & (batch["layer"] == LOWER)]
        return {
            "heights": height_loss(height, spread, batch["height"], batch["known"]),
            "metric_heights_cm": 100 * error.median() if len(error) else height.sum().detach() * 0,
        }

    def previews(self, batch: Batch) -> dict[str, np.ndarray]:
        """Rows: the layers; on the lower garment the true heights, those found, and their spread (white: 20 cm)."""
        batch = {name: value[:8] for name, value in batch.items()}
        height, spread = self.model(batch["layer"], batch["match"])
        known = batch["known"]
        heights = [torch.where(known, metres + 0.9, 0) / 1.2 for metres in (batch["height"], height)]
        rows = [batch["layer"] / 3, *heights, spread * 5]
        sheet = torch.cat([torch.cat(list(row.float()), -1) for row in rows], -2).clamp(0, 1)
        return {"heights": (sheet * 255).byte()[..., None].expand(-1, -1, 3).cpu().numpy()}

    def weights_config(self) -> dict[str, Any]:
        return {"heights": to_dict(self.model_config)}

    def weights_metadata(self) -> dict[str, str]:
        return {"code_version": code_version(surfaces())}

    def _match(self, batch: Batch) -> Float[Tensor, "batch 4 rows columns"]:
        """The match with its mistakes and without: some bodies' nearly true, some lower garments' unknown."""
        match, body = batch["match"], batch["body"]
        count, device = len(match), match.device
        draw = torch.rand(count, 6, 1, 1, device=device)
        shift, sure = 0.02 * (draw[:, 1:4] - 0.5), (0.6 + 0.4 * draw[:, 4:5]).expand(-1, -1, *match.shape[2:])
        near = torch.cat([(body[:, :3] + shift).clamp(0, 1), sure], 1)
        use = (draw[:, :1] < self.config.better) & (body[:, 3:] > 0) & (match[:, 3:] > 0)
        match = torch.where(use, near, match)
        gone = (draw[:, 5:] < self.config.without) & (batch["layer"] == LOWER)[:, None]
        return match.masked_fill(gone, 0.0)


def augmented(batch: Batch, slots: Int[Tensor, " batch"], *, config: HeightTaskConfig) -> Batch:
    """Match samples (``apps.layered.samples``) as they are stored -> grids of ``config.size`` about the person: moved,
    scaled, turned, mirrored; each sample by random numbers of its slot.

    Returns:
        layer (B, h, w) int64; match, body (B, 4, h, w) in [0, 1]; height (B, h, w) metres; known (B, h, w) bool.
    """
    rows, columns = config.size
    y, x = torch.meshgrid(torch.arange(rows) - (rows - 1) / 2, torch.arange(columns) - (columns - 1) / 2, indexing="ij")
    layer = batch["layer"]
    last_row, last_column = layer.shape[1] - 1, layer.shape[2] - 1
    taken, inside, flips = [], [], []
    for person, slot in zip((layer > 0).cpu().numpy(), slots.tolist(), strict=True):
        rng = np.random.default_rng([config.seed, slot])
        flip, far, angle = rng.random() < 0.5, rng.random() < config.far_share, config.rotation * rng.standard_normal()
        zoom, stretch = rng.uniform(-config.zoom[0], config.zoom[1]), config.stretch * rng.standard_normal()
        shift = rng.uniform(-0.5, 0.5, 2) if far else config.shift * rng.standard_normal(2)

        (top, bottom), (left, right) = (_ends(person.any(axis)) for axis in (1, 0))
        scale = (1 + 2 * _MARGIN) * max((bottom - top) / rows, (right - left) / columns) * np.exp(-zoom)
        centre = np.array([(top + bottom - 1) / 2, (left + right - 1) / 2])
        centre = centre + shift * max(bottom - top, right - left)
        down, across = scale * np.exp(-stretch / 2), scale * np.exp(stretch / 2) * (-1 if flip else 1)
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        row = (centre[0] + down * cos * y + across * sin * x).round().long()
        column = (centre[1] - down * sin * y + across * cos * x).round().long()
        inside.append((row >= 0) & (row <= last_row) & (column >= 0) & (column <= last_column))
        taken.append((row.clamp(0, last_row) * (last_column + 1) + column.clamp(0, last_column)).flatten())
        flips.append(flip)
    index, kept = torch.stack(taken).to(layer.device), torch.stack(inside).to(layer.device)

    def at(value: Tensor) -> Tensor:
        flat = value.flatten(1, 2)
        chosen = flat.gather(1, index.view(*index.shape, *[1] * (flat.ndim - 2)).expand(-1, -1, *flat.shape[2:]))
        return chosen.view(len(index), rows, columns, *flat.shape[2:])

    result = {"layer": at(layer).long() * kept}
    for name in ("match", "body"):
        value = at(batch[name]).permute(0, 3, 1, 2).float() / 255 * kept[:, None]
        mirrored = torch.tensor(flips, device=value.device).view(-1, 1, 1) & (value[:, 3] > 0)
        # (left and right of the template differ by the code's first channel alone)
        value[:, 0] = torch.where(mirrored, 1 - value[:, 0], value[:, 0])
        result[name] = value
    height = at(batch["height"])
    result["known"] = kept & (height > NOWHERE)
    result["height"] = torch.where(result["known"], height.float() / 1000, 0.0)
    return result


def _ends(some: np.ndarray) -> tuple[int, int]:
    """First and last true place of a line, half open; the whole line where there is none."""
    found = np.flatnonzero(some)
    return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, len(some))
