"""What the shared loop trains for the completion: data, losses, pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.rerender.adversary import Adversary, AdversaryConfig
from apps.rerender.completion import CompletionConfig, CompletionNet
from apps.rerender.partials import Spoil, SpoilConfig, collate
from apps.rerender.perceptual import Features, PerceptualConfig, masked_mean, random_crop
from apps.rerender.textures import TextureFolder
from bodymap.config import to_dict
from bodymap.errors import UserError
from bodymap.network.config import built
from bodymap.surface import Template, load_template
from bodymap.training.schedule import Progress
from bodymap.training.task import Batch
from bodymap.warping.atlas import get_atlas


@dataclass(frozen=True)
class CompletionTaskConfig:
    """Data and losses.

    Attributes:
        textures: folder of ``apps.rerender.textures``.
        unseen, seen: weights of the L1 where nothing was seen and where it was.
        layer: of the layers' cross entropy.  variation: of the total variation of what is made up.
    """

    textures: str = "data/textures"
    unseen: float = 5.0
    seen: float = 1.0
    layer: float = 0.1
    variation: float = 0.05
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    spoil: SpoilConfig = field(default_factory=SpoilConfig)


class NetworkAndAdversary(nn.Module):
    """The network and its adversary: the loop trains one module."""

    def __init__(self, network: nn.Module, adversary: nn.Module | None) -> None:
        super().__init__()
        self.network = network
        if adversary is not None:
            self.adversary = adversary


class CompletionTask:
    """See ``bodymap.training.task.Task``."""

    def __init__(
        self,
        model: CompletionConfig,
        config: CompletionTaskConfig,
        *,
        batch_size: int,
        workers: int,
        seed: int,
        template: Template | None = None,
    ) -> None:
        self.model_config, self.config = model, config
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.template = template if template is not None else load_template()
        judge = Adversary(3 + 4, config.adversary) if config.adversary.weight > 0 else None
        self.model = NetworkAndAdversary(built(lambda: CompletionNet(model, self.template)), judge)
        self.shipped = self.model.network
        self.features = Features(config.perceptual)
        self.covered = get_atlas(self.template, model.size).covered.float()[None, None]

    # ------------------------------------------------------------------------------------------------ the protocol
    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "factor": 1.0}]

    def batch_source(self):
        from bodymap.training.loader import Loader

        folder = TextureFolder(self.config.textures)
        wanted = self.model_config.size
        if folder.size % wanted:
            raise UserError(f"{folder.folder} holds textures of {folder.size} texels, which {wanted} does not divide.")
        return Loader(
            folder,
            collate,
            Spoil(self.template, wanted, self.config.spoil, self.seed),
            on_cpu=True,
            batch_size=self.batch_size,
            seed=self.seed,
            workers=self.workers,
        )

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        config, network = self.config, self.model.network
        done = network(batch["colour"], batch["confidence"], batch["layer"])
        truth, made = batch["texture"], done.texture
        covered = self.covered.to(truth.device).expand(len(truth), -1, -1, -1)
        seen = (batch["confidence"] > 0).float()
        unseen = covered * (1 - seen)

        error = (made - truth).abs()
        out = {
            "unseen": config.unseen * masked_mean(error, unseen),
            "seen": config.seen * masked_mean(error, seen),
            "metric_l1": masked_mean(error, unseen).detach(),
        }
        entropy = F.cross_entropy(done.layer, (batch["labels"] - 1).clamp_min(0), reduction="none")
        out["layer"] = config.layer * masked_mean(entropy[:, None], unseen)
        if config.variation > 0:
            across = (made[..., 1:] - made[..., :-1]).abs() * unseen[..., 1:] * unseen[..., :-1]
            down = (made[..., 1:, :] - made[..., :-1, :]).abs() * unseen[..., 1:, :] * unseen[..., :-1, :]
            out["variation"] = config.variation * (across.sum() + down.sum()) / unseen.sum().clamp_min(1)

        # what is judged has the seen as it is, for the eye sees the border too
        shown = torch.where(seen > 0, truth, made.clamp(-0.1, 1.1)) * covered
        if config.perceptual.weight > 0:
            mine, true = random_crop([shown, truth * covered], unseen, config.perceptual.crop)
            out["perceptual"] = config.perceptual.weight * self.features(mine, true)
        if config.adversary.weight > 0:
            given = torch.cat([batch["colour"], seen], 1)
            out |= self.model.adversary.losses(shown, truth * covered, given, progress.minutes, unseen)
        return out

    @torch.no_grad()
    def previews(self, batch: Batch) -> dict[str, np.ndarray]:
        done = self.model.network(batch["colour"], batch["confidence"], batch["layer"])
        seen = batch["confidence"] > 0
        shown = torch.where(seen, batch["colour"], done.texture) * self.covered.to(seen.device)
        rows = torch.cat([batch["colour"], shown, batch["texture"], done.take[:, :1].expand(-1, 3, -1, -1)], 3)[:6]
        sheet = (rows.clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        return {"completion": np.concatenate(list(sheet))}

    def weights_config(self) -> dict[str, Any]:
        return {"model": to_dict(self.model_config)}

    def weights_metadata(self) -> dict[str, str]:
        return {"code_version": self.template.code_version}
