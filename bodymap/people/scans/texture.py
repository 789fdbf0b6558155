"""The scan's colours on the template's UV layout, and what the scan did not show, filled along the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy import sparse

from bodymap.people.anatomy import template
from bodymap.people.mesh import corner_normals
from bodymap.people.scans.matching import Target
from bodymap.people.scans.read import Scan, closest_on_scan
from bodymap.rendering import rasterize
from bodymap.surface import Template

_FARTHEST = 0.12  # metres: a skirt gives the legs under it its colours
_SLIDE = 0.012  # metres along the surface, plus a third of the distance, beyond which there is a hole
_TURN = 0.05  # metres that a normal turned by 60 degrees counts as
_BLOCK = 1 << 16
_PULL = 0.1  # of neighbouring vertices' colours, against one vertex full of texels
_MIRRORED = 0.2  # weight of the other side's colour
_FEATHER = 3.0  # texels


@dataclass(frozen=True)
class ScanTexture:
    """``colour``: sRGB on the template's UV, v down, padded outside the islands. ``seen``: it comes from the scan.
    ``covered``: how many texels the islands have."""

    colour: UInt8[np.ndarray, "texel texel rgb=3"]
    seen: Bool[np.ndarray, "texel texel"]
    covered: int


def transfer_texture(
    scan: Scan, target: Target, vertices: Float[np.ndarray, "vertex xyz=3"], size: int = 1024
) -> ScanTexture:
    """Looks every texel up on the scan.

    Args:
        scan: in the frame of ``vertices``, the template's vertices on its surface.  target: samples of it.
    """
    t = template()
    triangle, barycentric = texels(t, size)
    covered = triangle >= 0
    normals = corner_normals(vertices, t.triangles.numpy()).astype(float)
    colour, seen = np.zeros((size, size, 3)), np.zeros((size, size), bool)
    rows = np.flatnonzero(covered)
    corners = t.triangles.numpy()[triangle[covered]]
    weights = barycentric[covered][..., None]
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        place = (vertices[corners[part]] * weights[part]).sum(1)
        normal = (normals[corners[part]] * weights[part]).sum(1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        values, good = _look_up(scan, target, place, normal)
        colour.reshape(-1, 3)[rows[part]] = values
        seen.reshape(-1)[rows[part]] = good
    filled = fill_unseen(t, triangle, barycentric, colour, seen)
    return ScanTexture((filled * 255 + 0.5).astype(np.uint8), seen, len(rows))


def _look_up(scan: Scan, target: Target, place: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours of the scan at places near it, and whether it was there at all."""
    face, weight = closest_on_scan(scan, target.samples, target.tree(_TURN), place, target.key(place, normal, _TURN))
    corners = scan.triangles[face]
    gap = (scan.vertices[corners] * weight[..., None]).sum(1) - place
    own = (scan.normals[corners] * weight[..., None]).sum(1)
    across = (gap * own).sum(1)
    aside = np.linalg.norm(gap - across[:, None] * own, axis=1)
    good = ((own * normal).sum(1) > 0.3) & (np.abs(across) < _FARTHEST) & (aside < _SLIDE + np.abs(across) / 3)
    return scan.colours_at(face, weight), good


def texels(t: Template, size: int) -> tuple[Int[np.ndarray, "texel texel"], Float[np.ndarray, "texel texel 3"]]:
    """Triangle (-1 outside the islands) and barycentric coordinates of each texel's centre."""
    flat = torch.cat([t.uv * 2 - 1, torch.zeros(len(t.uv), 1), torch.ones(len(t.uv), 1)], 1)
    fragments = rasterize(flat[None], t.uv_triangles, (size, size))[0]
    return fragments.triangle[0].numpy(), fragments.barycentric[0].numpy().astype(float)


def fill_unseen(
    t: Template, triangle: np.ndarray, barycentric: np.ndarray, colour: np.ndarray, seen: np.ndarray
) -> Float[np.ndarray, "texel texel rgb=3"]:
    """Unseen texels take a smooth colour that runs along the surface, across the UV's seams, from both sides of the
    body; next to seen ones, also the detail found there."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    covered = triangle >= 0
    corners = t.triangles.numpy()[triangle[covered]]
    share = barycentric[covered]
    smooth = _vertex_colours(t, corners, share, colour[covered], seen[covered])
    base = np.zeros_like(colour)
    base[covered] = (smooth[corners] * share[..., None]).sum(1)

    spread = gaussian_filter(seen.astype(float), _FEATHER)
    detail = (colour - base) * seen[..., None]
    detail = np.stack([gaussian_filter(detail[..., k], _FEATHER) for k in range(3)], -1)
    detail /= np.maximum(spread, 1e-6)[..., None]
    filled = base + detail * np.clip(2 * spread, 0, 1)[..., None]
    filled = np.where(seen[..., None], colour, filled).clip(0, 1)
    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return filled[tuple(nearest)]  # bilinear look-ups at an island's rim see its own colour


def _vertex_colours(
    t: Template, corners: np.ndarray, share: np.ndarray, colour: np.ndarray, seen: np.ndarray
) -> Float[np.ndarray, "vertex rgb=3"]:
    """Mean colour of the seen texels around each vertex, spread over the mesh to the vertices without any."""
    count = len(t.vertices)
    at, weight = corners[seen].reshape(-1), share[seen].reshape(-1)
    mass = np.bincount(at, weight, count)
    values = np.repeat(colour[seen], 3, axis=0)
    total = np.stack([np.bincount(at, weight * values[:, k], count) for k in range(3)], 1)
    mean = total / np.maximum(mass, 1e-9)[:, None]
    trust = np.clip(mass / 4, 0, 1)
    other = t.mirror_vertex.numpy()
    borrowed = (trust < 0.1) & (trust[other] > 0.5)
    mean[borrowed], trust[borrowed] = mean[other][borrowed], _MIRRORED

    faces = t.triangles.numpy()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, 1), axis=0)
    joined = sparse.coo_matrix((np.ones(len(edges)), edges.T), (count, count))
    joined = (joined + joined.T).tocsr()
    degree = np.asarray(joined.sum(1)).ravel()
    overall = mean[trust > 0].mean(0) if (trust > 0).any() else np.full(3, 0.6)
    faint = 1e-6  # what no colour reaches takes the mean
    system = sparse.diags(trust + _PULL * degree + faint) - _PULL * joined
    return sparse.linalg.spsolve(system.tocsc(), trust[:, None] * mean + faint * overall)
