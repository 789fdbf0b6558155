"""What a prediction costs, and what the mask's edge filter is worth.

    python -m benchmarks.predict speed [--preset small | --weights W] [--photo 1000x1000] [--threads 2]
    python -m benchmarks.predict masks PHOTOS MASKS [--weights W]

``speed`` runs one photo of that size with a person-sized mask and prints seconds and peak memory; with --preset the
weights are random: looking for people then costs more than usual, since half of the photo passes for them. ``masks``
compares edge radii on photos whose true masks lie in MASKS under the same stem.
"""

from __future__ import annotations

import argparse
import resource
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.sizes import SIZES
from bodymap.expansion import expand
from bodymap.foreground import read_mask
from bodymap.metrics.segmentation import boundary_f, mask_iou
from bodymap.network import build_model
from bodymap.photo import read_photo
from bodymap.predictor import BodyMap
from bodymap.surface import load_template


def speed(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.weights:
        model = BodyMap.from_pretrained(options.weights, device=options.device)
    else:
        model = BodyMap(build_model(SIZES[options.preset], load_template()), load_template())
    width, height = (int(side) for side in options.photo.split("x"))
    y, x = np.mgrid[0:height, 0:width]
    photo = np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8)
    # as much of the photo as a standing person covers
    mask = ((y / height - 0.5) / 0.42) ** 2 + ((x / width - 0.5) / 0.14) ** 2 < 1

    def timed(name, work):
        before = time.perf_counter(), time.process_time()
        result = work()
        wall, cpu = time.perf_counter() - before[0], time.process_time() - before[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(f"{name:28} {wall:6.2f} s   {cpu:6.2f} CPU s   peak {peak:5.2f} GB")
        return result

    for run in ("first run", "second run"):
        print(run)
        timed("  find, largest person", lambda: model.find(photo, everyone=False))
        reading = timed("  read", lambda: model.read(photo, mask=mask))
        timed("  expand, own mask", partial(model.expand, photo, reading))
        timed("  expand, given mask", partial(model.expand, photo, reading, mask=mask))
    timed("find, everybody", lambda: model.find(photo, everyone=True))


def masks(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    truths = {path.stem: path for path in sorted(Path(options.masks).iterdir())}
    photos = [path for path in sorted(Path(options.photos).iterdir()) if path.stem in truths and path.is_file()]
    model = BodyMap.from_pretrained(options.weights, device=options.device)
    radii = (0, 1, 2, 3, 5, 8)
    rows: dict[int, list[tuple[float, float]]] = {radius: [] for radius in radii}
    for path in photos:
        photo = read_photo(path)
        truth = read_mask(truths[path.stem], photo.shape[:2])
        people = model.find(photo, everyone=False)
        reading = model.read(photo, people[0], people[1:])
        for radius in radii:
            mask = expand(model.template, photo, reading, radius=radius).mask
            rows[radius].append((mask_iou(mask, truth), boundary_f(mask, truth)))
    print(f"edge radius   IoU      boundary F at 2 px   ({len(photos)} photos)")
    for radius in radii:
        iou, boundary = np.mean(rows[radius], axis=0)
        print(f"{radius:11}   {iou:.4f}   {boundary:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("speed")
    one.add_argument("--preset", default="small", choices=SIZES)
    one.add_argument("--photo", default="1000x1000", help="width x height in pixels")
    one.add_argument("--threads", type=int, default=2)
    one.set_defaults(run=speed)
    two = commands.add_parser("masks")
    two.add_argument("photos")
    two.add_argument("--threads", type=int, default=2)
    two.add_argument("masks")
    two.set_defaults(run=masks)
    for command in (one, two):
        command.add_argument("--weights", help="name, folder, file or hub id")
        command.add_argument("--device", help="cpu, cuda, ...")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
