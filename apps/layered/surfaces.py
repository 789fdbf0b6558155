"""The three surfaces that layers are mapped to: the template and the canonical garments."""

from __future__ import annotations

from apps.layered.canonical import LAYERS, canonical
from bodymap.surface import Template, load_template


def surfaces() -> dict[str, Template]:
    """The surface of each layer by its name, body first, on the CPU."""
    return {"body": load_template()} | {name: canonical(name).surface for name in LAYERS}


def code_version(of: dict[str, Template]) -> str:
    """Of the three colour codes together."""
    return " ".join(surface.code_version for surface in of.values())
