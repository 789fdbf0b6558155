"""Texture completion by somebody's diffusion inpainter: our own completion is the picture that it starts from.

``diffusion:SOURCE`` or ``diffusion:SOURCE,strength=0.5,steps=30,prompt=...`` where a completion is chosen; SOURCE is a
folder or a hub id of anything that diffusers' AutoPipelineForInpainting knows. The pipeline paints over the atlas,
shrunk to its own size; what it changes there is added to the completion at the texture's size, which keeps the
completion's detail.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from apps.rerender.completion import CompletionNet, complete_texture
from bodymap.errors import UserError
from bodymap.surface import Template
from bodymap.warping.fill import FilledTexture, fill_texture
from bodymap.warping.image_to_texture import PartialTexture
from bodymap.warping.pyramid import push_pull
from bodymap.weights import HUB_ID

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

NAME = "diffusion"
_PROMPT = "texture atlas of a clothed person, photographed fabric with folds and seams, skin, hair, even light"
_NEGATIVE = "text, logo, frame, blurry"


@dataclass(frozen=True)
class DiffusionChoice:
    """What stands behind ``diffusion:``.

    Attributes:
        source: a pipeline's folder, or its hub id "user/name[@revision]".
        strength: in (0, 1]: how much of the completion is painted over; 1 begins from noise alone.
        steps: of the full schedule; ``strength`` of them are done.
        guidance: how closely the prompt is followed; 1: without the negative prompt.
        size: pixels each way that the pipeline paints; 0: its own.
    """

    source: str
    strength: float = 0.6
    steps: int = 30
    guidance: float = 6.0
    seed: int = 0
    size: int = 0
    prompt: str = field(default=_PROMPT)


def read_choice(text: str) -> DiffusionChoice:
    """``SOURCE[,strength=0.6][,steps=30][,guidance=6][,seed=0][,size=512][,prompt=TEXT]``; the prompt comes last.

    Raises:
        UserError: no such folder, option or value, or a package is missing. The hub is not asked yet.
    """
    # commas are the prompt's own
    start, marker, prompt = text.partition(",prompt=")
    source, *options = start.split(",")
    choice = DiffusionChoice(source, prompt=prompt) if marker else DiffusionChoice(source)
    kinds = {f.name: {"float": float, "int": int}[f.type] for f in fields(choice)[1:-1]}
    for option in options:
        key, _, value = option.partition("=")
        if key not in kinds:
            raise UserError(f"Unknown option {key!r} after {NAME}:SOURCE; there are {', '.join(kinds)} and prompt.")
        try:
            choice = replace(choice, **{key: kinds[key](value)})
        except ValueError:
            raise UserError(f"The option {key} after {NAME}:SOURCE must be a number, not {value!r}.") from None
    if not 0 < choice.strength <= 1:
        raise UserError(f"The option strength after {NAME}:SOURCE must lie above 0 and up to 1, not {choice.strength}.")
    if not 1 <= choice.strength * choice.steps <= 1000:
        raise UserError(f"{NAME}:SOURCE must do 1 to 1000 steps: strength times steps is too little or too much.")
    if choice.guidance < 0 or choice.seed < 0 or choice.size < 0 or choice.size % 8:
        raise UserError(f"guidance, seed and size after {NAME}:SOURCE must not be negative, size a multiple of 8.")
    _check_source(source)
    if importlib.util.find_spec("transformers") is None:
        raise UserError("A diffusion inpainter needs the package transformers: pip install transformers.")
    return choice


def _check_source(source: str) -> None:
    path = Path(source).expanduser()
    if source and path.is_dir():
        if not (path / "model_index.json").is_file():
            raise UserError(f"{path} holds no diffusion pipeline: there is no model_index.json in it.")
    elif not HUB_ID.fullmatch(source) or path.parent.is_dir():  # "runs/x" beside a folder "runs" is a mistyped path
        raise UserError(f'There is no diffusion pipeline at "{source}"; give its folder or its hub id user/name.')


class DiffusionCompletion:
    """A completion (see ``CompletionNet.complete``) with an inpainting pipeline of diffusers.

    Args:
        pipeline: takes prompt, image, mask_image, strength, ... as diffusers' inpainting pipelines do.
        base: makes the picture to start from; None: the plain fill does.
    """

    def __init__(self, pipeline: DiffusionPipeline, choice: DiffusionChoice, base: CompletionNet | None = None):
        self.pipeline, self.choice, self.base = pipeline, choice, base

    @classmethod
    def load(cls, choice: DiffusionChoice, base: CompletionNet | None = None) -> DiffusionCompletion:
        """Reads the pipeline: safetensors only, on a GPU if there is one (as float16).

        Raises:
            UserError: it cannot be had, is not complete, or is no inpainter.
        """
        from diffusers import AutoPipelineForInpainting

        path = Path(choice.source).expanduser()
        name, _, revision = choice.source.partition("@")
        options: dict[str, Any] = {"use_safetensors": True}
        if path.is_dir():
            name, options["local_files_only"] = str(path), True
        elif revision:
            options["revision"] = revision
        try:
            pipeline = AutoPipelineForInpainting.from_pretrained(name, **options)
        except Exception as error:  # the hub, transformers and diffusers raise dozens of classes
            line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise UserError(f'The diffusion pipeline "{choice.source}" cannot be loaded: {line}') from None
        pipeline.set_progress_bar_config(disable=True)
        if torch.cuda.is_available():
            pipeline = pipeline.to("cuda", torch.float16)
        return cls(pipeline, choice, base)

    def to(self, device: str | torch.device) -> DiffusionCompletion:
        """The completion that it starts from goes there; the pipeline stays where it was loaded."""
        if self.base is not None:
            self.base.to(device)
        return self

    def complete(self, template: Template, partial: PartialTexture) -> FilledTexture:
        """The whole texture; what was seen stays as it is, to the bit; layers and origin are the start's.

        Args:
            partial: of any size.

        Raises:
            ValueError: nothing was seen.
        """
        start = self.start(template, partial)
        unseen = start.covered & ~partial.seen
        if not bool(unseen.any()):
            return start
        # colours go on beyond the islands, so that their rims are no edges of the picture
        around, _ = push_pull(start.colour, start.covered.float(), 16)
        change = self._change(around, unseen)
        painted = (start.colour + change).clamp(0, 1)
        return replace(start, colour=torch.where(unseen[..., None], painted, start.colour))

    def start(self, template: Template, partial: PartialTexture) -> FilledTexture:
        """What it begins from."""
        if self.base is None:
            return fill_texture(template, partial)
        return complete_texture(template, partial, self.base)

    def _change(
        self, colour: Float[Tensor, "texel texel rgb=3"], unseen: Bool[Tensor, "texel texel"]
    ) -> Float[Tensor, "texel texel rgb=3"]:
        """By how much the pipeline paints each texel otherwise."""
        choice, size = self.choice, self.choice.size or own_size(self.pipeline)
        small = _resized(colour.permute(2, 0, 1)[None], size)
        # no texel that was seen is painted in the small picture but along the border
        mask = (_resized(unseen[None, None].float(), size) > 0.5).float()
        made = self.pipeline(
            prompt=choice.prompt,
            negative_prompt=_NEGATIVE if choice.guidance > 1 else None,
            image=small.cpu(),
            mask_image=mask.cpu(),
            height=size,
            width=size,
            strength=choice.strength,
            num_inference_steps=choice.steps,
            guidance_scale=choice.guidance,
            generator=torch.Generator().manual_seed(choice.seed),
            output_type="pt",
        )
        image = made.images.to(small)
        flagged = getattr(made, "nsfw_content_detected", None)
        if (flagged is not None and any(flagged)) or not bool(image.isfinite().all()):
            print("note: the diffusion pipeline gave no usable picture; its start is kept", file=sys.stderr)
            return torch.zeros_like(colour)
        return _resized((image - small) * mask, colour.shape[0])[0].permute(1, 2, 0)


def own_size(pipeline: DiffusionPipeline) -> int:
    """Pixels each way that the pipeline was trained at; 512 where it does not say."""
    network = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    sample = getattr(getattr(network, "config", None), "sample_size", None)
    return sample * pipeline.vae_scale_factor if isinstance(sample, int) else 512


def _resized(image: Float[Tensor, "1 c rows columns"], size: int) -> Float[Tensor, "1 c size size"]:
    """Means where smaller, bilinear where larger."""
    if size <= image.shape[-1]:
        return functional.interpolate(image, (size, size), mode="area")
    return functional.interpolate(image, (size, size), mode="bilinear")
