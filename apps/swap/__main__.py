"""The command: ``python -m apps.swap SRC TGT -o out.png`` dresses the person in TGT as the one in SRC.

python -m apps.swap SRC TGT -o out.png --what upper,shoes --both --sheet sheet.png
python -m apps.swap SRC --targets FOLDER -o DIR --sheet SHEETS     # one picture a photo: DIR/<stem>.png
python -m apps.swap SRC --video CLIP -o out.mp4                    # SRC's person moves as the clip's does
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from apps.swap.folder import ENDINGS
from bodymap.errors import UserError, run_command
from bodymap.layer_maps import LAYERS_HELP
from bodymap.outputs import place_of

if TYPE_CHECKING:
    import numpy as np

    from apps.swap.transfer import SwapResult
    from bodymap.layer_maps import LayerFiles
    from bodymap.types import LayerMaps

DEFAULT_OUTPUT, DEFAULT_FOLDER, DEFAULT_FILM = "swap.png", "swaps", "swap.mp4"
TEXTURE_SIZES = (128, 4096)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 where some photo of a folder could not be worked on.

    Raises:
        UserError: bad input; nothing has been written then.
    """
    options = _parser().parse_args(arguments)

    # -- everything that can be refused is refused before the slow part starts --
    from apps.swap.choice import chosen
    from bodymap.photo import open_image
    from bodymap.weights import find

    names = chosen(options.what or "all")
    _check_targets(options)
    if options.with_head and "all" not in names:
        raise UserError("--with-head goes with --what all: a garment has no head.")
    if options.size % 32 or not 128 <= options.size <= 2048:
        raise UserError(f"--size must be a multiple of 32 from 128 to 2048, not {options.size}.")
    low, high = TEXTURE_SIZES
    if not low <= options.texture <= high:
        raise UserError(f"--texture must lie between {low} and {high} texels, not {options.texture}.")
    open_image(options.source).close()
    if options.video is not None:
        from apps.swap.motion import move

        return move(options)
    find(options.weights)
    return _folder(options, names) if options.targets is not None else _one(options, names)


def _one(options: argparse.Namespace, names: tuple[str, ...]) -> int:
    """One target, or both ways."""
    from bodymap.photo import open_image, read_photo

    outputs = _outputs(options)
    _check_outputs(outputs, (options.source, options.target))
    open_image(options.target).close()
    weights = _weights(options)
    files = _layer_files(options, (options.source, options.target))
    photos = [read_photo(path) for path in (options.source, options.target)]
    layers = [
        files.of(path, photo.shape[:2]) for path, photo in zip((options.source, options.target), photos, strict=True)
    ]

    # -- the slow part --
    from apps.swap.sheet import swap_sheet
    from apps.swap.transfer import swap

    model, completion, renderer = _networks(options, weights)
    same = place_of(options.source) == place_of(options.target)
    maps = [_predict(model, photos[0], options.source, layers[0])]
    maps.append(maps[0] if same else _predict(model, photos[1], options.target, layers[1]))

    pictures: dict[Path, np.ndarray] = {}
    for output, sheet, (s, t) in outputs:
        result: SwapResult = swap(
            photos[s],
            maps[s],
            photos[t],
            maps[t],
            names,
            options.with_head,
            skin=options.skin,
            template=model.template,
            texture_size=options.texture,
            completion=completion,
            renderer=renderer,
            src_layers=layers[s],
            tgt_layers=layers[t],
        )
        pictures[output] = result.image
        if sheet is not None:
            pictures[sheet] = swap_sheet(
                photos[s], maps[s], result.texture, result.seen, photos[t], maps[t], result.image
            )
        print(f"{output}: {(result.region > 0.5).mean():.0%} of the photo replaced")
    _write(pictures)
    return 0


def _folder(options: argparse.Namespace, names: tuple[str, ...]) -> int:
    """The source onto every photo of a folder; one after the other, so that memory stays that of one."""
    from apps.swap.folder import photos_in
    from bodymap.files import output_folder
    from bodymap.outputs import check_folder
    from bodymap.photo import read_photo

    targets = photos_in(options.targets)
    jobs = _jobs(options, targets)
    for folder in {options.output, options.sheet} - {None}:
        check_folder(folder)
    weights = _weights(options)
    files = _layer_files(options, (options.source, *targets))
    source_photo = read_photo(options.source)
    source_layers = files.of(options.source, source_photo.shape[:2])

    # -- the slow part --
    from tqdm import tqdm

    from apps.swap.sheet import swap_sheet
    from apps.swap.transfer import put_on, read_source

    for folder in {options.output, options.sheet} - {None}:
        output_folder(folder)
    todo = [job for job in jobs if not (options.resume and all(p.exists() for p in job[1:] if p is not None))]
    if len(todo) < len(jobs):
        print(f"{len(jobs) - len(todo)} of {len(jobs)} are there already", file=sys.stderr)
    if not todo:
        return 0
    model, completion, renderer = _networks(options, weights)
    source_map = _predict(model, source_photo, options.source, source_layers)
    source = read_source(
        source_photo,
        source_map,
        with_head=options.with_head,
        template=model.template,
        texture_size=options.texture,
        completion=completion,
        layers=source_layers,
    )
    failures = 0
    for path, output, sheet in tqdm(todo, unit="photo", disable=None):
        try:
            photo = read_photo(path)
            layers = files.of(path, photo.shape[:2])
            target_map = _predict(model, photo, path, layers)
            result = put_on(
                source,
                photo,
                target_map,
                names,
                options.with_head,
                skin=options.skin,
                template=model.template,
                renderer=renderer,
                layers=layers,
            )
        except UserError as error:
            failures += 1
            text = str(error)
            tqdm.write(f"error: {text if str(path) in text else f'{path}: {text}'}", file=sys.stderr)
            continue
        pictures = {output: result.image}
        if sheet is not None:
            pictures[sheet] = swap_sheet(
                source_photo, source_map, result.texture, result.seen, photo, target_map, result.image
            )
        _write(pictures)
        tqdm.write(f"{output}: {(result.region > 0.5).mean():.0%} of the photo replaced")
    return 1 if failures else 0


