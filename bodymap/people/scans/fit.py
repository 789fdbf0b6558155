"""Shape, pose and place of the template in a scan, by Gauss-Newton from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bodymap.people.anatomy import template
from bodymap.people.mesh import corner_normals
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.rig import Rig, State
from bodymap.people.scans.matching import Matching, Pull, Target, pull


@dataclass(frozen=True)
class Stage:
    """Some iterations of one kind. ``samples``: how many of the scan; ``error``: metres a match is trusted to;
    ``level``: "body", some vertices and stiff fingers, "some", or "fine", all vertices of the template."""

    matching: Matching
    samples: int
    error: float
    level: str


_PLACES = 1000  # a match is worth this many independent measurements, spread over the body

COARSE = Stage(Matching(0.25, 0.15, 0.3), 2000, 0.05, "body")
STAGES = (
    Stage(Matching(0.12, 0.10, 0.2, outside=0.4), 4000, 0.025, "body"),
    Stage(Matching(0.06, 0.08, 0.1, outside=0.25), 8000, 0.012, "some"),
    Stage(Matching(0.03, 0.05, 0.05, outside=0.25), 15000, 0.003, "fine"),
)
PART = Stage(Matching(0.02, 0.05, 0.2), 20000, 0.003, "fine")


class Fitter:
    """One scan and one pack: takes a state a few iterations on."""

    def __init__(self, pack: Pack, target: Target):
        t = template()
        self.pack, self.target = pack, target
        self.triangles = t.triangles.numpy()
        outer = t.vertex_triangles[:, 0].numpy() >= 0
        self.full = Rig(pack)
        some = np.unique(t.samples.numpy())
        self.fine = Rig(pack, np.flatnonzero(outer))
        # fingers that bend before the hand is in its place take each other's
        self.rigs = {"body": Rig(pack, some, fingers=False), "some": Rig(pack, some), "fine": self.fine}
        rest = pack.base_vertices[:SKIN_VERTICES]
        self.areas = vertex_areas(rest, self.triangles)
        self.normals = corner_normals(rest, self.triangles).astype(float)

    def run(self, state: State, stage: Stage, iterations: int) -> tuple[State, float]:
        """The state after Gauss-Newton steps, and the mean gap before the last of them.

        Joints are drawn, faintly, to the pose that is given.
        """
        return self._iterate(self.rigs[stage.level], self.target, state, stage, iterations, None)

    def refine(self, rig: Rig, target: Target, state: State, bones: np.ndarray, iterations: int) -> State:
        """The state with only these bones (bool) moved, to bring the rig's few vertices onto a part of the scan."""
        free = np.concatenate([np.zeros(len(rig.basis), bool), np.repeat(bones[rig.joints], 3), np.zeros(3, bool)])
        return self._iterate(rig, target, state, PART, iterations, free)[0]

    def _iterate(
        self, rig: Rig, target: Target, state: State, stage: Stage, iterations: int, free: np.ndarray | None
    ) -> tuple[State, float]:
        about, areas, gap = state, self.areas[rig.ids], np.inf
        for _ in range(iterations):
            derivatives = rig.derivatives(state)
            normals = self._normals(rig, state, exact=free is None)
            data = pull(derivatives.vertices, normals, areas, target, stage.matching, stage.samples)
            gap = data.gap
            # a body is not trusted to fit better than its clothes let it
            error = max(stage.error, data.across)
            scale = _PLACES / (2 * areas.sum() * error**2)
            state = rig.step(state, self._solve(rig, derivatives.jacobian, data, scale, state, about, free))
        return state, gap

    def _normals(self, rig: Rig, state: State, exact: bool) -> Float[np.ndarray, "vertex xyz=3"]:
        """Of the posed surface, or quicker, the rest pose's turned with the bones."""
        if exact:
            return corner_normals(self.full.posed(state), self.triangles)[rig.ids].astype(float)
        turned = np.einsum("nab,nb->na", rig.blended(state)[0], self.normals[rig.ids])
        return turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9)

    def _solve(
        self,
        rig: Rig,
        jacobian: np.ndarray,
        data: Pull,
        scale: float,
        state: State,
        about: State,
        free: np.ndarray | None,
    ) -> np.ndarray:
        """One Gauss-Newton step: data, a normal distribution of shapes, and joints near where they began."""
        root = np.linalg.cholesky(data.hessian * scale + 1e-9 * np.eye(3)).astype(np.float32)
        rows = jacobian.reshape(len(root), 3, -1)
        rows = np.matmul(root.transpose(0, 2, 1), rows).reshape(len(jacobian), -1)
        hessian = (rows.T @ rows).astype(float)
        gradient = jacobian.T @ (scale * data.gradient).astype(np.float32).reshape(-1)

        components = len(rig.basis)
        prior, away = rig.prior(state, about)
        hessian[np.diag_indices_from(hessian)] += prior + 1e-6
        gradient = gradient - prior * away
        change = np.zeros(len(gradient))
        free = np.ones(len(gradient), bool) if free is None else free
        change[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        # far from the solution a full step of a joint overshoots
        turns = change[components:-3]
        turns *= min(1.0, 0.5 / max(np.abs(turns).max(), 1e-9))
        return change


def fit_body(fitter: Fitter, state: State, steps: int, progress: Callable[[str], None] = lambda line: None) -> State:
    """Shape and pose after ``steps`` iterations through all stages, hands and feet tried anew between them."""
    from bodymap.people.scans.limbs import place_limbs, renew_fingers

    before = (lambda _, state: state, place_limbs, renew_fingers)
    for number, (stage, prepare) in enumerate(zip(STAGES, before, strict=True)):
        state = prepare(fitter, state)
        state, gap = fitter.run(state, stage, max(1, round(steps / len(STAGES))))
        progress(f"body: stage {number + 1} of {len(STAGES)}, matches {1e3 * gap:.1f} mm apart")
    return state


def vertex_areas(vertices: Float[np.ndarray, "vertex xyz=3"], triangles: np.ndarray) -> Float[np.ndarray, " vertex"]:
    """A third of the area around each vertex."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    return np.bincount(triangles.reshape(-1), np.repeat(area, 3), len(vertices))
