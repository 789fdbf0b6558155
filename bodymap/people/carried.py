"""Bags and things in the hand: part of the person, bound to the nearest point of hand, shoulder or back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bodymap.people import shells
from bodymap.people.config import OutfitConfig
from bodymap.people.fabric import draw_cloth
from bodymap.people.mesh import Piece
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.primitives import Solid, as_piece, merge, moved, rounded, tube
from bodymap.people.shape import Body
from bodymap.people.skinning import Posed
from bodymap.people.streams import choose
from bodymap.people.wardrobe import Wardrobe
from bodymap.types import LAYER_NAMES

CARRIED = LAYER_NAMES.index("carried")


def carried_things(
    rng: np.random.Generator, wardrobe: Wardrobe, body: Body, config: OutfitConfig, split: str
) -> list[Piece]:
    """None for most people; else one bag, or one thing in a hand."""
    pieces: list[Piece] = []
    side = "L" if rng.random() < 0.5 else "R"
    if rng.random() < config.bag:
        kind = choose(rng, {"hand bag": 0.45, "shoulder bag": 0.3, "backpack": 0.25})
        make = {"hand bag": _hand_bag, "shoulder bag": _shoulder_bag, "backpack": _backpack}[kind]
        pieces += make(rng, wardrobe, body, draw_cloth(rng, config, split, leather=rng.random() < 0.6), side)
        side = "R" if side == "L" else "L"
    if rng.random() < config.held:
        pieces += _held(rng, wardrobe, body, draw_cloth(rng, config, split, leather=True), side)
    return pieces


@dataclass(frozen=True)
class Hang:
    """Hangs a solid straight down from a hand, its flat side along the leg."""

    solid: np.ndarray
    hand: int
    knuckle: int
    root: int
    outward: float
    tilt: float

    def __call__(self, skin: np.ndarray, posed: Posed | None) -> np.ndarray:
        """Vertices in the pose; ``solid`` hangs below its origin, x along the walking direction."""
        at = 0.25 * posed.position[self.hand] + 0.75 * posed.position[self.knuckle]
        left = posed.rotation[self.root][:, 0].astype(float)
        left[2] = 0
        left /= max(np.linalg.norm(left), 1e-6)
        front = np.array([left[1], -left[0], 0.0])
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        down = np.array([0, 0, 1.0])
        rotation = np.stack([c * front + s * down, left, -s * front + c * down], 1)
        return (at + left * self.outward + self.solid @ rotation.T).astype(np.float32)


def _bag(rng: np.random.Generator, wide: float, tall: float, deep: float, drop: float) -> Solid:
    """A bag below the origin: handle, then body ``drop`` lower."""
    body = moved(rounded((wide, deep, tall), rng.uniform(0.2, 0.6)), (0, 0, -drop - tall))
    t = np.linspace(0, np.pi, 10)
    handles = []
    for y in (-deep * 0.5, deep * 0.5):
        path = np.stack([wide * 0.6 * np.cos(t), np.full(10, y), -drop - 0.02 + (drop + 0.02) * np.sin(t)], 1)
        handles.append(tube(path, 0.008, 6))
    return merge(body, *handles)


def _hand_bag(rng, wardrobe, body, cloth, side) -> list[Piece]:
    scale = body.heads[:, 2].max() - body.vertices[:, 2].min()
    wide, tall, deep = rng.uniform(0.08, 0.23), rng.uniform(0.07, 0.22), rng.uniform(0.03, 0.09)
    solid = (
        _bag(rng, wide, tall, deep, rng.uniform(0.05, 0.3))
        if rng.random() < 0.85
        else rounded((wide, 0.02, tall * 0.6), 0.15)
    )
    solid = (solid[0] * scale / 1.6, solid[1])
    labels = wardrobe.pack.bones.labels
    hand, knuckle = labels.index(f"wrist.{side}"), labels.index(f"finger3-1.{side}")
    sign = 1.0 if side == "L" else -1.0
    rest = _on_default(wardrobe, solid[0], side)
    truth = wardrobe.bind(rest, ("hand",))
    piece = as_piece(solid, "hand bag", CARRIED, replace(cloth, folds=min(cloth.folds, 0.15)), truth)
    hang = Hang(
        solid[0], hand, knuckle, labels.index("root"), sign * float(rng.uniform(0, deep)), float(rng.normal(0, 0.08))
    )
    return [replace(piece, drape=hang)]


def _on_default(wardrobe: Wardrobe, solid: np.ndarray, side: str) -> np.ndarray:
    """Where a hanging thing lies by the hand of the default body: along the fingers, for binding."""
    a = wardrobe.anatomy
    wrist, tip = a.heads[f"wrist.{side}"], a.heads[f"finger3-3.{side}"]
    down = (tip - wrist) / np.linalg.norm(tip - wrist)
    across = a.heads[f"finger2-1.{side}"] - a.heads[f"finger5-1.{side}"]
    across = across - down * (across @ down)
    across /= np.linalg.norm(across)
    through = np.cross(down, across)
    # shrunk into the hand's own size, so that the thing spreads over it instead of ending at its rim
    local = solid / np.abs(solid).max(0) * np.array([0.05, 0.03, 0.11])
    centre = a.heads[f"finger3-1.{side}"]
    return centre + local[:, :1] * across + local[:, 1:2] * through - (local[:, 2:] + 0.05) * down


def _backpack(rng, wardrobe, body, cloth, side) -> list[Piece]:
    """A rounded box on the back, and two straps around the shoulders."""
    a = wardrobe.anatomy
    chest = body.heads[wardrobe.pack.bones.index("spine02")]
    torso = body.vertices[:SKIN_VERTICES][a.of("torso")[:SKIN_VERTICES] > 0.9]
    near = torso[np.abs(torso[:, 2] - chest[2]) < 0.1]
    wide = 0.85 * np.abs(near[:, 0]).max() * rng.uniform(0.7, 1.05)
    tall, deep = rng.uniform(0.14, 0.26), rng.uniform(0.05, 0.12)
    centre = np.array([0, near[:, 1].max() + deep * 0.8, chest[2] + rng.uniform(-0.08, 0.02)])
    solid = moved(rounded((wide, deep, tall), rng.uniform(0.25, 0.55)), centre)
    flat = solid[0].copy()
    flat[:, 1] = np.minimum(flat[:, 1], near[:, 1].max())
    truth = wardrobe.bind(flat - chest + a.heads["spine02"], ("torso",))
    piece = as_piece(solid, "backpack", CARRIED, cloth, truth)
    bone = wardrobe.pack.bones.index("spine02")
    piece = replace(piece, skin_index=np.full((len(solid[0]), 6), bone))
    x = np.abs(a.rest[:, 0])
    strap = np.maximum(np.abs(x - 0.095) - rng.uniform(0.012, 0.025), a.heads["spine03"][2] + 0.05 - a.rest[:, 2])
    strap = np.maximum(strap, (a.of("arm", "hand", "neck", "head") - 0.25) * 0.2)
    # grown from the skin, under and over the shoulder, above shirt and jacket
    offset = np.full(len(a.rest), 0.032, np.float32)
    straps = shells.grow(wardrobe, body, strap, offset, cloth, CARRIED, "straps", "skin", 3)
    return [piece, straps] if len(straps.triangles) else [piece]


def _shoulder_bag(rng, wardrobe, body, cloth, side) -> list[Piece]:
    """A bag at the hip on a strap across the chest."""
    a = wardrobe.anatomy
    sign = 1.0 if side == "L" else -1.0
    hip = body.heads[wardrobe.pack.bones.index(f"upperleg01.{side}")]
    wide, tall, deep = rng.uniform(0.08, 0.17), rng.uniform(0.06, 0.14), rng.uniform(0.025, 0.06)
    skin = body.vertices[:SKIN_VERTICES][a.of("torso", "leg")[:SKIN_VERTICES] > 0.9]
    reach = np.abs(skin[np.abs(skin[:, 2] - hip[2]) < 0.06][:, 0]).max()
    centre = np.array(
        [sign * (reach + deep + 0.02), hip[1] + rng.uniform(-0.06, 0.06), hip[2] + rng.uniform(-0.02, 0.1)]
    )
    solid = moved(rounded((deep, wide, tall), rng.uniform(0.2, 0.5)), centre)
    shift = a.heads[f"upperleg01.{side}"] - hip
    truth = wardrobe.bind(solid[0] + shift, ("torso", "leg"))
    piece = as_piece(solid, "shoulder bag", CARRIED, replace(cloth, folds=0.1), truth)
    piece = replace(piece, skin_index=np.full((len(solid[0]), 6), wardrobe.pack.bones.index("root")))
    # a band from this hip over the other shoulder
    shoulder = a.heads["shoulder01.R" if side == "L" else "shoulder01.L"] * np.array([0.9, 1, 1])
    low = a.heads[f"upperleg01.{side}"] + np.array([sign * 0.06, 0, 0.08])
    along = shoulder - low
    normal = np.array([along[2], 0, -along[0]]) / np.hypot(along[0], along[2])
    band = np.abs((a.rest - low) @ normal) - rng.uniform(0.01, 0.025)
    band = np.maximum(band, (a.of("arm", "hand", "neck", "head", "leg", "foot") - 0.25) * 0.2)
    offset = np.full(len(a.rest), 0.03, np.float32)
    strap = shells.grow(wardrobe, body, band, offset, cloth, CARRIED, "strap", "tights", 3)
    return [piece, strap] if len(strap.triangles) else [piece]


def _held(rng, wardrobe, body, cloth, side) -> list[Piece]:
    """A phone, cup, book, ball, bottle, stick or umbrella, fixed to the hand."""
    kind = choose(rng, {"phone": 0.25, "cup": 0.18, "book": 0.2, "ball": 0.1, "bottle": 0.12, "stick": 0.15})
    u = rng.uniform
    solid = {
        "phone": lambda: rounded((0.04, 0.006, 0.08), 0.2),
        "cup": lambda: rounded((0.04, 0.04, 0.06), 0.5),
        "book": lambda: rounded((u(0.07, 0.14), u(0.005, 0.03), u(0.09, 0.17)), 0.12),
        "ball": lambda: rounded((r := u(0.04, 0.13), r, r), 1.0),
        "bottle": lambda: merge(
            rounded((0.035, 0.035, 0.1), 0.4), moved(rounded((0.015, 0.015, 0.04), 0.5), (0, 0, 0.12))
        ),
        "stick": lambda: tube(np.linspace([0, 0, -u(0.1, 0.9)], [0, 0, u(0.1, 0.5)], 8), u(0.008, 0.03)),
    }[kind]()
    labels = wardrobe.pack.bones.labels
    bone = labels.index(f"wrist.{side}")
    wrist, knuckle = body.heads[bone].astype(float), body.heads[labels.index(f"finger3-1.{side}")].astype(float)
    thumb = body.heads[labels.index(f"finger1-2.{side}")].astype(float)
    across = body.heads[labels.index(f"finger2-1.{side}")] - body.heads[labels.index(f"finger5-1.{side}")]
    across = across / np.linalg.norm(across)
    along = (knuckle - wrist) / np.linalg.norm(knuckle - wrist)
    palm = np.cross(along, across)
    palm *= np.sign((thumb - knuckle) @ palm) or 1.0
    depth = np.abs(solid[0][:, 1]).max()
    axes = np.stack([along, palm, across], 1)
    place = knuckle + palm * (0.02 + min(depth, 0.06)) + along * 0.02
    solid = moved(solid, place, axes)
    shift = wardrobe.anatomy.heads[f"finger3-1.{side}"] - knuckle
    pulled = np.clip(solid[0] - knuckle, -0.09, 0.09) + knuckle
    truth = wardrobe.bind(pulled + shift, ("hand",))
    truth_piece = as_piece(solid, kind, CARRIED, replace(cloth, folds=0.0), truth)
    return [replace(truth_piece, skin_index=np.full((len(solid[0]), 6), bone))]
