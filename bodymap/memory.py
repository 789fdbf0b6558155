"""What the frame before knows of the pixels of this one: its answers, carried over by optical flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

from bodymap.cropping import Box, resized
from bodymap.expansion import Reading
from bodymap.surface import Template, colour, points
from bodymap.upsampling import sample_codes

# Where the way there and back misses its start by more (crop pixels), something was covered or uncovered
_MISSES = 1.0
_MISSES_SHARE = 0.05  # and this share of the way itself

_WEIGHT = 1.0
_AGREES = 0.15  # codes (largest channel) this close mean the same limb
_SIGMA = 0.04  # metres along the surface that a remembered point may be off
_FLOOR = 0.05  # likelihood of what memory excludes: it may have been wrong then
_PERSON = 0.1  # remembered foreground below which nothing is remembered of the place
_BLEND = 0.5  # share of the frame before in averages
_SAME = 0.06  # codes (largest channel, [0, 1]) closer than this are averaged


@dataclass(frozen=True)
class Memory:
    """On the crop of the frame at hand.

    Attributes:
        codes: colour code in [0, 1] and confidence that the frame before gave to what is seen here.
        foreground: the probability that it gave, in [0, 1].
        known: where what is seen here was seen in the frame before, inside its crop.
    """

    codes: Float[Tensor, "rows columns 4"]
    foreground: Float[Tensor, "rows columns"]
    known: Bool[Tensor, "rows columns"]

    def into_condition(self, condition: Float[Tensor, "1 4 rows columns"] | None) -> Tensor | None:
        """The correspondence stream's image, with what is remembered where that is the surer guess."""
        if condition is None:
            return None
        remembered = self.codes.permute(2, 0, 1)[None]
        # inside the coarse stage's own silhouette: a mask that fed on itself would grow from frame to frame
        surer = self.known & (condition[0, 3] > 0) & (self.codes[..., 3] > condition[0, 3])
        # a contradiction is the present's to decide: a wrong side, once remembered, would stay for good
        surer &= (remembered[0, :3] - condition[0, :3]).abs().amax(0) < _AGREES
        return torch.where(surer, remembered, condition)

    def evidence(self, t: Template) -> Callable[[Tensor, Tensor | None], Tensor]:
        """What it says of pixels, as ``decoding.Evidence``."""
        codes = self.codes.flatten(0, 1)
        weight = _WEIGHT * (self.known * self.codes[..., 3]).flatten()
        # most of a crop is nobody, of whose pixels nothing is asked
        person = ((weight > 0) & (self.foreground.flatten() > _PERSON)).nonzero()[:, 0]
        place = colour.decode_colour(t, codes[person, :3].contiguous())
        sample = torch.zeros(len(codes), dtype=torch.long, device=codes.device)
        sample[person] = points.nearest_sample(t, *place)
        weight = torch.zeros_like(weight).index_copy(0, person, weight[person])

        def says(pixels: Int[Tensor, "block pixel"], samples: Int[Tensor, "block candidate"] | None) -> Tensor:
            near = colour.evidence_near(t, sample[pixels], _SIGMA, _FLOOR, samples)
            return weight[pixels][..., None] * near

        return says

    def steadied_foreground(self, probability: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
        return torch.where(self.known, torch.lerp(probability, self.foreground, _BLEND), probability)

    def steadied_codes(self, codes: Float[Tensor, "rows columns 4"]) -> Float[Tensor, "rows columns 4"]:
        """Averaged with the remembered ones where both mean about the same place."""
        apart = (codes[..., :3] - self.codes[..., :3]).abs().amax(-1)
        same = self.known & (self.foreground > 0.5) & (apart < _SAME)
        return torch.where(same[..., None], torch.lerp(codes, self.codes, _BLEND), codes)


def recall(
    before: UInt8[np.ndarray, "height width rgb=3"],
    reading: Reading,
    now: UInt8[np.ndarray, "height width rgb=3"],
    box: Box,
    shape: tuple[int, int],
) -> Memory:
    """Carries a reading of the frame before into a crop of this frame.

    Args:
        reading: of ``before``; its crop may be another.
        box: (left, top, right, bottom) of the crop, photo pixels.
        shape: (rows, columns) to which it is scaled.
    """
    left, top, right, bottom = box
    first, second = (_grey(resized(frame[top:bottom, left:right], shape)) for frame in (now, before))
    back, forth = optical_flow(first, second), optical_flow(second, first)
    known = _comes_back(back, forth)

    # positions in the crop at hand -> in the photo -> in the reading's crop; pixel centres at +0.5
    rows, columns = shape
    x = left + (np.arange(columns) + 0.5 + back[..., 0]) * ((right - left) / columns)
    y = top + (np.arange(rows)[:, None] + 0.5 + back[..., 1]) * ((bottom - top) / rows)
    height, width = reading.foreground.shape
    from_left, from_top, to_right, to_bottom = reading.box
    x, y = (x - from_left) * (width / (to_right - from_left)), (y - from_top) * (height / (to_bottom - from_top))
    known &= (x >= 0) & (x <= width) & (y >= 0) & (y <= height)

    device = reading.codes.device
    x, y = (torch.from_numpy(position.astype(np.float32)).to(device) for position in (x, y))
    grid = torch.stack([x / width * 2 - 1, y / height * 2 - 1], -1)[None]
    own = (reading.foreground * reading.own)[None, None]
    foreground = F.grid_sample(own, grid, padding_mode="border", align_corners=False)[0, 0]
    codes = sample_codes(reading.codes, y.flatten(), x.flatten()).view(rows, columns, -1)
    return Memory(codes, foreground, torch.from_numpy(known).to(device))


def optical_flow(
    first: UInt8[np.ndarray, "rows columns"], second: UInt8[np.ndarray, "rows columns"]
) -> Float32[np.ndarray, "rows columns xy=2"]:
    """For each pixel of the first picture the way to the same thing in the second one, pixels.

    Dense inverse search (Kroeger et al. 2016), as OpenCV has it.
    """
    import cv2

    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None)


def _comes_back(back: np.ndarray, forth: np.ndarray) -> Bool[np.ndarray, "rows columns"]:
    """Where following one flow and then the other ends where it began."""
    import cv2

    rows, columns = back.shape[:2]
    x = np.arange(columns, dtype=np.float32) + back[..., 0]
    y = np.arange(rows, dtype=np.float32)[:, None] + back[..., 1]
    returned = cv2.remap(forth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    miss = np.linalg.norm(back + returned, axis=-1)
    return miss < _MISSES + _MISSES_SHARE * np.linalg.norm(back, axis=-1)


def _grey(picture: UInt8[np.ndarray, "rows columns rgb=3"]) -> UInt8[np.ndarray, "rows columns"]:
    import cv2

    return cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
