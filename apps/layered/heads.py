"""The layered network on one page: frozen photograph features and a semantic mask in; body, upper and lower out.

The coarse stage of a BodyMap network looks at the photograph, its weights unchanged and shared (``LayeredNet`` holds
none of them): seven feature maps of RGB alone. What is trained is a decoder, which also sees the semantic mask, and the
heads: for each layer 3 x 256 scores of its own surface's colour code at gathered pixels, and densely what is visible
and what is there. Unless the network is RGB-only, each layer's scores start from the single-layer match.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from apps.layered.canonical import canonical
from apps.layered.samples import NAMES
from apps.layered.settings import LayeredConfig
from bodymap.network.backbones import normalise_image
from bodymap.network.cse import correspondence_image
from bodymap.network.decoder import RefineBlock
from bodymap.network.fusion import Fusion, resize
from bodymap.network.heads import ScoreHead
from bodymap.network.tokens import pad_to_multiple
from bodymap.surface import colour, load_template, points

if TYPE_CHECKING:
    from bodymap.network.cse import CSEStage

LAYERS = NAMES[1:]
# Values of a semantic mask beside those of NAMES
PERSON, ANYTHING = 4, -1  # the person, in who knows what layer; nothing known
CONDITIONS = len(NAMES) + 1
_START_WIDTH = 0.02  # of the scores' peak, in colour


@dataclass(frozen=True)
class LayeredOutput:
    """What the network says of each pixel.

    Attributes:
        features: at stride 2; ask ``LayeredNet.scores`` at the pixels that matter (``features_at``).
        visible: logits of NAMES at full resolution: the mask, refined.
        presence: logits of LAYERS: whether the layer is there along the pixel's ray, visible or covered.
    """

    features: Float[Tensor, "batch channel rows columns"]
    visible: Float[Tensor, "batch 4 height width"]
    presence: Float[Tensor, "batch layer=3 height width"]


class LayeredNet(nn.Module):
    """Features of a frozen coarse stage and a semantic mask -> the layers.

    Places on a surface are smooth: their features stay at stride 2, which keeps their many channels cheap. Only the
    layers' edges are decided at full resolution, by few channels and the photograph.

    Args:
        coarse: the stage that will look at the photographs; only its widths are read, it does not become a part.
    """

    def __init__(self, config: LayeredConfig, coarse: CSEStage):
        super().__init__()
        self.config = config
        self.multiple = coarse.encoder.multiple
        self.strides = coarse.encoder.strides
        stage, features, fine, edge = coarse.config, config.features, config.fine, config.edge

        # -- the pyramid: what the coarse stage saw, and the mask --
        context = (stage.merge4[-1], stage.merge8[-1], stage.merge16[-1], 0)
        self.fusion = nn.ModuleList(
            Fusion(config.fusion, channels + more, CONDITIONS, features)
            for channels, more in zip(coarse.encoder.channels, context, strict=True)
        )
        self.blocks = nn.ModuleList(RefineBlock(features) for _ in range(4))
        del self.blocks[3].project  # the coarsest level has nothing below it

        # -- stride 2: places; full resolution: edges --
        self.guide1 = nn.Conv2d(3 + CONDITIONS, edge, 3, padding=1)
        self.guide2 = nn.Conv2d(edge, 2 * edge, 3, stride=2, padding=1)
        self.to2 = nn.Conv2d(features, fine, 1)
        self.merge2 = nn.Conv2d(fine + 2 * edge, fine, 3, padding=1)
        self.refine2 = nn.Conv2d(fine, fine, 3, padding=1)
        self.to1 = nn.Conv2d(fine, edge, 1)
        self.refine1 = nn.Conv2d(edge, edge, 3, padding=1)
        self.visible = nn.Conv2d(edge, len(NAMES), 1)
        self.presence = nn.Conv2d(edge, len(LAYERS), 1)
        self.score_heads = nn.ModuleDict({name: ScoreHead(config.heads, fine, config.match) for name in LAYERS})
        if config.match:
            # the match is nearly right: the peak starts narrow enough for the decoder to keep its place
            for head in self.score_heads.values():
                nn.init.constant_(head.width.bias, math.log(_START_WIDTH))

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
        x = None
        for number in reversed(range(4)):
            level, second = joined[number], F.avg_pool2d(condition, self.strides[number])
            x = self.blocks[number](self.fusion[number](level, second, level.shape[-2:]), x)

        full = F.relu(self.guide1(guide))
        half = F.relu(self.guide2(full))
        x = F.relu(self.merge2(torch.cat([resize(self.to2(x), half.shape[-2:]), half], 1)))
        x = x + self.refine2(x)
        y = F.relu(resize(self.to1(x), full.shape[-2:]) + full)
        y = (y + self.refine1(y))[..., :height, :width]
        return LayeredOutput(x, self.visible(y), self.presence(y))

    def scores(
        self, layer: str, features: Float[Tensor, "n channel"], match: Float[Tensor, "n 4"]
    ) -> Float[Tensor, "n 3 256"]:
        """Raw scores of the bins of a layer's colour code, at gathered pixels.

        Args:
            match: the single-layer match there, on the layer's surface (``carried_over``); ignored by an RGB-only
                network.
        """
        return self.score_heads[layer](torch.cat([features, match], -1) if self.config.match else features)


def features_at(
    features: Float[Tensor, "batch channel rows columns"], pixels: Int[Tensor, " n"], size: tuple[int, int]
) -> Float[Tensor, "n channel"]:
    """Features of stride 2 at single pixels of full resolution, bilinear.

    Args:
        pixels: indices into a flattened (batch, height, width).
        size: (height, width).
    """
    rows, columns = features.shape[-2:]
    image, rest = pixels // (size[0] * size[1]), pixels % (size[0] * size[1])
    corners = []
    for place, cells in ((rest // size[1], rows), (rest % size[1], columns)):
        position = ((place + 0.5) / 2 - 0.5).clamp(0, cells - 1)
        low = position.long()
        corners.append((low, (low + 1).clamp(max=cells - 1), position - low))
    (top, bottom, down), (left, right, across) = corners
    flat = features.permute(0, 2, 3, 1).flatten(0, 2)
    chosen = [(image * rows + row) * columns + column for row in (top, bottom) for column in (left, right)]
    weight = torch.stack([(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across])
    return (flat[torch.stack(chosen)].float() * weight[..., None]).sum(0)


@torch.no_grad()
def carried_over(layer: str, match: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """A single-layer match on a layer's surface.

    Args:
        match: the template's colour code in [0, 1] and a confidence, 0 where nothing is known.

    Returns:
        the code of the place above it on the layer's surface, and the same confidence.
    """
    if layer == "body" or len(match) == 0:
        return match
    garment = canonical(layer)
    template, surface = load_template().to(match.device), garment.to(match.device)
    place = garment.from_body(*colour.decode_colour(template, match[:, :3].contiguous()))
    return torch.cat([points.code(surface, *place), match[:, 3:]], -1)


def condition_of(mask: Int[Tensor, "batch height width"]) -> Float[Tensor, "batch 5 height width"]:
    """One channel for each of NAMES, all 0 where the layer is unknown, and one for the person."""
    values = torch.arange(len(NAMES), device=mask.device).view(1, -1, 1, 1)
    return torch.cat([mask[:, None] == values, mask[:, None] > 0], 1).float()


@torch.no_grad()
def look_and_match(
    coarse: CSEStage, image: Float[Tensor, "batch rgb=3 height width"]
) -> tuple[tuple[list[Tensor], list[Tensor]], Float[Tensor, "batch 4 height width"]]:
    """What the coarse stage sees (``look``), and its own match: colour code and confidence."""
    levels, context, facing = coarse.features(image)
    rows, columns = -(-image.shape[-2] // 4), -(-image.shape[-1] // 4)
    found = coarse.answer(context[0][..., :rows, :columns], facing)
    return (list(levels), context), correspondence_image(coarse, found, (image.shape[-2], image.shape[-1]))


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
    from bodymap.loading import load_network

    template = load_template()
    coarse = load_network(weights.load(base, template.code_version), template).cse
    if coarse is None:
        raise UserError(f"The weights {base} have no coarse stage, which the layered network builds on.")
    return coarse.eval().requires_grad_(False)
