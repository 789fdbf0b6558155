"""A person's build as a posture sees it: where the joints are, and how thick limbs and trunk are (capsules)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from bodymap.errors import UserError
from bodymap.people.joints import BENT, INDEX, Rig, rotations, vectors
from bodymap.people.pack import SKIN_VERTICES, Pack

# Frames of the posed skeleton, in this order: the pelvis, the spine's five bones upwards, neck, head, then the limbs'
# segments, the left and the right one.
FRAMES = (
    "pelvis",
    *("spine05", "spine04", "spine03", "spine02", "spine01"),
    *("neck", "head"),
    *(f"{name}.{s}" for name in ("upper_arm", "thigh", "forearm", "shin", "hand", "foot") for s in "LR"),
)
FRAME = {name: k for k, name in enumerate(FRAMES)}

# Capsules of the trunk, each a rod from left to right: height between hips (0) and shoulders (1), and its frame.
_TRUNK = (
    ("hips", -0.05, "pelvis"),
    ("pelvis", 0.14, "pelvis"),
    ("belly", 0.31, "spine04"),
    ("waist", 0.48, "spine03"),
    ("chest", 0.66, "spine02"),
    ("breast", 0.8, "spine01"),
    ("shoulders", 0.95, "spine01"),
)
_LIMBS = {  # from joint to joint; the share of that way at which the capsule begins and ends
    "upper_arm": ("upperarm01", "lowerarm01", 0.12, 0.97),
    "forearm": ("lowerarm01", "wrist", 0.05, 0.95),
    "palm": ("wrist", "finger3-1", 0.1, 0.85),
    "thigh": ("upperleg01", "lowerleg01", 0.1, 0.97),
    "shin": ("lowerleg01", "foot", 0.03, 0.95),
    "foot": ("foot", "toe2-1", -0.15, 1.2),
}
_FRAME_OF = {"palm": "hand"}
# Of a hand's digits, thumb first: from which joint to the tips, and which of them share the capsule
_DIGITS = {"thumb": (0, (0,)), "fingers": (1, (1, 2)), "little": (1, (3, 4))}
CAPSULES = (
    *(name for name, _, _ in _TRUNK),
    *("neck", "skull", "face"),
    *(f"{name}.{s}" for name in _LIMBS for s in "LR"),
    *(f"{name}.{s}" for s in "LR" for name in _DIGITS),
)
CAPSULE = {name: k for k, name in enumerate(CAPSULES)}


@dataclass(frozen=True)
class Skeleton:
    """Postures of one person about a pelvis that stays where it was at rest.

    Attributes:
        placed: (B, 20, 3, 4) of each frame of FRAMES: its rotation, and its joint, metres.
        girdle: (B, 2, 3, 3) the rotations of what the upper arms hang on, left and right.
    """

    placed: Float[np.ndarray, "batch frame=20 3 4"]
    girdle: Float[np.ndarray, "batch side=2 3 3"]

    @property
    def rotation(self) -> Float[np.ndarray, "batch frame=20 3 3"]:
        """Of each frame."""
        return self.placed[..., :3]

    @property
    def position(self) -> Float[np.ndarray, "batch frame=20 xyz=3"]:
        """Of each frame's joint, metres."""
        return self.placed[..., 3]


