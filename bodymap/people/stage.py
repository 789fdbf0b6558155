"""Who and what stands before the camera: actors, and all of them joined into one mesh for whoever wants to look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.people.mesh import Mesh
from bodymap.people.person import Person, Placed

_STILL = np.eye(3, 4, dtype=np.float32)[None]


@dataclass(frozen=True)
class Actor:
    """One mesh in its place.

    Attributes:
        mesh: at rest.
        bones: (J, 3, 4) transforms from rest to world, metres.
        instance: 0 a thing, 1 the subject, 2.. further people.
        draped: (first vertex, vertices (n, 3)) that do not follow the bones, world.
    """

    mesh: Mesh
    bones: Float[np.ndarray, "bone 3 4"]
    instance: int
    draped: tuple[tuple[int, Float[np.ndarray, "vertex xyz=3"]], ...] = ()

    @classmethod
    def person(cls, person: Person, placed: Placed, instance: int) -> Actor:
        return cls(person.mesh, placed.posed.transform, instance, placed.draped)

    @classmethod
    def thing(cls, mesh: Mesh) -> Actor:
        """A rigid mesh whose vertices are in the world already."""
        return cls(mesh, _STILL, 0)


@dataclass(frozen=True)
class Stage:
    """The joined mesh as it is photographed: as ``Mesh``, with ``vertices`` and unit ``normals`` in world axes, metres;
    ``instance`` per face."""

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


def join_actors(actors: list[Actor], vertices: Tensor, normals: Tensor) -> Stage:
    """The stage of these actors; ``vertices`` and ``normals`` are all of theirs in the same order, world."""
    vertex, uv, piece = 0, 0, 0
    parts: dict[str, list[Tensor]] = {
        name: [] for name in ("triangles", "uv", "uv_triangles", "rest", "truth", "cloth", "piece", "template_triangle")
    }
    for actor in actors:
        m = actor.mesh
        parts["triangles"].append(m.triangles.long() + vertex)
        parts["uv_triangles"].append(m.uv_triangles.long() + uv)
        parts["piece"].append(m.piece.long() + piece)
        parts["template_triangle"].append(m.template_triangle.long())
        for name in ("uv", "rest", "truth", "cloth"):
            parts[name].append(getattr(m, name))
        vertex, uv, piece = vertex + len(m.rest), uv + len(m.uv), piece + len(m.layers)
    return Stage(
        vertices=vertices,
        normals=normals,
        instance=torch.cat([torch.full((len(a.mesh.piece),), a.instance) for a in actors]),
        layers=tuple(layer for a in actors for layer in a.mesh.layers),
        materials=tuple(material for a in actors for material in a.mesh.materials),
        **{name: torch.cat(values) for name, values in parts.items()},
    )