def _jobs(options: argparse.Namespace, targets: Sequence[Path]) -> list[tuple[Path, Path, Path | None]]:
    """(photo, picture, sheet) of each target.

    Raises:
        UserError: two results would have one name, or one would replace a photo.
    """
    read = {place_of(path) for path in (*targets, options.source)}
    jobs: list[tuple[Path, Path, Path | None]] = []
    names: dict[str, Path] = {}
    for path in targets:
        output = options.output / f"{path.stem}.png"
        sheet = None if options.sheet is None else options.sheet / f"{path.stem}.png"
        for made in (output, sheet):
            if made is not None and place_of(made) in read:
                raise UserError(f"The output {made} would replace a photo that is read; choose another folder.")
        if (other := names.setdefault(path.stem.casefold(), path)) is not path:
            raise UserError(f"{other} and {path} would both become {output}; rename one.")
        jobs.append((path, output, sheet))
    if options.sheet is not None and place_of(options.sheet) == place_of(options.output):
        raise UserError("Pictures and sheets would have the same names; choose another folder for one.")
    return jobs


def _check_targets(options: argparse.Namespace) -> None:
    """One of TGT, --targets and --video, and what goes with it; fills in the output's default name."""
    given = [name for name in ("target", "targets", "video") if getattr(options, name) is not None]
    if len(given) != 1:
        raise UserError(
            "Say onto whom: give one target photo, or --targets FOLDER, or --video CLIP (just one of them)."
        )
    if options.both and given != ["target"]:
        raise UserError(f"--both goes with one target photo, not with --{given[0]}.")
    if options.resume and given != ["targets"]:
        raise UserError("--resume goes with --targets: it leaves out what is there already.")
    if given != ["video"]:
        for name in ("frames", "background"):
            if getattr(options, name) is not None:
                raise UserError(f"--{name} goes with --video.")
    elif options.what or options.with_head or options.skin != "source":
        raise UserError("--video moves the source's person whole: --what, --with-head and --skin do not go with it.")
    defaults = {"target": DEFAULT_OUTPUT, "targets": DEFAULT_FOLDER, "video": DEFAULT_FILM}
    options.output = options.output or Path(defaults[given[0]])


def _weights(options: argparse.Namespace):
    """Of the completion and the renderer, where there are some."""
    from apps.rerender.pretrained import find

    return find("completion", options.completion), find("renderer", options.renderer)


def _networks(options: argparse.Namespace, weights):
    """The map's network, what fills textures, and what moves their light."""
    from apps.rerender.pretrained import load_completion, load_renderer
    from bodymap.predictor import BodyMap, PredictorConfig

    model = BodyMap.from_pretrained(options.weights, device=options.device, config=PredictorConfig(size=options.size))
    completion, renderer = weights
    return (
        model,
        None if completion is None else load_completion(completion).to(model.device),
        None if renderer is None else load_renderer(renderer),
    )


def _layer_files(options: argparse.Namespace, photos: Sequence[Path]) -> LayerFiles:
    from bodymap.layer_maps import LayerFiles
    from bodymap.surface import load_template

    return LayerFiles(options.layers, photos, load_template().code_version)


def _predict(model, photo: np.ndarray, path: Path, layers: LayerMaps | None = None):
    """The map; of whom the layers show, where there are some."""
    try:
        return model.predict(photo) if layers is None else model.predict(photo, layers.visible > 0)
    except UserError as error:
        # the model was given the pixels: the user knows the photo by its path
        raise UserError(str(error).replace("the given array", str(path))) from None


def _outputs(options: argparse.Namespace) -> list[tuple[Path, Path | None, tuple[int, int]]]:
    """(picture, sheet, (index of the source, of the target)) of each swap asked for."""
    swaps = [(options.output, options.sheet, (0, 1))]
    if options.both:
        sheet = None if options.sheet is None else reverse_name(options.sheet)
        swaps.append((reverse_name(options.output), sheet, (1, 0)))
    return swaps


