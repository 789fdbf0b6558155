"""Evaluation on folders of real photographs, with whatever truth each photograph has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bodymap.data.photos import GROUPS, Photo, PhotoSet, layer_truth
from bodymap.metrics import accuracy, consistency, landmarks, segmentation
from bodymap.types import LAYER_NAMES, Correspondence

if TYPE_CHECKING:
    from bodymap.surface import Template


@dataclass(frozen=True)
class PhotoScores:
    """What could be measured on one photograph; None where there is no truth for it.

    Attributes:
        mask_iou, leak, miss: of the foreground.
        missed: (group, 2) pixels of each of GROUPS that were called background, and all of them.
        layers: (layer, layer) pixels, rows the true layer, columns the predicted one.
        landmarks: each landmark that counts.
        view: front, side or back, told by the landmarks.
        mirrored: metres, one for each foreground pixel: against the mirrored photograph's map.
    """

    photo: Photo
    mask_iou: float | None = None
    leak: float | None = None
    miss: float | None = None
    missed: np.ndarray | None = None
    layers: np.ndarray | None = None
    landmarks: tuple[landmarks.LandmarkScore, ...] | None = None
    view: str | None = None
    points: consistency.LandmarkPoints | None = None
    mirrored: np.ndarray | None = None


def score_photo(
    photo: Photo, correspondence: Correspondence, mirrored: Correspondence | None, template: Template | None
) -> PhotoScores:
    """Measures one photograph.

    Args:
        mirrored: the map of the photograph with its columns reversed, if that is to be compared; needs ``template``.
    """
    scores: dict = {}
    size = correspondence.size
    truth = photo.foreground(size)
    if truth is not None:
        for name in ("mask_iou", "leak", "miss"):
            scores[name] = getattr(segmentation, name)(correspondence.mask, truth)
    groups = photo.label_groups(size)
    if groups is not None:
        every = np.bincount(groups.ravel(), minlength=len(GROUPS))
        missed = np.bincount(groups[~correspondence.mask], minlength=len(GROUPS))
        scores["missed"] = np.stack([missed, every], axis=1)
        layer = layer_truth(groups)
        known = layer > 0
        pair = layer[known].astype(int) * len(LAYER_NAMES) + correspondence.layer[known]
        scores["layers"] = np.bincount(pair, minlength=len(LAYER_NAMES) ** 2).reshape(len(LAYER_NAMES), -1)
    if photo.landmarks is not None:
        scores["landmarks"] = tuple(landmarks.score_landmarks(correspondence.part, photo.landmarks))
        scores["view"] = landmarks.seen_from(photo.landmarks)
        scores["points"] = consistency.landmark_points(correspondence, photo.landmarks)
    if mirrored is not None and template is not None:
        scores["mirrored"] = consistency.mirror_errors(template, correspondence, mirrored)
    return PhotoScores(photo, **scores)


def evaluate_set(
    photos: PhotoSet,
    predict: Callable[[np.ndarray], Correspondence],
    template: Template,
    mirror: bool = False,
    step: Callable[[], None] = lambda: None,
    show: Callable[[np.ndarray, Correspondence, PhotoScores], None] = lambda *_: None,
) -> dict:
    """All figures of one photo set.

    Args:
        predict: (H, W, 3) uint8 -> Correspondence.
        mirror: predict every photograph mirrored too, and compare (twice the time).
        step: called after every photograph.
        show: called with every photograph, its map and its scores.
    """
    scores = []
    for photo in photos.photos:
        image = photo.image()
        correspondence = predict(image)
        mirrored = predict(np.ascontiguousarray(image[:, ::-1])) if mirror else None
        scores.append(score_photo(photo, correspondence, mirrored, template))
        show(image, correspondence, scores[-1])
        step()
    return summarise(scores, template)


def summarise(scores: Sequence[PhotoScores], template: Template) -> dict:
    """Figures of a set; a section is absent where no photograph has the truth for it."""
    figures: dict = {"photos": len(scores)}
    masked = [s for s in scores if s.mask_iou is not None]
    if masked:
        figures["mask"] = {
            "photos": len(masked),
            "mean": float(np.mean([s.mask_iou for s in masked])),
            "median": float(np.median([s.mask_iou for s in masked])),
            "worst": float(np.min([s.mask_iou for s in masked])),
            "leak": float(np.nanmean([s.leak for s in masked])),
            "miss": float(np.nanmean([s.miss for s in masked])),
        }
    grouped = [s for s in scores if s.missed is not None]
    if grouped:
        missed, every = sum(s.missed for s in grouped).T
        figures["missed_by_group"] = {
            name: missed[i] / every[i] for i, name in enumerate(GROUPS) if every[i] and name != "background"
        }
        figures["layers"] = _layer_figures(sum(s.layers for s in grouped))
    if any(s.landmarks for s in scores):
        figures["landmarks"] = _landmark_figures([s for s in scores if s.landmarks])
    mirrored = [s.mirrored for s in scores if s.mirrored is not None]
    if mirrored:
        error = np.concatenate(mirrored)
        figures["mirror"] = {
            "median_cm": 100 * float(np.median(error)),
            "within_cm": {f"{cm:g}": accuracy.share_within(error, cm / 100) for cm in accuracy.DISTANCE_WINDOWS_CM},
        }
    pairs = same_person_agreement(scores, template)
    if pairs:
        figures["same_person"] = pairs
    figures["per_photo"] = [_row(s) for s in scores]
    return figures


def same_person_agreement(scores: Sequence[PhotoScores], template: Template) -> dict:
    """Distance between the surface points of the same landmark in two photographs of a person from like views."""
    usable = [s for s in scores if s.photo.person and s.points is not None]
    errors = [
        consistency.landmark_agreement(template, first.points, second.points)
        for first, second in combinations(usable, 2)
        if first.photo.person == second.photo.person and first.view == second.view
    ]
    error = np.concatenate(errors) if errors else np.zeros(0)
    if not len(error):
        return {}
    return {
        "pairs": len(errors),
        "landmarks": len(error),
        "median_cm": 100 * float(np.median(error)),
        "within_cm": {f"{cm:g}": accuracy.share_within(error, cm / 100) for cm in (5, 10, 20)},
    }


def _layer_figures(confusion: np.ndarray) -> dict:
    """Accuracy over the pixels whose true layer is known; one called background has the wrong layer."""
    every = confusion.sum(axis=1)
    return {
        "accuracy": float(np.trace(confusion) / max(1, every.sum())),
        "by_layer": {name: confusion[i, i] / every[i] for i, name in enumerate(LAYER_NAMES) if every[i]},
        "confusion": {
            name: {other: int(confusion[i, j]) for j, other in enumerate(LAYER_NAMES) if confusion[i, j]}
            for i, name in enumerate(LAYER_NAMES)
            if every[i]
        },
    }


def _landmark_figures(scores: Sequence[PhotoScores]) -> dict:
    def share(chosen) -> float:
        return landmarks.share_right(score for photo in chosen for score in photo.landmarks)

    views = [view for view in accuracy.VIEWS if any(s.view == view for s in scores)]
    return {
        "photos": len(scores),
        **landmarks.summary([s.landmarks for s in scores]),
        "by_view": {
            view: {"photos": sum(s.view == view for s in scores), "score": share(s for s in scores if s.view == view)}
            for view in views
        },
        "from_behind": {s.photo.name: share([s]) for s in scores if s.view == "back"},
        "mostly_flipped": [s.photo.name for s in scores if landmarks.mostly_flipped(s.landmarks)],
    }


def _row(scores: PhotoScores) -> dict:
    row: dict = {"file": scores.photo.name}
    if scores.mask_iou is not None:
        row["mask_iou"] = scores.mask_iou
    if scores.landmarks is not None:
        row["landmarks"] = landmarks.share_right(scores.landmarks)
        row["view"] = scores.view
    if scores.mirrored is not None:
        row["mirror_median_cm"] = 100 * float(np.median(scores.mirrored)) if len(scores.mirrored) else math.nan
    return row
