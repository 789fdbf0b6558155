"""The layered task: what the shared loop trains. Data, masks with mistakes, and the weighted losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from apps.layered.corruption import damage
from apps.layered.heads import (
    ANYTHING,
    LAYERS,
    PERSON,
    LayeredNet,
    carried_over,
    features_at,
    load_coarse,
    look_and_match,
)
from apps.layered.samples import BODY, NAMES, PREFIXES, UNKNOWN, Shards, layer_sample, stack
from apps.layered.settings import LayeredConfig, LayeredDataConfig, LayeredTaskConfig
from apps.layered.surfaces import code_version, surfaces
from bodymap.config import to_dict
from bodymap.data.augment import Augment
from bodymap.data.batch import Batch
from bodymap.data.settings import AugmentConfig
from bodymap.errors import UserError
from bodymap.losses.classification import classification_loss, part_weight
from bodymap.losses.geodesic import geodesic_loss
from bodymap.losses.layer import layer_loss
from bodymap.network.config import built
from bodymap.surface import colour, points


class LayeredTask:
    """See ``bodymap.training.task.Task``."""

    def __init__(
        self,
        model: LayeredConfig,
        data: LayeredDataConfig,
        augment: AugmentConfig,
        config: LayeredTaskConfig,
        *,
        batch_size: int,
        workers: int,
        seed: int,
    ) -> None:
        self.model_config, self.data, self.augment, self.config = model, data, augment, config
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        # apart from the model: the loop neither trains nor saves it
        self.coarse = load_coarse(model.base).to(memory_format=torch.channels_last)
        self.surfaces = surfaces()
        self.model = built(lambda: LayeredNet(model, self.coarse))

    # ------------------------------------------------------------------------------------------------ the protocol

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "factor": 1.0}]

    def batch_source(self):
        from bodymap.training.loader import Loader

        others = {name: self.surfaces[name] for name in ("upper", "lower")}
        return Loader(
            Shards(self.data.shards, layer_sample, self.data.shares or None, self.data.seed),
            stack,
            Augment(self.augment, self.surfaces["body"], others),
            batch_size=self.batch_size,
            seed=self.seed,
            workers=self.workers,
        )

    def losses(self, batch: Batch, progress: Any = None) -> dict[str, Tensor]:
        """Every term, weighted; see LayeredLosses."""
        image, device = batch["image"], batch["image"].device
        features, match = self._look(image)
        output = self.model(features, image, self._masks(batch, features))
        size = (image.shape[-2], image.shape[-1])
        pixels = [self._chosen(batch, prefix) for prefix in PREFIXES]
        gathered = features_at(output.features, torch.cat(pixels), size).split([len(some) for some in pixels])
        match = match.permute(0, 2, 3, 1).flatten(0, 2)
        terms: dict[str, Tensor] = {}
        classification, geodesic = [], []
        for prefix, name, chosen, mine in zip(PREFIXES, LAYERS, pixels, gathered, strict=True):
            surface = self.surfaces[name].to(device)
            triangle = batch[prefix + "triangle"].flatten()[chosen]
            barycentric = batch[prefix + "barycentric"].flatten(0, 2)[chosen]
            code = points.code(surface, triangle, barycentric)
            rough = (batch["layer"].flatten()[chosen] != LAYERS.index(name) + BODY)[:, None]
            given = self._better(carried_over(name, match[chosen]), code, chosen // (size[0] * size[1]), rough)
            scores = self.model.scores(name, mine, given)
            weight = part_weight(points.part(surface, triangle, barycentric)) if name == "body" else None
            classification.append(classification_loss(scores, code, weight))
            some = slice(0, self.config.geodesic_pixels)  # (chosen pixels are in random order)
            posterior = colour.sample_log_posterior(surface, scores[some])
            target = points.nearest_sample(surface, triangle[some], barycentric[some])
            geodesic.append(geodesic_loss(posterior, target, surface.sample_geodesic))
            with torch.no_grad():
                found = surface.sample_geodesic[posterior.argmax(-1), target]
                terms[f"metric_{name}_cm"] = 100 * found.median() if len(found) else scores.sum().detach()
        weights = self.config.losses
        terms["classification"] = weights.classification * sum(classification)
        terms["geodesic"] = weights.geodesic * sum(geodesic)
        terms["visible"] = weights.visible * layer_loss(output.visible, batch["layer"])
        terms["presence"] = weights.presence * self._presence_loss(output.presence, batch["presence"])
        with torch.no_grad():
            terms["metric_mIoU"] = mean_iou(output.visible.argmax(1), batch["layer"])
        return terms

    def previews(self, batch: Batch) -> dict[str, np.ndarray]:
        """Rows: image; then for body, upper and lower the true code and the network's; the layers, true and found."""
        count = min(8, len(batch["image"]))
        batch = {name: value[:count] for name, value in batch.items()}
        image, device = batch["image"], batch["image"].device
        seen, match = self._look(image)
        match = match.permute(0, 2, 3, 1)
        output = self.model(seen, image, torch.where(batch["layer"] > 0, PERSON, 0))
        rows = [image]
        size = (image.shape[-2], image.shape[-1])
        for index, (prefix, name) in enumerate(zip(PREFIXES, LAYERS, strict=True)):
            surface = self.surfaces[name].to(device)
            triangle, barycentric = batch[prefix + "triangle"], batch[prefix + "barycentric"]
            inside = triangle >= 0
            truth = torch.zeros(*inside.shape, 3, device=device)
            truth[inside] = points.code(surface, triangle[inside], barycentric[inside])
            wanted = output.presence[:, index] > 0
            found = torch.zeros_like(truth)
            mine = features_at(output.features, wanted.flatten().nonzero()[:, 0], size)
            scores = self.model.scores(name, mine, carried_over(name, match[wanted]))
            place = colour.decode_scores(surface, scores)
            found[wanted] = points.code(surface, place[0], place[1])
            rows += [truth.permute(0, 3, 1, 2), found.permute(0, 3, 1, 2)]
        for layer in (batch["layer"], output.visible.argmax(1)):
            rows.append((layer / (len(NAMES) - 1))[:, None].expand(-1, 3, -1, -1))
        sheet = torch.cat([torch.cat(list(row.float()), -1) for row in rows], -2)
        return {"layers": (sheet.clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()}

    def weights_config(self) -> dict[str, Any]:
        return {"model": to_dict(self.model_config)}

    def weights_metadata(self) -> dict[str, str]:
        return {"code_version": code_version(self.surfaces)}

    # --------------------------------------------------------------------------------------------------- small parts

    def _look(self, image: Tensor) -> tuple[tuple[list[Tensor], list[Tensor]], Tensor]:
        if next(self.coarse.parameters()).device != image.device:
            self.coarse.to(image.device)
        return look_and_match(self.coarse, image)

    @torch.no_grad()
    def _masks(self, batch: Batch, features) -> Tensor:
        """What the network is told: the truth with mistakes, or, for some batches, its own answer without layers."""
        config, truth = self.config.masks, batch["layer"]
        if torch.rand(()) >= config.own_share:
            return damage(truth.masked_fill(truth < 0, ANYTHING), config)
        person = torch.where(truth > 0, PERSON, 0) if torch.rand(()) < 0.5 else torch.full_like(truth, ANYTHING)
        return self.model(features, batch["image"], person).visible.argmax(1)

    def _better(self, match: Tensor, code: Tensor, image: Tensor, rough: Tensor) -> Tensor:
        """Matches of some images become the truth, off by a little; where the layer is covered (``rough``) by more."""
        draw = torch.rand(self.batch_size, 4, device=match.device)
        shift = (draw[image, 1:] - 0.5) * torch.where(rough, 0.12, 0.03)
        near = code + shift + 0.004 * torch.randn_like(code)
        sure = 0.7 + 0.3 * torch.rand(len(code), 1, device=match.device)
        use = (draw[image, :1] < self.config.better) & (match[:, 3:] > 0)
        return torch.where(use, torch.cat([near.clamp(0, 1), sure], -1), match)

    def _chosen(self, batch: Batch, prefix: str) -> Tensor:
        """Random pixels whose place on a layer is known; of the body's enough that are visible."""
        known = (batch[prefix + "triangle"] >= 0).flatten()
        count = self.config.pixels
        if prefix:
            return _random(known, count)
        seen = (batch["layer"] == BODY).flatten()
        under = _random(known & ~seen, int(count * self.config.covered))
        chosen = torch.cat([under, _random(known & seen, count - len(under))])
        return chosen[torch.randperm(len(chosen), device=chosen.device)]

    def _presence_loss(self, logits: Tensor, presence: Tensor) -> Tensor:
        truth = presence.permute(0, 3, 1, 2)
        weight = torch.where(truth == UNKNOWN, self.config.losses.unseen, 1.0)
        # the body is hidden by clothes only, where an unknown one is likely there
        weight[:, 0][truth[:, 0] == UNKNOWN] = 0
        entropy = F.binary_cross_entropy_with_logits(logits.float(), (truth == 1).float(), reduction="none")
        return (entropy * weight).sum() / weight.sum().clamp(min=1)


def mean_iou(found: Tensor, truth: Tensor, classes: Sequence[int] = range(len(NAMES))) -> Tensor:
    """Mean intersection over union of the classes that there are, over known pixels (truth >= 0)."""
    known = truth >= 0
    values = []
    for index in classes:
        a, b = (found == index) & known, (truth == index) & known
        if (a | b).any():
            values.append((a & b).sum() / (a | b).sum())
    if not values:
        raise UserError("No pixel has a known layer.")
    return torch.stack(values).mean()


def _random(mask: Tensor, count: int) -> Tensor:
    """Indices of up to ``count`` random true places of a flat mask, in random order."""
    index = mask.nonzero()[:, 0]
    return index[torch.randperm(len(index), device=index.device)[:count]]
