"""The sizes: tiny (tests), small (the shipped weights), base, large, huge (the paper's)."""

from __future__ import annotations

from bodymap.network.config import (
    BackboneConfig,
    CSEConfig,
    DecoderConfig,
    FusionConfig,
    HeadsConfig,
    ModelConfig,
    PhotographBackboneConfig,
)


def _tiny() -> ModelConfig:
    stream = dict(kind="vit", dim=32, depth=4, heads=2, patch=8, grid=(8, 6), channels=(16, 16, 32, 32))
    photograph = PhotographBackboneConfig(**stream)
    return ModelConfig(
        cse=CSEConfig(
            encoder=photograph, lateral=(16, 16, 32), merge16=(32, 32), merge8=(32, 16), merge4=(16, 16), context=32
        ),
        appearance=photograph,
        correspondence=BackboneConfig(**stream),
        decoder=DecoderConfig(features=32, fine=24, guidance=8),
        heads=HeadsConfig(hidden=32),
    )


def _base() -> ModelConfig:
    return ModelConfig(
        correspondence=BackboneConfig(dim=384, depth=12, heads=6, grid=(24, 16), channels=(64, 96, 128, 128)),
        fusion=FusionConfig(units=2),
        decoder=DecoderConfig(features=128, fine=48, guidance=24),
        heads=HeadsConfig(hidden=128),
    )


def _two_transformers(stream: dict, decoder: DecoderConfig, hidden: int) -> ModelConfig:
    stream = dict(kind="vit", strides=(4, 8, 16, 32), checkpointing=True, **stream)
    return ModelConfig(
        appearance=PhotographBackboneConfig(**stream),
        correspondence=BackboneConfig(**stream),
        fusion=FusionConfig(units=2),
        decoder=decoder,
        heads=HeadsConfig(hidden=hidden),
    )


PRESETS: dict[str, ModelConfig] = {
    "tiny": _tiny(),
    "small": ModelConfig(),
    "base": _base(),
    # two ViT-B/16 at 512 x 512
    "large": _two_transformers(
        dict(dim=768, depth=12, heads=12, grid=(32, 32), channels=(96, 192, 384, 384)),
        DecoderConfig(features=192, fine=64, guidance=32),
        hidden=192,
    ),
    # two ViT-L/16 at 1024 x 1024, as in the paper: about 600 M parameters
    "huge": _two_transformers(
        dict(dim=1024, depth=24, heads=16, grid=(64, 64), channels=(128, 256, 512, 512)),
        DecoderConfig(features=256, fine=64, guidance=32),
        hidden=256,
    ),
}
