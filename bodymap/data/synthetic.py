"""People made on the fly: index -> four seeds -> one picture with exact truth, without end and without a file."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from bodymap.data.batch import Compact, compact

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

    def sample(self, index: int):
        """The full Sample of an index, with camera, parts and normals."""
        from bodymap.people import PeopleConfig, sample
        from bodymap.people.pack import Pack

        if self._loaded is None:
            self._loaded = Pack.load(self.pack_path), PeopleConfig(size=self.size, **self.options)
        pack, config = self._loaded
        return sample(*seeds_of(index, self.seed, self.views_per_person), pack=pack, config=config, split=self.split)

    def __getstate__(self) -> dict[str, Any]:
        # Packs hold open files: every worker opens its own
        return {**self.__dict__, "_loaded": None}
