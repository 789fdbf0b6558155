"""Path-traced people with exact truth: ``python -m bodymap.people.pathtraced --count 16 --seed 0 -o DIR``."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

from bodymap.errors import UserError, run_command


def main(arguments: list[str] | None = None) -> int:
    """Writes DIR/<seed>.png and DIR/<seed>.npz; pictures that are there already, made the same way, are kept."""
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.people.pathtraced",
        description="Renders people with Cycles, Blender's path tracer: a stand-in for photographs of scanned people.",
    )
    parser.add_argument("--count", type=int, default=16, help="how many pictures (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="the first of as many consecutive seeds (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="where the pictures go")
    parser.add_argument("--pack", help="a people pack; default: the small one that ships")
    parser.add_argument("--size", type=int, default=512, help="pixels of a side (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=16, help="light paths of each pixel (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="processor cores to use; 0: all (default: %(default)s)")
    parser.add_argument(
        "--split", choices=("train", "test"), default="test", help="which assets (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    for name, least, most in (("count", 1, 100_000), ("seed", 0, 2**31), ("size", 32, 2048), ("samples", 1, 4096)):
        if not least <= getattr(options, name) <= most:
            raise UserError(f"--{name} must lie between {least} and {most}, not {getattr(options, name)}.")
    if not 0 <= options.threads <= 1024:
        raise UserError(f"--threads must lie between 0 and 1024, not {options.threads}.")

    import torch

    from bodymap.files import output_folder
    from bodymap.people.pack import Pack
    from bodymap.people.pathtraced.blender import Studio
    from bodymap.people.pathtraced.files import is_finished
    from bodymap.people.pathtraced.still import PATHTRACED

    studio = Studio(options.samples, options.threads)
    torch.set_num_threads(1)  # sums in another order would change bytes
    pack = Pack.load(options.pack)
    config = replace(PATHTRACED, size=(options.size, options.size))
    folder = output_folder(options.output)
    about = {"samples": options.samples, "split": options.split, "config": asdict(config), "shapes": pack.shape_split}
    recipe = json.dumps({**about, "garments": [g.name for g in pack.garments]}, sort_keys=True)
    agreements = []
    for number, seed in enumerate(range(options.seed, options.seed + options.count), 1):
        path = folder / f"{seed:06d}.png"
        start, agreement = time.monotonic(), is_finished(path, recipe)
        if agreement is None:
            agreement = make(studio, path, seed, pack, config, options.split, recipe)
        agreements.append(agreement)
        took = time.monotonic() - start
        print(f"{number}/{options.count} {path} silhouette IoU {agreement:.4f} ({took:.0f} s)", flush=True)
    print(f"mean silhouette IoU {sum(agreements) / len(agreements):.4f}, worst {min(agreements):.4f}")
    return 0


def make(studio, path: Path, seed: int, pack, config, split: str, recipe: str) -> float:
    """Renders one picture and writes it with its truth; returns how well the two silhouettes agree."""
    import torch

    from bodymap.people.film.develop import develop
    from bodymap.people.pathtraced.files import with_image, write_picture
    from bodymap.people.pathtraced.still import over, prepare

    still = prepare(seed, pack, config, split)
    agreement = silhouette_iou(studio.silhouette(still) >= 0.5, still.truth.foreground)
    linear = over(studio.render(still, seed), still.backdrop)
    image = develop(linear, [still.faults], torch.from_numpy(still.truth.foreground)[None])[0].numpy()
    write_picture(path, with_image(still.truth, image), agreement, recipe)
    return agreement


def silhouette_iou(a, b) -> float:
    """Intersection over union of two masks (H, W); 1 if both are empty."""
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


if __name__ == "__main__":
    run_command(main)
