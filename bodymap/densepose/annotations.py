"""DensePose-COCO's annotation files: people with about a hundred points (I, U, V) each and masks of 14 coarse parts.

The files are COCO's (images, annotations, categories) with these fields more: ``dp_x dp_y`` from 0 to 255 across the
person's box, ``dp_I`` 1..24, ``dp_U dp_V`` in [0, 1], ``dp_masks``: 14 run-length masks of 256 x 256 over the box.
People without them are in the picture, but nobody knows their correspondence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from bodymap.densepose import rle
from bodymap.densepose.charts import CHARTS, COARSE_NAMES
from bodymap.errors import UserError
from bodymap.files import read_json

GRID = 256  # pixels along a side of dp_masks
SPAN = 255.0  # dp_x and dp_y across the box, as the official evaluator divides them
POINT_FIELDS = ("dp_x", "dp_y", "dp_I", "dp_U", "dp_V")


@dataclass(frozen=True)
class PointTruth:
    """What is known about one person: n points.

    Attributes:
        grid: (x, y) in 0..255 across the person's box.
        chart: 1..24.
        uv: U and V in [0, 1].
        coarse: 256 x 256 over the box, index into COARSE_NAMES; None where the file has no masks.
    """

    grid: Float[np.ndarray, "point xy=2"]
    chart: Int[np.ndarray, " point"]
    uv: Float[np.ndarray, "point uv=2"]
    coarse: UInt8[np.ndarray, "256 256"] | None


@dataclass(frozen=True)
class Person:
    """One annotation.

    Attributes:
        box: (x, y, width, height) in pixels of the picture.
        area: pixels, of the segmentation.
        crowd: it stands for a group.
        truth: None where the person was not annotated.
        segmentation: COCO's own outline as in the file: polygons, a run-length mask, or None.
    """

    id: int
    box: tuple[float, float, float, float]
    area: float
    crowd: bool
    truth: PointTruth | None
    segmentation: Any = field(default=None, repr=False)

    def pixels(self) -> Float[np.ndarray, "point xy=2"]:
        """Where the annotated points lie in the picture, pixels; index of the pixel = floor."""
        x, y, width, height = self.box
        return self.truth.grid * np.array([width, height]) / SPAN + np.array([x, y])

    def mask(self, size: tuple[int, int]) -> Bool[np.ndarray, "height width"] | None:
        """The person's pixels in a picture of ``size`` (height, width), as the official evaluator draws them: the
        coarse parts stretched to the box, else COCO's outline; None where the file has neither."""
        if self.truth is not None and self.truth.coarse is not None:
            return _stretch(self.truth.coarse > 0, self.box, size)
        return _outline(self.segmentation, size)


@dataclass(frozen=True)
class Picture:
    """One picture of a set with everybody in it. ``size``: (height, width) in pixels."""

    id: int
    file: str
    size: tuple[int, int]
    people: tuple[Person, ...]


class _Wrong(ValueError):
    """What is wrong with an annotation, as the end of a sentence: it has ..."""


