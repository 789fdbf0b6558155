"""Geodesic distance between any two surface points, from the table between samples.

d(a, b) = |a - b| + excess(a, b): the straight line, plus how much longer than the straight line the geodesics between
the samples around a and the samples around b are. Close together on a flat place the excess vanishes and the distance
is exact; across a gap (finger to finger, thigh to thigh) and far apart the table decides. Its error against exact is
in docs/surface.md.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.surface import points
from bodymap.surface.body import Template

_AROUND = 4
_SAME = 0.002  # metres
_BLOCK = 1 << 16


def distance(
    t: Template,
    triangle_a: Int[Tensor, " point"],
    barycentric_a: Float[Tensor, "point 3"],
    triangle_b: Int[Tensor, " point"],
    barycentric_b: Float[Tensor, "point 3"],
) -> Float[Tensor, " point"]:
    """Approximate geodesic distance in metres between a[i] and b[i]."""
    blocks = []
    for i in range(0, len(triangle_a), _BLOCK):
        s = slice(i, i + _BLOCK)
        a, b = (triangle_a[s], barycentric_a[s]), (triangle_b[s], barycentric_b[s])
        straight = (points.position(t, *a) - points.position(t, *b)).norm(dim=-1)
        # the same point has no excess, whatever its surrounding samples say
        blocks.append(straight + _excess(t, a, b) * (straight / (straight + _SAME)))
    return torch.cat(blocks) if blocks else torch.zeros(0, device=triangle_a.device)


def _excess(t: Template, a: points.SurfacePoints, b: points.SurfacePoints) -> Float[Tensor, " point"]:
    """Mean over the pairs of surrounding samples of geodesic minus straight distance."""
    sample_a, weight_a = _mix(t, *a)
    sample_b, weight_b = _mix(t, *b)
    excess = _sample_excess(t)[sample_a[:, :, None], sample_b[:, None, :]]
    return (excess * weight_a[:, :, None] * weight_b[:, None, :]).sum((1, 2))


def _sample_excess(t: Template) -> Float[Tensor, "sample sample"]:

    def build():
        place = t.vertices[t.samples]
        return (t.sample_geodesic - torch.cdist(place, place)).clamp_min(0)

    return t.kept("sample_excess", build)


def _mix(
    t: Template, triangle: Int[Tensor, " point"], barycentric: Float[Tensor, "point 3"]
) -> tuple[Int[Tensor, "point around"], Float[Tensor, "point around"]]:
    centre = points.nearest_sample(t, triangle, barycentric)
    around = _sample_ring(t)[centre]
    place = points.position(t, triangle, barycentric)
    squared = (t.vertices[t.samples[around]] - place[:, None]).square().sum(-1)
    weight = 1 / (squared + 1e-6)
    return around, weight / weight.sum(-1, keepdim=True)


def _sample_ring(t: Template) -> Int[Tensor, "sample around"]:
    """Each sample with its nearest fellows along the surface, itself first."""
    return t.kept("sample_ring", lambda: t.sample_geodesic.topk(_AROUND, largest=False).indices)
