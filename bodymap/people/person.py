"""A person: one body, dressed; built once from a seed, posed and photographed many times."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.people.config import PeopleConfig
from bodymap.people.mesh import Piece
from bodymap.people.outfit import dress
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.shape import Body, draw_body
from bodymap.people.skinning import Posed, pose_skeleton, skin
from bodymap.people.streams import stream

_CACHED = 40  # a person is 3 to 8 MB


@dataclass(frozen=True)
class Mesh:
    """All pieces of one or more people and things, joined for one rasterisation. V vertices, F triangles, U uv points.

    ``rest``, ``truth``, ``cloth`` are per vertex as in ``Piece``; ``piece`` (F,) indexes ``materials`` and ``layers``.
    ``template_triangle`` (F,) is -1 except on bare bodies. ``instance`` (F,): 0 things, 1 the subject, 2.. others.
    """

    triangles: Int[Tensor, "face 3"]
    uv: Float[Tensor, "uvvertex uv=2"]
    uv_triangles: Int[Tensor, "face 3"]
    rest: Float[Tensor, "vertex xyz=3"]
    truth: Float[Tensor, "vertex xyz=3"]
    cloth: Float[Tensor, "vertex uv=2"]
    piece: Int[Tensor, " face"]
    template_triangle: Int[Tensor, " face"]
    layers: tuple[int, ...]
    materials: tuple


@dataclass(frozen=True)
class Person:
    """A dressed body in the rest pose. ``pieces[0]`` is the skin, with all its vertices and the triangles that show.
    ``drawn``: the vertices that triangles use."""

    seed: int
    body: Body
    pieces: tuple[Piece, ...]
    mesh: Mesh
    starts: tuple[int, ...]
    skin_index: Int[np.ndarray, "vertex 6"]
    skin_weight: Float[np.ndarray, "vertex 6"]
    rest_vertices: Float[np.ndarray, "vertex xyz=3"]
    drawn: Int[np.ndarray, " used"]

    def pose(self, pack: Pack, local: Float[np.ndarray, "bone 3 3"]) -> tuple[Float[np.ndarray, "vertex xyz=3"], Posed]:
        """Posed vertices of all pieces, standing on z = 0, and the skeleton (in the same place)."""
        posed = pose_skeleton(pack.bones.parents, self.body.heads, local)
        vertices = skin(self.rest_vertices, self.skin_index, self.skin_weight, posed.transform)
        bare = vertices[:SKIN_VERTICES]
        for piece, start in zip(self.pieces, self.starts, strict=True):
            if piece.drape is not None:
                vertices[start : start + len(piece.vertices)] = piece.drape(bare, posed)
        lift = np.array([0, 0, -vertices[self.drawn, 2].min()], np.float32)
        shifted = Posed(
            posed.rotation,
            posed.position + lift,
            np.concatenate([posed.transform[..., :3], posed.transform[..., 3:] + lift[:, None]], 2),
            posed.heads,
        )
        return vertices + lift, shifted


def join(pieces: tuple[Piece, ...]) -> Mesh:
    """One mesh of many pieces."""
    vertex, uv = 0, 0
    triangles, uv_triangles, number, template = [], [], [], []
    for k, piece in enumerate(pieces):
        triangles.append(piece.triangles + vertex)
        uv_triangles.append(piece.uv_triangles + uv)
        number.append(np.full(len(piece.triangles), k))
        own = piece.template_triangle
        template.append(np.full(len(piece.triangles), -1) if own is None else own)
        vertex += len(piece.vertices)
        uv += len(piece.uv)

    def tensor(arrays: list[np.ndarray], kind: torch.dtype) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.concatenate(arrays))).to(kind)

    return Mesh(
        triangles=tensor(triangles, torch.int64),
        uv=tensor([p.uv for p in pieces], torch.float32),
        uv_triangles=tensor(uv_triangles, torch.int64),
        rest=tensor([p.rest for p in pieces], torch.float32),
        truth=tensor([p.truth for p in pieces], torch.float32),
        cloth=tensor([p.cloth for p in pieces], torch.float32),
        piece=tensor(number, torch.int64),
        template_triangle=tensor(template, torch.int64),
        layers=tuple(p.layer for p in pieces),
        materials=tuple(p.material for p in pieces),
    )


def build_person(seed: int, pack: Pack, config: PeopleConfig, split: str) -> Person:
    """Draws body and outfit; about a third of a second."""
    body = draw_body(stream(seed, "body", split), pack, split)
    pieces = dress(seed, pack, body, config.outfit, split)
    starts = np.cumsum([0, *(len(p.vertices) for p in pieces)])[:-1]
    mesh = join(tuple(pieces))
    return Person(
        seed=seed,
        body=body,
        pieces=tuple(pieces),
        mesh=mesh,
        drawn=np.unique(mesh.triangles.numpy()),
        starts=tuple(int(s) for s in starts),
        skin_index=np.concatenate([p.skin_index for p in pieces]),
        skin_weight=np.concatenate([p.skin_weight for p in pieces]).astype(np.float32),
        rest_vertices=np.concatenate([p.vertices for p in pieces]).astype(np.float32),
    )


_cache: OrderedDict = OrderedDict()


def get_person(seed: int, pack: Pack, config: PeopleConfig, split: str) -> Person:
    """As ``build_person``; the last ones built stay in memory."""
    key = (seed, id(pack), repr(config.outfit), split)
    if key not in _cache:
        _cache[key] = (build_person(seed, pack, config, split), pack)  # holding the pack keeps its id unique
        while len(_cache) > _CACHED:
            _cache.popitem(last=False)
    _cache.move_to_end(key)
    return _cache[key][0]
