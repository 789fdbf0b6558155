"""Path-traced pictures on disk: one PNG, and beside it one .npz with the truth of every pixel."""

from __future__ import annotations

import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from bodymap.errors import UserError
from bodymap.files import atomic_path
from bodymap.types import Camera, Sample

_ARRAYS = ("foreground", "triangle", "barycentric", "part", "layer", "normal", "instance")
_OPTIONAL = ("covered_triangle", "covered_barycentric")


def write_picture(path: Path, made: Sample, agreement: float, recipe: str) -> None:
    """Writes ``path`` (PNG) and, first, the .npz of the same name.

    Args:
        agreement: intersection over union of the path tracer's silhouette and the truth's foreground.
        recipe: how the picture was made; ``is_finished`` compares it.
    """
    from PIL import Image

    arrays = {name: getattr(made, name) for name in _ARRAYS}
    arrays |= {name: value for name in _OPTIONAL if (value := getattr(made, name, None)) is not None}
    with atomic_path(path.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            **arrays,
            intrinsics=made.camera.intrinsics,
            T_camera_world=made.camera.T_camera_world,
            distortion=np.float32(made.camera.distortion),
            facing=np.float32(made.facing),
            seeds=np.array(made.seeds, np.int64),
            agreement=np.float32(agreement),
            recipe=np.array(recipe),
        )
    with atomic_path(path) as temporary:
        Image.fromarray(made.image).save(temporary, format="PNG")


def read_picture(path: Path) -> Sample:
    """The picture with its truth, given the name of either file; ``body`` stays empty.

    Raises:
        UserError: one of the files is missing or damaged.
    """
    from PIL import Image

    path = Path(path)
    try:
        with Image.open(path.with_suffix(".png")) as file:
            image = np.array(file.convert("RGB"))
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as data:
            names = {f.name for f in fields(Sample)}
            arrays = {name: data[name] for name in (*_ARRAYS, *_OPTIONAL) if name in data and name in names}
            size = image.shape[:2]
            camera = Camera(data["intrinsics"], data["T_camera_world"], size, float(data["distortion"]))
            made = Sample(
                image=image,
                camera=camera,
                facing=float(data["facing"]),
                seeds=tuple(int(s) for s in data["seeds"]),
                **arrays,
            )
        if made.triangle.shape != image.shape[:2]:
            raise ValueError
    except (OSError, KeyError, ValueError, EOFError, TypeError, zipfile.BadZipFile):
        raise UserError(
            f"{path.with_suffix('.png')} and its .npz are not a readable path-traced picture; make it again."
        ) from None
    return made


def is_finished(path: Path, recipe: str) -> float | None:
    """The agreement of a picture that is there already, made by the same recipe; None: it has to be made."""
    if not path.is_file():
        return None
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as data:
            return float(data["agreement"]) if str(data["recipe"]) == recipe else None
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def with_image(truth: Sample, image: np.ndarray) -> Sample:
    """The same truth under another picture."""
    return replace(truth, image=image)
