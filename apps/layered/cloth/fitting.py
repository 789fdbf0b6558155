"""The pose in which clothes are cut: limbs apart; and what was cut there carried back to the body at rest.

In the rest pose thighs are 2 to 4 cm apart below the crotch and upper arms lie by the chest. Cloth let out from both
sides closes such a gap: trouser legs part 10 to 20 cm below the crotch only, and a step tears at the web between them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from bodymap.people.film.queries import ClosestPoint
from bodymap.people.mesh import neighbour_table, smooth
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.shape import Body
from bodymap.people.skinning import pose_skeleton, rotation_vector, skin
from bodymap.surface import load_template

_PARTED = 0.0035  # metres that each trouser leg keeps off the middle plane
_ROUNDS = 6  # of averaging the motion over the cloth, so that it does not jump where the nearest skin does


@dataclass(frozen=True)
class Fitting:
    """One body with its limbs apart.

    Args:
        legs: degrees that each leg goes outwards.  arms: degrees that each arm goes up.

    Attributes:
        body: in this pose; ``heads`` too.
    """

    body: Body
    _move: Float[np.ndarray, "vertex 12"]

    @classmethod
    def of(cls, pack: Pack, body: Body, legs: float = 0.0, arms: float = 0.0) -> Fitting:
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
        self, vertices: Float[np.ndarray, "vertex xyz=3"], triangles: Int[np.ndarray, "face 3"], legged: bool
    ) -> Float[np.ndarray, "vertex xyz=3"]:
        """Cloth cut about this pose carried back to the body at rest, as the nearest skin goes."""
        t = load_template()
        faces = t.triangles[t.triangle_inner == 0]
        here = torch.from_numpy(np.float32(self.body.vertices[:SKIN_VERTICES]))
        face, corner = ClosestPoint(here, faces, torch.arange(len(faces)), torch.device("cpu"))(
            torch.from_numpy(np.float32(vertices))
        )
        move = (self._move[faces[face].numpy()] * corner.numpy()[..., None]).sum(1)
        move = smooth(move, neighbour_table(triangles, len(vertices)), _ROUNDS).reshape(-1, 3, 4).astype(float)
        rest = np.linalg.solve(move[..., :3], (vertices - move[..., 3])[..., None])[..., 0]
        return parted(rest, vertices) if legged else rest


def parted(
    rest: Float[np.ndarray, "vertex xyz=3"], cut: Float[np.ndarray, "vertex xyz=3"]
) -> Float[np.ndarray, "vertex xyz=3"]:
    """``rest`` with each trouser leg, as it was ``cut``, on its own side of the middle plane."""
    side, off = np.sign(cut[:, 0]), np.minimum(np.abs(cut[:, 0]), _PARTED)
    return np.concatenate([(side * np.maximum(side * rest[:, 0], off))[:, None], rest[:, 1:]], 1)
