"""The command: a photograph in, the maps of body, upper and lower garment out.

    python -m apps.layered.predict PHOTO... -o DIR [--mask FILE]

writes for each photo ``DIR/<stem>_body.png``, ``_upper.png``, ``_lower.png`` (each layer's colour code on its own
surface, hidden parts included), ``_layers.png`` (what is visible, one colour a layer; as a mask it is read back),
``_layers_overlay.png`` and ``<stem>.npz`` (``bodymap.correspondence_io.load_layer_maps``).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from apps.layered.settings import HEIGHTS
from bodymap.batch import Item, add_batch_arguments, check_batch_arguments
from bodymap.errors import UserError, run_command
from bodymap.files import output_folder
from bodymap.outputs import check_folder, check_names, distinct, write_maps

if TYPE_CHECKING:
    import numpy as np

    from bodymap.types import LayerMaps

ENDINGS = ("_body.png", "_upper.png", "_lower.png", "_layers.png", "_layers_overlay.png")
SMALLEST, LARGEST = 128, 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 where some of several photos could not be mapped.

    Raises:
        UserError: nothing could be done.
    """
    options = _parser().parse_args(arguments)

    # -- everything that can be refused is refused before the slow part starts --
    from apps.layered.masks import read_layers
    from bodymap.batch import done_already, gather, work_through
    from bodymap.photo import open_image, read_photo

    given = distinct(options.photos)
    check_batch_arguments(options)
    if options.size % 32 or not SMALLEST <= options.size <= LARGEST:
        raise UserError(f"--size must be a multiple of 32 from {SMALLEST} to {LARGEST}, not {options.size}.")
    items = gather(given, options.output)
    check_names([item.path for item in items], options.output, ENDINGS.__contains__, [item.stem for item in items])
    check_folder(options.output)
    for path in given:
        if not os.path.isdir(path):
            open_image(path).close()
    alone = len(items) == 1 and given == [items[0].path]
    if options.mask is not None:
        if not alone:
            raise UserError("--mask shows one person in one photo: give one photo.")
        read_layers(options.mask, read_photo(given[0]).shape[:2])

    # -- the slow part --
    done = done_already(items, options.output, (".npz",)) if options.resume else set()
    todo = [item for item in items if item not in done]
    if done and not todo:
        print(f"all {len(items)} were there already", file=sys.stderr)
        return 0
    if alone:
        work = LayerMapper(options)
        print(work.do(items[0], work.read(items[0])))
        return 0
    results = None if options.ray is None else _on_cluster(options, todo)
    return work_through(todo, partial(LayerMapper, options), len(done), results)


def _on_cluster(options: argparse.Namespace, items: list[Item]) -> Iterator[tuple[Item, str | UserError]]:
    from bodymap.cluster import absolute, map_items

    items, options = absolute(items, options, ("output", "weights", "heights"))
    gpus = options.device is not None and options.device.startswith("cuda")
    make = partial(LayerMapper, options)
    return map_items(items, make, options.output, (".npz",), options.ray, options.workers, gpus)


class LayerMapper:
    """Maps photographs as the command's options say (``bodymap.batch.Work``); loads the networks once."""

    def __init__(self, options: argparse.Namespace) -> None:
        from apps.layered.predictor import LayeredBodyMap, LayeredPredictorConfig

        self.options = options
        self.model = LayeredBodyMap.from_pretrained(
            options.weights,
            device=options.device,
            dtype=options.dtype,
            config=LayeredPredictorConfig(size=options.size),
            heights=None if options.heights == "none" else options.heights,
        )

    def read(self, item: Item) -> np.ndarray:
        """The photo's pixels."""
        from bodymap.photo import read_photo

        return read_photo(item.path)

    def do(self, item: Item, picture: np.ndarray) -> str:
        """Writes the maps; returns where they are."""
        start = self.options.output / item.stem
        try:
            maps = self.model.predict(picture, self.options.mask)
        except UserError as error:
            # the model was given the pixels: the user knows the photo by its path
            raise UserError(str(error).replace("the given array", str(item.path))) from None
        write(maps, picture, output_folder(start.parent), start.name, self.model.code_version)
        shares = ", ".join(
            f"{name} {(maps.visible == index).mean():.0%}"
            for index, name in enumerate(("body", "upper", "lower"), start=1)
        )
        return f"{item.path} -> {start}.npz, _body.png, _upper.png, _lower.png, _layers.png ({shares})"


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
    parser.add_argument("photos", metavar="PHOTO", nargs="+", type=Path, help="a photograph, or a folder of them")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="folder (made if missing)")
    parser.add_argument(
        "--mask",
        metavar="FILE",
        type=Path,
        help="semantic mask: 0 background, 1 body, 2 upper, 3 lower, or the colours of _layers.png (default: our own)",
    )
    parser.add_argument("--weights", metavar="W", help="folder or file of layered weights (default: the shipped ones)")
    parser.add_argument(
        "--heights",
        metavar="W",
        default=HEIGHTS,
        help="weights of the network that corrects the lower garment; none: without it (default: the shipped ones)",
    )
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1 or mps (default: a GPU where there is one)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="the networks' arithmetic (default: float32)")
    parser.add_argument(
        "--size",
        metavar="PX",
        type=int,
        default=384,
        help="longest side of the person's crop for the network, a multiple of 32 (default: %(default)s)",
    )
    add_batch_arguments(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
