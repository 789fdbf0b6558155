"""Long hair of a photograph's person: a shell about head and neck, where the template's surface has a bare head.

The shell's cross-sections are those of head, neck and shoulders, let out as far as the photo's hair reaches. The half
that the photo shows is the photo itself, transparent where no hair is; the other half is its mirror image, without the
face. It moves with the head.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage

from apps.rerender.shell import rigid, tube_mesh, unprojected
from bodymap.fitting.body import project
from bodymap.people.anatomy import template
from bodymap.people.noise import fractal_noise, smooth_noise
from bodymap.rendering.camera import clip_from_world
from bodymap.rendering.rasterizer import rasterize
from bodymap.types import LAYER_NAMES, PART_NAMES, Camera, Correspondence

_HAIR = LAYER_NAMES.index("hair")
_HEAD = PART_NAMES.index("head")
_ABOUT = tuple(k for k, name in enumerate(PART_NAMES) if name in ("head", "neck") or name.startswith("torso"))
_LEAST, _FEWEST = 0.008, 40  # of the person, and pixels: less hair is not worth a shell
# Hair is long if some of it (not a lock only) hangs about as low as the chin; a head without a face seems longer
_LOCKS, _LONG, _LONG_BEHIND, _FACELESS = 0.97, 0.92, 1.08, 0.2
_LEVELS, _AROUND = 64, 96  # of the mesh
_DENSER = 1.5  # power: levels lie closer at the crown, which is round
_TALL, _WIDE = 224, 384  # of the picture, texels
_ANGLE = 2 * np.pi * np.arange(_AROUND) / _AROUND
_SLAB = 0.012  # metres above and below a level that belong to its cross-section
_ROUND = 0.09  # radius of the crown, metres
_FULL = 0.03  # metres below the top of the head from which on its cross-sections are full
_THICK = 0.009  # metres of hair on the head
_CUT = 0.02  # metres that it stands above a head whose crown is not in the picture
_NAPE = 0.25  # of the head's height from below: there ends the hair behind it
_DEEP = 0.6  # hair that stands off to the sides stands off so much behind
_BROW = 0.42  # of the head's height from the crown: above, hair stands off in front as well
_FACING = 0.35  # cosine from which on the photo shows enough of the hair
_UNEVEN = 0.03, 0.12  # strands' brightness, standard deviation
_FOREHEAD = 0.35  # of the head's height from above: nothing but hair is found there
_UNLIKE = 3.5  # times the lower quartile of differences from the usual colour: that is something else
_TONE = 0.1  # of its length: over which hair changes its colour
_RIM = 0.02  # of the hair's width
_FACE = np.radians(72.0)  # half of the opening for a face that is not seen
_FRONT, _BACK = 0.5, -0.5  # cosine between face and camera: seen from the front, from behind
_PEELED = 5  # surfaces one behind the other: locks, face, the hair behind


def hair_region(correspondence: Correspondence) -> Bool[np.ndarray, "height width"] | None:
    """Where the photo shows long hair; None: it is short, or too little is seen of it."""
    hair = correspondence.mask & (correspondence.layer == _HAIR)
    head = correspondence.mask & (correspondence.part == _HEAD)
    if hair.sum() < max(_LEAST * correspondence.mask.sum(), _FEWEST) or not head.any():
        return None
    bare = head & ~hair
    faceless = bare.sum() < _FACELESS * head.sum()
    rows = np.nonzero(head if faceless else bare)[0]
    crown, chin = np.nonzero(hair)[0].min(), np.quantile(rows, 0.99)
    tips = np.quantile(np.nonzero(hair)[0], _LOCKS)
    return hair if tips - crown > (_LONG_BEHIND if faceless else _LONG) * (chin - crown) else None


def hanging(
    correspondence: Correspondence, region: Bool[np.ndarray, "height width"]
) -> Bool[np.ndarray, "height width"]:
    """What of the hair lies over neck, shoulders and chest, and says nothing of their form and colour."""
    rows = np.nonzero(correspondence.mask & (correspondence.part == _HEAD) & ~region)[0]
    below = np.quantile(rows, 0.97) if len(rows) else len(region)
    return region & ((correspondence.part != _HEAD) | (np.indices(region.shape)[0] > below))


@dataclass(frozen=True)
class Hair:
    """A shell of _LEVELS x (_AROUND + 1) vertices, crown to tips; the last column lies on the first.

    Attributes:
        head: the template vertices that it moves with, and where the photo has them.
        points: the vertices, in the space of the photo's camera, metres.
        picture: colour and opacity in [0, 1]; rows from crown to tips, columns once round.
    """

    head: tuple[Int[np.ndarray, " scalp"], Float[np.ndarray, "scalp xyz=3"]]
    points: Float[np.ndarray, "point xyz=3"]
    picture: Float[np.ndarray, "tall wide rgba=4"]

    def about(self, vertices: Float[np.ndarray, "vertex xyz=3"]) -> Float[np.ndarray, "point xyz=3"]:
        """The shell about the same body, turned or posed."""
        ids, there = self.head
        rotation, move = rigid(there, vertices[ids])
        return self.points @ rotation.T + move

    def over(
        self, vertices: Float[np.ndarray, "vertex xyz=3"], camera: Camera
    ) -> tuple[Bool[np.ndarray, "height width"], Float[np.ndarray, "height width rgb=3"]]:
        """Where a camera sees hair before the body, and its colours there."""
        t = template()
        body = t.triangles[t.triangle_inner == 0]
        points = np.concatenate([vertices, self.about(vertices)]).astype(np.float32)
        clip = clip_from_world(torch.from_numpy(points), camera)
        faces = torch.cat([body, torch.from_numpy(FACES) + len(vertices)])
        shown, free = np.zeros(camera.size, bool), np.ones(camera.size, bool)
        colour = np.zeros((*camera.size, 3))
        for seen in rasterize(clip, faces, camera.size, layers=_PEELED):
            face = seen.triangle[0].numpy() - len(body)
            free &= face >= 0  # the body ends it, and the background
            if not free.any():
                break
            weight = seen.barycentric[0].numpy()[free][..., None]
            at = (UV[FACES[face[free]]] * weight).sum(1) * np.array([_TALL - 1, _WIDE - 1])
            rgba = np.stack(
                [ndimage.map_coordinates(self.picture[..., k], at.T, order=1, mode="nearest") for k in range(4)], 1
            )
            opaque = free.copy()
            opaque[free] = rgba[:, 3] > 0.5
            colour[opaque] = rgba[rgba[:, 3] > 0.5, :3]
            shown |= opaque
            free &= ~opaque
        return shown, colour


def make_hair(
    photo: UInt8[np.ndarray, "height width rgb=3"],
    correspondence: Correspondence,
    region: Bool[np.ndarray, "height width"],
    vertices: Float[np.ndarray, "vertex xyz=3"],
    up: Float[np.ndarray, " xyz=3"],
    camera: Camera,
) -> Hair | None:
    """The long hair that a photo shows; None: it lies nowhere near the fitted head, or that does not stand upright.

    Args:
        region: of the photo, as ``hair_region`` has it.
        vertices: the body as the photo shows it, its head without the hair; metres, in the camera's space.
        up: of the person.
    """
    ids, rest = _scalp()
    turn, _ = rigid(rest, vertices[ids])
    origin = vertices[ids].mean(0)
    towards = turn @ np.array([0.0, -1.0, 0.0])  # the pack's people face -y
    down = -up / np.linalg.norm(up)
    if turn[:, 2] @ up < 0.6:
        return None
    right = np.cross(down, origin)
    right /= np.linalg.norm(right)
    away = np.cross(down, right)
    frame = np.stack([right, away * np.sign(away @ origin), down])
    body = (vertices - origin) @ frame.T
    facing = -(towards @ frame[1]) / np.hypot(*(frame[:2] @ towards)).clip(1e-6)  # a face that looks up is seen too
    scalp = body[ids]
    top, chin = scalp[:, 2].min(), scalp[:, 2].max()

    region = region & ~_on_the_face(photo, correspondence, region)
    if region.sum() < _FEWEST:
        return None

    # how far the hair reaches, on the plane through the head that faces the camera
    plane = unprojected(camera, origin, frame)[region]
    crown, tips = np.percentile(plane[:, 1], 0.3) - 0.004, np.percentile(plane[:, 1], 99.7)
    if region[0].any():  # the picture cuts it off
        crown = min(crown, top - _CUT)
    if not -0.1 < crown - top < 0.12 or tips - crown < 0.12:
        return None
    levels = crown + (tips - crown) * np.linspace(0, 1, _LEVELS) ** _DENSER
    middle = np.stack([_middle(body, level) for level in levels])
    middle = ndimage.gaussian_filter1d(middle, 3.0, axis=0, mode="nearest")
    ends, lengths = _ends(plane, levels, middle[:, 0])
    surface = _surface(body, levels, middle, ends, (top, chin), facing, origin @ frame[1])
    if surface is None:
        return None
    points = surface @ frame + origin

    on_head = (np.arange(_TALL) < (levels < _nape(top, chin)).mean() * _TALL)[:, None]
    picture = _picture(photo, correspondence, region, points, camera, on_head, facing > _FRONT)
    if picture is None:
        return None
    picture[..., 3] = _unseen(picture[..., 3], surface, levels, lengths, facing, towards @ frame.T, top, chin)
    return Hair((ids, vertices[ids]), points.reshape(-1, 3), picture)


def _surface(
    body: Float[np.ndarray, "vertex xyz=3"],
    levels: Float[np.ndarray, " level"],
    middle: Float[np.ndarray, "level 2"],
    ends: Float[np.ndarray, "level side=2"],
    head: tuple[float, float],
    facing: float,
    depth: float,
) -> Float[np.ndarray, "level column xyz=3"] | None:
    """The shell in the frame, each level once round and closed; None: the body is nowhere near.

    Args:
        middle: of head or neck at each level.  ends: of the hair.
        head: its top and chin.  facing: cosine between face and camera.
        depth: of the frame's origin before the camera, metres.
    """
    top, chin = head
    between = np.where((levels < chin)[:, None], [[-np.inf, np.inf]], ends)
    outline = np.stack([_outline(body, *level) for level in zip(levels, middle, between, strict=True)])
    # near the top of the head and above it, and where nothing is, as at the nearest full cross-section, to be scaled
    known = np.flatnonzero(~np.isnan(outline[:, 0, 0]) & (levels > top + _FULL))
    if not len(known):
        return None
    outline = outline[known[np.abs(np.arange(len(levels))[:, None] - known).argmin(1)]]
    outline = ndimage.gaussian_filter(outline, (1.5, 1.0, 0), mode=("nearest", "wrap", "nearest"))
    half = np.ptp(outline, axis=1) / 2

    # -- to the sides: hair that is drawn back covers the head behind a face all the same
    hull = middle[:, :1] + np.stack([outline[..., 0].min(1), outline[..., 0].max(1)], 1)
    covering = np.stack([np.minimum(ends[:, 0], hull[:, 0]), np.maximum(ends[:, 1], hull[:, 1])], 1)
    ends = np.where((levels < _nape(top, chin))[:, None], covering, ends)
    wide = np.maximum(ends[:, 1] - ends[:, 0], 0.004) / 2
    below = np.clip((levels - levels[0]) / _ROUND, 0, 1)  # the crown is round, however flat the topmost row of pixels
    wide = np.minimum(wide, np.interp(levels[0] + _ROUND, levels, wide) * np.sqrt(below * (2 - below)))
    share = outline[..., 0] / np.maximum(np.abs(outline[..., 0]).max(1, keepdims=True), 1e-6)
    right = ends.mean(1)[:, None] + share * wide[:, None]

    # -- to the front and the back; the side of the face lies closer
    dome = np.minimum(wide / np.maximum(half[:, 0], 1e-6), 1.4)
    off = np.clip(wide - half[:, 0], 0, 0.08)
    behind = np.where(levels < top + _FULL, dome, 1 + _DEEP * off / half[:, 1])
    before = np.minimum(behind, np.where(levels < top + _BROW * (chin - top), dome, 1.05))
    face_side = np.sign(outline[..., 1]) == (-1 if facing > 0 else 1)
    away = outline[..., 1] * np.where(face_side & (abs(facing) > _FRONT), before[:, None], behind[:, None])
    away += middle[:, 1:]

    # outlines were measured on the plane through the head: what lies behind it is larger than it looks there
    rim = np.stack([np.take_along_axis(away, of[:, None], 1)[:, 0] for of in (right.argmin(1), right.argmax(1))])
    larger = (1 + ndimage.gaussian_filter1d(rim.mean(0), 2.0, mode="nearest") / depth)[:, None]
    surface = np.stack([right * larger, away, np.broadcast_to(levels[:, None] * larger, away.shape)], -1)
    return np.concatenate([surface, surface[:, :1]], 1)


def _nape(top: float, chin: float) -> float:
    """The level at which the hair behind the head ends and that behind the neck begins."""
    return chin - _NAPE * (chin - top)


# -------------------------------------------------------------------------------------------------------- its outline
@functools.cache
def _scalp() -> tuple[Int[np.ndarray, " scalp"], Float[np.ndarray, "scalp xyz=3"]]:
    """The head's vertices and where they lie at rest."""
    t = template()
    ids = np.flatnonzero((t.vertex_part.numpy() == _HEAD) & (t.vertex_triangles[:, 0] >= 0).numpy())
    return ids, t.vertices.numpy()[ids].astype(float)


