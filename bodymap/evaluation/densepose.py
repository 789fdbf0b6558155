"""A set of DensePose-COCO's format: predictions scored by the official rules, per picture and per person."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from bodymap.densepose import scoring
from bodymap.densepose.adapter import Adapter
from bodymap.densepose.annotations import Person, Picture
from bodymap.densepose.iuv import read_detection
from bodymap.densepose.scoring import Detection, MapDetection, PictureScores
from bodymap.errors import UserError
from bodymap.evaluation import report
from bodymap.metrics import paper
from bodymap.photo import read_photo
from bodymap.surface import points

Detector = Callable[[Picture, UInt8[np.ndarray, "height width rgb=3"]], Sequence[Detection]]

# What the tables print: (title, measure, regime); the first is what the literature calls GPS AP since 2019
ROWS = (
    ("GPS, kappa per part", "gps", "part"),
    ("GPS, kappa 0.255", "gps", "0.255"),
    ("GPS, kappa 1.0", "gps", "1.0"),
    ("GPSm, kappa per part", "gpsm", "part"),
    ("GPSm, kappa 0.255", "gpsm", "0.255"),
    ("mask IoU", "iou", "part"),
)


def annotated(pictures: Sequence[Picture], limit: int | None = None) -> list[Picture]:
    """The pictures in which somebody has points: in the others no detection counts, for or against."""
    return [p for p in pictures if any(person.truth is not None for person in p.people)][:limit]


def check_pictures(pictures: Sequence[Picture], folder: Path) -> None:
    """Raises UserError if a picture is missing, before hours are spent on the others."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; give the one with the pictures of the annotations.")
    missing = [picture.file for picture in pictures if not (folder / picture.file).is_file()]
    if missing:
        raise UserError(f"{len(missing)} of {len(pictures)} pictures are not in {folder}, the first is {missing[0]}.")


def from_files(folder: Path) -> Detector:
    """Detections that another program left as ``<stem>*.png`` or ``<stem>*.npz`` (bodymap.densepose.iuv), one person a
    file; pictures without one have none."""

    def detect(picture: Picture, photo: np.ndarray) -> list[Detection]:
        stem = Path(picture.file).stem
        files = sorted(
            path
            for path in folder.glob(f"{stem}*")
            if path.suffix in (".png", ".npz") and not path.name.removeprefix(stem)[:1].isalnum()
        )
        return [read_detection(path, picture.size) for path in files]

    return detect


def from_model(predict_all: Callable[[np.ndarray], Sequence]) -> Detector:
    """Everybody whom our predictor finds; nobody found is no detection."""

    def detect(picture: Picture, photo: np.ndarray) -> list[Detection]:
        try:
            return [MapDetection(found) for found in predict_all(photo)]
        except UserError:  # the photo itself is sound: this is the only thing it can mean
            return []

    return detect


def evaluate_densepose(
    pictures: Sequence[Picture],
    folder: Path,
    adapter: Adapter,
    detect: Detector,
    step: Callable[[], None] = lambda: None,
) -> dict:
    """All figures of a set.

    Returns:
        ``ap``: {"<measure> <regime>": AP, AP50, ... as shares}, ``acc_rgb``: {window: share of annotated points whose
        colour is right} (None where the detections are no maps of ours), ``geodesic``: mean and median in metres over
        the points that were found, ``background``: share of points called background, ``people``: one record each.
    """
    scores, records, errors = [], [], []
    for picture in pictures:
        photo = read_photo(folder / picture.file)
        if photo.shape[:2] != picture.size:
            raise UserError(
                f"{folder / picture.file} measures {photo.shape[1]} x {photo.shape[0]}, its annotation says "
                f"{picture.size[1]} x {picture.size[0]}; bring the original pictures."
            )
        detections = sorted(detect(picture, photo), key=lambda d: -d.score)
        judged = scoring.score_picture(adapter, picture, detections)
        scores.append(judged)
        for j, person in enumerate(picture.people):
            if person.truth is not None:
                records.append(_record(adapter, picture, person, judged, j, detections))
                errors.append(judged.errors[j])
        step()
    together = np.concatenate(errors) if errors else np.zeros(0)
    found = together[np.isfinite(together)]
    weights = np.array([r["points"] for r in records], float)
    colour = None
    if records and all(r["acc_rgb"] is not None for r in records) and weights.sum():
        colour = {
            str(w): float(np.average([r["acc_rgb"][str(w)] for r in records], weights=weights)) for w in paper.WINDOWS
        }
    return {
        "images": len(pictures),
        "annotated_people": len(records),
        "points": len(together),
        "ap": {f"{m} {k}": scoring.average_precision(scores, m, k) for _, m, k in ROWS},
        "acc_rgb": colour,
        "geodesic": {
            "mean": float(found.mean()) if len(found) else math.nan,
            "median": float(np.median(found)) if len(found) else math.nan,
        },
        "background": float(1 - len(found) / len(together)) if len(together) else math.nan,
        "people": records,
    }


