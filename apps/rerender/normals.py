"""How a surface stands to the light: its normals when it was photographed, and in the picture that is made of it.

A texture has its photo's light in it. Where the surface has turned since, the renderer can tell from both normals, and
from the colours of the whole texture over its normals, how light and shade have moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bodymap.errors import UserError
from bodymap.fitting import fit_body
from bodymap.people.mesh import corner_normals
from bodymap.surface import Template, points
from bodymap.types import Correspondence
from bodymap.warping.atlas import get_atlas

CHANNELS = 7  # of ``Normals.at_pixels``


@dataclass(frozen=True)
class Normals:
    """Unit normals of the template's vertices, posed; in one system of axes, in which the light stays where it is.

    Attributes:
        before: when it was photographed; in the axes of the photo's camera (x right, y down, z away).
        after: as it is shown; in the same axes.
        facing: cosine between that and the direction to the camera that shows it.
    """

    before: Float[Tensor, "vertex xyz=3"]
    after: Float[Tensor, "vertex xyz=3"]
    facing: Float[Tensor, "vertex 1"]

    @classmethod
    def between(cls, template: Template, photographed: np.ndarray, shown: np.ndarray) -> Normals:
        """Of the same camera's: vertices (13380, 3) in its space, when photographed and as they are shown."""
        before, after = (vertex_normals(template, vertices) for vertices in (photographed, shown))
        return cls(before, after, -after[:, 2:])

    @classmethod
    def behind(
        cls, template: Template, photographed: Float[np.ndarray, "vertex=13380 xyz=3"] | None, shown: Correspondence
    ) -> Normals | None:
        """Of a body (``body_of``) and of the one behind another map; None where one of them is not known."""
        other = None if photographed is None else body_of(shown)
        return None if other is None else cls.between(template, photographed, other)

    def at_pixels(self, template: Template, shown: Correspondence) -> Float[Tensor, "c=7 height width"]:
        """``before``, ``after`` and ``facing`` where a map has its points; 0 off its mask."""
        template, mask = template.to("cpu"), torch.from_numpy(shown.mask)
        where = torch.from_numpy(shown.triangle[shown.mask]).long(), torch.from_numpy(shown.barycentric[shown.mask])
        values = torch.zeros(*shown.size, CHANNELS)
        values[mask] = points.of_vertices(template, torch.cat([self.before, self.after, self.facing], 1), *where)
        return values.permute(2, 0, 1)

    def at_texels(self, template: Template, size: int) -> Float[Tensor, "xyz=3 texel texel"]:
        """``before`` over the atlas; 0 outside of its islands."""
        template = template.to("cpu")
        atlas = get_atlas(template, size)
        values = points.of_vertices(template, self.before, atlas.triangle.clamp_min(0), atlas.barycentric)
        return (values * atlas.covered[..., None]).permute(2, 0, 1)


def vertex_normals(
    template: Template, vertices: Float[np.ndarray, "vertex=13380 xyz=3"]
) -> Float[Tensor, "vertex xyz=3"]:
    """Outwards, unit, of the posed skin."""
    outer = template.triangles[template.triangle_inner == 0].cpu().numpy()
    return torch.from_numpy(corner_normals(np.asarray(vertices, np.float32), outer))


def body_of(correspondence: Correspondence) -> Float[np.ndarray, "vertex=13380 xyz=3"] | None:
    """The fitted body's vertices in its camera's space; None where none fits."""
    try:
        return fit_body(correspondence).vertices
    except UserError:
        return None