@dataclass(frozen=True)
class Physique:
    """One person at rest.

    Attributes:
        rig: the pack's.
        joint: (20, 3) the joint of each frame of FRAMES.
        girdle: (3, 2, 3) heads of clavicles, shoulders and upper arms, left and right.
        end: (28, 2, 3) both ends of each capsule of CAPSULES at rest.  radius: (28, 2) metres.
        owner: (28,) the frame that moves each.
        digit: (2, 5, 4, 3) the joints and tips of thumb to little finger at rest, of the left and the right hand.
        digit_bones: (2, 5, 3) the bones between.
    """

    rig: Rig
    joint: Float[np.ndarray, "frame=20 xyz=3"]
    girdle: Float[np.ndarray, "bone=3 side=2 xyz=3"]
    end: Float[np.ndarray, "capsule=28 end=2 xyz=3"]
    radius: Float[np.ndarray, "capsule=28 end=2"]
    owner: Int[np.ndarray, " capsule=28"]
    digit: Float[np.ndarray, "side=2 digit=5 joint=4 xyz=3"]
    digit_bones: Int[np.ndarray, "side=2 digit=5 bone=3"]

    @staticmethod
    def of(pack: Pack, heads: Float[np.ndarray, "bone xyz=3"]) -> Physique:
        """The physique of a person with these bone heads at rest; the last ones are kept."""
        from bodymap.people.wardrobe import Wardrobe

        kept = Wardrobe.of(pack).kept.setdefault("physiques", {})
        key = heads.tobytes()
        # the least recently used one, which is the first, goes; a few kB each
        kept[key] = kept.pop(key, None) or _measure(pack, heads)
        if len(kept) > 256:
            del kept[next(iter(kept))]
        return kept[key]

    # ------------------------------------------------------------------ lengths and places
    def length(self, above: str, below: str, side: int) -> float:
        """Metres between the joints of two frames, of the left (0) or right (1) side."""
        letter = "LR"[side]
        a, b = self.joint[FRAME[f"{above}.{letter}"]], self.joint[FRAME[f"{below}.{letter}"]]
        return float(np.linalg.norm(b - a))

    @cached_property
    def trunk(self) -> Float[np.ndarray, "level=7 5"]:
        """Height, half the rod's length, depth of its middle (y), radius, frame, of each of the trunk's capsules."""
        rows = range(len(_TRUNK))
        return np.array(
            [
                (self.end[k, 0, 2], abs(self.end[k, 0, 0]), self.end[k, 0, 1], self.radius[k, 0], self.owner[k])
                for k in rows
            ]
        )

    def surface(
        self, height: float, angle: float
    ) -> tuple[Float[np.ndarray, " xyz=3"], Float[np.ndarray, " xyz=3"], int]:
        """A point on the trunk at rest, the unit normal there, and the frame that moves it.

        Args:
            height: 0 at the hip joints, 1 at the shoulders' level.
            angle: radians from straight ahead, positive to the person's left.
        """
        low, high = self.level
        z = low + height * (high - low)
        t = self.trunk
        half, middle, radius = (np.interp(z, t[:, 0], t[:, k]) for k in (1, 2, 3))
        dx, dy = np.sin(angle), -np.cos(angle)
        reach = radius / max(abs(dy), 1e-6)
        if reach * abs(dx) <= half:
            point, normal = (reach * dx, reach * dy), (0.0, np.sign(dy))
        else:
            centre = half * np.sign(dx)
            b = dx * centre
            reach = b + np.sqrt(max(b * b - centre * centre + radius * radius, 0.0))
            point = (reach * dx, reach * dy)
            normal = ((point[0] - centre) / radius, point[1] / radius)
        frame = int(t[int(np.abs(t[:, 0] - z).argmin()), 4])
        return np.array([point[0], middle + point[1], z]), np.array([*normal, 0.0]), frame

    @cached_property
    def level(self) -> tuple[float, float]:
        """Heights of hip joints and shoulder joints at rest, metres."""
        return float(self.joint[FRAME["thigh.L"], 2]), float(self.joint[FRAME["upper_arm.L"], 2])

    # ------------------------------------------------------------------ posing
    def pose(self, angles: Float[np.ndarray, "batch joint=16 3"]) -> Skeleton:
        """Joints and frames in B postures."""
        turn = self.rig.rotations(angles)
        # the bones of a bent chain turn about the chain's one axis, each by its share more than the one below
        powers = rotations(vectors(turn[:, _BENT])[:, _POWER_OF] * _POWER)
        spine, neck_and_first, shoulders, segments = self._steps
        placed = np.empty((len(angles), 20, 3, 4))
        placed[:, 0, :, :3], placed[:, 0, :, 3] = np.eye(3), self.joint[0]
        placed[:, 1:6, :, :3], placed[:, 1, :, 3] = powers[:, :5], self.joint[1]
        placed[:, 2:6, :, 3] = self.joint[1] + (powers[:, :4] @ spine)[..., 0].cumsum(1)
        chest = placed[:, 5:6]
        first = (chest[:, 0, :, :3] @ neck_and_first).swapaxes(1, 2) + chest[:, :, :, 3]
        # on the chest: the neck's four bones, both clavicles, both girdles; then a step along all but the head
        upper = chest[..., :3] @ np.concatenate([powers[:, 5:], turn[:, _GIRDLES]], 1)
        steps = (upper[:, _STEPPING] @ shoulders)[..., 0]
        placed[:, 6, :, :3], placed[:, 6, :, 3] = upper[:, 0], first[:, 0]
        placed[:, 7, :, :3], placed[:, 7, :, 3] = upper[:, 3], first[:, 0] + steps[:, :3].sum(1)

        # the four limbs at once, segment by segment: arms, then legs
        girdle = upper[:, 6:]
        placed[:, 8:10, :, :3] = girdle @ turn[:, _LIMB_JOINTS[0]]
        placed[:, 8:10, :, 3] = first[:, 1:] + steps[:, 3:5] + steps[:, 5:]
        placed[:, 10:12, :, :3], placed[:, 10:12, :, 3] = turn[:, _LIMB_JOINTS[1]], self.joint[10:12]
        segment = np.empty((len(angles), 8, 4, 4))
        segment[:], segment[..., :3, :3] = segments, turn[:, _LIMB_JOINTS[2]]
        for k in (0, 1):
            start = 8 + 4 * k
            placed[:, start + 4 : start + 8] = placed[:, start : start + 4] @ segment[:, 4 * k : 4 * k + 4]
        return Skeleton(placed, girdle)

    @cached_property
    def _steps(self) -> tuple[np.ndarray, ...]:
        """From joint to joint at rest: along the spine; from the chest to neck and clavicles; along neck, clavicles and
        shoulders; along the limbs, as the last column of 4 x 4 matrices."""
        j, g = self.joint, self.girdle
        segments = np.tile(np.eye(4), (8, 1, 1))
        segments[:4, :3, 3], segments[4:, :3, 3] = j[12:16] - j[8:12], j[16:20] - j[12:16]
        return (
            (j[2:6] - j[1:5])[..., None],
            (np.concatenate([self._neck[:1], g[0]]) - j[5]).T,
            np.concatenate([self._neck[1:] - self._neck[:-1], g[1] - g[0], g[2] - g[1]])[..., None],
            segments,
        )

    @cached_property
    def _neck(self) -> np.ndarray:
        """The neck's four joints, spread evenly between the first and the head's."""
        return self.joint[6] + np.linspace(0, 1, 4)[:, None] * (self.joint[7] - self.joint[6])

    def capsules(
        self, skeleton: Skeleton, offset: Float[np.ndarray, "capsule=28 xyzw=4 end=2"] | None = None
    ) -> Float[np.ndarray, "batch capsule=28 end=2 xyz=3"]:
        """Both ends of each capsule in the postures; ``offset``: of ``offsets``, None: hands at rest."""
        offset = self._offset if offset is None else offset
        return (skeleton.placed[:, self.owner] @ offset).swapaxes(-1, -2)

    def offsets(self, local: Float[np.ndarray, "bone 3 3"]) -> Float[np.ndarray, "capsule=28 xyzw=4 end=2"]:
        """The capsules' ends from their frames' joints (homogeneous), with the fingers of a pose."""
        turn = local[self.digit_bones]
        first = turn[:, :, 0]
        second = first @ turn[:, :, 1]
        bones = np.concatenate([first, second, second @ turn[:, :, 2]], 1).reshape(2, 3, 5, 3, 3)
        steps = (bones @ self._digit_steps)[..., 0]
        out = self._offset.copy()
        # knuckles stay; from there the ends are sums of steps
        ends = self._knuckles + _DIGIT_SUMS @ steps.reshape(2, 15, 3)
        out[-6:, :3] = ends.reshape(6, 2, 3).swapaxes(1, 2)
        return out

    @cached_property
    def _digit_steps(self) -> np.ndarray:
        """(2, 3, 5, 3, 1) along the three bones of each digit at rest."""
        return (self.digit[:, :, 1:] - self.digit[:, :, :-1]).swapaxes(1, 2)[..., None]

    @cached_property
    def _knuckles(self) -> np.ndarray:
        """(2, 6, 3) the mean first joint of the digits of each capsule's end, from the wrist."""
        wrist = self.joint[[FRAME["hand.L"], FRAME["hand.R"]]]
        means = np.stack([self.digit[:, which, 0].mean(1) for _, which in _DIGITS.values()], 1)
        return np.repeat(means - wrist[:, None], 2, 1)

    @cached_property
    def _offset(self) -> np.ndarray:
        offset = (self.end - self.joint[self.owner, None]).swapaxes(1, 2)
        return np.concatenate([offset, np.ones((len(offset), 1, 2))], 1)

    def carried(self, point: np.ndarray, frame: int, skeleton: Skeleton) -> Float[np.ndarray, " xyz=3"]:
        """Where a point that was fixed to a frame at rest is in the first posture."""
        return skeleton.position[0, frame] + skeleton.rotation[0, frame] @ (point - self.joint[frame])


