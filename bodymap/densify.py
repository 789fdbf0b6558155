"""Pseudo-truth for fine-tuning on DensePose-COCO: what a trained network says between the annotated points.

    python -m bodymap.densify ANNOTATIONS.json PICTURES --adapter densepose.npz --size 320 240 -o DIR

writes one file for each annotated person, ``DIR/<annotation id>.npz``; training reads the folder as
``data.densepose.pseudo_truth``, with ``data.size`` set to the same size. Files that are there already are kept, so that
the same command goes on after a stop. How points and network are put together: bodymap.densepose.dense.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bodymap.data.densepose import AnnotatedPeople, PseudoFile
from bodymap.data.settings import SIZE_MULTIPLE, DensePoseConfig
from bodymap.errors import UserError, run_command
from bodymap.types import Correspondence

# (crop, the person's mask) -> the map of the whole crop
Mapper = Callable[[np.ndarray, np.ndarray], Correspondence]


def densify(people: AnnotatedPeople, predict: Mapper, folder: Path, step: Callable[[], None] = lambda: None) -> int:
    """Writes the pseudo-truth of every person of a set.

    Args:
        folder: made if missing.

    Returns:
        how many files were written.
    """
    from bodymap.densepose.dense import pseudo_truth
    from bodymap.files import output_folder

    folder, written = output_folder(folder), 0
    for index in range(len(people)):
        path = people.pseudo_path(index, folder)
        if not path.exists():
            crop = people.crop(index)
            made = PseudoFile.nothing(people.size)
            if (crop.coarse > 0).any():  # else the file has no masks of parts to check anything by
                found = predict(crop.image, crop.coarse > 0)
                made = PseudoFile.of(
                    pseudo_truth(people.adapter, found, crop.coarse, crop.pixel, crop.chart, crop.truth)
                )
            made.save(path)
            written += 1
        step()
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.densify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", metavar="JSON", help="such as densepose_coco_2014_train.json")
    parser.add_argument("pictures", metavar="DIR", help="the folder with the pictures")
    parser.add_argument("--adapter", metavar="NPZ", required=True, help="made by python -m bodymap.densepose.adapter")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("HEIGHT", "WIDTH"),
                        help="of the crops, pixels (default: 320 240)")  # fmt: skip
    parser.add_argument("--weights", metavar="WEIGHTS", help="a folder, a file or a hub id; default: the shipped ones")
    parser.add_argument("--device", help="default: a GPU where there is one")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, type=Path, help="made if missing")
    options = parser.parse_args(arguments)
    if any(side < SIZE_MULTIPLE or side > 2048 for side in options.size):
        raise UserError(f"--size must lie between {SIZE_MULTIPLE} and 2048, not {options.size[0]} {options.size[1]}.")
    from bodymap.surface import load_template

    config = DensePoseConfig(options.annotations, options.pictures, options.adapter)
    people = AnnotatedPeople(config, tuple(options.size), load_template())
    from bodymap.evaluation.progress import Progress
    from bodymap.predictor import BodyMap

    model = BodyMap.from_pretrained(options.weights, device=options.device)
    written = densify(
        people, lambda image, mask: model.predict(image, mask), options.output, Progress(len(people), "people").step
    )
    print(f"{options.output}: {written} people written, {len(people) - written} were there already")
    return 0


if __name__ == "__main__":
    run_command(main)
