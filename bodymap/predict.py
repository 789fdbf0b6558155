"""The command: photographs or films in, correspondence maps out.

    python -m bodymap.predict PHOTO... -o DIR [--mask FILE] [--all]
    python -m bodymap.predict FILM... -o DIR [--all] [--arrays]

writes for each photo ``DIR/<stem>_map.png`` (colour code), ``<stem>_overlay.png`` and ``<stem>.npz`` (loads back with
bodymap.correspondence_io); with ``--all`` one set a person: ``<stem>_0_map.png``, ``<stem>_1_map.png``, ... With
``--format iuv --adapter densepose.npz`` it writes instead ``<stem>_iuv.png``, DensePose's IUV picture
(bodymap.densepose). Of a film it writes ``<stem>_map.mp4`` and ``<stem>_overlay.mp4``, each frame steadied by the one
before, and with ``--arrays`` each frame's npz into ``DIR/<stem>/``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bodymap.cropping import DEFAULT, check_size
from bodymap.errors import UserError, run_command
from bodymap.outputs import check_folder, check_names, distinct, write_maps

if TYPE_CHECKING:
    import numpy as np

    from bodymap.densepose.adapter import Adapter
    from bodymap.predictor import BodyMap
    from bodymap.types import Correspondence
    from bodymap.visual.video import Film


ENDINGS = re.compile(r"(_\d+)?_(map|overlay|iuv)\.png|_(map|overlay)\.mp4")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 where some of several photos could not be mapped.

    Raises:
        UserError: nothing could be done.
    """
    options = _parser().parse_args(arguments)

    # -- everything that can be refused is refused before the slow part starts --
    from bodymap.files import output_folder
    from bodymap.foreground import build_foreground, read_mask
    from bodymap.photo import open_image, read_photo
    from bodymap.visual.video import is_film, open_film
    from bodymap.weights import find

    photos = distinct(options.photos)
    if len(photos) < len(options.photos):
        print("note: photos that were given twice are mapped once", file=sys.stderr)
    check_names(photos, options.output, ENDINGS.fullmatch)
    films = {path: open_film(path) for path in photos if is_film(path)}
    for path in photos:
        if path not in films:
            image = open_image(path)
            image.close()
    _check_films(films, options)
    if options.mask is not None:
        if len(photos) > 1 or options.all:
            raise UserError("--mask shows one person in one photo: give one photo, without --all.")
        picture = read_photo(photos[0])
        mask = read_mask(options.mask, picture.shape[:2])
    else:
        picture = read_photo(photos[0]) if len(photos) == 1 and not films else None
        mask = None
    check_size(options.size)
    adapter = _adapter(options)
    find(options.weights)
    foreground = build_foreground(options.foreground)
    check_folder(options.output)

    # -- the slow part --
    from bodymap.predictor import BodyMap, PredictorConfig

    model = BodyMap.from_pretrained(
        options.weights,
        device=options.device,
        dtype=options.dtype,
        foreground=foreground,
        config=PredictorConfig(size=options.size, fit=options.fit),
        compile=options.compile,
    )
    failures: list[UserError] = []
    for path in photos:
        try:
            if path in films:
                write_film_maps(model, films[path], options.output, path.stem, options.all, options.arrays)
                continue
            photo = picture if picture is not None else read_photo(path)
            for stem, person in _people(model, photo, mask, options.all, path):
                folder = output_folder(options.output)
                if adapter is not None:
                    from bodymap.densepose.iuv import iuv_of_map, write_iuv

                    write_iuv(iuv_of_map(adapter, person), folder / f"{stem}_iuv.png")
                else:
                    write(person, photo, folder, stem, model.template.code_version)
                _report(path, person, options.output / stem, options.format)
        except UserError as error:
            if len(photos) == 1:
                raise
            failures.append(error)
            print(f"error: {error}", file=sys.stderr)
    return 2 if failures else 0


def _people(
    model: BodyMap, photo: np.ndarray, mask: np.ndarray | None, everyone: bool, path: Path
) -> Iterator[tuple[str, Correspondence]]:
    """Each person with the start of their files' names, one after the other: of a large photo each takes gigabytes."""
    try:
        if everyone:
            for number, person in enumerate(model.predict_each(photo)):
                yield f"{path.stem}_{number}", person
        else:
            yield path.stem, model.predict(photo, mask)
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
) -> None:
    """Writes ``<stem>_map.mp4`` and ``<stem>_overlay.mp4``, with everybody who is followed in both.

    Args:
        arrays: also each frame's map, ``<stem>/00000.npz``; with ``everyone`` ``<stem>/00000_0.npz``, by person.
    """
    import numpy as np
    from tqdm import tqdm

    from bodymap.correspondence_io import save_correspondence
    from bodymap.files import atomic_path, output_folder
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
    print(f"{film.path} -> {files['map']}, {files['overlay'].name} ({count} frames, somebody {seen})")


def _check_films(films: Collection[Path], options: argparse.Namespace) -> None:
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


def _report(path: Path, person: Correspondence, start: Path, what: str) -> None:
    share, confidence = person.mask.mean(), person.confidence[person.mask].mean()
    files = {"maps": f"{start}.npz, _map.png, _overlay.png", "iuv": f"{start}_iuv.png"}[what]
    print(f"{path} -> {files} ({share:.0%} of the photo, confidence {confidence:.2f})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.predict",
        description="Maps each pixel of the people in photographs and films to a point on a template body.",
    )
    parser.add_argument(
        "photos", metavar="PHOTO", nargs="+", type=Path, help="a photograph or film, of any size and orientation"
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
    return parser


if __name__ == "__main__":
    run_command(main)
