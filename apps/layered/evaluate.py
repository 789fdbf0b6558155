"""Measures Layered-BodyMap, against single-layer BodyMap on the same pictures.

    python -m apps.layered.evaluate --pack people.pack --count 40       people of the engine, held-out assets
    python -m apps.layered.evaluate --cloth runs/cloth                  simulated cloth, held-out garments and persons
    python -m apps.layered.evaluate --photos DIR                        photographs with labels (bodymap.data.photos)

Masks are the true ones, BodyMap's own, and damaged ones (the person 5 pixels wider or narrower in turn). --json FILE
keeps the figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from apps.layered.settings import HEIGHTS
from bodymap.errors import UserError, run_command

if TYPE_CHECKING:
    from apps.layered.evaluation import Tally
    from apps.layered.predictor import LayeredBodyMap
    from apps.layered.truth import LayeredSample

DAMAGE = 5  # pixels
FITTED = "body fitted to it"
Picture = tuple["LayeredSample", dict[str, str], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; tables go to stdout, progress to stderr."""
    options = _parser().parse_args(arguments)
    for path in (options.json, options.sheet):
        if path and not Path(path).resolve().parent.is_dir():
            raise UserError(f"The folder {Path(path).parent} does not exist; create it, or choose another output.")
    if options.photos and options.cloth:
        raise UserError("--photos and --cloth exclude each other: one evaluation reads one of the two.")
    if options.pack is not None and not Path(options.pack).is_file():
        raise UserError(f"The people pack {options.pack} does not exist; leave --pack out to use the small one.")
    if options.count < 1:
        raise UserError(f"--count must be at least 1, not {options.count}.")

    from apps.layered.predictor import LayeredBodyMap

    model = LayeredBodyMap.from_pretrained(
        options.weights, device=options.device, heights=None if options.heights == "none" else options.heights
    )
    tallies = _photographs(model, options) if options.photos else _synthetic(model, options)
    figures = {name: tally.figures() for name, tally in tallies.items()}
    if FITTED in figures:  # it knows of no garment
        figures[FITTED] = {
            name: f for name, f in figures[FITTED].items() if name in ("body covered", "body with hidden")
        }
    print(report(figures))
    if options.json:
        from bodymap.evaluation.report import write_json

        write_json(figures, options.json)
    return 0


def _pictures(options: argparse.Namespace) -> Iterator[Picture]:
    """(picture, kinds of its garments, motion or "")."""
    from apps.layered.evaluation import kinds_of
    from apps.layered.truth import Wearer, engine_sample
    from bodymap.people.config import PeopleConfig
    from bodymap.people.pack import Pack
    from bodymap.people.person import get_person

    pack = Pack.load(options.pack) if options.pack else Pack.load()
    if options.cloth:
        from apps.layered.cloth.sequences import read_sequences

        sequences = read_sequences(options.cloth, "test")
        if not sequences:
            raise UserError(f"{options.cloth} holds no sequences for testing; simulate some more.")
        for number in range(options.count):
            sequence = sequences[number % len(sequences)]
            wearer = Wearer(sequence, 7000 + number, pack)
            frame = (number * 37) % len(sequence)
            sample = wearer.sample(frame, 7000 + number, 7000 + number)
            yield sample, {g.layer: g.name for g in sequence.garments}, sequence.motion
        return
    config = PeopleConfig()
    for seed in range(7000, 7000 + options.count):
        sample = engine_sample(seed, seed, seed, seed, pack=pack, config=config, split="test")
        pieces = get_person(seed, pack, config, "test").pieces
        yield sample, kinds_of(piece.name for piece in pieces), ""


