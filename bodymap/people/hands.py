"""Hands: shapes they take (relaxed, flat, fist, pointing, around a cup, ...), each finger a little its own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bodymap.errors import UserError
from bodymap.people.config import PoseConfig
from bodymap.people.joints import MIRROR, rotations
from bodymap.people.joints import vectors as rotation_vectors
from bodymap.people.pack import Pack
from bodymap.people.streams import choose
from bodymap.people.wardrobe import Wardrobe

Range = tuple[float, float]


@dataclass(frozen=True)
class HandShape:
    """Ranges a hand of this shape is drawn from.

    Attributes:
        curl: of thumb, index, middle, ring and little finger: share of a closed fist; negative: bent back.
        spread: radians by which the outer fingers stand off the middle one; negative: they touch.
        opposition: radians by which the thumb swings before the palm.  thumb: by which it stands off in that plane.
        together: 1 all fingers follow one draw, 0 each its own.
    """

    curl: tuple[Range, Range, Range, Range, Range]
    spread: Range = (-0.03, 0.1)
    opposition: Range = (0.0, 0.3)
    thumb: Range = (-0.1, 0.15)
    together: float = 0.7


SHAPES: dict[str, HandShape] = {
    "relaxed": HandShape(((0.05, 0.4), (0.1, 0.38), (0.16, 0.46), (0.2, 0.52), (0.2, 0.55))),
    "flat": HandShape(((-0.05, 0.25), (0, 0.1), (0, 0.1), (0, 0.1), (0, 0.12)), (-0.05, 0.06), (-0.1, 0.15)),
    "spread": HandShape(
        ((-0.2, 0.1), (-0.03, 0.12), (-0.03, 0.12), (-0.03, 0.15), (0, 0.15)), (0.16, 0.32), (-0.2, 0.1), (0.2, 0.45)
    ),
    "fist": HandShape(
        ((0.7, 1.0), (0.85, 1), (0.88, 1), (0.88, 1), (0.85, 1)), (-0.04, 0.0), (0.3, 0.55), together=0.9
    ),
    "point": HandShape(((0.4, 0.9), (0, 0.08), (0.75, 1), (0.8, 1), (0.8, 1)), (-0.02, 0.04), (0.2, 0.5)),
    "victory": HandShape(((0.6, 1.0), (0, 0.06), (0, 0.06), (0.8, 1), (0.8, 1)), (0.18, 0.26), (0.45, 0.7)),
    "thumbs_up": HandShape(
        ((-0.4, 0.0), (0.85, 1), (0.88, 1), (0.88, 1), (0.85, 1)), (-0.04, 0.0), (-0.25, 0.0), (0.2, 0.5)
    ),
    "cup": HandShape(
        ((0.15, 0.4), (0.35, 0.55), (0.38, 0.58), (0.4, 0.6), (0.4, 0.62)), (-0.02, 0.06), (0.45, 0.75), together=0.85
    ),
    "grip": HandShape(
        ((0.25, 0.5), (0.45, 0.65), (0.5, 0.68), (0.5, 0.7), (0.5, 0.7)), (-0.03, 0.03), (0.35, 0.65), together=0.85
    ),
    "hook": HandShape(
        ((0.1, 0.4), (0.6, 0.8), (0.62, 0.82), (0.62, 0.85), (0.6, 0.85)), (-0.03, 0.02), (0.1, 0.4), together=0.9
    ),
    "pinch": HandShape(
        ((0.3, 0.5), (0.42, 0.55), (0.2, 0.55), (0.2, 0.6), (0.15, 0.6)), (0.0, 0.12), (0.5, 0.8), together=0.8
    ),
    "free": HandShape(((0, 0.9), (0, 0.95), (0, 1.0), (0, 1.0), (0, 1.0)), (-0.04, 0.2), (-0.1, 0.6), together=0.45),
}
# by how much each finger stands off the middle one's line, of the hand's spread
_FAN = np.array([1.0, 0.12, -0.5, -1.0])


@dataclass(frozen=True)
class _Hands:
    """Constants of a pack: bones (side, finger, joint) of both hands, their fists, and for spreading and opposing
    the axes (side, xyz), the left hand's and its mirror image."""

    bones: np.ndarray
    fist: np.ndarray
    fan: np.ndarray
    oppose: np.ndarray


def curl_fingers(
    rng: np.random.Generator,
    local: Float[np.ndarray, "bone 3 3"],
    pack: Pack,
    config: PoseConfig,
    wanted: tuple[str | None, str | None] = (None, None),
) -> Float[np.ndarray, "bone 3 3"]:
    """Sets the finger bones of both hands, in place; a pose that already moves them keeps them half of the time.

    Args:
        wanted: the shapes that the left and the right hand should have; None: as the config's table has it.

    Raises:
        UserError: the config or ``wanted`` names a shape that does not exist.
    """
    h = _hands(pack)
    kept = np.abs(local[h.bones][..., (0, 1, 2), (0, 1, 2)] - 1).max((1, 2, 3)) > 1e-3
    same = rng.random() < 0.5  # relaxed people's hands are alike
    keep = rng.random(2) < 0.5
    first = choose(rng, config.hands)
    names = [wanted[0] or first, wanted[1] or (first if same else choose(rng, config.hands))]
    fingers = _bent(h, [_draw(rng, SHAPES[_known(name)]) for name in names])
    for side in (0, 1):
        if not (kept[side] and keep[side]):
            local[h.bones[side]] = fingers[side]
    return local


