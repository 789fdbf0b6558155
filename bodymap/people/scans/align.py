"""Where to begin: the scan's unit and up axis, which way the person faces, and roughly its size and pose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from bodymap.errors import UserError
from bodymap.people.anatomy import template
from bodymap.people.mesh import corner_normals
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.rig import Rig, State
from bodymap.people.scans.fit import COARSE, Fitter, vertex_areas
from bodymap.people.scans.frame import AXES, scale_of
from bodymap.people.scans.matching import Target
from bodymap.people.scans.read import Samples, Scan, sample_scan
from bodymap.people.skinning import rotation_vector

_YAWS = 12
_PLAIN = 5  # poses that every view is tried with
_KEPT = 4  # views that are fitted
_POINTS = 1000
_WORST = 0.08  # metres; people in wide coats stay below 0.05
_FAR = 0.3  # metres; what is further off is just as wrong
_NORMAL = 0.12  # metres that a normal turned by 60 degrees counts as


@dataclass(frozen=True)
class Alignment:
    """``T_template_scan`` (4, 4): scan coordinates to metres, Z up, near the origin. ``state``: a first guess there.
    ``unit``: what was used, for the record."""

    T_template_scan: Float[np.ndarray, "4 4"]
    state: State
    unit: str


def align(
    scan: Scan,
    pack: Pack,
    up: str | None = None,
    unit: str | None = None,
    height: float | None = None,
    seed: int = 0,
) -> Alignment:
    """Tries every up axis and yaw with poses of the pack, then lets the best few fit a little.

    Args:
        up: a key of AXES, or None: found.
        unit, height: see ``frame.scale_of``.

    Raises:
        UserError: nothing like a person in it, or what ``scale_of`` raises.
    """
    scale, unit_name = scale_of(scan.vertices[np.unique(scan.triangles)], unit, height)
    samples = sample_scan(scan, 4000, np.random.default_rng(seed))
    samples = replace(samples, points=samples.points * scale)
    poses = _poses(pack)
    views = [view for axis in (AXES if up is None else (up,)) for view in _views(pack, samples, axis)]
    search = _Search(pack, poses)
    gaps = np.array([[search.gap(view, k) for k in range(_PLAIN)] for view in views])

    # Front and back look alike from afar: more poses, and then the fit itself, decide.
    best = None
    for view in _different([views[k] for k in np.argsort(gaps.min(1), kind="stable")]):
        state = search.best(view)
        moved = replace(samples, points=samples.points @ view.T.T - view.origin, normals=samples.normals @ view.T.T)
        state, gap = Fitter(pack, Target(moved)).run(state, COARSE, 12)
        if best is None or gap < best[0]:
            best = (gap, view, state)
    gap, view, state = best
    if gap > _WORST:
        raise UserError(
            f"No person fits this scan: the best try lies {100 * gap:.0f} cm off; give --up and --height, and cut "
            "floor and things away."
        )
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = view.T * scale, -view.origin
    return Alignment(T, state, unit_name)


@dataclass(frozen=True, eq=False)
class _View:
    """The scan turned upright and by a yaw: ``T`` (3, 3), then ``origin`` taken off. ``key``: points and normals."""

    axis: str
    yaw: float
    T: Float[np.ndarray, "3 3"]
    origin: Float[np.ndarray, " xyz=3"]
    shape: Float[np.ndarray, " component"]
    key: Float[np.ndarray, "point 6"]
    tree: cKDTree


def _views(pack: Pack, samples: Samples, axis: str) -> list[_View]:
    """All yaws about one up axis."""
    upright = _upright(AXES[axis])
    floor, top = np.quantile(samples.points @ upright[2], [0.001, 0.999])
    shape = _shape_of_height(pack, top - floor)
    views = []
    for k in range(_YAWS):
        yaw = 2 * np.pi * k / _YAWS
        T = rotation_vector(np.array([0, 0, -yaw])) @ upright
        points = samples.points @ T.T
        origin = np.array([*points[:, :2].mean(0), floor])
        key = np.concatenate([points - origin, _NORMAL * samples.normals @ T.T], 1)[:_POINTS]
        views.append(_View(axis, yaw, T, origin, shape, key, cKDTree(key)))
    return views


@dataclass(frozen=True, eq=False)
class _Placed:
    """A posed template standing on the origin; ``key`` and ``tree`` as of ``_View``."""

    state: State
    key: Float[np.ndarray, "vertex 6"]
    tree: cKDTree


class _Search:
    """How well a thousand vertices of the template in some poses lie on views."""

    def __init__(self, pack: Pack, poses: list[np.ndarray]):
        triangles = template().triangles.numpy()
        base = pack.base_vertices[:SKIN_VERTICES]
        self.rig, self.poses = Rig(pack, np.arange(0, SKIN_VERTICES, 12)), poses
        self.normals = corner_normals(base, triangles)[self.rig.ids].astype(float)
        self.areas = vertex_areas(base, triangles)[self.rig.ids]
        whole = Rig(pack)
        shoulders = [list(whole.joints).index(pack.bones.index(f"clavicle.{side}")) for side in "LR"]
        self.arms = [np.flatnonzero(whole.below[k]) for k in shoulders]
        self._placed: dict[tuple[str, int], _Placed] = {}

    def gap(self, view: _View, number: int) -> float:
        return self._gap(view, self._place_known(view, number))

    def best(self, view: _View) -> State:
        """The best pose, then each arm of it exchanged for that of any pose that fits better."""
        number = min(range(len(self.poses)), key=lambda k: self.gap(view, k))
        found = self._place_known(view, number)
        for side in self.arms:
            guesses = []
            for pose in self.poses:
                local = found.state.local.copy()
                local[side] = pose[side]
                guesses.append(self._place(view.shape, local))
            found = min([found, *guesses], key=lambda placed: self._gap(view, placed))
        return found.state

    def _gap(self, view: _View, placed: _Placed) -> float:
        to_scan = np.minimum(view.tree.query(placed.key)[0], _FAR)
        from_scan = np.minimum(placed.tree.query(view.key)[0], _FAR)
        return float(np.average(to_scan, weights=self.areas) + from_scan.mean())

    def _place_known(self, view: _View, number: int) -> _Placed:
        """The views of one up axis share their shape, so they share this."""
        if (view.axis, number) not in self._placed:
            self._placed[view.axis, number] = self._place(view.shape, self.poses[number])
        return self._placed[view.axis, number]

    def _place(self, shape: np.ndarray, local: np.ndarray) -> _Placed:
        """The pose with its surface's mean above the origin and its lowest point on z = 0."""
        still = State(shape, local, np.zeros(3))
        linear, translation = self.rig.blended(still)
        posed = np.einsum("nab,nb->na", linear, self.rig.rest(still)) + translation
        move = -np.array([*np.average(posed[:, :2], axis=0, weights=self.areas), posed[:, 2].min()])
        key = np.concatenate([posed + move, _NORMAL * np.einsum("nab,nb->na", linear, self.normals)], 1)
        return _Placed(replace(still, move=move), key, cKDTree(key))


