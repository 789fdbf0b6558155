"""One sequence from a plan: dress a body, drape, move; every frame is measured, and what goes wrong ends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from apps.layered.cloth.distance import SignedDistance
from apps.layered.cloth.fitting import arms_off, legs_off
from apps.layered.cloth.garments import Garment, dressed
from apps.layered.cloth.motion import local_rotations, posed_skin
from apps.layered.cloth.sequences import ClothSequence, Plan
from apps.layered.cloth.solver import FPS, ClothSolver, SolverConfig
from bodymap.people.film.queries import ClosestPoint
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.shape import Body, draw_body
from bodymap.surface import load_template

DRAPE = 10  # frames of draping in the rest pose, not kept
# What ends a sequence: share of a garment's vertices deeper than this in the body, stretch of the 99.5th percentile
# of its edges, a speed that no cloth has (m/s).
DEEP, MOST_DEEP = 0.005, 0.01
MOST_STRETCH, FASTEST = 1.2, 15.0


class SimulationFailed(Exception):
    """A sequence went wrong; the message says in which frame and by which numbers."""


@dataclass(frozen=True)
class Measures:
    """Of one frame, one number a garment: metres of the deepest vertex, share deeper than DEEP, stretch (99.5th
    percentile of edge length over rest length); and the largest speed, m/s."""

    deepest: list[float]
    deep: list[float]
    stretch: list[float]
    speed: float

    def check(self, frame: int) -> None:
        """Raises SimulationFailed where a limit is passed."""
        wrong = []
        if not np.isfinite(self.speed) or self.speed > FASTEST:
            wrong.append(f"explosion ({self.speed:.1f} m/s)")
        if max(self.deep) > MOST_DEEP:
            wrong.append(f"{100 * max(self.deep):.1f} % of the vertices deeper than {1000 * DEEP:.0f} mm in the body")
        if max(self.stretch) > MOST_STRETCH:
            wrong.append(f"stretched by {100 * (max(self.stretch) - 1):.0f} %")
        if wrong:
            raise SimulationFailed(f"frame {frame}: {', '.join(wrong)}")


class Waistband:
    """Vertices that keep their place on the skin: a foot on a triangle, and an offset in that triangle's frame."""

    def __init__(
        self,
        positions: Float[np.ndarray, "held xyz=3"],
        skin: Float[np.ndarray, "vertex xyz=3"],
        triangles: Int[np.ndarray, "face 3"],
    ):
        closest = ClosestPoint(
            torch.from_numpy(np.float32(skin)),
            torch.from_numpy(triangles),
            torch.arange(len(triangles)),
            torch.device("cpu"),
        )
        face, weight = closest(torch.from_numpy(np.float32(positions)))
        self._corners, self._weight = triangles[face.numpy()], weight.numpy()[..., None]
        foot = (skin[self._corners] * self._weight).sum(1)
        self._offset = np.einsum("nji,nj->ni", self._frames(skin), positions - foot)

    def _frames(self, skin: np.ndarray) -> Float[np.ndarray, "held 3 3"]:
        a, b, c = (skin[self._corners[:, k]] for k in range(3))
        normal, along = np.cross(b - a, c - a), b - a
        normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
        along = along / np.linalg.norm(along, axis=1, keepdims=True)
        return np.stack([along, np.cross(normal, along), normal], -1)

    def __call__(self, skin: Float[np.ndarray, "vertex xyz=3"]) -> Float[np.ndarray, "held xyz=3"]:
        foot = (skin[self._corners] * self._weight).sum(1)
        return foot + np.einsum("nij,nj->ni", self._frames(skin), self._offset)


def adult(pack: Pack, person: int, split: str) -> Body:
    """The body of a person's number: a grown-up of the pack's split."""
    for attempt in range(100):
        body = draw_body(np.random.default_rng([person, attempt]), pack, split)
        if body.age >= 18:
            break
    return body


