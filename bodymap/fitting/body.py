"""Fits the template's shape, pose and place to a map by robust Gauss-Newton on reprojection (after SMPLify, Bogo et al.
2016, with thousands of surface points in the joints' place), from several starting poses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from bodymap.fitting.evidence import Evidence, gather
from bodymap.fitting.posture import Posture
from bodymap.fitting.start import candidates, standing_spread
from bodymap.people.anatomy import template
from bodymap.people.hands import relaxed_hands
from bodymap.people.pack import Pack
from bodymap.people.rig import Rig, State
from bodymap.people.skinning import vector_of_rotation
from bodymap.types import Camera, Correspondence

# Field of view of a photo's longer side, where nothing is known. Maps hardly tell (the misfit of 24 photographs is the
# same within one per cent from 18 to 55 degrees), but one that is too wide bends people forwards over their feet.
FIELD_OF_VIEW = np.radians(30.0)
_STARTS, _SOME = 6, 300
_INDEPENDENT = 250  # the pixels are worth this many measurements that know nothing of each other
# A single view would rather lean a body than change its proportions: it stands as the pose of the library does
_STEADY = {"root": 0.12, "spine": 0.08}
_OUTLIER = 3.0  # spreads from which on a pixel is less and less believed (Geman-McClure)


@dataclass(frozen=True)
class BodyFit:
    """A body in the camera's space (x right, y down, z away; metres), and that camera.

    Attributes:
        state: shape coefficients, local joint rotations and move of the pack's rig.
        camera: of the photo; its world is its own space.
        error: median distance in pixels between a map's pixel and where the body has its point; and
        spread: the same in shares of the person's size in the picture.
    """

    pack: Pack
    state: State
    camera: Camera
    error: float
    spread: float

    @cached_property
    def vertices(self) -> Float[np.ndarray, "vertex=13380 xyz=3"]:
        """The posed skin."""
        return Rig(self.pack).posed(self.state)

    def correspondence(self) -> Correspondence:
        """The bare body as the camera sees it: a map of the photo's size, to be compared with the photo's, or to guide
        the predictor (``BodyMap.predict(photo, guide=)``)."""
        from bodymap.fitting.picture import draw

        return draw(self.vertices, self.camera)


def fit_body(
    correspondence: Correspondence,
    pack: Pack | None = None,
    *,
    fov: float | None = None,
    start: State | None = None,
    iterations: int = 12,
) -> BodyFit:
    """The body that a map shows; a few seconds of one CPU core.

    Args:
        pack: whose bodies and poses are used; None: the shipped one.
        fov: field of view of the photo's longer side in radians; None: FIELD_OF_VIEW. A wrong one makes the body a
            little too near or too far, not wrong in the picture.
        start: where to begin (the frame before); None: poses of the pack are tried.

    Raises:
        UserError: the map shows too little of a person.
    """
    pack = pack if pack is not None else Pack.load()
    evidence = gather(correspondence, template().triangles.numpy())
    height, width = correspondence.size
    focal = 0.5 * max(height, width) / np.tan(0.5 * (FIELD_OF_VIEW if fov is None else fov))
    centre = np.array([width / 2, height / 2])

    some = evidence.some(_SOME)
    rig = Rig.at(pack, some.corners, some.share, fingers=False).steadier(_STEADY)
    tried = []
    for state in [start] if start is not None else candidates(pack, evidence, centre, focal, _STARTS):
        moved, cost = _solve(rig, some, state, centre, focal, iterations)
        tried.append((cost, len(tried), moved))
    state = min(tried)[2]
    if start is None:  # poses of the pack mostly leave the hands flat and spread
        state = replace(state, local=relaxed_hands(state.local, pack))
    fine = Rig.at(pack, evidence.corners, evidence.share).steadier(_STEADY)
    state, _ = _solve(fine, evidence, state, centre, focal, iterations // 2)

    intrinsics = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]], np.float32)
    camera = Camera(intrinsics, np.eye(4, dtype=np.float32), (height, width))
    error = float(np.median(np.linalg.norm(project(fine.posed(state), camera) - evidence.pixel, axis=1)))
    return BodyFit(pack, state, camera, error, error / evidence.height)


def project(points: Float[np.ndarray, "point xyz=3"], camera: Camera) -> Float[np.ndarray, "point xy=2"]:
    """Pixels of points in the camera's space."""
    return _project(points, camera.intrinsics[:2, 2], float(camera.intrinsics[0, 0]))


