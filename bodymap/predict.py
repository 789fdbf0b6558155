"""The command: photographs or films in, correspondence maps out.

    python -m bodymap.predict PHOTO... -o DIR [--mask FILE] [--all]
    python -m bodymap.predict FILM... -o DIR [--all] [--arrays]
    python -m bodymap.predict FOLDER -o DIR [--resume] [--ray [ADDRESS]]

writes for each photo ``DIR/<stem>_map.png`` (colour code), ``<stem>_overlay.png`` and ``<stem>.npz`` (loads back with
bodymap.correspondence_io); with ``--all`` one set a person: ``<stem>_0_map.png``, ``<stem>_1_map.png``, ... With
``--format iuv --adapter densepose.npz`` it writes instead ``<stem>_iuv.png``, DensePose's IUV picture
(bodymap.densepose). Of a film it writes ``<stem>_map.mp4`` and ``<stem>_overlay.mp4``, each frame steadied by the one
before, and with ``--arrays`` each frame's npz into ``DIR/<stem>/``. Of a folder it maps everything in it and below
(bodymap.batch), here or on several machines (bodymap.cluster).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bodymap.batch import PICTURE_ENDINGS, Item, add_batch_arguments, check_batch_arguments
from bodymap.cropping import DEFAULT, check_size
from bodymap.errors import UserError, run_command
from bodymap.files import output_folder
from bodymap.outputs import check_folder, check_names, distinct, write_maps

if TYPE_CHECKING:
    import numpy as np

    from bodymap.densepose.adapter import Adapter
    from bodymap.predictor import BodyMap
    from bodymap.types import Correspondence
    from bodymap.visual.video import Film


ENDINGS = re.compile(r"(_\d+)?_(map|overlay|iuv)\.png|_(map|overlay)\.mp4")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 where some of several photos could not be mapped.

    Raises:
        UserError: nothing could be done.
    """
    options = _parser().parse_args(arguments)

    # -- everything that can be refused is refused before the slow part starts --
    from bodymap.batch import done_already, gather, work_through
    from bodymap.foreground import build_foreground, read_mask
    from bodymap.photo import open_image, read_photo
    from bodymap.visual.video import READ_ENDINGS, is_film, open_film
    from bodymap.weights import find

    given = distinct(options.photos)
    if len(given) < len(options.photos):
        print("note: photos that were given twice are mapped once", file=sys.stderr)
    films = [path for path in given if is_film(path)]
    for path in given:
        if path in films:
            open_film(path)
        elif not os.path.isdir(path):
            open_image(path).close()
    items = gather(given, options.output, (*PICTURE_ENDINGS, *READ_ENDINGS))
    check_names([item.path for item in items], options.output, ENDINGS.fullmatch, [item.stem for item in items])
    alone = len(items) == 1 and given == [items[0].path]
    _check_films([item for item in items if is_film(item.path)], options)
    if options.mask is not None:
        if not alone or options.all:
            raise UserError("--mask shows one person in one photo: give one photo, without --all.")
        read_mask(options.mask, read_photo(given[0]).shape[:2])
    elif alone and not films:
        read_photo(given[0])
    check_batch_arguments(options)
    check_size(options.size)
    _adapter(options)
    find(options.weights)
    build_foreground(options.foreground)
    check_folder(options.output)

    # -- the slow part --
    endings = last_endings(options.format, options.all)
    done = done_already(items, options.output, endings) if options.resume else set()
    todo = [item for item in items if item not in done]
    if done and not todo:
        print(f"all {len(items)} were there already", file=sys.stderr)
        return 0
    if alone:
        work = PhotoMapper(options)
        print(work.do(items[0], work.read(items[0])))
        return 0
    results = None if options.ray is None else _on_cluster(options, todo, endings)
    return work_through(todo, partial(PhotoMapper, options), len(done), results)


def last_endings(format: str, everyone: bool) -> tuple[str, ...]:
    """How the last file of a photo's or film's outputs ends: where that is, the others are."""
    person = "_0" if everyone else ""
    return (f"{person}_iuv.png" if format == "iuv" else f"{person}.npz", "_map.mp4")


def _on_cluster(
    options: argparse.Namespace, items: list[Item], endings: tuple[str, ...]
) -> Iterator[tuple[Item, str | UserError]]:
    from bodymap.cluster import absolute, map_items

    items, options = absolute(items, options, ("output", "weights", "adapter"))
    gpus = options.device is not None and options.device.startswith("cuda")
    make = partial(PhotoMapper, options)
    return map_items(items, make, options.output, endings, options.ray, options.workers, gpus)


