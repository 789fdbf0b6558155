"""The networks of re-rendering from weights: those that ship, a run's, or anybody's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bodymap.errors import UserError

if TYPE_CHECKING:
    from apps.rerender.completion import CompletionNet
    from apps.rerender.diffusion import DiffusionChoice, DiffusionCompletion
    from apps.rerender.renderer import RendererNet
    from bodymap.surface import Template

    Completion = CompletionNet | DiffusionCompletion

SHIPPED = Path(__file__).parent / "weights"


def load_completion(
    source: str | os.PathLike | DiffusionChoice | None = None, template: Template | None = None
) -> Completion:
    """The completion, ready to be used: ``complete(template, partial)``.

    Args:
        source: folder, file or hub id, or a run's folder; None: the shipped weights; or a diffusion pipeline, which
            begins from what the shipped weights say.

    Raises:
        UserError: the weights are missing, damaged or of another template.
    """
    from apps.rerender.completion import CompletionConfig, CompletionNet
    from bodymap.config import from_dict
    from bodymap.surface import load_template

    template = template if template is not None else load_template()
    if source is not None and not isinstance(source, (str, os.PathLike)):
        from apps.rerender.diffusion import DiffusionCompletion

        shipped = SHIPPED / "completion"
        return DiffusionCompletion.load(source, load_completion(shipped, template) if shipped.is_dir() else None)

    def build(model: dict) -> CompletionNet:
        return CompletionNet(from_dict(CompletionConfig, model, "model"), template)

    return _load(SHIPPED / "completion" if source is None else source, template, build)


def load_renderer(source: str | os.PathLike | None = None, template: Template | None = None) -> RendererNet:
    """The renderer; see ``load_completion``."""
    from apps.rerender.renderer import RendererConfig, RendererNet
    from bodymap.config import from_dict
    from bodymap.surface import load_template

    template = template if template is not None else load_template()

    def build(model: dict) -> RendererNet:
        return RendererNet(from_dict(RendererConfig, model, "model"))

    return _load(SHIPPED / "renderer" if source is None else source, template, build)


def _load(source: str | os.PathLike, template: Template, build: Callable[[dict], Any]) -> Any:
    from bodymap import weights
    from bodymap.network.config import built

    found = weights.load(source, template.code_version)
    section = found.config.get("model", {})
    if not isinstance(section, dict):
        raise UserError(f'{found.path}: the section "model" of the configuration must hold keys and values.')
    network = built(lambda: build(section))
    weights.load_into(network, found.tensors, source=found.path)
    return network.eval().requires_grad_(False)


def find(what: Literal["completion", "renderer"], choice: str | None) -> Path | DiffusionChoice | None:
    """Where the weights of a choice lie; None: go without.

    Args:
        choice: "plain", "learned", a source of weights, or None: learned where its weights ship; for the completion
            also "diffusion:SOURCE".

    Raises:
        UserError: there are no such weights.
    """
    from bodymap import weights

    shipped = SHIPPED / what
    if choice is None:
        return shipped if shipped.is_dir() else None
    if choice == "plain":
        return None
    if choice == "learned":
        if not shipped.is_dir():
            raise UserError(f"No learned {what} ships with this version; use --{what} plain.")
        return shipped
    name, _, rest = choice.partition(":")
    if what == "completion" and name == "diffusion":
        from apps.rerender.diffusion import read_choice

        return read_choice(rest)
    return weights.find(choice)