def _solve(
    rig: Rig, evidence: Evidence, state: State, centre: np.ndarray, focal: float, iterations: int
) -> tuple[State, float]:
    """The state after damped Gauss-Newton steps, and its cost."""
    about, damping = _Habits(rig, state), 1e-3
    cost = _cost(rig, evidence, state, about, centre, focal)
    for _ in range(iterations):
        derivatives = rig.derivatives(state)
        weight, residual, jacobian = _linear(derivatives.vertices, derivatives.jacobian, evidence, centre, focal)
        rows = (jacobian * np.sqrt(weight)[:, None, None].astype(np.float32)).reshape(-1, jacobian.shape[-1])
        hessian = (rows.T @ rows).astype(float)
        gradient = -np.einsum("n,na,nap->p", weight, residual, jacobian, optimize=True)
        for precision, away in about.priors(state):
            hessian[np.diag_indices_from(hessian)] += precision
            gradient -= precision * away
        about.posture.linear(state, hessian, gradient)
        for _ in range(4):
            damped = hessian + np.diag(damping * hessian.diagonal() + 1e-9)
            moved = rig.step(state, _limited(np.linalg.solve(damped, gradient), len(rig.basis)))
            new = _cost(rig, evidence, moved, about, centre, focal)
            if new < cost:
                break
            damping *= 8
        else:
            break
        done = cost - new < 1e-4 * cost
        state, cost, damping = moved, new, max(damping / 4, 1e-5)
        if done:
            break
    return state, cost


class _Habits:
    """What is likely before anything is seen: shapes of the pack, joints near the start's, and near standing."""

    def __init__(self, rig: Rig, start: State):
        self.rig, self.start, self.posture = rig, start, Posture(rig)
        spread = standing_spread(rig.pack)[rig.joints]
        self.standing = np.flatnonzero(np.isfinite(spread))
        self.precision = np.zeros(len(rig.basis) + 3 * len(rig.joints) + 3)
        for place in self.standing:
            self.precision[self._turn(place)] = spread[place] ** -2.0

    def priors(self, state: State) -> list[tuple[np.ndarray, np.ndarray]]:
        """(precision, difference from the likeliest) of all parameters, of each of the two."""
        away = np.zeros_like(self.precision)
        for place in self.standing:
            away[self._turn(place)] = vector_of_rotation(state.local[self.rig.joints[place]])
        return [self.rig.prior(state, self.start), (self.precision, away)]

    def _turn(self, place: int) -> slice:
        first = len(self.rig.basis) + 3 * place
        return slice(first, first + 3)


def _limited(change: np.ndarray, components: int) -> np.ndarray:
    """Far from the solution a full step of a joint overshoots."""
    turns = change[components:-3]
    change[components:-3] = turns * min(1.0, 0.6 / max(np.abs(turns).max(), 1e-9))
    return change


def _linear(
    points: np.ndarray, jacobian: np.ndarray, evidence: Evidence, centre: np.ndarray, focal: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Robust weights (n,), residuals (n, 2) in spreads, and their derivatives (n, 2, P)."""
    n = len(points)
    depth = np.maximum(points[:, 2], 0.1)
    residual = (_project(points, centre, focal) - evidence.pixel) / evidence.spread[:, None]
    scale = (focal / depth / evidence.spread).astype(np.float32)[:, None, None]
    flow = (points[:, :2] / depth[:, None]).astype(np.float32)
    jacobian = jacobian.reshape(n, 3, -1)
    seen = (jacobian[:, :2] - flow[..., None] * jacobian[:, 2:]) * scale
    squared = (residual**2).sum(1)
    weight = _worth(evidence) / (1 + squared / _OUTLIER**2) ** 2
    return weight, residual, seen


def _cost(rig: Rig, evidence: Evidence, state: State, about: _Habits, centre: np.ndarray, focal: float) -> float:
    points = rig.posed(state)
    if points[:, 2].min() < 0.1:
        return np.inf
    squared = (((_project(points, centre, focal) - evidence.pixel) / evidence.spread[:, None]) ** 2).sum(1)
    unusual = sum(float(precision @ away**2) for precision, away in about.priors(state)) + about.posture.cost(state)
    return float(_worth(evidence) @ (squared / (1 + squared / _OUTLIER**2))) + unusual


def _worth(evidence: Evidence) -> Float[np.ndarray, " point"]:
    return evidence.weight * (_INDEPENDENT / len(evidence))


def _project(points: Float[np.ndarray, "point xyz=3"], centre: np.ndarray, focal: float) -> np.ndarray:
    return focal * points[:, :2] / points[:, 2:] + centre
