"""A pose as 16 joints with three angles each: what limits, noise, mirrors and repairs work on, instead of 163 bones.

A joint is a chain of bones of the rig (the spine's five, both bones of the upper arm, ...). Its rotation, world-aligned
with identity at rest as everywhere, is split in the joint's own frame into a swing that leans the bone and a twist
about it. The three angles, in radians:

    flexion   forward bend of spine and neck, raised girdle, arm and thigh forward, elbow and knee closed, palm closed,
              toes up
    side      of spine and neck to the left, girdle forward, arm and thigh towards the middle, hand towards the little
              finger
    twist     of spine and neck to the left, of arm and leg inwards, of the forearm into pronation

The right side's frames mirror the left's, so the same angles are the mirrored posture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from bodymap.people.limbs import unit
from bodymap.people.pack import Bones, Pack

_SIDED = ("girdle", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
JOINTS = ("spine", "neck", *(f"{name}.{side}" for side in "LR" for name in _SIDED))
INDEX = {name: j for j, name in enumerate(JOINTS)}
LEFT, RIGHT = slice(2, 9), slice(9, 16)
ARMS = tuple(INDEX[f"{name}.{side}"] for side in "LR" for name in ("girdle", "shoulder", "elbow", "wrist"))

# The bones of each joint, and which share of its bend (first row) or of its twist (second) each of them takes.
BENT = {
    "spine": (("spine05", "spine04", "spine03", "spine02", "spine01"), (0.12, 0.22, 0.24, 0.22, 0.2)),
    "neck": (("neck01", "neck02", "neck03", "head"), (0.25, 0.2, 0.2, 0.35)),
    "girdle": (("clavicle", "shoulder01"), (0.5, 0.5)),
}
_TWISTED = {
    "shoulder": (("upperarm01", "upperarm02"), (0.45, 0.55)),
    "elbow": (("lowerarm01", "lowerarm02"), (0.2, 0.45)),  # the wrist's skin takes the rest of the forearm's roll
    "wrist": (("wrist",), (0.0,)),
    "hip": (("upperleg01", "upperleg02"), (0.45, 0.55)),
    "knee": (("lowerleg01", "lowerleg02"), (0.5, 0.5)),
    "ankle": (("foot",), (1.0,)),
}
WRIST_ROLL = 0.35
_FRONT, _BACK = np.array([0, -1.0, 0]), np.array([0, 1.0, 0])
# The mirror image of a rotation vector; as a matrix it is a proper rotation
MIRROR = np.diag([1.0, -1, -1])


# ------------------------------------------------------------------ rotations
def _matrices(q: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 3 3"]:
    """Of unit quaternions (w, x, y, z): a product with constants, because small arrays cost by the call."""
    pairs = (q[..., :, None] * q[..., None, :]).reshape(*q.shape[:-1], 16)
    return (pairs @ _FROM_PAIRS).reshape(*q.shape[:-1], 3, 3)


def _from_pairs() -> Float[np.ndarray, "pair=16 entry=9"]:
    """Which products of a quaternion's numbers each entry of its matrix sums."""
    out = np.zeros((4, 4, 3, 3))
    for a in range(3):
        b, c = (a + 1) % 3, (a + 2) % 3
        for k in range(4):
            out[k, k, a, a] = 1.0 if k in (0, a + 1) else -1.0
        out[b + 1, c + 1, b, c] = out[b + 1, c + 1, c, b] = 2.0
        out[0, a + 1, b, c], out[0, a + 1, c, b] = -2.0, 2.0
    return out.reshape(16, 9)


_FROM_PAIRS = _from_pairs()
# Half of a matrix' skew part as a vector, and half its trace
_SKEW_AND_TRACE = np.zeros((9, 4))
_SKEW_AND_TRACE[(7, 2, 3), (0, 1, 2)] = 0.5
_SKEW_AND_TRACE[(5, 6, 1), (0, 1, 2)] = -0.5
_SKEW_AND_TRACE[(0, 4, 8), 3] = 0.5


