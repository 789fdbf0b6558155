"""How deep one part of a posed body is inside another: generalised winding numbers and distances on the real mesh.

The slow, obvious judge of the capsules of ``bodymap.people.collisions``; nothing here imports them.
"""

# No "from __future__ import annotations" here: warp reads the annotations as types.
from functools import cache
from typing import no_type_check

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import warp as wp

import bodymap.rendering.warp_backend  # noqa: F401  (starts warp, quietly)
from bodymap.people.anatomy import template
from bodymap.types import PART_NAMES

wp.set_module_options({"enable_backward": False})

_SOLIDS = {
    "trunk": ("head", "neck", "torso_front", "torso_back"),
    **{f"{side}_leg": tuple(f"{side}_{part}" for part in ("thigh", "shin", "foot")) for side in ("left", "right")},
    **{
        f"{side}_arm": tuple(f"{side}_{part}" for part in ("upper_arm", "forearm", "hand"))
        for side in ("left", "right")
    },
}
# Which parts must not be in which solids. Flesh that meets at a joint (armpit, groin) is left out.
_PAIRS = (
    ("arm in trunk", ("forearm", "hand"), "trunk", None),
    ("arm in leg", ("forearm", "hand"), "leg", "both"),
    ("arm in arm", ("forearm", "hand"), "arm", "other"),
    ("leg in leg", ("shin", "foot"), "leg", "other"),
    ("leg in trunk", ("shin", "foot"), "trunk", None),
)


@wp.kernel
@no_type_check
def depth_kernel(mesh: wp.uint64, points: wp.array(dtype=wp.vec3), depth: wp.array(dtype=float)):
    i = wp.tid()
    found = wp.mesh_query_point_sign_winding_number(mesh, points[i], 10.0, 2.0, 0.5)
    there = wp.mesh_eval_position(mesh, found.face, found.u, found.v)
    depth[i] = -found.sign * wp.length(there - points[i])


@cache
def _solid(name: str) -> np.ndarray:
    """Triangles of some parts, every hole closed by a fan around one more vertex: (F, 3), and the loops."""
    t = template()
    part = np.array(PART_NAMES)[t.triangle_part.numpy()]
    own = t.triangles.numpy()[np.isin(part, _SOLIDS[name]) & (t.triangle_inner.numpy() == 0)]
    edges = np.concatenate([own[:, [0, 1]], own[:, [1, 2]], own[:, [2, 0]]])
    known = set(map(tuple, edges.tolist()))
    rim = np.array([e for e in edges.tolist() if (e[1], e[0]) not in known])
    graph = scipy.sparse.coo_matrix((np.ones(len(rim)), (rim[:, 0], rim[:, 1])), (len(t.vertices),) * 2)
    label = scipy.sparse.csgraph.connected_components(graph, directed=False)[1][rim[:, 0]]
    return own, rim, np.unique(label, return_inverse=True)[1]


def _depth(name: str, vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
    own, rim, label = _solid(name)
    centres = np.stack([vertices[rim[label == k, 0]].mean(0) for k in range(label.max() + 1)])
    fan = np.stack([rim[:, 1], rim[:, 0], len(vertices) + label], 1)
    triangles = np.concatenate([own, fan]).astype(np.int32)
    corners = np.concatenate([vertices, centres]).astype(np.float32)
    mesh = wp.Mesh(
        wp.array(corners, dtype=wp.vec3, device="cpu"),
        wp.array(triangles.reshape(-1), dtype=wp.int32, device="cpu"),
        support_winding_number=True,
    )
    at = wp.array(np.ascontiguousarray(points, np.float32), dtype=wp.vec3, device="cpu")
    depth = wp.empty(len(points), dtype=float, device="cpu")
    wp.launch(depth_kernel, len(points), inputs=[mesh.id, at, depth], device="cpu")
    return depth.numpy()


def penetration(vertices: np.ndarray) -> dict[str, float]:
    """The depth in metres, 0 where nothing meets, of the deepest vertices (the 98th percentile of those of a limb's end
    segment) of every pair of parts.

    Args:
        vertices: (13380 or more, 3) posed; the first are the template's.
    """
    vertices = np.asarray(vertices, np.float32)[: len(template().vertices)]
    vertex_part = np.array(PART_NAMES)[template().vertex_part.numpy()]
    out = {}
    for name, parts, solid, which in _PAIRS:
        deepest = 0.0
        for side, other in (("left", "right"), ("right", "left")):
            for part in parts:
                points = vertices[vertex_part == f"{side}_{part}"][::3]
                targets = [solid] if which is None else [f"{other}_{solid}"]
                if which == "both":
                    targets.append(f"{side}_{solid}")
                for target in targets:
                    low, high = points.min(0), points.max(0)
                    inner = vertices[np.unique(_solid(target)[0])]
                    if (low < inner.max(0)).all() and (high > inner.min(0)).all():
                        deepest = max(deepest, float(np.quantile(_depth(target, vertices, points), 0.98)))
        out[name] = max(deepest, 0.0)
    return out
