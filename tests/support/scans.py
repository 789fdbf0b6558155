"""Scans made from our own people: posed bodies, with or without clothes, written as .glb, with noise and holes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bodymap.people.mesh import Piece

# glTF: Y up, the person faces +Z
T_GLTF_WORLD = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def export_scan(
    path: Path,
    pieces: tuple[Piece, ...],
    vertices: np.ndarray,
    T: np.ndarray = T_GLTF_WORLD,
    noise: float = 0.0,
    holes: int = 0,
    seed: int = 0,
) -> None:
    """Writes posed pieces as one scene.

    Args:
        vertices: (n, 3) metres, those of all pieces one after the other, as ``Person.pose`` returns them.
        T: (4, 4) takes metres, Z up to the file's frame.
        noise: metres, standard deviation of each coordinate.
        holes: how many balls of 3 to 6 cm radius, evenly spread over the surface, are cut out.
    """
    import trimesh
    from PIL import Image

    rng = np.random.default_rng(seed)
    vertices = vertices + rng.normal(0, noise, vertices.shape) if noise else vertices
    centres = _places(pieces, vertices, holes, rng)
    radii = rng.uniform(0.03, 0.06, holes)
    scene = trimesh.Scene()
    start = 0
    for piece in pieces:
        own = vertices[start : start + len(piece.vertices)]
        start += len(piece.vertices)
        centre = own[piece.triangles].mean(1)
        keep = (np.linalg.norm(centre[:, None] - centres, axis=2) > radii).all(1)
        if not keep.any():
            continue
        pairs = np.stack([piece.triangles[keep].reshape(-1), piece.uv_triangles[keep].reshape(-1)], 1)
        pairs, index = np.unique(pairs, axis=0, return_inverse=True)
        places = own[pairs[:, 0]] @ T[:3, :3].T + T[:3, 3]
        texture = piece.material.texture
        if texture is None:
            texture = np.tile((np.clip(piece.material.colour, 0, 1) * 255).astype(np.uint8), (8, 8, 1))
        material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(texture))
        visual = trimesh.visual.TextureVisuals(uv=piece.uv[pairs[:, 1]] * [1, -1] + [0, 1], material=material)
        mesh = trimesh.Trimesh(places, index.reshape(-1, 3), visual=visual, process=False)
        scene.add_geometry(mesh)
    path.write_bytes(scene.export(file_type=path.suffix[1:]))


def _places(pieces: tuple[Piece, ...], vertices: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The middles of random triangles, by area."""
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    triangles = np.concatenate([piece.triangles + start for piece, start in zip(pieces, starts, strict=False)])
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return (a + b + c)[rng.choice(len(area), count, p=area / area.sum())] / 3