def reverse_name(path: Path) -> Path:
    """Where the other direction goes: out.png -> out_reverse.png."""
    return path.with_name(f"{path.stem}_reverse{path.suffix}")


def _check_outputs(outputs: Sequence[tuple[Path, Path | None, tuple[int, int]]], photos: Sequence[Path]) -> None:
    paths = [path for output, sheet, _ in outputs for path in (output, sheet) if path is not None]
    for path in paths:
        if path.suffix.lower() not in ENDINGS:
            raise UserError(f"{path} must end in one of {', '.join(ENDINGS)}: the ending chooses the file format.")
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the name of a file in it.")
        if not path.parent.is_dir():
            raise UserError(f"The folder {path.parent} does not exist; create it, or choose another output.")
        if place_of(path) in [place_of(photo) for photo in photos]:
            raise UserError(f"The output {path} would replace a photo that is read; choose another name.")
    if len({place_of(path) for path in paths}) < len(paths):
        raise UserError("The picture and the sheet would be written under the same name; choose another for one.")


def _write(pictures: dict[Path, np.ndarray]) -> None:
    """Writes all pictures, or none."""
    from contextlib import ExitStack

    from PIL import Image

    from bodymap.files import atomic_path

    with ExitStack() as moves:
        # each temporary file is moved into place when the stack closes, that is after the last one was written
        for path, picture in pictures.items():
            temporary = moves.enter_context(atomic_path(path))
            quality = {} if path.suffix.lower() == ".png" else {"quality": 95}
            if path.suffix.lower() in (".jpg", ".jpeg"):
                quality["subsampling"] = 0
            Image.fromarray(picture).save(temporary, **quality)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m apps.swap",
        description="Takes the clothes (and skin) of the person in SRC onto the person in TGT's photograph.",
    )
    parser.add_argument("source", metavar="SRC", type=Path, help="photograph of the person whose appearance is taken")
    parser.add_argument(
        "target", metavar="TGT", type=Path, nargs="?", help="photograph into which it is put (or --targets, --video)"
    )
    parser.add_argument(
        "--targets", metavar="FOLDER", type=Path, help="onto every photograph of a folder: -o DIR gets DIR/<stem>.png"
    )
    parser.add_argument(
        "--video", "--driving", metavar="CLIP", type=Path, help="no exchange: SRC's person moves as the clip's does"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help=f"the swapped picture, of TGT's size; {', '.join(ENDINGS)} (default: {DEFAULT_OUTPUT}; with --targets a "
        f"folder, {DEFAULT_FOLDER}; with --video a film, {DEFAULT_FILM})",
    )
    parser.add_argument(
        "--what",
        action="append",
        metavar="WHAT",
        help="all: outfit and skin; upper, lower, shoes: that garment alone; hair: its colour; several joined by "
        "commas (default: all)",
    )
    parser.add_argument(
        "--with-head", action="store_true", help="with all: head, hair and hands too (default: they stay TGT's)"
    )
    parser.add_argument(
        "--skin",
        choices=("source", "target"),
        default="source",
        help="with all: whose tone bare arms, legs and neck have (default: source)",
    )
    parser.add_argument(
        "--both", action="store_true", help="also the other way round, written beside with _reverse in the name"
    )
    parser.add_argument(
        "--sheet",
        metavar="FILE",
        type=Path,
        help="also a sheet: source, its map and texture, target, its map, result (with --targets a folder of them)",
    )
    parser.add_argument("--resume", action="store_true", help="with --targets: leave out what is there already")
    parser.add_argument(
        "--layers",
        metavar="FILE",
        nargs="+",
        type=Path,
        default=[],
        help=f"garments are where these have them: {LAYERS_HELP} (of SRC, TGT or both)",
    )
    parser.add_argument("--frames", metavar="N", type=int, help="with --video: at most so many (default: 250)")
    parser.add_argument(
        "--background", metavar="photo|FILE", help="with --video: in SRC's own photo, or before another picture"
    )
    parser.add_argument(
        "--weights", metavar="W", help="name, folder, file or hub id of the weights (default: the shipped ones)"
    )
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1 or mps (default: a GPU where there is one)")
    parser.add_argument(
        "--size",
        metavar="PX",
        type=int,
        default=448,
        help="longest side of a person's crop for the network (default: 448)",
    )
    parser.add_argument(
        "--texture", metavar="PX", type=int, default=1024, help="side of the texture in between (default: 1024)"
    )
    parser.add_argument(
        "--completion",
        metavar="SOURCE",
        help="what fills the unseen: plain, learned (if it ships, the default), weights of your own, diffusion:SOURCE",
    )
    parser.add_argument(
        "--renderer",
        metavar="SOURCE",
        help="what moves light and shade: plain, learned (if it ships, the default), weights",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
