"""From the fitted body to the scan's own surface: a smooth displacement of every vertex, then back to the rest pose."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import sparse

from bodymap.people.mesh import corner_normals
from bodymap.people.rig import State
from bodymap.people.scans.fit import Fitter, vertex_areas
from bodymap.people.scans.matching import Matching, pull

# One a round: metres that details are smoothed over, and how far the scan may be.
_ROUNDS = tuple(
    (smooth, Matching(reach, 0.04, 0.02, slide))
    for smooth, reach, slide in (
        (0.050, 0.06, 0.030),
        (0.035, 0.05, 0.020),
        (0.025, 0.04, 0.015),
        (0.018, 0.03, 0.012),
        (0.012, 0.03, 0.010),
        (0.010, 0.02, 0.010),
        (0.010, 0.02, 0.010),
    )
)
_STIFF = 0.02  # of the bending that is stretching: across a hole the surface neither bulges nor dents
_STAY = 1e-4  # per area, against the data's 2: what nothing holds stays with the body
_FARTHEST = 0.12  # metres


def displace(
    fitter: Fitter, state: State, rounds: int | None = None
) -> tuple[Float[np.ndarray, "vertex xyz=3"], Float[np.ndarray, "vertex xyz=3"]]:
    """The scan's surface with the template's vertices: (in the scan's pose, in the rest pose).

    Minimises sum_v a_v |gap_v across the surface|^2 + l^4 |Laplacian d|^2 over the displacements d, with new matches
    every round; l falls from centimetres to one.
    """
    body = fitter.full.posed(state)
    stiffness, mass = laplacian(body, fitter.triangles)
    inverse_mass = sparse.diags(1 / np.maximum(mass, 1e-7))
    bending = stiffness @ inverse_mass @ stiffness
    outer = np.zeros(len(body), bool)
    outer[fitter.fine.ids] = True
    d = np.zeros_like(body)
    for smooth, how in _ROUNDS[: len(_ROUNDS) if rounds is None else rounds]:
        placed = body + d
        normals = corner_normals(placed, fitter.triangles).astype(float)
        ids = fitter.fine.ids
        data = pull(placed[ids], normals[ids], mass[ids], fitter.target, how)
        hessian, gradient = np.zeros((len(body), 3, 3)), np.zeros_like(body)
        hessian[ids], gradient[ids] = data.hessian, data.gradient
        smoother = smooth**4 * bending + _STIFF * smooth**2 * stiffness + _STAY * sparse.diags(mass)
        # the data pulls from where the surface is now, the smoothness from the body
        right = gradient + np.einsum("nab,nb->na", hessian, d)
        d = _solve(hessian, smoother, right, d)
        length = np.linalg.norm(d, axis=1, keepdims=True)
        d *= np.minimum(1.0, _FARTHEST / np.maximum(length, 1e-9))
    linear, translation = fitter.full.blended(state)
    placed = body + d
    return placed, np.linalg.solve(linear.astype(float), (placed - translation)[..., None])[..., 0]


def laplacian(
    vertices: Float[np.ndarray, "vertex xyz=3"], triangles: np.ndarray
) -> tuple[sparse.csr_matrix, Float[np.ndarray, " vertex"]]:
    """Cotangent stiffness matrix (positive semi-definite) and the area of each vertex."""
    rows, columns, values = [], [], []
    for k in range(3):
        i, j, o = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        a, b = vertices[i] - vertices[o], vertices[j] - vertices[o]
        sine = np.linalg.norm(np.cross(a, b), axis=1)
        # obtuse corners have negative cotangents, slivers huge ones: neither smooths
        weight = np.clip((a * b).sum(1) / np.maximum(sine, 1e-12), 0.05, 5.0) / 2
        rows += [i, j]
        columns += [j, i]
        values += [weight, weight]
    count = len(vertices)
    weights = sparse.csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (count, count)
    )
    return sparse.diags(np.asarray(weights.sum(1)).ravel()) - weights, vertex_areas(vertices, triangles)


def _solve(hessian: np.ndarray, smoother: sparse.spmatrix, right: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(blocks + smoother on each axis) x = right, by conjugate gradients with a block preconditioner."""
    from scipy.sparse.linalg import LinearOperator, cg

    count = len(right)
    smoother = smoother.tocsr()
    blocks = hessian + smoother.diagonal()[:, None, None] * np.eye(3)
    inverse = np.linalg.inv(blocks + 1e-12 * np.eye(3))

    def apply(x: np.ndarray) -> np.ndarray:
        x = x.reshape(count, 3)
        return (np.einsum("nab,nb->na", hessian, x) + smoother @ x).reshape(-1)

    def prepare(x: np.ndarray) -> np.ndarray:
        return np.einsum("nab,nb->na", inverse, x.reshape(count, 3)).reshape(-1)

    size = (3 * count, 3 * count)
    solution, _ = cg(
        LinearOperator(size, matvec=apply, dtype=float),
        right.reshape(-1),
        x0=start.reshape(-1),
        rtol=1e-4,
        maxiter=200,
        M=LinearOperator(size, matvec=prepare, dtype=float),
    )
    return solution.reshape(count, 3)