def simulate(
    plan: Plan,
    pack: Pack,
    frames: int,
    step: float = 0.022,
    seed: int = 0,
    config: SolverConfig | None = None,
    tick: Callable[[], None] = lambda: None,
) -> ClothSequence:
    """Simulates one plan; about 2 CPU seconds a frame.

    Args:
        frames: to be kept, at 30 a second.  step: metres, length of the cloth's edges.
        seed: shifts the phase of the motion.  tick: called after every frame, draping included.

    Raises:
        SimulationFailed: cloth exploded, sank into the body, or stretched.
        UserError: newton is not installed; the plan names an unknown garment.
    """
    body = adult(pack, plan.person, plan.split)
    t = load_template()
    triangles = t.triangles.numpy()[t.triangle_inner.numpy() == 0]
    garments = dressed(pack, body, plan.upper, plan.lower, step, plan.fitted, plan.cut_seed)
    start = np.random.default_rng([seed, plan.person]).uniform(0, 0.2)
    room = {}
    if plan.fitted:
        room = {"arms_off": arms_off(pack, body), "legs_off": legs_off(pack, body) if garments[0].legged else 0.0}
    local = local_rotations(plan.motion, pack, frames, start, **room)
    skins, lift = posed_skin(pack, body, local)
    rest = body.vertices[:SKIN_VERTICES]

    counts = [len(g.vertices) for g in garments]
    starts = np.cumsum([0, *counts])
    held = np.concatenate([g.held + s for g, s in zip(garments, starts, strict=False)]).astype(int)
    together = np.concatenate([g.vertices for g in garments])
    band = Waistband(together[held], rest, triangles) if len(held) else lambda skin: np.zeros((0, 3))
    solver = ClothSolver([(g.vertices, g.triangles, g.pattern) for g in garments], rest, triangles, held, config)
    gauge = Gauge(garments, rest, triangles)

    now, pinned, cloth = rest, band(rest), together
    kept, measures, seconds = [], [], []
    for k in range(-DRAPE, frames):
        began = time.process_time()
        after = rest if k < 0 else skins[k]
        pins = band(after)
        moved = solver.frame((now, after), (pinned, pins))
        seconds.append(time.process_time() - began)
        found = gauge(moved, cloth, after)
        found.check(k)
        now, pinned, cloth = after, pins, moved
        if k >= 0:
            kept.append(moved)
            measures.append(found)
        tick()

    way = np.stack(kept)
    report = {
        "frames": frames,
        "seconds_per_frame": float(np.mean(seconds)),
        "vertices": counts,
        "deepest_mm": [1000 * max(m.deepest[k] for m in measures) for k in range(len(garments))],
        "deep_percent": [100 * max(m.deep[k] for m in measures) for k in range(len(garments))],
        "stretch_percent": [100 * (max(m.stretch[k] for m in measures) - 1) for k in range(len(garments))],
        "speed": max(m.speed for m in measures),
    }
    return ClothSequence(
        title=plan.title,
        motion=plan.motion,
        split=plan.split,
        person=plan.person,
        fps=FPS,
        body=body,
        local=local,
        lift=lift,
        garments=garments,
        paths=tuple(way[:, a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)),
        report=report,
    )


class Gauge:
    """Measures frames of some garments on one body."""

    def __init__(self, garments: tuple[Garment, ...], skin: np.ndarray, triangles: np.ndarray):
        self._distance = SignedDistance(skin, triangles)
        self._starts = np.cumsum([0, *(len(g.vertices) for g in garments)])
        self._edges, self._length = [], []
        for garment in garments:
            edges = np.sort(garment.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
            edges = np.unique(edges, axis=0)
            self._edges.append(edges)
            self._length.append(np.linalg.norm(np.diff(garment.pattern[edges], axis=1)[:, 0], axis=1))

    def __call__(self, cloth: np.ndarray, before: np.ndarray, skin: np.ndarray) -> Measures:
        """``cloth``, ``before``: all garments' vertices now and a frame ago; ``skin``: now."""
        speed = float(np.linalg.norm(cloth - before, axis=1).max() * FPS)
        if not np.isfinite(speed):
            nothing = [float("nan")] * len(self._edges)
            return Measures(nothing, [1.0] * len(nothing), [float("inf")] * len(nothing), speed)
        self._distance.move(skin)
        depth = -self._distance(cloth, 0.05)[0]
        deepest, deep, stretch = [], [], []
        for edges, length, a, b in zip(self._edges, self._length, self._starts[:-1], self._starts[1:], strict=True):
            deepest.append(float(max(depth[a:b].max(), 0)))
            deep.append(float((depth[a:b] > DEEP).mean()))
            now = np.linalg.norm(np.diff(cloth[a:b][edges], axis=1)[:, 0], axis=1)
            stretch.append(float(np.percentile(now / length, 99.5)))
        return Measures(deepest, deep, stretch, speed)
