"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bodymap.errors import UserError


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` (same ending); on success it is moved into place, on an error removed.

    Raises:
        UserError: the folder does not exist, or cannot be written to.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError(f"The folder {path.parent} does not exist; create it, or choose another output.")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise UserError(f"Cannot write into {path.parent} ({error.strerror}); choose another output.") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; what a user gets has the ordinary permissions
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def output_folder(path: str | os.PathLike) -> Path:
    """Makes the folder if it is missing and checks that it can be written to.

    Raises:
        UserError: it is a file, or cannot be made or written to.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make the output folder {path} ({error.strerror}); choose another one.") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"The output folder {path} cannot be written to; choose another one.")
    return path


@contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary folder beside ``path``; on success it takes the place of ``path``, on an error it is removed.

    A kill between the two renames leaves the old folder at ``previous_folder(path)``: ``recover_folder`` puts it back.

    Raises:
        UserError: the parent folder does not exist, or cannot be written to.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError(f"The folder {path.parent} does not exist; create it, or choose another output.")
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}-", dir=path.parent))
    except OSError as error:
        raise UserError(f"Cannot write into {path.parent} ({error.strerror}); choose another output.") from None
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o777 & ~mask)
        previous = previous_folder(path)
        if path.exists():
            shutil.rmtree(previous, ignore_errors=True)
            os.replace(path, previous)
        os.replace(temporary, path)
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def previous_folder(path: str | os.PathLike) -> Path:
    """Where ``atomic_folder`` parks the old folder for the moment between its two renames."""
    path = Path(path)
    return path.parent / f".{path.name}-previous"


def recover_folder(path: str | os.PathLike) -> None:
    """Puts the old folder back if a kill in ``atomic_folder`` left nothing at ``path``."""
    if not Path(path).exists() and previous_folder(path).is_dir():
        os.replace(previous_folder(path), path)


def sort_safetensors_header(path: str | os.PathLike) -> None:
    """Puts the metadata of a safetensors file in the order of its keys: the library writes them in a random one.

    The header keeps its length, so nothing moves; afterwards the same content gives the same bytes.
    """
    with open(path, "r+b") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        if "__metadata__" not in header:
            return
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(
            {"__metadata__": header.pop("__metadata__"), **header}, ensure_ascii=False, separators=(",", ":")
        )
        content = text.encode("utf-8").ljust(length)
        if len(content) == length:
            stream.seek(8)
            stream.write(content)
