"""What the shared loop trains for the renderer: data, losses, pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from apps.rerender.adversary import Adversary, AdversaryConfig
from apps.rerender.completion_task import NetworkAndAdversary
from apps.rerender.partials import collate
from apps.rerender.perceptual import Features, PerceptualConfig, masked_mean, random_crop
from apps.rerender.renderer import RendererConfig, RendererNet
from apps.rerender.views import ViewFolder, from_bytes
from bodymap.config import check_ranges, to_dict
from bodymap.network.config import built
from bodymap.surface import Template, load_template
from bodymap.training.schedule import Progress
from bodymap.training.task import Batch

INPUTS = ("warped", "share", "code", "mask", "normals", "texture", "seen", "form")
_MASKS = ("mask", "alpha")
_SIGNED = ("normals", "form")
_LAID = ("warped", "share", "code", "normals")  # what is known where the map is
HEAD_CODE = 0.86  # of the code's third channel, which rises with the height: the head lies above


@dataclass(frozen=True)
class RendererTaskConfig:
    """Data and losses.

    Attributes:
        views: folder of ``apps.rerender.views``.
        colour: weight of the L1 on the person.  face: of the L1 on the head, on top.
        tint: largest change of the gain of a person's colours.
        zoom: largest change of a person's size, as a share of it; people move by as much.
        astray: degrees by which all normals of a person are off, as a fitted body's are (standard deviation).
        unknown: share of the people of whom no normals are known; of as many others only those of a part.
    """

    views: str = "data/views"
    colour: float = 5.0
    face: float = 2.0
    tint: float = 0.2
    zoom: float = 0.2
    astray: float = 8.0
    unknown: float = 0.1
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)

    def __post_init__(self) -> None:
        check_ranges(self, tint=(0, 0.9), zoom=(0, 0.9), astray=(0, 180), unknown=(0, 0.5))


class RendererTask:
    """See ``bodymap.training.task.Task``."""

    def __init__(
        self,
        model: RendererConfig,
        config: RendererTaskConfig,
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
        self.model = NetworkAndAdversary(built(lambda: RendererNet(model)), judge)
        self.shipped = self.model.network
        self.features = Features(config.perceptual)

    # ------------------------------------------------------------------------------------------------ the protocol
    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "factor": 1.0}]

    def batch_source(self):
        from bodymap.training.loader import Loader

        return Loader(
            ViewFolder(self.config.views),
            collate,
            Vary(self.seed, self.config),
            on_cpu=True,
            batch_size=self.batch_size,
            seed=self.seed,
            workers=self.workers,
        )

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        config = self.config
        made = self.model.network(**{name: batch[name] for name in INPUTS})
        true, alpha = batch["image"], batch["alpha"]
        error = (made.colour - true).abs()
        # what the map does not cover cannot be shown, and what it covers beside the person is never seen alone
        both = alpha * batch["mask"]
        out = {
            "colour": config.colour * masked_mean(error, both),
            "face": config.face * masked_mean(error, both * batch["head"]),
            "metric_l1": masked_mean(error, both).detach(),
            "metric_warp_l1": masked_mean((made.base - true).abs(), both).detach(),
        }
        # elsewhere both are the same, so that no outline has a say in the colours beside it
        wanted = true * alpha + 0.5 * (1 - alpha)
        shown = torch.where(both > 0, made.colour.clamp(-0.1, 1.1), wanted)
        if config.perceptual.weight > 0:
            mine, theirs = random_crop([shown, wanted], both, config.perceptual.crop)
            out["perceptual"] = config.perceptual.weight * self.features(mine, theirs)
        if config.adversary.weight > 0:
            given = torch.cat([made.base, batch["mask"]], 1)
            out |= self.model.adversary.losses(shown, wanted, given, progress.minutes)
        return out

    @torch.no_grad()
    def previews(self, batch: Batch) -> dict[str, np.ndarray]:
        made = self.model.network(**{name: batch[name] for name in INPUTS})
        alpha, mask = batch["alpha"], batch["mask"]
        rows = [
            batch["warped"] * mask + 0.5 * (1 - mask),
            made.colour * mask + 0.5 * (1 - mask),
            batch["image"] * alpha + 0.5 * (1 - alpha),
            batch["image"],
        ]
        sheet = (torch.cat(rows, 3)[:6].clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        return {"renderer": np.concatenate(list(sheet))}

    def weights_config(self) -> dict[str, Any]:
        return {"model": to_dict(self.model_config)}

    def weights_metadata(self) -> dict[str, str]:
        return {"code_version": self.template.code_version}


class Vary:
    """The loader's transform: compact views -> float tensors (B, C, H, W) in [0, 1]; people's colours, sizes and places
    vary by the sample's slot.

    Adds "head" (B, 1, H, W): where the map shows the head.
    """

    def __init__(self, seed: int, config: RendererTaskConfig) -> None:
        self.seed, self.config = seed, config

    @classmethod
    def nothing(cls) -> Vary:
        """Leaves people as they are stored."""
        return cls(0, RendererTaskConfig(tint=0.0, zoom=0.0, astray=0.0, unknown=0.0))

    def __call__(self, batch: Batch, slots: Tensor) -> Batch:
        out = {}
        for name, value in batch.items():
            if value.dtype != torch.uint8:
                out[name] = value
                continue
            value = from_bytes(value) if name in _SIGNED else value.float() / (1 if name in _MASKS else 255)
            out[name] = value.permute(0, 3, 1, 2).contiguous() if value.ndim == 4 else value[:, None]
        draws = [torch.Generator().manual_seed((self.seed << 32) + slot) for slot in slots.tolist()]
        gain = torch.stack(
            [torch.exp(self.config.tint * torch.randn(3, generator=draw)).clamp(0.6, 1.5) for draw in draws]
        )
        for name in ("warped", "image", "texture"):
            out[name] = (out[name] * gain[..., None, None]).clamp(0, 1)
        if self.config.zoom > 0:
            out = self._moved(out, draws)
        if self.config.astray > 0 or self.config.unknown > 0:
            out = self._astray(out, draws)
        # the code's height tells the head without a look-up
        out["head"] = (out["code"][:, 2:] > HEAD_CODE).float() * out["mask"]
        return out

    def _astray(self, batch: Batch, draws: list[torch.Generator]) -> Batch:
        """Normals turned a little, those before and after by themselves; of some people unknown, of some below or above
        some height of the picture."""
        angles = torch.stack([torch.randn(2, 3, generator=draw) for draw in draws]) * math.radians(self.config.astray)
        x, y, z = angles.unbind(-1)
        zero = torch.zeros_like(x)
        turn = torch.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3)))
        normals, form = batch["normals"], torch.einsum("bij,bjhw->bihw", turn[:, 0], batch["form"])
        before, after = (torch.einsum("bij,bjhw->bihw", turn[:, k], normals[:, 3 * k : 3 * k + 3]) for k in range(2))
        normals = torch.cat([before, after, normals[:, 6:]], 1)
        how, where = torch.stack([torch.rand(2, generator=draw) for draw in draws], 1)
        rows = torch.arange(normals.shape[2]) / normals.shape[2]
        share = self.config.unknown
        lost = how < share
        part = (how >= share) & (how < 2 * share)
        below = (rows > where[:, None]) == (how < 1.5 * share)[:, None]
        gone = (lost[:, None] | (part[:, None] & below))[:, None, :, None]
        return batch | {"normals": normals * ~gone, "form": form * ~lost[:, None, None, None]}

    def _moved(self, batch: Batch, draws: list[torch.Generator]) -> Batch:
        """Views and their truth, scaled and shifted; outside of the picture is nobody."""
        drawn = torch.stack([2 * torch.rand(3, generator=draw) - 1 for draw in draws], 1) * self.config.zoom
        size, right, down = drawn
        theta = torch.zeros(len(draws), 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = torch.exp(size)
        theta[:, 0, 2], theta[:, 1, 2] = right, down
        grid = functional.affine_grid(theta, list(batch["image"].shape), align_corners=False)

        def taken(image: Tensor) -> Tensor:
            return functional.grid_sample(image, grid, align_corners=False)

        cover = taken(batch["mask"])
        mask = (cover > 0.5).float()
        laid = {name: taken(batch[name] * batch["mask"]) / cover.clamp_min(1e-3) * mask for name in _LAID}
        alpha = (taken(batch["alpha"]) > 0.5).float()
        return batch | laid | {"mask": mask, "alpha": alpha, "image": taken(batch["image"])}
