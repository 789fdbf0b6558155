"""kill -9 at random moments, then the same command again: the result must be that of an unbroken run.

    python benchmarks/kills.py [--kills 10] [--seed 0] [--only NAME,...] [--json FILE]

Each command runs once undisturbed; then in a fresh folder it is killed at a random moment of that time, looked at,
begun again, killed again, until it has been killed ``--kills`` times and is let through. After every kill each file
under a final name must be readable; at the end every file must have the bytes of the unbroken run (clocks left out of
the records). Exit code 1 where it is not so. A quarter of an hour for ten kills each on one CPU core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from hardening import child_of, readable, warm_up  # noqa: E402
from stock import TRAIN, build_stock  # noqa: E402

LONGEST = 900.0  # seconds of a run
# What may differ between two runs of the same thing: clocks and machines
TIMES = ("minutes", "seconds", "judged_seconds", "seconds_per_frame")


@dataclass(frozen=True)
class Target:
    """A command that goes on where it was.

    Attributes:
        arguments: relative to the folder with the stock's files; it writes into ``out``.
        resume: what the command is told besides when it goes on; only where ``state`` is there.
        state: file or folder of the run without which it begins anew.
        own: endings and names that are not compared (journals).
    """

    name: str
    module: str
    arguments: str
    stock: tuple[str, ...]
    resume: str = ""
    state: str = "out"
    own: tuple[str, ...] = ("journal.jsonl",)


_LONG = TRAIN.replace("--steps 2", "--steps 8") + " --set train.save_minutes=0.0001 --set train.log_steps=1 -o out"

TARGETS: tuple[Target, ...] = (
    Target("train", "bodymap.train", f"--config tiny.yaml --shards shards {_LONG}", ("tiny.yaml", "shards"),
           "--resume", "out/checkpoint"),
    Target("train completion", "apps.rerender.train",
           f"--config completion.yaml --set task.textures=textures --set train.precision=float32 {_LONG}",
           ("completion.yaml", "textures"), "--resume", "out/checkpoint"),
    Target("train layered", "apps.layered.train", f"--config layered.yaml --shards layers {_LONG}",
           ("layered.yaml", "layers"), "--resume", "out/checkpoint"),
    Target("train heights", "apps.layered.train_heights", f"--config heights.yaml --shards matches {_LONG}",
           ("heights.yaml", "matches"), "--resume", "out/checkpoint"),
    Target("shards", "bodymap.data.shards", "--count 8 --size 48 32 --per-shard 2 -o out", ()),
    Target("tar shards", "bodymap.data.shards", "--count 4 --size 48 32 --per-shard 1 --format webdataset -o out", ()),
    Target("test set", "bodymap.data.testset", "images --count 4 --size 48x32 -o out", ()),
    Target("textures", "apps.rerender.textures", "--count 33 -o out", ()),
    Target("layer samples", "apps.layered.samples", "cloth cloth --count 70 --size 48 32 -o out", ("cloth",)),
    Target("simulation", "apps.layered.simulate", "--sequences 2 --frames 3 --edge 40 --out out", (),
           own=("report.json",)),
    Target("tables", "bodymap.evaluate",
           "tables --weights tables/weights --config tables/tiny.yaml --images 2 --shards tables/people --size 64x48 "
           "--steps 2 --device cpu --only 6 --rows cls,sil -o out", ("tables",)),
    Target("photos", "bodymap.predict", "folder -o out --size 128 --device cpu",
           ("folder",), "--resume", own=()),
)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """How a target fared. ``faults``: empty, or what was wrong; ``litter``: temporary files left under hidden names."""

    name: str
    seconds: float
    kills: int
    faults: tuple[str, ...]
    litter: int


def test(target: Target, stock: Path, kills: int, seed: int) -> Record:
    """Runs a target unbroken and broken, and compares."""
    rng = np.random.default_rng([seed, *target.name.encode()])
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        whole, broken = Path(temporary, "whole"), Path(temporary, "broken")
        for folder in (whole, broken):
            folder.mkdir()
            for name in target.stock:
                (shutil.copytree if (stock / name).is_dir() else shutil.copyfile)(stock / name, folder / name)
        began = time.monotonic()
        code = _run(target, whole, LONGEST)
        took = time.monotonic() - began
        if code != 0:
            return Record(target.name, took, 0, (f"unbroken, it ends with {code}: {_last(whole)}",), 0)
        faults: list[str] = []
        done = 0
        for _ in range(kills):
            # fractions of what a whole run takes: later ones are past what a resumed run has left to do
            if _run(target, broken, float(rng.uniform(0.02, 0.9)) * took) is not None:
                break  # it came to its end
            done += 1
            faults += [f"after kill {done}: half a file {name}" for name in _unreadable(broken / "out")]
        code = _run(target, broken, LONGEST)
        if code != 0:
            faults.append(f"going on, it ends with {code}: {_last(broken)}")
        else:
            faults += _differences(contents(whole / "out", target.own), contents(broken / "out", target.own))
        litter = sum(1 for path in (broken / "out").rglob(".*"))
        return Record(target.name, round(took, 1), done, tuple(faults), litter)


def _run(target: Target, folder: Path, seconds: float) -> int | None:
    """The exit code, or None where it had to be killed."""
    arguments = target.arguments.split()
    if target.resume and ((folder / target.state).exists() or _parked(folder / target.state).exists()):
        arguments += target.resume.split()
    child = child_of(target.module, arguments, folder)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _parked(path: Path) -> Path:
    from bodymap.files import previous_folder

    return previous_folder(path)


def _last(folder: Path) -> str:
    lines = (folder / ".stderr").read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""


def _unreadable(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and not _hidden(path, folder)]
    # a journal grows line by line
    return [os.fspath(p.relative_to(folder)) for p in files if p.name != "journal.jsonl" and not readable(p)]


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def contents(folder: Path, own: Sequence[str]) -> dict[str, str]:
    """Name -> digest of every file of a folder; of JSON what does not depend on clocks."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = os.fspath(path.relative_to(folder))
        if not path.is_file() or _hidden(path, folder) or path.name in own:
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            content = json.dumps(_timeless(json.loads(content)), sort_keys=True).encode()
        if path.suffix == ".safetensors":
            content = _timeless_tensors(content)
        if path.suffix == ".md":
            continue  # the same figures as the JSON beside it, and minutes
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def _timeless_tensors(content: bytes) -> bytes:
    """A safetensors file whose metadata that holds JSON has lost its clocks."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    for name, text in header.get("__metadata__", {}).items():
        if text.startswith("{"):
            header["__metadata__"][name] = _timeless(json.loads(text))
    return json.dumps(header, sort_keys=True).encode() + content[8 + size :]


def _timeless(value):
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in TIMES}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _differences(whole: dict[str, str], broken: dict[str, str]) -> list[str]:
    faults = [f"{name} is missing" for name in sorted(set(whole) - set(broken))]
    faults += [f"{name} is too much" for name in sorted(set(broken) - set(whole))]
    return faults + [f"{name} differs" for name in sorted(whole) if name in broken and whole[name] != broken[name]]


def report(records: Sequence[Record]) -> str:
    lines = [f"{'command':20}{'seconds':>9}{'kills':>7}{'litter':>8}  faults"]
    for r in records:
        lines.append(f"{r.name:20}{r.seconds:9.1f}{r.kills:7}{r.litter:8}  {'; '.join(r.faults[:4]) or 'none'}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="of each command (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: %(default)s")
    parser.add_argument("--only", default="", metavar="NAMES", help="commands, with commas between")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every record there")
    options = parser.parse_args()
    wanted = [name for name in options.only.split(",") if name]
    targets = [target for target in TARGETS if not wanted or target.name in wanted]
    warm_up()
    with tempfile.TemporaryDirectory() as temporary:
        stock = Path(temporary)
        child = os.fork()  # threads that it starts must not be in the processes forked later
        if child == 0:
            try:
                needed = {name for target in targets for name in target.stock}
                build_stock(stock, needed)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        records = []
        for target in targets:
            records.append(test(target, stock, options.kills, options.seed))
            print(report(records[-1:]).splitlines()[1], flush=True)
    print(report(records))
    if options.json:
        from bodymap.files import atomic_path

        with atomic_path(options.json) as path:
            path.write_text(json.dumps([asdict(record) for record in records], indent=1) + "\n")
    return int(any(record.faults for record in records))


if __name__ == "__main__":
    sys.exit(main())
