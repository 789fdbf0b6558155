"""Skirts of a photograph's person: a tube of cloth about both legs, where the template's surface has two legs.

The tube's cross-sections are the legs' own, closed and let out as far as the photo's silhouette says; its front is the
photo itself, seen through the fitted camera, and its back another photo's, or the front's mirror image
(``skirt_cloth``). It turns with the hips and gives way to the legs in other poses.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage

from apps.rerender.shell import rigid, tube_mesh, unprojected
from apps.rerender.skirt_cloth import all_round, seen_on
from bodymap.people.anatomy import template
from bodymap.rendering.camera import clip_from_world
from bodymap.rendering.rasterizer import rasterize
from bodymap.surface.points import position
from bodymap.types import LAYER_NAMES, PART_NAMES, Camera, Correspondence

_CLOTH = tuple(LAYER_NAMES.index(name) for name in ("upper", "lower"))
_UNDER = tuple(LAYER_NAMES.index(name) for name in ("skin", "shoes"))
_LEGS = tuple(k for k, name in enumerate(PART_NAMES) if name.endswith(("thigh", "shin")))
_FEET = tuple(k for k, name in enumerate(PART_NAMES) if name.endswith("foot"))
_LEFT = tuple(k for k, name in enumerate(PART_NAMES) if name.startswith("left"))
_TRUNK = tuple(k for k, name in enumerate(PART_NAMES) if name.startswith("torso"))
# A skirt fills its rows from side to side, legs leave a gap; it becomes so narrow where it ends. It is at least so much
# of the person, and of its height: hems of shirts are shorter
_SOLID, _NARROWS, _LEAST, _LONG = 0.93, 0.75, 0.03, 0.15
_SHORTEST, _SLANTED = 0.1, 0.06  # shares of the person's height: no hem is higher; hems are so uneven
# Metres on the template: heights that differ by less are one; more says no more
_SAME, _SPREAD = 0.03, 0.1
# What seam, spread and legs below the hem say of a skirt, and of nothing known: docs/rerender.md has how it was found
_LIKE = np.array([-5.0, 22.0, -7.0, 4.8])
_CROTCH = 0.15  # of a skirt's pixels on the legs lie above it
_LEVELS, _AROUND = 48, 64  # of the mesh
_ANGLE = 2 * np.pi * np.arange(_AROUND) / _AROUND
_SLAB = 0.025  # metres above and below a level that belong to its cross-section
_RISE = 0.12  # metres that the tube begins above the legs
_FREE = 0.006  # metres between the body and the tube
_DEEP = 0.7  # cloth that stands off to the sides stands off so much to the front and back
_HANGS = 0.6  # cosine between the legs and the vertical: nothing hangs about somebody who lies
_INSIDE = 0.55  # brightness of the cloth's inner side


def skirt_region(correspondence: Correspondence) -> Bool[np.ndarray, "height width"] | None:
    """Where cloth hangs about the legs as one piece; None: the person wears no skirt, or too little is seen of it."""
    own = correspondence.mask & np.isin(correspondence.layer, _CLOTH) & np.isin(correspondence.part, _LEGS)
    if own.sum() < _LEAST * correspondence.mask.sum():
        return None
    height = np.ptp(np.flatnonzero(correspondence.mask.any(1)))
    first, hem, last = _hem_row(own, correspondence.mask, height)
    if hem - first < _LONG * height:
        return None
    # what goes on below it for long are leggings, or trousers under a coat; else the hem is only slanted
    hanging = own.copy()
    hanging[hem if last - hem > _SLANTED * height else last :] = False
    own[hem:] = False
    if _likeness(correspondence, own, height) < 0:
        return None
    # cloth that hangs lower than the crotch is not the trunk's, whatever the map says
    trunk = correspondence.mask & np.isin(correspondence.layer, _CLOTH) & np.isin(correspondence.part, _TRUNK)
    rows = np.nonzero(hanging)[0]
    trunk[: int(np.quantile(rows, _CROTCH))] = False
    trunk[rows.max() + 1 :] = False
    return hanging | trunk


def _hem_row(own: np.ndarray, person: np.ndarray, height: float) -> tuple[int, int, int]:
    """First row of cloth on legs, the row where it ends as one piece (it parts in two, or becomes narrow for good), and
    the row after its last."""
    threads = max(1, round(0.004 * height))
    thick = own & ndimage.binary_dilation(ndimage.binary_opening(own, iterations=threads), iterations=threads)
    rows = np.flatnonzero((thick if thick.any() else own).any(1))
    first, last = int(rows[0]), int(rows[-1]) + 1
    low, high = _ends(thick[first:last] if thick.any() else own[first:last])
    column = np.arange(own.shape[1])
    between = (column >= low[:, None]) & (column <= high[:, None])
    few = max(3, int(0.02 * height) | 1)
    extent = ndimage.median_filter((high - low + 1.0).clip(1), few, mode="nearest")
    # hands and bags before it fill it; what is missing is background
    filled = ndimage.median_filter((person[first:last] & between).sum(1).astype(float), few, mode="nearest")
    step = max(2, int(0.04 * height))
    gap = filled < _SOLID * extent
    # a gap that lasts, not a hole
    ahead = np.cumsum(np.concatenate([gap, np.zeros(step)]))
    gap &= (ahead[step - 1 : step - 1 + len(gap)] - ahead[: len(gap)] + gap) > 0.7 * step
    above = np.concatenate([np.zeros(step), filled])[: len(filled)]
    ends = gap | (np.maximum.accumulate(filled[::-1])[::-1] < _NARROWS * above)
    ends[: int(_SHORTEST * height)] = False
    return first, first + int(ends.argmax()) if ends.any() else last, last


def _ends(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last column of each row."""
    return own.argmax(1), own.shape[1] - 1 - own[:, ::-1].argmax(1)


