"""Annotated photographs to fine-tune on: a crop of each annotated person, with truth at the annotated points alone.

What annotators did not say stays unknown: the place of all other pixels, every layer, the side that is seen. Further
people in a crop are left out of the silhouette: the mask says who the subject is, not that they are no people.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool

from bodymap.cropping import resized
from bodymap.data.batch import UNJUDGED, UNKNOWN, Compact
from bodymap.data.settings import DensePoseConfig
from bodymap.densepose.adapter import load_adapter
from bodymap.densepose.annotations import Person, Picture, read_annotations
from bodymap.errors import UserError
from bodymap.photo import read_photo
from bodymap.surface import Template

_MARGIN = 0.12  # around the person's box, as a share of its longer side
_LEAST = 16  # pixels of a box's longer side that are worth a crop


class AnnotatedPeople:
    """Map-style dataset: one compact sample (``bodymap.data.batch``) for each annotated person of a set.

    A point's place is given to the 3 x 3 pixels around it as well, as far as they are the person's: single pixels would
    be lost when augmentation shrinks the crop, and between the coarse stage's. At 256 pixels a person they lie within
    1.5 cm of the point, which is less than an annotator's error.

    Args:
        size: (height, width) in pixels of the crops.
        template: the adapter must have been made for it.

    Raises:
        UserError: a file is missing, damaged or of another kind, or a picture is not in the folder.
    """

    def __init__(self, config: DensePoseConfig, size: tuple[int, int], template: Template) -> None:
        self.size, self.folder = tuple(size), Path(config.pictures)
        self.adapter = load_adapter(config.adapter, template)
        self.people: list[tuple[Picture, Person]] = [
            (picture, person)
            for picture in read_annotations(config.annotations)
            for person in picture.people
            if _worth_it(person)
        ]
        if not self.people:
            raise UserError(f"{config.annotations} has no annotated person with a mask, of {_LEAST} pixels or more.")
        wanted = {picture.file for picture, _ in self.people}
        if missing := sorted(name for name in wanted if not (self.folder / name).is_file()):
            raise UserError(
                f"{len(missing)} of {len(wanted)} pictures are not in {self.folder}, the first is {missing[0]}; "
                "give the folder with the pictures of the annotations."
            )

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> Compact:
        picture, person = self.people[index]
        photo = read_photo(self.folder / picture.file)
        if photo.shape[:2] != picture.size:
            raise UserError(
                f"{self.folder / picture.file} measures {photo.shape[1]} x {photo.shape[0]}, its annotation says "
                f"{picture.size[1]} x {picture.size[0]}; bring the original pictures."
            )
        window = window_of(person, self.size)
        triangle, barycentric = self._points(person, window)
        layer = self._layer(picture, person, window)
        # an annotated point is the person's, whatever a mask of 256 x 256 says
        row, column, inside = _pixel(person, window, self.size)
        layer[row[inside], column[inside]] = UNKNOWN
        triangle[layer != UNKNOWN] = -1
        barycentric[triangle < 0] = 0
        return {
            "image": self._image(photo, window),
            "triangle": triangle,
            "barycentric": barycentric,
            "layer": layer,
            "facing": np.array(np.nan, np.float32),
        }

    def _image(self, photo: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
        """The window's pixels; beyond the photo's edges its border goes on."""
        left, top, right, bottom = window
        rows = np.arange(top, bottom).clip(0, photo.shape[0] - 1)
        columns = np.arange(left, right).clip(0, photo.shape[1] - 1)
        return resized(photo[rows][:, columns], self.size)

    def _layer(self, picture: Picture, person: Person, window: tuple[int, int, int, int]) -> np.ndarray:
        """UNKNOWN on the person, UNJUDGED on others (everywhere, where the file has no mask of the person), else 0."""
        mask = person.mask(picture.size)
        if mask is None:
            return np.full(self.size, UNJUDGED, np.int8)
        layer = np.zeros(self.size, np.int8)
        for other in picture.people:
            if other is not person:
                layer[_taken(_mask_or_box(other, picture.size), window, self.size)] = UNJUDGED
        layer[_taken(mask, window, self.size)] = UNKNOWN
        return layer

    def _points(self, person: Person, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """(triangle (H, W) int16, barycentric (H, W, 2) uint8) with each point's place on the 3 x 3 pixels around it,
        nearer points before farther ones."""
        truth = person.truth
        face, weight = self.adapter.template_of_smpl(self.adapter.smpl_of_iuv(truth.chart, truth.uv))
        corners = np.rint(weight[:, :2].clip(0, 1) * 255)
        corners[:, 1] = np.minimum(corners[:, 1], 255 - corners[:, 0])
        triangle, barycentric = np.full(self.size, -1, np.int16), np.zeros((*self.size, 2), np.uint8)
        row, column, _ = _pixel(person, window, self.size)
        around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        # the nearest is written last
        for dy, dx in sorted(around, key=lambda o: -(o[0] ** 2 + o[1] ** 2)):
            y, x = row + dy, column + dx
            inside = (y >= 0) & (y < self.size[0]) & (x >= 0) & (x < self.size[1])
            triangle[y[inside], x[inside]] = face[inside]
            barycentric[y[inside], x[inside]] = corners[inside]
        return triangle, barycentric


def _worth_it(person: Person) -> bool:
    if person.truth is None or not len(person.truth.chart) or max(person.box[2:]) < _LEAST:
        return False
    # without any mask not even a silhouette is known
    return person.truth.coarse is not None or bool(person.segmentation)


def window_of(person: Person, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in whole pixels: the person's box with a margin, of the shape of ``size``; it may
    leave the picture."""
    x, y, width, height = person.box
    margin = 2 * _MARGIN * max(width, height)
    tall = max(height + margin, (width + margin) * size[0] / size[1])
    broad = tall * size[1] / size[0]
    left, top = round(x + width / 2 - broad / 2), round(y + height / 2 - tall / 2)
    return left, top, left + max(1, round(broad)), top + max(1, round(tall))


def _pixel(
    person: Person, window: tuple[int, int, int, int], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, column, inside the crop) of the person's points in the crop."""
    left, top, right, bottom = window
    place = (person.pixels() - [left, top]) * [size[1] / (right - left), size[0] / (bottom - top)]
    column, row = np.floor(place).astype(np.int64).T
    return row, column, (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])


def _taken(
    mask: Bool[np.ndarray, "height width"], window: tuple[int, int, int, int], size: tuple[int, int]
) -> Bool[np.ndarray, "rows columns"]:
    """The mask at the centres of the crop's pixels; false outside the picture."""
    left, top, right, bottom = window
    row = np.floor(top + (np.arange(size[0]) + 0.5) * (bottom - top) / size[0]).astype(int)
    column = np.floor(left + (np.arange(size[1]) + 0.5) * (right - left) / size[1]).astype(int)
    inside = ((row >= 0) & (row < mask.shape[0]))[:, None] & ((column >= 0) & (column < mask.shape[1]))
    return inside & mask[row.clip(0, mask.shape[0] - 1)][:, column.clip(0, mask.shape[1] - 1)]


def _mask_or_box(person: Person, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """Somebody's pixels; the whole box where the file has no mask, as of crowds in some files."""
    mask = person.mask(size)
    if mask is None:
        x, y, width, height = person.box
        mask = np.zeros(size, bool)
        mask[max(0, int(y)) : max(0, int(np.ceil(y + height))), max(0, int(x)) : max(0, int(np.ceil(x + width)))] = True
    return mask