@functools.cache
def _near_the_neck() -> Int[np.ndarray, " vertex"]:
    t = template()
    return np.flatnonzero(np.isin(t.vertex_part.numpy(), _ABOUT) & (t.vertex_triangles[:, 0] >= 0).numpy())


def _on_the_face(photo: np.ndarray, c: Correspondence, region: np.ndarray) -> Bool[np.ndarray, "height width"]:
    """What the map takes for hair and is something else, by its colour and its place: glasses, brows, beards."""
    colour = photo.astype(float)
    distance = np.abs(colour - np.median(colour[region], axis=0)).max(-1)
    unlike = region & (distance > max(_UNLIKE * np.quantile(distance[region], 0.25), 40))
    face = ndimage.binary_dilation(c.mask & (c.part == _HEAD) & ~region, iterations=2)
    rows = np.nonzero(c.mask & (c.part == _HEAD))[0]
    unlike[: int(rows.min() + _FOREHEAD * np.ptp(rows))] = False  # hair may be darker at its roots
    pieces, count = ndimage.label(ndimage.binary_opening(unlike))
    touch = np.bincount(pieces[face], minlength=count + 1) if count else np.zeros(1)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    found = touch > 0.1 * np.sqrt(sizes)
    found[0] = False
    return ndimage.binary_dilation(found[pieces], iterations=2) & region


