"""A thousand spoilt files through every command: each must be refused in one sentence, or work.

    python benchmarks/hardening.py [--cases 1000] [--seed 0] [--only NAME,...] [--json FILE] [--keep DIR]

Each case takes sound input of a command (``victims.py``), spoils one file of it by a seed (``mutations.py``), and runs
the command's ``main`` in a process of its own under a limit of time and memory. Allowed ends: exit code 0 with outputs
that can be read; 2 with one sentence and no output; 1 or 2 from a command that names some of several inputs as bad.
Faults: a traceback, a crash, a hang, half a file under a final name, a temporary file left behind, more than one
sentence. Exit code 1 where there was any fault. About fifteen minutes on one CPU core.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import mutations  # noqa: E402
import victims  # noqa: E402
from stock import build_stock  # noqa: E402

SECONDS, MEMORY = 120, 6 << 30  # of a case; memory above what the process holds when it starts
LONGEST = 700  # characters of a sentence
SOUND = "sound"  # nothing is spoilt: the command must work, or the other cases say nothing
# What the file is called: the ordinary name mostly
NAMES = (b"\xff\xfe\xe4.jpg", b"a\nb.jpg", b"100%s {x}.jpg", b"n" * 300 + b".jpg", b"n" * 250 + b".jpg", b" .jpg")


@dataclass(frozen=True)
class Case:
    """One spoilt file: everything follows from the seed."""

    number: int
    victim: victims.Victim
    mutation: str
    name: bytes | None  # in place of the target's own; for pictures named on the command line


@dataclass(frozen=True)
class Outcome:
    """How a case ended. ``fault``: None, or what was wrong."""

    number: int
    victim: str
    mutation: str
    code: int | None
    seconds: float
    fault: str | None
    said: str


def plan(count: int, seed: int, only: Sequence[str] = (), sound: bool = True) -> list[Case]:
    """The cases of a seed: each victim with sound input (``sound``), then ``count``: victims by weight, mutations
    evenly within each."""
    chosen = [v for v in victims.VICTIMS if not only or any(v.name.startswith(name) for name in only)]
    names = sorted({v.name.partition(" [")[0] for v in victims.VICTIMS})
    if not chosen:
        raise SystemExit(f"There is no command {', '.join(only)}; there are {', '.join(names)}.")
    weights = np.array([v.weight for v in chosen])
    # systematic sampling: every victim gets its share to within one case
    places = np.searchsorted(np.cumsum(weights) / weights.sum(), (np.arange(count) + 0.5) / count)
    cases, given = [Case(k, v, SOUND, None) for k, v in enumerate(chosen if sound else ())], Counter()
    for number, place in enumerate(places, len(cases)):
        victim = chosen[int(place)]
        kinds = mutations.KINDS[victim.kind]
        rng = np.random.default_rng([seed, int(place)])
        order = rng.permutation(len(kinds))
        turn = given[victim.name]
        given[victim.name] += 1
        strange = victim.target in victim.arguments.split() and victim.kind == "picture" and turn % 8 == 7
        name = NAMES[(turn // 8 + number) % len(NAMES)] if strange else None
        mutation = "strange name" if strange else kinds[order[turn % len(kinds)]].__name__
        cases.append(Case(number, victim, mutation, name))
    return cases


def needed(only: Sequence[str]) -> set[str]:
    """What of the stock these commands may read: the first parts of every word."""
    chosen = [v for v in victims.VICTIMS if any(v.name.startswith(name) for name in only)]
    words = {word for v in chosen for word in (*v.arguments.split(), v.target, *v.also)}
    return {word.split("/")[0] for word in words}


def prepare(case: Case, stock: Path, folder: Path, seed: int) -> list[str]:
    """Fills the case's folder and spoils the file; returns the command's arguments."""
    victim = case.victim
    words = (word.split("/")[0] for word in victim.arguments.split())
    names = {victim.target.split("/")[0], *victim.also, *(word for word in words if (stock / word).exists())}
    for name in sorted(names):
        mutations.copy(stock / name, folder / name)
    words = [os.fsencode(word) for word in victim.arguments.split()]
    target = folder / victim.target
    if case.mutation == SOUND:
        pass
    elif case.name is None:
        mutation = next(m for m in mutations.KINDS[victim.kind] if m.__name__ == case.mutation)
        mutation(np.random.default_rng([seed, case.number]), target)
    else:
        words = [case.name if word == os.fsencode(victim.target) else word for word in words]
        try:
            os.rename(os.fsencode(target), os.path.join(os.fsencode(folder), case.name))
        except OSError:
            pass  # a name that no file can have: the command is asked for it all the same
    return [os.fsdecode(word) for word in words]


def run_case(case: Case, stock: Path, folder: Path, seed: int, seconds: float = SECONDS) -> Outcome:
    """One case, in a process of its own."""
    arguments = prepare(case, stock, folder, seed)
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    started = time.monotonic()
    child = child_of(case.victim.module, arguments, folder, respectful=case.mutation == "unreadable")
    code, hung = None, False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            break
        if time.monotonic() - started > seconds:
            hung = True
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.01)
    took = time.monotonic() - started
    errors = (folder / ".stderr").read_text("utf-8", "replace")
    fault = f"hang of {seconds:g} s" if hung else judge(case.victim, code, errors, folder, before)
    if case.mutation == SOUND and code != 0 and not fault and not (case.victim.sound and case.victim.sound in errors):
        fault = "sound input refused"
    return Outcome(case.number, case.victim.name, case.mutation, code, round(took, 2), fault, _last_words(errors))


def child_of(module: str, arguments: list[str], folder: Path, respectful: bool = False) -> int:
    """Begins a command in a process of its own, in ``folder``; returns its number.

    Args:
        respectful: it may not read what its permissions forbid, even where it is root.
    """
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it ends with its parent
        os.chdir(folder)
        for stream, name in ((1, ".stdout"), (2, ".stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), stream)
        if respectful:
            _respect_permissions()
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.argv = [module, *arguments]
        code = call(module)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 98)


def _respect_permissions() -> None:
    """Root reads every file, whatever its mode: gives up the two capabilities that let it."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    overriding = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    for place in (0, 1, 2):  # effective, permitted, inheritable
        data[place] &= ~overriding
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "the capabilities cannot be given up")