def _entries(
    q: Float[np.ndarray, "*batch n 4"], world: Float[np.ndarray, "n 16 9"]
) -> Float[np.ndarray, "*batch n 3 3"]:
    """Matrices of unit quaternions that each have their own frame."""
    pairs = (q[..., :, None] * q[..., None, :]).reshape(*q.shape[:-1], 1, 16)
    return (pairs @ world).reshape(*q.shape[:-1], 3, 3)


def rotations(vectors: Float[np.ndarray, "*batch xyz=3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """Rotation matrices of axes times angles in radians."""
    v = np.asarray(vectors, float)
    angle = np.sqrt(v[..., 0] ** 2 + v[..., 1] ** 2 + v[..., 2] ** 2)
    q = np.empty((*v.shape[:-1], 4))
    q[..., 0] = np.cos(angle / 2)
    q[..., 1:] = v * (np.sin(angle / 2) / np.maximum(angle, 1e-12))[..., None]
    return _matrices(q)


def vectors(matrices: Float[np.ndarray, "*batch 3 3"]) -> Float[np.ndarray, "*batch xyz=3"]:
    """Axes times angles of rotations well short of half a turn."""
    flat = matrices.reshape(*matrices.shape[:-2], 9)
    parts = flat @ _SKEW_AND_TRACE
    skew = parts[..., :3]
    sine = np.sqrt(skew[..., 0] ** 2 + skew[..., 1] ** 2 + skew[..., 2] ** 2)
    angle = np.arctan2(sine, parts[..., 3] - 0.5)
    return skew * (angle / np.maximum(sine, 1e-12))[..., None]


def _quaternions(angles: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 4"]:
    """Swing about the first two axes, after a twist about the third."""
    x, y, half = angles[..., 0], angles[..., 1], angles[..., 2] / 2
    swing = np.sqrt(x * x + y * y)
    s = np.sin(swing / 2) / np.maximum(swing, 1e-12)
    w = np.cos(swing / 2)
    ct, st = np.cos(half), np.sin(half)
    q = np.empty((*angles.shape[:-1], 4))
    q[..., 0], q[..., 3] = w * ct, w * st
    q[..., 1], q[..., 2] = s * (x * ct + y * st), s * (y * ct - x * st)
    return q


def _angles(parts: Float[np.ndarray, "*batch 5"]) -> Float[np.ndarray, "*batch 3"]:
    """The inverse of ``_quaternions``, from what ``_PARTS`` takes out of a matrix; a swing of half a turn has no
    unique one."""
    x, y = parts[..., 0], parts[..., 1]
    sine = np.sqrt(x * x + y * y)
    scale = np.arctan2(sine, parts[..., 2]) / np.maximum(sine, 1e-12)
    out = np.empty((*parts.shape[:-1], 3))
    out[..., 0], out[..., 1] = -y * scale, x * scale
    out[..., 2] = np.arctan2(parts[..., 3], parts[..., 4])
    return out


# Where the third axis goes, and sine and cosine of the twist (both times the same): entries of a matrix
_PARTS = np.zeros((9, 5))
_PARTS[(2, 5, 8), (0, 1, 2)] = 1.0
_PARTS[(3, 0, 4), (3, 4, 4)] = 1.0
_PARTS[1, 3] = -1.0


# ------------------------------------------------------------------ the rig
@dataclass(frozen=True)
class Rig:
    """How the joints sit in the bones of a pack.

    Attributes:
        bones: (K,) the bones that joints move.
        joint: (K,) the joint of each.  bend: (K,) which share of a bent chain's rotation it takes, 0 in others.
        swings: (K, 3) which shares of flexion, side and twist a bone takes of all other joints.
        frame: (16, 3, 3) columns: axes of flexion, of side, of twist, at rest.
        straight: (16,) by how much elbows and knees are bent at rest, radians; 0 for all others.
        palm, hand: (2, 3) for the left and the right hand at rest: unit normal out of the palm, wrist to fingers.
        mirrored: (J,) each bone's counterpart.
    """

    bones: Int[np.ndarray, " moved"]
    joint: Int[np.ndarray, " moved"]
    bend: Float[np.ndarray, " moved"]
    swings: Float[np.ndarray, "moved 3"]
    frame: Float[np.ndarray, "joint 3 3"]
    straight: Float[np.ndarray, " joint"]
    palm: Float[np.ndarray, "side xyz=3"]
    hand: Float[np.ndarray, "side xyz=3"]
    mirrored: Int[np.ndarray, " bone"]

    @staticmethod
    def of(pack: Pack) -> Rig:
        """The pack's rig, kept."""
        from bodymap.people.wardrobe import Wardrobe

        kept = Wardrobe.of(pack).kept
        if "rig" not in kept:
            kept["rig"] = _build(pack.bones, pack.base_heads.astype(float))
        return kept["rig"]

    def rotations(self, angles: Float[np.ndarray, "*batch joint=16 3"]) -> Float[np.ndarray, "*batch joint=16 3 3"]:
        """World-aligned rotation of each joint against what it hangs on."""
        return _entries(_quaternions(angles), self._world)

    def angles(self, rotation: Float[np.ndarray, "*batch joint=16 3 3"]) -> Float[np.ndarray, "*batch joint=16 3"]:
        """The inverse of ``rotations``."""
        flat = rotation.reshape(*rotation.shape[:-2], 1, 9)
        return _angles((flat @ self._parts)[..., 0, :])

    def read(self, local: Float[np.ndarray, "bone 3 3"]) -> Float[np.ndarray, "joint=16 3"]:
        """The joints' angles of a pose. The roll of straight limbs is put where anatomy has it: elbows and knees become
        hinges as far as the turn of shoulder and hip allows (no joint moves by that), the forearm takes the hand's."""
        padded = np.concatenate([local, np.eye(3)[None]])[self._chains]
        total = padded[:, 0].astype(float)
        for k in range(1, padded.shape[1]):
            total = total @ padded[:, k]
        return self.settle(total)

    def settle(self, total: Float[np.ndarray, "joint=16 3 3"]) -> Float[np.ndarray, "joint=16 3"]:
        """As ``read``, from the joints' rotations."""
        total = self._hinged(total.astype(float))
        angles = self.angles(total)
        # W = S T = T (T' S T): the twist goes to the forearm, which has the same axis
        flexion, side, turn = angles[_WRISTS].T
        c, s = np.cos(turn), np.sin(turn)
        angles[_WRISTS] = np.stack([c * flexion + s * side, c * side - s * flexion, 0 * turn], 1)
        angles[_ELBOWS, 2] = _wrap(angles[_ELBOWS, 2] + turn)
        return angles

    def _hinged(self, total: np.ndarray) -> np.ndarray:
        """Rolls upper arms and thighs about themselves until elbows and knees bend about their hinges."""
        from bodymap.people.joint_limits import limits

        above, below = _HINGES
        axis, hinge, forward = self._hinge_axes
        direction = (total[below] @ self.frame[below, :, 2:])[..., 0]
        off = (direction * hinge).sum(1)
        on = (direction * forward).sum(1)
        # the plane of a straight limb is noise
        sure = np.clip((np.hypot(on, off) - 0.08) / 0.25, 0, 1)
        twist = _angles((total[above].reshape(-1, 1, 9) @ self._parts[above])[:, 0])[:, 2]
        bound = limits(self)[above, 2]
        roll = np.clip(_wrap(twist + sure * np.arctan2(off, on)), bound[:, 0], bound[:, 1]) - twist
        turn = rotations(axis * roll[:, None])
        total = total.copy()
        total[above] = total[above] @ turn
        total[below] = turn.swapaxes(1, 2) @ total[below]
        return total

    def write(
        self, local: Float[np.ndarray, "bone 3 3"], angles: Float[np.ndarray, "joint=16 3"]
    ) -> Float[np.ndarray, "bone 3 3"]:
        """A copy of the pose in which the joints have these angles; ``read`` finds them again."""
        own = angles[self.joint] * self.swings
        whole = vectors(_matrices(_quaternions(angles[_BENT_JOINTS])))
        # the wrist's share of the forearm's roll comes before its swing: T S = (T S T') T
        turn = angles[_ELBOWS, 2] * WRIST_ROLL
        c, s = np.cos(turn), np.sin(turn)
        x, y = own[self._wrists, 0], own[self._wrists, 1]
        own[self._wrists] = np.stack([c * x - s * y, s * x + c * y, turn], 1)
        q = _quaternions(own)
        bent = whole[self._bent_of] * self.bend[self._bent, None]
        angle = np.sqrt((bent * bent).sum(1))
        q[self._bent, 0] = np.cos(angle / 2)
        q[self._bent, 1:] = bent * (np.sin(angle / 2) / np.maximum(angle, 1e-12))[:, None]
        out = np.array(local, np.float32)
        out[self.bones] = _entries(q, self._bone_world)
        return out

    # ------------------------------------------------------------------ constants of the two above
    @cached_property
    def _world(self) -> np.ndarray:
        """(16, 16, 9): from products of a quaternion in a joint's frame to entries of the matrix in world axes."""
        m = _FROM_PAIRS.reshape(1, 16, 3, 3)
        return (self.frame[:, None] @ m @ self.frame[:, None].swapaxes(2, 3)).reshape(16, 16, 9)

    @cached_property
    def _parts(self) -> np.ndarray:
        """(16, 9, 5): as ``_PARTS``, from matrices in world axes."""
        units = np.eye(9).reshape(9, 3, 3)
        framed = self.frame[:, None].swapaxes(2, 3) @ units @ self.frame[:, None]
        return framed.reshape(16, 9, 9) @ _PARTS

    @cached_property
    def _bone_world(self) -> np.ndarray:
        return self._world[self.joint]

    @cached_property
    def _bent(self) -> np.ndarray:
        """Which of ``bones`` belong to bent chains."""
        return np.flatnonzero(self.bend > 0)

    @cached_property
    def _bent_of(self) -> np.ndarray:
        return np.searchsorted(_BENT_JOINTS, self.joint[self._bent])

    @cached_property
    def _wrists(self) -> np.ndarray:
        """Where in ``bones`` the wrists are."""
        return np.array([int(np.flatnonzero(self.joint == INDEX[f"wrist.{s}"])[0]) for s in "LR"])

    @cached_property
    def _chains(self) -> np.ndarray:
        """(16, 5) bones of each joint, filled up with one past the last bone."""
        out = np.full((16, 5), len(self.mirrored))
        for j in range(16):
            own = self.bones[self.joint == j]
            out[j, : len(own)] = own
        return out

    @cached_property
    def _hinge_axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of both elbows and both knees: the limb above, the hinge across it, and where it lets the limb below go."""
        above, below = _HINGES
        axis, hinge = self.frame[above, :, 2], self.frame[below, :, 0]
        hinge = hinge - (hinge * axis).sum(1, keepdims=True) * axis
        hinge = hinge / np.linalg.norm(hinge, axis=1, keepdims=True)
        return axis, hinge, np.cross(hinge, axis)


_HINGES = np.array(
    [[INDEX[f"{a}.{s}"], INDEX[f"{b}.{s}"]] for a, b in (("shoulder", "elbow"), ("hip", "knee")) for s in "LR"]
).T
_ELBOWS = np.array([INDEX["elbow.L"], INDEX["elbow.R"]])
_WRISTS = np.array([INDEX["wrist.L"], INDEX["wrist.R"]])
_BENT_JOINTS = np.array([INDEX["spine"], INDEX["neck"], INDEX["girdle.L"], INDEX["girdle.R"]])


def _wrap(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def mirror_angles(angles: Float[np.ndarray, "*batch joint=16 3"]) -> Float[np.ndarray, "*batch joint=16 3"]:
    """The posture in a mirror: sides change places, spine and neck lean and turn the other way."""
    out = angles.copy()
    out[..., LEFT, :], out[..., RIGHT, :] = angles[..., RIGHT, :], angles[..., LEFT, :]
    out[..., :2, 1:] *= -1
    return out


def _build(bones: Bones, heads: Float[np.ndarray, "bone xyz=3"]) -> Rig:
    at = {label: heads[j] for j, label in enumerate(bones.labels)}

    def direction(a: str, b: str) -> np.ndarray:
        """Of the left side, freed of what little the two sides differ by."""
        left = at[f"{b}.L"] - at[f"{a}.L"]
        right = (at[f"{b}.R"] - at[f"{a}.R"]) * (-1, 1, 1)
        return unit(left + right)

    def framed(twist: np.ndarray, flexion: np.ndarray) -> np.ndarray:
        flexion = unit(flexion - (flexion @ twist) * twist)
        return np.stack([flexion, np.cross(twist, flexion), twist], 1)

    upper, fore = direction("upperarm01", "lowerarm01"), direction("lowerarm01", "wrist")
    thigh, shin = direction("upperleg01", "lowerleg01"), direction("lowerleg01", "foot")
    hand, across = direction("wrist", "finger3-1"), direction("finger5-1", "finger2-1")
    palm = unit(np.cross(across, hand))
    # the thumb hangs on the palm's side of the fingers
    palm *= np.sign(palm @ (at["finger1-3.L"] - at["finger2-1.L"]))
    frames = {
        "spine": np.eye(3),
        "neck": np.eye(3),
        "girdle": framed(np.array([1.0, 0, 0]), _FRONT),
        "shoulder": framed(upper, np.cross(upper, _FRONT)),
        "elbow": framed(fore, np.cross(upper, fore)),
        "wrist": framed(fore, np.cross(fore, palm)),
        "hip": framed(thigh, np.cross(thigh, _FRONT)),
        "knee": framed(shin, np.cross(shin, _BACK)),
        "ankle": framed(shin, np.cross(shin, _FRONT)),
    }
    rest = {
        "elbow": float(np.arccos(np.clip(upper @ fore, -1, 1))),
        "knee": float(np.arctan2(frames["knee"][:, 0] @ np.cross(thigh, shin), thigh @ shin)),
    }
    bone, joint, bend, swings = [], [], [], []
    for j, name in enumerate(JOINTS):
        kind, suffix = (name.split(".")[0], name[-2:]) if "." in name else (name, "")
        chain, shares = (BENT | _TWISTED)[kind]
        for k, (label, share) in enumerate(zip(chain, shares, strict=True)):
            bone.append(bones.index(label + suffix))
            joint.append(j)
            bend.append(share if kind in BENT else 0.0)
            first = float(k == 0)
            swings.append((first, first, share) if kind in _TWISTED else (0.0, 0.0, 0.0))
    swap = {".L": ".R", ".R": ".L"}
    return Rig(
        bones=np.array(bone),
        joint=np.array(joint),
        bend=np.array(bend),
        swings=np.array(swings),
        frame=np.stack(
            [MIRROR @ frames[n.split(".")[0]] if n.endswith(".R") else frames[n.split(".")[0]] for n in JOINTS]
        ),
        straight=np.array([rest.get(name.split(".")[0], 0.0) for name in JOINTS]),
        palm=np.stack([palm, palm * (-1, 1, 1)]),
        hand=np.stack([hand, hand * (-1, 1, 1)]),
        mirrored=np.array(
            [
                bones.index(label[:-2] + swap[label[-2:]]) if label[-2:] in swap else j
                for j, label in enumerate(bones.labels)
            ]
        ),
    )
