"""Measures swaps, beside pasting part by part and beside filling from the nearest texel.

    python -m apps.swap.evaluate synthetic --count 16 --pack people.pack --json figures.json
    python -m apps.swap.evaluate photos DIR --count 10 --what upper

Synthetic pairs have an exact answer: the engine dresses the target's body in the source's clothes, in the same picture.
Of photographs each dresses the next one of the folder. With --layers garments are where Layered-BodyMap has them, by
its own answer or guided by the true mask. LPIPS downloads its network once, unless its weights are given.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from apps.rerender.shelves import positive
from bodymap.errors import UserError, run_command

if TYPE_CHECKING:
    from apps.swap.measures import Scene
    from bodymap.types import Correspondence

_SIZE = (448, 336)
# Decimals of each figure; what is not named has two.
_DECIMALS = {"ssim": 3, "lpips": 3, "cloth lpips": 3, "cloth colours": 3, "cycle lpips": 3, "outside": 0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code 0.

    Raises:
        UserError: bad input.
    """
    options = _parser().parse_args(arguments)

    # -- everything that can be refused is refused before the slow part starts --
    from apps.rerender.pretrained import find, load_completion, load_renderer
    from apps.swap.choice import chosen
    from apps.swap.folder import photos_in

    names = chosen(options.what or "all")
    if set(names) == {"hair"}:
        raise UserError("Hair alone has no figures; choose a garment, or all.")
    if options.json and not options.json.absolute().parent.is_dir():
        raise UserError(f"The folder {options.json.parent} does not exist; create it, or choose another output.")
    weights, rendering = find("completion", options.completion), find("renderer", options.renderer)
    paths = photos_in(options.folder) if options.command == "photos" else []
    if options.command == "photos" and len(paths) < 2:
        raise UserError(f"{options.folder} holds one photograph; at least two are needed.")

    # -- the slow part --
    from tqdm import tqdm

    from apps.swap.measures import measure, ways
    from bodymap.surface import load_template

    template = load_template()
    completion = None if weights is None else load_completion(weights)
    renderer = None if rendering is None else load_renderer(rendering)
    read = _reader(options)
    layered = _layered(options)
    if options.command == "photos":
        count = min(options.count, len(paths) - 1)
        scenes = _photographs(paths, read, layered)
    else:
        count, scenes = options.count, _pairs(options, read, layered)
    them = ways(template, ",".join(names), completion, options.texture, renderer)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in them}
    bar = tqdm(total=count, unit="swap", disable=options.quiet)
    for scene in scenes:
        try:
            found = {name: measure(template, scene, way, ",".join(names), options.lpips) for name, way in them.items()}
        except UserError as error:
            # another pair takes its place: not everybody wears everything
            print(f"left out: {error}", file=sys.stderr)
            continue
        for name, figures in found.items():
            rows[name].append(figures)
        bar.update()
        if len(rows["swap"]) == count:
            break
    bar.close()
    if not rows["swap"]:
        raise UserError("No pair could be measured; choose others.")
    figures = {name: mean(of) for name, of in rows.items()}
    print(table(figures))
    print(f"{len(rows['swap'])} pairs, --what {','.join(names)}")
    if options.json:
        from bodymap.files import atomic_path

        with atomic_path(options.json) as temporary:
            temporary.write_text(json.dumps({"mean": figures, "pairs": rows}, indent=1) + "\n", "utf-8")
    return 0


def mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each figure over the pairs to which it applies; the greatest change outside is the greatest of all."""
    result = {}
    for name in rows[0]:
        values = [row[name] for row in rows if not math.isnan(row[name])]
        combine = max if name == "outside" else lambda v: sum(v) / len(v)
        result[name] = combine(values) if values else math.nan
    return result


def table(figures: dict[str, dict[str, float]]) -> str:
    """As Markdown, a row a way."""
    names = list(next(iter(figures.values())))
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for way, row in figures.items():
        values = ("-" if math.isnan(row[k]) else f"{row[k]:.{_DECIMALS.get(k, 2)}f}" for k in names)
        lines.append(f"| {way} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def _reader(options: argparse.Namespace) -> Callable[..., Correspondence] | None:
    if options.command == "synthetic" and options.maps == "true":
        return None
    from bodymap import BodyMap

    return BodyMap.from_pretrained(options.weights, device=options.device).predict


def _layered(options: argparse.Namespace) -> Callable[..., Correspondence]:
    """(photo, its map, the true one) -> the map with its garments where --layers has them."""
    if options.layers is None:
        return lambda photo, own, true: own
    from apps.layered.predictor import LayeredBodyMap
    from apps.layered.samples import visible_layer
    from bodymap.layer_maps import with_layers

    model = LayeredBodyMap.from_pretrained(device=options.device)

    def put(photo, own: Correspondence, true: Correspondence) -> Correspondence:
        mask = visible_layer((true if options.layers == "guided" else own).layer)
        return with_layers(own, model.separate(photo, own, mask))

    return put


def _pairs(options: argparse.Namespace, read, layered) -> Iterator[Scene]:
    from itertools import count

    from apps.swap.measures import Scene
    from apps.swap.pairs import exact_map, make_pairs
    from bodymap.people import Pack

    pack = Pack.load(options.pack) if options.pack else Pack.load()
    for number in count():
        pair = next(make_pairs(1, pack, _SIZE, options.split, number))
        maps = [exact_map(sample) for sample in (pair.source, pair.target, pair.truth)]
        try:
            used = maps[:2] if read is None else [read(sample.image) for sample in (pair.source, pair.target)]
            images = (pair.source.image, pair.target.image)
            used = [layered(*of) for of in zip(images, used, maps[:2], strict=True)]
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        yield Scene(pair.source.image, used[0], pair.target.image, used[1], maps[0], maps[1], pair.truth.image, maps[2])


def _photographs(paths: Sequence[Path], read, layered) -> Iterator[Scene]:
    from apps.swap.measures import Scene
    from bodymap.photo import read_photo

    before = None
    for path in paths:
        try:
            photo = read_photo(path)
            own = read(photo)
            here = (photo, layered(photo, own, own), own)
        except UserError as error:
            print(f"left out: {str(error).replace('the given array', str(path))}", file=sys.stderr)
            continue
        if before is not None:
            yield Scene(*before[:2], *here[:2], before[2], here[2])
        before = here


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m apps.swap.evaluate", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    synthetic = commands.add_parser("synthetic", help="pairs whose right answer the engine makes")
    synthetic.add_argument("--pack", metavar="FILE", help="of the people (default: the small one that ships)")
    synthetic.add_argument("--split", choices=("test", "train"), default="test", help="of its assets (default: test)")
    synthetic.add_argument(
        "--maps", choices=("own", "true"), default="own", help="the network's, or exact ones: the swap by itself"
    )
    photos = commands.add_parser("photos", help="each photograph of a folder dresses the next one")
    photos.add_argument("folder", metavar="DIR", type=Path)
    synthetic.add_argument(
        "--layers", choices=("own", "guided"), help="layer maps, too: of own masks, or of the true ones"
    )
    photos.add_argument("--layers", choices=("own",), help="layer maps, too")
    for command in (synthetic, photos):
        command.add_argument("--count", type=positive, default=10, metavar="N", help="pairs (default: %(default)s)")
        command.add_argument("--what", action="append", metavar="WHAT", help="as python -m apps.swap (default: all)")
        command.add_argument("--completion", metavar="SOURCE", help="plain, learned, weights or diffusion:SOURCE")
        command.add_argument("--renderer", metavar="SOURCE", help="plain, learned (where it ships), or weights")
        command.add_argument(
            "--texture", type=positive, default=512, metavar="PX", help="texels each way (default: %(default)s)"
        )
        command.add_argument("--weights", metavar="W", help="of the map (default: the shipped ones)")
        command.add_argument("--device", metavar="D", help="for the map: cpu, cuda, ...")
        command.add_argument("--lpips", metavar="FILE", help="safetensors of the LPIPS network (alex)")
        command.add_argument("--json", metavar="FILE", type=Path, help="also write the figures there, pair by pair")
        command.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


if __name__ == "__main__":
    run_command(main)
