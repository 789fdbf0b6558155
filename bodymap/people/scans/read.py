"""A scan file (.glb, .gltf, .obj, .ply, ...) as plain arrays, and evenly spread samples of its surface."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from bodymap.errors import UserError
from bodymap.people.mesh import components, corner_normals

_LEAST_TRIANGLES = 500
_CRUMB = 0.0005  # components with less of the area than this are dust


@dataclass(frozen=True)
class Scan:
    """A textured triangle mesh in any pose, place and unit. n vertices (doubled at texture seams), m triangles.

    Attributes:
        uv: texture coordinates, v **down**; not used where ``picture`` is -1.
        picture: index into ``pictures`` of each triangle, -1: vertex colours.
        pictures: (H, W, 3) uint8 each.
        colour: vertex colours, uint8; None if the scan has neither texture nor colours.
    """

    vertices: Float[np.ndarray, "vertex xyz=3"]
    triangles: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "vertex uv=2"]
    picture: Int[np.ndarray, " face"]
    pictures: tuple[UInt8[np.ndarray, "height width rgb=3"], ...] = ()
    colour: UInt8[np.ndarray, "vertex rgb=3"] | None = None

    def moved(self, T: Float[np.ndarray, "4 4"]) -> Scan:
        """The scan in another frame: a rotation, scale and translation."""
        return replace(self, vertices=self.vertices @ T[:3, :3].T + T[:3, 3])

    @functools.cached_property
    def welded(self) -> Int[np.ndarray, "face 3"]:
        """Triangles over vertices joined where they coincide: texture seams are no borders."""
        step = max(float(np.ptp(self.vertices, axis=0).max()) * 1e-6, 1e-12)
        _, index = np.unique(np.round(self.vertices / step).astype(np.int64), axis=0, return_inverse=True)
        return index.reshape(-1)[self.triangles]

    @functools.cached_property
    def normals(self) -> Float[np.ndarray, "vertex xyz=3"]:
        """Unit vertex normals, smooth across texture seams."""
        welded = self.welded
        place = np.zeros((welded.max() + 1, 3))
        place[welded] = self.vertices[self.triangles]
        out = np.zeros_like(self.vertices)
        out[self.triangles] = corner_normals(place, welded)[welded]
        return out

    def colours_at(
        self, face: Int[np.ndarray, " point"], barycentric: Float[np.ndarray, "point 3"]
    ) -> Float[np.ndarray, "point rgb=3"]:
        """Colour of points on the surface, in [0, 1]; bilinear, textures repeat; grey where the scan has no colour."""
        corners = self.triangles[face]
        out = np.full((len(face), 3), 0.6)
        if self.colour is not None:
            out = (self.colour[corners] * barycentric[..., None]).sum(1) / 255
        uv = (self.uv[corners] * barycentric[..., None]).sum(1)
        for k, picture in enumerate(self.pictures):
            mine = self.picture[face] == k
            out[mine] = _bilinear(picture, uv[mine])
        return out


@dataclass(frozen=True)
class Samples:
    """Points spread evenly over a scan. ``face``: the triangle each lies on; ``rim``: beside a border (a hole)."""

    points: Float[np.ndarray, "sample xyz=3"]
    normals: Float[np.ndarray, "sample xyz=3"]
    face: Int[np.ndarray, " sample"]
    rim: Bool[np.ndarray, " sample"]

    def some(self, count: int) -> Samples:
        """The first ``count``: they are in random order, so any part is spread evenly too."""
        part = slice(0, count)
        return Samples(self.points[part], self.normals[part], self.face[part], self.rim[part])


def read_scan(path: str | os.PathLike) -> Scan:
    """Reads a mesh with trimesh; the parts of a scene are joined.

    Raises:
        UserError: trimesh is missing; the file is missing, unreadable, a point cloud or no surface of a person.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no scan at {path}; give a .glb, .gltf, .obj or .ply file.")
    try:
        import trimesh
    except ImportError:
        raise UserError("Reading scans needs trimesh: pip install bodymap[scans].") from None
    try:
        meshes = [part for part in trimesh.load_scene(path).dump() if isinstance(part, trimesh.Trimesh)]
        # textures are decoded only now
        parts = [_part(mesh) for mesh in meshes if len(mesh.faces)]
    except Exception as error:  # trimesh's readers raise whatever their format's parser does
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"The scan {path} cannot be read ({reason[:160]}); export it again as .glb.") from None
    if not parts:
        raise UserError(f"{path} holds no triangles (a point cloud, perhaps); make a mesh of it first.")
    return _clean(_join(parts), path)


def _part(mesh) -> Scan:
    """One trimesh with its texture or colours."""
    count = len(mesh.vertices)
    uv = getattr(mesh.visual, "uv", None)
    picture = _picture(mesh) if uv is not None and len(uv) == count else None
    colour = None if picture is not None else _colours(mesh)
    flat = np.zeros((count, 2)) if picture is None else np.array(uv, float) * [1, -1] + [0, 1]
    faces = np.array(mesh.faces, np.int64)
    which = np.full(len(faces), -1 if picture is None else 0)
    pictures = () if picture is None else (picture,)
    return Scan(np.array(mesh.vertices, float), faces, flat, which, pictures, colour)


def _picture(mesh) -> np.ndarray | None:
    """The base colour texture, (H, W, 3) uint8, times the material's factor; None without one."""
    material = getattr(mesh.visual, "material", None)
    image = getattr(material, "baseColorTexture", None)
    image = getattr(material, "image", None) if image is None else image
    if image is None:
        return None
    pixels = np.array(image.convert("RGB"))
    factor = getattr(material, "baseColorFactor", None)
    if factor is not None:
        factor = np.asarray(factor, float)[:3] / 255  # trimesh keeps it as uint8
        if (factor < 0.999).any():
            pixels = (pixels * factor).astype(np.uint8)
    return pixels


