"""Annotated photographs to fine-tune on: a crop of each annotated person, with truth at the annotated points alone or,
with pseudo-truth, at most of its pixels.

What annotators did not say stays unknown: the place of all other pixels, every layer, the side that is seen. Further
people in a crop are left out of the silhouette: the mask says who the subject is, not that they are no people.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from bodymap.cropping import resized
from bodymap.data.batch import UNJUDGED, UNKNOWN, Compact
from bodymap.data.settings import DensePoseConfig
from bodymap.densepose.adapter import load_adapter
from bodymap.densepose.annotations import Person, Picture, read_annotations
from bodymap.densepose.dense import PseudoTruth, coarse_at
from bodymap.densepose.mesh import MeshPoints
from bodymap.errors import UserError
from bodymap.files import atomic_path, read_npz
from bodymap.photo import read_photo
from bodymap.surface import Template

_MARGIN = 0.12  # around the person's box, as a share of its longer side
_LEAST = 16  # pixels of a box's longer side that are worth a crop


@dataclass(frozen=True)
class Crop:
    """One annotated person cut out, H x W.

    Attributes:
        image: (H, W, 3) uint8.
        layer: (H, W) int8: UNKNOWN on the person, UNJUDGED on others, else 0.
        coarse: (H, W), the annotators' coarse part, index into COARSE_NAMES; 0 everywhere where the file has none.
        pixel: (row, column) of the points inside the crop; chart: their 1..24; truth: their places on SMPL.
    """

    image: np.ndarray
    layer: np.ndarray
    coarse: np.ndarray
    pixel: Int[np.ndarray, "point rowcolumn=2"]
    chart: Int[np.ndarray, " point"]
    truth: MeshPoints


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
        self.pseudo = None if config.pseudo_truth is None else Path(config.pseudo_truth)
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

        if self.pseudo is not None:
            lacking = sum(not self.pseudo_path(index, self.pseudo).is_file() for index in range(len(self.people)))
            if lacking:
                raise UserError(
                    f"{self.pseudo} lacks the pseudo-truth of {lacking} of {len(self.people)} people; "
                    "make it with python -m bodymap.densify."
                )

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> Compact:
        crop = self.crop(index)
        triangle, barycentric = self._points(crop)
        layer = crop.layer.copy()
        # an annotated point is the person's, whatever a mask of 256 x 256 says
        layer[crop.pixel[:, 0], crop.pixel[:, 1]] = UNKNOWN
        triangle[layer != UNKNOWN] = -1
        sample = {"image": crop.image, "layer": layer, "facing": np.array(np.nan, np.float32)}
        if self.pseudo is not None:
            pseudo = PseudoFile.read(self.pseudo_path(index, self.pseudo), self.size)
            guessed = (triangle < 0) & (layer == UNKNOWN)
            sample["trust"] = np.where(guessed, pseudo.trust, np.uint8(255) * (triangle >= 0)).astype(np.uint8)
            triangle = np.where(guessed, pseudo.triangle, triangle)
            barycentric = np.where(guessed[..., None], pseudo.barycentric, barycentric)
        barycentric[triangle < 0] = 0
        return {**sample, "triangle": triangle, "barycentric": barycentric}

    def pseudo_path(self, index: int, folder: Path) -> Path:
        """Where the pseudo-truth of a person lies in a folder of it."""
        return folder / f"{self.people[index][1].id}.npz"

    def crop(self, index: int) -> Crop:
        """A person's crop before its truth is laid out in pixels.

        Raises:
            UserError: the picture is damaged or not the annotated one.
        """
        picture, person = self.people[index]
        photo = read_photo(self.folder / picture.file)
        if photo.shape[:2] != picture.size:
            raise UserError(
                f"{self.folder / picture.file} measures {photo.shape[1]} x {photo.shape[0]}, its annotation says "
                f"{picture.size[1]} x {picture.size[0]}; bring the original pictures."
            )
        window = left, top, right, bottom = window_of(person, self.size)
        row, column, inside = _pixel(person, window, self.size)
        face, weight = self.adapter.smpl_of_iuv(person.truth.chart[inside], person.truth.uv[inside])
        coarse = np.zeros(self.size, np.int64)
        if person.truth.coarse is not None:
            x = left + (np.arange(self.size[1]) + 0.5) * (right - left) / self.size[1]
            y = top + (np.arange(self.size[0]) + 0.5) * (bottom - top) / self.size[0]
            coarse = coarse_at(person.truth.coarse, person.box, x, y)
        return Crop(
            image=self._image(photo, window),
            layer=self._layer(picture, person, window),
            coarse=coarse,
            pixel=np.stack([row[inside], column[inside]], 1),
            chart=person.truth.chart[inside],
            truth=(face, weight),
        )

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

    def _points(self, crop: Crop) -> tuple[np.ndarray, np.ndarray]:
        """(triangle (H, W) int16, barycentric (H, W, 2) uint8) with each point's place on the 3 x 3 pixels around it,
        nearer points before farther ones."""
        face, weight = self.adapter.template_of_smpl(crop.truth)
        corners = _quantised(weight)
        triangle, barycentric = np.full(self.size, -1, np.int16), np.zeros((*self.size, 2), np.uint8)
        around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        # the nearest is written last
        for dy, dx in sorted(around, key=lambda o: -(o[0] ** 2 + o[1] ** 2)):
            y, x = crop.pixel[:, 0] + dy, crop.pixel[:, 1] + dx
            inside = (y >= 0) & (y < self.size[0]) & (x >= 0) & (x < self.size[1])
            triangle[y[inside], x[inside]] = face[inside]
            barycentric[y[inside], x[inside]] = corners[inside]
        return triangle, barycentric


@dataclass(frozen=True)
class PseudoFile:
    """Pseudo-truth of one crop as it lies on disk, 5 bytes a pixel before compression.

    Attributes:
        triangle: (H, W) int16, -1 where nothing is known.
        barycentric: (H, W, 2) uint8, the first two corners in 1/255.
        trust: (H, W) uint8, in 1/255.
    """

    triangle: np.ndarray
    barycentric: np.ndarray
    trust: np.ndarray

    @classmethod
    def nothing(cls, size: tuple[int, int]) -> PseudoFile:
        return cls(np.full(size, -1, np.int16), np.zeros((*size, 2), np.uint8), np.zeros(size, np.uint8))

    @classmethod
    def of(cls, truth: PseudoTruth) -> PseudoFile:
        return cls(
            truth.triangle.astype(np.int16),
            _quantised(truth.barycentric),
            np.rint(255 * truth.trust).astype(np.uint8),
        )

    def save(self, path: Path) -> None:
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(stream, triangle=self.triangle, barycentric=self.barycentric, trust=self.trust)

    @classmethod
    def read(cls, path: Path, size: tuple[int, int]) -> PseudoFile:
        """Raises UserError: missing, damaged, or made for crops of another size."""
        try:
            raw = read_npz(path)
            found = cls(raw["triangle"], raw["barycentric"], raw["trust"])
            kinds = [(array.ndim, array.dtype) for array in (found.triangle, found.barycentric, found.trust)]
            if kinds != [(2, np.int16), (3, np.uint8), (2, np.uint8)]:
                raise ValueError("arrays of other types or shapes")
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"The pseudo-truth {path} cannot be read ({str(error)[:80]}); make it with python -m bodymap.densify."
            ) from None
        if found.triangle.shape != tuple(size):
            made = " x ".join(map(str, found.triangle.shape))
            raise UserError(f"{path} was made for crops of {made}; data.size is {size[0]} x {size[1]}, give the same.")
        return found


def _quantised(barycentric: Float[np.ndarray, "*n corner=3"]) -> UInt8[np.ndarray, "*n 2"]:
    """The first two corners in 1/255; rounding both up must not take the third below zero."""
    corners = np.rint(barycentric[..., :2].clip(0, 1) * 255)
    corners[..., 1] = np.minimum(corners[..., 1], 255 - corners[..., 0])
    return corners.astype(np.uint8)


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
