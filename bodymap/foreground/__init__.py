"""Person masks: one interface, several providers, named by a short text: ``own``, ``file:MASK``, ``onnx:NET``.

A provider turns a photograph into an alpha matte: the chance of each pixel to belong to a person with everything worn
or carried. The network's own masks need none of this: ``own`` stands for them (see bodymap.predictor).
"""

from __future__ import annotations

import difflib

from bodymap.errors import UserError
from bodymap.foreground.base import Foreground
from bodymap.foreground.file import FileForeground, check_mask, read_mask
from bodymap.foreground.onnx import OnnxForeground
from bodymap.foreground.rembg import RembgForeground

__all__ = ["PROVIDERS", "Foreground", "FileForeground", "OnnxForeground", "RembgForeground"]
__all__ += ["build_foreground", "check_mask", "read_mask"]

PROVIDERS: dict[str, type[Foreground]] = {"file": FileForeground, "onnx": OnnxForeground, "rembg": RembgForeground}


def build_foreground(text: str) -> Foreground | None:
    """``own`` -> None (the network's own masks); ``NAME`` or ``NAME:ARGUMENT`` -> that provider.

    Raises:
        UserError: no such provider, or what it needs (a file, a package) is missing.
    """
    name, _, argument = text.partition(":")
    if name == "own" and not argument:
        return None
    if name not in PROVIDERS:
        close = difflib.get_close_matches(name, ["own", *PROVIDERS], n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are own, {', '.join(PROVIDERS)}."
        raise UserError(f"There is no foreground provider {text!r}; {hint}")
    return PROVIDERS[name](argument)