def _digit_ends(
    joints: Float[np.ndarray, "side=2 digit=5 joint=4 xyz=3"],
) -> Float[np.ndarray, "capsule=6 end=2 xyz=3"]:
    """Ends of the capsules of the digits, in CAPSULES' order."""
    ends = [
        np.stack([joints[:, which, start].mean(1), joints[:, which, 3].mean(1)], 1) for start, which in _DIGITS.values()
    ]
    return np.stack(ends, 1).reshape(6, 2, 3)


_GIRDLES = [INDEX["girdle.L"], INDEX["girdle.R"]]
_LIMB_JOINTS = [
    [INDEX[f"{name}.{s}"] for name in names for s in "LR"]
    for names in (("shoulder",), ("hip",), ("elbow", "knee", "wrist", "ankle"))
]
# of neck (4), clavicles (2) and girdles (2): all but the head have a step to the next joint
_STEPPING = [0, 1, 2, 4, 5, 6, 7]
# the ends of the digits' capsules as sums over the three bones of the five digits
_DIGIT_SUMS = np.zeros((6, 3, 5))
for _k, (_start, _which) in enumerate(_DIGITS.values()):
    _DIGIT_SUMS[2 * _k, :_start, _which] = 1 / len(_which)
    _DIGIT_SUMS[2 * _k + 1, :, _which] = 1 / len(_which)
