"""Pictures with the truth of every layer, visible or covered: body, upper and lower garment (METHOD, section 9).

Two sources, one record:

    wearer = Wearer(sequence, appearance=3, pack=pack)       # simulated cloth: a packed sequence, dressed in colours
    sample = wearer.sample(frame=40, camera=1, scene=2)
    sample = engine_sample(person, pose, camera, scene, pack=pack)   # any person of the people engine, no simulator

    sample.mask                        (H, W) uint8: 0 background, 1 body (with hair and shoes), 2 upper, 3 lower
    sample.upper.triangle, .barycentric      on canonical("upper").surface, along each pixel's ray; -1 where no upper is
    sample.body.triangle, .barycentric       on the template; where clothes or hair hide it, of the bare body

About 0.3 CPU seconds a picture of 320 x 240, half of it the picture itself.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from apps.layered.canonical import LAYERS, Canonical, canonical
from apps.layered.cloth.garments import Garment
from apps.layered.cloth.sequences import ClothSequence
from bodymap.errors import UserError
from bodymap.people.camera import draw_view
from bodymap.people.config import PeopleConfig
from bodymap.people.director import Shot, direct, draw_setting, stage_shot
from bodymap.people.dressing import Dresser
from bodymap.people.fabric import draw_cloth
from bodymap.people.film.queries import ClosestPoint
from bodymap.people.mesh import Piece, cut
from bodymap.people.outfit import skin_piece
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.person import Person, Placed, assemble, get_person
from bodymap.people.prints import place_print
from bodymap.people.shape import Body
from bodymap.people.shoes import put_on_shoes
from bodymap.people.skinning import rotation_vector
from bodymap.people.streams import stream
from bodymap.people.studio import photograph
from bodymap.people.wardrobe import Wardrobe, cloth_coordinates
from bodymap.rendering import rasterize
from bodymap.surface import points
from bodymap.types import LAYER_NAMES, Camera

MASK_NAMES = ("background", "body", "upper", "lower")
_LAYER_OF = {name: LAYER_NAMES.index(name) for name in LAYERS}
_FOLDS = 0.25  # of the engine's painted wrinkles that simulated cloth keeps: it has wrinkles of its own
_FLAT_SHOES = {"made": 0.7, "shell": 0.25, "none": 0.05}
_SHOE = 0.06  # metres above the ankle that shoes reach


@dataclass(frozen=True)
class LayerTruth:
    """One layer along every pixel's ray, whatever hides it.

    Attributes:
        triangle: (H, W) int32, -1 where the layer is not.
        barycentric: (H, W, 3) float32, 0 there.
        visible: (H, W) bool: nothing else is in front of it.
    """

    triangle: Int[np.ndarray, "height width"]
    barycentric: Float[np.ndarray, "height width corner=3"]
    visible: Bool[np.ndarray, "height width"]


@dataclass(frozen=True)
class LayeredSample:
    """One picture and the truth of its layers; numpy, at the picture's size.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, index into MASK_NAMES; who is not the subject is background.
        body: on the template.  upper, lower: on their canonical surfaces.
        camera: that took it.
        about: whom and what it shows (names, split, seeds).
    """

    image: UInt8[np.ndarray, "height width rgb=3"]
    mask: UInt8[np.ndarray, "height width"]
    body: LayerTruth
    upper: LayerTruth
    lower: LayerTruth
    camera: Camera
    about: dict


# ------------------------------------------------------------------------------------------------------- garments
@dataclass(frozen=True)
class _Worn:
    """The garments of one layer in a person's mesh: which faces, where on the canonical surface each vertex belongs."""

    faces: Int[Tensor, "face 3"]
    legged: Bool[Tensor, " face"]
    place: Float[Tensor, "vertex xyz=3"]


def _worn(person: Person, known: dict[int, tuple[Tensor, bool]]) -> dict[str, _Worn]:
    """``known``: piece number -> (canonical positions of its vertices, legged), where they need not be found."""
    result = {}
    place = torch.zeros(len(person.mesh.vertices), 3)
    for name in LAYERS:
        c = canonical(name)
        faces, legged = [], []
        for number, (piece, start) in enumerate(zip(person.pieces, person.starts, strict=True)):
            if piece.layer != _LAYER_OF[name] or not len(piece.triangles):
                continue
            if number in known:
                where, both = known[number]
            else:
                both = c.goes_round_legs(piece)
                where = points.position(c.surface, *c.piece_points(piece))
            place[start : start + len(where)] = where
            faces.append(torch.from_numpy(piece.triangles.astype(np.int64)) + start)
            legged.append(torch.full((len(piece.triangles),), both))
        if faces:
            result[name] = _Worn(torch.cat(faces), torch.cat(legged), place)
    return result


_surfaces: dict[tuple[str, bool], ClosestPoint] = {}


def _closest(c: Canonical, legged: bool) -> ClosestPoint:
    key = (c.name, legged)
    if key not in _surfaces:
        allowed = torch.nonzero(~c.bridge if legged else c.hull)[:, 0]
        _surfaces[key] = ClosestPoint(c.surface.vertices, c.surface.triangles, allowed, torch.device("cpu"))
    return _surfaces[key]


