"""The records that cross folders: camera, sample, correspondence, layer maps.

Conventions, stated once for the whole project
----------------------------------------------
* World: metres, Z up; the template faces -Y, its left hand is at +X, its origin is at the pelvis.
* Camera: OpenCV (x right, y down, z forward). ``T_camera_world`` takes world points to camera points.
* Images inside the library: float32 RGB in [0, 1], channel first. At the public boundary: ``(H, W, 3)`` uint8.
* Pixel centres lie at ``(column + 0.5, row + 0.5)``.
* UV: u to the right, v **down** (flipped once, when the template is made); texel centre ``(j + 0.5) / T``.
* Colour code: float32 in [0, 1] inside, uint8 at the boundary.
* Background: -1 in index maps (triangle, part), 0 in ``layer`` and ``instance``, NaN in float ``uv``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

# The first level of body parts; ``left`` and ``right`` are the person's own. Names and order are public: never
# change them.
PART_NAMES: tuple[str, ...] = (
    "head",
    "neck",
    "torso_front",
    "torso_back",
    *(
        f"{side}_{part}"
        for part in ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
        for side in ("left", "right")
    ),
)

# Index = the value in a layer map. A one-piece garment is ``upper``.
LAYER_NAMES: tuple[str, ...] = ("background", "skin", "hair", "upper", "lower", "shoes", "carried")


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, perhaps with a lens that bends straight lines.

    Attributes:
        intrinsics: (3, 3) float32, pixels; ``pixel = K x_camera / z``.
        T_camera_world: (4, 4) float32, rigid, metres.
        size: (height, width) of the image in pixels.
        distortion: Brown's first radial coefficient k1: what a pinhole would show at d = (x, y) / z lies at
            d (1 + k1 |d|^2). Negative: barrel.
    """

    intrinsics: np.ndarray
    T_camera_world: np.ndarray
    size: tuple[int, int]
    distortion: float = 0.0


@dataclass(frozen=True)
class Sample:
    """One synthetic photograph and its exact truth, all at the image's size; numpy arrays, so that it pickles cheaply.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        foreground: (H, W) bool; the person with everything worn or carried.
        triangle: (H, W) int32, index into the template's triangles, -1 outside.
        barycentric: (H, W, 3) float32, 0 outside.
        part: (H, W) int16, index into PART_NAMES, -1 outside.
        layer: (H, W) int8, index into LAYER_NAMES.
        normal: (H, W, 3) float32, unit, camera axes, 0 outside.
        instance: (H, W) int8: 0 background, 1 the subject, 2.. further people in the picture.
        camera: the camera that took it.
        facing: angle in radians between the subject's front and the direction to the camera: 0 seen from the
            front, +-pi from behind, +pi/2 when the camera sees the person's left side. NaN: nobody is in the picture.
        body: what posed the subject (shape coefficients, local joint rotations, names of assets), and who it is (age
            in years, female, the skin's mean sRGB).
        seeds: (person, pose, camera, scene).
        covered_triangle, covered_barycentric: as ``triangle`` and ``barycentric``, of the subject's bare body along
            the pixel's ray, whatever hides it; None unless it was asked for.
    """

    image: np.ndarray
    foreground: np.ndarray
    triangle: np.ndarray
    barycentric: np.ndarray
    part: np.ndarray
    layer: np.ndarray
    normal: np.ndarray
    instance: np.ndarray
    camera: Camera
    facing: float
    body: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, int, int, int] = (0, 0, 0, 0)
    covered_triangle: np.ndarray | None = None
    covered_barycentric: np.ndarray | None = None


@dataclass(frozen=True)
class Correspondence:
    """For every foreground pixel of one person in a photograph, a point on the template; everything at the photo's
    size.

    Attributes:
        mask: (H, W) bool.
        confidence: (H, W) float32 in [0, 1]: the estimated chance that the point lies within 5 cm of the truth; 0
            outside.
        colour: (H, W, 3) uint8, the colour code; 0 outside.
        uv: (H, W, 2) float32 in [0, 1], v down, NaN outside.
        part: (H, W) int16, index into PART_NAMES, -1 outside.
        triangle: (H, W) int32, -1 outside.
        barycentric: (H, W, 3) float32, 0 outside.
        layer: (H, W) int8, index into LAYER_NAMES.
    """

    mask: np.ndarray
    confidence: np.ndarray
    colour: np.ndarray
    uv: np.ndarray
    part: np.ndarray
    triangle: np.ndarray
    barycentric: np.ndarray
    layer: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.mask.shape[0], self.mask.shape[1]

    @classmethod
    def empty(cls, size: tuple[int, int]) -> Correspondence:
        """Of a picture of ``size`` (height, width) without anybody: the background everywhere."""
        return cls(
            mask=np.zeros(size, bool),
            confidence=np.zeros(size, np.float32),
            colour=np.zeros((*size, 3), np.uint8),
            uv=np.full((*size, 2), np.nan, np.float32),
            part=np.full(size, -1, np.int16),
            triangle=np.full(size, -1, np.int32),
            barycentric=np.zeros((*size, 3), np.float32),
            layer=np.zeros(size, np.int8),
        )


@dataclass(frozen=True)
class LayerMaps:
    """Correspondence of the body and of two garments apart (apps/layered), each on a surface of its own.

    Attributes:
        body: on the template; its mask reaches under the clothes.
        upper, lower: on the canonical garment surfaces; the mask is where the garment is, hidden parts included as far
            as they are known. None: nothing of it is there.
        visible: (H, W) int8: what the photo shows, 0 background, 1 body, 2 upper, 3 lower.
    """

    body: Correspondence
    upper: Correspondence | None
    lower: Correspondence | None
    visible: np.ndarray
