"""What commands that map photographs write: all files of a photo or none, under names that do not collide."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bodymap.errors import UserError
from bodymap.files import atomic_path

if TYPE_CHECKING:
    import numpy as np


def distinct(photos: Sequence[Path]) -> list[Path]:
    """Each file once, under its last name; a link to itself counts as a file, for whoever opens it to refuse."""
    return list({place_of(path): path for path in photos}.values())


def place_of(path: Path) -> str:
    """Where a path leads; ``Path.resolve`` raises where a link leads to itself."""
    return os.path.realpath(path)


def check_folder(folder: Path) -> None:
    """Refuses an output folder that cannot be made or written to, without making it: a failure leaves nothing."""
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
    if not there.is_dir():
        raise UserError(f"The output folder {folder} cannot be made: {there} is a file.")
    if not os.access(there, os.W_OK):
        raise UserError(f"The output folder {folder} cannot be written to; choose another one.")


def check_names(
    photos: Sequence[Path], folder: Path, is_output: Callable[[str], bool], stems: Sequence[str] | None = None
) -> None:
    """Two photos must not claim the same outputs, and no output may replace a photo.

    Args:
        is_output: whether an output's name may end so, after the stem of its photo.
        stems: of the outputs' names, relative to ``folder``; None: the photos' own.
    """
    claims: dict[str, Path] = {}
    for path, stem in zip(photos, [path.stem for path in photos] if stems is None else stems, strict=True):
        if (other := claims.setdefault(stem.casefold(), path)) is not path:
            raise UserError(f"{other} and {path} would be written under the same name; rename one, or map them apart.")
    owners = {path.stem: path for path in photos}
    for path in photos:
        if place_of(path.parent) != place_of(folder):
            continue
        for length in range(1, len(path.name)):
            other = owners.get(path.name[:length])
            if other is not None and is_output(path.name[length:]):
                raise UserError(f"The photo {path} would be overwritten by a map of {other}; choose another folder.")


def write_maps(folder: Path, stem: str, pictures: Mapping[str, np.ndarray], save: Callable[[Path], object]) -> None:
    """Writes ``<stem><ending>`` of each picture, and ``<stem>.npz`` by ``save``: all of them, or none."""
    from PIL import Image

    try:
        with ExitStack() as moves:
            # each temporary file is moved into place when the stack closes, that is after the last one was written
            archive = moves.enter_context(atomic_path(folder / f"{stem}.npz"))
            for ending, picture in pictures.items():
                temporary = moves.enter_context(atomic_path(folder / f"{stem}{ending}"))
                Image.fromarray(picture).save(temporary, compress_level=4)
            save(archive)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"The maps of {stem} could not be written into {folder} ({reason}); nothing was kept."
        ) from None
