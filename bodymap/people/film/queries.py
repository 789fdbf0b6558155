"""Closest points on a triangle mesh, exactly, by warp's bounding volume hierarchy."""

# No "from __future__ import annotations" here: warp reads the annotations as types.
from typing import no_type_check

import torch
import warp as wp
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.people.film.arrays import view
from bodymap.rendering.warp_backend import torch_stream

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

_NEAR = wp.constant(0.03)
_FAR = wp.constant(1.0e3)


@wp.struct
class Found:
    """A face of the mesh and the barycentric weights of its corners."""

    face: int
    weight: wp.vec3


@wp.func
@no_type_check
def closest(mesh: wp.uint64, p: wp.vec3) -> Found:
    """The closest point of the mesh."""
    # most places are close, and what is further off need not be looked at
    hit = wp.mesh_query_point_no_sign(mesh, p, _NEAR)
    if not hit.result:
        hit = wp.mesh_query_point_no_sign(mesh, p, _FAR)
    u = wp.clamp(hit.u, 0.0, 1.0)
    v = wp.clamp(hit.v, 0.0, 1.0 - u)
    out = Found()
    out.face = hit.face
    out.weight = wp.vec3(u, v, 1.0 - u - v)
    return out


@wp.kernel
@no_type_check
def closest_kernel(
    mesh: wp.uint64, positions: wp.array(dtype=wp.vec3), face: wp.array(dtype=int), weight: wp.array(dtype=wp.vec3)
):
    i = wp.tid()
    found = closest(mesh, positions[i])
    face[i] = found.face
    weight[i] = found.weight


class ClosestPoint:
    """Answers for some triangles of a mesh at rest.

    Args:
        vertices: (V, 3) metres.  triangles: (F, 3).  chosen: (K,) which of them.
        device: where positions will be.

    Attributes:
        mesh: warp's number of the mesh.  faces: (K,) ``chosen``, for kernels.
    """

    def __init__(self, vertices: Tensor, triangles: Tensor, chosen: Int[Tensor, " some"], device: torch.device):
        self.device = device
        self._chosen = chosen.to(device)
        self._numbers = self._chosen.int().contiguous()
        with torch_stream(device):
            self._points = vertices.float().to(device).contiguous()
            self._corners = triangles[chosen.to(triangles.device)].int().to(device).reshape(-1).contiguous()
            self._mesh = wp.Mesh(wp.from_torch(self._points, dtype=wp.vec3), wp.from_torch(self._corners))
        self.mesh = self._mesh.id
        self.faces = wp.from_torch(self._numbers)

    def __call__(
        self, positions: Float[Tensor, "point xyz=3"]
    ) -> tuple[Int[Tensor, " point"], Float[Tensor, "point corner=3"]]:
        """(triangle, barycentric) of the closest point to each position."""
        count = len(positions)
        face = torch.empty(count, dtype=torch.int32, device=self.device)
        weight = torch.empty(count, 3, device=self.device)
        at = positions.float().contiguous()
        with torch_stream(self.device):
            wp.launch(
                closest_kernel,
                count,
                inputs=[
                    self.mesh,
                    view(at, dtype=wp.vec3),
                    view(face),
                    view(weight, dtype=wp.vec3),
                ],
                device=wp.device_from_torch(self.device),
            )
        return self._chosen[face.long()], weight
