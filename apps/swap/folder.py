"""The photographs of a folder, one after the other."""

from __future__ import annotations

from pathlib import Path

from bodymap.errors import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def photos_in(folder: Path) -> list[Path]:
    """The picture files of a folder by name, those of its subfolders not.

    Raises:
        UserError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder that holds the photographs.")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and p.is_file())
    if not found:
        raise UserError(f"{folder} holds no photograph ({', '.join(ENDINGS)}); choose another folder.")
    return found
