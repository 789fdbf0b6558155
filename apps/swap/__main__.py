"""The command: ``python -m apps.swap SRC TGT -o out.png`` dresses the person in TGT as the one in SRC."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bodymap.errors import UserError, run_command

if TYPE_CHECKING:
    import numpy as np

    from apps.swap.transfer import SwapResult

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
DEFAULT_OUTPUT = "swap.png"
TEXTURE_SIZES = (128, 4096)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code 0.

    Raises:
        UserError: bad input; nothing has been written then.
    """
    options = _parser().parse_args(arguments)

    # -- everything that can be refused is refused before the slow part starts --
    from bodymap.photo import open_image, read_photo
    from bodymap.weights import find

    if options.with_head and options.what != "all":
        raise UserError("--with-head goes with --what all: a garment has no head.")
    if options.size % 32 or not 128 <= options.size <= 2048:
        raise UserError(f"--size must be a multiple of 32 from 128 to 2048, not {options.size}.")
    low, high = TEXTURE_SIZES
    if not low <= options.texture <= high:
        raise UserError(f"--texture must lie between {low} and {high} texels, not {options.texture}.")
    outputs = _outputs(options)
    _check_outputs(outputs, (options.source, options.target))
    for path in (options.source, options.target):
        open_image(path).close()
    find(options.weights)
    from apps.rerender.pretrained import find as find_network
    from apps.rerender.pretrained import load_completion

    weights = find_network("completion", options.completion)
    photos = [read_photo(path) for path in (options.source, options.target)]

    # -- the slow part --
    from apps.swap.sheet import swap_sheet
    from apps.swap.transfer import swap
    from bodymap.predictor import BodyMap, PredictorConfig

    model = BodyMap.from_pretrained(options.weights, device=options.device, config=PredictorConfig(size=options.size))
    completion = None if weights is None else load_completion(weights).to(model.device)
    same = options.source.resolve() == options.target.resolve()
    maps = [_predict(model, photos[0], options.source)]
    maps.append(maps[0] if same else _predict(model, photos[1], options.target))

    pictures: dict[Path, np.ndarray] = {}
    for output, sheet, (s, t) in outputs:
        result: SwapResult = swap(
            photos[s],
            maps[s],
            photos[t],
            maps[t],
            options.what,
            options.with_head,
            skin=options.skin,
            template=model.template,
            texture_size=options.texture,
            completion=completion,
        )
        pictures[output] = result.image
        if sheet is not None:
            pictures[sheet] = swap_sheet(
                photos[s], maps[s], result.texture, result.seen, photos[t], maps[t], result.image
            )
        print(f"{output}: {(result.region > 0.5).mean():.0%} of the photo replaced")
    _write(pictures)
    return 0


def _predict(model, photo: np.ndarray, path: Path):
    try:
        return model.predict(photo)
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
        if path.resolve() in [photo.resolve() for photo in photos]:
            raise UserError(f"The output {path} would replace a photo that is read; choose another name.")
    if len({path.resolve() for path in paths}) < len(paths):
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
    parser.add_argument("target", metavar="TGT", type=Path, help="photograph into which it is put")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        default=Path(DEFAULT_OUTPUT),
        help=f"the swapped picture, of TGT's size; {', '.join(ENDINGS)} (default: {DEFAULT_OUTPUT})",
    )
    parser.add_argument(
        "--what",
        choices=("all", "upper", "lower"),
        default="all",
        help="all: outfit and skin; upper, lower: that garment alone (default: all)",
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
        "--sheet", metavar="FILE", type=Path, help="also a sheet: source, its map and texture, target, its map, result"
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
    return parser


if __name__ == "__main__":
    run_command(main)
