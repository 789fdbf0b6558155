"""The slow, obvious rasteriser that the fast ones are compared with, and random scenes to compare them on."""

from __future__ import annotations

import pytest
import torch

from bodymap.rendering import Fragments


def obvious_rasterize(clip, triangles, size, layers=1) -> list[Fragments]:
    """Every triangle against every pixel in float64: intersects the pixel's ray with the triangle by a 3 x 3 solve."""
    height, width = size
    x = 2 * (torch.arange(width, dtype=torch.float64) + 0.5) / width - 1
    y = 2 * (torch.arange(height, dtype=torch.float64) + 0.5) / height - 1
    y, x = torch.meshgrid(y, x, indexing="ij")
    rays = torch.stack([x, y, torch.ones_like(x)], dim=-1).reshape(-1, 3)
    fragments = []
    for image in clip.double():
        corners = image[triangles.long()]  # (F, 3, 4)
        # Sum_k b_k (x_k, y_k, w_k) = w (x, y, 1): solve for b / w, then b sums to one.
        matrix = corners[..., [0, 1, 3]].transpose(1, 2)
        usable = torch.linalg.matrix_rank(matrix) == 3
        matrix[~usable] = torch.eye(3, dtype=torch.float64)
        over_w = torch.einsum("fij,pj->pfi", torch.linalg.inv(matrix), rays)
        inverse_w = over_w.sum(-1)
        weights = over_w / inverse_w[..., None]
        z_over_w = (over_w * corners[None, ..., 2]).sum(-1)
        hit = usable & (over_w >= 0).all(-1) & (inverse_w > 0) & (z_over_w.abs() <= 1)
        order = torch.where(hit, z_over_w, torch.inf).sort(dim=1, stable=True)
        for layer in range(layers):
            depth, index = order.values[:, layer], order.indices[:, layer]
            seen = depth < torch.inf
            chosen = torch.where(seen[:, None], weights[torch.arange(len(rays)), index], 0)
            fragments.append(
                Fragments(
                    torch.where(seen, index, -1).view(1, height, width),
                    chosen.float().view(1, height, width, 3),
                    torch.where(seen, depth, 1.0).float().view(1, height, width),
                )
            )
    return [
        Fragments(*(torch.cat([getattr(f, name) for f in fragments[layer::layers]]) for name in fields))
        for layer, fields in enumerate([("triangle", "barycentric", "depth")] * layers)
    ]


@pytest.fixture(scope="session")
def reference():
    return obvious_rasterize


@pytest.fixture(scope="session")
def soup():
    """``soup(seed, faces, batch)`` -> clip (B, V, 4), triangles (F, 3): a tangle of triangles of all sizes.

    Some of them lie partly outside the view, beyond the near or far plane, or behind the camera.
    """

    def make(seed: int, faces: int = 40, batch: int = 1):
        generator = torch.Generator().manual_seed(seed)
        centre = torch.randn(batch, faces, 1, 3, generator=generator) * torch.tensor([0.9, 0.9, 1.2])
        spread = torch.rand(1, faces, 1, 1, generator=generator) ** 2 * 2
        points = (centre + spread * torch.randn(batch, faces, 3, 3, generator=generator)).reshape(batch, -1, 3)
        depth = points[..., 2] + 1.5
        # near 0.3, far 4
        z = (4.3 / 3.7) * depth - 2 * 4 * 0.3 / 3.7
        clip = torch.stack([points[..., 0], points[..., 1], z, depth], dim=-1)
        triangles = torch.arange(3 * faces).view(faces, 3)[:, torch.randperm(3, generator=generator)]
        return clip, triangles

    return make


@pytest.fixture(scope="session")
def assert_same():
    """Compares two lists of layers; a pixel centre within float32's reach of an edge may go either way."""

    def compare(got: list[Fragments], want: list[Fragments], tolerance: float = 1e-3, may_differ: float = 0.002):
        assert len(got) == len(want)
        for ours, theirs in zip(got, want, strict=True):
            assert ours.triangle.dtype == torch.int64 and ours.triangle.shape == theirs.triangle.shape
            same = ours.triangle == theirs.triangle
            assert (~same).float().mean() <= may_differ
            assert (ours.barycentric[same] - theirs.barycentric[same]).abs().max() < tolerance
            assert (ours.depth[same] - theirs.depth[same]).abs().max() < tolerance

    return compare
