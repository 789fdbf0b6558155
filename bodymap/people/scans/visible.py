"""What of a scan can be seen from outside: models made of layers hide skin under cloth, which no scanner would see."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool

from bodymap.people.scans.read import Scan
from bodymap.rendering import rasterize

_SIZE = 1024
# degrees: not from far below, where one looks into skirts and trouser legs
_ELEVATIONS = (-15, 15, 45)
_AZIMUTHS = 12


def seen_faces(scan: Scan) -> Bool[np.ndarray, " face"]:
    """Triangles in front in at least one pixel of parallel views from around and above; the scan is upright, Z up."""
    low, high = scan.vertices[scan.triangles].reshape(-1, 3).min(0), scan.vertices[scan.triangles].reshape(-1, 3).max(0)
    radius = float(np.linalg.norm(high - low)) / 2
    points = torch.from_numpy((scan.vertices - (low + high) / 2) / radius).float()
    triangles = torch.from_numpy(scan.triangles)
    seen = torch.zeros(len(triangles), dtype=torch.bool)
    for axes in _views():
        clip = torch.cat([points @ axes.T, torch.ones(len(points), 1)], 1)
        shown = rasterize(clip[None], triangles, (_SIZE, _SIZE))[0].triangle
        seen[shown[shown >= 0]] = True
    return seen.numpy()


def _views() -> list[torch.Tensor]:
    """Rows right, down, forward of each view."""
    directions = [np.array([0, 1e-3, -1.0])]
    for elevation in np.radians(_ELEVATIONS):
        for azimuth in np.arange(_AZIMUTHS) * 2 * np.pi / _AZIMUTHS + elevation:
            flat = np.cos(elevation)
            directions.append(np.array([flat * np.sin(azimuth), flat * np.cos(azimuth), -np.sin(elevation)]))
    views = []
    for forward in directions:
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        views.append(torch.from_numpy(np.stack([right, np.cross(forward, right), forward])).float())
    return views
