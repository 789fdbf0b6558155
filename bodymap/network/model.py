"""The architecture on one page: CSE stage, two streams, fusion, decoder, heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bodymap.network.backbones import build_backbone, normalise_image
from bodymap.network.config import ModelConfig, built
from bodymap.network.cse import CSEOutput, CSEStage, correspondence_image, evidence_at, mask_from_foreground
from bodymap.network.decoder import Decoder
from bodymap.network.fusion import Fusion
from bodymap.network.heads import DenseHeads, ScoreHead
from bodymap.network.tokens import pad_to_multiple

if TYPE_CHECKING:
    from bodymap.surface import Template


@dataclass(frozen=True)
class Prediction:
    """What the network says of each pixel; scores are asked for afterwards, at the pixels that matter.

    Attributes:
        features: full resolution (the decoder's, then the masked correspondence image); gather pixels with
            ``heads.features_at``, then ask ``BodyMapNet.scores``.
        foreground: logits.
        layer: logits of LAYER_NAMES.
        cse: the CSE stage's output where it was run, else None.
    """

    features: Float[Tensor, "batch channel height width"]
    foreground: Float[Tensor, "batch 1 height width"]
    layer: Float[Tensor, "batch layer=7 height width"]
    cse: CSEOutput | None

    @property
    def facing(self) -> Float[Tensor, "batch 4"] | None:
        """Logits of cse.FACING_NAMES where the CSE stage was run, else None."""
        return None if self.cse is None else self.cse.facing


class BodyMapNet(nn.Module):
    """Image, mask and coarse correspondence -> features of which every answer is computed."""

    def __init__(
        self,
        config: ModelConfig,
        eigenvectors: Float[Tensor, "s k"],
        code: Float[Tensor, "s 3"],
        mirror: Int[Tensor, " s"] | None = None,
    ):
        super().__init__()
        self.config = config
        self.cse = None if config.cse is None else CSEStage(config.cse, eigenvectors, code, mirror)

        # -- two streams, each a pyramid of four levels --
        self.appearance = build_backbone(config.appearance, channels=3)
        self.correspondence = None
        if config.correspondence is not None:
            self.correspondence = build_backbone(config.correspondence, config.correspondence_channels)

        streams = [self.appearance] if self.correspondence is None else [self.appearance, self.correspondence]
        self.multiple = max(stream.multiple for stream in streams)

        # -- fusion, level by level --
        second = [None] * 4 if self.correspondence is None else self.correspondence.channels
        self.fusion = nn.ModuleList(
            Fusion(config.fusion, *channels, config.decoder.features)
            for channels in zip(self.appearance.channels, second, strict=True)
        )

        # -- decoder (its guide: masked RGB, the mask, and the correspondence image) and heads --
        guide = 4 if self.correspondence is None else 4 + config.correspondence_channels
        self.decoder = Decoder(config.decoder, channels=guide)
        self.heads = DenseHeads(config.decoder.fine)
        coarse = self.correspondence is not None and config.correspondence_channels == 4
        self.score_head = ScoreHead(config.heads, config.decoder.fine, coarse)

    def forward(
        self,
        image: Float[Tensor, "batch rgb=3 height width"],
        mask: Float[Tensor, "batch 1 height width"] | None = None,
        correspondence: Float[Tensor, "batch channel height width"] | None = None,
    ) -> Prediction:
        """Any image size.

        Args:
            image: RGB in [0, 1].
            mask: the person, soft, in [0, 1]; None: the CSE stage's foreground, a little dilated.
            correspondence: colour code and confidence, 0 where unknown (``correspondence_image``, or any better
                guess); None: the CSE stage's. Ignored by an RGB-only network.

        Raises:
            ValueError: something is None that only a CSE stage could supply, and there is none.
        """
        height, width = size = (image.shape[-2], image.shape[-1])
        wanted = self.correspondence is not None and correspondence is None

        # The coarse stage fills in what the caller does not know; its answers are inputs, not a path for gradients.
        cse = None
        if mask is None or wanted:
            if self.cse is None:
                raise ValueError("this network has no CSE stage: give it a mask and a correspondence image")
            cse = self.cse(image)
            mask = mask_from_foreground(cse, size) if mask is None else mask
            correspondence = self.correspondence_image(cse, size) if wanted else correspondence

        # Outside the mask the photograph is its mean colour, which is zero.
        guide = torch.cat([normalise_image(image) * mask, mask], dim=1)
        guide = pad_to_multiple(guide, self.multiple)
        pyramid = self.appearance(guide[:, :3])
        sizes = [(guide.shape[-2] // stride, guide.shape[-1] // stride) for stride in self.appearance.strides]
        second = [None] * 4
        if self.correspondence is not None:
            code = pad_to_multiple(correspondence * mask, self.multiple)
            second = self.correspondence(code)
            guide = torch.cat([guide, code], dim=1)

        fused = [fuse(*level) for fuse, *level in zip(self.fusion, pyramid, second, sizes, strict=True)]
        features = self.decoder(fused, guide)[..., :height, :width]
        foreground, layer = self.heads(features)
        if self.score_head.coarse:
            features = torch.cat([features, correspondence * mask], dim=1)
        return Prediction(features, foreground, layer, cse)

    def scores(self, features: Float[Tensor, "n channel"]) -> Float[Tensor, "n 3 256"]:
        """Raw scores of the colour code's bins at gathered pixels; never call it with every pixel of large images."""
        return self.score_head(features)

    def correspondence_image(self, cse: CSEOutput, size: tuple[int, int]) -> Float[Tensor, "batch 4 height width"]:
        """The CSE match at ``size``: colour code of the best surface point (0 outside) and confidence."""
        return correspondence_image(self.cse, cse, size)

    def evidence_at(
        self,
        cse: CSEOutput,
        pixels: tuple[Int[Tensor, "*batch n"], ...],
        size: tuple[int, int],
        samples: Int[Tensor, "*batch candidate"] | None = None,
    ) -> Float[Tensor, "*batch n s"]:
        """The CSE stage's log likelihoods of the surface samples (None: all) at single pixels (image, row, column)."""
        return evidence_at(self.cse, cse, pixels, size, samples)


def build_model(config: ModelConfig, template: Template) -> BodyMapNet:
    """The network with random weights, for the template's samples and code; nothing is downloaded.

    Raises:
        UserError: sizes that do not go together, or more than there is memory for.
    """
    return built(lambda: BodyMapNet(config, template.sample_eigenvectors, template.sample_code, template.sample_mirror))
