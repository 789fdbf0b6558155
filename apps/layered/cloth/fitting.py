"""Clothes that fit somebody's build: trousers cut with the legs apart, arms and legs that leave room for cloth.

In the rest pose thighs are 2 to 4 cm apart below the crotch. Cloth let out from both closes the gap: trouser legs part
10 to 20 cm below the crotch only, and a step tears at the web between them. Cut with the legs apart and carried back,
they part where the body does. And cloth is torn where it is held fast between a big person's arms and sides, or
thighs: these stay as far apart as it needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from apps.layered.cloth.motion import CLOSED, HANGING
from bodymap.people.anatomy import polyline_coordinate
from bodymap.people.film.queries import ClosestPoint
from bodymap.people.mesh import neighbour_table, smooth
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.shape import Body
from bodymap.people.skinning import pose_skeleton, rotation_vector, skin
from bodymap.people.wardrobe import Wardrobe
from bodymap.surface import load_template

LEGS = 15.0  # degrees that each leg goes outwards where trousers are cut
_ROOM = 0.01  # metres between upper arm and side: most of the cloth there hangs in front of the gap or behind it
_ROOM_THIGHS = 0.016  # metres between the thighs, 3 cm below the crotch and lower: cloth, a gap and cloth
_PARTED = 0.0035  # metres that each trouser leg keeps off the middle plane
_ROUNDS = 6  # of averaging the motion over the cloth, so that it does not jump where the nearest skin does


@dataclass(frozen=True)
class Fitting:
    """One body with its limbs apart: ``body`` in this pose, its ``heads`` too."""

    body: Body
    _move: Float[np.ndarray, "vertex 12"]

    @classmethod
    def of(cls, pack: Pack, body: Body, legs: float = 0.0, arms: float = 0.0) -> Fitting:
        """``legs``: degrees that each leg goes outwards; ``arms``: degrees that each arm goes up."""
        local = np.tile(np.eye(3, dtype=np.float32), (len(pack.bones.labels), 1, 1))
        for bone, degrees in (("upperleg01", legs), ("upperarm01", arms)):
            for side, sign in (("L", 1), ("R", -1)):
                turn = rotation_vector(np.radians([0.0, -sign * degrees, 0.0]))
                local[pack.bones.index(f"{bone}.{side}")] = turn
        posed = pose_skeleton(pack.bones.parents, body.heads, local)
        index, weight = pack.skin_index[:SKIN_VERTICES], pack.skin_weight[:SKIN_VERTICES]
        vertices = body.vertices.copy()
        vertices[:SKIN_VERTICES] = skin(body.vertices[:SKIN_VERTICES], index, weight, posed.transform)
        move = (weight[..., None] * posed.transform.reshape(-1, 12)[index]).sum(1)
        return cls(replace(body, vertices=vertices, heads=posed.position), move)

    def to_rest(
        self, vertices: Float[np.ndarray, "vertex xyz=3"], triangles: Int[np.ndarray, "face 3"]
    ) -> Float[np.ndarray, "vertex xyz=3"]:
        """Cloth cut about this pose carried back to the body at rest, as the nearest skin goes."""
        corners, weight = _closest(self.body.vertices[:SKIN_VERTICES], _faces(), vertices)
        move = (self._move[corners] * weight).sum(1)
        move = smooth(move, neighbour_table(triangles, len(vertices)), _ROUNDS).reshape(-1, 3, 4).astype(float)
        return np.linalg.solve(move[..., :3], (vertices - move[..., 3])[..., None])[..., 0]


def parted(
    rest: Float[np.ndarray, "vertex xyz=3"], cut: Float[np.ndarray, "vertex xyz=3"]
) -> Float[np.ndarray, "vertex xyz=3"]:
    """``rest`` with each trouser leg, as it was ``cut``, on its own side of the middle plane."""
    side, off = np.sign(cut[:, 0]), np.minimum(np.abs(cut[:, 0]), _PARTED)
    return np.concatenate([(side * np.maximum(side * rest[:, 0], off))[:, None], rest[:, 1:]], 1)


def arms_off(pack: Pack, body: Body) -> float:
    """Degrees by which hanging arms must stay further out for room between upper arm and side; 0 to HANGING."""
    a = Wardrobe.of(pack).anatomy
    arm, leg = a.is_group("arm", "hand")[:SKIN_VERTICES], a.is_group("leg", "foot")[:SKIN_VERTICES]
    heads = {label: body.heads[i].astype(float) for i, label in enumerate(pack.bones.labels)}
    shoulder, elbow, wrist = (heads[f"{joint}.L"] for joint in ("upperarm01", "lowerarm01", "wrist"))
    length = np.linalg.norm(elbow - shoulder)
    along = polyline_coordinate(body.vertices[:SKIN_VERTICES].astype(float), [shoulder, elbow, wrist])
    # not the armpit, where arm and side are one
    upper = np.flatnonzero(arm & a.left[:SKIN_VERTICES] & (along > 0.45 * length) & (along < 1.2 * length))
    trunk = _faces()[~(arm | leg)[_faces()].any(1)]
    for off in np.arange(0.0, HANGING, 2.0):
        skin_there = Fitting.of(pack, body, arms=off - HANGING).body.vertices[:SKIN_VERTICES]
        corners, weight = _closest(skin_there, trunk, skin_there[upper])
        side = skin_there[corners]
        outwards = np.cross(side[:, 1] - side[:, 0], side[:, 2] - side[:, 0])
        away = skin_there[upper] - (side * weight).sum(1)
        room = np.sign((away * outwards).sum(1)) * np.linalg.norm(away, axis=1)
        if room.min() > _ROOM:
            return float(off)
    return HANGING


def legs_off(pack: Pack, body: Body) -> float:
    """Degrees by which walking legs must stay further out for room between the thighs; 0 to CLOSED."""
    rest = body.vertices[:SKIN_VERTICES]
    crotch = rest[np.abs(rest[:, 0]) < 1e-4, 2].min()
    knee = body.heads[pack.bones.index("lowerleg01.L"), 2]
    thigh = np.flatnonzero((rest[:, 0] > 0) & (rest[:, 2] < crotch - 0.03) & (rest[:, 2] > knee))
    for off in np.arange(0.0, CLOSED, 1.0):
        skin_there = Fitting.of(pack, body, legs=off - CLOSED).body.vertices
        if 2 * skin_there[thigh, 0].min() > _ROOM_THIGHS:
            return float(off)
    return CLOSED


def _faces() -> Int[np.ndarray, "face 3"]:
    t = load_template()
    return t.triangles.numpy()[t.triangle_inner.numpy() == 0]


def _closest(
    skin: np.ndarray, triangles: np.ndarray, positions: np.ndarray
) -> tuple[Int[np.ndarray, "point 3"], Float[np.ndarray, "point 3 1"]]:
    """(corners, barycentric) of the closest point of the skin to each position."""
    query = ClosestPoint(
        torch.from_numpy(np.float32(skin)),
        torch.from_numpy(triangles),
        torch.arange(len(triangles)),
        torch.device("cpu"),
    )
    face, weight = query(torch.from_numpy(np.float32(positions)))
    return triangles[face.numpy()], weight.numpy()[..., None]
