"""A slow, obvious twin of the rasteriser: rays through a picture, in numpy and float64, for tests.

Every ray is intersected with every triangle whose bounding sphere it meets (Möller and Trumbore, Fast, Minimum
Storage Ray-Triangle Intersection, 1997), without any structure that could itself be wrong. Nothing here imports the
code it checks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_BLOCK = 1 << 22  # ray-triangle pairs looked at together


@dataclass(frozen=True)
class Hits:
    """All crossings of rays and triangles, sorted by ray, then by distance.

    Attributes:
        ray, face: (H,) indices.
        distance: (H,) in lengths of the ray's direction.
        barycentric: (H, 3) weights of the face's corners.
    """

    ray: Int[np.ndarray, " hit"]
    face: Int[np.ndarray, " hit"]
    distance: Float[np.ndarray, " hit"]
    barycentric: Float[np.ndarray, "hit 3"]

    def first(self, keep: np.ndarray, rays: int) -> Int[np.ndarray, " ray"]:
        """The index of the nearest kept hit of each ray, -1 without one."""
        out = np.full(rays, -1)
        index = np.flatnonzero(keep)[::-1]
        out[self.ray[index]] = index
        return out


def pixel_rays(
    intrinsics: Float[np.ndarray, "3 3"],
    T_camera_world: Float[np.ndarray, "4 4"],
    pixels: Float[np.ndarray, "ray 2"],
    distortion: float = 0.0,
) -> tuple[Float[np.ndarray, " xyz=3"], Float[np.ndarray, "ray xyz=3"]]:
    """The eye and the direction through each pixel (column, row); one length of it is one metre of depth.

    A lens with the coefficient ``distortion`` shows at radius r (1 + k r^2) what a pinhole shows at r: inverted by
    Newton's method.
    """
    K, T = intrinsics.astype(np.float64), T_camera_world.astype(np.float64)
    at_camera = np.linalg.solve(K, np.concatenate([pixels, np.ones((len(pixels), 1))], 1).T).T
    seen = np.linalg.norm(at_camera[:, :2], axis=1)
    radius = seen.copy()
    for _ in range(20):
        radius -= (radius * (1 + distortion * radius**2) - seen) / (1 + 3 * distortion * radius**2)
    at_camera[:, :2] *= (radius / np.maximum(seen, 1e-12))[:, None]
    rotation = T[:3, :3]
    return -rotation.T @ T[:3, 3], at_camera @ rotation


def cast(
    vertices: Float[np.ndarray, "vertex xyz=3"],
    triangles: Int[np.ndarray, "face 3"],
    origin: Float[np.ndarray, "ray xyz=3"] | Float[np.ndarray, " xyz=3"],
    direction: Float[np.ndarray, "ray xyz=3"],
    nearest: float = 1e-9,
    farthest: float = np.inf,
) -> Hits:
    """Every crossing between ``nearest`` and ``farthest`` lengths of the direction; both sides of a triangle count."""
    corner = vertices.astype(np.float64)[triangles]
    origin = np.broadcast_to(np.asarray(origin, np.float64), direction.shape)
    direction = direction.astype(np.float64)
    centre = corner.mean(1)
    radius = np.linalg.norm(corner - centre[:, None], axis=2).max(1) * (1 + 1e-9) + 1e-12
    unit = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    found = []
    step = max(1, _BLOCK // max(1, len(triangles)))
    for start in range(0, len(direction), step):
        o, d = origin[start : start + step], unit[start : start + step]
        # squared distance of each centre from each line: |c - o|^2 - ((c - o) . d)^2
        along = d @ centre.T - (o * d).sum(1)[:, None]
        squared = ((centre**2).sum(1)[None] - 2 * o @ centre.T + (o**2).sum(1)[:, None]) - along**2
        ray, face = np.nonzero(squared <= radius[None] ** 2 + 1e-9)
        found.append(_intersect(corner, origin, direction, ray + start, face))
    ray, face, distance, weight = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((face, distance, ray))
    order = order[(distance[order] > nearest) & (distance[order] < farthest)]
    return Hits(ray[order], face[order], distance[order], weight[order])


def _intersect(corner, origin, direction, ray, face):
    a, ab, ac = corner[face, 0], corner[face, 1] - corner[face, 0], corner[face, 2] - corner[face, 0]
    d, s = direction[ray], origin[ray] - a
    p = np.cross(d, ac)
    det = (ab * p).sum(1)
    safe = np.where(np.abs(det) > 1e-18, det, np.inf)  # a triangle seen edge-on is not hit
    u = (s * p).sum(1) / safe
    q = np.cross(s, ab)
    v = (d * q).sum(1) / safe
    distance = (ac * q).sum(1) / safe
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & np.isfinite(safe)
    return ray[hit], face[hit], distance[hit], np.stack([1 - u - v, u, v], 1)[hit]


def closest_point(
    vertices: Float[np.ndarray, "vertex xyz=3"],
    triangles: Int[np.ndarray, "face 3"],
    places: Float[np.ndarray, "point xyz=3"],
) -> tuple[Int[np.ndarray, " point"], Float[np.ndarray, "point xyz=3"]]:
    """(face, closest position on it) of each place, over all triangles.

    A triangle is left out only where its bounding sphere proves that another one is closer.
    """
    corner = vertices.astype(np.float64)[triangles]
    centre = corner.mean(1)
    radius = np.linalg.norm(corner - centre[:, None], axis=2).max(1)
    face_out, point_out = np.zeros(len(places), int), np.zeros((len(places), 3))
    for start in range(0, len(places), 128):
        place = places[start : start + 128].astype(np.float64)
        far = np.linalg.norm(place[:, None] - centre[None], axis=2)
        row, face = np.nonzero(far - radius <= (far + radius).min(1, keepdims=True))
        point = _closest_on(corner[face], place[row])
        gap = np.linalg.norm(point - place[row], axis=1)
        order = np.lexsort((face, gap, row))
        first = order[np.searchsorted(row[order], np.arange(len(place)))]
        face_out[start : start + len(place)], point_out[start : start + len(place)] = face[first], point[first]
    return face_out, point_out


def _closest_on(corner: Float[np.ndarray, "n 3 xyz=3"], p: Float[np.ndarray, "n xyz=3"]) -> np.ndarray:
    """The foot of the perpendicular where it falls inside, else the best point of the three edges."""
    a, b, c = corner[:, 0], corner[:, 1], corner[:, 2]
    normal = np.cross(b - a, c - a)
    squared = np.maximum((normal**2).sum(1), 1e-30)
    foot = p - normal * (((p - a) * normal).sum(1) / squared)[:, None]
    inside = np.ones(len(p), bool)
    best, gap = a.copy(), np.full(len(p), np.inf)
    for i, j in ((a, b), (b, c), (c, a)):
        edge = j - i
        inside &= (np.cross(edge, foot - i) * normal).sum(1) >= 0
        t = np.clip(((p - i) * edge).sum(1) / np.maximum((edge**2).sum(1), 1e-30), 0, 1)
        point = i + edge * t[:, None]
        distance = ((point - p) ** 2).sum(1)
        better = distance < gap
        best[better], gap[better] = point[better], distance[better]
    return np.where((inside & (squared > 1e-24))[:, None], foot, best)
