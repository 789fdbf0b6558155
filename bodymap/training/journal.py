"""What a run writes down: journal.jsonl, TensorBoard files, preview sheets, and the line or bar on the screen."""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("torch", "timm", "accelerate", "safetensors", "numpy", "pillow", "warp-lang")


class Journal:
    """Appends one JSON object a line to ``journal.jsonl``; figures also go to TensorBoard where it is installed.

    Every line has "kind" (start, resume, step, evaluate, save, skip, stop) and "time" (seconds since the epoch).
    """

    def __init__(self, folder: Path, tensorboard: bool = True) -> None:
        self.folder = folder
        self.path = folder / "journal.jsonl"
        # A kill can leave half a line: what follows must not be glued to it
        if self.path.exists() and not self.path.read_bytes().endswith(b"\n"):
            with open(self.path, "a", encoding="utf-8") as stream:
                stream.write("\n")
        self._stream = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 - lives as long as the run
        self._board = _tensorboard(folder / "tensorboard") if tensorboard else None

    def write(self, kind: str, **values: Any) -> None:
        line = {"kind": kind, "time": round(time.time(), 3), **values}
        self._stream.write(json.dumps(_finite(line)) + "\n")
        self._stream.flush()

    def figures(self, kind: str, step: int, figures: Mapping[str, float], **values: Any) -> None:
        """A line of numbers at a step: kind "step" or "evaluate"."""
        self.write(kind, step=step, **values, figures={name: _short(value) for name, value in figures.items()})
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def previews(self, step: int, sheets: Mapping[str, np.ndarray]) -> None:
        """Saves sheets (H, W, 3) uint8 as previews/<name>_<step>.png."""
        from PIL import Image

        from bodymap.files import atomic_path

        (self.folder / "previews").mkdir(exist_ok=True)
        for name, sheet in sheets.items():
            with atomic_path(self.folder / "previews" / f"{name}_{step:07d}.png") as temporary:
                Image.fromarray(sheet).save(temporary)
            if self._board is not None:
                self._board.add_image(name, sheet, step, dataformats="HWC")

    def close(self) -> None:
        self._stream.close()
        if self._board is not None:
            self._board.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; half-written ones are left out."""
    lines = []
    for text in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def origin() -> dict[str, Any]:
    """What made a run: commit (with "+changes" where files differ), versions of Python and packages, machine."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": versions,
        "machine": f"{platform.system()} {platform.machine()}",
        "command": sys.argv,
    }


def _commit() -> str | None:
    """The commit of the code that runs, or None outside a repository."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    return commit and commit + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def _tensorboard(folder: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _finite(value: Any) -> Any:
    """JSON has no NaN or infinity: they become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


class Screen:
    """Progress for people: a bar on a terminal with tqdm installed, else one plain line a report."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._bar = None
        if not quiet and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(total=100.0, bar_format="{percentage:5.1f}% |{bar:20}| {desc}", dynamic_ncols=True)

    def report(self, step: int, fraction: float, minutes: float, speed: float, figures: Mapping[str, float]) -> None:
        """``speed`` in samples a second; the time left follows from the share of the run that is over."""
        left = minutes * (1 - fraction) / fraction if fraction > 0 else math.inf
        text = f"step {step}  {minutes:.1f} min, {_minutes(left)} left  {speed:.1f} samples/s  " + "  ".join(
            f"{name} {value:.4g}" for name, value in figures.items()
        )
        if self._bar is not None:
            self._bar.n = 100.0 * fraction
            self._bar.set_description_str(text)
        else:
            self.say(f"{100 * fraction:5.1f} %  {text}")

    def say(self, text: str) -> None:
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.write(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _minutes(minutes: float) -> str:
    if not math.isfinite(minutes):
        return "unknown"
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
