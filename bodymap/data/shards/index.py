"""``index.json`` of a folder of shards: what was made with which settings, and whether it is still whole."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bodymap.errors import UserError
from bodymap.files import atomic_path, read_json

FORMAT = "bodymap-shards"
VERSION = 1
INDEX = "index.json"
# Name of a shard in each format
FORMATS = {"safetensors": "shard-{:05d}.safetensors", "webdataset": "shard-{:06d}.tar"}

DAMAGED = "{} is damaged; run python -m bodymap.data.shards again to repair the folder."


@dataclass(frozen=True)
class ShardSettings:
    """What the samples of a folder are a function of, and how they are stored.

    Attributes:
        pack: SHA-256 of the people pack, "" for the one that ships.
        seed, views_per_person, split: as ``SyntheticPeople``.
        size: (height, width) in pixels.
        per_shard: samples a shard.
        format: one of FORMATS.
        device: what photographed: "cpu" or "cuda".
    """

    pack: str = ""
    seed: int = 0
    size: tuple[int, int] = (256, 192)
    views_per_person: int = 4
    split: str = "train"
    per_shard: int = 64
    format: str = "safetensors"
    device: str = "cpu"


def shard_name(number: int, format: str = "safetensors") -> str:
    return FORMATS[format].format(number)


def read_index(folder: str | os.PathLike) -> dict[str, Any]:
    """The checked content of a folder's index.json.

    Raises:
        UserError: it is missing, damaged, or of another format.
    """
    path = Path(folder) / INDEX
    try:
        index = read_json(path)
    except FileNotFoundError:
        raise UserError(f"{folder} holds no shards; make some with python -m bodymap.data.shards.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); make the shards anew.") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT or index.get("version") != VERSION:
        raise UserError(f"{path} is not an index that this version of bodymap can read.")
    settings_of(index, path)
    return index


def settings_of(index: dict[str, Any], path: Path) -> ShardSettings:
    """The settings of an index; folders of earlier versions lack the later ones.

    Raises:
        UserError: there are settings or a format that this version does not know.
    """
    try:
        settings = ShardSettings(**{**index["settings"], "size": tuple(index["settings"]["size"])})
        whole = [*settings.size, settings.per_shard, settings.views_per_person, settings.seed]
        settings_known = (
            settings.format in FORMATS
            and len(settings.size) == 2
            and all(type(value) is int and 0 <= value < 2**63 for value in whole)
            and min(*settings.size, settings.per_shard) > 0
            and all(_is_entry(number, entry) for number, entry in index["shards"].items())
        )
    except (KeyError, TypeError, AttributeError):
        settings_known = False
    if not settings_known:
        raise UserError(f"{path} is not an index that this version of bodymap can read.")
    return settings


def _is_entry(number: str, entry: Any) -> bool:
    """Whether a shard's entry says what it must."""
    return (
        number.isdecimal()
        and isinstance(entry, dict)
        and isinstance(entry.get("sha256"), str)
        and all(type(entry.get(name)) is int and entry[name] > 0 for name in ("count", "bytes"))
    )


def open_index(folder: Path, settings: ShardSettings) -> dict[str, Any]:
    """The folder's index, or an empty one.

    Raises:
        UserError: the folder holds shards of other settings.
    """
    if not (folder / INDEX).is_file():
        return {"format": FORMAT, "version": VERSION, "settings": asdict(settings), "shards": {}}
    index = read_index(folder)
    ours, theirs = (json.loads(json.dumps(asdict(s))) for s in (settings, settings_of(index, folder / INDEX)))
    for name, value in ours.items():
        if theirs[name] != value:
            raise UserError(f"{folder} holds shards with {name} {theirs[name]}, not {value}; choose another folder.")
    return index


def write_index(folder: Path, index: dict[str, Any]) -> None:
    # Sorted by number: the same folder whichever shard was finished first
    shards = dict(sorted(index["shards"].items(), key=lambda entry: int(entry[0])))
    with atomic_path(folder / INDEX) as temporary:
        temporary.write_text(json.dumps({**index, "shards": shards}, indent=1), encoding="utf-8")


def fault(file: Path, entry: dict[str, Any], deep: bool = True) -> str | None:
    """What is wrong with a shard, as the end of a sentence that begins with its name; None: nothing.

    Args:
        deep: compare the checksum too (reads the file).
    """
    size = file.stat().st_size if file.is_file() else None
    if size is None:
        return "is missing"
    if size != entry["bytes"]:
        return f"has {size} bytes instead of {entry['bytes']}"
    if deep and sha256(file) != entry["sha256"]:
        return "is damaged (its checksum is another)"
    return None


def verify_shards(folder: str | os.PathLike) -> tuple[int, int]:
    """Compares every shard of the index with its size and SHA-256; returns the numbers of shards and of samples.

    Raises:
        UserError: some are missing or damaged: names the files.
    """
    folder, index = Path(folder), read_index(folder)
    settings = settings_of(index, folder / INDEX)
    faults = []
    for number, entry in index["shards"].items():
        file = folder / shard_name(int(number), settings.format)
        if (what := fault(file, entry)) is not None:
            faults.append(f"{file} {what}")
    if faults:
        shown = "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")
        raise UserError(f"{shown}; run python -m bodymap.data.shards again to repair the folder.")
    return len(index["shards"]), sum(entry["count"] for entry in index["shards"].values())


def sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
