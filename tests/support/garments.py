"""Writes small garments in MakeHuman's layout, for tests: a piece of the skin, one centimetre off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.surface.body import load_template

# Heights on the default body, metres, and the largest distance from its middle plane: what the garment covers
ZONES = {
    "vest": (0.02, 0.50, 0.19),
    "trousers": (-0.70, 0.14, 0.30),
    "belt": (0.05, 0.11, 0.19),
    "gloves": (-1.0, 1.0, 0.42),  # beyond, not within
    "mask": (0.60, 0.70, 0.19),
    "cap": (0.74, 1.0, 0.19),
    "shoes": (-1.0, -0.72, 0.5),
}
MHMAT = "name {0}\ndiffuseColor 1.0 1.0 1.0\ndiffuseTexture {0}_diffuse.png\n"


def write_garment(folder: Path, name: str, zone: str = "vest", mhmat: str | None = MHMAT, texture: bool = True) -> Path:
    """Writes NAME.mhclo, .obj, .mhmat and a texture into ``folder``; returns the .mhclo."""
    folder.mkdir(parents=True, exist_ok=True)
    base = Pack.load().base_vertices[:SKIN_VERTICES]
    low, high, side = ZONES[zone]
    aside = np.abs(base[:, 0])
    inside = (base[:, 2] > low) & (base[:, 2] < high) & ((aside > side) if zone == "gloves" else (aside < side))
    triangles = load_template().triangles.numpy()
    triangles = triangles[inside[triangles].all(1)]
    ids, faces = np.unique(triangles, return_inverse=True)
    faces = faces.reshape(-1, 3)
    middle = base[ids].mean(0)
    away = base[ids] - middle
    away[:, 2] = 0
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    # MakeHuman's axes and decimetres
    offset = 0.1 * np.stack([away[:, 0], away[:, 2], -away[:, 1]], 1)
    lines = [f"# {name}", "basemesh hm08", f"name {name}", f"obj_file {name}.obj"]
    lines += ["x_scale 5399 11998 1.3980", "z_scale 962 5320 1.8461", "y_scale 791 881 2.2048"]
    lines += [f"material {name}.mhmat"] if mhmat is not None else []
    lines += ["verts 0"]
    lines += [f"{i} {i} {i} 1.0 0.0 0.0 {x:.5f} {y:.5f} {z:.5f}" for i, (x, y, z) in zip(ids, offset, strict=True)]
    lines += ["delete_verts", " ".join(str(i) for i in ids[::2])]
    path = folder / f"{name}.mhclo"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    span = np.ptp(base[ids], axis=0)
    uv = (base[ids] - base[ids].min(0))[:, [0, 2]] / span[[0, 2]]
    obj = [f"v {x:.4f} {z:.4f} {-y:.4f}" for x, y, z in 10 * base[ids]]
    obj += [f"vt {u:.4f} {v:.4f}" for u, v in uv]
    obj += ["vn 0 0 1", f"g {name}"]
    obj += ["f " + " ".join(f"{corner + 1}/{corner + 1}/1" for corner in face) for face in faces]
    (folder / f"{name}.obj").write_text("\n".join(obj) + "\n", encoding="utf-8")
    if mhmat is not None:
        (folder / f"{name}.mhmat").write_text(mhmat.format(name), encoding="utf-8")
    if texture:
        ramp = np.linspace(40, 220, 32).astype(np.uint8)
        picture = np.stack(
            [np.broadcast_to(ramp, (32, 32)), np.full((32, 32), 90, np.uint8), ramp[:, None] + 0 * ramp], 2
        )
        Image.fromarray(picture).save(folder / f"{name}_diffuse.png")
    return path