def call(module: str) -> int:
    """The module's command with ``sys.argv``; returns its exit code."""
    import importlib

    from bodymap.errors import run_command

    command = importlib.import_module(module)
    if hasattr(command, "__path__"):
        command = importlib.import_module(f"{module}.__main__")
    try:
        run_command(command.main)
    except SystemExit as end:
        return 0 if end.code is None else end.code
    return 0


# ------------------------------------------------------------------------------------------------------------- judging
def judge(victim: victims.Victim, code: int | None, errors: str, folder: Path, before: dict[Path, int]) -> str | None:
    """What is wrong with how a command ended; None: nothing."""
    if "Traceback (most recent call last)" in errors or code in (98, 99):
        return "traceback"
    if code is None or code < 0:
        return f"crash ({signal.Signals(-code).name if code else 'unknown'})"
    if code not in (0, 1, 2):
        return f"exit code {code}"
    sentences = [line for line in errors.splitlines() if "error: " in line]
    last = (errors.strip().splitlines() or [""])[-1]
    if code == 2 and not sentences:
        return "refused without a sentence"
    if code == 2 and "error: " not in last:
        return "more than one line"
    if any(len(line) > LONGEST for line in sentences):
        return f"a sentence of {max(map(len, sentences))} characters"
    made = [
        path
        for path in folder.rglob("*")
        if before.get(path) != path.lstat().st_mtime_ns and path.name not in (".stdout", ".stderr")
    ]
    if left := [path for path in made if path.name.startswith(".") and path not in before]:
        return f"left {left[0].name} behind"
    files = [path for path in made if path.is_file()]
    if unreadable := [path.name for path in files if not readable(path)]:
        return f"half a file: {unreadable[0]}"
    if code == 0 and not files and victim.module not in _READ_ONLY:
        return "exit code 0 without an output"
    return None


_READ_ONLY = ("bodymap.data.shards", "bodymap.data.testset", "apps.layered.simulate")