def _synthetic(model: LayeredBodyMap, options: argparse.Namespace) -> dict[str, Tally]:
    from apps.layered.evaluation import Tally, answer_of_body, answer_of_layers, answer_of_single, damaged
    from apps.layered.samples import visible_layer
    from bodymap.evaluation.progress import Progress
    from bodymap.fitting.body import fit_body
    from bodymap.types import Correspondence, LayerMaps

    names = ("layered, true mask", "layered, own mask", "layered, damaged mask", "single layer", FITTED)
    tallies = {name: Tally() for name in names}
    progress = Progress(options.count, "pictures")
    rows = []
    for number, (sample, kinds, motion) in enumerate(_pictures(options)):
        kinds = kinds | ({"body": motion} if motion else {})
        image, truth = sample.image, sample.mask.astype("int8")
        if not (truth > 0).any():
            progress.step()
            continue
        answers = {}
        for name, mask in (("true", truth), ("damaged", damaged(truth, DAMAGE * (-1) ** number))):
            if not (mask > 0).any():
                mask = truth
            maps = model.separate(image, model.bodymap.predict(image, mask > 0), mask)
            answers[f"layered, {name} mask"] = answer_of_layers(maps)
        try:
            single = model.bodymap.predict(image)
            own = visible_layer(single.layer)
            maps = model.separate(image, single, own)
        except UserError:  # nobody was found
            single = Correspondence.empty(truth.shape)
            own = single.layer
            maps = LayerMaps(single, None, None, own)
        answers["layered, own mask"] = answer_of_layers(maps)
        answers["single layer"] = answer_of_single(single, own)
        try:
            answers[FITTED] = answer_of_body(fit_body(single).correspondence())
        except UserError:
            answers[FITTED] = answer_of_body(Correspondence.empty(truth.shape))
        for name, answer in answers.items():
            tallies[name].add(answer, sample, kinds)
        rows.append((image, maps))
        progress.step()
    if options.sheet:
        _write_sheet(rows, options.sheet)
    return tallies


def _photographs(model: LayeredBodyMap, options: argparse.Namespace) -> dict[str, Tally]:
    from apps.layered.evaluation import Tally
    from apps.layered.samples import visible_layer
    from bodymap.data.photos import layer_truth, read_photo_sets
    from bodymap.evaluation.progress import Progress
    from bodymap.types import Correspondence, LayerMaps

    photos = [photo for found in read_photo_sets(options.photos) for photo in found.photos]
    photos = photos[:: max(1, len(photos) // options.count)][: options.count]
    tallies = {"layered, own mask": Tally(), "single layer": Tally()}
    progress = Progress(len(photos), "photographs")
    rows = []
    for photo in photos:
        image = photo.image()
        try:
            single = model.bodymap.predict(image)
            own = visible_layer(single.layer)
            maps = model.separate(image, single, own)
        except UserError as error:
            print(f"note: {photo.name}: {error}", file=sys.stderr)
            single = Correspondence.empty(image.shape[:2])
            own, maps = single.layer, LayerMaps(single, None, None, single.layer)
        groups = photo.label_groups(image.shape[:2])
        if groups is not None:
            truth = visible_layer(layer_truth(groups))
            tallies["layered, own mask"].regions(maps.visible, truth)
            tallies["single layer"].regions(own, truth)
        rows.append((image, maps))
        progress.step()
    if options.sheet:
        _write_sheet(rows, options.sheet)
    return tallies


def report(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown tables: places, then layers."""
    from bodymap.evaluation.report import number, percent, table

    places, regions = [], []
    for method, found in figures.items():
        for name, f in found.items():
            if "median_cm" in f:
                windows = [percent(f[f"acc_{w}"]) for w in (5, 10, 20)]
                places.append([f"{name}, {method}", *windows, number(f["median_cm"]), f"{f['pixels']:.0f}"])
            if "iou" in f:
                regions.append([f"{name}, {method}", percent(f["iou"]), percent(f.get("boundary_f"))])
    blocks = []
    if places:
        header = ["where the layer truly is, per cent", "rgb 5", "rgb 10", "rgb 20", "median cm", "pixels"]
        blocks.append(table(header, sorted(places, key=lambda row: row[0])))
    blocks.append(table(["layers, per cent", "IoU", "boundary F"], sorted(regions, key=lambda row: row[0])))
    return "\n\n".join(blocks)


def _write_sheet(rows: list, path: str) -> None:
    """Picture, layers, and the three maps of each."""
    from PIL import Image

    from apps.layered.sheet import layer_sheet
    from bodymap.files import atomic_path

    with atomic_path(path) as temporary:
        Image.fromarray(layer_sheet(rows)).save(temporary, format="PNG")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m apps.layered.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--photos", metavar="DIR", help="photographs, with labels where there are some")
    parser.add_argument("--cloth", metavar="DIR", help="cloth sequences (apps.layered.simulate)")
    parser.add_argument("--pack", metavar="FILE", help="people pack (default: the small one that ships)")
    parser.add_argument("--count", type=int, default=40, help="pictures (default: %(default)s)")
    parser.add_argument("--weights", metavar="W", help="layered weights (default: the shipped ones)")
    parser.add_argument(
        "--heights", metavar="W", default=HEIGHTS, help="as apps.layered.predict; none: without (default: the shipped)"
    )
    parser.add_argument("--device", metavar="D", help="cpu, cuda, ... (default: a GPU where there is one)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--sheet", metavar="PNG", help="contact sheet: picture, layers, the three maps")
    return parser


if __name__ == "__main__":
    run_command(main)
