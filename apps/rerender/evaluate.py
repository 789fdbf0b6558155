"""Measures re-rendering: fillings of unseen texture on held-out people, pairs of photographs, turntables.

    python -m apps.rerender.evaluate completion data/textures_test --json figures.json
    python -m apps.rerender.evaluate people --pack people.pack --count 16
    python -m apps.rerender.evaluate views data/views_test
    python -m apps.rerender.evaluate pairs a.jpg b.jpg [c.jpg d.jpg ...]
    python -m apps.rerender.evaluate steady a.jpg [b.jpg ...]

Textures of held-out assets come from ``python -m apps.rerender.textures --split test``. LPIPS downloads its network
once, unless its weights are given.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from apps.rerender.shelves import positive
from bodymap.errors import UserError, run_command

if TYPE_CHECKING:
    import torch

    from bodymap.types import Correspondence
    from bodymap.warping import PartialTexture

    Fill = Callable[[PartialTexture], "torch.Tensor"]

_VIEW = (256, 160)  # pixels of the renders that are compared
_ANGLES = (0, 90, 180, 270)
_FRAMES = 72  # of a turntable
_COLUMNS = 6  # of a printed table
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
    for some in (names[k : k + _COLUMNS] for k in range(0, len(names), _COLUMNS)):
        print(" " * width, *(f"{name:>16}" for name in some))
        for name, row in figures.items():
            print(f"{name:<{width}}", *(f"{row[k]:16.4f}" for k in some))
    if options.json:
        from bodymap.files import atomic_path

        with atomic_path(options.json) as temporary:
            temporary.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 0


# ---------------------------------------------------------------------------------------------------- the completion
def fillings(template, network=None) -> dict[str, Fill]:
    """The ways to fill a partial texture, by name; the learned one if there is a network.

    With a diffusion inpainter in the network's place there are both, it and what it starts from.
    """
    from bodymap.warping import fill_texture

    ways: dict[str, Fill] = {
        "nearest": nearest_fill,
        "smooth": lambda partial: fill_texture(template, partial, mirror=False).colour,
        "symmetry+smooth": lambda partial: fill_texture(template, partial).colour,
    }
    start = getattr(network, "start", None)
    if start is not None:
        ways["start"] = lambda partial: start(template, partial).colour
    if network is not None:
        ways["learned" if start is None else "diffusion"] = lambda partial: network.complete(template, partial).colour
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
    texels, all others as they should be; "seen_psnr": of what was seen, to the partial texture; "seconds": of filling.
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
    sums = {name: {"l1": [], "psnr": [], "lpips": [], "seen_psnr": [], "seconds": []} for name in ways}

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
            begun, row = time.perf_counter(), sums[name]
            made = fill(partial).clamp(0, 1)
            row["seconds"].append(time.perf_counter() - begun)
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


# ---------------------------------------------------------------------------------------- the renderer, and photographs
def measure_views(
    folder: str, network=None, count: int | None = None, weights: str | None = None, quiet: bool = False
) -> dict[str, dict[str, float]]:
    """Means over a folder's views of what is shown on the true foreground, by way of making it.

    "warp only": what was seen, a grey elsewhere; "completed": the stored texture on its map; "rendered": the network's.
    "iou": of the outline.
    """
    import torch
    from tqdm import tqdm

    from apps.rerender.partials import collate
    from apps.rerender.renderer_task import INPUTS, Vary
    from apps.rerender.views import ViewFolder
    from bodymap.metrics.image import lpips_distance, psnr, ssim

    stored, plain = ViewFolder(folder), Vary.nothing()
    sums: dict[str, dict[str, list[float]]] = {}
    for index in tqdm(range(min(count or len(stored), len(stored))), disable=quiet, unit="view"):
        batch = plain(collate([stored[index]]), torch.tensor([index]))
        mask, true, alpha = batch["mask"], batch["image"], batch["alpha"]
        if alpha.sum() < _LEAST:
            continue
        seen = (batch["share"] > 0.5).float()
        ways = {
            "warp only": (batch["warped"] * seen + 0.5 * (1 - seen), mask),
            "completed": (batch["warped"], mask),
        }
        if network is not None:
            with torch.no_grad():
                made = network(**{name: batch[name] for name in INPUTS})
            ways["rendered"] = (made.colour.clamp(0, 1), mask)
        wanted = (true * alpha + 0.5 * (1 - alpha))[0]
        region = alpha[0, 0] > 0
        for name, (colour, cover) in ways.items():
            shown = (colour * cover + 0.5 * (1 - cover))[0]
            row = sums.setdefault(name, {"psnr": [], "ssim": [], "lpips": [], "iou": []})
            row["psnr"].append(psnr(shown, wanted, region))
            row["ssim"].append(ssim(shown, wanted, region))
            row["lpips"].append(lpips_distance(shown, wanted, region, weights=weights))
            there = cover[0, 0] > 0.5
            row["iou"].append(float((there & region).sum() / (there | region).sum()))
    return {name: {key: float(np.nanmean(values)) for key, values in row.items()} for name, row in sums.items()}


def measure_pairs(
    photos: list[str], network=None, weights: str | None = None, renderer=None
) -> dict[str, dict[str, float]]:
    """Pairs of photographs of one person: the first one's texture on the second one's map, on its foreground.

    "warp only" leaves what the first does not show a grey; "rendered" is the last filling as a renderer shows it, in
    the outline of the map.
    """
    import torch

    from apps.rerender.normals import Normals, body_of
    from apps.rerender.renderer import Warp, refine
    from bodymap import BodyMap
    from bodymap.metrics.image import lpips_distance, psnr, ssim
    from bodymap.photo import read_photo
    from bodymap.surface import load_template
    from bodymap.warping import image_to_texture, texture_to_image
    from bodymap.warping.grid import smoothing_reach

    if len(photos) % 2 or not photos:
        raise UserError("Give pairs of photographs: an even number of files.")
    template, model = load_template(), BodyMap.from_pretrained()
    sums: dict[str, dict[str, list[float]]] = {}
    for one, other in zip(photos[::2], photos[1::2], strict=True):
        source, target = (read_photo(path) for path in (one, other))
        first, second = model.predict(one), model.predict(other)
        partial = image_to_texture(template, source, first, smooth=smoothing_reach(first))
        if not bool(partial.seen.any()) or not second.mask.any():
            raise UserError(f"Too little of a person is seen in {one} or {other}.")
        ways = {"warp only": lambda p: torch.where(p.seen[..., None], p.colour, torch.tensor(0.5))}
        true = torch.tensor(target).permute(2, 0, 1).float() / 255
        rows, columns = np.flatnonzero(second.mask.any(1)), np.flatnonzero(second.mask.any(0))
        cut = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        region = torch.from_numpy(second.mask)
        shares = partial.seen[..., None].float()
        pictures = {}
        for name, fill in (ways | fillings(template, network)).items():
            filled = torch.cat([fill(partial), shares], -1)
            laid = texture_to_image(template, filled, second, smooth=smoothing_reach(second)).values.permute(2, 0, 1)
            pictures[name] = laid[:3]
        if renderer is not None:
            normals = Normals.behind(template, body_of(first), second)
            pictures["rendered"] = refine(renderer, Warp.along(template, second, laid, filled, normals))
        for name, picture in pictures.items():
            shown = torch.where(region, picture, true)[:, *cut]
            row = sums.setdefault(name, {"psnr": [], "ssim": [], "lpips": []})
            row["psnr"].append(psnr(shown, true[:, *cut], region[cut]))
            row["ssim"].append(ssim(shown, true[:, *cut], region[cut]))
            row["lpips"].append(lpips_distance(shown, true[:, *cut], region[cut], weights=weights))
    return {name: {key: float(np.mean(values)) for key, values in row.items()} for name, row in sums.items()}


# --------------------------------------------------------------------------------------------------------- the command
def _network(load: Callable, choice: Path | None):
    return None if choice is None else load(choice)


def _completion(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    from apps.rerender.pretrained import find, load_completion

    network = _network(load_completion, find("completion", options.completion))
    return measure_completion(options.folder, network, options.count, options.lpips)


def _people(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    from tqdm import tqdm

    from apps.rerender.people_measures import measure_people
    from apps.rerender.pretrained import find, load_completion, load_renderer
    from bodymap import BodyMap
    from bodymap.people import Pack
    from bodymap.surface import load_template

    completion = _network(load_completion, find("completion", options.completion))
    renderer = _network(load_renderer, find("renderer", options.renderer))
    with tqdm(total=options.count, unit="person") as bar:
        return measure_people(
            Pack.load(options.pack),
            options.count,
            fillings(load_template(), completion),
            model=BodyMap.from_pretrained() if options.maps == "own" else None,
            renderer=renderer,
            seed=options.seed,
            weights=options.lpips,
            progress=lambda person: bar.update(),
        )


def _views(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    from apps.rerender.pretrained import find, load_renderer

    network = _network(load_renderer, find("renderer", options.renderer))
    return measure_views(options.folder, network, options.count, options.lpips)


def _pairs(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    from apps.rerender.pretrained import find, load_completion, load_renderer

    network = _network(load_completion, find("completion", options.completion))
    renderer = _network(load_renderer, find("renderer", options.renderer))
    return measure_pairs(options.photos, network, options.lpips, renderer)


def _steady(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    from apps.rerender.avatar import make_avatar
    from apps.rerender.pretrained import find, load_completion, load_renderer
    from apps.rerender.steadiness import flicker
    from bodymap import BodyMap
    from bodymap.photo import read_photo

    network = _network(load_completion, find("completion", options.completion))
    renderer = _network(load_renderer, find("renderer", options.renderer))
    model, result = BodyMap.from_pretrained(), {}
    for path in options.photos:
        avatar = make_avatar(read_photo(path), model.predict(path), completion=network)
        bodies = [avatar.turned(360 * k / _FRAMES) for k in range(_FRAMES)]
        result[Path(path).name] = {"flicker": flicker(avatar, bodies, renderer)}
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m apps.rerender.evaluate", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    completion = commands.add_parser("completion", help="ways to fill unseen texture, on stored textures")
    completion.add_argument("folder", metavar="DIR", help="made by python -m apps.rerender.textures --split test")
    completion.set_defaults(measure=_completion)
    people = commands.add_parser("people", help="the whole way, on people of held-out assets made for it")
    people.add_argument("--pack", metavar="FILE", help="people pack; without it the small one that ships")
    people.add_argument("--count", type=positive, default=16, metavar="N", help="people, both ways (%(default)s)")
    people.add_argument("--seed", type=int, default=0, metavar="S", help="another number, other people (%(default)s)")
    people.add_argument(
        "--maps", choices=("own", "true"), default="own", help="the network's, or exact ones (%(default)s)"
    )
    people.set_defaults(measure=_people)
    seen = commands.add_parser("views", help="the renderer, on stored views")
    seen.add_argument("folder", metavar="DIR", help="made by python -m apps.rerender.views --split test")
    seen.set_defaults(measure=_views)
    pairs = commands.add_parser("pairs", help="the first one's texture on the second one, photo by photo")
    pairs.add_argument("photos", nargs="+", metavar="PHOTO")
    pairs.set_defaults(measure=_pairs)
    steady = commands.add_parser("steady", help="turntables: how much points flicker from frame to frame, of 255")
    steady.add_argument("photos", nargs="+", metavar="PHOTO")
    steady.set_defaults(measure=_steady)
    for command in (completion, people, pairs, steady):
        command.add_argument("--completion", metavar="SOURCE", help="plain, learned, weights or diffusion:SOURCE")
    for command in (people, seen, pairs, steady):
        command.add_argument("--renderer", metavar="SOURCE", help="plain, learned (where it ships), or weights")
    for command in (completion, seen):
        command.add_argument("--count", type=positive, metavar="N", help="only the first N")
    for command in (completion, people, seen, pairs):
        command.add_argument("--lpips", metavar="FILE", help="safetensors of the LPIPS network (alex)")
    for command in (completion, people, seen, pairs, steady):
        command.add_argument("--json", metavar="FILE", help="also write the figures there")
    return parser


if __name__ == "__main__":
    run_command(main)
