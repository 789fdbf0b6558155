"""How steady a film of an avatar is: each frame, carried along by the body's own motion, against the next one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float

from apps.rerender.avatar import Avatar
from apps.rerender.view import frame_camera, render_rgba
from bodymap.fitting.body import project
from bodymap.fitting.picture import draw
from bodymap.types import Correspondence

if TYPE_CHECKING:
    from apps.rerender.renderer import RendererNet

_NEAR = 0.01  # metres: a point that lies deeper than what the next frame shows there is hidden in it
_WHOLE = 0.99  # of a pixel that the person covers: others mix with what is behind


def flicker(
    avatar: Avatar,
    bodies: Sequence[Float[np.ndarray, "vertex=13380 xyz=3"]],
    renderer: RendererNet | None = None,
    size: int = 480,
) -> float:
    """The median difference over all pairs of neighbouring frames and all their pixels, in [0, 255].

    Compared are pixels whose surface point is seen in both frames, by the mean over the channels. The next frame is
    looked up bilinearly where that point has gone, which alone makes sharp texture differ a little. What a skirt or
    long hair covers is left out.

    Args:
        bodies: the film's posed surfaces, at least two.  size: longer side of the frames.
    """
    camera = frame_camera(avatar.fit.camera, [avatar.extent(body) for body in bodies], size)
    triangles = avatar.template.triangles.cpu().numpy()
    differences, before = [], None
    for body in bodies:
        rgb, alpha = render_rgba(avatar, body, camera, renderer)
        shown = draw(body, camera)
        for shell in avatar.shells:
            shown.mask[shell.over(body, camera)[0]] = False
        frame = np.concatenate([rgb, alpha], -1).astype(np.float32), shown, body
        if before is not None:
            (old, seen, _), (new, now, _) = before, frame
            rows, columns = np.nonzero(seen.mask & (old[..., 3] > _WHOLE))
            place = triangles[seen.triangle[rows, columns]], seen.barycentric[rows, columns]
            gone = np.einsum("nc,ncx->nx", place[1], body[place[0]])
            at = project(gone, camera)
            there = _seen(now, body, triangles, gone, at)
            sampled = _sampled(new, at[there])
            kept = sampled[:, 3] > _WHOLE
            difference = np.abs(sampled[kept, :3] - old[rows[there], columns[there], :3][kept]).mean(1)
            differences.append(difference)
        before = frame
    return float(np.median(np.concatenate(differences)))


def _seen(
    now: Correspondence, body: np.ndarray, triangles: np.ndarray, points: np.ndarray, at: np.ndarray
) -> Bool[np.ndarray, " point"]:
    """Which points a frame shows: nothing lies before them."""
    height, width = now.size
    column, row = np.floor(at).astype(int).T
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    row, column = row.clip(0, height - 1), column.clip(0, width - 1)
    inside &= now.mask[row, column]
    corners = body[triangles[now.triangle[row, column]]]
    depth = np.einsum("nc,nc->n", now.barycentric[row, column], corners[..., 2])
    return inside & (points[:, 2] < depth + _NEAR)


def _sampled(image: Float[np.ndarray, "height width c"], at: Float[np.ndarray, "point xy=2"]) -> np.ndarray:
    """(n, c) bilinear values."""
    height, width = image.shape[:2]
    grid = torch.from_numpy((2 * at / (width, height) - 1).astype(np.float32))[None, None]
    stacked = torch.from_numpy(image).permute(2, 0, 1)[None]
    return torch.nn.functional.grid_sample(stacked, grid, align_corners=False)[0, :, 0].T.numpy()