_DIGIT_SUMS = _DIGIT_SUMS.reshape(6, 15)
_BENT = [INDEX["spine"], INDEX["neck"], *_GIRDLES]
_POWER_OF = [0] * 5 + [1] * 4 + [2, 3]
_POWER = np.concatenate([np.cumsum(BENT["spine"][1]), np.cumsum(BENT["neck"][1]), [BENT["girdle"][1][0]] * 2])[:, None]


def _measure(pack: Pack, heads: Float[np.ndarray, "bone xyz=3"]) -> Physique:
    """Capsules fitted to the skin of the person whose bone heads these are."""
    rig = Rig.of(pack)
    labels = pack.bones.labels
    at = {label: heads[j].astype(float) for j, label in enumerate(labels)}
    skin = _skin(pack, heads)
    followers = _followers(pack)
    joint = np.stack([at[_joint_bone(name)] for name in FRAMES])
    end, radius, owner = [], [], []

    low, high = joint[FRAME["thigh.L"], 2], joint[FRAME["upper_arm.L"], 2]
    around = {which: skin[followers[which]] for which in ("hips", "top", "trunk")}
    for name, height, frame in _TRUNK:
        z = low + height * (high - low)
        near = around["hips" if name in ("hips", "pelvis") else "top" if name == "shoulders" else "trunk"]
        ring = near[np.abs(near[:, 2] - z) < 0.055 * (high - low)]
        if len(ring) < 2:
            raise UserError(f"The people pack has a body without {name}; it is damaged, build it again.")
        front, back = np.quantile(ring[:, 1], (0.04, 0.96))
        wide = np.quantile(np.abs(ring[:, 0]), 0.95)
        r = float((back - front) / 2)
        half = max(wide - r, 0.0)
        ends = np.array([[half, (front + back) / 2, z], [-half, (front + back) / 2, z]])
        end.append(ends)
        radius.append((r, r))
        owner.append(FRAME[frame])

    head = skin[followers["head"]]
    bottom, top = head[:, 2].min(), head[:, 2].max()
    r = float(np.quantile(np.abs(head[:, 0]), 0.97)) * 0.98
    front, back = np.quantile(head[:, 1], (0.02, 0.98))
    neck = skin[followers["neck"]]
    thick = float(np.quantile(np.abs(neck[:, 0]), 0.6))
    end.append(np.stack([at["neck01"], at["head"]]))
    radius.append((thick, thick))
    end.append(np.array([[0, front + 1.25 * r, top - r], [0, back - r, top - 1.05 * r]]))
    radius.append((r, r))
    chin = 0.62 * r
    end.append(np.array([[0, front + 1.15 * chin, bottom + 1.1 * chin], [0, front + 1.4 * r, top - 1.1 * r]]))
    radius.append((chin, r))
    owner += [FRAME["neck"], FRAME["head"], FRAME["head"]]

    for name, (start, stop, first, last) in _LIMBS.items():
        for s in "LR":
            a, b = at[f"{start}.{s}"], at[f"{stop}.{s}"]
            along = (b - a) / np.linalg.norm(b - a)
            near = skin[followers[f"{name}.{s}"]] - a
            reach = near @ along
            share = reach / np.linalg.norm(b - a)
            away = near - reach[:, None] * along
            middle = away[(share > first) & (share < last)].mean(0) if name in ("forearm", "foot", "shin") else 0.0
            distance = np.linalg.norm(away - middle, axis=1)
            half = (first + last) / 2
            radii = []
            for lower, upper in ((first, half), (half, last)):
                inside = (share >= lower) & (share <= upper)
                radii.append(float(distance[inside].mean()) if inside.sum() > 8 else 0.02)
            # the mean of each half is the radius a quarter in; the ends follow
            r0, r1 = (3 * radii[0] - radii[1]) / 2, (3 * radii[1] - radii[0]) / 2
            scale = np.linalg.norm(b - a)
            begin, finish = first * scale, last * scale
            if name == "foot":
                finish -= min(r1, 0.5 * (finish - begin))
            end.append(np.stack([a + along * begin, a + along * finish]) + middle)
            radius.append((r0, r1))
            owner.append(FRAME[f"{_FRAME_OF.get(name, name)}.{s}"])
    bones = np.array([[[labels.index(f"finger{f}-{k}.{s}") for k in (1, 2, 3)] for f in range(1, 6)] for s in "LR"])
    digit, thick = _digits(skin, followers, heads.astype(float), bones)
    end.extend(_digit_ends(digit))
    for side, s in enumerate("LR"):
        for start, which in _DIGITS.values():
            apart = [np.linalg.norm(digit[side, which[0], k] - digit[side, which[-1], k]) / 2 for k in (start, 3)]
            radius.append((thick + 0.8 * apart[0], thick + 0.8 * apart[1]))
            owner.append(FRAME[f"hand.{s}"])
    return Physique(
        rig=rig,
        digit=digit,
        digit_bones=bones,
        joint=joint,
        girdle=np.array([[at[f"{bone}.{s}"] for s in "LR"] for bone in ("clavicle", "shoulder01", "upperarm01")]),
        end=np.array(end),
        radius=np.array(radius),
        owner=np.array(owner),
    )


