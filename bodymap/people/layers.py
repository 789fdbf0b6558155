"""Cloth over cloth: how high earlier garments stand above the skin, and how a later one keeps clear of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bodymap.people.mesh import Piece, dots
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.shape import Body
from bodymap.people.wardrobe import Wardrobe

_GAP = 0.004  # metres between two layers of cloth
_HIGHEST = 0.08  # metres; what stands off further is not a layer on the skin
_SWINGS = 0.045  # metres; a skirt that stands off further moves in every pose


class Layers:
    """``height`` (13380,): metres of cloth above each skin vertex of one body in the rest pose."""

    def __init__(self, wardrobe: Wardrobe, body: Body):
        self.wardrobe = wardrobe
        self.skin = body.vertices[:SKIN_VERTICES]
        self.normal = body.skin_normal
        self.height = np.zeros(SKIN_VERTICES, np.float32)

    def _over(self, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
        """The skin vertex under each vertex of a piece, and how high above it the piece is."""
        vertex = self.wardrobe.nearest(piece.truth)
        return vertex, dots(piece.vertices - self.skin[vertex], self.normal[vertex])

    def record(self, piece: Piece) -> None:
        """Takes a piece that is now worn into account, and the skin next to its vertices."""
        vertex, height = self._over(piece)
        height = np.where((height > 0) & (height < (_HIGHEST if piece.drape is None else _SWINGS)), height, 0)
        np.maximum.at(self.height, vertex, height)
        for _ in range(2):
            around = self.height[self.wardrobe.skin_neighbours].max(0)
            self.height = np.where((self.height == 0) | (around < self.height), self.height, around)
            covered = self.height > 0
            # vertices between those of a coarse garment get its height too
            self.height = np.where(covered, self.height, np.where((around > 0), 0.9 * around, 0))

    def above(self, piece: Piece) -> Piece:
        """The piece, pushed out where it would lie within what is worn already. Draped pieces stay."""
        if piece.drape is not None or not self.height.any():
            return piece
        vertex, height = self._over(piece)
        below = self.height[vertex]
        push = np.where(below > 0, np.clip(below + _GAP - height, 0, _HIGHEST), 0).astype(np.float32)
        if not push.any():
            return piece
        push = _spread(push, piece.triangles)
        return replace(piece, vertices=piece.vertices + self.normal[vertex] * push[:, None])


def _spread(values: np.ndarray, triangles: np.ndarray, rounds: int = 3) -> np.ndarray:
    """Neighbours follow a push by halves, so that it makes no steps."""
    corners = np.ascontiguousarray(triangles.T)
    for _ in range(rounds):
        follow = values.copy()
        most = values[corners].max(0) * 0.75
        for k in range(3):
            np.maximum.at(follow, corners[k], most)
        values = follow
    return values
