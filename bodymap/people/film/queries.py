"""Closest points on a triangle mesh, exactly, by warp's bounding volume hierarchy."""

# No "from __future__ import annotations" here: warp reads the annotations as types.
from typing import no_type_check

import numpy as np
import warp as wp

import bodymap.rendering.warp_backend  # noqa: F401  (starts warp, quietly)

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

_FAR = wp.constant(1.0e3)


@wp.kernel
@no_type_check
def closest_kernel(
    mesh: wp.uint64, positions: wp.array(dtype=wp.vec3), face: wp.array(dtype=int), weight: wp.array(dtype=wp.vec3)
):
    i = wp.tid()
    found = wp.mesh_query_point_no_sign(mesh, positions[i], _FAR)
    face[i] = found.face
    weight[i] = wp.vec3(found.u, found.v, 1.0 - found.u - found.v)


class ClosestPoint:
    """Answers for one mesh at rest; vertices (V, 3) metres, triangles (F, 3). On the CPU."""

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray):
        points = wp.array(np.ascontiguousarray(vertices, np.float32), dtype=wp.vec3, device="cpu")
        indices = wp.array(np.ascontiguousarray(triangles, np.int32).reshape(-1), dtype=wp.int32, device="cpu")
        self._mesh = wp.Mesh(points, indices)

    def __call__(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) int32 face and (n, 3) float32 barycentric weights of the closest point to each position (n, 3)."""
        count = len(positions)
        face, weight = wp.empty(count, dtype=wp.int32, device="cpu"), wp.empty(count, dtype=wp.vec3, device="cpu")
        at = wp.array(np.ascontiguousarray(positions, np.float32), dtype=wp.vec3, device="cpu")
        wp.launch(closest_kernel, count, inputs=[self._mesh.id, at, face, weight], device="cpu")
        return face.numpy(), np.clip(weight.numpy(), 0, 1)