def _layer(name: str, worn: _Worn | None, clip: Tensor, size: tuple[int, int], visible: np.ndarray) -> LayerTruth:
    """The truth of a garment layer; ``clip``: of the person's vertices."""
    triangle = torch.full(size, -1, dtype=torch.int32)
    barycentric = torch.zeros(*size, 3)
    if worn is not None:
        # twice the size, as the picture is; a pixel takes the first of its samples that shows the layer, the diagonal
        # first, as the picture's own labels do
        seen = rasterize(clip, worn.faces, (2 * size[0], 2 * size[1]))[0]
        face, weight = torch.full(size, -1), torch.zeros(*size, 3)
        for row, column in ((0, 0), (1, 1), (0, 1), (1, 0)):
            here = seen.triangle[0, row::2, column::2]
            new = (face < 0) & (here >= 0)
            face = torch.where(new, here, face)
            weight = torch.where(new[..., None], seen.barycentric[0, row::2, column::2], weight)
        inside = face >= 0
        f = face[inside]
        place = (worn.place[worn.faces[f]] * weight[inside][..., None]).sum(1)
        found, corners = torch.zeros(len(f), dtype=torch.long), torch.zeros(len(f), 3)
        for legged in (False, True):
            mine = worn.legged[f] == legged
            if mine.any():
                found[mine], corners[mine] = _closest(canonical(name), legged)(place[mine])
        triangle[inside], barycentric[inside] = found.int(), corners
    return LayerTruth(triangle.numpy(), barycentric.numpy(), visible & (triangle.numpy() >= 0))


def _taken(shot: Shot, worn: dict[str, _Worn], config: PeopleConfig, about: dict) -> LayeredSample:
    taken = photograph([shot], config.supersample)
    e = taken.exposure
    size = shot.take.camera.size
    mine, layer = e.foreground[0].numpy(), e.layer[0].numpy()
    mask = np.where(mine, 1, 0)
    for number, name in enumerate(LAYERS, start=2):
        mask[mine & (layer == _LAYER_OF[name])] = number
    mask = mask.astype(np.uint8)
    if taken.covered is None:
        triangle = torch.full(size, -1, dtype=torch.int32)
        barycentric = torch.zeros(*size, 3)
    else:
        triangle, barycentric = taken.covered[0][0].clone(), taken.covered[1][0].clone()
    # what shows of the body (with hair and shoes, which are bound to it) is what the picture says
    shown = torch.from_numpy(mask == 1)
    triangle[shown], barycentric[shown] = e.triangle[0][shown], e.barycentric[0][shown]
    body = LayerTruth(triangle.numpy(), barycentric.numpy(), mask == 1)
    subject = [k for k, actor in enumerate(shot.take.actors) if actor.instance == 1]
    clip = torch.zeros(0, 4)
    if subject:  # the actors come in the take's order
        rows = slice(int(e.geometry.vertex_starts[subject[0]]), int(e.geometry.vertex_starts[subject[0] + 1]))
        clip = e.geometry.clip[rows]
    else:
        worn = {}
    garments = {
        name: _layer(name, worn.get(name), clip, size, mask == number) for number, name in enumerate(LAYERS, start=2)
    }
    return LayeredSample(
        image=taken.image[0].numpy(), mask=mask, body=body, camera=shot.take.camera, about=about, **garments
    )


# -------------------------------------------------------------------------------------------------------- sources
_engine_worn: dict[int, tuple[Person, dict[str, _Worn]]] = {}


def engine_sample(
    person: int,
    pose: int,
    camera: int,
    scene: int,
    *,
    pack: Pack,
    config: PeopleConfig | None = None,
    split: str = "train",
) -> LayeredSample:
    """A picture of the people engine (``bodymap.people.sample`` of the same seeds) with the truth of its layers."""
    config = replace(config or PeopleConfig(), covered=True)
    shot = direct(person, pose, camera, scene, pack, config, split)
    subject = get_person(person, pack, config, split)
    if id(subject) not in _engine_worn:
        _engine_worn[id(subject)] = (subject, _worn(subject, {}))  # holding the person keeps its id unique
        for old in list(_engine_worn)[:-40]:
            del _engine_worn[old]
    about = {"source": "engine", "split": split, "seeds": (person, pose, camera, scene)}
    return _taken(shot, _engine_worn[id(subject)][1], config, about)


