"""The layered network on one page: frozen photograph features and a semantic mask in; body, upper and lower out.

The coarse stage of a BodyMap network looks at the photograph, its weights unchanged and shared (``LayeredNet`` holds
none of them): eight feature maps of RGB alone, no correspondence. What is trained is a decoder, which also sees the
semantic mask, and the heads: for each layer 3 x 256 scores of its own surface's colour code at gathered pixels, and
densely what is visible and what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from apps.layered.samples import NAMES
from apps.layered.settings import LayeredConfig
from bodymap.network.backbones import normalise_image
from bodymap.network.decoder import Decoder
from bodymap.network.fusion import Fusion
from bodymap.network.heads import ScoreHead
from bodymap.network.tokens import pad_to_multiple

if TYPE_CHECKING:
    from bodymap.network.cse import CSEStage

LAYERS = NAMES[1:]
# Values of a semantic mask beside those of NAMES
PERSON, ANYTHING = 4, -1  # the person, in who knows what layer; nothing known
_CONDITIONS = len(NAMES) + 1


@dataclass(frozen=True)
class LayeredOutput:
    """What the network says of each pixel.

    Attributes:
        features: full resolution; gather pixels with ``heads.features_at``, then ask ``LayeredNet.scores``.
        visible: logits of NAMES: the mask, refined.
        presence: logits of LAYERS: whether the layer is there along the pixel's ray, visible or covered.
    """

    features: Float[Tensor, "batch channel height width"]
    visible: Float[Tensor, "batch 4 height width"]
    presence: Float[Tensor, "batch layer=3 height width"]


class LayeredNet(nn.Module):
    """Features of a frozen coarse stage and a semantic mask -> the layers.

    Args:
        coarse: the stage that will look at the photographs; only its widths are read, it does not become a part.
    """

    def __init__(self, config: LayeredConfig, coarse: CSEStage):
        super().__init__()
        self.config = config
        self.multiple = coarse.encoder.multiple
        self.strides = coarse.encoder.strides
        stage = coarse.config
        context = (stage.merge4[-1], stage.merge8[-1], stage.merge16[-1], 0)
        self.fusion = nn.ModuleList(
            Fusion(config.fusion, channels + more, _CONDITIONS, config.decoder.features)
            for channels, more in zip(coarse.encoder.channels, context, strict=True)
        )
        self.decoder = Decoder(config.decoder, channels=3 + _CONDITIONS)
        fine = config.decoder.fine
        self.visible = nn.Conv2d(fine, len(NAMES), 1)
        self.presence = nn.Conv2d(fine, len(LAYERS), 1)
        self.score_heads = nn.ModuleDict({name: ScoreHead(config.heads, fine, coarse=False) for name in LAYERS})

    def forward(
        self,
        features: tuple[list[Tensor], list[Tensor]],
        image: Float[Tensor, "batch rgb=3 height width"],
        mask: Int[Tensor, "batch height width"],
    ) -> LayeredOutput:
        """Any image size.

        Args:
            features: the coarse stage's levels and context of the same image (``look``).
            image: RGB in [0, 1].
            mask: index into NAMES, PERSON or ANYTHING.
        """
        height, width = image.shape[-2:]
        condition = pad_to_multiple(condition_of(mask), self.multiple)
        guide = torch.cat([pad_to_multiple(normalise_image(image), self.multiple), condition], 1)
        levels, context = features
        joined = [torch.cat([level, more], 1) for level, more in zip(levels, context, strict=False)] + levels[3:]
        pooled = [F.avg_pool2d(condition, stride) for stride in self.strides]
        fused = [
            fuse(level, second, level.shape[-2:])
            for fuse, level, second in zip(self.fusion, joined, pooled, strict=True)
        ]
        x = self.decoder(fused, guide)[..., :height, :width]
        return LayeredOutput(x, self.visible(x), self.presence(x))

    def scores(self, layer: str, features: Float[Tensor, "n channel"]) -> Float[Tensor, "n 3 256"]:
        """Raw scores of the bins of a layer's colour code, at gathered pixels."""
        return self.score_heads[layer](features)


def condition_of(mask: Int[Tensor, "batch height width"]) -> Float[Tensor, "batch 5 height width"]:
    """One channel for each of NAMES, all 0 where the layer is unknown, and one for the person."""
    values = torch.arange(len(NAMES), device=mask.device).view(1, -1, 1, 1)
    return torch.cat([mask[:, None] == values, mask[:, None] > 0], 1).float()


@torch.no_grad()
def look(coarse: CSEStage, image: Float[Tensor, "batch rgb=3 height width"]) -> tuple[list[Tensor], list[Tensor]]:
    """What the coarse stage sees: the encoder's four levels, and its decoder's at strides 4, 8 and 16."""
    levels, context, _ = coarse.features(image)
    return list(levels), context


def load_coarse(base: str) -> CSEStage:
    """The frozen coarse stage of BodyMap weights (any source of ``bodymap.weights``), in evaluation mode.

    Raises:
        UserError: there are no such weights, or they have no coarse stage.
    """
    from bodymap import weights
    from bodymap.errors import UserError
    from bodymap.predictor import load_network
    from bodymap.surface import load_template

    template = load_template()
    coarse = load_network(weights.load(base, template.code_version), template).cse
    if coarse is None:
        raise UserError(f"The weights {base} have no coarse stage, which the layered network builds on.")
    return coarse.eval().requires_grad_(False)
