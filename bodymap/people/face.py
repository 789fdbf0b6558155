"""Facial expressions: which muscles pull, and how hard; drawn once a person from the pack's facial actions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bodymap.people.config import FaceConfig
from bodymap.people.pack import Pack
from bodymap.people.streams import choose

# Ranges of strength at full expression. A name without its side stands for both. Each table is one observation of
# what a face does, not a standard; the actions' names are ARKit's.
EXPRESSIONS: dict[str, dict[str, tuple[float, float]]] = {
    "smile": {"mouthSmile": (0.35, 0.9), "cheekSquint": (0.0, 0.6), "eyeSquint": (0.0, 0.5), "mouthDimple": (0, 0.4)},
    "open_smile": {
        "mouthSmile": (0.5, 1.0),
        "jawOpen": (0.06, 0.2),
        "mouthUpperUp": (0.3, 0.9),
        "mouthLowerDown": (0.0, 0.5),
        "cheekSquint": (0.2, 0.8),
        "eyeSquint": (0.0, 0.6),
    },
    "laugh": {
        "mouthSmile": (0.6, 1.0),
        "jawOpen": (0.25, 0.55),
        "mouthUpperUp": (0.2, 0.8),
        "cheekSquint": (0.4, 1.0),
        "eyeSquint": (0.3, 1.0),
        "eyeBlink": (0.0, 0.4),
        "browOuterUp": (0.0, 0.4),
    },
    "talk": {
        "jawOpen": (0.05, 0.4),
        "mouthFunnel": (0.0, 0.6),
        "mouthStretch": (0.0, 0.4),
        "mouthLowerDown": (0.0, 0.5),
        "browInnerUp": (0.0, 0.5),
    },
    "surprise": {
        "jawOpen": (0.2, 0.75),
        "browInnerUp": (0.5, 1.0),
        "browOuterUp": (0.4, 1.0),
        "eyeWide": (0.4, 1.0),
        "mouthFunnel": (0.0, 0.3),
    },
    "sad": {
        "mouthFrown": (0.4, 1.0),
        "browInnerUp": (0.3, 1.0),
        "mouthShrugLower": (0.0, 0.5),
        "eyeLookDown": (0.0, 0.5),
        "eyeSquint": (0.0, 0.4),
    },
    "angry": {
        "browDown": (0.5, 1.0),
        "eyeSquint": (0.2, 0.8),
        "noseSneer": (0.1, 0.7),
        "mouthPress": (0.0, 0.7),
        "mouthFrown": (0.1, 0.7),
        "jawForward": (0.0, 0.3),
    },
    "disgust": {
        "noseSneer": (0.5, 1.0),
        "mouthUpperUp": (0.3, 1.0),
        "browDown": (0.3, 0.8),
        "eyeSquint": (0.2, 0.8),
        "mouthFrown": (0.0, 0.5),
    },
    "pucker": {"mouthPucker": (0.5, 1.0), "cheekPuff": (0.0, 0.5), "browInnerUp": (0.0, 0.4)},
    "shout": {
        "jawOpen": (0.6, 1.0),
        "mouthStretch": (0.2, 0.9),
        "mouthUpperUp": (0.2, 0.8),
        "browDown": (0.2, 0.9),
        "eyeSquint": (0.1, 0.7),
        "noseSneer": (0.0, 0.6),
    },
    "mix": {},
}
# What else may pull. Gaze and lids have draws of their own; a jaw or a tongue that moves alone runs into closed teeth.
EXTRA = (
    *("browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekSquint", "eyeSquint", "eyeWide", "noseSneer"),
    *("jawLeft", "jawRight", "mouthLeft", "mouthRight", "mouthDimple", "mouthFrown", "mouthFunnel", "mouthLowerDown"),
    *("mouthPress", "mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthSmile", "mouthStretch", "mouthUpperUp"),
)
_SIDES = ("Left", "Right")


def draw_face(rng: np.random.Generator, pack: Pack, config: FaceConfig) -> Float[np.ndarray, " action"] | None:
    """Strengths (A,) of the pack's facial actions, for ``shape.with_face``; None: at rest, or a pack without any."""
    if not pack.face.names:
        return None
    face = _Face(dict.fromkeys(pack.face.names, 0.0))
    if rng.random() >= config.neutral:
        level = rng.uniform(*config.strength)
        for action, (low, high) in EXPRESSIONS[choose(rng, config.expression)].items():
            face.pull(action, level * rng.uniform(low, high), 1 - config.asymmetry * rng.random(2))
        for _ in range(int(rng.integers(config.extra + 1))):
            action, value = EXTRA[rng.integers(len(EXTRA))], min(level, config.extra_strength) * rng.random()
            one_side = np.eye(2)[rng.integers(2)]
            both = 1 - config.asymmetry * rng.random(2)
            face.pull(action, value, both if rng.random() < config.both_sides else one_side)
    if rng.random() < config.gaze:
        face.look(rng.uniform(-1, 1), rng.uniform(-0.7, 0.5))
    lids = rng.random()
    if lids < config.blink:
        face.pull("eyeBlink", 1.0, np.ones(2))
    elif lids < 4 / 3 * config.blink:
        face.pull("eyeBlink", 1.0, np.eye(2)[rng.integers(2)])
    face.settle()
    weights = np.array(list(face.strength.values()), np.float32)
    return weights if weights.any() else None


class _Face:
    """``strength`` of each action of the pack; actions that the pack lacks are passed over."""

    def __init__(self, strength: dict[str, float]):
        self.strength = strength

    def pull(self, action: str, value: float, sides: Float[np.ndarray, " side=2"]) -> None:
        """Raises an action to ``value``; where it has two sides, each to its share of that."""
        names = [(action, 1.0), *zip((action + side for side in _SIDES), sides, strict=True)]
        for name, share in names:
            if name in self.strength:
                self.strength[name] = max(self.strength[name], value * float(share))

    def look(self, left: float, up: float) -> None:
        """Turns both eyes, to the person's left and up (-1 .. 1)."""
        outer, inner = np.array([left > 0, left <= 0], float), np.array([left <= 0, left > 0], float)
        self.pull("eyeLookOut", abs(left), outer)
        self.pull("eyeLookIn", abs(left), inner)
        self.pull("eyeLookUp" if up > 0 else "eyeLookDown", abs(up), np.ones(2))

    def settle(self) -> None:
        """Weakens what cannot go together: surfaces would pass through each other."""
        for side in _SIDES:
            lids = [f"{name}{side}" for name in ("eyeSquint", "eyeWide", "eyeLookDown", "eyeLookUp")]
            self._weaken(1 - self.strength.get(f"eyeBlink{side}", 0.0), *lids)
            self._weaken(1 - 2 * self.strength.get(f"mouthSmile{side}", 0.0), f"mouthFrown{side}")
        dropped = self.strength.get("jawOpen", 0.0)
        self._weaken(1 - 2 * dropped, "mouthPucker", "mouthShrugLower", "mouthRollLower", "mouthRollUpper")

    def _weaken(self, share: float, *names: str) -> None:
        for name in names:
            if name in self.strength:
                self.strength[name] *= max(0.0, share)
