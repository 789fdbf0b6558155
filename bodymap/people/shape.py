"""Bodies: one of the pack's calibrated shapes, or a blend of two of like sex and age; and the face they make."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from bodymap.people.anatomy import template
from bodymap.people.mesh import corner_normals, corner_sums
from bodymap.people.pack import SKIN_VERTICES, Pack


@dataclass(frozen=True)
class Body:
    """A body in the rest pose.

    Attributes:
        vertices: (19158, 3) base mesh with helpers, metres.
        heads: (163, 3) bone heads.
        coefficients: (K,) of the pack's shape basis.
        female: whether female textures and garments suit.
        age: years.
        face: (A,) strengths of the pack's facial actions, in ``vertices`` already; None: at rest.
    """

    vertices: Float[np.ndarray, "vertex xyz=3"]
    heads: Float[np.ndarray, "bone xyz=3"]
    coefficients: Float[np.ndarray, " component"]
    female: bool
    age: float
    face: Float[np.ndarray, " action"] | None = None

    @functools.cached_property
    def skin_normal(self) -> Float[np.ndarray, "vertex xyz=3"]:
        """Unit normals of the skin's 13380 vertices."""
        return corner_normals(self.vertices[:SKIN_VERTICES], template().triangles.numpy(), _skin_sums())


@functools.lru_cache(maxsize=1)
def _skin_sums() -> csr_array:
    return corner_sums(template().triangles.numpy(), SKIN_VERTICES)


def draw_body(rng: np.random.Generator, pack: Pack, split: str) -> Body:
    """A shape of the split; half of them blended with another of the same sex and about the same age."""
    count = len(pack.shape_coefficients)
    mine = [i for i in range(count) if pack.shape_split[i] == split] or list(range(count))
    i = mine[rng.integers(len(mine))]
    traits = pack.shape_traits[i]
    gender, age = float(traits.get("gender", 0.5)), float(traits.get("age", 30.0))
    coefficients = pack.shape_coefficients[i]
    partner = mine[rng.integers(len(mine))]
    other = pack.shape_traits[partner]
    alike = abs(other.get("gender", 0.5) - gender) < 0.5 and abs(other.get("age", 30.0) - age) < 12
    share = rng.uniform(0, 0.5)
    if alike and rng.random() < 0.8:
        coefficients = (1 - share) * coefficients + share * pack.shape_coefficients[partner]
    return Body(pack.vertices(coefficients), pack.heads(coefficients), coefficients, gender > 0.5, age)


def with_face(body: Body, pack: Pack, weights: Float[np.ndarray, " action"] | None) -> Body:
    """The body with a facial expression (of ``face.draw_face``); brows, lashes and eyes put on later follow it.

    The actions are made for the default head: along each axis they grow and shrink with what they move.
    """
    if weights is None:
        return body
    moved = pack.face.moved
    scale = body.vertices[moved].std(0) / pack.base_vertices[moved].std(0)
    return replace(body, vertices=body.vertices + pack.face.offsets(weights) * scale.astype(np.float32), face=weights)
