"""The command: a photograph in, the maps of body, upper and lower garment out.

    python -m apps.layered.predict PHOTO... -o DIR [--mask FILE]

writes for each photo ``DIR/<stem>_body.png``, ``_upper.png``, ``_lower.png`` (each layer's colour code on its own
surface, hidden parts included), ``_layers.png`` (what is visible, one colour a layer; as a mask it is read back),
``_layers_overlay.png`` and ``<stem>.npz`` (``bodymap.correspondence_io.load_layer_maps``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bodymap.errors import UserError, run_command
from bodymap.outputs import check_folder, check_names, distinct, write_maps

if TYPE_CHECKING:
    import numpy as np

    from bodymap.types import LayerMaps

ENDINGS = ("_body.png", "_upper.png", "_lower.png", "_layers.png", "_layers_overlay.png")
SMALLEST, LARGEST = 128, 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 where some of several photos could not be mapped.

    Raises:
        UserError: nothing could be done.
    """
    options = _parser().parse_args(arguments)

    # -- everything that can be refused is refused before the slow part starts --
    from apps.layered.masks import read_layers
    from bodymap.photo import open_image, read_photo

    photos = distinct(options.photos)
    check_names(photos, options.output, ENDINGS.__contains__)
    if options.size % 32 or not SMALLEST <= options.size <= LARGEST:
        raise UserError(f"--size must be a multiple of 32 from {SMALLEST} to {LARGEST}, not {options.size}.")
    check_folder(options.output)
    for path in photos:
        open_image(path).close()
    mask = None
    if options.mask is not None:
        if len(photos) > 1:
            raise UserError("--mask shows one person in one photo: give one photo.")
        mask = read_layers(options.mask, read_photo(photos[0]).shape[:2])

    # -- the slow part --
    from apps.layered.predictor import LayeredBodyMap, LayeredPredictorConfig
    from bodymap.files import output_folder

    model = LayeredBodyMap.from_pretrained(
        options.weights, device=options.device, config=LayeredPredictorConfig(size=options.size)
    )
    failures = 0
    for path in photos:
        try:
            maps = model.predict(path, mask)
            write(maps, read_photo(path), output_folder(options.output), path.stem, model.code_version)
        except UserError as error:
            if len(photos) == 1:
                raise
            failures += 1
            print(f"error: {error}", file=sys.stderr)
            continue
        shares = ", ".join(
            f"{name} {(maps.visible == index).mean():.0%}"
            for index, name in enumerate(("body", "upper", "lower"), start=1)
        )
        print(f"{path} -> {options.output / path.stem}.npz, _body.png, _upper.png, _lower.png, _layers.png ({shares})")
    return 2 if failures else 0


def write(maps: LayerMaps, photo: np.ndarray, folder: Path, stem: str, code_version: str) -> None:
    """Writes the five pictures and the archive: all, or none."""
    import numpy as np

    from apps.layered.masks import draw_layers
    from bodymap.correspondence_io import save_layer_maps
    from bodymap.visual import colour_map, overlay

    layers = draw_layers(maps.visible)
    colours = [np.zeros_like(photo) if m is None else colour_map(m) for m in (maps.body, maps.upper, maps.lower)]
    pictures = dict(zip(ENDINGS, [*colours, layers, overlay(photo, layers, maps.visible > 0)], strict=True))
    write_maps(folder, stem, pictures, lambda path: save_layer_maps(maps, path, code_version))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m apps.layered.predict",
        description="Maps body, upper and lower garment of a person apart, each to a surface of its own.",
    )
    parser.add_argument("photos", metavar="PHOTO", nargs="+", type=Path, help="a photograph of any size")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="folder (made if missing)")
    parser.add_argument(
        "--mask",
        metavar="FILE",
        type=Path,
        help="semantic mask: 0 background, 1 body, 2 upper, 3 lower, or the colours of _layers.png (default: our own)",
    )
    parser.add_argument("--weights", metavar="W", help="folder or file of layered weights (default: the shipped ones)")
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1 or mps (default: a GPU where there is one)")
    parser.add_argument(
        "--size",
        metavar="PX",
        type=int,
        default=384,
        help="longest side of the person's crop for the network, a multiple of 32 (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
