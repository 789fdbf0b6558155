"""The paper's rivals, rebuilt small on our data: BodyMap's RGB-only network with another head and other losses.

charts     DensePose-style (Gueler et al. 2018): a chart for each pixel, and its coordinates there
simpose    SimPose-style (Zhu, Karlsson and Bregler 2020): charts and surface normals together, on simulated people; how
           much each task counts is learnt
embedding  HumanGPS-style (Tan et al. 2021): an embedding for each pixel at full resolution, compared with one of the
           surface's samples; trained by the CSE stage's loss instead of pairs of pictures

All see the whole picture (no mask, no coarse match), find the silhouette themselves, and start their encoder from the
CSE stage's, as the rows beside them do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from bodymap.ablation import charts
from bodymap.data.batch import Batch
from bodymap.data.normals import WithNormals
from bodymap.losses.cse import embedding_loss, soft_truth
from bodymap.losses.silhouette import silhouette_loss
from bodymap.network import BodyMapNet, build_model
from bodymap.network.config import ModelConfig
from bodymap.network.cse import embedding_distance
from bodymap.surface import Template, colour, points
from bodymap.task import BodyMapTask, choose

_HIDDEN, _DIM, _SIGMA = 96, 32, 0.05
_UNCERTAINTY_FACTOR = 20.0

Decoded = tuple[Int[Tensor, " n"], Float[Tensor, "n 3"], Float[Tensor, " n"]]  # triangle, barycentric, confidence


class ChartHead(nn.Module):
    """A pixel's features -> 24 scores of charts and the coordinates in each of them."""

    coarse = False  # a pixel's features are the decoder's alone (``BodyMapNet.forward``)

    def __init__(self, features: int, template: Template):
        super().__init__()
        self.hidden = nn.Linear(features, _HIDDEN)
        self.chart = nn.Linear(_HIDDEN, charts.COUNT)
        self.uv = nn.Linear(_HIDDEN, 2 * charts.COUNT)
        nn.init.constant_(self.uv.bias, 0.5)

    def forward(self, features: Float[Tensor, "n channel"]) -> tuple[Float[Tensor, "n 24"], Float[Tensor, "n 24 uv=2"]]:
        hidden = F.relu(self.hidden(features))
        return self.chart(hidden), self.uv(hidden).unflatten(-1, (charts.COUNT, 2))

    def loss(self, features: Tensor, truth: Batch, template: Template) -> dict[str, Tensor]:
        """Cross entropy of the chart; L1 of the coordinates in the true one, smooth near 0 (as DensePose has it)."""
        scores, uv = self(features)
        chart, place = charts.true_places(template, truth["triangle"], truth["barycentric"])
        known = chart >= 0
        if not known.any():
            return {"chart": scores.sum() * 0}
        own = uv[known, chart[known]].float()
        return {
            "chart": F.cross_entropy(scores[known].float(), chart[known]),
            "uv": 10 * F.smooth_l1_loss(own, place[known], beta=0.05),
        }

    def decode(self, template: Template, features: Float[Tensor, "n channel"]) -> Decoded:
        scores, uv = self(features)
        confidence, chart = scores.float().softmax(-1).max(-1)
        row = torch.arange(len(chart), device=chart.device)
        return *charts.surface_points(template, chart, uv[row, chart]), confidence


class ChartNormalHead(ChartHead):
    """As ``ChartHead``, with the surface's normal as a second task; what each term counts is learnt (see ``loss``)."""

    _TERMS = ("chart", "uv", "normal")

    def __init__(self, features: int, template: Template):
        super().__init__(features, template)
        self.normal = nn.Linear(_HIDDEN, 3)
        self.log_variance = nn.Parameter(torch.zeros(len(self._TERMS)))

    def normals(self, features: Float[Tensor, "n channel"]) -> Float[Tensor, "n xyz=3"]:
        """Unit vectors, camera axes."""
        return F.normalize(self.normal(F.relu(self.hidden(features))).float(), dim=-1)

    def loss(self, features: Tensor, truth: Batch, template: Template) -> dict[str, Tensor]:
        """sum exp(-s) L + s / 2 over charts, coordinates and 1 - cos of the normal's angle (after Kendall et al. 2018):
        a task's uncertainty s makes it count less, and costs something itself."""
        terms = super().loss(features, truth, template)
        cosine = (self.normals(features) * F.normalize(truth["normal"], dim=-1)).sum(-1)
        terms["normal"] = (1 - cosine).mean() if len(cosine) else cosine.sum()
        weighted = {
            name: (-s).exp() * terms[name]
            for name, s in zip(self._TERMS, self.log_variance, strict=True)
            if name in terms
        }
        angle = cosine.detach().clamp(-1, 1).acos().rad2deg()
        return {
            **weighted,
            "uncertainty": self.log_variance.sum() / 2,
            "metric_normal_degrees": angle.median() if len(angle) else cosine.sum().detach(),
        }


