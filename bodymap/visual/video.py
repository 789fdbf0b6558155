"""Films: written as mp4, gif, webp or numbered png frames, by the file's ending; read from what ffmpeg knows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from bodymap.errors import UserError
from bodymap.files import atomic_path

ENDINGS = (".mp4", ".gif", ".webp", ".png")
READ_ENDINGS = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".gif")


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
    if not Path(os.path.realpath(path)).parent.is_dir():
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
            with _mp4(temporary, fps) as add:
                for frame in every():
                    add(frame)
        else:
            _write_animation(temporary, every(), fps)
    return [path]


@contextmanager
def open_mp4(
    path: str | os.PathLike, fps: float
) -> Iterator[Callable[[UInt8[np.ndarray, "height width rgb=3"]], None]]:
    """Gives a function that adds a frame: for who makes several films at once. The file appears when it is complete."""
    with atomic_path(Path(path)) as temporary, _mp4(temporary, fps) as add:
        yield add


@contextmanager
def _mp4(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    import imageio.v2 as imageio

    # macro_block_size 1: no rescaling to multiples of 16; H.264 itself only wants even sides
    writer = imageio.get_writer(path, fps=fps, codec="libx264", quality=8, macro_block_size=1)

    def add(frame: np.ndarray) -> None:
        height, width = frame.shape[:2]
        writer.append_data(np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))

    try:
        yield add
    finally:
        # leaving its own context with an error would leave ffmpeg running, which writes its file later
        writer.close()


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


@dataclass(frozen=True)
class Film:
    """A film on disk.

    Attributes:
        size: (height, width) of the frames, upright.
        fps: frames a second.
        count: of the frames, as the file says; streams may have a few more or less.
    """

    path: Path
    size: tuple[int, int]
    fps: float
    count: int

    def frames(self) -> Iterator[UInt8[np.ndarray, "height width rgb=3"]]:
        """One after the other, decoded as they are asked for.

        Raises:
            UserError: the file is damaged further on than its head.
        """
        import imageio.v2 as imageio

        with imageio.get_reader(self.path, **_reader_options(self.path)) as reader:
            try:
                for frame in reader:
                    yield _rgb(frame)
            except (OSError, RuntimeError, IndexError):
                raise UserError(f"The film {self.path} is damaged somewhere after its start.") from None


def is_film(path: str | os.PathLike) -> bool:
    """Whether the name's ending is that of a film (an animated gif counts)."""
    return Path(path).suffix.lower() in READ_ENDINGS


def open_film(path: str | os.PathLike) -> Film:
    """Reads a film's head and its first frame.

    Raises:
        UserError: there is no such file, or it holds no film.
    """
    import imageio.v2 as imageio

    path = Path(path)
    if not path.is_file():
        raise UserError(f"The film {path} does not exist." if not path.exists() else f"{path} is not a file.")
    try:
        with imageio.get_reader(path, **_reader_options(path)) as reader:
            first = _rgb(reader.get_data(0))
            about = reader.get_meta_data()
            count = len(reader) if path.suffix.lower() == ".gif" else reader.count_frames()
    except (OSError, RuntimeError, ValueError, IndexError, SyntaxError):
        raise UserError(f"{path} is damaged, or not a film; make an mp4 of it, or choose another one.") from None
    if path.suffix.lower() == ".gif":
        fps = 1000 / (about.get("duration") or 100)
    else:
        fps = float(about.get("fps") or 25.0)
    return Film(path, first.shape[:2], fps, max(int(count), 1))


def _reader_options(path: Path) -> dict:
    # it warns of every film that a telephone recorded upright: that the frames are turned is what we want
    logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)
    return {"format": "GIF-PIL"} if path.suffix.lower() == ".gif" else {"format": "FFMPEG"}


def _rgb(frame: np.ndarray) -> np.ndarray:
    frame = np.asarray(frame)
    if frame.ndim == 2:
        frame = np.repeat(frame[..., None], 3, axis=-1)
    return np.ascontiguousarray(frame[..., :3])