def readable(path: Path) -> bool:
    """Whether a file is whole, as far as its format can tell."""
    try:
        ending = path.suffix.lower()
        if ending in (".png", ".jpg", ".gif", ".webp"):
            from PIL import Image

            with Image.open(path) as image:
                image.load()
        elif ending == ".npz":
            with np.load(path, allow_pickle=False) as file:
                [file[name] for name in file]
        elif ending in (".safetensors", ".pack"):
            from safetensors import safe_open

            with safe_open(path, "np") as file:
                [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118 - not a dict
        elif ending == ".json":
            json.loads(path.read_text("utf-8"))
        elif ending == ".yaml":
            import yaml

            yaml.safe_load(path.read_text("utf-8"))
        elif ending == ".mp4":
            from bodymap.visual.video import open_film

            return sum(1 for _ in open_film(path).frames()) > 0
        elif ending == ".tar":
            import tarfile

            with tarfile.open(path) as file:
                file.getmembers()
        return path.stat().st_size > 0
    except Exception:  # whatever a reader says: it is not whole
        return False


def _last_words(errors: str) -> str:
    lines = errors.strip().splitlines()
    return lines[-1][:400] if lines else ""


# ------------------------------------------------------------------------------------------------------------- running
def run(cases: Sequence[Case], stock: Path, seed: int, keep: Path | None = None) -> Iterator[Outcome]:
    """The cases one after the other; folders of faults are kept where ``keep`` says."""
    for case in cases:
        folder = Path(tempfile.mkdtemp(prefix="spoilt-"))
        try:
            outcome = run_case(case, stock, folder, seed)
            if outcome.fault and keep is not None:
                shutil.copytree(folder, keep / f"{case.number:04d}", symlinks=True, dirs_exist_ok=True)
            yield outcome
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def warm_up() -> None:
    """Imports and reads what every case needs, so that forked processes begin with it. Starts no thread."""
    import torch

    torch.set_num_threads(1)
    import bodymap.evaluate
    import bodymap.predictor
    import bodymap.train
    import bodymap.training.loop  # noqa: F401
    from bodymap.surface import load_template

    load_template()


def report(outcomes: Sequence[Outcome]) -> str:
    """By command: how many cases were refused, worked, or ended in a fault; then every fault."""
    rows: dict[str, Counter] = {}
    for outcome in outcomes:
        row = rows.setdefault(outcome.victim.partition(" [")[0], Counter())
        row["fault" if outcome.fault else "worked" if outcome.code == 0 else "refused"] += 1
    lines = [f"{'command':34}{'refused':>9}{'worked':>9}{'faults':>9}"]
    lines += [f"{name:34}{row['refused']:9}{row['worked']:9}{row['fault']:9}" for name, row in rows.items()]
    total = sum(rows.values(), Counter())
    lines.append(f"{'all':34}{total['refused']:9}{total['worked']:9}{total['fault']:9}")
    for o in outcomes:
        if o.fault:
            lines.append(f"{o.number:5} {o.victim}, {o.mutation}: {o.fault}: {o.said}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: %(default)s")
    parser.add_argument("--only", default="", metavar="NAMES", help="commands whose names begin so")
    parser.add_argument("--spoilt-only", action="store_true", help="leave out the cases of sound input")
    parser.add_argument("--case", type=int, metavar="K", help="only this one of the plan")
    parser.add_argument("--stock", type=Path, metavar="DIR", help="keep the sound files there, and use them again")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the folders of faults there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every case there")
    options = parser.parse_args()
    from tqdm import tqdm

    only = tuple(filter(None, options.only.split(",")))
    warm_up()
    with tempfile.TemporaryDirectory() as temporary:
        stock = options.stock or Path(temporary)
        stock.mkdir(parents=True, exist_ok=True)
        if not (stock / "done").exists():
            # threads that it starts must not be in the processes forked below
            child = os.fork()
            if child == 0:
                try:
                    build_stock(stock, needed(only) if only else None)
                    (stock / "done").touch()
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            if not (stock / "done").exists():
                raise SystemExit("The sound files could not be made.")
        cases = plan(options.cases, options.seed, only, not options.spoilt_only)
        if options.case is not None:
            cases = [cases[options.case]]
        outcomes = []
        for outcome in tqdm(run(cases, stock, options.seed, options.keep), total=len(cases), unit="case"):
            outcomes.append(outcome)
            if outcome.fault:
                tqdm.write(f"{outcome.number} {outcome.victim}, {outcome.mutation}: {outcome.fault}: {outcome.said}")
    print(report(outcomes))
    if options.json:
        from bodymap.files import atomic_path

        with atomic_path(options.json) as path:
            path.write_text(json.dumps([asdict(o) for o in outcomes], indent=1) + "\n")
    return int(any(o.fault for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