def _record(
    adapter: Adapter, picture: Picture, person: Person, judged: PictureScores, j: int, detections: Sequence[Detection]
) -> dict:
    """One annotated person with its best detection (by GPS, kappa per part)."""
    best, errors = int(judged.best[j]), judged.errors[j]
    found = errors[np.isfinite(errors)]
    iou = float(judged.mask_iou[best, j]) if best >= 0 else 0.0
    gps = {name: float(values[best, j]) if best >= 0 else 0.0 for name, values in judged.gps.items()}
    return {
        "image": picture.file,
        "annotation": person.id,
        "points": len(errors),
        "area": person.area,
        "gps": gps,
        "gpsm": {name: math.sqrt(value * iou) for name, value in gps.items()},
        "mask_iou": iou,
        "geodesic_median": float(np.median(found)) if len(found) else math.nan,
        "background": float(1 - len(found) / len(errors)) if len(errors) else math.nan,
        "acc_rgb": _colour_accuracy(adapter, person, detections[best] if best >= 0 else None, picture.size),
    }


def _colour_accuracy(
    adapter: Adapter, person: Person, detection: Detection | None, size: tuple[int, int]
) -> dict[str, float] | None:
    """Share of a person's points whose colour lies within each window; None for detections without colours."""
    if detection is None:
        return {str(window): 0.0 for window in paper.WINDOWS}
    if not isinstance(detection, MapDetection):
        return None
    t = adapter.template
    triangle, weight = adapter.template_of_smpl(adapter.smpl_of_iuv(person.truth.chart, person.truth.uv))
    code = points.code(t, torch.from_numpy(triangle), torch.from_numpy(weight).float()).numpy()
    row, column, inside = scoring.pixel_of(person, size)
    difference = np.abs(np.rint(255 * code) - detection.map.colour[row, column]).max(-1)
    right = inside & detection.mask[row, column]
    return {str(w): float((right & (difference <= w)).mean()) if len(right) else 0.0 for w in paper.WINDOWS}


def densepose_report(figures: dict, name: str) -> str:
    """The tables for the screen: our figures in every regime, then beside the paper's Tables 1, 2 and 3."""
    ap, columns = figures["ap"], paper.AP_SYNTHETIC_COLUMNS
    sections = [
        f"## {name}: {figures['images']} pictures, {figures['annotated_people']} annotated people, "
        f"{figures['points']} points",
        report.table(
            ["per cent", *columns],
            [[title, *(report.percent(ap[f"{m} {k}"][c]) for c in columns)] for title, m, k in ROWS],
        ),
        f"Geodesic error where a point was found: median {report.number(100 * figures['geodesic']['median'])} cm, mean "
        f"{report.number(100 * figures['geodesic']['mean'])} cm; called background "
        f"{report.percent(figures['background'])} % of the points.",
        "## Beside the paper's Table 1 (DensePose-COCO; GPS, kappa per part)",
        _beside(paper.AP_COCO, paper.AP_COCO_COLUMNS, ap["gps part"], name),
    ]
    if figures["acc_rgb"]:
        rows = [[method, *(f"{v:.1f}" for v in values)] for method, values in paper.ACCURACY_COCO.items()]
        ours = [f"this, {name}", *(report.percent(figures["acc_rgb"][str(w)]) for w in paper.WINDOWS)]
        sections.append("## Beside the paper's Table 2 (DensePose-COCO; colours at the annotated points)")
        sections.append(report.table(["window", *map(str, paper.WINDOWS)], [*rows, ours]))
    sections.append("## Beside the paper's Table 3 (its own synthetic people; GPS, kappa 0.255)")
    sections.append(_beside(paper.AP_SYNTHETIC, columns, ap["gps 0.255"], name))
    return "\n\n".join(sections)


def _beside(theirs: dict[str, tuple[float, ...]], columns: Sequence[str], ours: dict[str, float], name: str) -> str:
    rows = [[method, *(f"{value:.1f}" for value in values)] for method, values in theirs.items()]
    return report.table(["method", *columns], [*rows, [f"this, {name}", *(report.percent(ours[c]) for c in columns)]])
