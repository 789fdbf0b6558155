"""What is worn on the face and at the ears: glasses, masks, headphones, earrings; fitted to this head.

All of it moves with the skull and takes the layer ``carried``: it is no garment, and it is not the skin either, whose
pixels are the template's own surface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bodymap.people.fitting import Worn, fitted, landmark, skin_of
from bodymap.people.material import Material, hsv
from bodymap.people.primitives import Solid, disc, merge, moved, rounded, sheet, tube
from bodymap.people.props import plain
from bodymap.types import LAYER_NAMES

if TYPE_CHECKING:
    from bodymap.people.dressing import Dresser

CARRIED, HAIR = (LAYER_NAMES.index(name) for name in ("carried", "hair"))
_LIMITS = ("head", "neck")


class _Head:
    """Measures of one head at rest, metres; the face looks along -Y."""

    def __init__(self, dresser: Dresser):
        self.dresser, body, wardrobe = dresser, dresser.body, dresser.wardrobe
        eyes = [body.heads[wardrobe.pack.bones.index(f"eye.{side}")].astype(float) for side in "LR"]
        self.eye = np.array(
            [(eyes[0][0] - eyes[1][0]) / 2, (eyes[0][1] + eyes[1][1]) / 2, (eyes[0][2] + eyes[1][2]) / 2]
        )
        self.size = self.eye[0] / 0.0295  # of the default head
        self.skin = body.vertices[skin_of(wardrobe, *_LIMITS)].astype(float)
        self.rest = wardrobe.anatomy.rest[skin_of(wardrobe, *_LIMITS)]

    def at(self, name: str, side: float = 1.0) -> np.ndarray:
        return self.dresser.body.vertices[landmark(self.dresser.wardrobe, name, side)].astype(float)

    def piece(self, solid: Solid, name: str, layer: int, material: Material) -> Worn:
        d = self.dresser
        return Worn(fitted(d.wardrobe, d.body, solid, name, layer, material, _LIMITS, "head"))


def _frame(rng: np.random.Generator) -> Material:
    if rng.random() < 0.5:
        return plain(np.full(3, rng.uniform(0.03, 0.12)), 0.35, 40)
    if rng.random() < 0.5:  # metal
        return plain(hsv(0.11, rng.uniform(0, 0.5), rng.uniform(0.4, 0.8)), 0.5, 50)
    return plain(hsv(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.7)), 0.3, 40)


def glasses(rng: np.random.Generator, dresser: Dresser, dark: bool = False) -> list[Worn]:
    """Rims, a bridge and temples that rest on the ears; the glass itself is not seen."""
    head, s = _Head(dresser), 1.0
    s = head.size
    eye = head.eye[0]
    half = eye * rng.uniform(0.72, 0.88) * (1.06 if dark else 1.0)
    tall = half * rng.uniform(0.62, 0.98)
    power = rng.choice([1.0, 0.75, 0.55])  # round to nearly square
    thick = s * rng.choice([0.0009, 0.0016, 0.0026], p=[0.35, 0.35, 0.3])
    x0, z0 = eye * 1.04, head.eye[2] - 0.12 * tall
    # in front of brows, cheeks and lashes
    near = (np.abs(np.abs(head.skin[:, 0]) - x0) < half) & (np.abs(head.skin[:, 2] - z0) < tall)
    near &= (np.abs(head.skin[:, 0]) > 0.4 * eye) & (head.skin[:, 1] < head.eye[1])
    front = min(float(head.skin[near, 1].min()) if near.any() else 0.0, head.eye[1] - 0.021 * s) - thick - 0.0015
    t = np.linspace(0, 2 * np.pi, 26, endpoint=False)
    c, q = np.cos(t), np.sin(t)
    outline = np.stack(
        [half * np.sign(c) * np.abs(c) ** power, np.zeros(26), tall * np.sign(q) * np.abs(q) ** power], 1
    )
    rims, lenses = [], []
    for side in (-1.0, 1.0):
        rim = outline * [side, 1, 1] + [side * x0, front, z0]
        rim[:, 1] += 0.12 * np.maximum(np.abs(rim[:, 0]) - eye, 0)  # wraps around the face a little
        rims.append(tube(rim, thick, 6, closed=True))
        lenses.append(disc(rim))
        # the temple: clear of the side of the head, onto the ear, down behind it
        hinge = np.array([side * (x0 + half + thick), front + 0.1 * half, z0 + 0.35 * tall])
        root, back = head.at("ear_root", side), head.at("ear_back", side)
        path = np.linspace(hinge, root + [side * 0.002, 0, 0.002], 7)
        for point in path[1:-1]:
            skull = (np.abs(head.skin[:, 1] - point[1]) < 0.012) & (np.abs(head.skin[:, 2] - point[2]) < 0.012)
            skull &= (head.skin[:, 0] * side > 0) & (np.abs(head.rest[:, 0]) < 0.0735)
            if skull.any():
                point[0] = side * max(abs(point[0]), np.abs(head.skin[skull, 0]).max() + thick)
        end = np.array([[back[0] + side * 0.001, back[1] - 0.004 * s, back[2] - 0.004 * s]])
        path = np.concatenate([path, end, end + [[-side * 0.002, 0.004 * s, -0.022 * s]]])
        rims.append(tube(path, max(thick, 0.0011 * s), 6))
    nose = head.at("bridge")
    gap = x0 - half
    arch = np.array(
        [
            [-gap, front, z0 + 0.25 * tall],
            [0, min(front, nose[1]) - 0.003, z0 + 0.4 * tall],
            [gap, front, z0 + 0.25 * tall],
        ]
    )
    rims.append(tube(arch, thick, 6))
    frame = _frame(rng)
    worn = [head.piece(merge(*rims), "sunglasses" if dark else "glasses", CARRIED, frame)]
    if dark:
        tint = plain(hsv(rng.random(), rng.uniform(0, 0.5), rng.uniform(0.03, 0.16)), 0.6, 60)
        worn.append(head.piece(merge(*lenses), "lenses", CARRIED, tint))
    return worn


def sunglasses(rng: np.random.Generator, dresser: Dresser) -> list[Worn]:
    """Glasses with dark lenses."""
    return glasses(rng, dresser, dark=True)


def face_mask(rng: np.random.Generator, dresser: Dresser) -> list[Worn]:
    """A mask over nose, mouth and chin, with loops around the ears."""
    head = _Head(dresser)
    s = head.size
    centre = np.array([0.0, head.eye[1] + 0.055 * s])
    chin, bridge = head.at("chin"), head.at("bridge")
    wide, rows, columns = rng.uniform(0.85, 1.1), 10, 15
    angle = np.linspace(-wide, wide, columns)
    top = bridge[2] - 0.010 * s - 0.030 * s * (angle / wide) ** 2
    low = chin[2] - 0.004 * s + 0.022 * s * (angle / wide) ** 2
    z = low + (top - low) * np.linspace(0, 1, rows)[:, None]
    flat = head.skin[:, :2] - centre
    place = np.arctan2(flat[:, 0], -flat[:, 1])
    radius = np.linalg.norm(flat, axis=1)
    # nowhere closer to the axis than the face around it: cloth spans its hollows
    out = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            near = (np.abs(place - angle[j]) < 0.16) & (np.abs(head.skin[:, 2] - z[i, j]) < 0.011 * s)
            out[i, j] = radius[near].max() if near.any() else 0.06 * s
    inside = np.pad(out, 1, mode="edge")
    mean = (inside[:-2, 1:-1] + inside[2:, 1:-1] + inside[1:-1, :-2] + inside[1:-1, 2:]) / 4
    out = np.maximum(out, mean) + 0.004 * s
    points = np.stack([centre[0] + out * np.sin(angle), centre[1] - out * np.cos(angle), z], -1)
    cloth = (
        dresser.cloth(rng)
        if rng.random() < 0.4
        else plain([[0.62, 0.78, 0.86], [0.93, 0.94, 0.94], [0.06, 0.06, 0.07]][rng.integers(3)])
    )
    loops = []
    for side, column in ((-1.0, 0), (1.0, columns - 1)):
        root, back, lobe = (head.at(name, side) for name in ("ear_root", "ear_back", "ear_lobe"))
        off = np.array([side * 0.002, 0, 0])
        loops.append(
            tube(np.stack([points[-2, column], root + off, back + off, lobe + off, points[1, column]]), 0.0011, 5)
        )
    return [
        head.piece(sheet(points), "face mask", CARRIED, cloth),
        head.piece(merge(*loops), "face mask loops", CARRIED, plain(np.full(3, 0.85))),
    ]


def headphones(rng: np.random.Generator, dresser: Dresser) -> list[Worn]:
    """Two cups on the ears and a band over the head and the hair."""
    head = _Head(dresser)
    s = head.size
    ears = [head.at("ear_out", side) for side in (-1.0, 1.0)]
    ear = (ears[0] * [-1, 1, 1] + ears[1]) / 2
    heads = [head.skin, *(p.vertices for p in dresser.pieces if p.layer == HAIR)]
    over = np.concatenate(heads)
    near = over[(np.abs(over[:, 0]) < 0.03) & (np.abs(over[:, 1] - ear[1]) < 0.025)]
    crown = near[:, 2].max() if len(near) else head.skin[:, 2].max()
    cup = rng.uniform(0.03, 0.042) * s
    parts: list[Solid] = []
    for side in (-1.0, 1.0):
        at = np.array([side * (ear[0] + 0.003), ear[1], ear[2]])
        parts.append(moved(rounded((0.014 * s, cup * 0.85, cup), 0.6, 16, 10), at))
    t = np.linspace(0, np.pi, 17)
    wide, tall = ear[0] + 0.014 * s, crown + 0.008 * s - ear[2]
    band = np.stack([wide * np.cos(t), np.full(17, ear[1]), ear[2] + tall * np.sin(t) ** 0.85], 1)
    parts.append(moved(_flat(tube(band, 0.005 * s, 8), ear[1], 2.2), (0, 0, 0)))
    colour = np.full(3, rng.choice([0.05, 0.4, 0.92])) if rng.random() < 0.7 else hsv(rng.random(), 0.6, 0.6)
    return [head.piece(merge(*parts), "headphones", CARRIED, plain(colour, 0.25, 30))]


def _flat(solid: Solid, y: float, share: float) -> Solid:
    """Stretched in depth about ``y``."""
    vertices = solid[0].copy()
    vertices[:, 1] = y + (vertices[:, 1] - y) * share
    return vertices, solid[1]


def earrings(rng: np.random.Generator, dresser: Dresser) -> list[Worn]:
    """Studs, hoops or drops."""
    head = _Head(dresser)
    s = head.size
    kind, size = rng.integers(3), rng.uniform(0.004, 0.016) * s
    parts = []
    for side in (-1.0, 1.0):
        lobe = head.at("ear_lobe", side) + [side * 0.002, 0, 0]
        if kind == 0:
            parts.append(moved(rounded((0.35 * size + 0.002,) * 3, 1.0, 8, 6), lobe))
        elif kind == 1:
            t = np.linspace(0, 2 * np.pi, 14, endpoint=False)
            ring = np.stack([0 * t, size * 0.9 * np.sin(t), size * (np.cos(t) - 1)], 1) + lobe
            parts.append(tube(ring, 0.001 + 0.05 * size, 5, closed=True))
        else:
            drop = rounded((0.3 * size + 0.001, 0.3 * size + 0.001, size * 1.3), 1.0, 8, 6)
            parts.append(moved(drop, lobe - [0, 0, 1.3 * size]))
    return [head.piece(merge(*parts), "earrings", CARRIED, jewellery(rng))]


def jewellery(rng: np.random.Generator) -> Material:
    """Gold, silver, or coloured."""
    kind = rng.random()
    if kind < 0.45:
        return plain(hsv(0.12, 0.55, 0.8), 0.7, 50)
    if kind < 0.8:
        return plain(np.full(3, rng.uniform(0.6, 0.85)), 0.7, 50)
    return plain(hsv(rng.random(), rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.9)), 0.4, 40)
