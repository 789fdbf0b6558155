"""The ``webdataset`` format: a shard is a plain tar of full samples, three files each, KEY the eight-digit index:

    KEY.image.png   the picture, RGB
    KEY.json        key, index, facing (null: nobody), seeds, camera, body (what posed the person)
    KEY.truth.npz   every array of ``bodymap.types.Sample`` under its name (the body under the clothes too, where it was
                    asked for), and those of ``body`` as ``body/NAME``

Nothing is rounded: the Sample read back is the one that was written. The same samples give the same bytes (no times, no
owners), so that shards made on different machines can be compared. Any tar program reads them, and
``webdataset.WebDataset("DIR/shard-{000000..000312}.tar").decode("rgb8")``.
Source of the convention: github.com/webdataset/webdataset.
"""

from __future__ import annotations

import io
import json
import math
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np

from bodymap.data.batch import Compact, compact
from bodymap.data.shards.index import DAMAGED
from bodymap.errors import UserError
from bodymap.types import Camera, Sample

_ENDINGS = ("image.png", "json", "truth.npz")
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
# What a damaged member raises in PIL, zipfile, numpy and json
_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, SyntaxError, zipfile.BadZipFile, zlib.error)


# ------------------------------------------------------------------------------------------------------------ writing


def write(samples: Iterable[Sample], file: Path, first: int) -> None:
    """Writes a shard; ``first`` is the dataset's index of its first sample."""
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as archive:
        for index, sample in enumerate(samples, first):
            for ending, content in zip(_ENDINGS, _members(sample, index), strict=True):
                member = tarfile.TarInfo(f"{index:08d}.{ending}")  # time, owner and group are 0
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def _members(sample: Sample, index: int) -> tuple[bytes, bytes, bytes]:
    from PIL import Image

    arrays: dict[str, np.ndarray] = {}
    record: dict[str, Any] = {"key": f"{index:08d}", "index": index}
    for name in (field.name for field in fields(Sample)):
        value = getattr(sample, name)
        if isinstance(value, Camera):
            # Readable as it is: float32 survives JSON
            parts = {part.name: getattr(value, part.name) for part in fields(Camera)}
            record[name] = {part: v.tolist() if isinstance(v, np.ndarray) else v for part, v in parts.items()}
        elif name == "facing":
            record[name] = None if math.isnan(value) else float(value)
        elif name != "image":
            record[name] = _plain(value, name, arrays)
    # The arrays of the top level are found by their names
    record = {name: value for name, value in record.items() if value != {"npz": name}}
    picture = io.BytesIO()
    Image.fromarray(sample.image).save(picture, "png")
    return picture.getvalue(), json.dumps(record, allow_nan=False).encode(), _npz(arrays)


def _plain(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """What JSON can hold; arrays go to ``arrays`` under their path."""
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"npz": path}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: _plain(item, f"{path}/{name}", arrays) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, f"{path}/{number}", arrays) for number, item in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{path} is a {type(value).__name__}, which shards cannot store")


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    """As ``np.savez_compressed``, but always the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            # Barycentric coordinates and normals are noise to zlib: harder work gains 4 %
            archive.writestr(entry, content.getvalue(), compresslevel=1)
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------------------------ reading


class TarShard:
    """Random access to a shard: where each member lies is read from the tar's headers once, samples when asked for.

    Raises:
        UserError: the file is no tar, or not of ``count`` samples; in use: a sample in it is damaged.
    """

    # Only offsets are held: so many that a shuffled epoch scans each tar once
    MOST_OPEN = 100_000

    def __init__(self, file: Path, count: int) -> None:
        self.file = file
        try:
            with tarfile.open(file, "r:") as archive:
                members = archive.getmembers()
        except (tarfile.TarError, OSError) as error:
            raise UserError(DAMAGED.format(f"{file} ({error})")) from None
        endings = [member.name.partition(".")[2] for member in members]
        if endings != [*_ENDINGS] * count:
            raise UserError(DAMAGED.format(f"{file} (it does not hold {count} samples of {', '.join(_ENDINGS)})"))
        spans = np.array([(member.offset_data, member.size) for member in members], np.int64)
        self.spans = spans.reshape(count, len(_ENDINGS), 2)

    def __getitem__(self, place: int) -> Compact:
        return compact(self.sample(place))

    def sample(self, place: int) -> Sample:
        """The full sample at a place within the shard. Lists of ``body`` come back as tuples."""
        try:
            members = []
            with open(self.file, "rb") as stream:
                for start, size in self.spans[place]:
                    stream.seek(start)
                    members.append(stream.read(size))
            return self._decode(*members)
        except _DAMAGE as error:
            raise UserError(DAMAGED.format(f"{self.file} (sample {place}: {error})")) from None

    @staticmethod
    def _decode(picture: bytes, record: bytes, truth: bytes) -> Sample:
        from PIL import Image

        with Image.open(io.BytesIO(picture)) as image:
            values: dict[str, Any] = {"image": np.asarray(image)}
        with np.load(io.BytesIO(truth), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        stated = json.loads(record)
        camera = stated.pop("camera")
        for name in ("intrinsics", "T_camera_world"):
            camera[name] = np.array(camera[name], np.float32)
        values["camera"] = Camera(**{**camera, "size": tuple(camera["size"])})
        for field in fields(Sample):
            if field.name in stated:
                values[field.name] = _restored(stated[field.name], arrays)
            elif field.name in arrays:
                values[field.name] = arrays[field.name]
            elif field.name not in values and field.default is MISSING and field.default_factory is MISSING:
                raise ValueError(f"{field.name} is missing")
        if values["facing"] is None:
            values["facing"] = math.nan
        return Sample(**values)


def _restored(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The inverse of ``_plain``."""
    if isinstance(value, dict):
        if set(value) == {"npz"}:
            return arrays[value["npz"]]
        if set(value) == {"float"}:
            return float(value["float"])
        return {name: _restored(item, arrays) for name, item in value.items()}
    if isinstance(value, list):
        return tuple(_restored(item, arrays) for item in value)
    return value