def _followers(pack: Pack) -> dict[str, Int[np.ndarray, " vertex"]]:
    """The skin vertices that move most with the bones of the trunk, of the head, of each limb's segment, and (by side
    and finger, "L0" the left thumb) with the last bone of each digit. Kept: the same for all bodies."""
    from bodymap.people.wardrobe import Wardrobe

    kept = Wardrobe.of(pack).kept
    if "followers" in kept:
        return kept["followers"]
    labels = pack.bones.labels
    owner = pack.skin_index[:SKIN_VERTICES][np.arange(SKIN_VERTICES), pack.skin_weight[:SKIN_VERTICES].argmax(1)]

    def of(*starts: str) -> np.ndarray:
        """Those of the bones whose labels start so."""
        return np.flatnonzero(np.array([label.startswith(starts) for label in labels])[owner])

    trunk = ("spine", "pelvis", "root", "breast")
    kept["followers"] = {
        "trunk": of(*trunk),
        "hips": of(*trunk, "upperleg01"),
        "top": of(*trunk, "clavicle", "shoulder01"),
        "head": np.flatnonzero(owner >= labels.index("head")),
        "neck": of("neck"),
        **{f"{name}.{s}": of(*(f"{bone}.{s}" for bone in bones)) for name, bones in _SKIN_OF.items() for s in "LR"},
        **{f"{s}{f}": np.flatnonzero(owner == labels.index(f"finger{f + 1}-3.{s}")) for s in "LR" for f in range(5)},
    }
    return kept["followers"]