def _middle(body: np.ndarray, level: float) -> Float[np.ndarray, " 2"]:
    """Right and away: the middle of head or neck at a level; below the neck, of the neck."""
    own = body[_near_the_neck()]
    own = own[np.abs(own[:, 0]) < 0.12]
    near = own[np.argpartition(np.abs(own[:, 2] - level), 60)[:60], :2]
    return (near.min(0) + near.max(0)) / 2


def _ends(
    plane: Float[np.ndarray, "pixel 2"], levels: np.ndarray, middle: np.ndarray
) -> tuple[Float[np.ndarray, "level side=2"], Float[np.ndarray, " side=2"]]:
    """Where hair ends to the left and right of the middle at each level, and how far down it hangs on either side."""
    which = np.searchsorted((levels[1:] + levels[:-1]) / 2, plane[:, 1])
    ends = np.stack([middle, middle], 1)
    lengths = np.full(2, levels[0])
    for side, way in enumerate((-1, 1)):
        own = way * (plane[:, 0] - middle[which])
        mine = own > 0.01
        if mine.sum() < 20:
            continue
        lengths[side] = np.percentile(plane[mine, 1], 99)
        reach = np.array([np.percentile(own[mine & (which == k)], 98) if (mine & (which == k)).any() else np.nan
                          for k in range(len(levels))])  # fmt: skip
        known = np.flatnonzero(~np.isnan(reach))
        reach = np.interp(np.arange(len(levels)), known, reach[known])
        reach = ndimage.gaussian_filter1d(ndimage.median_filter(reach, 5, mode="nearest"), 1.0, mode="nearest")
        reach[levels > lengths[side]] = 0
        ends[:, side] = middle + way * reach
    return ends, lengths


