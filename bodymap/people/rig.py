"""The posed template as a function of shape, pose and place, with its derivatives in closed form.

Linear blend skinning moves a rest point x to v = sum_b w_b T_b x. Turning bone j and all below it by a small rotation
omega about its joint p_j moves v by omega x (Y_j - W_j p_j), where Y_j and W_j sum w_b T_b x and w_b over the bones b
at and below j. So Gauss-Newton needs no automatic differentiation.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.skinning import rotation_vector, vector_of_rotation

# Bones that a scan says something about, and how far each strays from the starting pose, in radians.
_SPREAD = {
    "root": 1.0,
    "spine": 0.15,
    "clavicle": 0.2,
    "shoulder": 0.15,
    "upperarm01": 0.6,
    "upperarm02": 0.1,
    "lowerarm01": 0.6,
    "lowerarm02": 0.2,
    "wrist": 0.4,
    "finger": 0.35,
    "upperleg01": 0.5,
    "upperleg02": 0.1,
    "lowerleg01": 0.5,
    "lowerleg02": 0.1,
    "foot": 0.35,
    **{f"toe{k}-1": 0.15 for k in range(1, 6)},
    "neck": 0.15,
    "head": 0.25,
    "jaw": 0.15,
}


@dataclass(frozen=True)
class State:
    """One guess: K shape coefficients, local rotations of all bones (the root's is the person's turn), a move."""

    shape: Float[np.ndarray, " component"]
    local: Float[np.ndarray, "bone 3 3"]
    move: Float[np.ndarray, " xyz=3"]


@dataclass(frozen=True)
class Derivatives:
    """Posed vertices (n, 3) and their derivative (3 n, P) by shape, joint rotations (parent's frame) and move."""

    vertices: Float[np.ndarray, "vertex xyz=3"]
    jacobian: Float[np.ndarray, "row parameter"]


class Rig:
    """A pack's body reduced to some of its skin vertices, or to points between them.

    Attributes:
        ids: which vertices.  joints: the bones that may turn.  spread: radians, of each of them.
    """

    def __init__(self, pack: Pack, ids: Int[np.ndarray, " vertex"] | None = None, fingers: bool = True):
        """``ids`` None: all of the skin; ``fingers``: whether they may bend."""
        self.ids = np.arange(SKIN_VERTICES) if ids is None else ids
        self._build(pack, self.ids[:, None], np.ones((len(self.ids), 1)), fingers)

    @classmethod
    def at(
        cls,
        pack: Pack,
        corners: Int[np.ndarray, "point corner"],
        share: Float[np.ndarray, "point corner"],
        fingers: bool = True,
    ) -> Rig:
        """Of points between vertices, in place of vertices: each the mean of its corners, weighted by ``share``."""
        rig = cls.__new__(cls)
        rig.ids = corners[np.arange(len(corners)), share.argmax(1)]
        rig._build(pack, corners, share, fingers)
        return rig

    def _build(self, pack: Pack, corners: np.ndarray, share: np.ndarray, fingers: bool) -> None:
        self.pack = pack
        self.parents = pack.bones.parents
        bones = len(self.parents)
        self.base = np.einsum("nc,ncx->nx", share, pack.base_vertices[corners])
        self.basis = np.zeros((len(pack.shape_basis), len(corners), 3), np.float32)
        self.heads, self.heads_basis = pack.base_heads.astype(float), pack.heads_basis.astype(float)
        self.weight = np.zeros((len(corners), bones), np.float32)
        rows = np.arange(len(corners))
        for c in range(corners.shape[1]):
            part = share[:, c].astype(np.float32)
            self.basis += part[:, None] * pack.shape_basis[:, corners[:, c]]
            for k in range(pack.skin_index.shape[1]):
                index, weight = pack.skin_index[corners[:, c], k], pack.skin_weight[corners[:, c], k]
                np.add.at(self.weight, (rows, index), part * weight)

        below = np.eye(bones, dtype=np.float32)
        for j in range(bones - 1, 0, -1):
            below[self.parents[j]] += below[j]
        spread = [next((s for p, s in _SPREAD.items() if label.startswith(p)), 0.0) for label in pack.bones.labels]
        # a bone of which these vertices know nothing stays as it is
        moves = (self.weight @ below.T).sum(0) > 0.5
        stiff = [not fingers and label.startswith("finger") for label in pack.bones.labels]
        self.joints = np.flatnonzero((np.array(spread) > 0) & moves & ~np.array(stiff))
        self.spread = np.array(spread)[self.joints]
        self.below = below[self.joints]

    # ------------------------------------------------------------------ forward
    def transforms(self, state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rotations (J, 3, 3) and translations (J, 3) of the bones from rest to posed, and the joints (J, 3)."""
        heads = self.heads + np.tensordot(state.shape, self.heads_basis, 1)
        rotation, position = np.zeros((len(heads), 3, 3)), np.zeros((len(heads), 3))
        for j, parent in enumerate(self.parents):
            if parent < 0:
                rotation[j], position[j] = state.local[j], heads[j] + state.move
            else:
                rotation[j] = rotation[parent] @ state.local[j]
                position[j] = position[parent] + rotation[parent] @ (heads[j] - heads[parent])
        return rotation, position - np.einsum("jab,jb->ja", rotation, heads), position

    def rest(self, state: State) -> Float[np.ndarray, "vertex xyz=3"]:
        return self.base + np.tensordot(state.shape.astype(np.float32), self.basis, 1)

    def blended(self, state: State) -> tuple[Float[np.ndarray, "vertex 3 3"], Float[np.ndarray, "vertex xyz=3"]]:
        """Each vertex's own linear map M and translation t: posed = M rest + t."""
        rotation, translation, _ = self.transforms(state)
        return (self.weight @ rotation.reshape(-1, 9)).reshape(-1, 3, 3), self.weight @ translation

    def posed(
        self, state: State, displacement: Float[np.ndarray, "vertex xyz=3"] | float = 0.0
    ) -> Float[np.ndarray, "vertex xyz=3"]:
        """``displacement``: metres, added to the vertices at rest."""
        linear, translation = self.blended(state)
        return np.einsum("nab,nb->na", linear, self.rest(state) + displacement) + translation

    # ------------------------------------------------------------------ derivatives
    def derivatives(self, state: State) -> Derivatives:
        rotation, translation, position = self.transforms(state)
        rest = self.rest(state)
        n, joints, components = len(rest), len(self.joints), len(self.basis)

        # by joint: what each bone holds of each vertex, summed over everything below the joint
        carried = np.einsum("jab,nb->nja", rotation, rest) + translation
        carried = (carried * self.weight[..., None]).astype(np.float32)
        arm = np.einsum("nbc,ab->nac", carried, self.below, optimize=True)
        arm -= (self.weight @ self.below.T)[..., None] * position[self.joints].astype(np.float32)
        above = np.array([self.parents[j] for j in self.joints])
        frame = np.where((above < 0)[:, None, None], np.eye(3), rotation[above]).astype(np.float32)
        # omega x arm for omega = each axis of the parent's frame
        turn = np.cross(np.swapaxes(frame, 1, 2)[None], arm[:, :, None, :])  # (n, joint, axis, xyz)

        # by shape: the vertex itself, and its joints
        shift, rigid = np.zeros((components, len(self.parents), 3)), rotation
        for j, parent in enumerate(self.parents):
            own = self.heads_basis[:, j]
            if parent < 0:
                shift[:, j] = own
            else:
                shift[:, j] = shift[:, parent] + (own - self.heads_basis[:, parent]) @ rotation[parent].T
        offset = shift - np.einsum("jab,kjb->kja", rigid, self.heads_basis)
        linear = (self.weight @ rotation.reshape(-1, 9).astype(np.float32)).reshape(-1, 3, 3)
        grow = np.einsum("nab,knb->nak", linear, self.basis, optimize=True)
        grow += np.einsum("nj,kja->nak", self.weight, offset.astype(np.float32), optimize=True)

        jacobian = np.empty((n, 3, components + 3 * joints + 3), np.float32)
        jacobian[:, :, :components] = grow
        jacobian[:, :, components:-3] = turn.transpose(0, 3, 1, 2).reshape(n, 3, -1)
        jacobian[:, :, -3:] = np.eye(3)
        return Derivatives(carried.sum(1).astype(float), jacobian.reshape(3 * n, -1))

    def steadier(self, spread: dict[str, float]) -> Rig:
        """The same rig whose joints stray less: prefix of a bone's label -> radians."""
        rig = copy.copy(self)
        labels = [self.pack.bones.labels[j] for j in self.joints]
        wanted = [next((v for p, v in spread.items() if label.startswith(p)), np.inf) for label in labels]
        rig.spread = np.minimum(self.spread, wanted)
        return rig

    def prior(
        self, state: State, about: State
    ) -> tuple[Float[np.ndarray, " parameter"], Float[np.ndarray, " parameter"]]:
        """Precision, and how far the state is from the most likely one: the mean shape, the joints of ``about``."""
        turned = [vector_of_rotation(state.local[j] @ about.local[j].T) for j in self.joints]
        precision = np.concatenate([np.ones(len(self.basis)), np.repeat(self.spread**-2.0, 3), np.zeros(3)])
        return precision, np.concatenate([state.shape, *turned, np.zeros(3)])

    def step(self, state: State, change: Float[np.ndarray, " parameter"]) -> State:
        """The state moved along the parameters of ``derivatives``."""
        components = len(self.basis)
        turns = change[components:-3].reshape(-1, 3)
        local = state.local.copy()
        for j, turn in zip(self.joints, turns, strict=True):
            local[j] = rotation_vector(turn) @ local[j]
        return replace(state, shape=state.shape + change[:components], local=local, move=state.move + change[-3:])
