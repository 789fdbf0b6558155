"""People made on the fly: index -> four seeds -> one picture with exact truth, without end and without a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from bodymap.data.batch import Batch, Compact, compact
from bodymap.types import Sample

# One stream of seeds for each kind; the numbers must never change, shards on disk were made with them
_STREAMS = {"person": 1, "pose": 2, "camera": 3, "scene": 4}


def seeds_of(index: int, seed: int, views_per_person: int) -> tuple[int, int, int, int]:
    """(person, pose, camera, scene) seeds of picture ``index``: consecutive views show one person anew."""
    person = index // views_per_person

    def draw(stream: str, number: int) -> int:
        return int(np.random.SeedSequence([seed, _STREAMS[stream], number]).generate_state(1)[0])

    return draw("person", person), draw("pose", index), draw("camera", index), draw("scene", index)


class SyntheticPeople:
    """Endless map-style dataset; items are compact samples (``bodymap.data.batch``).

    Consecutive indices share a person, so read them in order (``Forward`` sampler) in whole batches: then the cache of
    dressed bodies inside ``bodymap.people`` works in every worker.

    Args:
        pack: people pack file; None: the small one that ships. Opened on first use, in each worker anew.
        size: (height, width) in pixels.
        split: "train" or "test": which assets may appear.
        options: further fields of ``PeopleConfig``.
    """

    def __init__(
        self,
        pack: str | os.PathLike | None = None,
        size: tuple[int, int] = (256, 192),
        seed: int = 0,
        views_per_person: int = 4,
        split: str = "train",
        options: dict[str, Any] | None = None,
    ) -> None:
        self.pack_path, self.size, self.seed = pack, tuple(size), seed
        self.views_per_person, self.split, self.options = views_per_person, split, dict(options or {})
        self._loaded: tuple[Any, Any] | None = None

    def __getitem__(self, index: int) -> Compact:
        return compact(self.sample(index))

    def sample(self, index: int) -> Sample:
        """The full Sample of an index, with camera, parts and normals."""
        from bodymap.people.studio import samples

        return samples([self.shot(index)], self.load()[1].supersample)[0]

    def shot(self, index: int):
        """The photograph of an index before it is taken."""
        from bodymap.people.director import direct

        pack, config = self.load()
        return direct(*seeds_of(index, self.seed, self.views_per_person), pack, config, self.split)

    def load(self):
        """(pack, config), opened once a process."""
        from bodymap.people import PeopleConfig
        from bodymap.people.pack import Pack

        if self._loaded is None:
            self._loaded = Pack.load(self.pack_path), PeopleConfig(size=self.size, **self.options)
        return self._loaded

    def __getstate__(self) -> dict[str, Any]:
        # Packs hold open files: every worker opens its own
        return {**self.__dict__, "_loaded": None}


class Darkroom:
    """Index -> full Sample as ``SyntheticPeople.sample``, photographed on a device; ``many`` takes a batch at once.

    Each process has the device to itself in turns: several of them keep a GPU busy while they direct on their cores.
    """

    def __init__(self, people: SyntheticPeople, device: str) -> None:
        self.people, self.device = people, device

    def __call__(self, index: int) -> Sample:
        return self.many([index])[0]

    def many(self, indices: Iterable[int]) -> list[Sample]:
        """The samples of several indices; consecutive ones share a person."""
        from bodymap.people.studio import samples

        return samples([self.people.shot(k) for k in indices], self.people.load()[1].supersample, self.device)


class Shots:
    """As ``SyntheticPeople``, for a GPU that takes the pictures itself: workers only direct, ``finish`` photographs.

    Use it as a loader's dataset with ``collate`` and ``finish``; batches should hold whole persons, because each batch
    carries the meshes of its people.
    """

    def __init__(self, people: SyntheticPeople) -> None:
        self.people = people

    def __getitem__(self, index: int):
        return self.people.shot(index)

    def collate(self, shots: list) -> dict[str, Any]:
        """Shots -> one cargo; runs in the worker that directed them."""
        from bodymap.people.film.cargo import load

        return {"cargo": load(shots, self.people.load()[0])}

    def finish(self, batch: dict[str, Any], device: torch.device) -> Batch:
        """Cargo -> the Batch on the device; runs in the training process."""
        from bodymap.people.film.cargo import unload
        from bodymap.people.studio import photograph

        pack, config = self.people.load()
        shots = unload(batch.pop("cargo"), pack, device)
        taken = photograph(shots, config.supersample, device)
        e = taken.exposure
        triangle = e.triangle.long()
        return batch | {
            "image": taken.image.permute(0, 3, 1, 2).float().div_(255).contiguous(),
            "foreground": triangle >= 0,
            "triangle": triangle,
            "barycentric": e.barycentric,
            "layer": e.layer.long(),
            "facing": torch.tensor([shot.facing for shot in shots], dtype=torch.float32).to(device),
        }