def _likeness(correspondence: Correspondence, own: np.ndarray, height: float) -> float:
    """Above 0: cloth on legs, cut off at its hem, is a skirt's and not closed trouser legs' (log odds).

    Trousers have a seam where left leg meets right, at one height of the body; between the halves of a skirt lies
    cloth that belongs to the crotch, so that a row of it spans many heights. And of two legs in one skirt less comes
    out at the hem than of trousers.
    """
    z = np.zeros(own.shape)
    at = (
        torch.from_numpy(correspondence.triangle[own].astype(np.int64)),
        torch.from_numpy(correspondence.barycentric[own]),
    )
    z[own] = position(template(), *at)[:, 2].numpy()
    left = own & np.isin(correspondence.part, _LEFT)
    right = own & ~left
    meet = (left & _beside(right)) | (right & _beside(left))
    rows = np.flatnonzero(own.any(1))
    seam, spread = [], []
    for row in rows[len(rows) // 3 :]:  # further up, hands hang before it and every crotch is near
        heights = z[row, own[row]]
        if len(heights) < 4:
            continue
        low, middle, high = np.quantile(heights, (0.1, 0.5, 0.9))
        spread.append(min(high - low, _SPREAD))
        seam.append(bool(meet[row].any()) and abs(np.median(z[row, meet[row]]) - middle) < _SAME)
    if not seam:
        return -1.0
    # legs under the hem, and how wide the cloth is above it
    few, hem = max(2, int(0.03 * height)), int(rows[-1]) + 1
    low, high = _ends(own[hem - few - 1 : hem - 1])
    columns = slice(max(0, int(low.min()) - 2), int(high.max()) + 3)
    legs = correspondence.mask & np.isin(correspondence.part, _LEGS + _FEET)
    under = legs[hem + few // 2 : hem + 2 * few, columns].sum(1)
    below = min(under.mean() / (high - low + 1).mean(), 1.2) if len(under) else 0.0
    return float(_LIKE @ [np.mean(seam), np.median(spread), below, 1.0])


def _beside(mask: np.ndarray) -> np.ndarray:
    """With two columns more on either side."""
    return ndimage.binary_dilation(mask, np.ones((1, 5), bool))


def _largest(mask: np.ndarray) -> Bool[np.ndarray, "height width"]:
    """Its largest piece, without threads."""
    pieces, _ = ndimage.label(ndimage.binary_opening(mask, iterations=2))
    return pieces == np.bincount(pieces[pieces > 0]).argmax() if pieces.any() else mask


@dataclass(frozen=True)
class SkirtView:
    """A photograph of somebody in a skirt.

    Attributes:
        region: where it hangs (``skirt_region``).
        vertices: the body as the photo shows it, its legs without the skirt; metres, in the camera's space.
    """

    photo: UInt8[np.ndarray, "height width rgb=3"]
    correspondence: Correspondence
    region: Bool[np.ndarray, "height width"]
    vertices: Float[np.ndarray, "vertex=13380 xyz=3"]
    camera: Camera


@dataclass(frozen=True)
class Skirt:
    """A tube of _LEVELS x _AROUND vertices, top to hem; column j lies at the angle 2 pi j / _AROUND, 3/4 of the way
    round towards the camera.

    Attributes:
        frame: rows right in the picture, away from the camera, down: unit, of the photo's camera space.
        origin: of the frame, metres: the middle of the hips.
        hips: the template vertices that the tube turns with, and where the photo has them.
        centre: (levels, 2) of each level's cross-section, in the frame.
        offset: (levels, around, 3) of the vertices: from the centre, right and away; and down from the origin.
        picture: the cloth, all the way round from the middle of the back, top to hem, [0, 1].
    """

    frame: Float[np.ndarray, "3 3"]
    origin: Float[np.ndarray, " xyz=3"]
    hips: tuple[Int[np.ndarray, " hip"], Float[np.ndarray, "hip xyz=3"]]
    centre: Float[np.ndarray, "level 2"]
    offset: Float[np.ndarray, "level around 3"]
    picture: Float[np.ndarray, "texel texel rgb=3"]

    def about(self, vertices: Float[np.ndarray, "vertex xyz=3"]) -> Float[np.ndarray, "point xyz=3"]:
        """The tube about the same body, turned or posed: level by level, each round from the middle of the back, and
        closed."""
        ids, there = self.hips
        rotation, move = rigid(there, vertices[ids])
        body = ((vertices - move) @ rotation - self.origin) @ self.frame.T
        offset = self.offset.copy()
        distance = np.linalg.norm(offset[..., :2], axis=-1)
        angle = np.arctan2(offset[..., 1], offset[..., 0])
        levels = zip(offset[..., 2].mean(1), self.centre, strict=True)
        needed = [
            np.interp(a, _ANGLE, _section(body, *level), period=2 * np.pi)
            for a, level in zip(angle, levels, strict=True)
        ]
        # cloth that a leg pushes out pulls what is around it along; at the hips it lies on the body, which may bend
        body_reach = np.stack(needed) + _FREE
        excess = ndimage.maximum_filter(np.maximum(body_reach - distance, 0), (3, 3), mode=("nearest", "wrap"))
        excess = ndimage.gaussian_filter(excess, 1.0, mode=("nearest", "wrap"))
        hanging = np.clip((offset[..., 2] - offset[0, :, 2]) / _RISE, 0, 1)
        reach = body_reach + hanging * (distance + excess - body_reach)
        offset[..., :2] *= (reach / np.maximum(distance, 1e-6))[..., None]
        offset[..., :2] += self.centre[:, None]
        points = _closed(offset).reshape(-1, 3) @ self.frame + self.origin
        return points @ rotation.T + move

    def over(
        self, vertices: Float[np.ndarray, "vertex xyz=3"], camera: Camera
    ) -> tuple[Bool[np.ndarray, "height width"], Float[np.ndarray, "height width rgb=3"]]:
        """Where a camera sees the tube before the body, and its colours there."""
        t = template()
        body = t.triangles[t.triangle_inner == 0]
        points = np.concatenate([vertices, self.about(vertices)]).astype(np.float32)
        clip = clip_from_world(torch.from_numpy(points), camera)
        faces = torch.from_numpy(FACES)
        seen = rasterize(clip, torch.cat([body, faces + len(vertices)]), camera.size)[0]
        face = seen.triangle[0].numpy() - len(body)
        shown = face >= 0
        weight = seen.barycentric[0].numpy()[shown][..., None]
        corner = FACES[face[shown]]
        at = (UV[corner] * weight).sum(1) * (np.array(self.picture.shape[:2]) - 1)
        colour = np.zeros((*camera.size, 3))
        rgb = np.stack(
            [ndimage.map_coordinates(self.picture[..., k], at.T, order=1, mode="nearest") for k in range(3)], 1
        )
        corners = points[len(vertices) :][corner]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        inner = (normal * corners[:, 0]).sum(1) < 0
        colour[shown] = rgb * np.where(inner, _INSIDE, 1.0)[:, None]
        return shown, colour


def make_skirt(view: SkirtView, up: Float[np.ndarray, " xyz=3"], more: Sequence[SkirtView] = ()) -> Skirt | None:
    """The skirt that a photo shows; None: it hangs nowhere near the fitted legs, or these do not hang down.

    Args:
        view: the photo that gives the form.
        up: of the person.
        more: photos of the same person in the same skirt, each in the space of its own camera, bodies of one size: they
            show the cloth that the first one hides.
    """
    correspondence, region, vertices, camera = view.correspondence, view.region, view.vertices, view.camera
    hips = _hips()
    origin = vertices[hips].mean(0)
    down = -up / np.linalg.norm(up)
    right = np.cross(down, origin)
    right /= np.linalg.norm(right)
    frame = np.stack([right, np.cross(down, right) * np.sign(np.cross(down, right) @ origin), down])
    body = (vertices - origin) @ frame.T
    legs = body[np.isin(template().vertex_part.numpy(), _LEGS) & _outer()].mean(0)
    if legs[2] < _HANGS * np.linalg.norm(legs):
        return None

    # -- where it hangs, on the plane that faces the camera
    cloth = _cloth(correspondence, region)
    plane = unprojected(camera, origin, frame)
    below = plane[..., 1][region & cloth]
    if not len(below):
        return None
    top, length = np.percentile(below, 1) - _RISE, np.percentile(below, 99.5)
    if length - top < _RISE + 0.08:
        return None
    levels = np.linspace(top, length, _LEVELS)
    hem = _hem(region & cloth, correspondence, plane, length)

    # -- its cross-sections
    points = np.stack([_near(body, level) for level in levels])
    low, high = points.min(1), points.max(1)
    centre = ndimage.gaussian_filter1d((low + high) / 2, 3.0, axis=0, mode="nearest")
    section = np.stack([_section(body, level, middle) for level, middle in zip(levels, centre, strict=True)])
    section = ndimage.gaussian_filter(section, (2.0, 1.0), mode=("nearest", "wrap")) + _FREE
    outline = section[..., None] * np.stack([np.cos(_ANGLE), np.sin(_ANGLE)], -1)
    half = np.ptp(outline, axis=1) / 2
    sides = _sides(cloth, correspondence.mask, plane, levels, centre[:, 0])
    width = np.maximum(sides[:, 1] - sides[:, 0], 0) / 2
    hanging = np.clip((levels - top) / _RISE, 0, 1)  # at the hips it lies on the body
    off = np.clip(width - half[:, 0], -0.2 * half[:, 0], 0.4) * hanging
    wider = np.stack([1 + off / half[:, 0], 1 + _DEEP * np.maximum(off, 0) / half[:, 1]], -1)
    outline = outline * wider[:, None]
    middle = sides.mean(1) - (outline[..., 0].max(1) + outline[..., 0].min(1)) / 2
    centre[:, 0] += hanging * (middle - centre[:, 0])

    # -- levels follow the hem
    share = np.linspace(0, 1, _LEVELS)[:, None]
    ring = outline[-1] + centre[-1]
    reach = np.interp(ring[:, 0], hem[0], _on_the_front(*hem, ring, frame @ origin))
    depth = top + share * (reach - top)[None]
    at = (depth - top) / (length - top) * (_LEVELS - 1)
    column = np.broadcast_to(np.arange(_AROUND), at.shape)
    moved = [ndimage.map_coordinates(outline[..., k], [at, column], order=1, mode="nearest") for k in range(2)]
    along = [ndimage.map_coordinates(centre[:, k], [at], order=1, mode="nearest") for k in range(2)]
    offset = np.stack([moved[0] + along[0] - centre[:, :1], moved[1] + along[1] - centre[:, 1:], depth], -1)
    blank = Skirt(frame, origin, (hips, vertices[hips]), centre, offset, np.zeros((1, 1, 3)))

    # -- its cloth
    surface = _closed(np.concatenate([offset[..., :2] + centre[:, None], offset[..., 2:]], -1)) @ frame + origin
    views = [seen_on(surface, view.photo, cloth, camera)]
    for other in more:
        tube = blank.about(other.vertices).reshape(surface.shape)
        views.append(seen_on(tube, other.photo, _cloth(other.correspondence, other.region), other.camera))
    picture = all_round(views)
    return None if picture is None else replace(blank, picture=picture)


# -------------------------------------------------------------------------------------------------------- its outline
def _cloth(correspondence: Correspondence, region: np.ndarray) -> Bool[np.ndarray, "height width"]:
    """The one piece of one layer that the skirt is, on trunk and legs, without what else is taken for cloth."""
    layer = np.bincount(correspondence.layer[region]).argmax()
    own = (correspondence.layer == layer) & correspondence.mask & np.isin(correspondence.part, _TRUNK + _LEGS)
    own[np.flatnonzero(region.any(1))[-1] + 1 :] = False
    return _largest(own)


def _sides(
    cloth: np.ndarray, person: np.ndarray, plane: np.ndarray, levels: np.ndarray, middle: np.ndarray
) -> Float[np.ndarray, "level side=2"]:
    """Left and right end at each level, as parabolas.

    Only where the background begins beside the cloth is an end of it; what an arm or a bag hides is as far from the
    legs' ``middle`` as the other end.
    """
    ends = np.full((len(levels), 2), np.nan)
    for side, way in enumerate((1, -1)):
        # the cloth's outermost pixels in a row, beside which nobody is
        edge = cloth & ~np.roll(cloth, way, 1) & ~np.roll(person, 3 * way, 1)
        which = np.rint((plane[..., 1][edge] - levels[0]) / (levels[1] - levels[0])).astype(int)
        at = plane[..., 0][edge]
        for k in range(len(levels)):
            own = at[which == k]
            if len(own):
                ends[k, side] = own.min() if way > 0 else own.max()
    seen = ~np.isnan(ends)
    ends = np.where(seen, ends, 2 * middle[:, None] - ends[:, ::-1])
    weight = np.where(seen, 1.0, 0.3)
    at = np.linspace(-1, 1, len(levels))
    fitted = []
    for side, outward in ((0, -1), (1, 1)):
        known = ~np.isnan(ends[:, side])
        if known.sum() < 4:
            return np.stack([middle, middle], 1)
        end, trust = ends[known, side], weight[known, side]
        doubt = np.ones(len(end))
        for _ in range(6):
            curve = np.polynomial.Polynomial.fit(at[known], end, 2, w=trust * doubt, domain=[-1, 1])
            doubt = np.where(outward * (curve(at[known]) - end) > 0.015, 0.2, 1.0)
        fitted.append(curve(at).clip(end.min() - 0.01, end.max() + 0.01))
    return np.stack(fitted, 1)


def _hem(
    cloth: np.ndarray, correspondence: Correspondence, plane: np.ndarray, length: float
) -> tuple[np.ndarray, np.ndarray]:
    """Places from left to right, and how far down the cloth reaches there: a parabola through where legs or the
    background begin under it, not hands and bags."""
    over = correspondence.mask & ~np.isin(correspondence.layer, _UNDER)
    end = cloth & ~np.roll(cloth, -1, 0) & ~np.roll(over, -4, 0)
    low = plane[end & (plane[..., 1] > length - 0.35)]
    wide = plane[..., 0][cloth]
    places = np.linspace(wide.min(), wide.max(), 24)
    which = np.abs(low[:, :1] - places[None]).argmin(1) if len(low) else np.zeros(0, int)
    reach = np.array([low[which == k, 1].max() if (which == k).any() else np.nan for k in range(24)])
    known = ~np.isnan(reach)
    if known.sum() < 5:
        return places, np.full(24, length)
    at, reach = places[known], reach[known]
    weight, degree = np.ones(len(at)), 2 if known.mean() > 0.7 else 1
    for _ in range(8):
        curve = np.polynomial.Polynomial.fit(at, reach, degree, w=weight)
        weight = 1 / (1 + ((curve(at) - reach) / 0.02) ** 2)
    sure = reach[weight > 0.5]
    return places, curve(places.clip(at[0], at[-1])).clip(sure.min(), sure.max())


def _on_the_front(
    places: np.ndarray, reach: np.ndarray, ring: np.ndarray, middle: np.ndarray
) -> Float[np.ndarray, " place"]:
    """How far down the hem is that is seen there on the plane through the hips: it is nearer to the camera, and so
    higher where that looks down on it.

    Args:
        ring: (around, 2) the cross-section at the hem: right and away.
        middle: of the hips, from the camera: right, away, down.
    """
    front = ring[ring[:, 1] < ring[:, 1].mean()]
    front = front[front[:, 0].argsort()]
    nearer = 1 + np.interp(places, front[:, 0], front[:, 1]) / middle[1]
    return nearer * (reach + middle[2]) - middle[2]


# -------------------------------------------------------------------------------------------------- its cross-sections
def _near(body: np.ndarray, level: float) -> Float[np.ndarray, "point 2"]:
    """The points of trunk and legs about a level (right, away), always as many: the nearest ones."""
    own = body[_waist_down()]
    nearest = np.argpartition(np.abs(own[:, 2] - level), 120)[:120]
    return own[nearest, :2]


def _section(body: np.ndarray, level: float, centre: np.ndarray) -> Float[np.ndarray, " around"]:
    """Distance from the centre, in _AROUND directions, of what a cloth about trunk and legs lies on at a level."""
    own = body[_waist_down()]
    at = own[np.abs(own[:, 2] - level) < _SLAB, :2] - centre
    if len(at) < 3:
        return np.zeros(_AROUND)
    support = (at @ np.stack([np.cos(_ANGLE), np.sin(_ANGLE)])).max(0)
    slant = np.cos(_ANGLE[:, None] - _ANGLE)
    return np.where(slant > 0.15, support[None] / np.maximum(slant, 0.15), np.inf).min(1).clip(0)


@functools.cache
def _waist_down() -> Int[np.ndarray, " vertex"]:
    """Trunk and legs."""
    return np.flatnonzero(np.isin(template().vertex_part.numpy(), _TRUNK + _LEGS) & _outer())


def _outer() -> np.ndarray:
    return (template().vertex_triangles[:, 0] >= 0).numpy()


@functools.cache
def _hips() -> Int[np.ndarray, " hip"]:
    """The lowest part of the trunk, which moves as one."""
    t = template()
    trunk = np.flatnonzero(np.isin(t.vertex_part.numpy(), _TRUNK) & _outer())
    height = t.vertices[trunk, 2].numpy()
    return trunk[height < height.min() + 0.2]


# ------------------------------------------------------------------------------------------------------------ its mesh
def _closed(tube: Float[np.ndarray, "level around k"]) -> Float[np.ndarray, "level column k"]:
    """Each level from the middle of the back once round, which comes again at its end."""
    turned = np.roll(tube, -_AROUND // 4, 1)
    return np.concatenate([turned, turned[:, :1]], 1)


# Of the tube that ``Skirt.about`` gives; normals point outwards
FACES, UV = tube_mesh(_LEVELS, _AROUND)
