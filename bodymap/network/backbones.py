"""The image streams by kind: each turns an image into a pyramid of four levels, finest first.

A new backbone is a class with ``channels`` and ``strides`` (four each) and ``multiple`` (image sides that divide by it
give levels of exactly side / stride), a line in ``BACKBONES``, and a kind of ``config.BackboneConfig``.
"""

from __future__ import annotations

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bodymap.network.config import BackboneConfig
from bodymap.network.reassemble import Reassemble
from bodymap.network.transformer import VisionTransformer

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalise_image(image: Float[Tensor, "batch rgb=3 height width"]) -> Float[Tensor, "batch rgb=3 height width"]:
    """RGB in [0, 1] -> zero mean, unit deviation of photographs (ImageNet); zero is then the mean colour."""
    mean = torch.tensor(IMAGENET_MEAN, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    return (image - mean) / std


# -- the paper's: a plain vision transformer --------------------------------------------------------------------------


class TransformerPyramid(nn.Module):
    """A vision transformer whose tokens of four depths are reassembled."""

    def __init__(self, config: BackboneConfig, channels: int):
        super().__init__()
        self.channels, self.strides = config.channels, config.strides
        self.multiple = max(config.patch, *config.strides)
        self.transformer = VisionTransformer(config, channels)
        self.levels = nn.ModuleList(
            Reassemble(config.dim, width, config.patch, stride)
            for width, stride in zip(config.channels, config.strides, strict=True)
        )

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> list[Tensor]:
        return [level(tokens) for level, tokens in zip(self.levels, self.transformer(image), strict=True)]


# -- the photograph-trained start: TinyViT in MobileSAM's layout ------------------------------------------------------


class TinyVitPyramid(nn.Module):
    """TinyViT with its last stage at stride 16, as MobileSAM has it (timm's own has 32)."""

    strides, multiple = (4, 8, 16, 16), 16

    def __init__(self, config: BackboneConfig, channels: int):
        super().__init__()
        self.config = config
        self.model = timm.create_model(
            config.timm_name,
            pretrained=False,
            features_only=True,
            out_indices=(0, 1, 2, 3),
            in_chans=channels,
            drop_path_rate=0.0,
        )
        self.model.stages_3.downsample.conv2.conv.stride = (1, 1)
        self.channels = tuple(self.model.feature_info.channels())
        parts = [self.model.patch_embed, *(self.model[f"stages_{stage}"] for stage in range(4))]
        for part in parts[: config.frozen_stages]:
            part.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True):
        super().train(mode)
        for module in self.modules():
            if self.config.frozen_norm and isinstance(module, nn.BatchNorm2d):
                module.eval()
            # In eval mode timm caches the attention biases: with their graph, and deaf to weights loaded afterwards.
            # The flag means nothing else to these modules (no dropout), so they never see eval mode.
            if hasattr(module, "attention_bias_cache"):
                module.training = True
        return self

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> list[Tensor]:
        return self.model(image)


# -- ablations --------------------------------------------------------------------------------------------------------


class TimmPyramid(nn.Module):
    """The stages of a convolutional network of timm at strides 4, 8, 16, 32."""

    strides, multiple = (4, 8, 16, 32), 32

    def __init__(self, config: BackboneConfig, channels: int):
        super().__init__()
        self.model = timm.create_model(
            config.timm_name, pretrained=False, features_only=True, out_indices=(1, 2, 3, 4), in_chans=channels
        )
        self.channels = tuple(self.model.feature_info.channels())

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> list[Tensor]:
        return self.model(image)


class UNetPyramid(nn.Module):
    """The contracting half of a U-Net (Ronneberger et al. 2015): two convolutions a level, maximum pooling between.

    Levels at strides 4, 8, 16, 32. The expanding half is the decoder that every backbone shares.
    """

    strides, multiple = (4, 8, 16, 32), 32

    def __init__(self, config: BackboneConfig, channels: int):
        super().__init__()
        widths = [config.width * 2**level for level in range(6)]
        self.channels = tuple(widths[2:])
        self.levels = nn.ModuleList()
        for width in widths:
            self.levels.append(nn.Sequential(*_conv_norm_relu(channels, width), *_conv_norm_relu(width, width)))
            channels = width
        self.pool = nn.MaxPool2d(2, ceil_mode=True)

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> list[Tensor]:
        pyramid, x = [], image
        for number, level in enumerate(self.levels):
            x = level(self.pool(x) if number else x)
            pyramid.append(x)
        return pyramid[2:]


def _conv_norm_relu(channels: int, width: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


# -- registry ---------------------------------------------------------------------------------------------------------

BACKBONES: dict[str, type[nn.Module]] = {
    "vit": TransformerPyramid,
    "tiny_vit": TinyVitPyramid,
    "resnet": TimmPyramid,
    "efficientnet": TimmPyramid,
    "unet": UNetPyramid,
}


def build_backbone(config: BackboneConfig, channels: int) -> nn.Module:
    """The stream that ``config`` describes, for images of ``channels`` channels; random weights."""
    return BACKBONES[config.kind](config, channels)
