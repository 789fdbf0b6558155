"""The motion of a person in a film: a body fitted to each frame, gaps closed, trembling taken out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from apps.rerender.avatar import Avatar
from bodymap.errors import UserError
from bodymap.fitting import BodyFit, fit_body
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.rig import State
from bodymap.types import Correspondence

_WORST = 0.02  # spread (shares of the person's size) from which a fit has lost the person
_SMOOTHED = 1.2  # standard deviation, frames, of the filter over rotations and places
_STILLED = 4.0  # the same for the distance from the camera, of which a single view knows little


@dataclass(frozen=True)
class Motion:
    """Attributes:
    local: of each frame, local rotations of the pack's bones; the root's in the camera's axes.
    place: of each frame, where the root is, in heights of the body, from where it is in the first frame.
    missing: frames in which nobody was mapped, or no body fitted; they lie between their neighbours.
    """

    local: Float[np.ndarray, "frame bone 3 3"]
    place: Float[np.ndarray, "frame xyz=3"]
    missing: int


def fit_motion(maps: Iterable[Correspondence | None], pack: Pack | None = None) -> Motion:
    """One body a frame, each begun where the one before was; about half a second of a CPU core a frame.

    Args:
        maps: of the frames; None where nobody was seen.

    Raises:
        UserError: no body fits any frame.
    """
    pack = pack if pack is not None else Pack.load()
    fits: list[BodyFit | None] = []
    before: State | None = None
    for c in maps:
        fit = None if c is None else _fit(c, pack, before)
        before = None if fit is None else fit.state
        fits.append(fit)
    there = [n for n, fit in enumerate(fits) if fit is not None]
    if not there:
        raise UserError("No body can be fitted to the film's people; choose one that shows a person whole and large.")
    found = [fits[n] for n in there]
    height = np.median([np.ptp(_rest_heights(fit)) for fit in found])
    local = _rotations_between(np.array([fit.state.local for fit in found]), there, len(fits))
    root = np.array([fit.state.move + fit.pack.heads(fit.state.shape)[0] for fit in found])
    place = np.stack([np.interp(np.arange(len(fits)), there, root[:, axis]) for axis in range(3)], 1)
    return Motion(*_steadied(local, (place - place[:1]) / height), len(fits) - len(there))


def driven(avatar: Avatar, motion: Motion) -> list[Float[np.ndarray, "vertex=13380 xyz=3"]]:
    """The avatar's bodies, one a frame, on the ground that it stands on (jumps stay on it)."""
    height = float(np.ptp(avatar.vertices @ avatar.up))
    across = motion.place - np.outer(motion.place @ avatar.up, avatar.up)
    return [
        avatar.posed(local, own_root=True) + height * step for local, step in zip(motion.local, across, strict=True)
    ]


def _fit(c: Correspondence, pack: Pack, before: State | None) -> BodyFit | None:
    """From the frame before; where that leads nowhere, anew."""
    for start in [before, None] if before is not None else [None]:
        try:
            fit = fit_body(c, pack, start=start)
        except UserError:
            return None
        if fit.spread < _WORST:
            return fit
    return None


def _rest_heights(fit: BodyFit) -> Float[np.ndarray, " vertex"]:
    return fit.pack.vertices(fit.state.shape)[:SKIN_VERTICES, 2]


def _rotations_between(
    local: Float[np.ndarray, "known bone 3 3"], there: Sequence[int], count: int
) -> Float[np.ndarray, "frame bone 3 3"]:
    """Rotations at every frame: on the shortest way between those known, and still before and after them."""
    from scipy.spatial.transform import Rotation, Slerp

    at = np.clip(np.arange(count), there[0], there[-1])
    if len(there) == 1:
        return np.repeat(local, count, 0)
    bones = [Slerp(there, Rotation.from_matrix(local[:, j]))(at).as_matrix() for j in range(local.shape[1])]
    return np.stack(bones, 1)


def _steadied(local: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian means over time: of unit quaternions of one sign, and of places."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.spatial.transform import Rotation

    frames, bones = local.shape[:2]
    quaternions = Rotation.from_matrix(local.reshape(-1, 3, 3)).as_quat().reshape(frames, bones, 4)
    for k in range(1, frames):
        quaternions[k][(quaternions[k] * quaternions[k - 1]).sum(-1) < 0] *= -1
    mean = gaussian_filter1d(quaternions, _SMOOTHED, axis=0, mode="nearest")
    local = Rotation.from_quat(mean.reshape(-1, 4)).as_matrix().reshape(local.shape)
    spread = _SMOOTHED, _SMOOTHED, _STILLED
    place = np.stack([gaussian_filter1d(place[:, n], s, mode="nearest") for n, s in enumerate(spread)], 1)
    return local, place - place[:1]
