"""DensePose's 24 charts: their names, their places on the SMPL body, and the table that ties (I, U, V) to its surface
(Gueler, Neverova, Kokkinos: DensePose, CVPR 2018)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bodymap.errors import UserError

CHARTS = 24
_MOST_AROUND = 64  # triangles at a vertex; a body has far fewer, and tables of neighbours are as wide

# Which of our parts a chart lies on (sides without an entry in PART_NAMES are dropped for head and torso). Index = I;
# 0 is the background. Sides are the person's own.
CHART_PARTS: tuple[tuple[str, ...], ...] = (
    (),
    ("torso_back", "neck"),
    ("torso_front", "neck"),
    ("right_hand",),
    ("left_hand",),
    ("left_foot",),
    ("right_foot",),
    ("right_thigh",),
    ("left_thigh",),
    ("right_thigh",),
    ("left_thigh",),
    ("right_shin",),
    ("left_shin",),
    ("right_shin",),
    ("left_shin",),
    ("left_upper_arm",),
    ("right_upper_arm",),
    ("left_upper_arm",),
    ("right_upper_arm",),
    ("left_forearm",),
    ("right_forearm",),
    ("left_forearm",),
    ("right_forearm",),
    ("head", "neck"),
    ("head", "neck"),
)

# The side a chart lies on: -1 the person's left, +1 the right, 0 both. The head's two halves have sides too.
CHART_SIDE: tuple[int, ...] = (0, 0, 0, 1, -1, -1, 1, 1, -1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1, -1, 1, -1, 1, 1, -1)

# The 14 coarse parts of dp_masks in their order; index = value of a coarse mask
COARSE_NAMES: tuple[str, ...] = (
    "background",
    "torso",
    "right_hand",
    "left_hand",
    "left_foot",
    "right_foot",
    "right_thigh",
    "left_thigh",
    "right_shin",
    "left_shin",
    "left_upper_arm",
    "right_upper_arm",
    "left_forearm",
    "right_forearm",
    "head",
)

# Coarse part of each chart: front and back, and the two halves of torso and head, are one
COARSE_OF_CHART: tuple[int, ...] = (
    0, 1, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 14,
)  # fmt: skip

# Metres by which the official evaluator divides distances from points of a chart (its mean distances a part)
_KAPPA = {"torso": 0.351, "hand": 0.107, "foot": 0.126, "thigh": 0.237, "shin": 0.173, "upper_arm": 0.142,
          "forearm": 0.128, "head": 0.150}  # fmt: skip
KAPPA_OF_CHART: tuple[float, ...] = (
    np.nan,
    *(_KAPPA[COARSE_NAMES[c].removeprefix("left_").removeprefix("right_")] for c in COARSE_OF_CHART[1:]),
)

_FIELDS = ("All_Faces", "All_FaceIndices", "All_U_norm", "All_V_norm", "All_vertices")


@dataclass(frozen=True)
class ChartTable:
    """The charts as a mesh cut along their borders: n chart vertices, m triangles.

    Attributes:
        body_vertex: the SMPL vertex of each chart vertex; border vertices appear in several charts.
        triangles: corners, index into the chart vertices; all three lie in one chart.
        chart: 1..24 of each triangle.
        uv: DensePose's U and V of each chart vertex, in [0, 1].
    """

    body_vertex: Int[np.ndarray, " vertex"]
    triangles: Int[np.ndarray, "face 3"]
    chart: Int[np.ndarray, " face"]
    uv: Float[np.ndarray, "vertex uv=2"]

    @property
    def body_triangles(self) -> Int[np.ndarray, "face 3"]:
        """The same triangles over SMPL's vertices, where charts hang together."""
        return self.body_vertex[self.triangles]

    @property
    def vertex_chart(self) -> Int[np.ndarray, " vertex"]:
        """1..24 of each chart vertex; 0 where no triangle uses it."""
        out = np.zeros(len(self.body_vertex), np.int64)
        out[self.triangles] = self.chart[:, None]
        return out


def read_chart_table(path: str | os.PathLike) -> ChartTable:
    """Reads DensePose's UV_Processed.mat (part of its UV_data download).

    Raises:
        UserError: missing, damaged or another file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no chart table at {path}; give the UV_Processed.mat of DensePose's UV_data.")
    from scipy.io import loadmat

    try:
        raw = loadmat(path)
    except Exception as error:  # scipy's reader raises whatever it stumbles over
        raise UserError(f"{path} cannot be read ({str(error)[:100]}); get DensePose's UV_data again.") from None
    if missing := [name for name in _FIELDS if name not in raw]:
        raise UserError(f"{path} has no {missing[0]}; give the UV_Processed.mat of DensePose's UV_data.")
    try:
        faces, chart, u, v, body = (np.asarray(raw[name]) for name in _FIELDS)
        table = ChartTable(
            # the file counts from 1
            body_vertex=body.reshape(-1).astype(np.int64) - 1,
            triangles=faces.reshape(-1, 3).astype(np.int64) - 1,
            chart=chart.reshape(-1).astype(np.int64),
            uv=np.stack([u.reshape(-1), v.reshape(-1)], 1).astype(float),
        )
        check_table(table)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); get DensePose's UV_data again.") from None
    return table


def check_table(table: ChartTable) -> None:
    """Raises ValueError, saying what is wrong, unless the table's parts fit each other."""
    count = len(table.body_vertex)
    if not count or not len(table.triangles):
        raise ValueError("no triangles")
    if len(table.chart) != len(table.triangles) or len(table.uv) != count:
        raise ValueError("its arrays differ in length")
    if table.triangles.min() < 0 or table.triangles.max() >= count or table.body_vertex.min() < 0:
        raise ValueError("a vertex number out of range")
    if table.chart.min() < 1 or table.chart.max() > CHARTS:
        raise ValueError("a chart number outside 1..24")
    # written so that NaN fails
    if not ((table.uv >= -1e-6) & (table.uv <= 1 + 1e-6)).all():
        raise ValueError("coordinates outside 0..1")
    for triangles in (table.triangles, table.body_triangles):
        if (most := np.bincount(triangles.reshape(-1)).max()) > _MOST_AROUND:
            raise ValueError(f"{most} triangles meet at a vertex")
    if (table.vertex_chart[table.triangles] != table.chart[:, None]).any():
        raise ValueError("a triangle across two charts")
