"""Skirts and dresses: a tube of rings around both legs, draped anew in every pose so that no leg comes through.

Ring k lies at ``s[k]`` metres along the legs (negative: above the hip joint, on the trunk). In a pose, the ring's
centre is the middle of both limbs at that height, and its outline the convex hull of all skin there, made wider by the
flare: cloth that spans from leg to leg.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from bodymap.people.material import Material
from bodymap.people.mesh import Piece
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.settling import Legs, Lengths, settle
from bodymap.people.shape import Body
from bodymap.people.skinning import Posed
from bodymap.people.wardrobe import Wardrobe

_COLUMNS = 72
_STEP = 0.03  # metres between rings
_CROTCH = 0.07  # metres along the legs from the hip joint
_SLOPE = 5.0


@dataclass(frozen=True)
class SkirtCut:
    """Where a skirt begins and ends (metres along the legs from the hip joint), and how it hangs.

    flare: metres of radius gained per metre of length.  pleats, pleat_depth: number of folds, share of the radius.
    gap: half of the opening down the front, radians (a coat); 0 closed.  margin: metres off the skin.
    """

    top: float
    hem: float
    flare: float = 0.1
    pleats: int = 8
    pleat_depth: float = 0.03
    pleat_phase: float = 0.0
    gap: float = 0.0
    margin: float = 0.012
    slope: float = 0.0  # the hem is lower behind by this much


class Drape:
    """Places the rings around the posed legs; picklable, cheap enough for every picture."""

    def __init__(self, wardrobe: Wardrobe, cut: SkirtCut):
        a = wardrobe.anatomy
        self.cut = cut
        self.rings = max(3, int(np.ceil((cut.hem - cut.top) / _STEP)))
        self.s = np.linspace(cut.top, cut.hem, self.rings)
        hip = a.heads["upperleg01.L"][2]
        skin = slice(0, SKIN_VERTICES)
        limb = a.of("leg", "foot")[skin] > 0.5
        height = np.where(limb, a.leg[skin], hip - a.rest[skin, 2])
        usable = (a.of("arm", "hand")[skin] < 0.1) & (a.of("leg", "foot", "torso")[skin] > 0.9)
        usable &= (height > cut.top - 0.1) & (height < max(cut.hem + 0.06, 0.2))
        near_legs = np.flatnonzero(usable)[::2]
        self.near_legs = len(near_legs)
        # the skin that is asked for: that of the hips and legs, then some of everywhere, to find the floor
        self.points = np.concatenate([near_legs, np.arange(0, SKIN_VERTICES, 16)])
        self.height = height[near_legs]
        self.left = a.left[near_legs]
        self.legs = Legs(self.height, self.left)
        self.lengths: Lengths | None = None  # of the threads, once they are measured on the standing body
        labels = wardrobe.pack.bones.labels
        self.root = labels.index("root")
        band = np.abs(self.height[None] - self.s[:, None])
        self.near = [np.flatnonzero(row < max(0.025, np.sort(row)[12])) for row in band]
        self.angle = np.linspace(cut.gap, 2 * np.pi - cut.gap, _COLUMNS, endpoint=cut.gap > 0)

    def outline(self, skin: Float[np.ndarray, "vertex xyz=3"], pelvis: Float[np.ndarray, "3 3"]):
        """(centre (R, 3), axes e1 to the left, e2 to the back (R, 3), radius (R, C)) without flare."""
        points = skin[self.points[: self.near_legs]]
        centre = np.zeros((self.rings, 3))
        for k, near in enumerate(self.near):
            left, p = self.left[near], points[near]
            centre[k] = (p[left].mean(0) + p[~left].mean(0)) / 2 if left.any() and (~left).any() else p.mean(0)
        for _ in range(2):
            centre[1:-1] = (centre[:-2] + 2 * centre[1:-1] + centre[2:]) / 4
        axis = np.gradient(centre, axis=0)
        axis /= np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-9)
        e1 = pelvis[:, 0] - axis * (axis @ pelvis[:, 0])[:, None]
        e1 /= np.maximum(np.linalg.norm(e1, axis=1, keepdims=True), 1e-9)
        e2 = np.cross(e1, axis)
        directions = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        unit = np.stack([np.sin(directions), -np.cos(directions)], 1)  # 0 = front, pi/2 = the person's left
        support = np.zeros((self.rings, len(directions)))
        # the skin of this height, and whatever crosses the ring's plane near it: a bent leg crosses at another height
        for k, near in enumerate(self.near):
            d = points - centre[k]
            crossing = (np.abs(d @ axis[k]) < 0.6 * _STEP) & (np.abs(self.height - self.s[k]) < 0.3)
            crossing[near] = True
            d = d[crossing]
            flat = np.stack([d @ e1[k], d @ e2[k]], 1)
            support[k] = (flat @ unit.T).max(0)
        # the hull's radius in direction theta: the nearest of its supporting lines
        cosine = np.cos(self.angle[:, None] - directions[None])
        ratio = np.where(cosine > 0.15, 1 / np.maximum(cosine, 0.15), np.inf)
        radius = (support[:, None, :] * ratio[None]).min(2)
        return centre, axis, e1, e2, radius

    def __call__(self, skin: Float[np.ndarray, "vertex xyz=3"], posed: Posed | None) -> Float[np.ndarray, "n xyz=3"]:
        """Vertices of the tube, ring after ring, for posed skin vertices (13380, 3)."""
        pelvis = np.eye(3) if posed is None else posed.rotation[self.root]
        centre, axis, e1, e2, radius = self.outline(skin, pelvis)
        cut, s = self.cut, self.s
        for k in range(1, self.rings):  # below the seat, cloth hangs: it does not cling to the thighs
            if s[k] > -0.02:
                radius[k] = np.maximum(radius[k], radius[k - 1] * (1 - 0.25 * _STEP))
        radius = _relax(radius, closed=cut.gap == 0)
        fall = np.clip(s - max(cut.top, -0.12), 0, None)[:, None]
        pleat = 1 + cut.pleat_depth * np.cos(cut.pleats * self.angle + cut.pleat_phase)[None] * np.clip(
            fall / 0.25, 0, 1
        )
        outward = np.sin(self.angle)[:, None] * e1[:, None] - np.cos(self.angle)[:, None] * e2[:, None]
        loose = np.clip((1 + axis[:, 2] - 0.12) / 0.6, 0, 1)
        flare = cut.flare
        if self.lengths is not None:
            legs = self.legs(skin[self.points[: self.near_legs]])
            # where a hip is bent, rings meet, and the next ring's leg comes through this one
            lacking = np.maximum(self.legs.reach(legs[0], centre, outward, s) - radius, 0)
            radius = radius + loose.max() * lacking
            flare = cut.flare * (1 - 0.8 * loose[:, None])
        hull = radius + cut.margin
        radius = (hull + flare * fall) * pleat
        lower = cut.slope * np.clip(fall / max(fall.max(), 1e-6), 0, 1) * (1 - np.cos(self.angle))[None] / 2
        out = centre[:, None] + radius[..., None] * outward
        out[..., 2] -= lower
        if self.lengths is not None:
            tight = hull[..., None] * outward
            needed = np.linalg.norm(np.roll(tight, -1, 1) - tight, axis=-1)
            floor = float(skin[self.points, 2].min())
            out = settle(out, self.lengths, needed, loose, s, legs, cut.margin, floor, cut.gap == 0)
        return out.reshape(-1, 3).astype(np.float32)


def _relax(radius: np.ndarray, closed: bool) -> np.ndarray:
    """Smooths the outline without letting it shrink below itself."""
    soft = radius.copy()
    for _ in range(3):
        up = np.concatenate([soft[:1], (soft[:-2] + 2 * soft[1:-1] + soft[2:]) / 4, soft[-1:]])
        around = (np.roll(up, 1, 1) + 2 * up + np.roll(up, -1, 1)) / 4 if closed else up
        soft = np.maximum(around, radius * 0.985)
    return soft


def _smoothly_split(narrow: np.ndarray, plain: Drape, aside: np.ndarray) -> np.ndarray:
    """Where each vertex of the plain tube is bound from: as far down the legs as it is off the middle, times _SLOPE.

    Cloth between two legs has no point of the body under it. Bound to the nearer leg, the map would jump from knee to
    knee along the middle; so there it stays near the crotch, where left and right meet.
    """
    rings = narrow.reshape(plain.rings, _COLUMNS, 3)
    off = np.abs(rings[..., 0])
    s = np.broadcast_to(plain.s[:, None], off.shape)
    reach = np.minimum(s, np.maximum(_CROTCH + _SLOPE * np.clip(off - 0.004, 0, None), np.minimum(s, _CROTCH)))
    ring = np.interp(reach, plain.s, np.arange(plain.rings))
    low = np.minimum(ring.astype(int), plain.rings - 2)
    t = (ring - low)[..., None]
    column = np.arange(_COLUMNS)[None]
    guided = rings[low, column] * (1 - t) + rings[low + 1, column] * t
    # towards the leg's own middle as it goes down it, so that nothing hangs between the thighs
    inner = 0.004 + 0.07 * np.clip((reach - _CROTCH) / 0.3, 0, 1)
    guided[..., 0] = aside.reshape(off.shape) * np.maximum(np.abs(guided[..., 0]), inner)
    return guided.reshape(-1, 3)


def make_skirt(wardrobe: Wardrobe, body: Body, cut: SkirtCut, material: Material, layer: int, name: str) -> Piece:
    """The tube on a body; its ``drape`` is called with the posed skin in place of skinning."""
    drape = Drape(wardrobe, cut)
    a = wardrobe.anatomy
    # bound where a plain narrow tube lies on the default body: front stays front, left stays left
    plain = Drape(wardrobe, replace(cut, flare=0.0, pleat_depth=0.0, slope=0.0))
    narrow = plain(a.rest[:SKIN_VERTICES], None)
    aside = np.where(np.sin(np.tile(plain.angle, plain.rings)) >= 0, 1.0, -1.0)
    truth = wardrobe.bind(_smoothly_split(narrow, plain, aside))
    rings, columns = drape.rings, _COLUMNS
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(columns if cut.gap == 0 else columns - 1), indexing="ij")
    p00, p01 = i * columns + j, i * columns + (j + 1) % columns
    p10, p11 = p00 + columns, p01 + columns
    triangles = np.concatenate(
        [np.stack([p00, p10, p01], -1).reshape(-1, 3), np.stack([p01, p10, p11], -1).reshape(-1, 3)]
    )
    circumference = 1.0
    cloth = np.stack([np.tile(drape.angle / (2 * np.pi) * circumference, rings), np.repeat(drape.s, columns)], 1)
    # a closed tube needs a second column of coordinates at the seam
    uv = np.concatenate([cloth, np.stack([np.full(rings, circumference), drape.s], 1)]).astype(np.float32)
    uv_triangles = triangles.copy()
    if cut.gap == 0:
        wraps = (triangles % columns).max(1) - (triangles % columns).min(1) > columns // 2
        row = triangles // columns
        seam = wraps[:, None] & (triangles % columns == 0)
        uv_triangles = np.where(seam, rings * columns + row, triangles)
    count = rings * columns
    standing = drape(body.vertices[:SKIN_VERTICES], None)
    drape.lengths = Lengths.of(standing.reshape(rings, columns, 3))
    return Piece(
        name=name,
        layer=layer,
        vertices=standing,
        triangles=triangles,
        uv=uv,
        uv_triangles=uv_triangles,
        skin_index=np.full((count, 6), drape.root),
        skin_weight=np.tile(np.array([1, 0, 0, 0, 0, 0], np.float32), (count, 1)),
        truth=truth,
        rest=narrow,
        cloth=cloth.astype(np.float32),
        material=material,
        drape=drape,
    )
