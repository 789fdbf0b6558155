"""What is wrong with synthetic people, in figures: ``python -m bodymap.people.inspect --count 24 --seed 0``.

Skin that comes through cloth, cloth that explodes or sinks into the body, hair that floats, truth that jumps.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from bodymap.errors import UserError, run_command

if TYPE_CHECKING:
    import numpy as np

    from bodymap.people.inspection import Findings
    from bodymap.people.pack import Pack
    from bodymap.types import Sample


def inspect_seed(seed: int, pack: Pack, config, split: str) -> tuple[Sample, Findings, dict[str, np.ndarray]] | None:
    """Takes the picture whose four seeds are ``seed`` and inspects it; None when nobody is in it."""
    from bodymap.people import sample
    from bodymap.people.inspection import Inspector
    from bodymap.people.person import get_person

    made = sample(seed, seed, seed, seed, pack=pack, config=config, split=split)
    if not made.foreground.any():
        return None
    person = get_person(seed, pack, config, split)
    posed, _ = person.pose(pack, made.body["local_rotations"])
    return made, *Inspector(person).inspect(made, posed)


def table(findings: list[Findings]) -> str:
    """Measure by measure: the mean of the pictures, the worst one, the seeds of the worst, the pieces to blame."""
    import numpy as np

    from bodymap.people.inspection import MEASURES

    lines = [f"{len(findings)} pictures", f"{'':10}{'mean %':>8}{'worst %':>9}  {'seeds of the worst':32}pieces"]
    for name, what in MEASURES.items():
        values = np.array([f.share[name] for f in findings])
        known = np.isfinite(values)
        order = [i for i in np.argsort(-np.where(known, values, -1), kind="stable")[:6] if known[i] and values[i] > 0]
        pieces: dict[str, int] = {}
        for f in findings:
            for piece, count in f.blame[name].items():
                pieces[piece] = pieces.get(piece, 0) + count
        most = sorted(pieces, key=lambda piece: -pieces[piece])[:4]
        total = max(sum(pieces.values()), 1)
        mean, worst = (values[known].mean(), values[known].max()) if known.any() else (np.nan, np.nan)
        lines.append(
            f"{name:10}{100 * mean:8.3f}{100 * worst:9.2f}  {' '.join(str(findings[i].seed) for i in order):32}"
            + ", ".join(f"{piece} {100 * pieces[piece] // total} %" for piece in most)
        )
        lines.append(f"{'':10}of {what}")
    return "\n".join(lines)


def sheet(shown: list[tuple[str, Findings, np.ndarray, np.ndarray]], columns: int = 6):
    """A PIL image of (measure, findings, photograph, marked pixels): photographs, and beside each the same one darkened
    with the wrong pixels in red."""
    import numpy as np
    from PIL import Image, ImageDraw

    cells = []
    for name, findings, image, mark in shown:
        grey = np.repeat(image.mean(-1, keepdims=True) * 0.6, 3, -1)
        grey[mark] = (255, 30, 30)
        cell = Image.fromarray(np.concatenate([image, grey.astype(np.uint8)], 1))
        ImageDraw.Draw(cell).text(
            (3, 3), f"{findings.seed} {name} {100 * findings.share[name]:.2f} %", fill=(255, 255, 0)
        )
        cells.append(np.asarray(cell))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    return Image.fromarray(
        np.concatenate([np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)])
    )


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; writes the figures of every picture and a sheet of the worst ones when asked."""
    from bodymap.people.preview import parse_size

    parser = argparse.ArgumentParser(prog="python -m bodymap.people.inspect", description=__doc__)
    parser.add_argument("--count", type=int, default=24, help="how many photographs (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="the first of as many consecutive seeds (default: %(default)s)"
    )
    parser.add_argument("--pack", help="a people pack; default: the small one that ships")
    parser.add_argument("--size", default="256x192", help="height x width of one photograph (default: %(default)s)")
    parser.add_argument(
        "--split", choices=("train", "test"), default="train", help="which assets (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures of every picture")
    parser.add_argument("--worst", metavar="FILE", help="also write a PNG of the six worst pictures of each measure")
    options = parser.parse_args(arguments)
    size = parse_size(options.size)
    if options.count < 1 or options.seed < 0:
        raise UserError(f"--count must be at least 1 and --seed not negative, not {options.count} and {options.seed}.")
    if options.worst and not options.worst.lower().endswith(".png"):
        raise UserError(f"The sheet is a PNG; give --worst a name that ends in .png, not {options.worst}.")

    import torch

    from bodymap.people.config import PeopleConfig
    from bodymap.people.inspection import MEASURES
    from bodymap.people.pack import Pack

    torch.set_num_threads(1)
    pack, config = Pack.load(options.pack), PeopleConfig(size=size)
    findings, worst = [], {name: [] for name in MEASURES}
    for seed in range(options.seed, options.seed + options.count):
        one = inspect_seed(seed, pack, config, options.split)
        if one is None:
            continue
        made, found, marks = one
        findings.append(found)
        for name, kept in worst.items():
            if found.share[name] > 0:
                kept.append((name, found, made.image, marks[name]))
                kept.sort(key=lambda cell: -cell[1].share[cell[0]])
                del kept[6:]
    if not findings:
        raise UserError("Nobody is in any of these pictures; raise --count.")
    print(table(findings))
    _write(options, findings, [cell for kept in worst.values() for cell in kept])
    return 0


def _write(options: argparse.Namespace, findings: list[Findings], shown: list) -> None:
    import json

    from bodymap.files import atomic_path

    if options.json:
        with atomic_path(options.json) as path:
            path.write_text(json.dumps([asdict(f) for f in findings], indent=1) + "\n")
        print(f"wrote {options.json}")
    if options.worst and not shown:
        print(f"nothing is wrong with these pictures: {options.worst} is not written")
    elif options.worst:
        with atomic_path(options.worst) as path:
            sheet(shown).save(path)
        print(f"wrote {options.worst}")


if __name__ == "__main__":
    run_command(main)
