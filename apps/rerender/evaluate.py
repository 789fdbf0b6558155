"""Measures re-rendering: fillings of unseen texture on held-out people, and pairs of photographs of one person.

    python -m apps.rerender.evaluate completion data/textures_test --json figures.json
    python -m apps.rerender.evaluate pairs a.jpg b.jpg [c.jpg d.jpg ...]

Textures of held-out assets come from ``python -m apps.rerender.textures --split test``. LPIPS downloads its network
once, unless its weights are given.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bodymap.errors import UserError, run_command

if TYPE_CHECKING:
    import torch

    from bodymap.types import Correspondence
    from bodymap.warping import PartialTexture

    Fill = Callable[[PartialTexture], "torch.Tensor"]

_VIEW = (256, 160)  # pixels of the renders that are compared
_ANGLES = (0, 90, 180, 270)
_LEAST = 400  # pixels of unseen texture that a render must show to count


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code 0.

    Raises:
        UserError: bad input.
    """
    options = _parser().parse_args(arguments)
    if options.json and not Path(options.json).resolve().parent.is_dir():
        raise UserError(f"The folder {Path(options.json).parent} does not exist; create it, or choose another output.")
    figures = options.measure(options)
    names = list(next(iter(figures.values())))
    width = max(len(name) for name in figures)
    print(" " * width, *(f"{name:>16}" for name in names))
    for name, row in figures.items():
        print(f"{name:<{width}}", *(f"{row[k]:16.4f}" for k in names))
    if options.json:
        from bodymap.files import atomic_path

        with atomic_path(options.json) as temporary:
            temporary.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 0


# ---------------------------------------------------------------------------------------------------- the completion
def fillings(template, network=None) -> dict[str, Fill]:
    """The ways to fill a partial texture, by name; the learned one if there is a network."""
    from apps.rerender.completion import complete_texture
    from bodymap.warping import fill_texture

    ways: dict[str, Fill] = {
        "nearest": nearest_fill,
        "smooth": lambda partial: fill_texture(template, partial, mirror=False).colour,
        "symmetry+smooth": lambda partial: fill_texture(template, partial).colour,
    }
    if network is not None:
        ways["learned"] = lambda partial: complete_texture(template, partial, network).colour
    return ways


def nearest_fill(partial: PartialTexture) -> torch.Tensor:
    """Every unseen texel takes the colour of the nearest seen one in the atlas."""
    import torch
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(~partial.seen.cpu().numpy(), return_distances=False, return_indices=True)
    return partial.colour[tuple(torch.from_numpy(nearest))]


def measure_completion(
    folder: str, network=None, count: int | None = None, weights: str | None = None, quiet: bool = False
) -> dict[str, dict[str, float]]:
    """Means over the folder's textures, by way of filling.

    "l1", "psnr": of unseen texels; "lpips": of the pixels of renders (the template from four sides) that show unseen
    texels, all others as they should be; "seen_psnr": of what was seen, to the partial texture.
    """
    import torch
    from tqdm import tqdm

    from apps.rerender.partials import Spoil, SpoilConfig, collate
    from apps.rerender.textures import TextureFolder
    from bodymap.metrics.image import lpips_distance, psnr
    from bodymap.surface import load_template
    from bodymap.warping import PartialTexture, get_atlas, texture_to_image

    template, stored = load_template(), TextureFolder(folder)
    covered = get_atlas(template, stored.size).covered
    spoil = Spoil(template, stored.size, SpoilConfig(others=False, flip=0, second=0, recolour=0), 77)
    views = [_view(angle) for angle in _ANGLES]
    ways = fillings(template, network)
    sums = {name: {"l1": [], "psnr": [], "lpips": [], "seen_psnr": []} for name in ways}

    def shown(texture, k: int):
        return texture_to_image(template, texture, views[k], smooth=0).values.permute(2, 0, 1)

    for index in tqdm(range(min(count or len(stored), len(stored))), disable=quiet, unit="texture"):
        batch = spoil(collate([stored[index]]), torch.tensor([index]))
        truth = batch["texture"][0].permute(1, 2, 0)
        partial = PartialTexture(batch["colour"][0].permute(1, 2, 0), batch["confidence"][0, 0], batch["layer"][0])
        if partial.seen.sum() < 500:
            continue
        unseen = covered & ~partial.seen
        which = texture_masks(template, partial.seen, views)
        for name, fill in ways.items():
            made = fill(partial).clamp(0, 1)
            row = sums[name]
            row["l1"].append(float((made - truth)[unseen].abs().mean()))
            row["psnr"].append(psnr(made.permute(2, 0, 1), truth.permute(2, 0, 1), unseen))
            if bool(partial.seen.any()):
                error = float((made - partial.colour)[partial.seen].square().mean())
                row["seen_psnr"].append(-10 * np.log10(max(error, 1e-10)))
            # where something was seen both show the truth
            composed = torch.where(unseen[..., None], made, truth)
            for k, region in enumerate(which):
                if region.sum() >= _LEAST:
                    row["lpips"].append(lpips_distance(shown(composed, k), shown(truth, k), region, weights=weights))
    return {name: {key: float(np.mean(values)) for key, values in row.items()} for name, row in sums.items()}


def texture_masks(template, seen: torch.Tensor, views: list[Correspondence]) -> list[torch.Tensor]:
    """For each view the pixels that show unseen texels."""
    import torch

    from bodymap.warping import texture_to_image

    masks = []
    for view in views:
        share = texture_to_image(template, seen[..., None].float(), view, smooth=0).values[..., 0]
        masks.append(torch.from_numpy(view.mask) & (share < 0.5))
    return masks


@functools.cache
def _view(degrees: float) -> Correspondence:
    """The template at rest, from ``degrees`` to its side."""
    from bodymap.fitting.picture import draw
    from bodymap.surface import load_template
    from bodymap.types import Camera

    height, width = _VIEW
    angle = np.radians(degrees)
    T = np.eye(4, dtype=np.float32)
    across = np.array([np.cos(angle), np.sin(angle), 0])
    T[:3, :3] = np.stack([across, [0, 0, -1], [-across[1], across[0], 0]])
    vertices = load_template().vertices.numpy().astype(float)
    middle = (vertices.min(0) + vertices.max(0)) / 2
    T[:3, 3] = -T[:3, :3] @ middle + np.array([0, 0, 4.0])
    focal = 4.0 * 0.9 * height / np.ptp(vertices[:, 2])
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    return draw(vertices, Camera(K, T, _VIEW))


# --------------------------------------------------------------------------------------------------------- the command
def _completion(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    network = None
    if options.weights is not None:
        from apps.rerender.pretrained import load_completion

        network = load_completion(options.weights)
    return measure_completion(options.folder, network, options.count, options.lpips)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m apps.rerender.evaluate", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    completion = commands.add_parser("completion", help="ways to fill unseen texture, on stored textures")
    completion.add_argument("folder", metavar="DIR", help="made by python -m apps.rerender.textures --split test")
    completion.add_argument("--count", type=_positive, metavar="N", help="only the first N textures")
    completion.add_argument("--weights", metavar="SOURCE", help="folder, file or hub id of a completion network")
    completion.set_defaults(measure=_completion)
    for command in (completion,):
        command.add_argument("--lpips", metavar="FILE", help="safetensors of the LPIPS network (alex)")
        command.add_argument("--json", metavar="FILE", help="also write the figures there")
    return parser


if __name__ == "__main__":
    run_command(main)