def _outline(body: np.ndarray, level: float, middle: np.ndarray, ends: np.ndarray) -> Float[np.ndarray, "around 2"]:
    """What hair lies on at a level: the hull, about its middle, of head, neck and shoulders between the hair's ends."""
    own = body[_near_the_neck()]
    own = own[np.abs(own[:, 2] - level) < _SLAB]
    low, high = min(ends[0], middle[0] - 0.045), max(ends[1], middle[0] + 0.045)
    at = own[(own[:, 0] > low) & (own[:, 0] < high), :2] - middle
    if len(at) < 3:
        return np.full((_AROUND, 2), np.nan)
    support = (at @ np.stack([np.cos(_ANGLE), np.sin(_ANGLE)])).max(0)
    slant = np.cos(_ANGLE[:, None] - _ANGLE)
    reach = np.where(slant > 0.15, support[None] / np.maximum(slant, 0.15), np.inf).min(1).clip(0) + _THICK
    return reach[:, None] * np.stack([np.cos(_ANGLE), np.sin(_ANGLE)], 1)


# --------------------------------------------------------------------------------------------------------- its colours
def _picture(
    photo: np.ndarray,
    correspondence: Correspondence,
    region: np.ndarray,
    points: np.ndarray,
    camera: Camera,
    on_head: np.ndarray,
    closed: bool,
) -> Float[np.ndarray, "tall wide rgba=4"] | None:
    """Colour and opacity of both halves: the photo on the near one, its mirror image on the far one."""
    level = np.linspace(0, _LEVELS - 1, _TALL)
    column = _AROUND / 2 + np.linspace(0, _AROUND / 2, _WIDE // 2)  # the near half: left to right
    grid = np.meshgrid(level, column, indexing="ij")
    at = np.stack([ndimage.map_coordinates(points[..., k], grid, order=1) for k in range(3)], -1)
    normal = np.cross(np.gradient(at, axis=1), np.gradient(at, axis=0))
    view = at / np.linalg.norm(at, axis=-1, keepdims=True)
    facing = np.abs((normal * view).sum(-1)) / np.linalg.norm(normal, axis=-1).clip(1e-9)
    pixel = project(at.reshape(-1, 3), camera)[:, ::-1].T - 0.5
    hair = ndimage.map_coordinates(region.astype(float), pixel, order=1).reshape(facing.shape)
    # its rim has the background's colours in it, and some of the face's
    rim = max(1, round(_RIM * np.ptp(np.nonzero(region)[1])))
    inner = [
        region & ndimage.binary_erosion(of, iterations=rim, border_value=1) for of in (correspondence.mask, region)
    ]
    shown, seen = (
        (ndimage.map_coordinates(of.astype(float), pixel, order=0).reshape(facing.shape) > 0.5) & (facing > _FACING)
        for of in inner
    )
    if seen.mean() < 0.02:
        return None
    rgb = np.stack([ndimage.map_coordinates(photo[..., k].astype(float), pixel, order=1) for k in range(3)], -1)
    front, behind = (made / 255 for made in _strands(rgb.reshape(*facing.shape, 3), shown, seen))
    # beyond the outline, and where it is seen edge on, the shell is as it is beside
    sure = facing > _FACING
    nearest = ndimage.distance_transform_edt(~sure, return_distances=False, return_indices=True)
    about = ndimage.binary_dilation(region, iterations=2 * rim).astype(float)
    about = ndimage.map_coordinates(about, pixel, order=0).reshape(facing.shape)
    opacity = np.maximum(hair[tuple(nearest)] * about, _beside(hair > 0.5, sure) & on_head)[..., None]
    # columns begin at angle 0, the right end: the far half goes from right to left, the near one back
    far = behind if closed else front
    return np.concatenate([np.concatenate([far, opacity], -1)[:, ::-1], np.concatenate([front, opacity], -1)], 1)


def _beside(hair: np.ndarray, sure: np.ndarray) -> Bool[np.ndarray, "tall wide"]:
    """Between the sides' ends and the first hair that is seen: it goes on behind."""
    out = ~sure
    half = hair.shape[1] // 2
    for part, over in ((hair[:, :half], out[:, :half]), (hair[:, ::-1][:, :half], out[:, ::-1][:, :half])):
        first = np.where(part.any(1), part.argmax(1), 0)
        over |= np.arange(half) < first[:, None]
    return out


def _strands(
    rgb: np.ndarray, shown: np.ndarray, seen: np.ndarray
) -> tuple[Float[np.ndarray, "tall wide rgb=3"], Float[np.ndarray, "tall wide rgb=3"]]:
    """The photo's hair, continued; and hair all over: at each level of the colour seen there, its strands as uneven.

    Args:
        shown: where the photo's colours are to be kept.  seen: where they are those of hair alone.
    """
    tall, wide = seen.shape
    # what differs from most of it counts little: glasses and ears that the map takes for hair
    unlike = np.abs(rgb - np.median(rgb[seen], axis=0)).max(-1)
    weight = (seen / (1 + (unlike / max(_UNLIKE * np.quantile(unlike[seen], 0.25), 1)) ** 4))[..., None]
    every, sure = (
        ndimage.gaussian_filter1d(values.sum(1), _TONE * tall, axis=0, mode="nearest", truncate=8)
        for values in (rgb * weight, weight)
    )
    every = every / np.maximum(sure, 1e-9)
    light = rgb.mean(-1) / every.mean(-1).clip(1)[:, None]
    across = light - ndimage.gaussian_filter1d(light, 4, axis=1)
    uneven = float(np.clip(np.std(across[seen]), *_UNEVEN))
    rng = np.random.default_rng(0)
    strands = sum(
        smooth_noise(rng, (tall, wide), (down, wide // apart)) - 0.5 for down, apart in ((2, 2), (3, 4), (3, 9))
    )
    made = every[:, None] * (1 + uneven / strands.std() * strands)[..., None]
    # softly, where what was seen ends
    inside = ndimage.gaussian_filter(ndimage.binary_erosion(shown).astype(float), 1.0)[..., None]
    return (inside * rgb + (1 - inside) * made).clip(0, 255), made.clip(0, 255)


def _unseen(
    opacity: np.ndarray,
    surface: np.ndarray,
    levels: np.ndarray,
    lengths: np.ndarray,
    facing: float,
    towards: np.ndarray,
    top: float,
    chin: float,
) -> Float[np.ndarray, "tall wide"]:
    """Opacity, with the far half as it must be: closed behind a face that is seen, open before one that is not."""
    out = opacity.copy()
    far = slice(0, _WIDE // 2)
    down = np.interp(np.linspace(0, _LEVELS - 1, _TALL), np.arange(_LEVELS), levels)[:, None]
    if facing > _FRONT:
        # locks that lie on the chest do not hang down the back as well
        hem = lengths.mean() + 0.02 * fractal_noise(np.random.default_rng(0), (_WIDE // 2, _WIDE // 2), 12, 4)[0]
        out[:, far] = np.clip(0.5 + (hem - down) / 0.004, 0, 1)
    elif facing < _BACK:
        grid = np.meshgrid(np.linspace(0, _LEVELS - 1, _TALL), np.linspace(0, _AROUND / 2, _WIDE // 2), indexing="ij")
        at = np.stack([ndimage.map_coordinates(surface[..., k], grid, order=1) for k in range(2)], -1)
        angle = np.arctan2(at[..., 1], at[..., 0]) - np.arctan2(towards[1], towards[0])
        angle = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
        face = (angle < _FACE) & (down > top + 0.2 * (chin - top))
        out[:, far] = np.where(face, 0.0, out[:, far])
    return out


# Of the shell that ``Hair.about`` gives
FACES, UV = tube_mesh(_LEVELS, _AROUND)