class EmbeddingHead(nn.Module):
    """A pixel's features -> a unit vector; the surface's samples have theirs, smooth functions on the body."""

    coarse = False

    def __init__(self, features: int, template: Template):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(features, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _DIM))
        eigenvectors = template.sample_eigenvectors
        count = eigenvectors.shape[1]
        # rough eigenfunctions start small (as in ``network.cse``)
        decay = 1 / (1 + torch.arange(count) / 2)
        self.basis = nn.Parameter(torch.randn(count, _DIM) * decay[:, None])
        scale = eigenvectors.square().mean(0, keepdim=True).sqrt().clamp(min=1e-12)
        self.register_buffer("eigenvectors", (eigenvectors / scale).float(), persistent=False)

    def forward(self, features: Float[Tensor, "n channel"]) -> Float[Tensor, "n s"]:
        """Distances to the samples' embeddings."""
        with torch.autocast(features.device.type, enabled=False):
            vertices = F.normalize(self.eigenvectors @ self.basis, dim=-1)
            return embedding_distance(F.normalize(self.embed(features.float()), dim=-1), vertices)

    def loss(self, features: Tensor, truth: Batch, template: Template) -> dict[str, Tensor]:
        soft = template.kept(("soft_truth", 0.01), lambda: soft_truth(template.sample_geodesic, 0.01))
        target = points.nearest_sample(template, truth["triangle"], truth["barycentric"])
        return {"embedding": 0.5 * embedding_loss(self(features), target, soft, _SIGMA)}

    def decode(self, template: Template, features: Float[Tensor, "n channel"]) -> Decoded:
        """The posterior mean of the colour codes around the best sample; the confidence is the mass there."""
        posterior = (self(features) / -_SIGMA).softmax(-1)
        best = posterior.argmax(-1)
        near = posterior * (template.sample_geodesic[best] <= colour.CONFIDENCE_RADIUS)
        mass = near.sum(-1, keepdim=True)
        return *colour.decode_colour(template, near @ template.sample_code / mass), mass[:, 0].clamp(0, 1)


HEADS: dict[str, type[ChartHead] | type[EmbeddingHead]] = {
    "charts": ChartHead,
    "simpose": ChartNormalHead,
    "embedding": EmbeddingHead,
}


def baseline_config(model: ModelConfig) -> ModelConfig:
    """A baseline's network beside BodyMap's: the same encoder as the CSE stage, the same decoder, nothing else."""
    return replace(model, cse=None, appearance=model.cse.encoder, correspondence=None)


def build_baseline(kind: str, config: ModelConfig, template: Template) -> BodyMapNet:
    """The network of ``baseline_config`` with the head of ``kind``; random weights."""
    net = build_model(config, template)
    net.score_head = HEADS[kind](config.decoder.fine, template)
    return net


class BaselineTask(BodyMapTask):
    """BodyMap's data, another network, other losses."""

    def __init__(
        self,
        kind: str,
        model: ModelConfig,
        *others: Any,
        start: Mapping[str, Tensor],
        normals: str | os.PathLike | None = None,
        **settings: Any,
    ):
        """As ``BodyMapTask``.

        Args:
            start: tensors of weights whose CSE stage has the same encoder.
            normals: of the shards' pictures, written by ``bodymap.data.normals``; for "simpose".
        """
        super().__init__(baseline_config(model), *others, **settings)
        self.kind, self.start, self.normals = kind, start, normals
        self.model.score_head = HEADS[kind](self.model_config.decoder.fine, self.template)

    def begin(self) -> None:
        from bodymap.weights import load_into

        prefix = "cse.encoder."
        encoder = {name.removeprefix(prefix): t for name, t in self.start.items() if name.startswith(prefix)}
        load_into(self.model.appearance, encoder, source="The CSE stage's encoder")

    def dataset(self) -> Any:
        return super().dataset() if self.normals is None else WithNormals(self.data.shards, self.normals)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Uncertainties learn fast: a small budget's steps would leave them where they began."""
        own = [p for name, p in self.model.named_parameters() if name.endswith("log_variance")]
        groups = super().parameter_groups()
        for group in groups:
            group["params"] = [p for p in group["params"] if all(p is not other for other in own)]
        return [*groups, {"params": own, "factor": _UNCERTAINTY_FACTOR, "weight_decay": 0.0}] if own else groups

    def losses(self, batch: Batch, progress: Any = None) -> dict[str, Tensor]:
        template, image = self.template.to(batch["image"].device), batch["image"]
        prediction = self.model(image, torch.ones_like(image[:, :1]))
        chosen = choose((batch["foreground"] & (batch["triangle"] >= 0)).flatten(), self.config.pixels)
        features = prediction.features.permute(0, 2, 3, 1).flatten(0, 2)[chosen]
        truth = {
            name: batch[name].flatten(0, 2)[chosen] for name in ("triangle", "barycentric", "normal") if name in batch
        }
        silhouette = silhouette_loss(prediction.foreground, batch["foreground"])
        return {
            **self.model.score_head.loss(features, truth, template),
            "silhouette": self.config.losses.silhouette * silhouette,
        }

    def previews(self, batch: Batch) -> dict[str, Any]:
        return {}

    def weights_config(self) -> dict[str, Any]:
        return {"baseline": self.kind, **super().weights_config()}
