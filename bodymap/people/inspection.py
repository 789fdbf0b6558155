"""What can be wrong with synthetic people, measured; ``inspect`` is the command.

Skin that comes through cloth, cloth that explodes or sinks into the body, hair that floats, truth that jumps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from bodymap.people.anatomy import template
from bodymap.people.mesh import Piece, components, corner_normals
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.person import Person
from bodymap.people.rays import crossings
from bodymap.rendering import rasterize
from bodymap.rendering.camera import camera_from_world, clip_from_world, depth_from_clip
from bodymap.surface import geodesic, points
from bodymap.types import LAYER_NAMES, PART_NAMES, Sample

SKIN, HAIR, CARRIED = (LAYER_NAMES.index(name) for name in ("skin", "hair", "carried"))
_FEET = tuple(PART_NAMES.index(f"{side}_foot") for side in ("left", "right"))
GARMENTS = tuple(LAYER_NAMES.index(name) for name in ("upper", "lower", "shoes"))

# Metres, unless said otherwise.
_BELOW, _ABOVE = 0.01, 0.08  # skin is covered by cloth from this far beneath it to this far above
_HEM = 0.015  # nearer to a hem, skin may show
_BOUND = 0.15  # cloth over one limb does not cover another
_HOLLOW = 0.03  # cloth this far behind the skin it should hide does not replace it
_STRETCH, _STRETCHED, _EXPLODED = 3.0, 0.03, 0.25  # times its length at rest and at least so long; in any case too long
_DEEP = 0.01  # cloth this far inside the body
_ELSEWHERE = 0.25  # along the surface: inside another limb, the pose's fault and not the garment's
_FLOATING = 0.03  # between a strand and the skin, or another strand
_JUMP = 0.10  # along the surface, from pixel to pixel


# name -> what it is the share of, and what of it is wrong
MEASURES: dict[str, str] = {
    "skin": "foreground pixels: bare skin that lies under cloth at rest",
    "cloth": "foreground pixels: cloth that lies under cloth of another stuff at rest",
    "hollow": "the naked body's pixels, without feet: skin left out that is over 3 cm in front of what is seen",
    "stretched": "edges of garments and hair: over 3 times as long as at rest, or over 25 cm",
    "inside": "garment vertices: more than 1 cm inside the body under them",
    "crossed": "garment vertices: more than 1 cm inside another part of the body (the pose's fault)",
    "floating": "hair vertices: in strands that touch neither skin nor other strands",
    "jumps": "neighbouring pixels of one garment: more than 10 cm apart on the body",
    "hems": "neighbouring pixels across a hem: more than 10 cm apart on the body",
}


@dataclass(frozen=True)
class Findings:
    """What is wrong with one picture.

    Attributes:
        seed: of all four things.
        share: measure -> share in [0, 1]; NaN where there is nothing that could be wrong (no hair, nobody).
        blame: measure -> piece -> how many pixels, edges or vertices of it are wrong.
        longest: the longest stretched edge, metres; 0 without one.
        pixels: foreground pixels.
    """

    seed: int
    share: dict[str, float]
    blame: dict[str, dict[str, int]] = field(default_factory=dict)
    longest: float = 0.0
    pixels: int = 0


# ---------------------------------------------------------------------------------------------------- one body, dressed
def covered_by(
    vertices: Float[np.ndarray, "vertex xyz=3"],
    normals: Float[np.ndarray, "vertex xyz=3"],
    truth: Float[np.ndarray, "vertex xyz=3"],
    garments: list[Piece],
) -> Int[np.ndarray, " vertex"]:
    """Which garment lies over each vertex in the rest pose, well away from its hems: its index, -1 for none.

    Args:
        vertices, normals: of the skin, or of a garment further in, on this body, metres.
        truth: where the same vertices lie on the template, or are bound to.
    """
    out = np.full(len(vertices), -1)
    for k, piece in enumerate(garments):
        start, end = vertices - _BELOW * normals, vertices + _ABOVE * normals
        hit = crossings(start, end, piece.vertices, piece.triangles)
        corner = piece.triangles[hit.face]
        place = (piece.vertices[corner] * hit.barycentric[..., None]).sum(1)
        bound = (piece.truth[corner] * hit.barycentric[..., None]).sum(1)
        good = np.linalg.norm(bound - truth[hit.line], axis=1) < _BOUND
        good &= distance_to_hem(piece, place) > _HEM
        out[hit.line[good]] = k
    return out


def distance_to_hem(piece: Piece, places: Float[np.ndarray, "point xyz=3"]) -> Float[np.ndarray, " point"]:
    """Metres from each place to the nearest open edge of a piece (infinite where it has none), to a few millimetres."""
    from scipy.spatial import cKDTree

    edges = np.sort(piece.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    a, b = (piece.vertices[edges[count == 1, k]] for k in range(2))
    if not len(a) or not len(places):
        return np.full(len(places), np.inf)
    t = np.linspace(0, 1, 5)[:, None, None]
    return cKDTree((a * (1 - t) + b * t).reshape(-1, 3)).query(places)[0]


def stretched_edges(
    piece: Piece, posed: Float[np.ndarray, "vertex xyz=3"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(edges (E, 2), their posed lengths (E,) in metres, whether each is stretched too far (E,))."""
    edges = np.unique(np.sort(piece.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    before, after = (np.linalg.norm(v[edges[:, 0]] - v[edges[:, 1]], axis=1) for v in (piece.vertices, posed))
    wrong = (after > _STRETCH * before) & (after > _STRETCHED)
    # a large stiff thing has long edges of its own
    return edges, after, wrong | ((after > _EXPLODED) & (after > 1.2 * before))


def depth_inside(
    places: Float[np.ndarray, "point xyz=3"], skin: Float[np.ndarray, "vertex xyz=3"]
) -> tuple[Float[np.ndarray, " point"], points.SurfacePoints]:
    """Metres from each place to the posed skin, negative inside, and the closest point of it."""
    t = template()
    skin = np.ascontiguousarray(skin, np.float32)
    triangle, barycentric = points.closest(
        t, torch.from_numpy(np.ascontiguousarray(places, np.float32)), torch.from_numpy(skin)
    )
    corner = t.triangles.numpy()[triangle.numpy()]
    weight = barycentric.numpy()[..., None]
    normal = (corner_normals(skin, t.triangles.numpy())[corner] * weight).sum(1)
    away = places - (skin[corner] * weight).sum(1)
    return np.linalg.norm(away, axis=1) * np.sign((away * normal).sum(1)), (triangle, barycentric)


def floating(
    strands: Float[np.ndarray, "vertex xyz=3"],
    triangles: Int[np.ndarray, "face 3"],
    skin: Float[np.ndarray, "vertex xyz=3"],
) -> Bool[np.ndarray, " vertex"]:
    """Vertices of strands (parts of the mesh that hang together) that neither touch the skin nor a strand that does."""
    from scipy.spatial import cKDTree

    # vertices at the same place belong together, whatever the index buffer says
    _, welded = np.unique((strands / 1e-4).round().astype(np.int64), axis=0, return_inverse=True)
    label = components(welded.reshape(-1)[triangles], int(welded.max(initial=0)) + 1)[welded.reshape(-1)]
    used = np.zeros(len(strands), bool)
    used[triangles] = True
    loose = used & ~np.isin(label, label[cKDTree(skin).query(strands)[0] < _FLOATING])
    while loose.any() and (used & ~loose).any():
        near = cKDTree(strands[used & ~loose]).query(strands)[0] < _FLOATING
        attached = loose & np.isin(label, label[near & loose])
        if not attached.any():
            break
        loose &= ~attached
    return loose


# ---------------------------------------------------------------------------------------------------------- one picture
class Inspector:
    """Inspects pictures of one person after another; keeps what it finds out about each outfit at rest."""

    def __init__(self, person: Person):
        self.person = person
        t = template()
        pieces = person.pieces
        self.garments = [k for k, piece in enumerate(pieces) if piece.layer in GARMENTS and len(piece.triangles)]
        # which piece covers each vertex of the skin and of garments; what was put on later lies outside
        self.over = np.full(sum(len(piece.vertices) for piece in pieces), -1)
        for k in (0, *self.garments):
            outside = [g for g in self.garments if g > k and not _same_stuff(pieces[k], pieces[g])]
            triangles = t.triangles.numpy() if k == 0 else pieces[k].triangles
            normals = corner_normals(pieces[k].vertices, triangles)
            over = covered_by(pieces[k].vertices, normals, pieces[k].truth, [pieces[g] for g in outside])
            self.over[person.starts[k] :][: len(over)] = np.where(over >= 0, np.array([*outside, -1])[over], -1)

    def inspect(
        self, made: Sample, posed: Float[np.ndarray, "vertex xyz=3"]
    ) -> tuple[Findings, dict[str, Bool[np.ndarray, "height width"]]]:
        """The findings, and per measure the pixels that show them.

        Args:
            posed: all vertices of the person as in the picture, as ``Person.pose`` gives them.
        """
        person = self.person
        share, blame, marks = {}, {}, {}
        names = [piece.name for piece in person.pieces]
        vertex_piece = np.repeat(np.arange(len(names)), [len(piece.vertices) for piece in person.pieces])
        shows = _Subject(person, posed, made)

        def conclude(name: str, wrong: np.ndarray, piece: np.ndarray, of: int) -> None:
            share[name] = float(wrong.sum() / of) if of else float("nan")
            count = np.bincount(piece[wrong & (piece >= 0)], minlength=len(names))
            blame[name] = {names[k]: int(count[k]) for k in np.flatnonzero(count)}

        # skin through cloth
        bare = made.foreground & (made.layer == SKIN)
        corner = template().triangles.numpy()[made.triangle[bare]]
        over = self.over[corner]
        wrong = (over >= 0).all(1)
        conclude("skin", wrong, over[:, 0], int(made.foreground.sum()))
        marks["skin"] = np.zeros(made.foreground.shape, bool)
        marks["skin"][bare] = wrong

        # cloth through cloth
        over = self.over[shows.triangles[shows.face]]
        wrong = shows.valid & np.isin(shows.layer, GARMENTS) & (over >= 0).all(-1)
        conclude("cloth", wrong, shows.piece, int(made.foreground.sum()))
        marks["cloth"] = wrong

        # skin that is not drawn, where one sees that it is not
        vertex, wrong = shows.hollow(posed[:SKIN_VERTICES])
        conclude("hollow", wrong, self.over[vertex], int((vertex >= 0).sum()))
        marks["hollow"] = wrong

        # stretched cloth and hair
        longest, edges, wrong = 0.0, [], []
        for piece, start in zip(person.pieces[1:], person.starts[1:], strict=True):
            e, length, w = stretched_edges(piece, posed[start : start + len(piece.vertices)])
            longest = max(longest, float(length[w].max(initial=0)))
            edges.append(e + start)
            wrong.append(w)
        edges, wrong = np.concatenate(edges or [np.zeros((0, 2), int)]), np.concatenate(wrong or [np.zeros(0, bool)])
        conclude("stretched", wrong, vertex_piece[edges[:, 0]], len(edges))
        marks["stretched"] = shows.faces_with(edges[wrong].reshape(-1))

        # cloth in the body
        worn = np.flatnonzero(np.isin(vertex_piece, self.garments) & shows.drawn)
        signed, place = depth_inside(posed[worn], posed[:SKIN_VERTICES])
        deep = signed < -_DEEP
        far = np.zeros(len(worn), bool)
        if deep.any():
            t = template()
            at = torch.from_numpy(deep)
            own = points.closest(t, person.mesh.truth[torch.from_numpy(worn[deep])])
            far[deep] = geodesic.distance(t, *own, place[0][at], place[1][at]).numpy() > _ELSEWHERE
        for name, wrong in (("inside", deep & ~far), ("crossed", deep & far)):
            conclude(name, wrong, vertex_piece[worn], len(worn))
            marks[name] = shows.faces_with(worn[wrong])

        # hair
        hair = np.isin(vertex_piece, [k for k, piece in enumerate(person.pieces) if piece.layer == HAIR])
        triangles = shows.triangles[hair[shows.triangles[:, 0]]]
        loose = floating(posed, triangles, posed[:SKIN_VERTICES][shows.drawn[:SKIN_VERTICES]])
        conclude("floating", loose, vertex_piece, len(np.unique(triangles)))
        marks["floating"] = shows.faces_with(np.flatnonzero(loose))

        # truth
        for name, across in (("jumps", False), ("hems", True)):
            pixel, wrong, count = shows.jumps(across)
            conclude(name, wrong, shows.piece.reshape(-1)[pixel], count)
            marks[name] = np.zeros(made.foreground.shape, bool)
            marks[name].reshape(-1)[pixel[wrong]] = True
        return Findings(made.seeds[0], share, blame, longest, int(made.foreground.sum())), marks


def _same_stuff(a: Piece, b: Piece) -> bool:
    """Pieces of one garment, such as a coat and its skirt: where one comes through the other nobody sees it."""
    return a.material.pattern is b.material.pattern and np.array_equal(a.material.colour, b.material.colour)


class _Subject:
    """The subject alone, seen through the centres of the pixels."""

    def __init__(self, person: Person, posed: np.ndarray, made: Sample):
        self.made, camera = made, made.camera
        self.triangles = person.mesh.triangles.numpy().astype(np.int64)
        self.drawn = np.zeros(len(posed), bool)
        self.drawn[self.triangles] = True
        vertices = torch.from_numpy(np.ascontiguousarray(posed, np.float32))
        triangles = torch.from_numpy(self.triangles)
        seen = rasterize(clip_from_world(vertices, camera)[None], triangles, camera.size)[0]
        self.face = seen.triangle[0].numpy()
        piece = person.mesh.piece.numpy()[self.face]
        layer = np.array([piece.layer for piece in person.pieces])
        # where alpha cuts hair away, or something else is in front, the picture shows something else
        self.valid = made.foreground & (self.face >= 0) & (layer[piece] == made.layer)
        self.piece, self.layer = np.where(self.valid, piece, -1), np.where(self.valid, layer[piece], 0)
        corner, weight = triangles[seen.triangle[0].clamp_min(0)], seen.barycentric[0][..., None]
        self.place = (camera_from_world(camera, vertices)[corner] * weight).sum(-2).numpy()
        rest = torch.from_numpy(np.concatenate([piece.vertices for piece in person.pieces]))
        self.rest = (rest[corner] * weight).sum(-2).numpy()
        self.width = self.place[..., 2] / camera.intrinsics[0, 0]  # of a pixel, metres

    def faces_with(self, vertices: Int[np.ndarray, " n"]) -> Bool[np.ndarray, "height width"]:
        """The pixels that show a face with one of these vertices."""
        marked = np.zeros(len(self.drawn), bool)
        marked[vertices] = True
        return self.valid & marked[self.triangles[self.face]].any(-1)

    def hollow(
        self, skin: Float[np.ndarray, "vertex xyz=3"]
    ) -> tuple[Int[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
        """A vertex of the whole naked body at every pixel (-1 beside it and at the feet), and where it is well in front
        of everything that is drawn."""
        t = template()
        triangles = t.triangles[t.triangle_inner == 0]
        clip = clip_from_world(torch.from_numpy(np.ascontiguousarray(skin, np.float32)), self.made.camera)
        body = rasterize(clip[None], triangles, self.made.camera.size)[0]
        face = body.triangle[0].numpy()
        depth = np.where(self.face >= 0, self.place[..., 2], np.inf)
        vertex = triangles.numpy()[face, 0]
        # shoes press feet into a shape of their own
        body_seen = (face >= 0) & ~np.isin(t.vertex_part.numpy()[vertex], _FEET)
        wrong = body_seen & (depth - depth_from_clip(body.depth[0]).numpy() > _HOLLOW)
        return np.where(body_seen, vertex, -1), wrong

    def jumps(self, across: bool) -> tuple[Int[np.ndarray, " pair"], Bool[np.ndarray, " pair"], int]:
        """(first pixel of each pair that touches in space, whether it jumps, number of pairs): pairs within one
        garment, or ``across`` two pieces that are not hair or carried."""
        flat = np.arange(self.piece.size).reshape(self.piece.shape)
        first = np.concatenate([flat[:, :-1].ravel(), flat[:-1].ravel()])
        second = np.concatenate([flat[:, 1:].ravel(), flat[1:].ravel()])
        piece, layer = self.piece.ravel(), self.layer.ravel()
        keep = (piece[first] >= 0) & (piece[second] >= 0)
        if across:
            worn = np.isin(layer, (*GARMENTS, SKIN))
            keep &= (piece[first] != piece[second]) & worn[first] & worn[second]
        else:
            keep &= (piece[first] == piece[second]) & np.isin(layer[first], GARMENTS)
        first, second = first[keep], second[keep]
        # a limb before another limb is no jump of the truth: what belongs together touches in the picture and at rest
        touching = np.ones(len(first), bool)
        for place in (self.place.reshape(-1, 3), self.rest.reshape(-1, 3)):
            touching &= np.linalg.norm(place[first] - place[second], axis=1) < 0.02 + 2 * self.width.ravel()[first]
        first, second = first[touching], second[touching]
        triangle = torch.from_numpy(self.made.triangle.reshape(-1).astype(np.int64))
        barycentric = torch.from_numpy(self.made.barycentric.reshape(-1, 3))
        apart = geodesic.distance(
            template(), triangle[first], barycentric[first], triangle[second], barycentric[second]
        )
        return first, apart.numpy() > _JUMP, len(first)
