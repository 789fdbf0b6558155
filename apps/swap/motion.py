"""Motion imitation: the source's person moves as a clip's does; ``apps.rerender.predict --driving`` does the work."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bodymap.errors import UserError
from bodymap.outputs import place_of

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

# Moments of the film that a sheet shows.
_SHOWN = 5
_TILE = (420, 320)


def move(options: argparse.Namespace) -> int:
    """Returns the exit code; ``options``: of ``python -m apps.swap``.

    Raises:
        UserError: bad input; nothing has been written then.
    """
    from apps.rerender.predict import main
    from bodymap.visual.video import open_film

    clip = open_film(options.video)
    if options.sheet is not None:
        _check_sheet(options, clip.path)
    arguments = [str(options.source), "--driving", str(options.video), "-o", str(options.output)]
    arguments += ["--texture", str(options.texture)]
    for name in ("completion", "renderer", "weights", "device", "frames", "background"):
        value = getattr(options, name)
        if value is not None:
            arguments += [f"--{name}", str(value)]
    if options.layers:
        arguments += ["--layers", *map(str, options.layers)]
    code = main(arguments)
    if options.sheet is not None:
        _write_sheet(options)
    return code


def motion_sheet(
    source: UInt8[np.ndarray, "height width rgb=3"], clip: list[np.ndarray], result: list[np.ndarray]
) -> UInt8[np.ndarray, "sheet_height sheet_width rgb=3"]:
    """Two rows: the clip at some moments, and below the result at the same ones; the source before them."""
    import numpy as np

    from bodymap.visual import contact_sheet

    blank = np.full_like(source, 255)
    labels = ("source", *("" for _ in clip))
    return contact_sheet([[source, *clip], [blank, *result]], column_labels=labels, tile=_TILE)


def _check_sheet(options: argparse.Namespace, clip: Path) -> None:
    from apps.swap.folder import ENDINGS
    from bodymap.visual.video import READ_ENDINGS

    sheet, output = options.sheet, options.output
    if sheet.suffix.lower() not in ENDINGS or sheet.is_dir() or not sheet.absolute().parent.is_dir():
        raise UserError(f"{sheet} must be a file in a folder that exists, and end in one of {', '.join(ENDINGS)}.")
    if place_of(sheet) in (place_of(options.source), place_of(clip), place_of(output)):
        raise UserError(f"The sheet {sheet} would replace another file of this command; choose another name.")
    if output.suffix.lower() not in READ_ENDINGS:
        raise UserError(f"--sheet needs a film that can be read again ({', '.join(READ_ENDINGS)}), not {output}.")


def _write_sheet(options: argparse.Namespace) -> None:
    from PIL import Image

    from bodymap.files import atomic_path
    from bodymap.photo import read_photo
    from bodymap.visual.video import open_film

    result = open_film(options.output)
    length = max(1, sum(1 for _ in result.frames()))
    moments = sorted({round(k * (length - 1) / (_SHOWN - 1)) for k in range(_SHOWN)})
    clip, moved = (_frames_at(film, moments) for film in (open_film(options.video), result))
    picture = motion_sheet(read_photo(options.source), clip, moved)
    with atomic_path(options.sheet) as temporary:
        Image.fromarray(picture).save(temporary)


def _frames_at(film, moments: list[int]) -> list[np.ndarray]:
    wanted, found = set(moments), []
    for number, frame in enumerate(film.frames()):
        if number in wanted:
            found.append(frame)
        if len(found) == len(wanted):
            break
    return found
