"""Everything that stands before the camera, joined for one rasterisation: the subject, other people, things."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.people.person import Mesh


@dataclass(frozen=True)
class Actor:
    """One mesh in its place. ``instance``: 0 things, 1 the subject, 2.. further people."""

    mesh: Mesh
    vertices: Float[Tensor, "vertex xyz=3"]
    instance: int


@dataclass(frozen=True)
class Stage:
    """The joined mesh; as ``Mesh``, ``vertices`` and unit ``normals`` in world axes, ``instance`` per face."""

    vertices: Float[Tensor, "vertex xyz=3"]
    normals: Float[Tensor, "vertex xyz=3"]
    triangles: Int[Tensor, "face 3"]
    uv: Float[Tensor, "uvvertex uv=2"]
    uv_triangles: Int[Tensor, "face 3"]
    rest: Float[Tensor, "vertex xyz=3"]
    truth: Float[Tensor, "vertex xyz=3"]
    cloth: Float[Tensor, "vertex uv=2"]
    piece: Int[Tensor, " face"]
    template_triangle: Int[Tensor, " face"]
    instance: Int[Tensor, " face"]
    layers: tuple[int, ...]
    materials: tuple


def set_stage(actors: list[Actor]) -> Stage:
    """Joins the actors; the subject comes first."""
    vertex, uv, piece = 0, 0, 0
    parts: dict[str, list[Tensor]] = {
        name: [] for name in ("triangles", "uv", "uv_triangles", "rest", "truth", "cloth", "piece", "template_triangle")
    }
    for actor in actors:
        m = actor.mesh
        parts["triangles"].append(m.triangles + vertex)
        parts["uv_triangles"].append(m.uv_triangles + uv)
        parts["piece"].append(m.piece + piece)
        for name in ("uv", "rest", "truth", "cloth", "template_triangle"):
            parts[name].append(getattr(m, name))
        vertex, uv, piece = vertex + len(m.rest), uv + len(m.uv), piece + len(m.layers)
    joined = {name: torch.cat(values) for name, values in parts.items()}
    vertices = torch.cat([actor.vertices for actor in actors])
    return Stage(
        vertices=vertices,
        normals=vertex_normals(vertices, joined["triangles"]),
        instance=torch.cat([torch.full((len(a.mesh.piece),), a.instance) for a in actors]),
        layers=tuple(layer for a in actors for layer in a.mesh.layers),
        materials=tuple(material for a in actors for material in a.mesh.materials),
        **joined,
    )


def vertex_normals(
    vertices: Float[Tensor, "vertex xyz=3"], triangles: Int[Tensor, "face 3"]
) -> Float[Tensor, "vertex xyz=3"]:
    """Area-weighted unit normals."""
    a, b, c = vertices[triangles].unbind(1)
    face = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total.index_add_(0, triangles[:, k], face)
    return torch.nn.functional.normalize(total, dim=1)
