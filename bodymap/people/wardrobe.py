"""The pack's garments made ready: each one bound to the template once, on the default body, and fitted from there.

A garment's vertices hang on fixed base vertices, so the surface point under each of them hardly depends on the shape:
binding on the default body serves every person.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from bodymap.people.anatomy import Anatomy, measure, template
from bodymap.people.binding import closest_within, surface_grid
from bodymap.people.material import Material
from bodymap.people.mesh import Piece, neighbour_table
from bodymap.people.pack import SKIN_VERTICES, Garment, Pack, fit
from bodymap.people.shape import Body

# What a kind may be bound to: long hair would else map to the shoulders, shoes to the other foot's side.
_BOUND_TO = {
    "hair": ("head", "neck"),
    "hat": ("head",),
    "eyes": ("head",),
    "eyebrows": ("head",),
    "eyelashes": ("head",),
    "shoes": ("foot", "leg"),
}
_ANSWERS = 64  # of ``nearest``: a tenth of a MB each


@dataclass(frozen=True)
class Bound:
    """A set of places (garment vertices) on the default body.

    Attributes:
        rest: (n, 3) where they lie there.  truth: (n, 3) the template point each is bound to.
        arm, leg: (n,) limb coordinates, metres.  share: (n, 7) group weights, as in Anatomy.
        cloth: (n, 2) metres across and along the cloth.
    """

    rest: Float[np.ndarray, "n xyz=3"]
    truth: Float[np.ndarray, "n xyz=3"]
    arm: Float[np.ndarray, " n"]
    leg: Float[np.ndarray, " n"]
    share: Float[np.ndarray, "n group"]
    cloth: Float[np.ndarray, "n uv=2"]


class Wardrobe:
    """Cached per pack: anatomy, binding grids, bound garments."""

    def __init__(self, pack: Pack):
        self.pack = pack
        self.anatomy: Anatomy = measure(pack)
        self.kept: dict = {}  # whatever a garment maker computes once per pack
        self._bound: dict[str, Bound] = {}
        self._nearest: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @staticmethod
    def of(pack: Pack) -> Wardrobe:
        """The pack's wardrobe; the last few packs' are kept."""
        for wardrobe in _wardrobes:
            if wardrobe.pack is pack:
                return wardrobe
        _wardrobes.append(Wardrobe(pack))
        del _wardrobes[:-3]
        return _wardrobes[-1]

    def bind(self, rest: Float[np.ndarray, "n xyz=3"], groups: tuple[str, ...] = ()) -> Float[np.ndarray, "n xyz=3"]:
        """The template point closest to each place on the default body, on these groups (none: anywhere)."""
        from bodymap.surface import points

        allowed = self.anatomy.is_group(*groups)[:SKIN_VERTICES] if groups else None
        found = closest_within(template(), torch.from_numpy(np.ascontiguousarray(rest, np.float32)), allowed)
        return points.position(template(), *found).numpy()

    @functools.cached_property
    def skin_neighbours(self) -> np.ndarray:
        """(8, 13380) neighbours of each skin vertex, each one's first, then each one's second, ..."""
        return np.ascontiguousarray(neighbour_table(template().triangles.numpy(), SKIN_VERTICES).T)

    def nearest(self, truth: Float[np.ndarray, "n xyz=3"]) -> np.ndarray:
        """The template vertex nearest to each bound point, to about a centimetre. The last answers are kept: each layer
        of clothes asks again about all those beneath it."""
        asked, found = self._nearest.pop(id(truth), (None, None))
        if asked is not truth:
            found = surface_grid().vertex(torch.from_numpy(np.ascontiguousarray(truth, np.float32))).numpy()
        self._nearest[id(truth)] = truth, found  # holding the array keeps its id unique
        if len(self._nearest) > _ANSWERS:
            del self._nearest[next(iter(self._nearest))]
        return found

    def bound(self, garment: Garment) -> Bound:
        """The garment's places on the default body."""
        if garment.name not in self._bound:
            a = self.anatomy
            rest = fit(garment, self.pack.base_vertices)
            truth = self.bind(rest, _BOUND_TO.get(garment.kind, ()))
            weights = np.clip(garment.weights, 0, None)
            weights = weights / np.maximum(weights.sum(1, keepdims=True), 1e-6)

            def mean(values: np.ndarray) -> np.ndarray:
                return np.einsum("nj,nj...->n...", weights, values[garment.refs]).astype(np.float32)

            arm, leg, share = mean(a.arm), mean(a.leg), mean(a.share)
            self._bound[garment.name] = Bound(rest, truth, arm, leg, share, cloth_coordinates(a, rest, arm, share))
        return self._bound[garment.name]

    def wear(self, garment: Garment, body: Body, material: Material) -> Piece:
        """The garment on a body, in the rest pose."""
        bound = self.bound(garment)
        index, weight = self.pack.garment_skin(garment)
        return Piece(
            name=garment.name,
            layer=garment.layer,
            vertices=fit(garment, body.vertices).astype(np.float32),
            triangles=garment.triangles.astype(np.int64),
            uv=garment.uv,
            uv_triangles=garment.uv_triangles.astype(np.int64),
            skin_index=index,
            skin_weight=weight,
            truth=bound.truth,
            rest=bound.rest.astype(np.float32),
            cloth=bound.cloth,
            material=material,
        )


_wardrobes: list[Wardrobe] = []


def cloth_coordinates(a: Anatomy, rest: np.ndarray, arm: np.ndarray, share: np.ndarray) -> Float[np.ndarray, "n uv=2"]:
    """Metres across and along the cloth: down the trunk and the legs, along the sleeves."""
    along_trunk = np.stack([rest[:, 0] + 0.6 * rest[:, 1], -rest[:, 2]], 1)
    shoulder, elbow = a.heads["upperarm01.L"], a.heads["lowerarm01.L"]
    axis = (elbow - shoulder) / np.linalg.norm(elbow - shoulder)
    across = np.cross(axis, [0, 1.0, 0])
    local = np.stack([np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]], 1) - shoulder
    along_arm = np.stack([local @ across + 0.6 * rest[:, 1], arm], 1)
    on_arm = share[:, [a.names.index("arm"), a.names.index("hand")]].sum(1) > 0.5
    return np.where(on_arm[:, None], along_arm, along_trunk).astype(np.float32)
