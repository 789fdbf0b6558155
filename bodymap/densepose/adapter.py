"""The adapter: DensePose's (I, U, V) <-> the SMPL body <-> our template, from two files that the user brings.

    python -m bodymap.densepose.adapter UV_Processed.mat smpl_mean.obj -o densepose.npz

UV_Processed.mat is in DensePose's UV_data; the mesh is SMPL's mean body (6890 vertices, any order; a CC-BY copy is
the man of github.com/odedstein/meshes). Our template is fitted to the mesh as to any scan of a person, so that every
place of one surface has its place on the other. Both files belong to others: keep the adapter to yourself as well.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bodymap.densepose.charts import CHART_PARTS, CHART_SIDE, CHARTS, ChartTable, check_table, read_chart_table
from bodymap.densepose.mesh import BodyMesh, ClosestPoints, MeshPoints, in_order_of, read_obj
from bodymap.errors import UserError, run_command
from bodymap.files import read_npz
from bodymap.surface import Template, load_template
from bodymap.surface.parts import PART_SIDE
from bodymap.types import PART_NAMES

FORMAT = "bodymap-densepose 1"
LARGEST_GAP = 0.005  # metres between the fitted template and the body, on average; more is a failed fit
_CHART_STEP = 10.0  # keeps charts apart when their coordinates are searched together
_HEIGHTS = (1.2, 2.3)  # metres of a grown-up body standing


@dataclass(frozen=True)
class Adapter:
    """IUV <-> SMPL <-> template. Points on SMPL are (triangle, barycentric) over ``table.body_triangles``.

    Attributes:
        table: the charts.
        vertices: SMPL's, metres, in the table's order.
        fitted: the template's vertices where they lie on that body, metres, the same frame.
        template: whose they are.
    """

    table: ChartTable
    vertices: Float[np.ndarray, "bodyvertex xyz=3"]
    fitted: Float[np.ndarray, "vertex xyz=3"]
    template: Template

    @cached_property
    def body(self) -> BodyMesh:
        return BodyMesh(self.vertices, self.table.body_triangles)

    # ------------------------------------------------------------------------------------------- IUV <-> SMPL

    def smpl_of_iuv(self, chart: Int[np.ndarray, " point"], uv: Float[np.ndarray, "point uv=2"]) -> MeshPoints:
        """Where on SMPL the charts' coordinates lie; coordinates outside a chart take its nearest place.

        Args:
            chart: 1..24.
            uv: DensePose's U and V in [0, 1].
        """
        return self._charts(np.concatenate([uv, _CHART_STEP * np.asarray(chart)[:, None]], 1))

    def iuv_of_smpl(self, points: MeshPoints) -> tuple[Int[np.ndarray, " point"], Float[np.ndarray, "point uv=2"]]:
        """Chart (1..24) and coordinates in [0, 1]."""
        face, weight = points
        return self.table.chart[face], (self.table.uv[self.table.triangles[face]] * weight[..., None]).sum(1)

    def smpl_of_vertex(self, vertex: Int[np.ndarray, " point"]) -> MeshPoints:
        """SMPL's vertices (0-based, the original order, as CSE's ``dp_vertex`` of smpl_6890) as points."""
        face, corner = self._at_vertex
        return face[vertex], np.eye(3)[corner[vertex]]

    @cached_property
    def _charts(self) -> ClosestPoints:
        places = np.concatenate([self.table.uv, _CHART_STEP * self.table.vertex_chart[:, None]], 1)
        return ClosestPoints(places, self.table.triangles)

    @cached_property
    def _at_vertex(self) -> tuple[np.ndarray, np.ndarray]:
        face, corner = (np.zeros(len(self.vertices), np.int64) for _ in range(2))
        flat = self.table.body_triangles.reshape(-1)
        face[flat], corner[flat] = np.divmod(np.arange(len(flat)), 3)
        return face, corner

    # -------------------------------------------------------------------------------------- SMPL <-> template

    def template_of_smpl(self, points: MeshPoints) -> MeshPoints:
        """The place on the template that lies over these places of SMPL."""
        return self._template_at(self.body.position(points))

    def smpl_of_template(
        self, triangle: Int[np.ndarray, " point"], barycentric: Float[np.ndarray, "point 3"]
    ) -> MeshPoints:
        """The place on SMPL under these places of the template."""
        corners = self.fitted[self.template.triangles.numpy()[triangle]]
        return self.body.closest((corners * barycentric[..., None]).sum(1))

    def _template_at(self, positions: Float[np.ndarray, "point xyz=3"]) -> MeshPoints:
        face, weight = self._surface(positions)
        return self._outer[face], weight

    @cached_property
    def _outer(self) -> Int[np.ndarray, " face"]:
        return np.flatnonzero(self.template.triangle_inner.numpy() == 0)

    @cached_property
    def _surface(self) -> ClosestPoints:
        return ClosestPoints(self.fitted, self.template.triangles.numpy()[self._outer])

    # ------------------------------------------------------------------------------------------- how good it is

    def gap(self) -> float:
        """Mean distance in metres from the vertices of each surface to the other surface, both ways."""
        outer = np.unique(self.template.triangles.numpy()[self._outer])
        there = self.fitted[outer] - self.body.position(self.body.closest(self.fitted[outer]))
        used = np.unique(self.table.body_triangles)
        face, weight = self._surface(self.vertices[used])
        back = self.vertices[used] - (self.fitted[self._surface.triangles[face]] * weight[..., None]).sum(1)
        return float((np.linalg.norm(there, axis=1).mean() + np.linalg.norm(back, axis=1).mean()) / 2)

    def wrong_charts(self) -> dict[int, str]:
        """Charts that do not lie where they should on the template, with the reason; empty if all is well."""
        centre = (np.arange(len(self.table.triangles)), np.full((len(self.table.triangles), 3), 1 / 3))
        triangle, _ = self.template_of_smpl(centre)
        part = self.template.triangle_part.numpy()[triangle]
        x = self.template.vertices.numpy()[self.template.triangles.numpy()[triangle]].mean(1)[:, 0]
        problems = {}
        for chart in range(1, CHARTS + 1):
            mine = self.table.chart == chart
            if not mine.any():
                continue
            wanted = [PART_NAMES.index(name) for name in CHART_PARTS[chart]]
            side = np.array(PART_SIDE)[part[mine]]
            # the template's left is at +X
            right = np.where(side == 0, -np.sign(x[mine]), side) == CHART_SIDE[chart]
            if CHART_SIDE[chart] and right.mean() < 0.9:
                problems[chart] = f"{100 * (1 - right.mean()):.0f} % of it lies on the other side"
            elif np.isin(part[mine], wanted).mean() < 0.5:
                problems[chart] = f"most of it lies on {PART_NAMES[np.bincount(part[mine]).argmax()]}"
        return problems

    # --------------------------------------------------------------------------------------------------- files

    def save(self, path: str | os.PathLike) -> Path:
        """Writes the file (about half a megabyte), whole or not at all."""
        from bodymap.files import atomic_path

        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(
                stream,
                format=np.array(FORMAT),
                code_version=np.array(self.template.code_version),
                body_vertex=self.table.body_vertex.astype(np.uint16),
                triangles=self.table.triangles.astype(np.uint16),
                chart=self.table.chart.astype(np.uint8),
                uv=self.table.uv.astype(np.float32),
                vertices=self.vertices.astype(np.float32),
                fitted=self.fitted.astype(np.float32),
            )
        return Path(path)


def load_adapter(path: str | os.PathLike, template: Template | None = None) -> Adapter:
    """Reads a file of ``Adapter.save``.

    Args:
        template: the one in use; None: the shipped one.

    Raises:
        UserError: missing, damaged, not such a file, or made for another template.
    """
    path, template = Path(path), template or load_template()
    if not path.is_file():
        raise UserError(f"There is no adapter at {path}; make one with python -m bodymap.densepose.adapter.")
    try:
        raw = read_npz(path)
        if str(raw["format"]) != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        made_for = str(raw["code_version"])
        arrays = {
            name: _plain(raw[name], name, kind, width)
            for name, (kind, width) in {
                "body_vertex": ("u", None), "triangles": ("u", 3), "chart": ("u", None), "uv": ("f", 2),
                "vertices": ("f", 3), "fitted": ("f", 3),
            }.items()
        }  # fmt: skip
        vertices, fitted = arrays.pop("vertices"), arrays.pop("fitted")
        table = ChartTable(**arrays)
        check_table(table)
        if len(vertices) <= table.body_vertex.max() or not (np.isfinite(vertices).all() and np.isfinite(fitted).all()):
            raise ValueError("a vertex is missing")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is no adapter or damaged ({str(error)[:100]}); make it with python -m bodymap.densepose.adapter."
        ) from None
    if made_for != template.code_version or fitted.shape != tuple(template.vertices.shape):
        raise UserError(f"{path} was made for the template {made_for!r}, not {template.code_version!r}; make it again.")
    return Adapter(table, vertices, fitted, template)


def _plain(array: np.ndarray, name: str, kind: str, width: int | None) -> np.ndarray:
    """An array of the file as float64 or int64; ValueError unless it has the type and shape that are written."""
    if (
        array.dtype.kind != kind
        or array.ndim != (1 if width is None else 2)
        or array.shape[1:] != (width,)[: array.ndim - 1]
    ):
        raise ValueError(f"{name} is {array.dtype} {array.shape}")
    return array.astype(float if kind == "f" else np.int64)


def body_in_order(table: ChartTable, path: str | os.PathLike) -> Float[np.ndarray, "bodyvertex xyz=3"]:
    """SMPL's mean body of an .obj file with its vertices in the table's order, metres.

    Raises:
        UserError: the file cannot be read, is another body, or not in metres.
    """
    vertices, triangles = read_obj(path)
    height = float(np.ptp(vertices, axis=0).max())
    if not _HEIGHTS[0] <= height <= _HEIGHTS[1]:
        raise UserError(f"The body in {path} measures {height:.3g}, which are no metres; scale it to its true size.")
    a, b, c = (vertices[triangles[:, k]] - vertices.mean(0) for k in range(3))
    if (a * np.cross(b, c)).sum() < 0:
        # inside out; the body being symmetric, its left would be taken for its right
        triangles = triangles[:, ::-1]
    count = int(table.body_vertex.max()) + 1
    order = in_order_of(table.body_triangles, count, triangles)
    if order is None:
        raise UserError(
            f"{path} ({len(vertices)} vertices) is not the body of the chart table ({count} vertices) or was remeshed; "
            "give SMPL's mean body as published."
        )
    return vertices[order]


def make_adapter(
    table_path: str | os.PathLike,
    mesh_path: str | os.PathLike,
    pack_path: str | os.PathLike | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Adapter:
    """Fits the template to SMPL's mean body; half a minute on one core.

    Raises:
        UserError: a file cannot be used, or the fit failed (gap above LARGEST_GAP, a chart in the wrong place).
    """
    table = read_chart_table(table_path)
    vertices = body_in_order(table, mesh_path)
    from bodymap.people.pack import Pack
    from bodymap.people.scans.registration import register

    made = register(mesh_path, Pack.load(pack_path), unit="m", texture=64, progress=progress)
    adapter = Adapter(table, vertices, made.vertices, load_template())
    if (gap := adapter.gap()) > LARGEST_GAP:
        raise UserError(f"The template stays {1e3 * gap:.1f} mm away from {mesh_path}; is it a standing, bare body?")
    if problems := adapter.wrong_charts():
        chart, reason = next(iter(problems.items()))
        raise UserError(f"Chart {chart} is in the wrong place on {mesh_path}: {reason}; is the mesh mirrored?")
    return adapter


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.densepose.adapter",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", metavar="UV_Processed.mat", help="DensePose's chart table")
    parser.add_argument("mesh", metavar="smpl_mean.obj", help="SMPL's mean body, triangles, metres")
    parser.add_argument("-o", "--output", default="densepose.npz", metavar="NPZ", help="default: %(default)s")
    parser.add_argument("--pack", metavar="FILE", help="a people pack; default: the small one that ships")
    options = parser.parse_args(arguments)
    if not Path(options.output).resolve().parent.is_dir():
        raise UserError(
            f"The folder {Path(options.output).parent} does not exist; create it, or choose another output."
        )
    if Path(options.output).suffix != ".npz":
        raise UserError(f"An adapter is an .npz file; choose such a name, not {options.output}.")
    adapter = make_adapter(options.table, options.mesh, options.pack, print)
    adapter.save(options.output)
    print(f"wrote {options.output}: all charts in place, {1e3 * adapter.gap():.2f} mm between the surfaces")
    return 0


if __name__ == "__main__":
    run_command(main)