def _upright(up: tuple[int, int, int]) -> Float[np.ndarray, "3 3"]:
    """A rotation that takes ``up`` to +Z."""
    up = np.array(up, float)
    side = np.array([1.0, 0, 0]) if abs(up[0]) < 0.5 else np.array([0, 0, 1.0])
    return np.stack([side, np.cross(up, side), up])


def _poses(pack: Pack) -> list[np.ndarray]:
    """The rest pose, arms level, arms down, and up to 40 standing and walking poses of the pack."""
    labels = pack.bones.labels
    out = []
    for angle in (0.0, 0.45, 0.9, -0.45, -0.8):
        local = np.tile(np.eye(3), (len(labels), 1, 1))
        for side, sign in (("L", 1), ("R", -1)):
            local[labels.index(f"upperarm01.{side}")] = rotation_vector(np.array([0, sign * angle, 0]))
        out.append(local)
    rows = [
        clip.start + k
        for clip in pack.clips
        if clip.kind in ("standing", "still") or clip.name.endswith("walk")
        for k in range(clip.count)
    ]
    rows = [rows[k] for k in np.unique(np.linspace(0, len(rows) - 1, 40).astype(int))] if rows else []
    return out + [_facing(pack.pose(row).astype(float)) for row in rows]


def _facing(local: np.ndarray) -> np.ndarray:
    """The pose without its turn about the vertical."""
    local = local.copy()
    front = local[0] @ np.array([0, -1.0, 0])
    local[0] = rotation_vector(np.array([0, 0, np.arctan2(-front[0], -front[1])])) @ local[0]
    return local


def _shape_of_height(pack: Pack, height: float) -> Float[np.ndarray, " component"]:
    """The mean of the pack's bodies that are about as tall."""
    rest = pack.base_vertices[:SKIN_VERTICES, 2]
    top, low = int(rest.argmax()), int(rest.argmin())
    tall = (rest[top] - rest[low]) + pack.shape_coefficients @ (
        pack.shape_basis[:, top, 2] - pack.shape_basis[:, low, 2]
    )
    near = np.argsort(np.abs(tall - height), kind="stable")[:12]
    return pack.shape_coefficients[near].mean(0).astype(float)


def _different(ranked: list[_View]) -> list[_View]:
    """The best few, each far from the ones before: neighbouring yaws lead to the same fit."""
    kept: list[_View] = []
    for view in ranked:
        if all(v.axis != view.axis or abs((view.yaw - v.yaw + np.pi) % (2 * np.pi) - np.pi) > 1.0 for v in kept):
            kept.append(view)
    return kept[:_KEPT]
