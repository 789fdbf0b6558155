"""IUV pictures and what detectron2's DensePose writes: read as detections, and written for pipelines that want them.

Pictures: ``cv2.imread`` gives (I, U, V), I first, as DensePose's own tools write them; I is 0 (background) to 24, U
and V count from 0 to 255. Read back with Pillow the channels come as (V, U, I).

Archives (.npz), one person each; what is not there is taken from the arrays:
    labels (h, w), uv (2, h, w) in [0, 1]    a chart result (``DensePoseChartResult``) inside the box
    labels_uv_uint8 (3, h, w)                the same, quantised
    vertex (h, w)                            CSE: SMPL's vertices (smpl_6890), -1 outside
    box (x, y, width, height), score         in pixels of the picture; without a box the arrays cover the picture
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from bodymap.densepose.adapter import Adapter
from bodymap.densepose.charts import CHARTS
from bodymap.densepose.mesh import MeshPoints
from bodymap.densepose.scoring import box_of
from bodymap.errors import UserError
from bodymap.files import atomic_path, read_npz
from bodymap.types import Correspondence


@dataclass(frozen=True)
class ChartDetection:
    """Charts and coordinates per pixel of the whole picture; 0 in ``chart`` is the background."""

    chart: UInt8[np.ndarray, "height width"]
    uv: Float[np.ndarray, "height width uv=2"]
    score: float = 1.0

    @property
    def mask(self) -> Bool[np.ndarray, "height width"]:
        return self.chart > 0

    @property
    def box(self) -> tuple[float, float, float, float]:
        return box_of(self.mask)

    def smpl(self, adapter: Adapter, row: Int[np.ndarray, " pixel"], column: Int[np.ndarray, " pixel"]) -> MeshPoints:
        return adapter.smpl_of_iuv(self.chart[row, column], self.uv[row, column])


@dataclass(frozen=True)
class VertexDetection:
    """SMPL's vertices per pixel of the whole picture; -1 outside."""

    vertex: Int[np.ndarray, "height width"]
    score: float = 1.0

    @property
    def mask(self) -> Bool[np.ndarray, "height width"]:
        return self.vertex >= 0

    @property
    def box(self) -> tuple[float, float, float, float]:
        return box_of(self.mask)

    def smpl(self, adapter: Adapter, row: Int[np.ndarray, " pixel"], column: Int[np.ndarray, " pixel"]) -> MeshPoints:
        vertex = self.vertex[row, column]
        if len(vertex) and vertex.max() >= len(adapter.vertices):
            raise UserError(
                f"The vertex {vertex.max()} is none of SMPL's {len(adapter.vertices)}; bring the vertices of CSE's "
                "smpl_27554 to smpl_6890 first."
            )
        return adapter.smpl_of_vertex(vertex)


def iuv_of_map(adapter: Adapter, found: Correspondence) -> UInt8[np.ndarray, "height width iuv=3"]:
    """Our map as (I, U, V): 0..24, 0..255, 0..255; all 0 outside the mask."""
    out = np.zeros((*found.size, 3), np.uint8)
    at = found.mask
    if at.any():
        chart, uv = adapter.iuv_of_smpl(adapter.smpl_of_template(found.triangle[at], found.barycentric[at]))
        out[at] = np.concatenate([chart[:, None], np.rint(uv.clip(0, 1) * 255)], 1).astype(np.uint8)
    return out


def write_iuv(iuv: UInt8[np.ndarray, "height width iuv=3"], path: str | os.PathLike) -> Path:
    """Writes the picture so that ``cv2.imread`` gives (I, U, V)."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(iuv[..., ::-1])).save(temporary)
    return Path(path)


def read_iuv(path: str | os.PathLike) -> UInt8[np.ndarray, "height width iuv=3"]:
    """(I, U, V) of an IUV picture, whichever way round its channels were written.

    Raises:
        UserError: not a picture, or no channel that could be I.
    """
    from bodymap.photo import read_photo

    picture = read_photo(path)
    if picture[..., 2].max() <= CHARTS:
        return np.ascontiguousarray(picture[..., ::-1])
    if picture[..., 0].max() <= CHARTS:
        return picture
    raise UserError(f"{path} is no IUV picture: neither its first nor its last channel counts from 0 to {CHARTS}.")


def read_detection(path: str | os.PathLike, size: tuple[int, int]) -> ChartDetection | VertexDetection:
    """One person of an IUV picture or an archive, laid into a picture of ``size`` (height, width).

    Raises:
        UserError: missing, damaged, another format, or of another size.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        iuv = read_iuv(path)
        if iuv.shape[:2] != tuple(size):
            raise UserError(f"{path} measures {iuv.shape[1]} x {iuv.shape[0]}, its picture {size[1]} x {size[0]}.")
        return ChartDetection(iuv[..., 0], iuv[..., 1:] / 255.0)
    if not path.is_file():
        raise UserError(f"There is no detection at {path}.")
    try:
        arrays = read_npz(path)
        score = float(arrays.get("score", 1.0))
        box = np.asarray(arrays["box"], float).reshape(4) if "box" in arrays else None
        if "vertex" in arrays:
            return VertexDetection(_laid(np.asarray(arrays["vertex"], np.int64), box, size, -1), score)
        if "labels_uv_uint8" in arrays:
            labels, uv = arrays["labels_uv_uint8"][0], arrays["labels_uv_uint8"][1:] / 255.0
        else:
            labels, uv = arrays["labels"], arrays["uv"]
        if labels.min() < 0 or labels.max() > CHARTS or uv.shape != (2, *labels.shape) or not np.isfinite(uv).all():
            raise ValueError("labels outside 0..24, or uv of another shape")
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} holds no detection in a known form ({str(error)[:100]}).") from None
    coordinates = _laid(np.moveaxis(np.asarray(uv, float), 0, -1).clip(0, 1), box, size, 0.0)
    return ChartDetection(_laid(labels.astype(np.uint8), box, size, 0), coordinates, score)


def _laid(values: np.ndarray, box: np.ndarray | None, size: tuple[int, int], empty: float) -> np.ndarray:
    """The array with its corner at the box's, rounded down, in a picture otherwise empty."""
    left, top = (0, 0) if box is None else (int(box[0]), int(box[1]))
    if box is None and values.shape[:2] != tuple(size):
        raise UserError(
            f"A detection without a box must cover its picture, {size[0]} x {size[1]} pixels, not {values.shape[:2]}."
        )
    out = np.full((*size, *values.shape[2:]), empty, values.dtype)
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + values.shape[0], size[0]), min(left + values.shape[1], size[1])
    if y1 > y0 and x1 > x0:
        out[y0:y1, x0:x1] = values[y0 - top : y1 - top, x0 - left : x1 - left]
    return out