class Wearer:
    """The person of a cloth sequence with skin, hair, shoes and coloured clothes of an appearance's seed.

    Args:
        pack: where looks come from; None: the small pack.
        split: of looks and surroundings; None: the sequence's.

    Raises:
        UserError: the sequence was simulated with another pack of bodies than the one that ships.
    """

    def __init__(
        self,
        sequence: ClothSequence,
        appearance: int,
        pack: Pack | None = None,
        config: PeopleConfig | None = None,
        split: str | None = None,
    ):
        self.sequence, self.appearance = sequence, appearance
        self.pack = pack or _shipped()
        self.split = split or sequence.split
        self.config = replace(config or PeopleConfig(), covered=True)
        body = _whole_body(sequence.body)
        # the simulated body stands on bare soles; what reaches up the leg would come through its trousers
        outfit = replace(self.config.outfit, footwear=_FLAT_SHOES)
        dresser = Dresser(appearance, self.pack, body, outfit, self.split)
        wardrobe = dresser.wardrobe
        put_on_shoes(stream(appearance, "shoes", self.split), dresser)
        low = wardrobe.anatomy.heads["foot.L"][2] + _SHOE
        shoes = [cut(piece, piece.rest[:, 2] - low) for piece in dresser.pieces]
        dresser.pieces = []
        dresser.head(stream(appearance, "head", self.split))
        shoes = [piece for piece in shoes if len(piece.triangles)]
        hidden = dresser.hidden & (wardrobe.anatomy.rest[:SKIN_VERTICES, 2] < low - 0.03)
        pieces = [
            skin_piece(appearance, self.pack, body, hidden, self.split, self.config.outfit.skin_tone),
            *shoes,
            *dresser.pieces,
        ]
        self._first = len(pieces)
        known = {}
        for garment in sequence.garments:
            place = points.position(
                canonical(garment.layer).surface,
                torch.from_numpy(garment.place),
                torch.from_numpy(garment.corner),
            )
            known[len(pieces)] = (place, garment.legged)
            pieces.append(self._piece(garment, place.numpy(), wardrobe))
        self.person = assemble(appearance, body, tuple(pieces))
        self.worn = _worn(self.person, known)

    def _piece(self, garment: Garment, place: np.ndarray, wardrobe: Wardrobe) -> Piece:
        a = wardrobe.anatomy
        cloth = draw_cloth(stream(self.appearance, garment.layer, self.split), self.config.outfit, self.split)
        cloth = replace(cloth, folds=cloth.folds * _FOLDS, relief=0.0)
        nearest = wardrobe.nearest(place)
        count = len(place)
        piece = Piece(
            name=garment.name,
            layer=_LAYER_OF[garment.layer],
            vertices=garment.vertices,
            triangles=garment.triangles,
            uv=garment.uv,
            uv_triangles=garment.uv_triangles,
            skin_index=np.zeros((count, 6), np.int64),
            skin_weight=np.tile(np.float32([1, 0, 0, 0, 0, 0]), (count, 1)),
            truth=place,
            rest=place,
            cloth=cloth_coordinates(a, place, a.arm[nearest], a.share[nearest]),
            material=cloth,
        )
        return place_print(piece, a)

    def place(self, frame: int, turn: float = 0.0) -> Placed:
        """The person in a frame, standing on z = 0, turned by radians about Z."""
        posed = self.sequence.posed(frame, self.pack)
        starts = self.person.starts[self._first :]
        draped = tuple(zip(starts, self.sequence.cloth(frame), strict=True))
        probe = self.person.skinned(self.person.probe, posed)
        for start, vertices in draped:
            inside = (self.person.probe >= start) & (self.person.probe < start + len(vertices))
            probe[inside] = vertices[self.person.probe[inside] - start]
        up = np.array([0, 0, -probe[:, 2].min()], np.float32)
        return Placed(posed, draped, probe).moved(np.eye(3), up).moved(rotation_vector(np.array([0, 0, turn])), 0 * up)

    def sample(self, frame: int, camera: int, scene: int) -> LayeredSample:
        """A picture of a frame; the seeds are those of ``bodymap.people.sample``."""
        if not 0 <= frame < len(self.sequence):
            raise UserError(f"The sequence has {len(self.sequence)} frames; there is no frame {frame}.")
        config, split, sequence = self.config, self.split, self.sequence
        turn = float(stream(scene, "heading", split).uniform(-np.pi, np.pi))
        placed = self.place(frame, turn)
        draw = stream(camera, "camera", split)
        view = draw_view(draw, placed.probe, self.pack.bones, placed.posed, config.size, config.camera)
        setting = replace(draw_setting(scene, self.pack, config, split, view.camera, placed), nobody=False)
        seeds = (self.appearance, frame, camera, scene)
        shot = stage_shot(self.person, sequence.local[frame], placed, view, setting, config, seeds)
        about = {
            "source": "cloth",
            "title": sequence.title,
            "motion": sequence.motion,
            "garments": tuple(g.name for g in sequence.garments),
            "person": sequence.person,
            "split": split,
            "seeds": seeds,
        }
        return _taken(shot, self.worn, config, about)


def _whole_body(body: Body) -> Body:
    """With the helper vertices that hair and shoes are fitted by."""
    pack = _shipped()
    if len(body.coefficients) == len(pack.shape_basis):
        vertices = pack.vertices(body.coefficients)
        if np.abs(vertices[:SKIN_VERTICES] - body.vertices[:SKIN_VERTICES]).max() < 1e-3:
            return replace(body, vertices=vertices)
    raise UserError("The sequence's body is not of the pack that ships; simulate it without --pack.")


@functools.lru_cache(maxsize=1)
def _shipped() -> Pack:
    return Pack.load()
