"""Garments made to measure: the body's distance field, let out and swept downwards, cut at hems, meshed evenly.

A field is a grid about the resting body; cloth lies on its zero level. ``KINDS`` are the patterns: what a sequence
names. Each garment carries its place on the canonical surface and texture coordinates of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter, shift

from apps.layered.canonical import canonical
from apps.layered.cloth.distance import SignedDistance
from apps.layered.cloth.fitting import LEGS, Fitting, parted
from apps.layered.cloth.nets import Grid, cut_and_relax, surface_net
from bodymap.errors import UserError
from bodymap.people.anatomy import polyline_coordinate
from bodymap.people.mesh import corner_normals
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.shape import Body
from bodymap.people.wardrobe import Wardrobe
from bodymap.surface import load_template

_REACH = 0.35  # metres to which the field is known
_CLEAR = 0.007  # metres that cloth keeps off the skin at rest
_OVER = 0.008  # metres from the lower to the upper garment
# Tops with a hem above this share of the leg end, cut otherwise, higher or lower by shares drawn from here (``recut``)
_TOP, _LONGER = 0.3, (-0.14, 0.26)


@dataclass(frozen=True)
class Cut:
    """A pattern. Lengths are shares: of the arm (0 shoulder, 1 wrist), of the leg (0 hip joint, 1 ankle).

    Attributes:
        layer: "upper" or "lower".  legged: goes around each leg.
        sleeve: where sleeves end; 0 none.  hem: where it ends, negative: above the hip joint.
        ease: metres off the skin.  loose: further metres where it hangs free (hem, cuff).
        flare: metres of width gained per metre below the hips.  neck: half the opening, of the shoulders' half width.
        depth: how far the neckline slopes down in front.
    """

    layer: str
    hem: float
    sleeve: float = 0.0
    legged: bool = False
    ease: float = 0.012
    loose: float = 0.01
    flare: float = 0.0
    neck: float = 0.55
    depth: float = 0.55


KINDS: dict[str, Cut] = {
    "T-shirt": Cut("upper", hem=0.03, sleeve=0.34, loose=0.018),
    "vest": Cut("upper", hem=0.02, sleeve=0.06, neck=0.68, depth=0.7, loose=0.012),
    "shirt": Cut("upper", hem=0.08, sleeve=0.93, ease=0.011, loose=0.014, neck=0.48),
    "hoodie": Cut("upper", hem=0.05, sleeve=0.95, ease=0.018, loose=0.024, neck=0.6, depth=0.4),
    "dress": Cut("upper", hem=0.52, sleeve=0.2, ease=0.01, loose=0.01, flare=0.3),
    "tunic": Cut("upper", hem=0.2, sleeve=0.62, ease=0.011, loose=0.012, flare=0.12, depth=0.8),
    "sweater": Cut("upper", hem=0.02, sleeve=0.97, ease=0.016, loose=0.018, neck=0.5, depth=0.3),
    "trousers": Cut("lower", hem=0.94, legged=True, ease=0.006, loose=0.01),
    "wide trousers": Cut("lower", hem=0.95, legged=True, ease=0.006, loose=0.012, flare=0.1),
    "shorts": Cut("lower", hem=0.42, legged=True, ease=0.012, loose=0.016, flare=0.04),
    "cropped trousers": Cut("lower", hem=0.7, legged=True, ease=0.006, loose=0.008),
    "culottes": Cut("lower", hem=0.62, legged=True, ease=0.006, loose=0.012, flare=0.14),
    "skirt": Cut("lower", hem=0.48, ease=0.006, loose=0.006, flare=0.28),
    "long skirt": Cut("lower", hem=0.82, ease=0.006, loose=0.006, flare=0.22),
}


def recut(cut: Cut, seed: int) -> Cut:
    """The same pattern in another length and width; tops end anywhere between waist and thighs.

    Were all tops to end at the hips, or all at the waist, a network would take their edge for it.
    """
    rng = np.random.default_rng([seed, len(cut.layer), round(1000 * cut.hem)])
    longer, sleeve, ease, loose, flare = rng.uniform((0.75, 0.8, 0.9, 0.8, 0.6), (1.3, 1.1, 1.4, 1.5, 1.4))
    top = cut.layer == "upper" and cut.hem < _TOP
    return replace(
        cut,
        hem=cut.hem + rng.uniform(*_LONGER) if top else min(cut.hem * longer, 0.95),
        sleeve=min(cut.sleeve * sleeve, 0.97),
        ease=cut.ease * ease,
        loose=cut.loose * loose,
        flare=cut.flare * flare,
    )


@dataclass(frozen=True)
class Garment:
    """A garment at rest about its body.

    Attributes:
        name: of KINDS.  layer, legged: as in ``Cut``.
        vertices: (n, 3) metres, about the body at rest.  triangles: (m, 3), outwards.
        uv, uv_triangles: front and back side by side, [0, 1], v down.
        place, corner: (n,), (n, 3) triangle and barycentric on the canonical surface.
        held: vertices of the waistband.
        cut: (n, 3) the shape at whose lengths the cloth rests, where it was cut about another pose (``fitting``).
        field: its solid, for what is worn over it; not kept.
    """

    name: str
    layer: str
    legged: bool
    vertices: Float[np.ndarray, "vertex xyz=3"]
    triangles: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "uvvertex uv=2"]
    uv_triangles: Int[np.ndarray, "face 3"]
    place: Int[np.ndarray, " vertex"]
    corner: Float[np.ndarray, "vertex 3"]
    held: Int[np.ndarray, " held"]
    cut: Float[np.ndarray, "vertex xyz=3"] | None = None
    field: Grid | None = None

    @property
    def pattern(self) -> Float[np.ndarray, "vertex xyz=3"]:
        """The shape at whose lengths the cloth rests."""
        return self.vertices if self.cut is None else self.cut


class Tailor:
    """Makes garments for one body.

    Args:
        step: metres between grid points, about the length of the cloth's edges.
        legs: degrees by which the body's legs stand further out than at rest.
    """

    def __init__(self, pack: Pack, body: Body, step: float = 0.02, legs: float = 0.0):
        self.body, self.skin, self.step = body, body.vertices[:SKIN_VERTICES].astype(np.float64), step
        t = load_template()
        self.triangles = t.triangles.numpy()[t.triangle_inner.numpy() == 0]
        self.heads = {label: body.heads[i].astype(float) for i, label in enumerate(pack.bones.labels)}
        a = Wardrobe.of(pack).anatomy
        arm, leg = a.is_group("arm", "hand")[:SKIN_VERTICES], a.is_group("leg", "foot")[:SKIN_VERTICES]
        # 0 trunk and head, 1 arms, 2 left leg, 3 right leg
        self.limb = np.where(arm, 1, np.where(leg, np.where(a.left[:SKIN_VERTICES], 2, 3), 0))
        self.distance = SignedDistance(self.skin, self.triangles)
        self.origin = self.skin.min(0) - [0.06, 0.22, 0.05]
        size = np.ceil((self.skin.max(0) + [0.06, 0.22, 0.05] - self.origin) / step).astype(int) + 1
        self.axes = [self.origin[k] + step * np.arange(size[k]) for k in range(3)]
        self.points = np.stack(np.meshgrid(*self.axes, indexing="ij"), -1)
        d, face = self.distance(self.points.reshape(-1, 3), _REACH)
        self.d = d.reshape(size).astype(np.float64)
        self.near = np.where(face >= 0, self.limb[self.triangles[face.clip(0), 0]], -1).reshape(size)
        self.hip = self.heads["upperleg01.L"][2]
        self.waist = self.heads["spine04"][2]
        self.legs = np.radians(legs)
        self.leg_length = self.hip - float(self._height(self.heads["foot.L"][None])[0])

    def make(self, name: str, over: Garment | None = None, cut_seed: int | None = None) -> Garment:
        """The garment of a kind; ``over``: what it is worn over; ``cut_seed``: cut otherwise (``recut``).

        Raises:
            UserError: there is no such kind.
        """
        if name not in KINDS:
            raise UserError(f"There is no garment {name!r}; the kinds are {', '.join(KINDS)}.")
        cut = KINDS[name] if cut_seed is None else recut(KINDS[name], cut_seed)
        values = self._upper(cut, over) if cut.layer == "upper" else self._lower(cut)
        grid = Grid(gaussian_filter(values, 0.8), self.origin, self.step)
        level = self._upper_level(cut) if cut.layer == "upper" else self._lower_level(cut)
        vertices, triangles = cut_and_relax(surface_net(grid), grid, level)
        vertices = self._clear(vertices)
        c = canonical(cut.layer)
        place, corner = c.bind(vertices, self.skin, cut.legged, triangles)
        uv, uv_triangles = front_and_back(vertices, triangles)
        held = np.zeros(0, int)
        if cut.layer == "lower":
            held = np.flatnonzero(vertices[:, 2] > vertices[:, 2].max() - 0.7 * self.step)
        return Garment(
            name,
            cut.layer,
            cut.legged,
            vertices.astype(np.float32),
            triangles,
            uv,
            uv_triangles,
            place.numpy(),
            corner.numpy(),
            held,
            field=grid,
        )

    # ------------------------------------------------------------------ fields
    def _slice(self, z: float) -> int:
        return int(np.clip(round((z - self.origin[2]) / self.step), 1, self.d.shape[2] - 2))

    def _hang(self, d: np.ndarray, top: float, bottom: float, widen: float) -> np.ndarray:
        """The section at a height carried downwards, growing by ``widen`` metres a metre, about all below it."""
        d = d.copy()
        for k in range(self._slice(top) - 1, self._slice(bottom) - 2, -1):
            d[:, :, k] = np.minimum(d[:, :, k], d[:, :, k + 1] - widen * self.step)
        return d

    def _hem(self, cut: Cut) -> float:
        return self.hip - cut.hem * self.leg_length

    def _upper(self, cut: Cut, over: Garment | None) -> np.ndarray:
        d, z = self.d, self.points[..., 2]
        if over is not None and over.field is not None:
            # the lower garment's solid, up to its waistband
            under = np.where(z < over.vertices[:, 2].max() + self.step, over.field.values, _REACH)
            d = np.minimum(d, under - _OVER + cut.ease)
        chest = self.heads["upperarm01.L"][2] - 0.08
        hem = self._hem(cut)
        trunk = np.where(self.near == 1, _REACH, d)
        trunk = self._hang(trunk, chest, max(hem, self.hip) - 0.05, -0.1)
        if hem < self.hip - 0.1:
            trunk = self._hang(trunk, self.hip, hem - 0.05, cut.flare)
        ease = cut.ease + cut.loose * np.clip((chest - z) / (chest - self.hip), 0, 1)
        along = np.clip(self._arm(self.points.reshape(-1, 3)).reshape(z.shape) / self._arm_length, 0, 1)
        ease = np.where(self.near == 1, cut.ease + 1.2 * cut.loose * along, ease)
        return np.minimum(d, trunk) - ease

    def _lower(self, cut: Cut) -> np.ndarray:
        d = np.where(self.near == 1, _REACH, self.d)
        hem, z = self._hem(cut), self.points[..., 2]
        if cut.legged:
            hung = d.copy()
            for k, side in ((2, "L"), (3, "R")):
                self._sweep_leg(np.where(self.near == k, d, _REACH), hung, side, hem - 0.05, cut.flare)
        else:
            hung = self._hang(d, self.hip, hem - 0.05, cut.flare)
        return hung - cut.ease - cut.loose * np.clip((self.waist - 0.05 - z) / 0.25, 0, 1)

    def _sweep_leg(self, leg: np.ndarray, into: np.ndarray, side: str, bottom: float, flare: float) -> None:
        """Carries the section of the thigh straight down the leg's own line."""
        top, ankle = self.heads[f"upperleg02.{side}"], self.heads[f"foot.{side}"]
        slope = (ankle - top)[:2] / (ankle - top)[2]
        start = self._slice(self.hip - 0.35 * self.leg_length)
        section = leg[:, :, start]
        for k in range(start - 1, self._slice(bottom) - 2, -1):
            moved = shift(section, -slope, order=1, mode="nearest")
            section = np.minimum(moved + (0.03 - flare) * self.step, leg[:, :, k])
            into[:, :, k] = np.minimum(into[:, :, k], section)

    # ------------------------------------------------------------------ cuts
    def _arm(self, positions: np.ndarray) -> Float[np.ndarray, " point"]:
        """Metres along the arm of a position's side."""
        joints = ("upperarm01", "lowerarm01", "wrist")
        sides = [polyline_coordinate(positions, [self.heads[f"{j}.{s}"] for j in joints]) for s in "LR"]
        return np.where(positions[:, 0] > 0, *sides)

    @property
    def _arm_length(self) -> float:
        a, b, c = (self.heads[f"{j}.L"] for j in ("upperarm01", "lowerarm01", "wrist"))
        return float(np.linalg.norm(b - a) + np.linalg.norm(c - b))

    def _height(self, positions: np.ndarray) -> Float[np.ndarray, " point"]:
        """Metres, as if the legs stood as at rest."""
        joint = self.heads["upperleg01.L"]
        off = positions[:, 2] - joint[2]
        return joint[2] + np.cos(self.legs) * off - np.sin(self.legs) * (np.abs(positions[:, 0]) - joint[0])

    def _lower_level(self, cut: Cut):
        hem = self._hem(cut)
        return lambda p: np.minimum(self.waist + 0.01 - p[:, 2], self._height(p) - hem)

    def _upper_level(self, cut: Cut):
        hem, length = self._hem(cut), cut.sleeve * self._arm_length
        neck, shoulder = self.heads["neck01"], self.heads["upperarm01.L"]
        axis = self.heads["head"] - neck
        axis = axis / np.linalg.norm(axis)
        slope = np.array([0.0, -cut.depth, 1.0])
        slope = slope / np.linalg.norm(slope)
        radius = cut.neck * shoulder[0]

        def level(p: np.ndarray) -> np.ndarray:
            face = self.distance(p, _REACH)[1]
            on_arm = (self.limb[self.triangles[face.clip(0), 0]] == 1) & (np.abs(p[:, 0]) > 0.9 * shoulder[0])
            inside = np.where(on_arm, length - self._arm(p), 0.08)
            off = p - neck
            around = np.linalg.norm(off - (off @ axis)[:, None] * axis, axis=1) - radius
            opening = np.maximum(-(off + [0, 0, 0.012]) @ slope, around)
            top = neck[2] + 0.03 - p[:, 2]
            return np.minimum(np.minimum(inside, p[:, 2] - hem), np.minimum(np.clip(opening, -1, 0.08), top))

        return level

    def _clear(self, vertices: np.ndarray) -> np.ndarray:
        """Out of the skin, by the normals of the nearest triangles."""
        normal = corner_normals(self.skin, self.triangles)
        for _ in range(10):
            d, face = self.distance(vertices, _REACH)
            near = d < _CLEAR
            if not near.any():
                break
            out = normal[self.triangles[face[near]]].mean(1)
            vertices[near] += (_CLEAR - d[near])[:, None] * 1.05 * out
        return vertices


