"""Things that people carry, part of the person: a bag (``bags.py``), or something in the hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from bodymap.errors import UserError
from bodymap.people.bags import BAGS, CARRIED, by_the_hand
from bodymap.people.config import OutfitConfig
from bodymap.people.fabric import draw_cloth
from bodymap.people.fitting import Worn
from bodymap.people.furniture import bottle, canopy, mug
from bodymap.people.hands import fist_vectors
from bodymap.people.material import Material, hsv
from bodymap.people.mesh import Piece
from bodymap.people.pack import Pack
from bodymap.people.primitives import Solid, as_piece, box, disc, lathe, merge, moved, rod, rounded, tube
from bodymap.people.props import calm, leaves, plain
from bodymap.people.shape import Body
from bodymap.people.skinning import Posed, rotation_vector
from bodymap.people.streams import choose
from bodymap.people.wardrobe import Wardrobe

# From the middle knuckle to the middle of a closed hand: along the fingers, out of the palm, across; metres.
_FIST = np.array([-0.012, 0.022, 0.0])


def carried_things(
    rng: np.random.Generator, wardrobe: Wardrobe, body: Body, config: OutfitConfig, split: str
) -> list[Worn]:
    """None for most people; else one bag, or one thing in a hand.

    Raises:
        UserError: there is no thing of a name in the tables.
    """
    out: list[Worn] = []
    side = "L" if rng.random() < 0.5 else "R"
    if rng.random() < config.bag:
        make = _named(BAGS, choose(rng, config.bags), "bag")
        out += make(rng, wardrobe, body, calm(draw_cloth(rng, config, split, leather=rng.random() < 0.6)), side)
        side = "R" if side == "L" else "L"
    if rng.random() < config.held:
        kind = choose(rng, config.helds)
        cloth = calm(draw_cloth(rng, config, split, leather=kind not in ("umbrella", "ball")))
        out += _named(HELD, kind, "thing to hold")(rng, wardrobe, body, cloth, side)
    return out


def _named(table: dict, name: str, what: str):
    if name not in table:
        raise UserError(f'There is no {what} "{name}"; there are {", ".join(sorted(table))}.')
    return table[name]


def closed_hands(
    local: Float[np.ndarray, "bone 3 3"], pieces: tuple[Piece, ...], pack: Pack
) -> Float[np.ndarray, "bone 3 3"]:
    """The pose (local rotations of all bones) with the fingers closed around what the hands hold; a copy."""
    labels, fist = pack.bones.labels, fist_vectors(pack)
    local = local.copy()
    for side, share in _grips(pieces, pack).items():
        for finger in range(1, 6):
            for k in (1, 2, 3):
                j = labels.index(f"finger{finger}-{k}.{side}")
                local[j] = rotation_vector(fist[j] * share * (0.8 if finger == 1 else 1.0))
    return local


def _grips(pieces: tuple[Piece, ...], pack: Pack) -> dict[str, float]:
    """Which hands hold something, and how far their fingers close around it: {"L": 0.7}, share of a fist."""
    out = {}
    for piece in pieces:
        if piece.layer != CARRIED or piece.name not in GRIPS:
            continue
        hand = piece.drape.hand if piece.drape is not None else int(piece.skin_index[0, 0])
        out[pack.bones.labels[hand][-1]] = GRIPS[piece.name]
    return out


@dataclass(frozen=True)
class Upright:
    """Holds a solid upright in a hand: a cane down to the floor, an umbrella up over the head.

    ``solid`` has the hand at its origin and its far end ``reach`` metres away along z (negative: down); ``fist``: from
    the knuckle to the middle of the closed hand, at rest.
    """

    solid: np.ndarray
    reach: float
    hand: int
    knuckle: int
    fist: np.ndarray
    head: int
    feet: tuple[int, ...]

    def __call__(self, skin: np.ndarray, posed: Posed | None) -> np.ndarray:
        """Vertices in the pose."""
        at = posed.position[self.knuckle] + posed.rotation[self.hand] @ self.fist
        head = posed.position[self.head]
        if self.reach > 0:
            want = np.clip(head[2] + 0.3 - at[2], 0.45, 1.3)
            lean = (head - at)[:2] * 0.6
        else:
            floor = min(posed.position[foot][2] for foot in self.feet) - 0.02
            want = at[2] - floor
            # a hand held high carries a cane as it is
            want = want if 0.4 < want < 1.25 else -self.reach
            lean = np.zeros(2)
        share = self.solid[:, 2] / self.reach
        length = np.linalg.norm(lean)
        lean = lean * min(1.0, 0.35 / max(length, 1e-6))
        vertices = self.solid.astype(float)
        grow = want / abs(self.reach)
        inner = np.clip(share, 0, 1)
        # only the shaft is stretched; canopy and ferrule keep their shape
        vertices[:, 2] += np.sign(self.reach) * abs(self.reach) * inner * (grow - 1)
        vertices[:, :2] += share[:, None] * lean
        return (at + vertices).astype(np.float32)


# ------------------------------------------------------------------ things in a hand
def _palm_axes(wardrobe: Wardrobe, body: Body, side: str) -> tuple[np.ndarray, np.ndarray]:
    """(middle knuckle, columns: along the fingers, out of the palm, towards the index finger) of this body at rest."""
    bones = wardrobe.pack.bones

    def at(label: str) -> np.ndarray:
        return body.heads[bones.index(f"{label}.{side}")].astype(float)

    wrist, knuckle = at("wrist"), at("finger3-1")
    across = at("finger2-1") - at("finger5-1")
    across = across / np.linalg.norm(across)
    along = (knuckle - wrist) / np.linalg.norm(knuckle - wrist)
    palm = np.cross(along, across)
    palm *= np.sign((at("finger1-2") - knuckle) @ palm) or 1.0
    return knuckle, np.stack([along, palm, across], 1)


def _in_hand(wardrobe: Wardrobe, body: Body, side: str, name: str, parts: list[tuple[Solid, Material]]) -> list[Worn]:
    """Solids fixed to a hand: x along the fingers, y out of the palm, z towards the index finger."""
    bone = wardrobe.pack.bones.index(f"wrist.{side}")
    knuckle, axes = _palm_axes(wardrobe, body, side)
    scale = min(1.0, 0.6 + 0.4 * (body.heads[:, 2].max() - body.vertices[:, 2].min()) / 1.6)
    near = parts[0][0][0]
    thick = np.abs(near[np.abs(near[:, 2]) < 0.08][:, 1]).max() if (np.abs(near[:, 2]) < 0.08).any() else 0.02
    # thin things lie inside the closed fingers, thick ones against the palm
    inside = _FIST if thick < 0.022 and name in ("stick", "bouquet") else np.array([0.0, 0.014 + min(thick, 0.06), 0])
    place = knuckle + axes @ inside * scale
    shift = wardrobe.anatomy.heads[f"finger3-1.{side}"] - knuckle
    out = []
    for (vertices, triangles), material in parts:
        solid = moved((vertices * np.float32(scale), triangles), place, axes)
        pulled = np.clip(solid[0] - knuckle, -0.09, 0.09) + knuckle
        truth = wardrobe.bind(pulled + shift, ("hand",))
        piece = as_piece(solid, name, CARRIED, material, truth)
        out.append(Worn(replace(piece, skin_index=np.full((len(solid[0]), 6), bone))))
    return out


def _phone(rng, wardrobe, body, cloth, side) -> list[Worn]:
    half = (rng.uniform(0.032, 0.042), 0.0045, rng.uniform(0.065, 0.085))
    lit = plain(np.full(3, 0.04) if rng.random() < 0.5 else hsv(rng.random(), rng.uniform(0, 0.5), 0.9), 0.5, 60)
    screen = moved(box((half[0] * 0.92, 0.0006, half[2] * 0.94)), (0, half[1], 0))
    return _in_hand(wardrobe, body, side, "phone", [(rounded(half, 0.2), cloth), (screen, lit)])


def _mug(rng, wardrobe, body, cloth, side) -> list[Worn]:
    cup = mug(rng)
    tall = cup[0][:, 2].max()
    parts = [(moved(cup, (0, 0, -tall / 2)), cloth)]
    if rng.random() < 0.3:  # a lid
        radius = float(cup[0][cup[0][:, 2] > tall - 1e-4, 0].max())
        lid = lathe([(radius * 1.06, -0.004), (radius * 1.06, 0.006), (radius * 0.9, 0.01), (0, 0.01)], 14)
        parts.append((moved(lid, (0, 0, tall / 2)), plain(np.full(3, rng.choice([0.06, 0.9])), 0.2)))
    return _in_hand(wardrobe, body, side, "mug", parts)


def _bottle(rng, wardrobe, body, cloth, side) -> list[Worn]:
    solid = bottle(rng)
    tall = solid[0][:, 2].max()
    radius = float(np.abs(solid[0][:, 0]).max())
    label = lathe([(radius * 1.01, tall * 0.2), (radius * 1.01, tall * 0.45)], 14)
    glass = plain(hsv(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.2, 0.9)), 0.5, 50)
    parts = [(moved(solid, (0, 0, -tall * 0.4)), glass), (moved(label, (0, 0, -tall * 0.4)), cloth)]
    return _in_hand(wardrobe, body, side, "bottle", parts)


def _book(rng, wardrobe, body, cloth, side) -> list[Worn]:
    half = (rng.uniform(0.07, 0.12), rng.uniform(0.006, 0.025), rng.uniform(0.09, 0.15))
    pages = box((half[0] * 0.97, half[1] * 0.8, half[2] * 0.97))
    covers = merge(*(moved(box((half[0], half[1] * 0.15, half[2])), (0, y * half[1], 0)) for y in (-0.9, 0.9)))
    parts = [(moved(covers, (0.04, 0, 0)), cloth), (moved(pages, (0.042, 0, 0)), plain([0.9, 0.88, 0.8]))]
    return _in_hand(wardrobe, body, side, "book", parts)


def _folder(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """A sheet, a folder, a tablet."""
    half = (rng.uniform(0.09, 0.13), rng.uniform(0.002, 0.008), rng.uniform(0.12, 0.17))
    parts = [(moved(box(half), (0.06, 0, 0)), cloth)]
    if rng.random() < 0.5:
        front = moved(box((half[0] * 0.9, 0.0006, half[2] * 0.92)), (0.06, half[1] + 0.0005, 0))
        parts.append((front, plain(np.full(3, rng.uniform(0.1, 0.95)), 0.3)))
    return _in_hand(wardrobe, body, side, "folder", parts)


def _ball(rng, wardrobe, body, cloth, side) -> list[Worn]:
    radius = rng.uniform(0.035, 0.13)
    return _in_hand(wardrobe, body, side, "ball", [(rounded((radius,) * 3, 1.0), cloth)])


def _bouquet(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """Stems in paper and flowers above the fist."""
    paper = lathe([(0.018, -0.12), (0.016, 0.0), (0.05, 0.14), (0.085, 0.22)], 14)
    blooms: list[Solid] = []
    for _ in range(int(rng.integers(7, 16))):
        size = rng.uniform(0.018, 0.038)
        at = np.array([*rng.normal(0, 0.04, 2), rng.uniform(0.2, 0.3)])
        blooms.append(moved(rounded((size, size, size * 0.7), 1.0, 8, 6), at))
    half = len(blooms) // 2
    parts = [(paper, cloth if rng.random() < 0.5 else leaves(rng))]
    for group in (blooms[:half], blooms[half:]):
        parts.append((merge(*group), plain(hsv(rng.random(), rng.uniform(0.1, 0.9), rng.uniform(0.5, 1)))))
    return _in_hand(wardrobe, body, side, "bouquet", parts)


def _stick(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """A stick, a bat, a racket."""
    low, high, radius = rng.uniform(0.06, 0.7), rng.uniform(0.1, 0.5), rng.uniform(0.008, 0.02)
    solid = rod((0, 0, -low), (0, 0, high), (radius, radius * rng.uniform(0.8, 1.6)))
    if rng.random() < 0.25:
        t = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        hoop = np.stack([0.11 * np.cos(t), 0 * t, high + 0.15 + 0.15 * np.sin(t)], 1)
        solid = merge(solid, tube(hoop, 0.008, 6, closed=True), disc(hoop))
    return _in_hand(wardrobe, body, side, "stick", [(solid, cloth)])


def _upright(rng, wardrobe, body, side, name, reach, parts) -> list[Worn]:
    bones = wardrobe.pack.bones
    hand, knuckle = bones.index(f"wrist.{side}"), bones.index(f"finger3-1.{side}")
    feet = tuple(bones.index(f"toe2-2.{s}") for s in "LR")
    _, axes = _palm_axes(wardrobe, body, side)
    out = []
    for solid, material in parts:
        truth = wardrobe.bind(by_the_hand(wardrobe, solid[0], side), ("hand",))
        drape = Upright(solid[0], reach, hand, knuckle, axes @ _FIST, bones.index("head"), feet)
        out.append(Worn(replace(as_piece(solid, name, CARRIED, material, truth), drape=drape)))
    return out


def _cane(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """A walking stick with a crook or a knob."""
    reach = 0.85
    shaft = rod((0, 0, -reach), (0, 0, 0.02), (0.009, 0.012))
    if rng.random() < 0.5:
        t = np.linspace(0, np.pi * 0.9, 9)
        turn = rotation_vector(np.array([0, 0, rng.uniform(0, 6.3)]))
        head = moved(
            tube(np.stack([0.04 * np.cos(t) - 0.04, 0 * t, 0.02 + 0.04 * np.sin(t)], 1), 0.012), (0, 0, 0), turn
        )
    else:
        head = moved(rounded((0.02, 0.02, 0.02), 1.0, 10, 8), (0, 0, 0.03))
    return _upright(rng, wardrobe, body, side, "cane", -reach, [(merge(shaft, head), cloth)])


def _umbrella(rng, wardrobe, body, cloth, side) -> list[Worn]:
    """Open over the head, or closed and used as a cane."""
    dark = plain(np.full(3, rng.uniform(0.04, 0.5)), 0.3)
    if rng.random() < 0.6:
        reach = 0.8
        shaft = rod((0, 0, -0.12), (0, 0, reach + 0.04), 0.006, 6)
        cover = moved(canopy(rng, rng.uniform(0.42, 0.6)), (0, 0, reach))
        return _upright(rng, wardrobe, body, side, "umbrella", reach, [(shaft, dark), (cover, cloth)])
    reach = 0.85
    shaft = rod((0, 0, -reach), (0, 0, 0.06), 0.008, 6)
    cover = moved(canopy(rng, 0.55, closed=True), (0, 0, -0.12))
    return _upright(rng, wardrobe, body, side, "closed umbrella", -reach, [(shaft, dark), (cover, cloth)])


HELD = {
    "phone": _phone,
    "mug": _mug,
    "bottle": _bottle,
    "book": _book,
    "folder": _folder,
    "ball": _ball,
    "bouquet": _bouquet,
    "stick": _stick,
    "cane": _cane,
    "umbrella": _umbrella,
}
# How far fingers close around a thing: shares of a fist.
GRIPS = {
    "hand bag": 0.9,
    "travel bag": 0.9,
    "shopping bag": 0.9,
    "arm bag": 0.5,
    "phone": 0.45,
    "mug": 0.55,
    "bottle": 0.6,
    "book": 0.45,
    "folder": 0.45,
    "ball": 0.35,
    "bouquet": 0.75,
    "stick": 0.8,
    "cane": 0.8,
    "umbrella": 0.85,
    "closed umbrella": 0.8,
}
