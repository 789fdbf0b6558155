"""Solid things fitted to one body: landmarks on it, and what is worn bound to the nearest places of its skin."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from bodymap.people.anatomy import template
from bodymap.people.material import Material
from bodymap.people.mesh import Piece
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.primitives import Solid, as_piece
from bodymap.people.shape import Body
from bodymap.people.wardrobe import Wardrobe

# Places on the template at rest (its left side), metres.
_PLACES = {
    "bridge": (0.0, -0.145, 0.699),
    "nose_tip": (0.0, -0.162, 0.661),
    "chin": (0.0, -0.146, 0.605),
    "ear_root": (0.0735, -0.058, 0.710),
    "ear_back": (0.0705, -0.015, 0.7055),
    "ear_out": (0.0858, -0.032, 0.690),
    "ear_lobe": (0.0735, -0.046, 0.652),
    "temple": (0.067, -0.095, 0.703),
}


@dataclass(frozen=True)
class Worn:
    """A piece ready to be put on.

    Attributes:
        on_cloth: lies on whatever is worn beneath it; else it keeps its shape.
        hides: (13380,) bool, skin that it covers, or None.
    """

    piece: Piece
    on_cloth: bool = False
    hides: np.ndarray | None = None


def landmark(wardrobe: Wardrobe, name: str, side: float = 1.0) -> int:
    """The skin vertex at a named place; ``side`` -1: on the person's right."""
    cache = wardrobe.kept
    if ("landmark", name, side) not in cache:
        place = np.array(_PLACES[name]) * [side, 1, 1]
        rest, outer = wardrobe.anatomy.rest[:SKIN_VERTICES], outer_skin()
        cache["landmark", name, side] = int(outer[np.linalg.norm(rest[outer] - place, axis=1).argmin()])
    return cache["landmark", name, side]


def outer_skin() -> Int[np.ndarray, " vertex"]:
    """The vertices that are not inside the mouth or the eyes' sockets."""
    return np.flatnonzero((template().vertex_triangles[:, 0] >= 0).numpy())


def skin_of(wardrobe: Wardrobe, *groups: str) -> Int[np.ndarray, " vertex"]:
    """Outer skin vertices of these groups of the anatomy."""
    cache = wardrobe.kept
    if ("skin", groups) not in cache:
        outer = outer_skin()
        cache["skin", groups] = outer[wardrobe.anatomy.is_group(*groups)[outer]]
    return cache["skin", groups]


def nearest_places(
    wardrobe: Wardrobe, body: Body, vertices: Float[np.ndarray, "n xyz=3"], groups: tuple[str, ...]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n xyz=3"]]:
    """The nearest skin vertex of this body, and the place on the template (blended over the four nearest)."""
    ids = skin_of(wardrobe, *groups)
    skin = torch.from_numpy(np.ascontiguousarray(body.vertices[ids], np.float32))
    distance, near = torch.cdist(torch.from_numpy(vertices.astype(np.float32)), skin).topk(4, largest=False)
    weight = 1 / (distance.numpy() + 1e-3) ** 2
    weight = weight / weight.sum(1, keepdims=True)
    near = ids[near.numpy()]
    return near[:, 0], (wardrobe.anatomy.rest[near] * weight[..., None]).sum(1).astype(np.float32)


def fitted(
    wardrobe: Wardrobe,
    body: Body,
    solid: Solid,
    name: str,
    layer: int,
    material: Material,
    groups: tuple[str, ...],
    bone: str | None = None,
) -> Piece:
    """A solid in its place on this body at rest, bound to the nearest skin of some groups.

    Args:
        bone: what moves it, rigidly; None: each vertex moves with the skin next to it.
    """
    near, truth = nearest_places(wardrobe, body, solid[0], groups)
    piece = as_piece(solid, name, layer, material, truth)
    if bone is not None:
        index = np.full((len(near), 6), wardrobe.pack.bones.index(bone))
        return replace(piece, skin_index=index)
    return replace(piece, skin_index=wardrobe.pack.skin_index[near], skin_weight=wardrobe.pack.skin_weight[near])


def frame_at(body: Body, vertex: int, along: Float[np.ndarray, " xyz=3"]) -> Float[np.ndarray, "3 3"]:
    """Columns: along the skin, across it, out of it, at a skin vertex of this body at rest."""
    normal = body.skin_normal[vertex].astype(float)
    first = along - normal * (along @ normal)
    first /= max(np.linalg.norm(first), 1e-9)
    return np.stack([first, np.cross(normal, first), normal], 1)
