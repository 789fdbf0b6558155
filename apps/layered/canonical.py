"""The canonical garment surfaces: one upper and one lower, on which every garment has its map (METHOD, section 9).

    upper = canonical("upper")                             # or "lower"
    upper.surface                                          # a bodymap.surface.Template: code, uv, samples, geodesics
    points.code(upper.surface, triangle, barycentric)      # so all of bodymap.surface works on it: colours, decoding,
    colour.decode_scores(upper.surface, scores)            # geodesic distance, mirror images; and so do the losses

A place on a garment is (triangle, barycentric) on ``surface``, as a place on the body is on the template. Three ways
lead there:

* ``from_body(triangle, barycentric)``: from the template point of a pixel of that layer, table look-up, any device;
* ``bind(positions, skin, legged)``: from where garment vertices lie about a resting body of any shape;
* ``piece_points(piece)``: of a garment of the people engine, from where it lies on the default body.

Which triangles a garment may use depends on whether it has legs: trousers, shorts and overalls (``legged=True``) go
around each leg, everything else (tops, skirts, dresses, coats) bridges them along the ``hull``. A skirt's front centre
line thus lies in the middle of the front bridge, apart from both inner thighs.

Made by ``apps.layered.make_canonical``; upper: 5029 vertices, lower: 2832, 1024 samples each.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.errors import UserError
from bodymap.people.film.queries import ClosestPoint
from bodymap.people.mesh import Piece, neighbour_table
from bodymap.people.skirts import Drape
from bodymap.surface import Template, load_template, points
from bodymap.surface.body import incident_triangles

LAYERS = ("upper", "lower")
_FILE = Path(__file__).parent / "canonical.safetensors"
# Cloth settles on the surface: rounds of averaging where an edge is this much longer on the surface than on the cloth.
_ROUNDS, _STRETCHED = 40, 1.3


@dataclass(frozen=True, eq=False)
class Canonical:
    """One canonical surface.

    Attributes:
        name: "upper" or "lower".
        surface: mesh, code, samples and geodesics; metres about the rest template, Z up, front -Y.
        body_triangle: (F,) the template triangle that each triangle lies above; -1 on the bridges.
        hull: (F,) what cloth without legs may lie on: all but the inner sides of the legs.
        corner, share: (V, 4) each vertex as a mixture of (grown) skin vertices.
    """

    name: str
    surface: Template
    body_triangle: Int[Tensor, " face"]
    hull: Bool[Tensor, " face"]
    corner: Int[Tensor, "vertex 4"]
    share: Float[Tensor, "vertex 4"]

    @property
    def bridge(self) -> Bool[Tensor, " face"]:
        """Between the legs: what only cloth without legs lies on."""
        return self.body_triangle < 0

    def on_body(self, skin: Float[np.ndarray, "vertex xyz=3"]) -> Float[Tensor, "vertex xyz=3"]:
        """The surface about the resting skin (13380, 3) of another body, metres."""
        from apps.layered.make_canonical import shell

        t = load_template()
        grown = shell(np.asarray(skin), t.triangles.numpy()[t.triangle_inner.numpy() == 0])
        return (torch.from_numpy(np.float32(grown))[self.corner] * self.share[..., None]).sum(1)

    def from_body(
        self, triangle: Int[Tensor, "*batch"], barycentric: Float[Tensor, "*batch corner=3"]
    ) -> tuple[Int[Tensor, "*batch"], Float[Tensor, "*batch corner=3"]]:
        """The place above a template point; -1 stays -1, with zeros.

        Off the surface (head, hands, feet; for the lower one the chest and arms) the nearest place is given.
        """
        device = triangle.device
        table, near, outside = (x.to(device) for x in self._above)
        inside = triangle.clamp_min(0).long()
        weight = torch.where(outside[inside][..., None], near[inside], barycentric)
        none = triangle < 0
        return table[inside].masked_fill(none, -1), weight.masked_fill(none[..., None], 0.0)

    def bind(
        self,
        positions: Float[np.ndarray, "point xyz=3"],
        skin: Float[np.ndarray, "vertex xyz=3"] | None = None,
        legged: bool = False,
        triangles: Int[np.ndarray, "face 3"] | None = None,
    ) -> points.SurfacePoints:
        """Where points of a garment at rest belong.

        Args:
            positions: metres, about the resting body.
            skin: (13380, 3) that body's skin; None: the template's.
            legged: whether the garment goes around each leg (trousers) or about both (everything else).
            triangles: the garment's; with them neighbours stay neighbours where the closest place jumps (armpits).
        """
        vertices = self.surface.vertices if skin is None else self.on_body(skin)
        allowed = torch.nonzero(~self.bridge if legged else self.hull)[:, 0]
        closest = ClosestPoint(vertices, self.surface.triangles, allowed, torch.device("cpu"))
        start = torch.from_numpy(np.ascontiguousarray(positions, np.float32))
        found = closest(start)
        if triangles is None:
            return found

        # where an edge is stretched its ends are averaged with their neighbours, on the surface, until none is
        edges = np.unique(np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
        length = np.linalg.norm(positions[edges[:, 0]] - positions[edges[:, 1]], axis=1)
        table = neighbour_table(triangles, len(positions))
        place = _at(vertices, self.surface.triangles, found).numpy()
        for _ in range(_ROUNDS):
            now = np.linalg.norm(place[edges[:, 0]] - place[edges[:, 1]], axis=1)
            long = now > _STRETCHED * length + 0.004
            if not long.any():
                break
            moving = np.unique(edges[long])
            moving = np.unique(table[moving])
            place[moving] = place[table[moving]].mean(1)
            again = closest(torch.from_numpy(place[moving]))
            place[moving] = _at(vertices, self.surface.triangles, again).numpy()
        return closest(torch.from_numpy(place))

    def piece_points(self, piece: Piece) -> points.SurfacePoints:
        """The place of each vertex of a garment of the people engine (``Person.pieces``)."""
        return self.bind(piece.rest, legged=self.goes_round_legs(piece), triangles=piece.triangles)

    @staticmethod
    def goes_round_legs(piece: Piece) -> bool:
        """Whether a garment of the people engine is ``legged``: no skirt, and it reaches below the crotch."""
        return not isinstance(piece.drape, Drape) and bool((piece.rest[:, 2] < _crotch()).any())

    def to(self, device: str | torch.device) -> Template:
        """The surface on another device."""
        return self.surface.to(device)

    @functools.cached_property
    def _above(self) -> tuple[Tensor, Tensor, Tensor]:
        """For every template triangle: the canonical triangle, barycentrics if it is off the surface, whether it is."""
        t = load_template()
        table = torch.full((len(t.triangles),), -1)
        mine = torch.nonzero(~self.bridge)[:, 0]
        table[self.body_triangle[mine]] = mine
        outside = table < 0
        weight = torch.zeros(len(table), 3)
        closest = ClosestPoint(self.surface.vertices, self.surface.triangles, mine, torch.device("cpu"))
        table[outside], weight[outside] = closest(t.vertices[t.triangles[outside]].mean(1))
        return table, weight, outside


@functools.lru_cache(maxsize=2)
def canonical(name: str) -> Canonical:
    """The surface of a layer, on the CPU, cached.

    Raises:
        UserError: there is no such layer, or the file beside this module is missing or damaged.
    """
    from safetensors import safe_open

    if name not in LAYERS:
        raise UserError(f"There is no garment layer {name!r}; the layers are {' and '.join(LAYERS)}.")
    try:
        with safe_open(str(_FILE), "pt") as file:
            version = file.metadata()["version"]
            raw = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except Exception as error:
        raise UserError(f"{_FILE} cannot be read ({error}); run python -m apps.layered.make_canonical.") from None
    mine = {k.split(".", 1)[1]: v for k, v in raw.items() if k.startswith(name + ".")}
    value = {k: v.float() if v.is_floating_point() else v.long() for k, v in mine.items()}
    count, faces = len(value["samples"]), len(value["triangles"])
    above = torch.triu_indices(count, count, offset=1)
    table = torch.zeros(count, count)
    table[above[0], above[1]] = value.pop("sample_geodesic_upper")
    inner = torch.zeros(faces, dtype=torch.long)
    own = {k: value.pop(k) for k in ("body_triangle", "hull", "corner", "share")}
    surface = Template(
        **value,
        skin_uv=value["uv"],
        triangle_part=value["vertex_part"][value["triangles"][:, 0]],
        triangle_inner=inner,
        sample_geodesic=table + table.T,
        sample_eigenvectors=torch.zeros(count, 0),
        vertex_triangles=incident_triangles(value["triangles"], inner, len(value["vertices"])),
        code_version=f"{name}-{version}",
        name=f"{name} garment",
    )
    return Canonical(name=name, surface=surface, **{**own, "hull": own["hull"] > 0})


def _at(vertices: Tensor, triangles: Tensor, where: points.SurfacePoints) -> Float[Tensor, "point xyz=3"]:
    return (vertices[triangles[where[0]]] * where[1][..., None]).sum(-2)


@functools.lru_cache(maxsize=1)
def _crotch() -> float:
    """Height below which cloth that is no skirt goes around one leg: 8 cm under where the template's legs part."""
    lower = canonical("lower")
    top = lower.surface.vertices[lower.surface.triangles[lower.bridge]][..., 2].max()
    return float(top) - 0.2
