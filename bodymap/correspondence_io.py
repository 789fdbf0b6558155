"""Correspondences as files: one compressed .npz with the fields' own names, checked when it is read back.

Any program that reads .npz finds ``mask``, ``confidence``, ``colour``, ``uv``, ``part``, ``triangle``, ``barycentric``
and ``layer`` at the photo's size (see bodymap.types.Correspondence), and two texts: ``format`` and ``code_version``.
Layer maps are stored alike, one set of fields a layer.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bodymap.errors import UserError
from bodymap.files import atomic_path
from bodymap.photo import MAXIMUM_PIXELS
from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence, LayerMaps

FORMAT = "bodymap-correspondence 1"
LAYERS_FORMAT = "bodymap-layers 1"
LAYER_MAPS = ("body", "upper", "lower")  # of LayerMaps; ``visible`` counts them from 1

# name -> (what follows height and width, dtype)
FIELDS: dict[str, tuple[tuple[int, ...], type]] = {
    "mask": ((), np.bool_),
    "confidence": ((), np.float32),
    "colour": ((3,), np.uint8),
    "uv": ((2,), np.float32),
    "part": ((), np.int16),
    "triangle": ((), np.int32),
    "barycentric": ((3,), np.float32),
    "layer": ((), np.int8),
}


def save_correspondence(correspondence: Correspondence, path: str | os.PathLike, code_version: str = "") -> Path:
    """Writes the file, whole or not at all.

    Args:
        code_version: the template's, so that points are never looked up on another template.

    Raises:
        UserError: the folder is missing or cannot be written to.
    """
    _write(path, FORMAT, code_version, _fields_of(correspondence))
    return Path(path)


def save_layer_maps(maps: LayerMaps, path: str | os.PathLike, code_version: str = "") -> Path:
    """Writes ``visible`` and the fields of each layer that there is, with the layer's name before them ("upper_uv").

    Args, raises:
        as ``save_correspondence``.
    """
    arrays = {"visible": maps.visible}
    for name in LAYER_MAPS:
        if (layer := getattr(maps, name)) is not None:
            arrays |= _fields_of(layer, f"{name}_")
    _write(path, LAYERS_FORMAT, code_version, arrays)
    return Path(path)


def _fields_of(correspondence: Correspondence, prefix: str = "") -> dict[str, np.ndarray]:
    return {f"{prefix}{name}": getattr(correspondence, name) for name in FIELDS}


def _write(path: str | os.PathLike, format: str, code_version: str, arrays: dict[str, np.ndarray]) -> None:
    with atomic_path(path) as temporary:
        # numpy's own writer compresses at a level that takes four times as long for a few per cent
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            texts = {"format": np.array(format), "code_version": np.array(code_version)}
            for name, array in {**texts, **arrays}.items():
                # a fixed date: the same correspondence gives the same bytes
                info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_DEFLATED
                info._compresslevel = 1
                with archive.open(info, "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)


def load_correspondence(path: str | os.PathLike, code_version: str | None = None) -> Correspondence:
    """Reads a file of ``save_correspondence``; no file can make this run code or take more memory than a photo may.

    Args:
        code_version: of the template that is going to be used; None: any.

    Raises:
        UserError: missing, damaged, not such a file, values out of range, or made for another template.
    """
    path = Path(path)
    with _opened(path, FORMAT, code_version) as (archive, names):
        return _correspondence(path, archive, names)


def load_layer_maps(path: str | os.PathLike, code_version: str | None = None) -> LayerMaps:
    """Reads a file of ``save_layer_maps``; as safe as ``load_correspondence``.

    Args:
        code_version: of the three surfaces, or of the body's template alone; None: any.

    Raises:
        UserError: as ``load_correspondence``.
    """
    path = Path(path)
    with _opened(path, LAYERS_FORMAT, code_version) as (archive, names):
        body = _correspondence(path, archive, names, "body_")
        there = [name for name in LAYER_MAPS[1:] if f"{name}_mask" in names]
        others = {name: _correspondence(path, archive, names, f"{name}_") for name in there}
        if "visible" not in names or _header(archive, "visible") != (body.mask.shape, np.dtype(np.int8)):
            raise UserError(f"{path} does not tell which layer is visible; the file was changed or damaged.")
        visible = _read(archive, "visible")
    if any(other.mask.shape != body.mask.shape for other in others.values()):
        raise UserError(f"{path} holds layers of different sizes; the file was changed or damaged.")
    if visible.min() < 0 or visible.max() > len(LAYER_MAPS):
        raise UserError(f"{path}: the field visible holds values out of range; the file was changed or damaged.")
    return LayerMaps(body=body, upper=others.get("upper"), lower=others.get("lower"), visible=visible)


@contextmanager
def _opened(path: Path, format: str, code_version: str | None) -> Iterator[tuple[zipfile.ZipFile, set[str]]]:
    """The archive and the names of its arrays, once format and code version are right; damage becomes a UserError."""
    if not path.is_file():
        raise UserError(f"The correspondence {path} does not exist; check the path.")
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name[:-4] for name in archive.namelist() if name.endswith(".npy")}
            if "format" not in names:
                raise UserError(f"{path} is an archive, but not a correspondence that bodymap wrote.")
            if (found := _text(archive, "format")) != format:
                raise UserError(f"{path} has the format {found!r}, this version reads {format!r}.")
            made_for = _text(archive, "code_version") if "code_version" in names else ""
            # layer maps name the code of each of their surfaces, the body's first
            if code_version and made_for and code_version not in (made_for, made_for.split(" ")[0]):
                raise UserError(
                    f'{path} was made for the colour code "{made_for}", this one is "{code_version}"; make it again.'
                )
            yield archive, names
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError, NotImplementedError) as error:
        raise UserError(f"{path} is damaged or not a correspondence ({str(error)[:100]}).") from None


def _correspondence(path: Path, archive: zipfile.ZipFile, names: set[str], prefix: str = "") -> Correspondence:
    if not {f"{prefix}{name}" for name in FIELDS} <= names:
        raise UserError(f"{path} is an archive, but not a correspondence that bodymap wrote.")
    # the headers first: what they promise is checked before anything large is unpacked
    headers = {name: _header(archive, f"{prefix}{name}") for name in FIELDS}
    _check_headers(path, headers)
    arrays = {name: _read(archive, f"{prefix}{name}") for name in FIELDS}
    _check_values(path, arrays)
    return Correspondence(**arrays)


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(f"{name}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    return shape, dtype


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _text(archive: zipfile.ZipFile, name: str) -> str:
    shape, dtype = _header(archive, name)
    if shape != () or dtype.kind != "U" or dtype.itemsize > 4096:
        raise ValueError(f"{name} is not a text")
    return str(_read(archive, name))


def _check_headers(path: Path, headers: dict[str, tuple[tuple[int, ...], np.dtype]]) -> None:
    size = headers["mask"][0]
    if len(size) != 2 or 0 in size or size[0] * size[1] > MAXIMUM_PIXELS:
        raise UserError(f"{path} holds a correspondence of the impossible size {size}.")
    for name, (rest, kind) in FIELDS.items():
        shape, dtype = headers[name]
        if shape != (*size, *rest) or dtype != np.dtype(kind):
            expected = f"{np.dtype(kind)} {(*size, *rest)}"
            raise UserError(f"{path}: the field {name} must be {expected}, not {dtype} {shape}.")


def _check_values(path: Path, arrays: dict[str, np.ndarray]) -> None:
    mask = arrays["mask"]

    def within(name: str, low: float | int, high: float | int) -> bool:
        values = arrays[name][mask]
        # written so that NaN fails
        return values.size == 0 or bool((values >= low).all() and (values <= high).all())

    problems = [
        name
        for name, low, high in (
            ("confidence", 0, 1),
            ("uv", 0, 1),
            ("part", 0, len(PART_NAMES) - 1),
            ("triangle", 0, np.iinfo(np.int32).max),
            ("barycentric", -1e-4, 1 + 1e-4),
            ("layer", 1, len(LAYER_NAMES) - 1),
        )
        if not within(name, low, high)
    ]
    outside = {"part": -1, "triangle": -1, "layer": 0}
    problems += [name for name, value in outside.items() if (arrays[name][~mask] != value).any()]
    if problems:
        raise UserError(f"{path}: the field {problems[0]} holds values out of range; the file was changed or damaged.")
