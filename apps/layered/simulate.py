"""Simulates clothes on walking and gesturing people, and packs the sequences for training.

    python -m apps.layered.simulate --out runs/cloth [--sequences N] [--frames N] [--seed S] [--pack FILE]

Needs ``pip install 'bodymap[cloth]'`` (newton); 12 sequences of 96 frames take 40 to 80 minutes on two CPU cores.
Writes for each sequence ``NN_motion.safetensors`` (about 3 MB), a sheet and a film to look at, and ``report.json``
with penetration, stretch and seconds a frame of all. What is there already is not simulated again. A sequence that
explodes, sinks into the body or stretches ends with its numbers in the report, and the command with exit code 2.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bodymap.errors import UserError, run_command
from bodymap.files import atomic_path, output_folder


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument(
        "--sequences",
        type=int,
        default=12,
        metavar="N",
        help="the first N (default: 12); beyond 12 are more to train on, cut to other lengths and widths",
    )
    parser.add_argument("--frames", type=int, default=96, metavar="N", help="kept of each, 30 a second (default 96)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="shifts the motions' phases")
    parser.add_argument("--edge", type=float, default=22, metavar="MM", help="length of the cloth's edges (default 22)")
    parser.add_argument("--pack", metavar="FILE", help="pack of people (default: the small one that ships)")
    options = parser.parse_args(arguments)
    for name, low, high in (("sequences", 1, 1000), ("frames", 2, 10_000), ("edge", 12, 60)):
        value = getattr(options, name)
        if not low <= value <= high:
            raise UserError(f"--{name} must lie between {low} and {high}, not {value}.")
    run(options)


def run(options: argparse.Namespace) -> None:
    """Simulates what is missing, in the plans' order."""
    import torch
    from tqdm import tqdm

    from apps.layered.cloth.sequences import plans, read_sequence, write_sequence
    from apps.layered.cloth.simulation import DRAPE, SimulationFailed, simulate
    from bodymap.people.pack import Pack

    torch.set_num_threads(1)
    folder = output_folder(options.out)
    pack = Pack.load(options.pack)
    wanted = plans(options.sequences)
    report, failed = [], []
    each = options.frames + DRAPE
    with tqdm(total=len(wanted) * each, unit="frame") as bar:
        for number, plan in enumerate(wanted):
            stem = f"{number:02d}_{plan.motion.replace(' ', '_')}"
            path = folder / f"{stem}.safetensors"
            entry = {"sequence": stem, "title": plan.title, "split": plan.split}
            bar.set_description(plan.title)
            target = (number + 1) * each
            if path.exists() and len(known := read_sequence(path)) == options.frames and known.title == plan.title:
                report.append(entry | known.report)
                # done before: no part of the rate that the time left is reckoned by
                bar.initial += target - bar.n
                bar.update(target - bar.n)
            else:
                try:
                    sequence = simulate(
                        plan, pack, options.frames, options.edge / 1000, options.seed, tick=lambda: bar.update(1)
                    )
                except SimulationFailed as error:
                    report.append(entry | {"failed": str(error)})
                    failed.append(f"{stem} ({error})")
                    bar.write(f"{stem} failed in {error}")
                    bar.update(target - bar.n)
                else:
                    write_previews(folder / stem, sequence)
                    write_sequence(path, sequence)
                    report.append(entry | sequence.report)
            with atomic_path(folder / "report.json") as temporary:
                temporary.write_text(json.dumps(report, indent=1) + "\n")
    if failed:
        raise UserError(f"{len(failed)} of {len(wanted)} sequences failed: {'; '.join(failed)}.")


def write_previews(stem: Path, sequence) -> None:
    """``<stem>.png``, eight frames from three sides, and ``<stem>.mp4``."""
    import imageio.v3 as iio
    import numpy as np

    from apps.layered.cloth.preview import picture
    from bodymap.surface import load_template
    from bodymap.visual.sheets import grid
    from bodymap.visual.video import write_film

    t = load_template()
    triangles = t.triangles.numpy()[t.triangle_inner.numpy() == 0]

    def seen(frame: int, angle: float):
        layers = [(sequence.skin(frame), triangles)]
        layers += [(v, g.triangles) for v, g in zip(sequence.cloth(frame), sequence.garments, strict=True)]
        return picture(layers, angle)

    frames = np.linspace(0, len(sequence) - 1, 8).astype(int)
    sheet = grid([seen(k, angle) for angle in (20, 110, 200) for k in frames], columns=len(frames))
    with atomic_path(stem.with_suffix(".png")) as temporary:
        iio.imwrite(temporary, sheet)
    film = (np.concatenate([seen(k, 25), seen(k, 205)], 1) for k in range(len(sequence)))
    write_film(stem.with_suffix(".mp4"), film, sequence.fps)


if __name__ == "__main__":
    run_command(main)
