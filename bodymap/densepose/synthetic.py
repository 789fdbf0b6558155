"""Writes people of our engine as a set in DensePose-COCO's format: about 100 noisy points a person, masks of the coarse
parts, further people in the picture without annotation.

    python -m bodymap.densepose.synthetic --adapter densepose.npz --count 100 -o DIR

writes ``DIR/annotations.json`` and ``DIR/pictures/``. The evaluation and fine-tuning on DensePose-COCO can so be run
without COCO. ``--shift`` makes the photographs unlike the training's (light, colour, sharpness, compression);
``--pathtraced`` takes pictures of ``python -m bodymap.people.pathtraced`` instead.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from bodymap.densepose import rle
from bodymap.densepose.adapter import Adapter, load_adapter
from bodymap.densepose.annotations import GRID, SPAN
from bodymap.densepose.charts import CHARTS, COARSE_NAMES, COARSE_OF_CHART, KAPPA_OF_CHART
from bodymap.densepose.mesh import MeshPoints
from bodymap.densepose.scoring import box_of
from bodymap.errors import UserError, run_command
from bodymap.types import LAYER_NAMES, Sample

PER_PERSON = 100  # points about, shared out by the square root of the parts' pixels
PER_PART = 14  # points at most on one coarse part, as DensePose's annotators were given
_PIXELS_PER_POINT = 20  # a part of fewer pixels gets fewer points
# An annotator's error, as a share of the distance that the evaluator forgives there: 3.5 cm on the torso, 1 cm on hands
NOISE = 0.1
_LEAST = 400  # pixels of a person worth annotating


def annotate(sample: Sample, adapter: Adapter, rng: np.random.Generator, noise: float = NOISE) -> dict[str, Any] | None:
    """The subject of a picture as a COCO annotation without its ids; None where too little of it is seen.

    What it carries is background, as it was to DensePose's annotators.

    Args:
        noise: of the points' places on the surface, standard deviation as a share of the chart's kappa.
    """
    seen = (sample.triangle >= 0) & (sample.layer != LAYER_NAMES.index("carried"))
    if seen.sum() < _LEAST:
        return None
    row, column = np.nonzero(seen)
    places = adapter.smpl_of_template(sample.triangle[seen], sample.barycentric[seen])
    coarse = np.array(COARSE_OF_CHART)[adapter.iuv_of_smpl(places)[0]]
    x, y, width, height = box_of(seen)
    chosen = _spread(np.stack([column, row], 1).astype(float), coarse, rng)
    chart, uv = adapter.iuv_of_smpl(_misplaced(adapter, (places[0][chosen], places[1][chosen]), rng, noise))
    whole = np.zeros(seen.shape, np.int64)
    whole[seen] = coarse
    # the middle of each cell of the grid over the box
    rows = (y + (np.arange(GRID) + 0.5) / GRID * height).astype(int)
    columns = (x + (np.arange(GRID) + 0.5) / GRID * width).astype(int)
    grid = whole[rows][:, columns]
    masks = [rle.encode(grid == part) if (grid == part).any() else [] for part in range(1, len(COARSE_NAMES))]
    return {
        "bbox": [x, y, width, height],
        "area": float(seen.sum()),
        "iscrowd": 0,
        "segmentation": rle.encode(seen),
        "dp_x": [round(float(v), 4) for v in (column[chosen] + 0.5 - x) * SPAN / width],
        "dp_y": [round(float(v), 4) for v in (row[chosen] + 0.5 - y) * SPAN / height],
        "dp_I": [float(v) for v in chart],
        "dp_U": [round(float(v), 5) for v in uv[:, 0].clip(0, 1)],
        "dp_V": [round(float(v), 5) for v in uv[:, 1].clip(0, 1)],
        "dp_masks": masks,
    }


def bystanders(sample: Sample) -> Iterator[dict[str, Any]]:
    """Further people in the picture: COCO annotations without points."""
    for number in range(2, int(sample.instance.max()) + 1):
        mask = sample.instance == number
        if mask.any():
            yield {
                "bbox": list(box_of(mask)),
                "area": float(mask.sum()),
                "iscrowd": 0,
                "segmentation": rle.encode(mask),
            }


def shifted(image: UInt8[np.ndarray, "height width rgb=3"], rng: np.random.Generator) -> np.ndarray:
    """The photograph in another light, with other colours, and less sharp."""
    from PIL import Image

    colour = (image / 255.0) ** rng.uniform(0.5, 1.8) * rng.uniform(0.75, 1.25, 3)
    picture = Image.fromarray((255 * colour.clip(0, 1)).astype(np.uint8))
    factor = rng.uniform(0.4, 0.8)
    small = picture.resize([max(16, round(side * factor)) for side in picture.size], Image.Resampling.BILINEAR)
    return np.array(small.resize(picture.size, Image.Resampling.BICUBIC))


def _spread(
    pixels: Float[np.ndarray, "pixel xy=2"], part: Int[np.ndarray, " pixel"], rng: np.random.Generator
) -> Int[np.ndarray, " point"]:
    """Indices of up to PER_PART pixels of each part, far from each other (farthest point first)."""
    chosen: list[int] = []
    roots = np.sqrt(np.bincount(part, minlength=len(COARSE_NAMES)))
    for name in range(1, len(COARSE_NAMES)):
        mine = np.flatnonzero(part == name)
        share = round(PER_PERSON * roots[name] / roots.sum())
        count = min(PER_PART, share, len(mine) // _PIXELS_PER_POINT)
        if count < 1:
            continue
        near = np.full(len(mine), np.inf)
        at = int(rng.integers(len(mine)))
        for _ in range(count):
            chosen.append(int(mine[at]))
            near = np.minimum(near, ((pixels[mine] - pixels[mine[at]]) ** 2).sum(1))
            # a little luck, so that the points do not all lie on the outline
            at = int((near * rng.uniform(0.3, 1, len(near))).argmax())
    return np.array(chosen, np.int64)


def _misplaced(adapter: Adapter, places: MeshPoints, rng: np.random.Generator, noise: float) -> MeshPoints:
    """The places moved along the surface: by a normal error in space, then back onto the same coarse part."""
    chart = adapter.table.chart[places[0]]
    position = adapter.body.position(places)
    spread = noise * np.array(KAPPA_OF_CHART)[chart]
    moved = adapter.body.closest(position + rng.normal(size=position.shape) * spread[:, None])
    # annotators marked points on a given part: one that slipped off it stays where it was
    coarse = np.array(COARSE_OF_CHART)
    slipped = coarse[adapter.table.chart[moved[0]]] != coarse[chart]
    return np.where(slipped, places[0], moved[0]), np.where(slipped[:, None], places[1], moved[1])


# ------------------------------------------------------------------------------------------------- the command


def engine_samples(count: int, seed: int, size: tuple[int, int], pack_path: str | None, split: str) -> Iterator[Sample]:
    """``count`` pictures of the engine, each with somebody in it; the same ones for the same arguments."""
    from bodymap.people import PeopleConfig, sample
    from bodymap.people.pack import Pack

    pack, config = Pack.load(pack_path), PeopleConfig(size=size)
    config = replace(config, scene=replace(config.scene, nobody=0.0))
    for number in range(count):
        seeds = (int(s) for s in np.random.SeedSequence([seed, number]).generate_state(4))
        yield sample(*seeds, pack=pack, config=config, split=split)


def pathtraced_samples(folder: Path, count: int) -> Iterator[Sample]:
    """The first ``count`` pictures in a folder of path-traced ones."""
    from bodymap.people.pathtraced.files import read_picture

    paths = sorted(folder.glob("*.npz"))[:count]
    if not paths:
        raise UserError(f"There are no path-traced pictures in {folder}; make them by bodymap.people.pathtraced.")
    return (read_picture(path) for path in paths)


def write_set(
    samples: Iterator[Sample], adapter: Adapter, folder: Path, seed: int, noise: float = NOISE, shift: bool = False
) -> tuple[int, int, int]:
    """Writes the pictures, then ``annotations.json``.

    Returns:
        (pictures, annotated people, points).
    """
    from PIL import Image

    from bodymap.files import atomic_path, output_folder

    pictures = output_folder(output_folder(folder) / "pictures")
    images, annotations = [], []
    for number, made in enumerate(samples, start=1):
        rng = np.random.default_rng([seed, number])
        subject = annotate(made, adapter, rng, noise)
        found = ([subject] if subject else []) + list(bystanders(made))
        name = f"{number:012d}.jpg"
        image = shifted(made.image, rng) if shift else made.image
        with atomic_path(pictures / name) as temporary:
            Image.fromarray(image).save(temporary, quality=40 if shift else 92)
        height, width = image.shape[:2]
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for entry in found:
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1, **entry})
    categories = [{"id": 1, "name": "person", "supercategory": "person"}]
    with atomic_path(folder / "annotations.json") as temporary:
        temporary.write_text(
            json.dumps({"images": images, "annotations": annotations, "categories": categories}), "utf-8"
        )
    people = [entry for entry in annotations if "dp_x" in entry]
    return len(images), len(people), sum(len(entry["dp_x"]) for entry in people)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.densepose.synthetic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--adapter", metavar="NPZ", required=True, help="made by python -m bodymap.densepose.adapter")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, type=Path, help="made if missing")
    parser.add_argument("--count", type=int, default=100, help="pictures (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of everything (default: %(default)s)")
    parser.add_argument("--size", type=int, default=512, help="height in pixels, at 4:3 (default: %(default)s)")
    parser.add_argument("--split", choices=("train", "test"), default="test", help="assets (default: %(default)s)")
    parser.add_argument("--pack", metavar="FILE", help="a people pack; default: the small one that ships")
    parser.add_argument("--noise", type=float, default=NOISE, help="of the points (share of kappa; %(default)s)")
    parser.add_argument("--shift", action="store_true", help="photographs unlike the training's")
    parser.add_argument("--pathtraced", metavar="DIR", type=Path, help="take these pictures instead of new ones")
    options = parser.parse_args(arguments)
    for name, least, most in (("count", 1, 100_000), ("seed", 0, 2**31), ("size", 64, 2048), ("noise", 0, 2)):
        if not least <= getattr(options, name) <= most:
            raise UserError(f"--{name} must lie between {least} and {most}, not {getattr(options, name)}.")
    adapter = load_adapter(options.adapter)
    if missing := sorted(set(range(1, CHARTS + 1)) - set(adapter.table.chart.tolist())):
        print(f"note: the adapter has no chart {', '.join(map(str, missing))}")
    if options.pathtraced:
        samples = pathtraced_samples(options.pathtraced, options.count)
    else:
        size = (options.size, round(options.size * 3 / 4 / 32) * 32)
        samples = engine_samples(options.count, options.seed, size, options.pack, options.split)
    pictures, people, points = write_set(samples, adapter, options.output, options.seed, options.noise, options.shift)
    print(
        f"{options.output}: {pictures} pictures, {people} annotated people, {points / max(people, 1):.0f} points each"
    )
    return 0


if __name__ == "__main__":
    run_command(main)
