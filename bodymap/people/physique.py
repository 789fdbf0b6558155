"""A person's build as a posture sees it: where the joints are, and how thick limbs and trunk are (capsules)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

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
    "fingers": ("finger3-1", "finger3-3", 0.1, 1.35),
    "thigh": ("upperleg01", "lowerleg01", 0.1, 0.97),
    "shin": ("lowerleg01", "foot", 0.03, 0.95),
    "foot": ("foot", "toe2-1", -0.15, 1.2),
}
_FRAME_OF = {"palm": "hand", "fingers": "hand"}
CAPSULES = (
    *(name for name, _, _ in _TRUNK),
    *("neck", "skull", "face"),
    *(f"{name}.{s}" for name in _LIMBS for s in "LR"),
)
CAPSULE = {name: k for k, name in enumerate(CAPSULES)}


@dataclass(frozen=True)
class Skeleton:
    """Postures of one person about a pelvis that stays where it was at rest.

    Attributes:
        rotation: (B, 20, 3, 3) of each frame of FRAMES.  position: (B, 20, 3) its joint, metres.
        girdle: (B, 2, 3, 3) what the upper arms hang on, left and right.
    """

    rotation: Float[np.ndarray, "batch frame=20 3 3"]
    position: Float[np.ndarray, "batch frame=20 xyz=3"]
    girdle: Float[np.ndarray, "batch side=2 3 3"]


@dataclass(frozen=True)
class Physique:
    """One person at rest.

    Attributes:
        rig: the pack's.
        joint: (20, 3) the joint of each frame of FRAMES.
        girdle: (3, 2, 3) heads of clavicles, shoulders and upper arms, left and right.
        end: (24, 2, 3) both ends of each capsule of CAPSULES at rest.  radius: (24, 2) metres.
        owner: (24,) the frame that moves each.
        elbow, wrist, knuckle, knee, ankle: (2, 3) joints at rest, left and right.
    """

    rig: Rig
    joint: Float[np.ndarray, "frame=20 xyz=3"]
    girdle: Float[np.ndarray, "bone=3 side=2 xyz=3"]
    end: Float[np.ndarray, "capsule=24 end=2 xyz=3"]
    radius: Float[np.ndarray, "capsule=24 end=2"]
    owner: Int[np.ndarray, " capsule=24"]

    @staticmethod
    def of(pack: Pack, heads: Float[np.ndarray, "bone xyz=3"]) -> Physique:
        """The physique of a person with these bone heads at rest; the last ones are kept."""
        from bodymap.people.wardrobe import Wardrobe

        kept = Wardrobe.of(pack).kept.setdefault("physiques", {})
        key = heads.tobytes()
        if key not in kept:
            while len(kept) >= 64:
                kept.pop(next(iter(kept)))
            kept[key] = _measure(pack, heads)
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
        count = len(angles)
        rotation = np.empty((count, 20, 3, 3))
        position = np.empty((count, 20, 3))
        rotation[:, 0], position[:, 0] = np.eye(3), self.joint[0]
        rotation[:, 1:6] = powers[:, :5]
        steps = self._steps
        position[:, 1] = self.joint[1]
        position[:, 2:6] = self.joint[1] + np.cumsum((rotation[:, 1:5] @ steps[0])[..., 0], 1)
        chest = rotation[:, 5:6]
        above = chest @ powers[:, 5:9]
        rotation[:, 6], rotation[:, 7] = above[:, 0], above[:, 3]
        position[:, 6] = position[:, 5] + (chest[:, 0] @ steps[1])[..., 0]
        position[:, 7] = position[:, 6] + (above[:, :3] @ steps[2])[..., 0].sum(1)
        first, girdle = chest @ powers[:, 9:], chest @ turn[:, _GIRDLES]
        arms = position[:, 5:6] + (chest @ steps[3] + first @ steps[4] + girdle @ steps[5])[..., 0]

        # the four limbs at once, segment by segment: arms then legs
        parent = np.concatenate([girdle, np.broadcast_to(np.eye(3), (count, 2, 3, 3))], 1)
        place = np.concatenate([arms, np.broadcast_to(self.joint[10:12], (count, 2, 3))], 1)
        for k in range(3):
            parent = parent @ turn[:, _LIMB_JOINTS[k]]
            rotation[:, 8 + 4 * k : 12 + 4 * k], position[:, 8 + 4 * k : 12 + 4 * k] = parent, place
            if k < 2:
                place = place + (parent @ steps[6 + k])[..., 0]
        return Skeleton(rotation, position, girdle)

    @cached_property
    def _steps(self) -> tuple[np.ndarray, ...]:
        """From joint to joint at rest, as columns."""
        j, g = self.joint, self.girdle
        neck = self._neck
        return tuple(
            step[..., None]
            for step in (
                j[2:6] - j[1:5],
                neck[0] - j[5],
                neck[1:] - neck[:-1],
                g[0] - j[5],
                g[1] - g[0],
                g[2] - g[1],
                j[12:16] - j[8:12],
                j[16:20] - j[12:16],
            )
        )

    @cached_property
    def _neck(self) -> np.ndarray:
        """The neck's four joints, spread evenly between the first and the head's."""
        return self.joint[6] + np.linspace(0, 1, 4)[:, None] * (self.joint[7] - self.joint[6])

    def capsules(self, skeleton: Skeleton) -> Float[np.ndarray, "batch capsule=24 end=2 xyz=3"]:
        """Both ends of each capsule in the postures."""
        turn = skeleton.rotation[:, self.owner]
        return (self._offset @ turn.swapaxes(-1, -2)) + skeleton.position[:, self.owner, None]

    @cached_property
    def _offset(self) -> np.ndarray:
        return self.end - self.joint[self.owner, None]

    def carried(self, point: np.ndarray, frame: int, skeleton: Skeleton) -> Float[np.ndarray, " xyz=3"]:
        """Where a point that was fixed to a frame at rest is in the first posture."""
        return skeleton.position[0, frame] + skeleton.rotation[0, frame] @ (point - self.joint[frame])


_GIRDLES = [INDEX["girdle.L"], INDEX["girdle.R"]]
_LIMB_JOINTS = [
    [INDEX[f"{a}.L"], INDEX[f"{a}.R"], INDEX[f"{b}.L"], INDEX[f"{b}.R"]]
    for a, b in (("shoulder", "hip"), ("elbow", "knee"), ("wrist", "ankle"))
]
_BENT = [INDEX["spine"], INDEX["neck"], *_GIRDLES]
_POWER_OF = [0] * 5 + [1] * 4 + [2, 3]
_POWER = np.concatenate([np.cumsum(BENT["spine"][1]), np.cumsum(BENT["neck"][1]), [BENT["girdle"][1][0]] * 2])[:, None]


def _measure(pack: Pack, heads: Float[np.ndarray, "bone xyz=3"]) -> Physique:
    """Capsules fitted to the skin of the person whose bone heads these are."""
    rig = Rig.of(pack)
    labels = pack.bones.labels
    at = {label: heads[j].astype(float) for j, label in enumerate(labels)}
    skin = _skin(pack, heads)
    owner_bone = pack.skin_index[:SKIN_VERTICES][np.arange(SKIN_VERTICES), pack.skin_weight[:SKIN_VERTICES].argmax(1)]
    name_of = np.array(labels)[owner_bone]
    joint = np.stack([at[_joint_bone(name)] for name in FRAMES])
    end, radius, owner = [], [], []

    low, high = joint[FRAME["thigh.L"], 2], joint[FRAME["upper_arm.L"], 2]
    on_trunk = np.char.startswith(name_of, ("spine",)) | np.char.startswith(name_of, "pelvis")
    on_trunk |= np.char.startswith(name_of, "root") | np.char.startswith(name_of, "breast")
    on_hips = on_trunk | np.char.startswith(name_of, "upperleg01")
    on_top = on_trunk | np.char.startswith(name_of, "clavicle") | np.char.startswith(name_of, "shoulder01")
    for name, height, frame in _TRUNK:
        z = low + height * (high - low)
        chosen = on_hips if name in ("hips", "pelvis") else on_top if name == "shoulders" else on_trunk
        ring = skin[chosen & (np.abs(skin[:, 2] - z) < 0.055 * (high - low))]
        front, back = np.quantile(ring[:, 1], (0.04, 0.96))
        wide = np.quantile(np.abs(ring[:, 0]), 0.95)
        r = float((back - front) / 2)
        half = max(wide - r, 0.0)
        ends = np.array([[half, (front + back) / 2, z], [-half, (front + back) / 2, z]])
        end.append(ends)
        radius.append((r, r))
        owner.append(FRAME[frame])

    on_head = owner_bone >= labels.index("head")
    head = skin[on_head]
    bottom, top = head[:, 2].min(), head[:, 2].max()
    r = float(np.quantile(np.abs(head[:, 0]), 0.97)) * 0.98
    front, back = np.quantile(head[:, 1], (0.02, 0.98))
    neck = skin[np.char.startswith(name_of, "neck")]
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
            near = skin[np.isin(name_of, [f"{bone}.{s}" for bone in _SKIN_OF[name]])]
            share = (near - a) @ along / np.linalg.norm(b - a)
            away = near - a - ((near - a) @ along)[:, None] * along
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
            if name in ("fingers", "foot"):
                finish -= min(r1, 0.5 * (finish - begin))
            end.append(np.stack([a + along * begin, a + along * finish]) + middle)
            radius.append((r0, r1))
            owner.append(FRAME[f"{_FRAME_OF.get(name, name)}.{s}"])
    return Physique(
        rig=rig,
        joint=joint,
        girdle=np.array([[at[f"{bone}.{s}"] for s in "LR"] for bone in ("clavicle", "shoulder01", "upperarm01")]),
        end=np.array(end),
        radius=np.array(radius),
        owner=np.array(owner),
    )


_SKIN_OF = {
    "upper_arm": ("upperarm01", "upperarm02"),
    "forearm": ("lowerarm01", "lowerarm02"),
    "palm": ("wrist", *(f"metacarpal{k}" for k in range(1, 5))),
    "fingers": tuple(f"finger{f}-{k}" for f in range(2, 6) for k in (1, 2, 3)),
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
    basis = pack.shape_basis[:, :SKIN_VERTICES].reshape(len(pack.shape_basis), -1)
    return (pack.base_vertices[:SKIN_VERTICES] + (coefficients.astype(np.float32) @ basis).reshape(-1, 3)).astype(float)
