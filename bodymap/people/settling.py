"""Settles a tube of cloth around two legs: threads keep their length, what is loose falls, legs and floor stay outside.

Position-based dynamics (Mueller et al. 2007, "Position Based Dynamics") with inequality constraints and a fixed, small
number of rounds: enough for a picture, the same result every time. Inside, arrays are (xyz, ring, column).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

_ROUNDS = 12
_ALONG, _AROUND = 1.06, 1.15  # how far cloth gives, times its length at rest
_FALL = 0.02  # metres a round that unsupported cloth falls
_STEP = 0.05  # metres a round at most: a longer step could take cloth through a leg
_SOFT = 0.35  # share of the way to the mean of its neighbours that loose cloth moves in a round
_PINNED = 0.05  # metres below the waistband that stay where they are put
_SPACING = 0.05  # metres between spheres along a leg
_NEAR = 0.3  # metres along the legs up to which a ball concerns a ring
_HIPS = 0.06  # metres along the legs down to which a half of the hips is no sphere


@dataclass(frozen=True)
class Lengths:
    """How long the threads of a tube are on the standing body, metres: ``along`` from ring to ring, ``around`` from
    each column to the next."""

    along: Float[np.ndarray, "ring column"]
    around: Float[np.ndarray, "ring column"]

    @staticmethod
    def of(tube: Float[np.ndarray, "ring column xyz=3"]) -> Lengths:
        """Those of a tube as it is."""
        x = np.moveaxis(tube, -1, 0)
        return Lengths(_length(np.diff(x, axis=1)), _length(np.roll(x, -1, 2) - x))


@dataclass(frozen=True)
class Balls:
    """What cloth must stay out of: centres (xyz=3, k) and radii (k,), metres."""

    centre: Float[np.ndarray, "xyz=3 ball"]
    radius: Float[np.ndarray, " ball"]


class Legs:
    """Legs and hips as balls between the skin's own points, so that they follow every pose.

    Args:
        height: (n,) metres along the legs of the skin points that will be given.  left: whose leg.
    """

    def __init__(self, height: Float[np.ndarray, " n"], left: Bool[np.ndarray, " n"]):
        level = np.floor((height - height.min()) / _SPACING).astype(int) * 2 + left
        self.order = np.argsort(level, kind="stable")
        _, self.first, self.count = np.unique(level[self.order], return_index=True, return_counts=True)
        self.height = np.add.reduceat(height[self.order], self.first) / self.count

    def __call__(self, points: Float[np.ndarray, "n xyz=3"]) -> tuple[Balls, Balls]:
        """In a pose: (few and rough balls, as wide as the legs' widest sides; many, each of which touches the skin)."""
        p = np.ascontiguousarray(points[self.order].T, np.float32)
        centre = np.add.reduceat(p, self.first, axis=1) / self.count.astype(np.float32)
        inward = np.repeat(centre, self.count, 1) - p
        apart = _length(inward)
        mean = np.add.reduceat(apart, self.first) / self.count
        square = np.add.reduceat(apart * apart, self.first) / self.count
        wide = mean + np.sqrt(np.maximum(square - mean * mean, 0))
        # around the hips the cloth was put well, and a half of them is no ball
        rough = Balls(centre, np.where(self.height > _HIPS, wide, 0.85 * mean).astype(np.float32))
        some = slice(None, None, 5)
        return rough, Balls((p + 0.5 * inward)[:, some], 0.5 * apart[some])

    def reach(
        self,
        balls: Balls,
        centre: Float[np.ndarray, "ring xyz=3"],
        outward: Float[np.ndarray, "ring column xyz=3"],
        s: Float[np.ndarray, " ring"],
    ) -> Float[np.ndarray, "ring column"]:
        """How far out along each direction the rough balls of about a ring's height reach, metres; 0: none."""
        away = balls.centre.T[None] - centre[:, None]
        along = outward @ away.swapaxes(1, 2)
        inside = (balls.radius**2 - (away * away).sum(-1))[:, None] + along * along
        near = np.abs(self.height - s[:, None]) < _NEAR
        return np.where(near[:, None] & (inside > 0), along + np.sqrt(np.maximum(inside, 0)), 0).max(-1)


def settle(
    tube: Float[np.ndarray, "ring column xyz=3"],
    lengths: Lengths,
    needed: Float[np.ndarray, "ring column"],
    loose: Float[np.ndarray, " ring"],
    s: Float[np.ndarray, " ring"],
    legs: tuple[Balls, Balls],
    margin: float,
    floor: float,
    closed: bool,
) -> Float[np.ndarray, "ring column xyz=3"]:
    """The tube at rest in a pose.

    Args:
        tube: where a rule put it, metres; its first rings stay there.
        needed: what a ring must reach around the legs, metres from column to column: knees apart widen any skirt.
        loose: 0 where a ring lies level (cloth keeps its fall), up to 1 where it stands on edge and gravity bends it.
        s: metres along the legs of each ring.
        legs: as ``Legs`` gives them; margin: metres off them.
        floor: z of the floor.
        closed: whether the last column meets the first.
    """
    x = np.ascontiguousarray(np.moveaxis(tube, -1, 0), np.float32)
    along = (lengths.along * _ALONG).astype(np.float32)
    around = np.maximum(lengths.around * _AROUND, needed).astype(np.float32)
    if not closed:
        around[:, -1] = np.inf
    fits = (_length(np.diff(x, axis=1)) <= along).all() and (_length(np.roll(x, -1, 2) - x) <= around).all()
    if fits and not loose.any():
        return tube
    free = np.clip((s - s[0] - _PINNED) / 0.08, 0, 1).astype(np.float32)[:, None]
    loose = loose.astype(np.float32)[:, None] * free
    soft = _SOFT * np.maximum(loose, 0.4 * loose.max() * free)
    for number in range(_ROUNDS):
        before = x.copy()
        x[2] -= _FALL * loose
        x += soft * (_mean_of_neighbours(x, closed) - x)
        _limit_along(x, along, free, number % 4 == 0)
        _limit_around(x, around, free)
        if closed:
            # threads alone hardly narrow a ring whose threads are all too long
            excess = 1 - around.sum(1) / np.maximum(_length(np.roll(x, -1, 2) - x).sum(1), 1e-6)
            x += (x.mean(2, keepdims=True) - x) * (0.5 * np.maximum(excess, 0)[:, None] * free)
        step = x - before
        x = before + step * np.minimum(1, _STEP / np.maximum(_length(step), 1e-9))
        _push_out(x, legs[0], margin, free)
        np.maximum(x[2], floor + 0.004, out=x[2])
    _push_out(x, legs[1], margin, free)
    return np.moveaxis(x, 0, -1)


def _limit_along(x: np.ndarray, longest: np.ndarray, free: np.ndarray, sweep: bool) -> None:
    """Shortens threads from ring to ring; a sweep from the waist down moves only the lower end of each."""
    if sweep:
        for k in range(1, x.shape[1]):
            d = x[:, k] - x[:, k - 1]
            x[:, k] = x[:, k - 1] + d * np.minimum(1, longest[k - 1] / np.maximum(_length(d), 1e-9))
        return
    for start in (0, 1):
        _shorten(x[:, start:-1:2], x[:, start + 1 :: 2], longest[start::2], free[start:-1:2], free[start + 1 :: 2])


def _limit_around(x: np.ndarray, longest: np.ndarray, free: np.ndarray) -> None:
    """Shortens threads around the rings, every other one at a time; the last one meets the first column."""
    _shorten(x[..., 0::2], x[..., 1::2], longest[:, 0::2], free, free)
    _shorten(x[..., 1:-1:2], x[..., 2::2], longest[:, 1:-1:2], free, free)
    _shorten(x[..., -1:], x[..., :1], longest[:, -1:], free, free)


def _shorten(a: np.ndarray, b: np.ndarray, longest: np.ndarray, free_a: np.ndarray, free_b: np.ndarray) -> None:
    """Moves both ends (in place) of every thread that is too long; ends that are not free stay."""
    d = b - a
    length = np.maximum(_length(d), 1e-9)
    over = np.maximum(1 - longest / length, 0) / np.maximum(free_a + free_b, 1e-6)
    a += d * (over * free_a)
    b -= d * (over * free_b)


def _push_out(x: np.ndarray, balls: Balls, margin: float, free: np.ndarray) -> None:
    """Each vertex leaves the ball it is deepest in."""
    p = x.reshape(3, -1)
    centre, radius = balls.centre, balls.radius + np.float32(margin)
    # squared distance less squared radius (and less what all balls share): negative inside; the lowest is the deepest,
    # as radii are much alike. In place: there are up to a million of them
    power = p.T @ centre
    power *= 2
    np.subtract((centre * centre).sum(0) - radius * radius, power, out=power)
    ball = power.argmin(1)
    way = p - centre[:, ball]
    apart = np.maximum(_length(way), 1e-6)
    push = np.maximum(radius[ball] - apart, 0) * np.repeat(free[:, 0], x.shape[2]) / apart
    p += way * push


def _mean_of_neighbours(x: np.ndarray, closed: bool) -> np.ndarray:
    total = np.empty_like(x)
    total[:, 0] = x[:, 0] + x[:, 1]
    total[:, 1:-1] = x[:, :-2] + x[:, 2:]
    total[:, -1] = 2 * x[:, -1]
    if not closed:
        return total / 2
    total[..., 1:] += x[..., :-1]
    total[..., :-1] += x[..., 1:]
    total[..., 0] += x[..., -1]
    total[..., -1] += x[..., 0]
    return total / 4


def _length(d: np.ndarray) -> np.ndarray:
    """Of vectors along the first axis."""
    return np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
