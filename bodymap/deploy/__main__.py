"""The command: one person of each photograph mapped by exported networks, without torch.

    python -m bodymap.deploy DIR PHOTO... [--mask FILE] -o OUT

writes for each photo what ``python -m bodymap.predict`` writes: ``OUT/<stem>_map.png``, ``_overlay.png``, ``.npz``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bodymap.deploy.graphs import Precision
from bodymap.errors import UserError, run_command
from bodymap.outputs import check_folder, check_names


def main(arguments: Sequence[str] | None = None) -> None:
    """Maps the photos; UserError at the first that cannot be."""
    options = _parser().parse_args(arguments)

    from bodymap.deploy.predictor import OnnxBodyMap
    from bodymap.files import output_folder
    from bodymap.photo import read_photo
    from bodymap.predict import ENDINGS, write

    if options.mask is not None and len(options.photos) > 1:
        raise UserError("--mask shows one person in one photo: give one photo.")
    check_names(options.photos, options.output, ENDINGS.fullmatch)
    check_folder(options.output)
    model = OnnxBodyMap(options.folder, options.precision, options.threads)
    for path in options.photos:
        photo = read_photo(path)
        try:
            person = model.predict(photo, options.mask)
        except UserError as error:
            raise UserError(str(error).replace("the given array", str(path))) from None
        write(person, photo, output_folder(options.output), path.stem, model.graphs.code_version)
        print(f"{path} -> {options.output / path.stem}.npz, _map.png, _overlay.png")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.deploy", description="Maps the person in each photograph, by exported networks."
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="that python -m bodymap.export wrote")
    parser.add_argument("photos", metavar="PHOTO", nargs="+", type=Path, help="a photograph")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="folder for the maps")
    parser.add_argument("--mask", metavar="FILE", type=Path, help="mask of the person (white), of one photo")
    parser.add_argument("--precision", choices=Precision.__args__, default="float32", help="default: %(default)s")
    parser.add_argument("--threads", metavar="N", type=int, default=0, help="default: as many as there are processors")
    return parser


if __name__ == "__main__":
    run_command(main)
