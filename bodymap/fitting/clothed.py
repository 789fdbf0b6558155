"""From the bare body behind a map to a clothed one: the surface moves to where the photo shows its points.

A pixel says where its surface point is across the line of sight; how far cloth and hair stand off along it is known at
the silhouette, where the surface is seen edge on, and carried inwards by smoothness.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.sparse.linalg import factorized

from bodymap.fitting.body import BodyFit, project
from bodymap.fitting.evidence import gather
from bodymap.fitting.shoes import shoe_form, wears_shoes
from bodymap.people.anatomy import template
from bodymap.people.mesh import corner_normals
from bodymap.people.rig import Rig
from bodymap.people.scans.displace import laplacian
from bodymap.people.wardrobe import Wardrobe
from bodymap.types import PART_NAMES, Correspondence

_PIXELS = 8000
_FARTHEST = 0.25  # metres: a longer way is a wrong match
_ACROSS, _OFF = 0.025, 0.035  # metres over which displacements across the line of sight, and off the body, are smooth
_STAY = 2e-4  # against data of weight 1: what nothing holds stays with the body
_HAND = 0.02  # metres: furthest that a hand's surface is moved
_HANDS = tuple(k for k, name in enumerate(PART_NAMES) if name.endswith("hand"))
_EDGE_ON = 3.0  # power of the slant: the silhouette says most of what stands off


def clothe(fit: BodyFit, correspondence: Correspondence) -> Float[np.ndarray, "vertex=13380 xyz=3"]:
    """Displacements of the template's vertices in the rest pose, metres, that carry clothes and hair along.

    Added to the rest pose and posed again, the surface covers what the photo's person covers; where the photo shows
    nothing it continues smoothly.
    """
    t = template()
    triangles = t.triangles.numpy()
    rig = Rig(fit.pack)
    body = rig.posed(fit.state)
    normals = corner_normals(body, triangles).astype(float)
    evidence = gather(correspondence, triangles, _PIXELS)
    rows = np.repeat(np.arange(len(evidence)), 3)
    pick = sparse.csr_matrix((evidence.share.ravel(), (rows, evidence.corners.ravel())), (len(evidence), len(body)))
    points, normal = pick @ body, pick @ normals
    away = (evidence.pixel - project(points, fit.camera)) * (points[:, 2:] / fit.camera.intrinsics[0, 0])
    length = np.linalg.norm(away, axis=1)
    weight = evidence.weight * np.exp(-((length / _FARTHEST) ** 2) * 2)

    stiffness, mass = laplacian(body, triangles)
    bending = stiffness @ sparse.diags(1 / np.maximum(mass, 1e-7)) @ stiffness
    area = mass.sum() / len(evidence)  # what a pixel stands for

    def smoothest(values: np.ndarray, trust: np.ndarray, reach: float) -> np.ndarray:
        data = sparse.diags(trust * area)
        system = pick.T @ data @ pick + reach**4 * bending + _STAY * sparse.diags(mass)
        solve = factorized(system.tocsc())
        return np.stack([solve(column) for column in (pick.T @ (data @ values)).T], 1)

    slant = np.linalg.norm(normal[:, :2], axis=1).clip(1e-6, 1)
    stands_off = (away * normal[:, :2]).sum(1) / slant**2
    stands_off = smoothest(stands_off.clip(-0.03, _FARTHEST)[:, None], weight * slant**_EDGE_ON, _OFF)[:, 0]
    across = smoothest(away, weight, _ACROSS)
    moved = np.concatenate([across, (stands_off * normals[:, 2])[:, None]], 1)
    # where nothing is seen, the whole displacement is that off the body
    known = smoothest(np.ones((len(evidence), 1)), weight, _ACROSS).clip(0, 1)
    moved[:, :2] = known * across + (1 - known) * stands_off[:, None] * normals[:, :2]
    linear, _ = rig.blended(fit.state)
    displacement = np.linalg.solve(linear.astype(float), moved[..., None])[..., 0]
    # nothing is worn on hands that would let them grow: what pulls at them is a bag that the map takes for one
    length = np.linalg.norm(displacement, axis=1)
    hand = np.isin(t.vertex_part.numpy(), _HANDS)
    displacement[hand] *= np.minimum(1, _HAND / np.maximum(length[hand], 1e-9))[:, None]
    return _in_shoes(displacement, fit, correspondence)


def _in_shoes(displacement: np.ndarray, fit: BodyFit, c: Correspondence) -> np.ndarray:
    """Feet of whoever wears shoes have the shoes' form instead: the photo shows too little of a foot to form one."""
    form, weight = shoe_form(fit.pack)
    left = Wardrobe.of(fit.pack).anatomy.left[: len(form)]
    worn = weight * np.where(left, *wears_shoes(c))
    stature = np.ptp(Rig(fit.pack).rest(fit.state)[:, 2]) / np.ptp(fit.pack.base_vertices[: len(form), 2])
    return displacement * (1 - worn[:, None]) + form * stature * worn[:, None]
