"""A person: one body, dressed; built once from a seed, posed and photographed many times."""

from __future__ import annotations

import functools
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from bodymap.people.anatomy import template
from bodymap.people.config import PeopleConfig
from bodymap.people.face import draw_face
from bodymap.people.mesh import Mesh, Piece, join, used_vertices
from bodymap.people.outfit import dress
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.shape import Body, draw_body, with_face
from bodymap.people.shoes import heel_height, on_heels
from bodymap.people.skinning import Posed, pose_skeleton, skin
from bodymap.people.streams import stream

_CACHED = 16  # a person is 3 to 8 MB


@dataclass(frozen=True)
class Placed:
    """A person in a pose, standing on z = 0, for the renderer.

    Attributes:
        posed: the skeleton; its transforms move every vertex that is not draped.
        draped: (first vertex, vertices (n, 3)) of the pieces that hang by rules of their own, metres, world.
        probe: (P, 3) some of the drawn vertices, evenly spread: enough to frame a picture.
    """

    posed: Posed
    draped: tuple[tuple[int, Float[np.ndarray, "vertex xyz=3"]], ...]
    probe: Float[np.ndarray, "vertex xyz=3"]

    def moved(self, rotation: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, " xyz=3"]) -> Placed:
        """The same pose turned about the origin, then shifted."""
        rotation, shift = np.asarray(rotation, np.float32), np.asarray(shift, np.float32)
        p = self.posed
        transform = rotation @ p.transform
        transform[..., 3] += shift
        posed = Posed(rotation @ p.rotation, p.position @ rotation.T + shift, transform, p.heads)
        return Placed(
            posed, tuple((s, v @ rotation.T + shift) for s, v in self.draped), self.probe @ rotation.T + shift
        )


@dataclass(frozen=True)
class Person:
    """A dressed body in the rest pose. ``pieces[0]`` is the skin, with all its vertices and the triangles that show.

    Attributes:
        starts: first vertex of each piece in ``mesh``.
        drawn: the vertices that triangles use.  probe: one in eight of them.
    """

    seed: int
    body: Body
    pieces: tuple[Piece, ...]
    mesh: Mesh
    starts: tuple[int, ...]
    drawn: Int[np.ndarray, " used"]
    probe: Int[np.ndarray, " some"]

    @functools.cached_property
    def skin_colour(self) -> tuple[float, ...]:
        """Mean colour of the skin, sRGB in [0, 1], to four places."""
        return tuple(round(float(part), 4) for part in self.pieces[0].material.mean_colour)

    @functools.cached_property
    def bare(self) -> Mesh:
        """The whole skin, also what clothes hide."""
        t = template()
        keep = t.triangle_inner.numpy() == 0
        whole = replace(
            self.pieces[0],
            triangles=t.triangles.numpy()[keep],
            uv_triangles=t.uv_triangles.numpy()[keep],
            template_triangle=np.flatnonzero(keep),
        )
        return join((whole,))

    def place(self, pack: Pack, local: Float[np.ndarray, "bone 3 3"]) -> Placed:
        """The person in a pose (local rotations of all bones), standing on z = 0."""
        posed = pose_skeleton(pack.bones.parents, self.body.heads, local)
        draped = []
        for piece, start in zip(self.pieces, self.starts, strict=True):
            if piece.drape is not None:
                draped.append((start, piece.drape(_some_skin(self.pieces[0], piece.drape, posed), posed)))
        probe = skin(*self._probed, posed.transform)
        for start, vertices in draped:
            inside = (self.probe >= start) & (self.probe < start + len(vertices))
            probe[inside] = vertices[self.probe[inside] - start]
        lift = np.array([0, 0, -probe[:, 2].min()], np.float32)
        return Placed(posed, tuple(draped), probe).moved(np.eye(3), lift)

    def pose(self, pack: Pack, local: Float[np.ndarray, "bone 3 3"]) -> tuple[Float[np.ndarray, "vertex xyz=3"], Posed]:
        """Posed vertices of all pieces as ``place`` puts them, and the skeleton (in the same place).

        Wrinkles, which the renderer adds, are not in them.
        """
        placed = self.place(pack, local)
        vertices = self.skinned(np.arange(len(self.mesh.vertices)), placed.posed)
        for start, hanging in placed.draped:
            vertices[start : start + len(hanging)] = hanging
        return vertices, placed.posed

    def skinned(self, ids: Int[np.ndarray, " some"], posed: Posed) -> Float[np.ndarray, "some xyz=3"]:
        """Some of the mesh's vertices moved by the bones alone: draped pieces stay where their bones take them."""
        return skin(*self._bound(ids), posed.transform)

    def _bound(self, ids: Int[np.ndarray, " some"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Some vertices at rest, their bones and the bones' shares."""
        m = self.mesh
        return m.vertices.numpy()[ids], m.index.numpy()[ids].astype(np.int64), m.weight.numpy()[ids]

    @functools.cached_property
    def _probed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._bound(self.probe)


def _some_skin(piece: Piece, drape, posed: Posed) -> np.ndarray:
    """Posed skin vertices (13380, 3), as far as the drape looks at them (``drape.points``); the others stay zero."""
    out = np.zeros((SKIN_VERTICES, 3), np.float32)
    ids = getattr(drape, "points", None)
    if ids is not None:
        out[ids] = skin(piece.vertices[ids], piece.skin_index[ids], piece.skin_weight[ids], posed.transform)
    return out


def build_person(seed: int, pack: Pack, config: PeopleConfig, split: str) -> Person:
    """Draws body, face and outfit; about a third of a second."""
    body = draw_body(stream(seed, "body", split), pack, split)
    body = with_face(body, pack, draw_face(stream(seed, "face", split), pack, config.face))
    body = on_heels(body, pack, heel_height(seed, body, config.outfit, split))
    return assemble(seed, body, tuple(dress(seed, pack, body, config.outfit, split)))


def assemble(seed: int, body: Body, pieces: tuple[Piece, ...]) -> Person:
    """The person of these pieces; the first is the skin."""
    starts = np.cumsum([0, *(len(p.vertices) for p in pieces)])[:-1]
    mesh = join(pieces)
    drawn = used_vertices(mesh.triangles.numpy(), len(mesh.vertices))
    return Person(
        seed=seed,
        body=body,
        pieces=pieces,
        mesh=mesh,
        drawn=drawn,
        probe=drawn[::8],
        starts=tuple(int(s) for s in starts),
    )


_cache: OrderedDict = OrderedDict()


def get_person(seed: int, pack: Pack, config: PeopleConfig, split: str) -> Person:
    """As ``build_person``; the last ones built stay in memory."""
    key = (seed, id(pack), repr((config.face, config.outfit)), split)
    if key not in _cache:
        _cache[key] = (build_person(seed, pack, config, split), pack)  # holding the pack keeps its id unique
        while len(_cache) > _CACHED:
            _cache.popitem(last=False)
    _cache.move_to_end(key)
    return _cache[key][0]