class PhotoMapper:
    """Maps photographs and films as the command's options say (``batch.Work``); loads the networks once."""

    def __init__(self, options: argparse.Namespace) -> None:
        from bodymap.foreground import build_foreground
        from bodymap.predictor import BodyMap, PredictorConfig

        self.options, self.adapter = options, _adapter(options)
        self.model = BodyMap.from_pretrained(
            options.weights,
            device=options.device,
            dtype=options.dtype,
            foreground=build_foreground(options.foreground),
            config=PredictorConfig(size=options.size, fit=options.fit),
            compile=options.compile,
        )

    def read(self, item: Item) -> np.ndarray | Film:
        """The photo's pixels, or the film's head."""
        from bodymap.photo import read_photo
        from bodymap.visual.video import is_film, open_film

        return open_film(item.path) if is_film(item.path) else read_photo(item.path)

    def do(self, item: Item, picture: np.ndarray | Film) -> str:
        """Writes the maps; returns where they are."""
        from bodymap.visual.video import Film

        options, folder = self.options, (self.options.output / item.stem).parent
        if isinstance(picture, Film):
            return write_film_maps(self.model, picture, folder, item.path.stem, options.all, options.arrays)
        mask = None
        if options.mask is not None:
            from bodymap.foreground import read_mask

            mask = read_mask(options.mask, picture.shape[:2])
        lines, first = [], None
        for number, person in enumerate(_people(self.model, picture, mask, options.all, item.path)):
            stem = f"{item.path.stem}_{number}" if options.all else item.path.stem
            lines.append(_told(item.path, person, folder / stem, options.format))
            if first is None:
                first = stem, person  # written last: where it is, everybody is
            else:
                self._write(person, picture, folder, stem)
        self._write(first[1], picture, folder, first[0])
        return "\n".join(lines)

    def _write(self, person: Correspondence, photo: np.ndarray, folder: Path, stem: str) -> None:
        output_folder(folder)
        if self.adapter is None:
            write(person, photo, folder, stem, self.model.template.code_version)
            return
        from bodymap.densepose.iuv import iuv_of_map, write_iuv

        write_iuv(iuv_of_map(self.adapter, person), folder / f"{stem}_iuv.png")


def _people(
    model: BodyMap, photo: np.ndarray, mask: np.ndarray | None, everyone: bool, path: Path
) -> Iterator[Correspondence]:
    """Each person, the largest first, one after the other: of a large photo each takes gigabytes."""
    try:
        if everyone:
            yield from model.predict_each(photo)
        else:
            yield model.predict(photo, mask)
    except UserError as error:
        # the model was given the pixels: the user knows the photo by its path
        raise UserError(str(error).replace("the given array", str(path))) from None


def write(correspondence: Correspondence, photo: np.ndarray, folder: Path, stem: str, code_version: str) -> None:
    """Writes ``<stem>_map.png``, ``<stem>_overlay.png`` and ``<stem>.npz``: all three, or none."""
    from bodymap.correspondence_io import save_correspondence
    from bodymap.visual import colour_map, overlay

    colours = colour_map(correspondence)
    pictures = {"_map.png": colours, "_overlay.png": overlay(photo, colours, correspondence.mask)}
    write_maps(folder, stem, pictures, lambda path: save_correspondence(correspondence, path, code_version))


