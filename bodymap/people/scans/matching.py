"""Which place of the scan each vertex of the template belongs to, both ways, robustly: the data term of every fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from bodymap.people.scans.read import Samples


@dataclass(frozen=True)
class Matching:
    """How places are matched.

    Attributes:
        reach: metres at which a match has lost three quarters of its weight.
        turn: metres that a normal turned by 60 degrees counts as, when the nearest place is sought.
        tangent: weight of gaps along the surface beside those across it (point to plane with a little point to point).
        slide: metres along the surface beyond which a match is none (the scan has a hole there); None: any.
        outside: weight of scan places outside the template: cloth stands off the body, nothing is inside it.
    """

    reach: float
    turn: float
    tangent: float
    slide: float | None = None
    outside: float = 1.0


@dataclass(frozen=True)
class Pull:
    """The quadratic that pulls vertex v by u: sum_v u H u / 2 - g u. ``gap``: mean distance, cut off at the reach;
    ``across``: the weighted mean of its part across the surface."""

    hessian: Float[np.ndarray, "vertex 3 3"]
    gradient: Float[np.ndarray, "vertex xyz=3"]
    gap: float
    across: float


class Target:
    """A scan's samples with their search trees, kept by ``turn``."""

    def __init__(self, samples: Samples):
        self.samples = samples
        self._trees: dict[float, cKDTree] = {}

    def tree(self, turn: float) -> cKDTree:
        if turn not in self._trees:
            self._trees[turn] = cKDTree(self.key(self.samples.points, self.samples.normals, turn))
        return self._trees[turn]

    @staticmethod
    def key(points: np.ndarray, normals: np.ndarray, turn: float) -> Float[np.ndarray, "point 6"]:
        return np.concatenate([points, turn * normals], 1)


def pull(
    vertices: Float[np.ndarray, "vertex xyz=3"],
    normals: Float[np.ndarray, "vertex xyz=3"],
    areas: Float[np.ndarray, " vertex"],
    target: Target,
    how: Matching,
    count: int | None = None,
) -> Pull:
    """Matches every vertex with its nearest sample and every one of ``count`` samples with its nearest vertex.

    Both directions weigh the same in all; within each, a place weighs as much as the surface it stands for.
    """
    samples = target.samples if count is None else target.samples.some(count)
    own_tree = cKDTree(target.key(vertices, normals, how.turn))
    hit = own_tree.query(target.key(samples.points, samples.normals, how.turn))[1]
    near = target.tree(how.turn).query(target.key(vertices, normals, how.turn))[1]

    from_scan = _weigh(
        vertices[hit], normals[hit], samples.points, samples.normals, np.full(len(hit), areas.sum() / len(hit)), how
    )
    every = target.samples
    to_scan = _weigh(vertices, normals, every.points[near], every.normals[near], areas * ~every.rim[near], how)
    gaps = [np.minimum(d, how.reach).mean() for d in (from_scan[3], to_scan[3][~every.rim[near]])]

    count = len(vertices)
    hessian, gradient = np.zeros((count, 9)), np.zeros((count, 3))
    for index, (block, force, *_) in ((hit, from_scan), (np.arange(count), to_scan)):
        for k in range(9):
            hessian[:, k] += np.bincount(index, block.reshape(-1, 9)[:, k], count)
        for k in range(3):
            gradient[:, k] += np.bincount(index, force[:, k], count)
    across = [np.average(match[4], weights=match[2] + 1e-12) for match in (from_scan, to_scan)]
    return Pull(hessian.reshape(-1, 3, 3), gradient, float(np.mean(gaps)), float(np.mean(across)))


def _weigh(
    vertices: np.ndarray, own: np.ndarray, points: np.ndarray, normals: np.ndarray, areas: np.ndarray, how: Matching
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each match's 3 x 3 block, its force, weight, distance, and distance across the surface."""
    gap = points - vertices
    distance = np.linalg.norm(gap, axis=1)
    across = np.einsum("nc,nc->n", normals, gap)
    alike = np.clip((np.einsum("nc,nc->n", normals, own) - 0.2) / 0.4, 0, 1)
    # Geman and McClure's weight: falls with the fourth power, so that clutter has no say
    weight = areas * alike * (how.reach**2 / (how.reach**2 + distance**2)) ** 2
    weight = weight * np.where(across > 0, how.outside, 1.0)
    if how.slide is not None:
        aside = np.linalg.norm(gap - across[:, None] * normals, axis=1)
        weight = weight * np.clip(2 - aside / how.slide, 0, 1)
    block = normals[:, :, None] * normals[:, None, :] + how.tangent * np.eye(3)
    block = block * weight[:, None, None]
    return block, np.einsum("nab,nb->na", block, gap), weight, distance, np.abs(across)


def surface_gap(
    vertices: Float[np.ndarray, "vertex xyz=3"], normals: Float[np.ndarray, "vertex xyz=3"], target: Target
) -> float:
    """Mean distance across the surface, metres, from the vertices to the scan and back; holes left out."""
    turn = 0.04
    samples = target.samples
    near = target.tree(turn).query(target.key(vertices, normals, turn))[1]
    near, at = near[~samples.rim[near]], np.flatnonzero(~samples.rim[near])
    hit = cKDTree(target.key(vertices, normals, turn)).query(target.key(samples.points, samples.normals, turn))[1]
    there = np.abs(((samples.points[near] - vertices[at]) * samples.normals[near]).sum(1))
    back = np.abs(((samples.points - vertices[hit]) * normals[hit]).sum(1))
    return float((there.mean() + back.mean()) / 2)
