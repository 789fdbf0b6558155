"""The inside of a mouth that a face opens: its lining, teeth and tongue."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8

from bodymap.people.anatomy import template
from bodymap.people.binding import closest_within
from bodymap.people.material import Material
from bodymap.people.mesh import Piece
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.shape import Body
from bodymap.people.wardrobe import Wardrobe
from bodymap.types import LAYER_NAMES

SKIN = LAYER_NAMES.index("skin")
_TEETH = 16  # in each row; the helper's u runs along it


def mouth_pieces(rng: np.random.Generator, wardrobe: Wardrobe, body: Body) -> list[Piece]:
    """Lining, tongue and teeth; none where the face rests or the pack has no teeth (packs of before).

    The template ends at the lips: whatever shows between them has the nearest place on the lips for its truth.
    """
    pack = wardrobe.pack
    if body.face is None or "teeth" not in pack.helpers:
        return []
    flesh = rng.uniform(0.75, 1.0) * np.array([0.62, 0.3, 0.29])
    white = rng.uniform(0.7, 0.95) * np.array([1.0, 0.96, 0.88])
    t = template()
    inner = t.triangle_inner.numpy() > 0
    lining, tongue = Material(0.55 * flesh, gloss=0.1, shine=20.0), Material(flesh, gloss=0.15, shine=20.0)
    teeth = Material(white, texture=_teeth_texture(white), gloss=0.3, shine=50.0)
    return [
        _piece(wardrobe, body, "mouth", t.triangles.numpy()[inner], lining),
        _piece(wardrobe, body, "tongue", pack.helpers["tongue"], tongue),
        _piece(wardrobe, body, "teeth", pack.helpers["teeth"], teeth),
    ]


def _piece(wardrobe: Wardrobe, body: Body, name: str, triangles: np.ndarray, material: Material) -> Piece:
    """Triangles of the base mesh, with the helper's UV where it has some."""
    pack, rest = wardrobe.pack, wardrobe.anatomy.rest
    uv, uv_triangles = pack.helper_uv.get(name, (np.zeros((1, 2), np.float32), np.zeros((len(triangles), 3), np.int64)))
    if name not in wardrobe.kept:
        used, local = np.unique(triangles, return_inverse=True)
        wardrobe.kept[name] = used, local.reshape(-1, 3), _on_lips(wardrobe, rest[used])
    used, local, truth = wardrobe.kept[name]
    return Piece(
        name=name,
        layer=SKIN,
        vertices=body.vertices[used],
        triangles=local,
        uv=uv,
        uv_triangles=uv_triangles.astype(np.int64),
        skin_index=pack.skin_index[used],
        skin_weight=pack.skin_weight[used],
        truth=truth,
        rest=rest[used],
        cloth=np.zeros((len(used), 2), np.float32),
        material=material,
    )


def _teeth_texture(white: Float[np.ndarray, " rgb=3"]) -> UInt8[np.ndarray, "height width rgb=3"]:
    """White with darker lines between the teeth."""
    place = (np.arange(16 * _TEETH) + 0.5) / 16
    gap = np.abs(place - np.rint(place))  # in teeth, to the nearest line
    light = 1 - 0.4 * np.exp(-((gap / 0.09) ** 2))
    return np.tile(np.rint(255 * light[:, None] * white).astype(np.uint8), (4, 1, 1))


def _on_lips(wardrobe: Wardrobe, places: np.ndarray) -> np.ndarray:
    """The closest place of the template's rim at the mouth, where its outside ends."""
    from bodymap.surface import points

    t = template()
    inner = t.triangle_inner.numpy() > 0
    triangles = t.triangles.numpy()
    rim = np.zeros(SKIN_VERTICES, bool)
    rim[np.intersect1d(triangles[inner], triangles[~inner])] = True
    outer = triangles[~inner]
    rim[outer[rim[outer].any(1)]] = True  # and one triangle further, so that every place has whole triangles
    found = closest_within(t, torch.from_numpy(np.ascontiguousarray(places, np.float32)), rim)
    return points.position(t, *found).numpy()