def write_film_maps(
    model: BodyMap, film: Film, output: Path, stem: str, everyone: bool = False, arrays: bool = False
) -> str:
    """Writes ``<stem>_map.mp4`` and ``<stem>_overlay.mp4``, with everybody who is followed in both.

    Args:
        arrays: also each frame's map, ``<stem>/00000.npz``; with ``everyone`` ``<stem>/00000_0.npz``, by person.

    Returns:
        a line that tells where they are.
    """
    import numpy as np
    from tqdm import tqdm

    from bodymap.correspondence_io import save_correspondence
    from bodymap.files import atomic_path
    from bodymap.tracking import follow
    from bodymap.visual import colour_map, overlay
    from bodymap.visual.video import open_mp4

    folder = output_folder(output)
    files = {what: folder / f"{stem}_{what}.mp4" for what in ("map", "overlay")}
    pictures = film.frames()
    missed = count = 0
    with ExitStack() as stack:
        add = {what: stack.enter_context(open_mp4(file, film.fps)) for what, file in files.items()}
        shown: deque[np.ndarray] = deque()

        def passing() -> Iterator[np.ndarray]:
            for frame in pictures:
                shown.append(frame)
                yield frame

        progress = tqdm(follow(model, passing(), everyone), total=film.count, desc=stem, unit="frame")
        for number, people in enumerate(progress):
            frame = shown.popleft()
            colours, mask = np.zeros_like(frame), np.zeros(frame.shape[:2], bool)
            for which, person in people.items():
                colours[person.mask] = colour_map(person)[person.mask]
                mask |= person.mask
                if arrays:
                    name = f"{number:05d}_{which}.npz" if everyone else f"{number:05d}.npz"
                    with atomic_path(output_folder(folder / stem) / name) as temporary:
                        save_correspondence(person, temporary, model.template.code_version)
            count, missed = count + 1, missed + (not people)
            add["map"](colours)
            add["overlay"](overlay(frame, colours, mask))
        if missed == count:
            raise UserError(f"No person was found in {film.path}; choose a film that shows one larger.")
    seen = "everywhere" if not missed else f"in {count - missed} of {count} frames"
    return f"{film.path} -> {files['map']}, {files['overlay'].name} ({count} frames, somebody {seen})"


def _check_films(films: Collection[Item], options: argparse.Namespace) -> None:
    if options.arrays and not films:
        raise UserError("--arrays is for films; of a photograph the npz is always written.")
    if films and options.mask is not None:
        raise UserError("--mask is for one photograph; a film's people are found and followed.")
    if films and options.format != "maps":
        raise UserError("--format iuv is for photographs; take the frames of the film as pictures.")


def _adapter(options: argparse.Namespace) -> Adapter | None:
    """What turns maps into IUV pictures; None where nobody asked for them."""
    if options.format == "maps":
        if options.adapter is not None:
            raise UserError("--adapter is only for --format iuv; add that, or leave the adapter out.")
        return None
    if options.adapter is None:
        raise UserError("--format iuv needs --adapter; make one with python -m bodymap.densepose.adapter.")
    from bodymap.densepose.adapter import load_adapter

    return load_adapter(options.adapter)


def _told(path: Path, person: Correspondence, start: Path, what: str) -> str:
    share, confidence = person.mask.mean(), person.confidence[person.mask].mean()
    files = {"maps": f"{start}.npz, _map.png, _overlay.png", "iuv": f"{start}_iuv.png"}[what]
    return f"{path} -> {files} ({share:.0%} of the photo, confidence {confidence:.2f})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.predict",
        description="Maps each pixel of the people in photographs and films to a point on a template body.",
    )
    parser.add_argument(
        "photos",
        metavar="PHOTO",
        nargs="+",
        type=Path,
        help="a photograph or film, of any size and orientation, or a folder: everything in it and below",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="folder for the maps (made if missing)"
    )
    parser.add_argument(
        "--mask", metavar="FILE", type=Path, help="mask of the person (white), in place of the network's own"
    )
    parser.add_argument(
        "--all", action="store_true", help="everybody in the photo, the largest first (default: the largest)"
    )
    parser.add_argument("--arrays", action="store_true", help="of a film, also each frame's map as npz")
    parser.add_argument(
        "--format",
        choices=("maps", "iuv"),
        default="maps",
        help="iuv: DensePose's IUV picture in place of our maps (needs --adapter)",
    )
    parser.add_argument(
        "--adapter", metavar="NPZ", type=Path, help="made by python -m bodymap.densepose.adapter from your files"
    )
    parser.add_argument(
        "--foreground",
        metavar="HOW",
        default="own",
        help="who makes the masks: own (default), onnx:FILE (any segmenter or matting network), rembg or rembg:MODEL",
    )
    parser.add_argument(
        "--weights", metavar="W", help="name, folder, file or hub id of the weights (default: the shipped ones)"
    )
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1 or mps (default: a GPU where there is one)")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), help="the network's arithmetic (default: float32)"
    )
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile the networks: for many photos (a minute or more at first)"
    )
    parser.add_argument(
        "--size",
        metavar="PX",
        type=int,
        default=DEFAULT,
        help="longest side of a person's crop for the network, a multiple of 32 (default: %(default)s)",
    )
    parser.add_argument(
        "--fit",
        action="store_true",
        help="fit a body to each map and let it have its say where the network is in two minds (some seconds more)",
    )
    add_batch_arguments(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
