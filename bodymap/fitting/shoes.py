"""Feet in shoes: the outline that a bare foot gets where the photo shows shoes; a body model has toes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from bodymap.people.anatomy import template
from bodymap.people.film.queries import ClosestPoint
from bodymap.people.mesh import corner_normals, neighbour_table, smooth
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.wardrobe import Wardrobe
from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence

_THICK, _SOLE = 0.006, 0.018  # metres: of the upper, of the sole
_UPPER = 0.06  # metres above the ankle's joint where the shoe ends and the leg is as it was
_LEAST = 30  # pixels of a foot that say something
_MOSTLY = 0.5  # of which are shoes
_BALL = 0.5  # of the foot's length from the heel on: from here the shoe spans the toes
_ROUNDS = 2  # of smoothing


def wears_shoes(c: Correspondence) -> tuple[bool, bool]:
    """Whether the left and the right foot are in shoes; one that is hardly seen is as the other."""
    shoes = c.layer == LAYER_NAMES.index("shoes")
    counts = []
    for side in ("left", "right"):
        foot = c.mask & (c.part == PART_NAMES.index(f"{side}_foot"))
        counts.append((int(foot.sum()), int((foot & shoes).sum())))
    both = sum(n for n, _ in counts), sum(n for _, n in counts)
    told = [(n, s) if n >= _LEAST else both for n, s in counts]
    left, right = (n >= _LEAST and s > _MOSTLY * n for n, s in told)
    return left, right


def shoe_form(pack: Pack) -> tuple[Float[np.ndarray, "vertex=13380 xyz=3"], Float[np.ndarray, " vertex=13380"]]:
    """(displacement at rest in metres, weight in [0, 1]) that makes shoes of both feet of the mean body.

    Toes lie under one upper, the sole is flat. The weight is 1 on the foot and falls to 0 above the ankle.
    """
    wardrobe = Wardrobe.of(pack)
    if "shoe form" not in wardrobe.kept:
        wardrobe.kept["shoe form"] = _shoe_form(wardrobe)
    return wardrobe.kept["shoe form"]


def _shoe_form(wardrobe: Wardrobe) -> tuple[np.ndarray, np.ndarray]:
    a = wardrobe.anatomy
    rest = a.rest[:SKIN_VERTICES].astype(float)
    feet, left = a.is_group("foot")[:SKIN_VERTICES], a.left[:SKIN_VERTICES]
    above = a.leg_length - a.leg[:SKIN_VERTICES]  # metres up from the ankle
    weight = np.clip(1 - above / _UPPER, 0, 1) * a.is_group("leg")[:SKIN_VERTICES]
    weight[feet] = 1

    triangles = template().triangles.numpy()
    moved = rest + weight[:, None] * _THICK * corner_normals(rest, triangles)
    for side in (True, False):
        foot = np.flatnonzero(feet & (left == side))
        toe, heel = rest[foot, 1].min(), rest[foot, 1].max()
        forward = (heel - rest[foot, 1]) / (heel - toe)
        front = foot[forward > _BALL]
        hull = _on_hull(moved[front])
        share = np.clip((forward[forward > _BALL] - _BALL) / 0.12, 0, 1)[:, None]
        moved[front] += share * (hull - moved[front])
        # what is near the ground goes down onto the sole
        ground = rest[foot, 2].min()
        low = np.clip(1 - (moved[foot, 2] - ground) / 0.02, 0, 1)
        moved[foot, 2] += low * (ground - _SOLE - moved[foot, 2])
    moved = smooth(moved, neighbour_table(triangles, SKIN_VERTICES), _ROUNDS, weight > 0.5)
    return (moved - rest).astype(np.float32), weight


def _on_hull(points: Float[np.ndarray, "point xyz=3"]) -> Float[np.ndarray, "point xyz=3"]:
    """The nearest point of their convex hull's surface to each: it spans what lies between toes."""
    from scipy.spatial import ConvexHull

    faces = ConvexHull(points).simplices.astype(np.int64)
    nearest = ClosestPoint(*map(torch.from_numpy, (points, faces)), torch.arange(len(faces)), torch.device("cpu"))
    face, share = (found.numpy() for found in nearest(torch.from_numpy(points)))
    return np.einsum("nc,ncx->nx", share, points[faces[face]])
