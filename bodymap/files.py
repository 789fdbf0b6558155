"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bodymap.errors import UserError

if TYPE_CHECKING:
    import numpy as np


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


def read_json(path: str | os.PathLike) -> Any:
    """What a JSON file in UTF-8 holds.

    Raises:
        FileNotFoundError: there is none.  ValueError: it is no JSON, or nested deeper than anything that we write.
        UserError: the system refuses to read it.
    """
    with _readable(path) as stream:
        return parse_json(stream.read().decode("utf-8-sig"))


@contextmanager
def _readable(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """The open file. What the system refuses is no damage of the file, and must not be called so."""
    try:
        stream = open(path, "rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    with stream:
        yield stream


def parse_json(text: str) -> Any:
    """As ``json.loads``; whatever is wrong with the text is a ValueError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        # Python's own words are about Python
        raise ValueError("a number of thousands of digits" if "digits" in str(error) else str(error)) from None


def read_safetensors(path: str | os.PathLike, framework: str = "pt") -> tuple[dict[str, Any], dict[str, str]]:
    """All tensors of a file by name, and its metadata.

    Args:
        framework: "pt" (torch tensors) or "np" (arrays).

    Raises:
        FileNotFoundError: there is none.  ValueError: it is no safetensors file, or damaged.
        UserError: the system refuses to read it.
    """
    from safetensors import SafetensorError, safe_open

    # the library's own words for a folder or a file without permission are misleading
    with _readable(path):
        pass
    try:
        with safe_open(os.fspath(path), framework) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise ValueError(_short(error)) from None


def _short(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def read_npz(path: str | os.PathLike, most: int = 1 << 30) -> dict[str, np.ndarray]:
    """All arrays of an .npz file by name; never unpickles, and takes no more memory than ``most`` bytes.

    Raises:
        FileNotFoundError: there is none.  ValueError: it is no such file, damaged, or larger than it should be.
        UserError: the system refuses to read it.
    """
    import numpy as np

    arrays, total = {}, 0
    try:
        with _readable(path) as file, zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                with archive.open(info) as stream:
                    # what the header promises is compared with what is there before memory is asked for it
                    version = np.lib.format.read_magic(stream)
                    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else _header_2_0
                    shape, _, dtype = header(stream)
                    size = math.prod(shape) * dtype.itemsize
                    total += size
                    if size > info.file_size or total > most:
                        raise ValueError(f"{info.filename} promises {size} bytes")
                with archive.open(info) as stream:
                    name = info.filename.removesuffix(".npy")
                    arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(_short(error)) from None
    return arrays


def _header_2_0(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    import numpy as np

    return np.lib.format.read_array_header_2_0(stream)


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
