"""What all rows of a run share: its settings, the test pictures, the training people; made once, in its folder."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bodymap.errors import UserError
from bodymap.files import atomic_path, output_folder, read_json
from bodymap.types import Sample

_VARIABLE = ("folder", "device")
_LATER = ("segmenter", "sequences", "adapter", "annotations", "pictures")  # may be named later, but not changed


class Missing(UserError):
    """A row needs a file that only the user can name."""


@dataclass(frozen=True)
class Settings:
    """What makes figures comparable: a folder keeps to the settings that it was begun with, whatever the device.

    Attributes:
        minutes, steps: of training a row: the budget is one of them, the other is None.
        images: test pictures, half of each of the two test sets.
        size: (height, width) of the test pictures.
        people: training pictures made for the rows, where no ``shards`` are given.
        weights: the source of the CSE stage and of the rows that are not trained.
        config: configuration file of the trained rows, instead of the registry's.
        annotations, pictures, adapter: a set of DensePose-COCO's format (docs/densepose.md).
        segmenter: a provider of masks, such as onnx:FILE. sequences: stored ones. device: None: a GPU if there is one.
    """

    folder: Path
    minutes: float | None = 15.0
    steps: int | None = None
    images: int = 200
    size: tuple[int, int] = (256, 192)
    people: int = 1000
    seed: int = 0
    pack: str | None = None
    shards: str | None = None
    weights: str | None = None
    config: str | None = None
    annotations: str | None = None
    pictures: str | None = None
    adapter: str | None = None
    segmenter: str | None = None
    sequences: str | None = None
    device: str | None = None

    @property
    def budget(self) -> str:
        return f"{self.steps} steps" if self.steps else f"{self.minutes:g} minutes"


def own_json(path: Path) -> dict[str, Any]:
    """A record that these commands wrote.

    Raises:
        UserError: it is damaged.
    """
    try:
        record = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({str(error)[:100]}); delete it, and it is made again.") from None
    if not isinstance(record, dict):
        raise UserError(f"{path} is not a record of these tables; delete it, and it is made again.")
    return record


def open_folder(settings: Settings) -> None:
    """Makes the folder, or checks that what is in it was made with the same settings.

    Raises:
        UserError: other settings.
    """
    output_folder(settings.folder)
    path = settings.folder / "settings.json"
    own = {name: value for name, value in asdict(settings).items() if name not in _VARIABLE}
    if settings.config:
        own["config_digest"] = hashlib.sha256(Path(settings.config).read_bytes()).hexdigest()
    own = json.loads(json.dumps(own))  # as it comes back
    theirs = own_json(path) if path.is_file() else own
    for name, value in own.items():
        if theirs.get(name) != value and not (name in _LATER and None in (value, theirs.get(name))):
            raise UserError(
                f"{settings.folder} was begun with {name} {theirs.get(name)}, not {value}: its rows would not be "
                "comparable; choose another folder."
            )
    with atomic_path(path) as temporary:
        merged = {name: theirs.get(name) if value is None else value for name, value in own.items()}
        temporary.write_text(json.dumps(merged, indent=1) + "\n", "utf-8")


def test_pictures(settings: Settings, say: Callable[[str], None]) -> list[Callable[[], Sample]]:
    """The test pictures, the two sets one after the other, each read when it is called; made on the first call."""
    from bodymap.data.testset import TEST_SETS, stored_pictures, write_pictures

    folder = settings.folder / "test"
    write_pictures(folder, settings.images, settings.size, 0, settings.pack, say=say)
    sets = [stored_pictures(folder, which) for which in TEST_SETS]
    return [functools.partial(s.sample, number) for s in sets if s is not None for number in range(len(s))]


def training_people(settings: Settings, size: tuple[int, int], views: int, say: Callable[[str], None]) -> str:
    """A folder of shards to train on: the given one, or people made on the first call."""
    if settings.shards:
        return settings.shards
    from bodymap.data.shards import ShardSettings, write_shards
    from bodymap.data.shards.index import sha256
    from bodymap.data.synthetic import SyntheticPeople

    folder = settings.folder / "people"
    people = SyntheticPeople(settings.pack, size, settings.seed, views)
    digest = sha256(Path(settings.pack)) if settings.pack else ""
    about = ShardSettings(digest, settings.seed, size, views)
    write_shards(people.sample, settings.people, folder, about, say=say)
    return str(folder)


def training_normals(settings: Settings, say: Callable[[str], None]) -> str:
    """A folder of the normals of ``training_people``'s pictures, which must be there; made on the first call."""
    from bodymap.data.normals import write_normals

    folder = settings.folder / "normals"
    people = settings.shards or str(settings.folder / "people")
    write_normals(people, settings.pack, folder, lambda text: say(f"normals of {people}: {text}"))
    return str(folder)


def annotated_set(settings: Settings, which: str, say: Callable[[str], None]) -> tuple[str, str]:
    """(annotations, pictures) of DensePose-COCO's format: the given test set, else one of our engine, shifted.

    Args:
        which: "test" or "train".
    """
    if settings.annotations and which == "test":
        return settings.annotations, settings.pictures or str(Path(settings.annotations).parent)
    from bodymap.densepose.adapter import load_adapter
    from bodymap.densepose.synthetic import engine_samples, write_set

    folder = settings.folder / f"densepose_{which}"
    if not (folder / "annotations.json").is_file():
        count = settings.images if which == "test" else settings.people
        say(f"{folder}: {count} annotated pictures are being made")
        size = (512, 384) if which == "test" else (320, 256)
        samples = engine_samples(count, settings.seed + (which == "train"), size, settings.pack, which)
        write_set(samples, load_adapter(settings.adapter), folder, settings.seed, shift=True)
    return str(folder / "annotations.json"), str(folder / "pictures")