def front_and_back(
    vertices: Float[np.ndarray, "vertex xyz=3"], triangles: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "uvvertex uv=2"], Int[np.ndarray, "face 3"]]:
    """Two charts, seen from the front and from behind, side by side."""
    normal = corner_normals(vertices, triangles)[triangles].mean(1)
    back = normal[:, 1] > 0
    low, size = vertices.min(0), np.ptp(vertices, 0)
    scale = 0.98 / max(2 * size[0] + 0.02, size[2])
    u, v = (vertices[:, 0] - low[0]) * scale, (vertices[:, 2].max() - vertices[:, 2]) * scale
    wide = size[0] * scale
    uv = np.concatenate([np.stack([u, v], 1), np.stack([wide + 0.01 + wide - u, v], 1)]) + 0.005
    return uv.astype(np.float32), triangles + back[:, None] * len(vertices)


def dressed(
    pack: Pack,
    body: Body,
    upper: str,
    lower: str,
    step: float = 0.02,
    fitted: bool = False,
    cut_seed: int | None = None,
) -> tuple[Garment, Garment]:
    """(lower, upper) garments for a body, the upper over the lower.

    ``fitted``: trousers cut with the legs apart; ``cut_seed``: lengths and widths other than the kinds' (``recut``).
    """
    tailor = Tailor(pack, body, step)
    below = tailor.make(lower, cut_seed=cut_seed)
    above = tailor.make(upper, below, cut_seed)
    if fitted and below.legged:
        below = cut_apart(pack, tailor, lower, cut_seed)
    return replace(below, field=None), replace(above, field=None)


def cut_apart(pack: Pack, tailor: Tailor, name: str, cut_seed: int | None = None) -> Garment:
    """Trousers cut about the body with its legs apart, carried back to where ``tailor`` knows it at rest."""
    fitting = Fitting.of(pack, tailor.body, legs=LEGS)
    garment = Tailor(pack, fitting.body, tailor.step, LEGS).make(name, cut_seed=cut_seed)
    cut = garment.vertices
    rest = fitting.to_rest(cut, garment.triangles)
    for _ in range(3):  # thighs that nearly touch leave little room: each move undoes some of the other
        rest = parted(tailor._clear(rest), cut)
    return replace(garment, vertices=rest.astype(np.float32), cut=cut)