def _digits(
    skin: np.ndarray, followers: dict, heads: np.ndarray, bones: Int[np.ndarray, "side=2 digit=5 bone=3"]
) -> tuple[Float[np.ndarray, "side=2 digit=5 joint=4 xyz=3"], float]:
    """Joints and tips (of the axes: a radius short of the skin's end) of the digits, and their mean radius."""
    out = np.empty((2, 5, 4, 3))
    out[:, :, :3] = heads[bones]
    radii = []
    for side in range(2):
        for f in range(5):
            last = out[side, f, 2]
            along = last - out[side, f, 1]
            along = along / np.linalg.norm(along)
            own = skin[followers[f"{'LR'[side]}{f}"]] - last
            reach = own @ along
            radii.append(np.linalg.norm(own[reach > 0] - reach[reach > 0, None] * along, axis=1).mean())
            out[side, f, 3] = last + along * max(reach.max() - radii[-1], 0.3 * reach.max())
    return out, float(np.mean(radii))


_SKIN_OF = {
    "upper_arm": ("upperarm01", "upperarm02"),
    "forearm": ("lowerarm01", "lowerarm02"),
    "palm": ("wrist", *(f"metacarpal{k}" for k in range(1, 5))),
    "thigh": ("upperleg01", "upperleg02"),
    "shin": ("lowerleg01", "lowerleg02"),
    "foot": ("foot", *(f"toe{t}-{k}" for t in range(1, 6) for k in (1, 2, 3))),
}


def _joint_bone(frame: str) -> str:
    """The bone whose head is a frame's joint."""
    kind, _, side = frame.partition(".")
    bone = {
        "pelvis": "root",
        "neck": "neck01",
        "upper_arm": "upperarm01",
        "forearm": "lowerarm01",
        "hand": "wrist",
        "thigh": "upperleg01",
        "shin": "lowerleg01",
    }.get(kind, kind)
    return f"{bone}.{side}" if side else bone


def _skin(pack: Pack, heads: Float[np.ndarray, "bone xyz=3"]) -> Float[np.ndarray, "vertex xyz=3"]:
    """The skin at rest of the body with these bone heads: heads and skin depend linearly on the same coefficients, so
    the heads alone tell it (to half a millimetre on the packs there are)."""
    from bodymap.people.wardrobe import Wardrobe

    kept = Wardrobe.of(pack).kept
    if "shape_from_heads" not in kept:
        kept["shape_from_heads"] = np.linalg.pinv(pack.heads_basis.reshape(len(pack.heads_basis), -1).astype(float))
    if not len(pack.shape_basis):
        return pack.base_vertices[:SKIN_VERTICES].astype(float)
    coefficients = (heads.astype(float) - pack.base_heads).reshape(-1) @ kept["shape_from_heads"]
    basis = pack.shape_basis.reshape(len(pack.shape_basis), -1)[:, : 3 * SKIN_VERTICES]  # a view: no copy of 10 MB
    return (pack.base_vertices[:SKIN_VERTICES] + (coefficients.astype(np.float32) @ basis).reshape(-1, 3)).astype(float)
