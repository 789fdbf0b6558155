"""The posed, textured body as a glTF file that any viewer opens."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float

from apps.rerender import hair, skirt
from apps.rerender.avatar import Avatar
from bodymap.errors import UserError
from bodymap.files import atomic_path

# From the camera's space (x right, y down, z away) to glTF's (x right, y up, z towards the viewer)
_GLTF = np.array([1.0, -1.0, -1.0])


def check_export(path: Path) -> None:
    """Refuses a name or a machine that cannot write it.

    Raises:
        UserError: another ending than .glb, no such folder, or trimesh is not installed.
    """
    import importlib.util

    if path.suffix.lower() != ".glb":
        raise UserError(f"{path} must end in .glb: binary glTF is what is written.")
    if not Path(os.path.realpath(path)).parent.is_dir():
        raise UserError(f"The folder {path.parent} does not exist; create it, or choose another output.")
    if importlib.util.find_spec("trimesh") is None:
        raise UserError("--export needs the package trimesh: pip install 'bodymap[scans]'.")


def write_mesh(path: Path, avatar: Avatar, vertices: Float[np.ndarray, "vertex=13380 xyz=3"]) -> None:
    """Writes the surface with its texture, skirt and long hair as meshes of their own.

    Vertices on UV seams are doubled, the mouth's inside is left out.
    """
    import trimesh

    t = avatar.template
    outside = (t.triangle_inner == 0).cpu().numpy()
    corners, uv_corners = t.triangles.cpu().numpy()[outside], t.uv_triangles.cpu().numpy()[outside]
    pairs, index = np.unique(np.stack([corners.ravel(), uv_corners.ravel()], 1), axis=0, return_inverse=True)
    uv = t.uv.cpu().numpy()[pairs[:, 1]]
    colour = (avatar.texture.colour * 255).round().byte().cpu().numpy()
    scene = trimesh.Scene({"person": _mesh((vertices - avatar.pivot)[pairs[:, 0]], index.reshape(-1, 3), uv, colour)})
    for name, shell, of in (("skirt", avatar.skirt, skirt), ("hair", avatar.hair, hair)):
        if shell is not None:
            picture = (shell.picture * 255).round().astype(np.uint8)
            mesh = _mesh(shell.about(vertices) - avatar.pivot, of.FACES, of.UV[:, ::-1], picture)
            scene.add_geometry(mesh, geom_name=name)
    with atomic_path(path) as temporary:
        scene.export(temporary, file_type="glb")


def _mesh(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, colour: np.ndarray):
    """One textured mesh, cut out where its colours are transparent; ``uv`` counts v downwards, trimesh upwards."""
    import trimesh
    from PIL import Image

    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.fromarray(colour),
        roughnessFactor=0.9,
        metallicFactor=0.0,
        doubleSided=True,
        alphaMode="MASK" if colour.shape[-1] == 4 else "OPAQUE",
    )
    visual = trimesh.visual.TextureVisuals(uv=np.stack([uv[:, 0], 1 - uv[:, 1]], 1), material=material)
    return trimesh.Trimesh(vertices * _GLTF, faces, visual=visual, process=False)
