"""Writes films: mp4, gif, webp, or numbered png frames, by the file's ending."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from bodymap.errors import UserError
from bodymap.files import atomic_path

ENDINGS = (".mp4", ".gif", ".webp", ".png")


def check_film(path: str | os.PathLike) -> Path:
    """Refuses a name that ``write_film`` could not write, before the frames are made.

    Raises:
        UserError: an unknown ending, a folder, or a folder that does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path} must end in one of {', '.join(ENDINGS)}: the ending chooses the film's format.")
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a file in it.")
    if not path.resolve().parent.is_dir():
        raise UserError(f"The folder {path.parent} does not exist; create it, or choose another output.")
    return path


def write_film(
    path: str | os.PathLike, frames: Iterable[UInt8[np.ndarray, "height width rgb=3"]], fps: float = 25.0
) -> list[Path]:
    """Writes the frames as they come, memory stays that of one (gif and webp: of all).

    Args:
        path: mp4 (H.264), gif or webp; with .png a single frame goes to ``path``, several to ``<stem>_0000.png``, ...

    Returns:
        the files written; they appear when they are complete.

    Raises:
        UserError: see ``check_film``; no frames.
    """
    path = check_film(path)
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise UserError(f"There are no frames to write to {path}.")

    def every():
        yield first
        yield from frames

    if path.suffix.lower() == ".png":
        return _write_pngs(path, every())
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".mp4":
            _write_mp4(temporary, every(), fps)
        else:
            _write_animation(temporary, every(), fps)
    return [path]


def _write_mp4(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    import imageio.v2 as imageio

    # macro_block_size 1: no rescaling to multiples of 16; H.264 itself only wants even sides
    with imageio.get_writer(path, fps=fps, codec="libx264", quality=8, macro_block_size=1) as writer:
        for frame in frames:
            height, width = frame.shape[:2]
            writer.append_data(np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))


def _write_animation(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    options = {"quality": 85} if path.suffix.lower() == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0, **options)


def _write_pngs(path: Path, frames: Iterable[np.ndarray]) -> list[Path]:
    from PIL import Image

    written: list[Path] = []
    for number, frame in enumerate(frames):
        name = path.with_name(f"{path.stem}_{number:04d}{path.suffix}")
        with atomic_path(name) as temporary:
            Image.fromarray(frame).save(temporary)
        written.append(name)
    if len(written) == 1:
        os.replace(written[0], path)
        return [path]
    return written
