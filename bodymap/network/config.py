"""The network's configuration, free of torch so that a command can refuse a wrong setting at once.

Read and written by ``bodymap.config`` (the ``model:`` section of a YAML file). Every default is the size ``small``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from bodymap.config import check_ranges, from_dict, to_dict
from bodymap.errors import UserError

# The architecture of timm that a kind means when no name is given.
Network = TypeVar("Network")


def built(build: Callable[[], Network]) -> Network:
    """What ``build`` makes of a configuration; what libraries say of sizes that do not fit becomes a UserError."""
    try:
        return build()
    except (ValueError, RuntimeError, TypeError, LookupError, MemoryError, ZeroDivisionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"No network can be built from this configuration of its model ({reason}).") from None


DEFAULT_NAMES = {"tiny_vit": "tiny_vit_5m_224", "resnet": "resnet34", "efficientnet": "efficientnet_lite0"}


@dataclass(frozen=True)
class BackboneConfig:
    """A stream: an image in, a pyramid of four levels out. Some settings serve some kinds only.

    Attributes:
        kind: vit (the paper's plain vision transformer), tiny_vit (may start from photograph-trained weights), and for
            ablations resnet, efficientnet, unet.
        dim, depth, heads: vit: width of a token, number of blocks, attention heads.
        patch: vit: side of a patch in pixels, a power of two.
        grid: vit: rows and columns of the learned positional embedding; any other grid resamples it.
        read: vit: the four blocks (counted from 1) after which tokens are read; empty = evenly spaced.
        channels, strides: vit: of the four pyramid levels, finest first.
        checkpointing: vit: recompute blocks in the backward pass: less memory, a third more time.
        name: tiny_vit, resnet, efficientnet: the architecture in timm; empty = DEFAULT_NAMES.
        frozen_norm: tiny_vit: batch norms keep their statistics while training (those of real photographs).
        frozen_stages: tiny_vit: how many parts are not trained, counted from the image: 1 the stem, 2 also the first
            stage, ...; leave it 0 where no pretrained weights are loaded.
        width: unet: channels at full resolution, doubled a level.
    """

    kind: Literal["vit", "tiny_vit", "resnet", "efficientnet", "unet"] = "vit"
    dim: int = 192
    depth: int = 4
    heads: int = 3
    patch: int = 16
    grid: tuple[int, int] = (14, 10)
    read: tuple[int, ...] = ()
    channels: tuple[int, int, int, int] = (32, 48, 96, 96)
    strides: tuple[int, int, int, int] = (4, 8, 16, 16)
    checkpointing: bool = False
    name: str = ""
    frozen_norm: bool = True
    frozen_stages: int = 0
    width: int = 16

    def __post_init__(self):
        check_ranges(
            self, dim=(1, 8192), depth=(1, 128), heads=(1, 128), grid=(1, 512), channels=(1, 8192), strides=(1, 64),
            width=(1, 1024), patch=(1, 256),
        )  # fmt: skip
        if self.dim % self.heads:
            raise ValueError(f"dim ({self.dim}) must be a multiple of heads ({self.heads})")
        if self.patch < 1 or self.patch & (self.patch - 1):
            raise ValueError(f"patch must be a power of two, not {self.patch}")
        if self.read and (len(self.read) != 4 or min(self.read) < 1 or max(self.read) > self.depth):
            raise ValueError(f"read must name four blocks from 1 to depth ({self.depth}), not {self.read}")
        if not 0 <= self.frozen_stages <= 5:
            raise ValueError(f"frozen_stages must be 0 to 5, not {self.frozen_stages}")

    @property
    def read_depths(self) -> tuple[int, ...]:
        """The four depths at which tokens are read; with fewer than four blocks some are read twice."""
        return self.read or tuple(max(1, round(self.depth * (level + 1) / 4)) for level in range(4))

    @property
    def timm_name(self) -> str:
        """The architecture's name in timm."""
        return self.name or DEFAULT_NAMES[self.kind]


@dataclass(frozen=True)
class PhotographBackboneConfig(BackboneConfig):
    """A stream that sees the photograph: the same settings; by default the kind with photograph-trained weights."""

    kind: Literal["vit", "tiny_vit", "resnet", "efficientnet", "unet"] = "tiny_vit"


@dataclass(frozen=True)
class CSEConfig:
    """The CSE stage; the defaults are the training trial's network, whose weights are the warm start.

    Attributes:
        encoder: the backbone; its strides must be 4, 8, 16 and 16 or 32.
        dim: length of an embedding.
        sigma: sigma_e, the width of softmax(-|e - e_v| / sigma) over the samples; embeddings are unit vectors.
        lateral: channels of the encoder's levels at strides 4, 8, 16 when they enter the decoder.
        merge16, merge8, merge4: channels of the decoder's two convolutions at each stride.
        context: hidden width of the global context block.
        candidates: how many samples, the best and its neighbours in colour, a decoded colour is averaged over.
    """

    encoder: PhotographBackboneConfig = field(default_factory=PhotographBackboneConfig)
    dim: int = 16
    sigma: float = 0.05
    lateral: tuple[int, int, int] = (32, 96, 160)
    merge16: tuple[int, int] = (160, 128)
    merge8: tuple[int, int] = (128, 96)
    merge4: tuple[int, int] = (64, 64)
    context: int = 128
    candidates: int = 8

    def __post_init__(self):
        check_ranges(
            self, dim=(1, 1024), sigma=(1e-4, 100), lateral=(1, 8192), merge16=(1, 8192), merge8=(1, 8192),
            merge4=(1, 8192), context=(1, 8192), candidates=(1, 256),
        )  # fmt: skip


@dataclass(frozen=True)
class FusionConfig:
    """How the streams meet.

    Attributes:
        kind: sum, or concat (then projected).
        units: residual units after it, a level.
    """

    kind: Literal["sum", "concat"] = "sum"
    units: int = 1

    def __post_init__(self):
        check_ranges(self, units=(0, 64))


@dataclass(frozen=True)
class DecoderConfig:
    """Widths of the decoder.

    Attributes:
        features: channels from the coarsest level up to stride 4.
        fine: channels at stride 2 and at full resolution, from which the heads are computed.
        guidance: channels of the photograph's path at full resolution; twice as many at stride 2.
    """

    features: int = 64
    fine: int = 32
    guidance: int = 16

    def __post_init__(self):
        check_ranges(self, features=(1, 8192), fine=(1, 8192), guidance=(1, 8192))


@dataclass(frozen=True)
class HeadsConfig:
    """``hidden``: width of the layer between a pixel's features and its 768 scores."""

    hidden: int = 64

    def __post_init__(self):
        check_ranges(self, hidden=(1, 8192))


@dataclass(frozen=True)
class ModelConfig:
    """The whole network.

    Attributes:
        cse: the coarse stage; None where masks and correspondence always come from outside.
        appearance: the stream that sees the masked photograph.
        correspondence: the stream that sees the CSE image; None is the paper's RGB-only.
        correspondence_channels: of that stream's image: colour code and confidence, or an app's own condition.
    """

    cse: CSEConfig | None = field(default_factory=CSEConfig)
    appearance: PhotographBackboneConfig = field(default_factory=PhotographBackboneConfig)
    correspondence: BackboneConfig | None = field(default_factory=BackboneConfig)
    correspondence_channels: int = 4
    fusion: FusionConfig = field(default_factory=FusionConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    heads: HeadsConfig = field(default_factory=HeadsConfig)

    def __post_init__(self):
        check_ranges(self, correspondence_channels=(1, 256))

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> ModelConfig:
        """From plain data (the ``model:`` section); what is absent has its default.

        Raises:
            UserError: an unknown key, or a value of the wrong type or out of range.
        """
        return from_dict(cls, settings, "model")

    def to_dict(self) -> dict[str, Any]:
        """Every setting as plain data; ``from_dict`` gives the same config back."""
        return to_dict(self)
