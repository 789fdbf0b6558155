"""People through the frames of a film: found now and then, followed in between, steadied by what was known before.

for people in follow(model, frames):
    people[0]  # the Correspondence of the person who was largest in the first frame
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, UInt8

from bodymap.cropping import resized
from bodymap.expansion import Reading, without
from bodymap.foreground.people import Person
from bodymap.types import Correspondence

if TYPE_CHECKING:
    from bodymap.predictor import BodyMap


@dataclass(frozen=True)
class TrackingConfig:
    """How people are followed."""

    survey_every: int = 25  # frames, after which the whole picture is searched for people again
    memory: bool = True  # the frame before has its say; False: each frame by itself
    slack: float = 0.04  # of the person's longer side, by which their box may move before the crop moves along
    overlap: float = 0.2  # intersection over union from which somebody found is somebody known
    patience: int = 25  # frames after which somebody out of sight is forgotten
    smallest: float = 0.02  # share of the area before; with less left, they are out of sight


@dataclass
class _Track:
    """One person."""

    number: int
    person: Person
    reading: Reading | None = None
    missed: int = 0


_GRID = 4  # photo pixels a cell of a person's region


def follow(
    model: BodyMap,
    frames: Iterable[UInt8[np.ndarray, "height width rgb=3"]],
    everyone: bool = False,
    config: TrackingConfig | None = None,
) -> Iterator[dict[int, Correspondence]]:
    """The people of each frame by number, which stays theirs from frame to frame.

    Args:
        frames: all of one size.
        everyone: False: only the person who is the largest when somebody is first found.

    Yields:
        for each frame the maps of who is seen in it; empty where nobody is.
    """
    config = config or TrackingConfig()
    tracks: list[_Track] = []
    before: np.ndarray | None = None
    count = 0
    for number, frame in enumerate(frames):
        if number % config.survey_every == 0 or not tracks or any(track.missed for track in tracks):
            for person in _news(model, frame, tracks, everyone, config):
                tracks.append(_Track(count, person))
                count += 1
        seen: dict[int, Correspondence] = {}
        taken = np.zeros(frame.shape[:2], bool)
        for track in tracks:
            others = [other.person for other in tracks if other is not track and not other.missed]
            known = (before, track.reading) if config.memory and track.reading is not None else None
            reading = model.read(frame, track.person, others, before=known)
            result = without(model.expand(frame, reading), taken)
            if result.mask.sum() < max(config.smallest * track.person.area, 16):
                track.missed, track.reading = track.missed + 1, None
                continue
            taken |= result.mask
            seen[track.number] = result
            track.missed, track.reading = 0, reading
            track.person = _moved(track.person, result.mask, config.slack)
        tracks = [track for track in tracks if track.missed <= config.patience]
        before = frame
        yield seen


def _news(
    model: BodyMap, frame: np.ndarray, tracks: list[_Track], everyone: bool, config: TrackingConfig
) -> list[Person]:
    """Who is new; whoever is known and out of sight is given their new place."""
    new = []
    hidden = [track for track in tracks if track.missed]
    for person in model.find(frame, everyone=everyone or bool(tracks)):
        if any(_overlap(person, track.person) > config.overlap for track in tracks if not track.missed):
            continue
        if hidden:
            # whoever comes back comes back near to where they were lost
            track = min(hidden, key=lambda t: _distance(t.person, person))
            hidden.remove(track)
            track.person, track.missed = person, 0
        else:
            new.append(person)
    if everyone:
        return new
    return [] if tracks else new[:1]


def _moved(person: Person, mask: Bool[np.ndarray, "height width"], slack: float) -> Person:
    """The person where the mask has them; the box only follows what is more than a tremble."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = tuple(float(side) for side in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    longest = max(box[2] - box[0], box[3] - box[1])
    if max(abs(new - old) for new, old in zip(box, person.box, strict=True)) <= slack * longest:
        box = person.box
    shape = -(-mask.shape[0] // _GRID), -(-mask.shape[1] // _GRID)
    region = resized(mask.astype(np.float32), shape) > 0.5
    return replace(person, box=box, area=float(mask.sum()), region=region)


def _overlap(a: Person, b: Person) -> float:
    """Intersection over union of two boxes."""
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = [(p.box[2] - p.box[0]) * (p.box[3] - p.box[1]) for p in (a, b)]
    return common / max(sum(areas) - common, 1e-9)


def _distance(a: Person, b: Person) -> float:
    """Between the middles of two boxes, photo pixels."""
    return float(np.hypot(*(a.box[n] + a.box[n + 2] - b.box[n] - b.box[n + 2] for n in (0, 1))) / 2)
