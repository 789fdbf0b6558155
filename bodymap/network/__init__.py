"""The network: CSE stage, two token streams, fusion, decoder, heads; ``model.py`` shows the architecture on one page.

Imports are lazy, so that commands which only check their arguments do not wait for torch.
"""

_HOMES = {
    "BACKBONES": "backbones",
    "build_backbone": "backbones",
    "BackboneConfig": "config",
    "CSEConfig": "config",
    "ModelConfig": "config",
    "CSEOutput": "cse",
    "CSEStage": "cse",
    "BodyMapNet": "model",
    "Prediction": "model",
    "build_model": "model",
    "LoadReport": "pretrained",
    "load_mobilesam": "pretrained",
    "load_trial": "pretrained",
    "warm_start": "pretrained",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'bodymap.network' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"bodymap.network.{_HOMES[name]}"), name)