def _colours(mesh) -> np.ndarray | None:
    """Vertex colours, or the material's one colour; None without either."""
    if mesh.visual.kind in ("vertex", "face"):
        return np.array(mesh.visual.vertex_colors, np.uint8)[:, :3]
    single = getattr(getattr(mesh.visual, "material", None), "main_color", None)
    return None if single is None else np.tile(np.asarray(single, np.uint8)[:3], (len(mesh.vertices), 1))


def _join(parts: list[Scan]) -> Scan:
    vertex, pictures = 0, 0
    triangles, which, colours = [], [], []
    for part in parts:
        triangles.append(part.triangles + vertex)
        which.append(np.where(part.picture >= 0, part.picture + pictures, -1))
        grey = np.full((len(part.vertices), 3), 153, np.uint8)
        colours.append(grey if part.colour is None else part.colour)
        vertex += len(part.vertices)
        pictures += len(part.pictures)
    coloured = any(part.colour is not None or part.pictures for part in parts)
    return Scan(
        vertices=np.concatenate([part.vertices for part in parts]),
        triangles=np.concatenate(triangles),
        uv=np.concatenate([part.uv for part in parts]),
        picture=np.concatenate(which),
        pictures=tuple(picture for part in parts for picture in part.pictures),
        colour=np.concatenate(colours) if coloured else None,
    )


def _clean(scan: Scan, path: Path) -> Scan:
    """Without dust and degenerate triangles, normals outwards."""
    if not np.isfinite(scan.vertices).all():
        raise UserError(f"The scan {path} has vertices that are not finite numbers; repair it first.")
    if scan.triangles.min() < 0 or scan.triangles.max() >= len(scan.vertices):
        raise UserError(f"The scan {path} is damaged (a triangle names a vertex that is not there); export it again.")
    areas = _areas(scan)
    keep = areas > 0
    label = components(scan.welded, int(scan.welded.max()) + 1)[scan.welded[:, 0]]
    keep &= np.bincount(label, areas)[label] > _CRUMB * areas.sum()
    scan = replace(scan, triangles=scan.triangles[keep], picture=scan.picture[keep])
    if len(scan.triangles) < _LEAST_TRIANGLES:
        raise UserError(f"The scan {path} has only {len(scan.triangles)} triangles: too coarse to be a person's scan.")
    a, b, c = (scan.vertices[scan.triangles[:, k]] - scan.vertices.mean(0) for k in range(3))
    if (a * np.cross(b, c)).sum() < 0:  # a signed volume: the mesh is inside out
        scan = replace(scan, triangles=scan.triangles[:, ::-1].copy())
    return scan


def sample_scan(
    scan: Scan, count: int, rng: np.random.Generator, seen: Bool[np.ndarray, " face"] | None = None
) -> Samples:
    """``count`` points, as many per area everywhere, in random order; normals are smoothed over the nearest ones, so
    that a scanner's noise does not tilt them.

    Args:
        seen: only on these triangles; None: on all.
    """
    from scipy.spatial import cKDTree

    areas = _areas(scan) * (1.0 if seen is None else seen)
    # one point in each of ``count`` equal shares of the area
    place = (np.arange(count) + rng.random(count)) / count * areas.sum()
    face = np.searchsorted(np.cumsum(areas), place).clip(0, len(areas) - 1)
    rng.shuffle(face)
    first, second = np.sqrt(rng.random(count)), rng.random(count)
    weight = np.stack([1 - first, first * (1 - second), first * second], 1)[..., None]
    points = (scan.vertices[scan.triangles[face]] * weight).sum(1)
    normals = _unit((scan.normals[scan.triangles[face]] * weight).sum(1))

    near = cKDTree(points).query(points, k=9)[1]
    alike = np.einsum("nkc,nc->nk", normals[near], normals) > 0.2  # the other side of a thin finger is not
    normals = _unit((normals[near] * alike[..., None]).sum(1) + 1e-9 * normals)
    return Samples(points, normals, face, _rim(scan)[face])


def closest_on_scan(
    scan: Scan, samples: Samples, tree, queries: Float[np.ndarray, "point xyz=3"], key: np.ndarray
) -> tuple[Int[np.ndarray, " point"], Float[np.ndarray, "point 3"]]:
    """(triangle, barycentric) near the nearest samples: ``tree`` holds the samples in the space of ``key``."""
    import torch

    from bodymap.surface.points import closest_on_triangle

    near = samples.face[tree.query(key, k=6)[1]]
    corners = torch.from_numpy(scan.vertices[scan.triangles[near]])
    weights = closest_on_triangle(torch.from_numpy(queries)[:, None], *corners.unbind(-2)).numpy()
    gap = np.linalg.norm((weights[..., None] * corners.numpy()).sum(-2) - queries[:, None], axis=-1)
    best = gap.argmin(1)
    row = np.arange(len(best))
    return near[row, best], weights[row, best]


def _rim(scan: Scan) -> Bool[np.ndarray, " face"]:
    """Triangles with an edge that no other triangle has."""
    t = scan.welded
    edges = np.sort(np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]]), axis=1)
    _, index, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    return (count[index.reshape(-1)] == 1).reshape(3, -1).any(0)


def _areas(scan: Scan) -> Float[np.ndarray, " face"]:
    a, b, c = (scan.vertices[scan.triangles[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _bilinear(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - column)[:, None], (y - row)[:, None]
    at = lambda dy, dx: picture[(row + dy) % height, (column + dx) % width] / 255  # noqa: E731
    return (at(0, 0) * (1 - fx) + at(0, 1) * fx) * (1 - fy) + (at(1, 0) * (1 - fx) + at(1, 1) * fx) * fy
