"""Reads Wavefront .obj meshes: positions, UV, faces of any size, group names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bodymap.errors import UserError
from bodymap.people.assets.lookup import read_text


@dataclass(frozen=True)
class ObjMesh:
    """A mesh as the file has it, except that v runs **down**. Faces keep their corners (three, four or more).

    uv_faces holds -1 where a corner has no UV.
    """

    vertices: Float[np.ndarray, "vertex xyz=3"]
    uv: Float[np.ndarray, "uv_vertex uv=2"]
    faces: list[list[int]]
    uv_faces: list[list[int]]
    groups: list[str]


def read_obj(path: Path) -> ObjMesh:
    """Reads a mesh; unknown lines are ignored, negative (relative) indices understood.

    Raises:
        UserError: missing, or not an .obj: no faces, a corner that does not exist, numbers that are none; cut off.
    """
    lines = read_text(path).splitlines()
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    faces, uv_faces, groups, group = [], [], [], ""
    try:
        for line in lines:
            words = line.split()
            if not words:
                continue
            if words[0] == "v":
                vertices.append([float(x) for x in words[1:4]])
            elif words[0] == "vt":
                uv.append([float(words[1]), 1 - float(words[2]) if len(words) > 2 else 0.0])
            elif words[0] in ("g", "o"):
                group = words[1] if len(words) > 1 else ""
            elif words[0] == "f":
                corners = [word.split("/") for word in words[1:]]
                faces.append([_index(c[0], len(vertices)) for c in corners])
                uv_faces.append([_index(c[1], len(uv)) if len(c) > 1 and c[1] else -1 for c in corners])
                groups.append(group)
        mesh = ObjMesh(
            np.array(vertices, np.float32).reshape(-1, 3),
            np.array(uv, np.float32).reshape(-1, 2),
            faces,
            uv_faces,
            groups,
        )
    except (ValueError, IndexError, OverflowError):
        raise UserError(f"{path} is not a readable .obj mesh.") from None
    if not faces or max(map(max, faces)) >= len(vertices) or max(map(max, uv_faces)) >= len(uv):
        raise UserError(f"The mesh {path} has no faces, or faces with vertices that do not exist.")
    if not (np.isfinite(mesh.vertices).all() and np.isfinite(mesh.uv).all()):
        raise UserError(f"The mesh {path} has coordinates that are no numbers.")
    return mesh


def _index(word: str, count: int) -> int:
    number = int(word)
    if number == 0 or number < -count:
        raise ValueError("index")
    return number - 1 if number > 0 else count + number


def triangulate(
    faces: list[list[int]], uv_faces: list[list[int]]
) -> tuple[Int[np.ndarray, "face 3"], Int[np.ndarray, "face 3"]]:
    """Fans of triangles, degenerate ones left out (some quads repeat a vertex). Corners and UV corners, int32."""
    corners, uv_corners = [], []
    for face, uv_face in zip(faces, uv_faces, strict=True):
        for k in range(1, len(face) - 1):
            if len({face[0], face[k], face[k + 1]}) == 3:
                corners.append((face[0], face[k], face[k + 1]))
                uv_corners.append((uv_face[0], uv_face[k], uv_face[k + 1]))
    return np.array(corners, np.int32).reshape(-1, 3), np.array(uv_corners, np.int32).reshape(-1, 3)
