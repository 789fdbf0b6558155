"""Optional backend: facebookresearch/pytorch3d 0.7 (BSD, built from source; very slow on the CPU).

PyTorch3D's screen has x to the left, y up, and the range [-1, 1] on the shorter side. Depth z/w is affine on the
screen, so it is handed over as the z to sort by, without perspective correction; the weights are then recomputed from
the clip coordinates. PyTorch3D drops pixel centres that lie exactly on an edge.
"""

from __future__ import annotations

import torch
from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
from pytorch3d.structures import Meshes
from torch import Tensor

from bodymap.rendering.interpolation import foreground_pixels, gather_corners, pixel_barycentric, scatter_pixels
from bodymap.rendering.rasterizer import Fragments


def rasterize(clip: Tensor, triangles: Tensor, size: tuple[int, int], layers: int) -> list[Fragments]:
    """See ``bodymap.rendering.rasterize``; clip (B, V, 4) float32, triangles (F, 3) int32, contiguous and not empty."""
    per_image = [_draw(image, triangles.long(), size, layers) for image in clip]
    drawn = torch.stack(per_image)
    return [_fragments(clip, triangles, drawn[..., layer].contiguous()) for layer in range(layers)]


def _draw(clip: Tensor, triangles: Tensor, size: tuple[int, int], layers: int) -> Tensor:
    """Triangle indices (H, W, layers) of one image, -1 where nothing is."""
    height, width = size
    clip, faces, origin = cut_at_near_plane(clip, triangles)
    if len(faces) == 0:
        return torch.full((height, width, layers), -1, dtype=torch.int64, device=clip.device)
    ndc = clip[:, :3] / clip[:, 3:].clamp_min(1e-12)
    shorter = min(size)
    # 2 + z/w lies in [1, 3]: PyTorch3D throws away triangles that touch z = 0.
    screen = torch.stack([-ndc[:, 0] * (width / shorter), -ndc[:, 1] * (height / shorter), 2 + ndc[:, 2]], dim=-1)
    drawn, z, _, _ = rasterize_meshes(
        Meshes(verts=[screen], faces=[faces]),
        image_size=size,
        blur_radius=0.0,
        faces_per_pixel=layers,
        # All triangles may fall into one bin; with fewer places PyTorch3D would silently leave some out.
        max_faces_per_bin=len(faces),
        perspective_correct=False,
    )
    drawn, z = drawn[0], z[0]
    # Beyond the far plane; the layers are sorted, so nothing nearer stands behind it.
    drawn = torch.where(z <= 3.0, drawn, -1)
    return torch.where(drawn >= 0, origin[drawn.clamp_min(0)], -1)


def cut_at_near_plane(clip: Tensor, triangles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cuts triangles at z = -w, so that every corner that is left has a projection.

    Args:
        clip: (V, 4). triangles: (F, 3) int64.

    Returns:
        clip (V', 4) with the new corners appended, triangles (F', 3), and for each the triangle it came from (F',),
        ascending.
    """
    distance = clip[:, 2] + clip[:, 3]
    inside = distance[triangles] >= 0
    count = inside.sum(dim=1)
    index = torch.arange(len(triangles), device=clip.device)
    faces, origin, points = [triangles[count == 3]], [index[count == 3]], [clip]
    total = len(clip)
    for corners_inside in (1, 2):
        chosen = count == corners_inside
        if not bool(chosen.any()):
            continue
        # Turn each triangle so that its odd corner out comes first.
        odd = inside[chosen] if corners_inside == 1 else ~inside[chosen]
        turn = (odd.int().argmax(dim=1, keepdim=True) + torch.arange(3, device=clip.device)) % 3
        a, b, c = triangles[chosen].gather(1, turn).unbind(1)
        for other in (b, c):
            share = (distance[a] / (distance[a] - distance[other]))[:, None]
            points.append(clip[a] + (clip[other] - clip[a]) * share)
        on_ab = total + torch.arange(len(a), device=clip.device)
        on_ac = on_ab + len(a)
        total += 2 * len(a)
        if corners_inside == 1:
            new = [torch.stack([a, on_ab, on_ac], dim=1)]
        else:
            new = [torch.stack([on_ab, b, c], dim=1), torch.stack([on_ab, c, on_ac], dim=1)]
        faces += new
        origin += [index[chosen]] * len(new)
    origin = torch.cat(origin)
    order = torch.argsort(origin, stable=True)
    return torch.cat(points), torch.cat(faces)[order], origin[order]


def _fragments(clip: Tensor, triangles: Tensor, drawn: Tensor) -> Fragments:
    """Weights and depth of the triangles (B, H, W) that were drawn."""
    empty = Fragments(drawn, drawn.new_zeros((*drawn.shape, 3), dtype=torch.float32), drawn.float())
    pixels = foreground_pixels(empty)
    weights = pixel_barycentric(clip, pixels, triangles)
    z, w = (gather_corners(clip, pixels, triangles)[..., 2:] * weights[..., None]).sum(dim=1).unbind(-1)
    depth = scatter_pixels((z / w)[:, None], pixels, fill=1.0)[..., 0]
    return Fragments(drawn, scatter_pixels(weights, pixels), depth)
