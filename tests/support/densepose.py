"""Toy adapters: a flat strip on which distances are known by hand, and the template in SMPL's place."""

import functools
import json

import numpy as np

from bodymap.densepose.adapter import Adapter
from bodymap.densepose.charts import ChartTable
from bodymap.surface import load_template
from bodymap.types import PART_NAMES

_CHART_OF_PART = {
    "torso_front": 2, "torso_back": 1, "right_hand": 3, "left_hand": 4, "left_foot": 5, "right_foot": 6,
    "right_thigh": 9, "left_thigh": 10, "right_shin": 13, "left_shin": 14, "left_upper_arm": 15,
    "right_upper_arm": 16, "left_forearm": 19, "right_forearm": 20,
}  # fmt: skip


def strip_adapter() -> Adapter:
    """A flat strip of 2 m x 0.1 m: chart 2 (torso) from 0 to 1 m, chart 3 (right hand) from 1 to 2 m; U along it,
    V across. Geodesics along it are differences of place. It has no template."""
    columns, rows = 41, 3
    x, y = np.meshgrid(np.linspace(0, 2, columns), np.linspace(0, 0.1, rows), indexing="ij")
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)
    number = np.arange(columns * rows).reshape(columns, rows)
    a, b, c, d = (v.ravel() for v in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    hand = vertices[triangles].mean(1)[:, 0] > 1
    # cut at 1 m: each chart has its own copy of every vertex
    uv = np.concatenate([vertices[:, :2] * [1, 10], (vertices[:, :2] - [1, 0]) * [1, 10]]).clip(0, 1)
    table = ChartTable(
        body_vertex=np.tile(np.arange(len(vertices)), 2),
        triangles=triangles + np.where(hand, len(vertices), 0)[:, None],
        chart=np.where(hand, 3, 2),
        uv=uv,
    )
    return Adapter(table, vertices, np.zeros((0, 3)), None)


@functools.cache
def template_adapter(mirrored: bool = False) -> Adapter:
    """The template itself in SMPL's place, its parts as charts: every conversion must give back what it was given.
    The same object each time, so that its search trees and geodesics are made once.

    Args:
        mirrored: give the charts of the left to the right and the other way about.
    """
    t = load_template()
    outer = np.flatnonzero(t.triangle_inner.numpy() == 0)
    corners, flat = t.triangles.numpy()[outer], t.uv_triangles.numpy()[outer]
    x = t.vertices.numpy()[corners].mean(1)[:, 0]
    chart = np.array([_CHART_OF_PART.get(PART_NAMES[p], 0) for p in t.triangle_part.numpy()[outer]])
    chart = np.where(chart == 0, np.where(x > 0, 24, 23), chart)
    if mirrored:
        swap = np.arange(25)
        for a, b in ((3, 4), (5, 6), (9, 10), (13, 14), (15, 16), (19, 20), (23, 24)):
            swap[[a, b]] = b, a
        chart = swap[chart]
    # a chart vertex is a vertex of the atlas in one chart
    keys, index = np.unique(np.stack([flat.ravel(), np.repeat(chart, 3)], 1), axis=0, return_inverse=True)
    body_vertex = np.zeros(len(keys), np.int64)
    body_vertex[index.ravel()] = corners.ravel()
    table = ChartTable(body_vertex, index.reshape(-1, 3), chart, t.uv.numpy()[keys[:, 0]].astype(float))
    return Adapter(table, t.vertices.numpy().astype(float), t.vertices.numpy().astype(float), t)


def write_table(table: ChartTable, path) -> None:
    """As DensePose's UV_Processed.mat holds it."""
    from scipy.io import savemat

    savemat(
        path,
        {
            "All_Faces": table.triangles + 1,
            "All_FaceIndices": table.chart[:, None],
            "All_U_norm": table.uv[:, :1],
            "All_V_norm": table.uv[:, 1:],
            "All_vertices": table.body_vertex[None] + 1,
        },
    )


def write_obj(vertices, triangles, path) -> None:
    lines = [f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in vertices] + [f"f {a} {b} {c}" for a, b, c in triangles + 1]
    path.write_text("\n".join(lines) + "\n")


def annotation(number=1, picture=1, box=(10, 20, 51, 51), points=((0, 0, 2, 0.0, 0.5),), **more) -> dict:
    """One person; points are (dp_x, dp_y, I, U, V)."""
    x, y, chart, u, v = (list(values) for values in zip(*points, strict=True)) if points else ([],) * 5
    entry = {"id": number, "image_id": picture, "category_id": 1, "bbox": list(box), "area": box[2] * box[3],
             "iscrowd": 0, "dp_x": x, "dp_y": y, "dp_I": chart, "dp_U": u, "dp_V": v}  # fmt: skip
    return {**entry, **more}


def write_annotations(path, annotations, size=(100, 120), pictures=(1,)) -> None:
    images = [{"id": i, "file_name": f"{i}.png", "height": size[0], "width": size[1]} for i in pictures]
    categories = [{"id": 1, "name": "person"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
