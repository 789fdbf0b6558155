"""Finds and reads files in folders as they come from users: any case, any encoding, junk of archives beside them."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

from bodymap.errors import UserError

IMAGE_ENDINGS = (".webp", ".png", ".jpg", ".jpeg", ".tga", ".bmp", ".tif", ".tiff")


def check_folder(folder: Path) -> None:
    """Raises UserError where there is no such folder."""
    if folder.is_file():
        raise UserError(f"{folder} is a file; name the folder that holds it (unpacked, where it is an archive).")
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.")


def files_below(folder: Path, *endings: str) -> list[Path]:
    """All files with one of the (lower-case) endings, in the order of their paths.

    Hidden ones are left out, and what a Mac puts into archives (``__MACOSX``, ``._name``).
    """
    found = []
    for path in folder.rglob("*"):
        if path.suffix.lower() in endings and path.is_file():
            parts = path.relative_to(folder).parts
            if not any(part.startswith(".") or part == "__MACOSX" for part in parts):
                found.append(path)
    return sorted(found)


def find_file(folder: Path, name: str) -> Path | None:
    """The file that another file in ``folder`` names; None when there is none.

    Also found: in another case, beside the folder's files instead of where a path of another machine says, and, for
    pictures, with another ending.
    """
    try:
        wanted = folder / name.strip('"').replace("\\", "/")
        if wanted.is_file():
            return wanted
        names = [_folded(wanted.name)]
        if wanted.suffix.lower() in IMAGE_ENDINGS:
            names += [_folded(wanted.stem + ending) for ending in IMAGE_ENDINGS]
        for place in _places(folder, wanted.parent):
            there = {_folded(path.name): path for path in sorted(place.iterdir(), reverse=True) if path.is_file()}
            for candidate in names:
                if candidate in there:
                    return there[candidate]
    except (OSError, ValueError):  # a name that no file can have
        pass
    return None


def _places(folder: Path, named: Path) -> list[Path]:
    """Where to look: the named folder, in any case, then the folder itself."""
    places = (
        [named] if named.is_dir() else [p for p in sorted(folder.iterdir()) if _folded(p.name) == _folded(named.name)]
    )
    return [place for place in (*places, folder) if place.is_dir()]


def _folded(name: str) -> str:
    # Macs write accents as marks of their own
    return unicodedata.normalize("NFC", name).casefold()


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 with a mark, or else Latin-1 (older Windows programs).

    Raises:
        UserError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}).") from None
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