def relaxed_hands(local: Float[np.ndarray, "bone 3 3"], pack: Pack) -> Float[np.ndarray, "bone 3 3"]:
    """A copy in which both hands hang as resting hands do: the middle of what "relaxed" allows."""
    h, shape = _hands(pack), SHAPES["relaxed"]
    curl = np.mean(shape.curl, 1)[:, None].repeat(3, 1)
    fingers = _bent(h, [(curl, *(sum(bounds) / 2 for bounds in (shape.spread, shape.opposition, shape.thumb)))] * 2)
    local = local.copy()
    local[h.bones] = fingers
    return local


def _bent(h: _Hands, drawn: list[tuple[np.ndarray, float, float, float]]) -> Float[np.ndarray, "side 5 3 3 3"]:
    """Local rotations of the finger bones of the left and the right hand, from what ``_draw`` gives."""
    vector, extra = np.empty((2, 5, 3, 3)), np.zeros((2, 5, 3))
    for side, (curl, spread, opposition, thumb) in enumerate(drawn):
        vector[side] = h.fist[side] * curl[..., None]
        extra[side, 1:] = h.fan[side] * (spread * _FAN)[:, None]
        extra[side, 0] = h.fan[side] * thumb + h.oppose[side] * opposition
    turned = rotations(np.concatenate([vector.reshape(30, 3), extra.reshape(10, 3)]))
    fingers, off = turned[:30].reshape(2, 5, 3, 3, 3), turned[30:].reshape(2, 5, 3, 3)
    fingers[:, :, 0] = off @ fingers[:, :, 0]
    return fingers


def _known(name: str) -> str:
    if name not in SHAPES:
        raise UserError(f'There is no shape of hands "{name}"; there are {", ".join(SHAPES)}.')
    return name


def _draw(rng: np.random.Generator, shape: HandShape) -> tuple[np.ndarray, float, float, float]:
    """Curls (finger, joint) as shares of a fist, spread, opposition and the thumb's stand-off."""
    u = rng.random(9)
    low, high = np.array(shape.curl).T
    t = low + (high - low) * (shape.together * u[5] + (1 - shape.together) * u[:5])
    # the knuckle leads in some hands, the other two joints in others; the last follows the middle one
    lead = rng.normal(0, 0.09, 5)[:, None] * np.array([1.0, -0.6, -0.8])
    curl = np.minimum(t[:, None] * (1 + lead), 1.05)

    def within(bounds: Range, share: float) -> float:
        return bounds[0] + (bounds[1] - bounds[0]) * share

    return curl, within(shape.spread, u[6]), within(shape.opposition, u[7]), within(shape.thumb, u[8])


def _hands(pack: Pack) -> _Hands:
    kept = Wardrobe.of(pack).kept
    if "hands" not in kept:
        labels = pack.bones.labels
        bones = np.array(
            [[[labels.index(f"finger{f}-{k}.{side}") for k in (1, 2, 3)] for f in range(1, 6)] for side in "LR"]
        )
        along = _head(pack, "finger3-1.L") - _head(pack, "wrist.L")
        along /= np.linalg.norm(along)
        fan = _spread_axis(pack, "L")
        # about the hand's own line, towards the palm: the thumb hangs on the palm's side of the index
        palm = np.sign(fan @ (_head(pack, "finger1-3.L") - _head(pack, "finger2-1.L")))
        kept["hands"] = _Hands(
            bones=bones,
            fist=fist_vectors(pack)[bones],
            fan=np.stack([fan, MIRROR @ fan]),
            oppose=np.stack([along * palm, MIRROR @ along * palm]),
        )
    return kept["hands"]


def fist_vectors(pack: Pack) -> np.ndarray:
    """(J, 3) rotation vectors of a closed fist: the pack's, else bent about the knuckle line."""
    kept = Wardrobe.of(pack).kept
    if "fist" not in kept:
        if pack.fist is not None:
            vectors = rotation_vectors(pack.fist.astype(float))
        else:
            vectors = np.zeros((len(pack.bones.labels), 3))
            for j, label in enumerate(pack.bones.labels):
                if label.startswith("finger"):
                    side = label[-1]
                    across = _head(pack, f"finger2-1.{side}") - _head(pack, f"finger5-1.{side}")
                    palm = _spread_axis(pack, side)
                    bend = np.cross(palm, np.cross(across, palm))
                    bend = bend / np.linalg.norm(bend) * (1 if side == "L" else -1)
                    angle = (
                        (0.35, 0.45, 0.7)[int(label[8]) - 1] if label[6] == "1" else (1.35, 1.6, 1.1)[int(label[8]) - 1]
                    )
                    vectors[j] = bend * angle
        kept["fist"] = vectors
    return kept["fist"]


def _head(pack: Pack, label: str) -> np.ndarray:
    return pack.base_heads[pack.bones.index(label)].astype(float)


def _spread_axis(pack: Pack, side: str) -> np.ndarray:
    """Unit normal of the palm; turning about it spreads the fingers."""
    along = _head(pack, f"finger3-1.{side}") - _head(pack, f"wrist.{side}")
    across = _head(pack, f"finger2-1.{side}") - _head(pack, f"finger5-1.{side}")
    normal = np.cross(along, across)
    return normal / np.linalg.norm(normal)
