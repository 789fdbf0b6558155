"""A contact sheet of synthetic people: ``python -m bodymap.people.preview --count 12 --seed 0 -o sheet.png``."""

from __future__ import annotations

import argparse

from bodymap.errors import UserError, run_command


def main(arguments: list[str] | None = None) -> int:
    """Each cell shows the photograph and its truth as colour code. The same seed, pack and size give the same bytes."""
    parser = argparse.ArgumentParser(prog="python -m bodymap.people.preview", description=__doc__)
    parser.add_argument("--count", type=int, default=12, help="how many photographs (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="the first of as many consecutive seeds (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", required=True, help="the PNG to write")
    parser.add_argument("--pack", help="a people pack; default: the small one that ships")
    parser.add_argument("--size", default="256x192", help="height x width of one photograph (default: %(default)s)")
    parser.add_argument(
        "--split", choices=("train", "test"), default="train", help="which assets (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    size = parse_size(options.size)
    if options.count < 1:
        raise UserError(f"--count must be at least 1, not {options.count}.")
    if options.seed < 0:
        raise UserError(f"--seed must not be negative, but is {options.seed}.")
    if not options.output.lower().endswith(".png"):
        raise UserError(f"The sheet is a PNG; give an output name that ends in .png, not {options.output}.")

    from bodymap.files import atomic_path

    with atomic_path(options.output) as path:
        contact_sheet(options.count, options.seed, size, options.pack, options.split).save(path)
    print(f"wrote {options.output}")
    return 0


def contact_sheet(count: int, seed: int, size: tuple[int, int], pack_path: str | None, split: str):
    """A PIL image: rows of cells, each photograph | colour code."""
    import numpy as np
    import torch
    from PIL import Image

    from bodymap.people import Pack, PeopleConfig, sample
    from bodymap.surface import load_template, points

    torch.set_num_threads(1)  # sums in another order would change bytes
    pack = Pack.load(pack_path)
    t = load_template()
    cells = []
    for number in range(seed, seed + count):
        made = sample(number, number, number, number, pack=pack, config=PeopleConfig(size=size), split=split)
        code = np.zeros_like(made.image)
        triangle = torch.from_numpy(made.triangle[made.foreground].astype(np.int64))
        barycentric = torch.from_numpy(made.barycentric[made.foreground])
        colours = points.code(t, triangle, barycentric).clamp(0, 1)
        code[made.foreground] = (colours * 255 + 0.5).to(torch.uint8).numpy()
        cells.append(np.concatenate([made.image, code], 1))
    columns = min(count, max(1, round((count * size[0] / (2 * size[1])) ** 0.5)) + 1)
    cells += [np.zeros_like(cells[0])] * (-count % columns)
    rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    return Image.fromarray(np.concatenate(rows))


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of a ``--size``.

    Raises:
        UserError: it is no size, or too small or large.
    """
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise UserError(f"--size must look like 256x192 (height x width), not {text!r}.") from None
    if not (32 <= height <= 2048 and 32 <= width <= 2048):
        raise UserError(f"--size must lie between 32x32 and 2048x2048, not {text}.")
    return height, width


if __name__ == "__main__":
    run_command(main)
