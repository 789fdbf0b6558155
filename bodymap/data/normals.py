"""Surface normals beside a folder of shards, for networks that learn them too.

Compact shards do not hold normals, and a map does not tell them: a triangle of the template lies differently in every
pose, under every garment. But a folder's people are a function of its settings, so they can be made once more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bodymap.data.batch import Compact
from bodymap.data.shards import ShardDataset, write_shards
from bodymap.data.shards.index import sha256
from bodymap.data.synthetic import SyntheticPeople
from bodymap.errors import UserError
from bodymap.types import Sample

_SAME = 1.0  # mean difference of pictures, of 255: GPUs round otherwise


def compact_normal(sample: Sample) -> Compact:
    """{"normal": (H, W, 3) int8 in 1/127}: camera axes, 0 outside."""
    return {"normal": np.rint(127 * sample.normal).astype(np.int8)}


def write_normals(
    shards: str | os.PathLike,
    pack: str | None,
    folder: str | os.PathLike,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Stores the normals of every picture of ``shards`` in a folder of shards of its own; goes on in it.

    Shards of full samples (format webdataset) hold them; compact ones have their people made again, about as long as
    the first time, and every picture is compared with the stored one.

    Args:
        pack: the file that the people were made of; None: the shipped one.

    Raises:
        UserError: another pack; pictures that this version does not make again.
    """
    stored = ShardDataset(shards)
    digest = sha256(Path(pack)) if pack else ""
    if stored.settings.format != "webdataset" and digest != stored.settings.pack:
        raise UserError(f"{shards} was made of another people pack; name with --pack the one that it was made of.")
    make = _Again(os.path.abspath(shards), os.path.abspath(pack) if pack else None)
    write_shards(make, len(stored), folder, replace(stored.settings, format="safetensors"), say=say)


@dataclass(frozen=True)
class _Again:
    """Index -> the normals of a folder's picture, for ``write_shards``."""

    shards: str
    pack: str | None

    def __call__(self, index: int) -> Compact:
        if self._stored.settings.format == "webdataset":
            return compact_normal(self._stored.sample(index))
        sample = self._people.sample(index)
        difference = np.abs(sample.image.astype(np.int16) - self._stored[index]["image"])
        if difference.mean() > _SAME:
            raise UserError(
                f"{self.shards}: picture {index} is not what this version makes of its settings, so its normals are "
                "not known; make the shards anew."
            )
        return compact_normal(sample)

    @cached_property
    def _stored(self) -> ShardDataset:
        return ShardDataset(self.shards)

    @cached_property
    def _people(self) -> SyntheticPeople:
        about = self._stored.settings
        return SyntheticPeople(self.pack, about.size, about.seed, about.views_per_person, about.split)


class WithNormals:
    """Map-style dataset: the samples of a folder of shards, each with its ``normal``.

    Args:
        normals: folder of ``write_normals`` for these shards.

    Raises:
        UserError: it has not all of them.
    """

    def __init__(self, shards: str | os.PathLike, normals: str | os.PathLike) -> None:
        self.samples, self.normals = ShardDataset(shards), ShardDataset(normals)
        if len(self.normals) < len(self.samples):
            raise UserError(f"{normals} has the normals of {len(self.normals)} of {len(self.samples)} pictures only.")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.samples[index], **self.normals[index]}
