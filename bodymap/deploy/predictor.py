"""``bodymap.predictor`` on exported networks, for one person: find, read, expand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from bodymap.cropping import MULTIPLE, blocks_of, crop_of, resized, round_to
from bodymap.deploy.coarse import CoarseOutput, as_image, correspondence_image, embeddings_at, look, sigmoid, soft_mask
from bodymap.deploy.expansion import Reading, expand
from bodymap.deploy.graphs import Graphs, Precision
from bodymap.errors import UserError
from bodymap.finding import search
from bodymap.foreground import people
from bodymap.foreground.file import read_mask
from bodymap.foreground.people import Person
from bodymap.photo import name_of, read_photo
from bodymap.tidying import fill_outside, settle_layers
from bodymap.types import Correspondence

if TYPE_CHECKING:
    from bodymap.predictor import Mask, Photo

BLOCK = 4  # side of the blocks of pixels that are decoded together (bodymap.decoding)


class OnnxBodyMap:
    """Exported networks, and how photographs are fed to them."""

    def __init__(self, folder: str | os.PathLike, precision: Precision = "float32", threads: int = 0):
        """
        Args:
            folder: that ``python -m bodymap.export`` wrote.
            precision: of the networks' arithmetic; "int8" only where it was exported.
            threads: of the processor; 0: as many as it has.

        Raises:
            UserError: no such folder, a file is missing, or the package onnxruntime is.
        """
        self.graphs = Graphs(folder, precision, threads)
        self.config = self.graphs.config

    def predict(self, photo: Photo, mask: Mask | None = None) -> Correspondence:
        """The correspondence of the largest person, or of whom the mask shows; as ``bodymap.BodyMap.predict``.

        Args:
            photo: path, PIL image or (H, W, 3) uint8 array; the EXIF orientation is honoured.
            mask: of the person (white or True). Every pixel in it gets a point, none outside.

        Raises:
            UserError: an unusable photo or mask, or nobody in the photo.
        """
        picture = read_photo(photo)
        if mask is not None:
            own = read_mask(mask, picture.shape[:2])
            return expand(self.graphs, picture, self.read(picture, mask=own), own)
        found = self.find(picture, everyone=False)
        result = None
        if found:
            result = expand(self.graphs, picture, self.read(picture, found[0], found[1:]))
        if result is None or not result.mask.any():
            raise UserError(
                f"No person was found in {name_of(photo)}; choose a photo that shows one larger, or give a mask of "
                "the person."
            )
        return result

    def find(self, photo: UInt8[np.ndarray, "height width rgb=3"], everyone: bool = True) -> list[Person]:
        """Who is in the photo, the largest first; ``everyone``: also look for small people, on finer scales."""
        return search(photo, self.config, self._look, lambda codes: self.graphs.surface_of(codes)[2], everyone)

    def _look(
        self, picture: UInt8[np.ndarray, "height width rgb=3"]
    ) -> tuple[Float32[np.ndarray, "rows columns"], Float32[np.ndarray, "rows columns 4"]]:
        output = look(self.graphs, as_image(picture))
        return output.foreground, correspondence_image(self.graphs, output, output.foreground.shape).transpose(1, 2, 0)

    def read(
        self,
        photo: UInt8[np.ndarray, "height width rgb=3"],
        person: Person | None = None,
        others: list[Person] | tuple[Person, ...] = (),
        *,
        mask: Bool[np.ndarray, "height width"] | None = None,
    ) -> Reading:
        """Runs the networks on one person's crop; ``person`` of ``find``, or exactly what ``mask`` shows."""
        size, config = photo.shape[:2], self.config
        if mask is not None:
            rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
            around = tuple(float(side) for side in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
        else:
            around = person.box
        box, shape = crop_of(around, size, config.size, config.margin, config.enlarge, MULTIPLE)
        left, top, right, bottom = box
        window = photo[top:bottom, left:right]
        image = as_image(resized(window, shape))

        scale = min(1.0, config.coarse_size / max(shape))
        small = tuple(round_to(side * scale, MULTIPLE) for side in shape)
        coarse = look(self.graphs, image if small == shape else as_image(resized(window, small)), both_ways=True)
        if mask is not None:
            soft = resized(mask[top:bottom, left:right].astype(np.float32), shape)
        else:
            own = people.own_weight(person, others, box, shape, size)
            soft = soft_mask(coarse, shape) * own
        condition = correspondence_image(self.graphs, coarse, shape)
        features, foreground, layer = self.graphs.run("fine", image, soft[None, None], condition[None])
        probability = sigmoid(foreground[0, 0])
        wanted = soft if mask is not None else probability * (soft > 0.05)
        codes, valid = self._decode(features[0], coarse, wanted)
        layer = settle_layers(layer[0], image[0], codes, valid)

        if mask is None:
            mine = probability * own
            region = people.crop_region(person.region, box, shape, size)
            probability = mine * people.keep_person(mine, region)
        return Reading(box, size, image[0], fill_outside(codes, valid), probability, layer)

    def _decode(
        self,
        features: Float32[np.ndarray, "channel rows columns"],
        coarse: CoarseOutput,
        wanted: Float32[np.ndarray, "rows columns"],
    ) -> tuple[Float32[np.ndarray, "rows columns 4"], Bool[np.ndarray, "rows columns"]]:
        """Colour code and confidence of the pixels where ``wanted`` is high; and which those are (at least one)."""
        valid = wanted > min(self.config.decoded, float(wanted.max()) / 2)
        if not valid.any():
            valid = np.ones_like(valid)
        rows, columns = valid.shape
        pixels, inside = blocks_of(valid, BLOCK)
        own, mirrored = embeddings_at(coarse, (pixels.ravel() // columns, pixels.ravel() % columns), (rows, columns))
        gathered = features.reshape(len(features), -1).T[pixels]
        shape = *pixels.shape, -1
        answer = self.graphs.run_blocks("decode", gathered, own.reshape(shape), mirrored.reshape(shape))[0]
        codes = np.zeros((rows * columns, 4), np.float32)
        codes[pixels[inside]] = answer[inside]
        return codes.reshape(rows, columns, 4), valid
