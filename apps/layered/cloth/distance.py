"""Signed distance to a closed mesh that may overlap itself (an arm in a side): by winding number, in warp."""

# No "from __future__ import annotations" here: warp reads the annotations as types.
from typing import no_type_check

import numpy as np
import warp as wp
from jaxtyping import Float, Int

wp.set_module_options({"enable_backward": False})


@wp.kernel
@no_type_check
def signed_kernel(
    mesh: wp.uint64,
    positions: wp.array(dtype=wp.vec3),
    reach: float,
    distance: wp.array(dtype=float),
    face: wp.array(dtype=int),
):
    i = wp.tid()
    hit = wp.mesh_query_point_sign_winding_number(mesh, positions[i], reach)
    distance[i] = reach
    face[i] = -1
    if hit.result:
        place = wp.mesh_eval_position(mesh, hit.face, hit.u, hit.v)
        distance[i] = wp.length(positions[i] - place) * hit.sign
        face[i] = hit.face


class SignedDistance:
    """Of one mesh; ``move`` puts its vertices elsewhere."""

    def __init__(self, vertices: Float[np.ndarray, "vertex xyz=3"], triangles: Int[np.ndarray, "face 3"]):
        wp.config.quiet = True
        self._triangles = wp.array(np.ascontiguousarray(triangles, np.int32).reshape(-1), dtype=int, device="cpu")
        self.move(vertices)

    def move(self, vertices: Float[np.ndarray, "vertex xyz=3"]) -> None:
        points = wp.array(np.ascontiguousarray(vertices, np.float32), dtype=wp.vec3, device="cpu")
        self._mesh = wp.Mesh(points, self._triangles, support_winding_number=True)

    def __call__(
        self, positions: Float[np.ndarray, "point xyz=3"], reach: float = 0.35
    ) -> tuple[Float[np.ndarray, " point"], Int[np.ndarray, " point"]]:
        """(metres, negative inside; nearest triangle); ``reach`` and -1 where nothing is that near."""
        at = wp.array(np.ascontiguousarray(positions, np.float32), dtype=wp.vec3, device="cpu")
        distance = wp.zeros(len(positions), dtype=float, device="cpu")
        face = wp.zeros(len(positions), dtype=int, device="cpu")
        wp.launch(
            signed_kernel, len(positions), inputs=[self._mesh.id, at, reach], outputs=[distance, face], device="cpu"
        )
        return distance.numpy().copy(), face.numpy().copy()  # numpy() of the CPU is a view of living memory
