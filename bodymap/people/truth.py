"""The truth of a rendered picture: for every pixel of the subject, the template point, part, layer and normal."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from bodymap.people.anatomy import template
from bodymap.people.binding import surface_grid
from bodymap.people.shade import Rendered
from bodymap.people.stage import Stage
from bodymap.surface import points
from bodymap.types import Camera


def read_truth(stage: Stage, rendered: Rendered, camera: Camera, factor: int) -> dict[str, np.ndarray]:
    """The truth fields of ``types.Sample`` at the picture's size.

    A pixel is foreground when at least half of its samples see the subject; its truth is that of the first of them.
    """
    height, width = camera.size
    instance = torch.zeros(rendered.size[0] * rendered.size[1], dtype=torch.int64)
    slot = torch.full_like(instance, -1)
    instance[rendered.seen] = stage.instance[rendered.triangle]
    slot[rendered.seen] = torch.arange(len(rendered.seen))
    blocks = _blocks(instance, camera.size, factor)
    mine = (blocks == 1).sum(1) * 2 >= factor * factor
    pixel = torch.nonzero(mine)[:, 0]
    first = (blocks[pixel] == 1).to(torch.int8).argmax(1)
    chosen = _blocks(slot, camera.size, factor)[pixel, first]
    others = blocks.max(1).values
    others = torch.where((blocks > 1).sum(1) * 2 >= factor * factor, others, torch.zeros_like(others))

    triangle, barycentric = surface_points(stage, rendered.triangle[chosen], rendered.barycentric[chosen])
    t = template()
    part = points.part(t, triangle, barycentric)
    layer = torch.tensor(stage.layers)[stage.piece[rendered.triangle[chosen]]]
    normal = rendered.normal[chosen] @ torch.from_numpy(camera.T_camera_world[:3, :3]).T

    def picture(values: Tensor, fill: float, kind: type) -> np.ndarray:
        out = np.full((height * width, *values.shape[1:]), fill, kind)
        out[pixel.numpy()] = values.numpy().astype(kind)
        return out.reshape(height, width, *values.shape[1:])

    return {
        "foreground": mine.view(height, width).numpy(),
        "triangle": picture(triangle, -1, np.int32),
        "barycentric": picture(barycentric, 0, np.float32),
        "part": picture(part, -1, np.int16),
        "layer": picture(layer, 0, np.int8),
        "normal": picture(normal, 0, np.float32),
        "instance": torch.where(mine, torch.ones_like(others), others).view(height, width).numpy().astype(np.int8),
    }


def surface_points(stage: Stage, triangle: Int[Tensor, " n"], barycentric: Tensor) -> points.SurfacePoints:
    """Template points of stage points: bare skin is itself, everything else is projected from where it is bound."""
    out_triangle = stage.template_triangle[triangle].clone()
    out_barycentric = barycentric.clone()
    bound = torch.nonzero(out_triangle < 0)[:, 0]
    if len(bound):
        corner = stage.triangles[triangle[bound]]
        place = (stage.truth[corner] * barycentric[bound][..., None]).sum(1)
        out_triangle[bound], out_barycentric[bound] = surface_grid()(place)
    return out_triangle, out_barycentric


def _blocks(values: Int[Tensor, " sample"], size: tuple[int, int], factor: int) -> Int[Tensor, "pixel samples"]:
    """The factor x factor samples of each pixel, for factor 2 the diagonal ones first."""
    height, width = size
    blocks = values.view(height, factor, width, factor).permute(0, 2, 1, 3).reshape(height * width, factor * factor)
    return blocks[:, [0, 3, 1, 2]] if factor == 2 else blocks
