"""Temporal consistency on stored sequences: predictions of frames 1, 12 and 120 apart, matched with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from bodymap.metrics.temporal import INTERVALS, SurfaceMap, consistency, match_errors
from bodymap.types import Correspondence, Sample

if TYPE_CHECKING:
    from bodymap.surface import Template


def frame_pairs(length: int, every: int, intervals: tuple[int, ...] = INTERVALS) -> Iterator[tuple[int, int]]:
    """(first, second) frames that are compared, in rising order of the first: every ``every``-th frame with each
    interval that the sequence is long enough for."""
    for first in range(0, length, every):
        for interval in intervals:
            if first + interval < length:
                yield first, first + interval


def evaluate_sequence(
    template: Template,
    frame: Callable[[int], Sample],
    length: int,
    predict: Callable[[int, Sample], Correspondence],
    every: int,
    step: Callable[[], None] = lambda: None,
) -> dict[int, np.ndarray]:
    """Errors of the matches of one sequence, by interval: metres, inf where there is no match.

    Args:
        template: on the CPU.
        frame: number -> its picture and truth.
        predict: of a frame, by its number and its picture; asked once of each frame that is needed.
        every: how many frames lie between the first frames of pairs.
        step: called once a pair.
    """
    seen: dict[int, tuple[SurfaceMap, SurfaceMap]] = {}  # truth and prediction of the frames still needed
    errors: dict[int, list[np.ndarray]] = {interval: [] for interval in INTERVALS}
    for first, second in frame_pairs(length, every):
        for number in [old for old in seen if old < first]:
            del seen[number]
        for number in (first, second):
            if number not in seen:
                sample = frame(number)
                found = predict(number, sample)
                triangle = np.where(sample.foreground, sample.triangle, -1)
                truth = SurfaceMap(triangle, sample.barycentric)
                seen[number] = truth, SurfaceMap(np.where(found.mask, found.triangle, -1), found.barycentric)
        (truth_a, found_a), (truth_b, found_b) = seen[first], seen[second]
        errors[second - first].append(match_errors(template, truth_a, truth_b, found_a, found_b))
        step()
    return {interval: np.concatenate([np.zeros(0, np.float32), *parts]) for interval, parts in errors.items()}


def followed(
    follow: Callable[[Iterator[np.ndarray]], Iterator[dict[int, Correspondence]]],
    frame: Callable[[int], Sample],
    length: int,
    every: int,
) -> Callable[[int, Sample], Correspondence]:
    """A ``predict`` for ``evaluate_sequence`` of the same arguments that sees every frame, one after the other.

    Args:
        follow: pictures -> the people of each, by number (``tracking.follow``); the first one counts.
    """
    needed = {number for pair in frame_pairs(length, every) for number in pair}
    people = enumerate(follow(frame(number).image for number in range(length)))
    kept: dict[int, Correspondence] = {}

    def predict(number: int, sample: Sample) -> Correspondence:
        while number not in kept:
            at, seen = next(people)
            if at in needed:
                kept[at] = seen.get(0) or Correspondence.empty(sample.image.shape[:2])
        return kept.pop(number)

    return predict


def summarise_sequences(errors: dict[str, list[dict[int, np.ndarray]]]) -> dict[str, dict]:
    """``{kind or "all": {interval: {"vertices": asked, "within_cm": {"5": share, ...}}}}`` of the errors of each kind's
    sequences; every vertex counts alike."""
    every_kind = {**errors, "all": [one for sequences in errors.values() for one in sequences]}
    out: dict[str, dict] = {}
    for kind, sequences in every_kind.items():
        pooled = {interval: np.concatenate([one[interval] for one in sequences]) for interval in INTERVALS}
        out[kind] = {
            str(interval): {"vertices": len(values), "within_cm": consistency(values)}
            for interval, values in pooled.items()
        }
    return out
