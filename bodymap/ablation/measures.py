"""How a row is judged: on pictures, with given masks, on sequences, on a set of DensePose-COCO's format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bodymap.ablation.data import Settings, annotated_set
from bodymap.ablation.registry import Row
from bodymap.ablation.subjects import Subject
from bodymap.evaluation.judge import judge, summarise
from bodymap.evaluation.progress import Progress
from bodymap.surface import Template
from bodymap.types import Sample

PIXELS = 5  # by which true masks are eroded and dilated
_EVERY = 12  # first frames of pairs lie so far apart
_TAU = "5"


def on_pictures(
    subject: Subject,
    pictures: Sequence[Callable[[], Sample]],
    template: Template,
    step: Callable[[], None],
    mask: Any = None,
) -> dict:
    """The figures of ``evaluation.judge.summarise``, pooled over both test sets.

    Args:
        pictures: each gives its Sample when it is called: all of them at once would fill the memory.
        mask: Sample -> the mask that is given, or None for the subject's own.
    """
    judged = []
    for picture in pictures:
        sample = picture()
        found = subject.predict(sample.image, None if mask is None else mask(sample))
        judged.append(judge(template, sample, found))
        step()
    return summarise(judged, float(template.sample_geodesic.max()), detail=False)


def mask_of(row: Row, settings: Settings) -> Callable[[Sample], np.ndarray] | None:
    """The mask that a row is given; None: its own."""
    from bodymap.metrics.segmentation import widen

    if row.mask == "segmenter":
        from bodymap.foreground import build_foreground

        matte = build_foreground(settings.segmenter)
        return None if matte is None else lambda sample: _not_empty(matte(sample.image) > 0.5)
    return {
        "own": None,
        "true": lambda sample: sample.foreground,
        "dilated": lambda sample: widen(sample.foreground, PIXELS),
        "eroded": lambda sample: _not_empty(~widen(~sample.foreground, PIXELS)),
    }[row.mask]


def _not_empty(mask: np.ndarray) -> np.ndarray:
    """One pixel where nothing is left: a given mask must show somebody."""
    if not mask.any():
        mask = mask.copy()
        mask[0, 0] = True
    return mask


def on_sequences(subject: Subject, settings: Settings, template: Template, say: Callable[[str], None]) -> dict:
    """Temporal consistency over all sequences, and left-right swaps of their frames."""
    from bodymap.data.testset import stored_sequences
    from bodymap.evaluation.sequences import evaluate_sequence, summarise_sequences

    errors: dict[str, list] = {}
    sides = np.zeros(2)
    for sequence in stored_sequences(settings.sequences):

        def predict(_: int, sample: Sample) -> Any:
            found = _find(subject, sample)
            side = judge(template, sample, found).errors.side
            sides[:] += (side < 0).sum(), (side != 0).sum()
            return found

        frames = sequence.frames
        found = evaluate_sequence(template, frames.sample, len(frames), predict, _EVERY)
        errors.setdefault(sequence.name, []).append(found)
        say(f"{sequence.name}: done")
    return {"temporal": summarise_sequences(errors), "swap_rate": float(sides[0] / max(1, sides[1]))}


def _find(subject: Subject, sample: Sample) -> Any:
    from bodymap.types import Correspondence

    if subject.boxed is None:
        return subject.predict(sample.image, None)
    rows, columns = (np.flatnonzero(sample.foreground.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return Correspondence.empty(sample.foreground.shape)
    return subject.boxed(sample.image, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))


def on_densepose(subject: Subject, settings: Settings, say: Callable[[str], None]) -> dict:
    """The figures of ``evaluation.densepose``, without the people one by one."""
    from bodymap.densepose.adapter import load_adapter
    from bodymap.densepose.annotations import read_annotations
    from bodymap.evaluation import densepose

    annotations, folder = annotated_set(settings, "test", say)
    pictures = densepose.annotated(read_annotations(annotations), settings.images)
    densepose.check_pictures(pictures, Path(folder))
    detect = densepose.from_model(subject.predictor.predict_all)
    step = Progress(len(pictures), "annotated pictures").step
    figures = densepose.evaluate_densepose(pictures, Path(folder), load_adapter(settings.adapter), detect, step)
    return {name: value for name, value in figures.items() if name != "people"}


def figure(figures: dict, column: str, measure: str) -> float | None:
    """The figure of one of a table's columns, as a share; None where there is none."""
    if column.startswith("rgb "):
        colours = figures["acc_rgb"]
        return None if colours is None else colours[column.removeprefix("rgb ")]
    if column.endswith(" apart"):
        entry = figures["temporal"]["all"][column.removesuffix(" apart")]
        return entry["within_cm"][_TAU] if entry["vertices"] else None
    return figures["ap"]["gps part"][column] if measure == "densepose" else figures["ap"][column]


def extras(figures: dict, measure: str) -> dict[str, tuple[float | None, str]]:
    """What our rows have beside the paper's columns: name -> (value, "share" or "cm")."""
    if measure == "sequences":
        return {"swapped": (figures["swap_rate"], "share")}
    if measure == "densepose":
        median = figures["geodesic"]["median"]
        return {
            "median cm": (None if median is None else 100 * median, "cm"),
            "missed": (figures["background"], "share"),
        }
    return {
        "5 cm": (figures["acc_cm"]["5"], "share"),
        "10 cm": (figures["acc_cm"]["10"], "share"),
        "median cm": (figures["geodesic"]["median_cm"], "cm"),
        "mask IoU": (figures["mask"]["iou"], "share"),
        "swapped": (figures["swap_rate"], "share"),
    }