def read_annotations(path: str | os.PathLike) -> list[Picture]:
    """Reads a DensePose-COCO file; pictures in the order of their ids, as the official evaluator takes them.

    Categories other than ``person`` are left out.

    Raises:
        UserError: missing, not such a file, or damaged: says which annotation is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There are no annotations at {path}; give a DensePose-COCO .json file.")
    try:
        raw = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no JSON or was cut off ({str(error)[:80]}); get the file again.") from None
    if not isinstance(raw, dict) or not all(isinstance(raw.get(name), list) for name in ("images", "annotations")):
        raise UserError(f"{path} has no lists images and annotations; give a DensePose-COCO .json file.")
    people_of: dict[Any, list[Person]] = {}
    for entry in raw["images"]:
        _check(path, entry, "picture", ("id", "file_name", "height", "width"))
        if entry["id"] in people_of:
            raise UserError(f"{path}: two pictures have the id {entry['id']}; get the file again.")
        people_of[entry["id"]] = []
    wanted = _person_categories(raw.get("categories"))
    for entry in raw["annotations"]:
        _check(path, entry, "annotation", ("id", "image_id", "bbox"))
        if wanted is not None and entry.get("category_id") not in wanted:
            continue
        if entry["image_id"] not in people_of:
            raise UserError(
                f"{path}: annotation {entry['id']} is of the picture {entry['image_id']}, which is not there."
            )
        try:
            people_of[entry["image_id"]].append(_person(entry))
        except _Wrong as error:
            raise UserError(f"{path}: annotation {entry['id']} has {error}; get the file again.") from None
        except (ValueError, TypeError, OverflowError) as error:
            raise UserError(f"{path}: annotation {entry['id']} cannot be read ({error}); get the file again.") from None
    try:
        pictures = [
            Picture(entry["id"], Path(str(entry["file_name"])).name, (int(entry["height"]), int(entry["width"])),
                    tuple(people_of[entry["id"]]))
            for entry in sorted(raw["images"], key=lambda e: e["id"])
        ]  # fmt: skip
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: a picture's id or size is no number ({str(error)[:60]}).") from None
    if not any(person.truth is not None for picture in pictures for person in picture.people):
        raise UserError(f"{path} holds no dp_x, dp_I, ...: these are plain COCO annotations, give DensePose-COCO's.")
    return pictures


def _check(path: Path, entry: Any, what: str, names: Iterable[str]) -> None:
    if not isinstance(entry, dict):
        raise UserError(f"{path}: a {what} is no record; get the file again.")
    for name in names:
        if name not in entry:
            raise UserError(f"{path}: the {what} {entry.get('id', 'without an id')} lacks {name}; get the file again.")
    for name in ("id", "image_id", "category_id"):
        if not isinstance(entry.get(name, 0), int | str):
            raise UserError(f"{path}: the {what} {str(entry['id'])[:40]} has no usable {name}; get the file again.")


def _person_categories(categories: Any) -> set | None:
    """Ids of the category ``person``; None: all (a file without categories)."""
    if not isinstance(categories, list) or not categories:
        return None
    return {
        entry.get("id")
        for entry in categories
        if isinstance(entry, dict) and entry.get("name") == "person" and isinstance(entry.get("id"), int | str)
    } or None


def _person(entry: dict) -> Person:
    box = tuple(float(value) for value in entry["bbox"])
    if len(box) != 4 or not np.isfinite(box).all() or box[2] < 0 or box[3] < 0:
        raise _Wrong("a box that is not x, y, width, height")
    area = float(entry.get("area", box[2] * box[3]))
    if not area >= 0:
        raise _Wrong("an area that is no number")
    truth = _truth(entry) if "dp_x" in entry else None
    return Person(int(entry["id"]), box, area, bool(entry.get("iscrowd", 0)), truth, entry.get("segmentation"))


def _truth(entry: dict) -> PointTruth:
    if missing := [name for name in POINT_FIELDS if name not in entry]:
        raise _Wrong(f"dp_x but no {missing[0]}")
    x, y, chart, u, v = (np.array(entry[name], float).reshape(-1) for name in POINT_FIELDS)
    if len({len(values) for values in (x, y, chart, u, v)}) != 1:
        raise _Wrong("dp_x, dp_y, dp_I, dp_U, dp_V of different lengths")
    grid, uv = np.stack([x, y], 1), np.stack([u, v], 1)
    # each written so that NaN fails
    if not ((chart >= 1) & (chart <= CHARTS) & (chart == np.round(chart))).all():
        raise _Wrong("a dp_I outside 1..24")
    if not ((uv >= 0) & (uv <= 1)).all():
        raise _Wrong("a dp_U or dp_V outside 0..1")
    if not ((grid >= 0) & (grid <= GRID)).all():
        raise _Wrong("a dp_x or dp_y outside its box (0..255)")
    return PointTruth(grid, chart.astype(np.int64), uv, _coarse(entry.get("dp_masks")))


def _coarse(masks: Any) -> UInt8[np.ndarray, "256 256"] | None:
    """The 14 masks as one picture; later ones lie over earlier ones. Empty entries are parts that cannot be seen."""
    if not masks:
        return None
    if not isinstance(masks, list) or len(masks) >= len(COARSE_NAMES):
        raise _Wrong("more than 14 dp_masks")
    out = np.zeros((GRID, GRID), np.uint8)
    for index, mask in enumerate(masks, start=1):
        if mask:
            decoded = rle.decode(mask)
            if decoded.shape != out.shape:
                raise _Wrong(f"a dp_mask of {decoded.shape[0]} x {decoded.shape[1]} instead of 256 x 256")
            out[decoded] = index
    return out


def _stretch(
    grid: Bool[np.ndarray, "256 256"], box: tuple[float, float, float, float], size: tuple[int, int]
) -> Bool[np.ndarray, "height width"]:
    """A mask over a box, linearly stretched and put into the picture with its corner at the box's, rounded down."""
    from scipy.ndimage import zoom

    x, y, width, height = box
    factors = (max(height, 1.0) / GRID, max(width, 1.0) / GRID)
    small = zoom(grid.astype(float), factors, order=1, prefilter=False) > 0.5
    out = np.zeros(size, bool)
    left, top = int(x), int(y)
    x0, y0 = max(left, 0), max(top, 0)
    x1 = min(int(x + width), size[1], left + small.shape[1])
    y1 = min(int(y + height), size[0], top + small.shape[0])
    if x1 > x0 and y1 > y0:
        out[y0:y1, x0:x1] = small[y0 - top : y1 - top, x0 - left : x1 - left]
    return out


def _outline(segmentation: Any, size: tuple[int, int]) -> Bool[np.ndarray, "height width"] | None:
    """COCO's polygons or run-length mask as pixels; None where there is none that can be drawn."""
    if isinstance(segmentation, dict):
        try:
            mask = rle.decode(segmentation)
        except ValueError:
            return None
        return mask if mask.shape == tuple(size) else None
    if not isinstance(segmentation, list) or not segmentation:
        return None
    from PIL import Image, ImageDraw

    canvas = Image.new("1", (size[1], size[0]))
    for polygon in segmentation:
        if isinstance(polygon, list) and len(polygon) >= 6:
            ImageDraw.Draw(canvas).polygon([float(value) for value in polygon], fill=1)
    return np.array(canvas)
