"""The BodyMap task: what the shared loop trains. Data, the two stages' inputs, and the weighted losses.

Stages: ``cse`` trains the coarse stage alone, ``bodymap`` the fine one on a CSE stage that stays as it is,
``both`` the two together; gradients never cross from one to the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bodymap.config import check_ranges, to_dict
from bodymap.data.augment import Augment
from bodymap.data.batch import UNJUDGED, Batch, stack
from bodymap.data.corruption import CorruptionConfig, corrupt
from bodymap.data.settings import AugmentConfig, DataConfig
from bodymap.errors import UserError
from bodymap.losses.classification import classification_loss, part_weight
from bodymap.losses.consistency import PixelPairs, choose_pairs, consistency_loss, expected_distance
from bodymap.losses.cse import embedding_loss, soft_truth
from bodymap.losses.facing import facing_loss
from bodymap.losses.geodesic import geodesic_loss
from bodymap.losses.layer import layer_loss, layer_weight
from bodymap.losses.silhouette import silhouette_loss
from bodymap.network import Prediction, build_model
from bodymap.network.config import ModelConfig
from bodymap.network.cse import CSEOutput, embedding_distance, mask_from_foreground
from bodymap.surface import Template, colour, load_template, points


@dataclass(frozen=True)
class LossWeights:
    """lambda of each term (METHOD, section 3); 0 leaves a term out."""

    classification: float = 1.0
    silhouette: float = 2.0
    layer: float = 0.5
    geodesic: float = 1.0
    consistency: float = 0.2
    embedding: float = 0.5
    cse_silhouette: float = 2.0
    facing: float = 0.3


@dataclass(frozen=True)
class InputConfig:
    """What the fine stage is given, by chance, each image on its own.

    Attributes:
        own: the CSE stage's own answer is the correspondence image; else corrupted truth. In stage ``both`` and
            ``bodymap``.
        true_mask: the mask is the true one, widened or narrowed by a few pixels; ``no_mask``: everything; else the
            CSE's.
    """

    own: float = 0.65
    true_mask: float = 0.25
    no_mask: float = 0.1
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)

    def __post_init__(self) -> None:
        check_ranges(self, own=(0, 1), true_mask=(0, 1), no_mask=(0, 1))


@dataclass(frozen=True)
class TaskConfig:
    """What is trained, and how much of each image the losses look at.

    Attributes:
        stage: see the module.
        appearance_start: "cse" starts the appearance stream's encoder of a new run as a copy of the CSE stage's, which
            knows people already; both must be of one kind. "own" leaves it as it is.
        encoder_factor: the learning rate's factor for encoders that start from photograph-trained weights (tiny_vit).
        pixels: foreground pixels a batch for the classification; geodesic_pixels of these for L_geo.
        cse_pixels: coarse foreground pixels a batch for the embedding loss.
        sigma_geodesic: sigma_g of the embedding loss, metres.
        pairs: reference pixels p_r of L_con an iteration; colours: whose colours it compares.
    """

    stage: Literal["cse", "bodymap", "both"] = "both"
    appearance_start: Literal["own", "cse"] = "own"
    encoder_factor: float = 0.1
    pixels: int = 6000
    geodesic_pixels: int = 768
    cse_pixels: int = 3000
    sigma_geodesic: float = 0.01
    pairs: int = 100
    colours: Literal["predicted", "photograph"] = "predicted"
    losses: LossWeights = field(default_factory=LossWeights)
    inputs: InputConfig = field(default_factory=InputConfig)

    def __post_init__(self) -> None:
        many = (1, 10_000_000)
        check_ranges(
            self, encoder_factor=(0, 1e6), pixels=many, geodesic_pixels=many, cse_pixels=many, pairs=(2, 100_000)
        )
        check_ranges(self, sigma_geodesic=(1e-6, 1e6))


class BodyMapTask:
    """See ``bodymap.training.task.Task``."""

    def __init__(
        self,
        model: ModelConfig,
        data: DataConfig,
        augment: AugmentConfig,
        config: TaskConfig,
        *,
        batch_size: int,
        workers: int,
        seed: int,
        template: Template | None = None,
    ) -> None:
        self.model_config, self.data, self.augment, self.config = model, data, augment, config
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.template = template if template is not None else load_template()
        self.model = build_model(model, self.template)
        self._truth: Tensor | None = None  # soft_truth, on the device of the last batch
        self.trains_cse = config.stage in ("cse", "both") and self.model.cse is not None
        self.trains_fine = config.stage in ("bodymap", "both")
        if data.densepose and self.trains_fine and self.model.cse is None and self.model.correspondence is not None:
            raise UserError("data.densepose: points make no correspondence image; the network needs a CSE stage.")
        for module in self.model.children():
            if not (self.trains_cse if module is self.model.cse else self.trains_fine):
                module.requires_grad_(False)

    # ------------------------------------------------------------------------------------------------ the protocol

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Photograph-trained encoders learn slowly, the rest at the full rate."""
        slow = {p for m in self._pretrained_encoders() for p in m.parameters()}
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        return [
            {"params": [p for p in parameters if p not in slow], "factor": 1.0},
            {"params": [p for p in parameters if p in slow], "factor": self.config.encoder_factor},
        ]

    def begin(self) -> None:
        """Called once when a new run begins, after its first weights were loaded."""
        if self.config.appearance_start == "own":
            return
        encoder = None if self.model_config.cse is None else self.model_config.cse.encoder
        if encoder != self.model_config.appearance:
            raise UserError("task.appearance_start: cse needs a CSE stage whose encoder is set as the appearance is.")
        self.model.appearance.load_state_dict(self.model.cse.encoder.state_dict())

    def batch_source(self):
        from bodymap.training.loader import Loader

        dataset = self.dataset()
        return Loader(
            dataset,
            getattr(dataset, "collate", stack),
            Augment(self.augment, self.template),
            finish=getattr(dataset, "finish", None),
            batch_size=self.batch_size,
            seed=self.seed,
            workers=self.workers,
        )

    def dataset(self) -> Any:
        """Index -> compact sample, or what ``Loader`` makes samples of."""
        if self.data.densepose:
            from bodymap.data.densepose import AnnotatedPeople

            return AnnotatedPeople(self.data.densepose, self.data.size, self.template)
        if self.data.shards:
            from bodymap.data.shards import ShardDataset

            return ShardDataset(self.data.shards)
        from bodymap.data.synthetic import Shots, SyntheticPeople

        people = SyntheticPeople(
            self.data.pack, self.data.size, self.data.seed, self.data.views_per_person, split="train"
        )
        on_device = self.data.render == "device" or (self.data.render == "auto" and torch.cuda.is_available())
        return Shots(people) if on_device else people

    def losses(self, batch: Batch, progress: Any = None) -> dict[str, Tensor]:
        """Every term, weighted; see LossWeights."""
        template = self.template.to(batch["image"].device)
        self._settle_norms()
        cse = None
        if self.model.cse is not None:
            with torch.set_grad_enabled(self.trains_cse and torch.is_grad_enabled()):
                cse = self._look(batch["image"])
        terms = self._cse_losses(batch, cse, template) if self.trains_cse and cse is not None else {}
        if self.trains_fine:
            terms |= self._fine_losses(batch, cse, template)
        weights = to_dict(self.config.losses)
        return {
            name: value if name.startswith("metric_") else value * weights[name]
            for name, value in terms.items()
            if name.startswith("metric_") or weights[name] != 0
        }

    def previews(self, batch: Batch) -> dict[str, np.ndarray]:
        """Rows: image, true code, coarse code, fine code; all masked."""
        template = self.template.to(batch["image"].device)
        count = min(8, len(batch["image"]))
        image = batch["image"][:count]
        rows = [image, self._true_code(batch, template)[:count]]
        size = (image.shape[-2], image.shape[-1])
        mask = coarse = None
        if self.model.cse is not None:
            cse = self._look(image)
            mask, coarse = mask_from_foreground(cse, size), self.model.correspondence_image(cse, size)
            rows.append(coarse[:, :3])
        if self.trains_fine:
            rows.append(self._fine_code(self.model(image, mask, coarse), template))
        sheet = torch.cat([torch.cat(list(row), -1) for row in rows], -2)
        return {"maps": (sheet.clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()}

    def weights_config(self) -> dict[str, Any]:
        return {"model": to_dict(self.model_config)}

    def weights_metadata(self) -> dict[str, str]:
        return {"code_version": self.template.code_version}

    # ------------------------------------------------------------------------------------------------- the stages

    def _cse_losses(self, batch: Batch, cse: CSEOutput, template: Template) -> dict[str, Tensor]:
        rows, columns = cse.foreground.shape[-2:]
        # the truth at the centre of each coarse pixel
        triangle = batch["triangle"][:, 2::4, 2::4][:, :rows, :columns]
        barycentric = batch["barycentric"][:, 2::4, 2::4][:, :rows, :columns]
        foreground = batch["foreground"][:, 2::4, 2::4][:, :rows, :columns]
        chosen = choose((foreground & (triangle >= 0)).flatten(), self.config.cse_pixels)
        embedding = cse.embedding.permute(0, 2, 3, 1).flatten(0, 2)[chosen]
        place = triangle.flatten()[chosen], barycentric.flatten(0, 2)[chosen]
        target, part = points.nearest_sample(template, *place), points.part(template, *place)
        weight = part_weight(part, head=1.0)
        if "trust" in batch:
            weight = weight * batch["trust"][:, 2::4, 2::4][:, :rows, :columns].flatten()[chosen]
        if self._truth is None or self._truth.device != target.device:
            self._truth = soft_truth(template.sample_geodesic, self.config.sigma_geodesic)
        distance = embedding_distance(embedding, self.model.cse.vertex_embedding())
        found = distance.detach().argmin(1)
        return {
            "embedding": embedding_loss(distance, target, self._truth, self.model_config.cse.sigma, weight),
            "cse_silhouette": silhouette_loss(
                cse.foreground, foreground, judged=self._judged(batch["layer"][:, 2::4, 2::4][:, :rows, :columns])
            ),
            "facing": facing_loss(cse.facing, batch["facing"]),
            "metric_cse_cm": 100 * template.sample_geodesic[found, target].median() if len(target) else distance.sum(),
        }

    def _fine_losses(self, batch: Batch, cse: CSEOutput | None, template: Template) -> dict[str, Tensor]:
        image, foreground = batch["image"], batch["foreground"]
        known = foreground & (batch["triangle"] >= 0)
        prediction = self.model(image, *self._inputs(batch, cse, template))

        # Scores only at some foreground pixels, never of the whole image; all of them taken at once, because each
        # taking costs a gradient of the features' full size.
        chosen = choose(known.flatten(), self.config.pixels)
        pairs = choose_pairs(foreground, self.config.pairs) if self.config.losses.consistency else None
        wanted = chosen if pairs is None else torch.cat([chosen, pairs.flat(known.shape[1:])])
        features = prediction.features.permute(0, 2, 3, 1).flatten(0, 2)[wanted]
        scores, pair_scores = self.model.scores(features).float().split([len(chosen), len(wanted) - len(chosen)])
        triangle, barycentric = batch["triangle"].flatten()[chosen], batch["barycentric"].flatten(0, 2)[chosen]
        code = points.code(template, triangle, barycentric)
        weight = part_weight(points.part(template, triangle, barycentric))
        trust = batch["trust"].flatten()[chosen] if "trust" in batch else None
        terms = {
            "classification": classification_loss(scores, code, weight if trust is None else weight * trust),
            "silhouette": silhouette_loss(prediction.foreground, foreground, judged=self._judged(batch["layer"])),
        }
        if not self.data.densepose:  # nobody annotated layers
            terms["layer"] = layer_loss(prediction.layer, batch["layer"], layer_weight())
        if self.config.losses.geodesic:
            some = slice(0, self.config.geodesic_pixels)  # (chosen pixels are in random order)
            log_posterior = colour.sample_log_posterior(template, scores[some])
            target = points.nearest_sample(template, triangle[some], barycentric[some])
            terms["geodesic"] = geodesic_loss(
                log_posterior, target, template.sample_geodesic, None if trust is None else trust[some]
            )
        if pairs is not None:
            terms["consistency"] = self._consistency(batch["image"], pairs, pair_scores, template)
        with torch.no_grad():
            error = (scores.argmax(-1) - code * 255).abs().amax(-1)
            terms["metric_within10"] = (error <= 10).float().mean() if len(error) else scores.sum()
        return terms

    def _consistency(self, image: Tensor, pairs: PixelPairs, scores: Tensor, template: Template) -> Tensor:
        """L_con (METHOD, section 3); ``scores`` in the order of ``pairs.flat``."""
        count, neighbours = pairs.near.shape[:2]

        def parted(values: Tensor) -> tuple[Tensor, Tensor]:
            return values[:count], values[count:].unflatten(0, (count, neighbours))

        posterior = colour.sample_log_posterior(template, scores).exp()
        distance = expected_distance(*parted(posterior), template.sample_geodesic)
        if self.config.colours == "photograph":
            colours = image.permute(0, 2, 3, 1).flatten(0, 2)[pairs.flat(image.shape[-2:])]
        else:
            # no matrix product: autocast would round colours to a bin
            colours = (scores.softmax(-1) * torch.linspace(0, 1, scores.shape[-1], device=scores.device)).sum(-1)
        return consistency_loss(distance, *parted(colours), float(template.sample_geodesic.max()))

    def _inputs(self, batch: Batch, cse: CSEOutput | None, template: Template) -> tuple[Tensor, Tensor | None]:
        """(mask, correspondence image), each image's by chance: the CSE stage's own, or the truth with mistakes."""
        config, image = self.config.inputs, batch["image"]
        size, count, device = (image.shape[-2], image.shape[-1]), len(image), image.device
        truth = batch["foreground"][:, None].float()
        draw = torch.rand(2, count, 1, 1, 1, device=device)

        # widened or narrowed by up to 4 pixels
        radius = int(torch.randint(0, 5, ()))
        wide = F.max_pool2d(truth, 2 * radius + 1, 1, radius)
        narrow = -F.max_pool2d(-truth, 2 * (radius // 2) + 1, 1, radius // 2)
        near_truth = torch.where(torch.rand(count, 1, 1, 1, device=device) < 0.8, wide, narrow)
        own_mask = near_truth if cse is None else mask_from_foreground(cse, size)
        mask = torch.where(draw[0] < config.true_mask, near_truth, own_mask)
        mask = torch.where(draw[0] > 1 - config.no_mask, torch.ones_like(mask), mask)
        if self.model.correspondence is None:
            return mask, None

        if self.data.densepose:
            # a few points make no correspondence image: the network always gets its own
            return mask, self.model.correspondence_image(cse, size)

        correspondence = corrupt(self._true_code(batch, template), batch["foreground"], config.corruption)
        if cse is not None:
            own = self.model.correspondence_image(cse, size)
            correspondence = torch.where(draw[1] < config.own, own, correspondence)
        return mask, correspondence

    # --------------------------------------------------------------------------------------------------- small parts

    def _look(self, image: Tensor) -> CSEOutput:
        """The coarse stage; where it is not trained it looks at the mirror image too, as the predictor has it."""
        return self.model.cse(image) if self.trains_cse else self.model.cse.both_ways(image)

    def _judged(self, layer: Tensor) -> Tensor | None:
        """The pixels that a silhouette loss looks at; None: all, which synthetic people allow."""
        return layer != UNJUDGED if self.data.densepose else None

    def _settle_norms(self) -> None:
        """A stage that is not trained keeps its batch statistics."""
        if self.model.cse is not None and self.model.cse.training and not self.trains_cse:
            self.model.cse.eval()

    def _pretrained_encoders(self) -> list[nn.Module]:
        encoders: list[nn.Module] = []
        if self.model_config.appearance.kind == "tiny_vit":
            encoders.append(self.model.appearance)
        if self.model_config.cse is not None and self.model_config.cse.encoder.kind == "tiny_vit":
            encoders.append(self.model.cse.encoder)
        return encoders

    def _true_code(self, batch: Batch, template: Template) -> Tensor:
        """(B, 3, H, W) in [0, 1], 0 outside."""
        inside = batch["triangle"] >= 0
        image = torch.zeros(*inside.shape, 3, device=inside.device)
        image[inside] = points.code(template, batch["triangle"][inside], batch["barycentric"][inside])
        return image.permute(0, 3, 1, 2)

    def _fine_code(self, prediction: Prediction, template: Template) -> Tensor:
        """(B, 3, H, W) decoded colour code, 0 outside the predicted foreground."""
        inside = prediction.foreground[:, 0] > 0
        image = torch.zeros(*inside.shape, 3, device=inside.device)
        features = prediction.features.permute(0, 2, 3, 1)[inside]
        triangle, barycentric, _ = colour.decode_scores(template, self.model.scores(features))
        image[inside] = points.code(template, triangle, barycentric)
        return image.permute(0, 3, 1, 2)


def choose(mask: Tensor, count: int) -> Tensor:
    """Indices of up to ``count`` random true places of a flat mask, in random order."""
    index = mask.nonzero()[:, 0]
    return index[torch.randperm(len(index), device=index.device)[:count]]
