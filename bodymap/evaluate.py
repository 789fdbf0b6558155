"""Measures BodyMap: on synthetic people with exact truth, on folders of photographs, and beside the paper's numbers.

python -m bodymap.evaluate synthetic --json figures.json
python -m bodymap.evaluate breaks --count 24 --sheet worst.jpg
python -m bodymap.evaluate sequences DIR
python -m bodymap.evaluate photos DIR --sheet sheet.png
python -m bodymap.evaluate densepose ANNOTATIONS.json PICTURES --adapter densepose.npz
python -m bodymap.evaluate tables --only 2 -o runs/tables
python -m bodymap.evaluate figures -o runs/tables --sheet figure.jpg
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodymap.errors import UserError, run_command

if TYPE_CHECKING:
    from bodymap.evaluation.judge import Judgement
    from bodymap.evaluation.photos import PhotoScores
    from bodymap.types import Correspondence, Sample

COUNT = 100  # pictures a synthetic test set


def main(arguments: list[str] | None = None) -> int:
    """The command; tables go to stdout, progress to stderr."""
    options = _parser().parse_args(arguments)
    # what takes an hour to compute must not fail when it is written
    for path in (getattr(options, "json", None), getattr(options, "sheet", None)):
        if path and not Path(os.path.realpath(path)).parent.is_dir():
            raise UserError(f"The folder {Path(path).parent} does not exist; create it, or choose another output.")
        if path and Path(path).is_dir():
            raise UserError(f"{path} is a folder; give the name of a file.")
    start = time.monotonic()
    commands = {
        "synthetic": _synthetic,
        "breaks": _breaks,
        "sequences": _sequences,
        "photos": _photos,
        "densepose": _densepose,
        "tables": _tables,
        "figures": _figures,
    }
    figures, text = commands[options.command](options)
    figures["seconds"] = round(time.monotonic() - start, 1)
    print(text)
    if getattr(options, "json", None):
        from bodymap.evaluation.report import write_json

        write_json(figures, options.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bodymap.evaluate", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    synthetic = commands.add_parser("synthetic", help="two test sets of synthetic people, the same ones every time")
    _add_synthetic(synthetic)
    synthetic.add_argument("--sheet", metavar="PNG", help="contact sheet: picture, map, overlay")

    breaks = commands.add_parser("breaks", help="where it breaks: accuracy by size, view, light, place; the worst ones")
    _add_pictures(breaks)
    breaks.add_argument(
        "--heights",
        type=int,
        metavar="N",
        help="first N pictures of each set also with persons of 64 to 1024 pixels (a third of them; 0: none)",
    )
    breaks.add_argument("--sheet", metavar="FILE", help="the worst pictures (.png or .jpg): truth, map, error")
    _add_common(breaks)

    sequences = commands.add_parser("sequences", help="temporal consistency on stored sequences of synthetic people")
    sequences.add_argument("folder", metavar="DIR", help="made by python -m bodymap.data.testset sequences")
    sequences.add_argument(
        "--every", type=_positive, default=12, metavar="N", help="start from every N-th frame (%(default)s)"
    )
    sequences.add_argument(
        "--follow", action="store_true", help="as films are mapped: every frame in turn, steadied by the one before"
    )
    _add_common(sequences)

    from bodymap.data import photos as photo_format

    photos = commands.add_parser(
        "photos",
        help="a folder of photographs with masks, labels or landmarks",
        epilog=photo_format.__doc__.split("\n\n", 1)[1].replace("``", "").replace("::", ":"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    photos.add_argument("folder", metavar="DIR", help="a set of photographs, or a folder of sets; format below")
    photos.add_argument("--limit", type=_positive, metavar="N", help="only the first N photographs of each folder")
    photos.add_argument(
        "--mirror", action="store_true", help="also compare with the mirrored photographs (twice the time)"
    )
    photos.add_argument("--sheet", metavar="PNG", help="contact sheet: photograph, map, overlay")
    _add_common(photos)

    densepose = commands.add_parser("densepose", help="a set in DensePose-COCO's format, by its official rules")
    densepose.add_argument("annotations", metavar="JSON", help="such as densepose_coco_2014_minival.json")
    densepose.add_argument("pictures", metavar="DIR", type=Path, help="the folder with the pictures")
    densepose.add_argument(
        "--adapter", metavar="NPZ", required=True, help="made by python -m bodymap.densepose.adapter from your files"
    )
    densepose.add_argument("--limit", type=_positive, metavar="N", help="only the first N annotated pictures")
    densepose.add_argument(
        "--detections",
        metavar="DIR",
        type=Path,
        help="judge another program's <stem>*.png or .npz there (formats: bodymap.densepose.iuv) instead of our maps",
    )
    _add_common(densepose)

    from bodymap.ablation.command import add_figure_arguments, add_table_arguments

    tables = commands.add_parser("tables", help="the paper's tables: every row trained and judged, theirs beside ours")
    tables.add_argument(
        "--results", metavar="FILE", help="only set figures that `synthetic --json` wrote beside the paper's"
    )
    add_table_arguments(tables, _positive, _size)
    tables.add_argument("--json", metavar="FILE", help="write every figure there, too")

    figures = commands.add_parser("figures", help="a sheet: photograph, CSE, embedding and chart baselines, ours")
    add_figure_arguments(figures)
    return parser


def _add_synthetic(parser: argparse.ArgumentParser) -> None:
    _add_pictures(parser)
    parser.add_argument("--no-checks", action="store_true", help="only the predictor: skip CSE alone, zeroed, shuffled")
    _add_common(parser)


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pack", metavar="FILE", help="the people pack; without it the shipped one")
    parser.add_argument(
        "--stored",
        metavar="DIR",
        help="pictures made by python -m bodymap.data.testset; without it they are made now",
    )
    parser.add_argument(
        "--count", type=_positive, metavar="N", help=f"pictures a test set ({COUNT}, or all of the stored ones)"
    )
    parser.add_argument(
        "--size", type=_size, metavar="HxW", help="of the pictures, such as 384x288; else as in training"
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", metavar="SOURCE", help="name, folder, file or hub id; without it the shipped weights"
    )
    parser.add_argument(
        "--stage",
        choices=("cse", "bodymap"),
        default="bodymap",
        help="cse: the coarse stage by itself, the baseline that BodyMap has to beat (it knows no layers)",
    )
    parser.add_argument("--fit", action="store_true", help="a body fitted to each map has its say (slower)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...; without it the GPU if there is one")
    parser.add_argument("--json", metavar="FILE", help="write every figure there")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and 32 <= int(height) <= 4096 and 32 <= int(width) <= 4096):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 256x192 (32 to 4096 pixels each)")
    return int(height), int(width)


# ------------------------------------------------------------------------------------------------------ commands


def _synthetic(options: argparse.Namespace) -> tuple[dict, str]:
    if options.stored and (options.pack or options.size):
        raise UserError("Stored pictures have their pack and size already; leave --pack and --size out.")
    pack = None if options.stored else _pack(options.pack)
    model, about = _model(options)

    from dataclasses import replace

    from bodymap.data.testset import FIRST_TEST_SEED, TEST_SETS
    from bodymap.evaluation import report, synthetic
    from bodymap.evaluation.progress import Progress
    from bodymap.evaluation.sheet import Sheet
    from bodymap.people import PeopleConfig
    from bodymap.surface import load_template

    config = PeopleConfig() if options.size is None else replace(PeopleConfig(), size=options.size)
    passes = () if options.no_checks else synthetic.possible_passes(model.net)
    sheet = Sheet()

    def show(sample: Sample, correspondence: Correspondence, judged: Judgement) -> None:
        from bodymap.metrics.accuracy import acc_cm, is_flipped, view_of

        flipped = " flipped" if is_flipped(judged.errors) else ""
        sheet.add(
            sample.image,
            correspondence,
            f"{which.split} {sample.seeds[0] - FIRST_TEST_SEED} {view_of(sample.facing)} "
            f"iou {judged.mask_iou:.2f}  5 cm {100 * acc_cm(judged.errors)['5']:.0f} %{flipped}",
        )

    results = {}
    for which in TEST_SETS:
        if options.stored:
            count, samples = _stored(options.stored, which, options.count)
            if not count:
                continue
        else:
            count = options.count or COUNT
            samples = synthetic.test_samples(which, count, pack, config)
        progress = Progress(count * (2 + len(passes)), which.title)
        predict = _forgiving(model)
        results[which.name] = synthetic.evaluate_synthetic(
            load_template(), samples, predict, model.net, model.device, passes, progress.step, show
        )
    if getattr(options, "sheet", None):
        sheet.write(options.sheet)
    made = {"stored": options.stored} if options.stored else {"pack": options.pack or "shipped"}
    figures = {**about, **made, "size": None if options.stored else list(config.size), "synthetic": results}
    return figures, report.synthetic_report(results) + "\n\n" + report.paper_report(results)


def _breaks(options: argparse.Namespace) -> tuple[dict, str]:
    from dataclasses import asdict

    from bodymap.data.testset import TEST_SETS
    from bodymap.evaluation import breaks
    from bodymap.evaluation.progress import Progress
    from bodymap.evaluation.sheet import write_picture
    from bodymap.surface import load_template

    if options.stored:
        if options.pack or options.size:
            raise UserError("Stored pictures have their pack and size already; leave --pack and --size out.")
        count, pictures = breaks.stored(options.stored, options.count)
    else:
        count, pictures = breaks.made(options.count or COUNT, options.size or (512, 384), _pack(options.pack))
    model, about = _model(options)
    gallery = breaks.Gallery(load_template()) if options.sheet else None
    resized = min(count, len(TEST_SETS) * (-(-count // 6) if options.heights is None else options.heights))
    step = Progress(count + resized * len(breaks.HEIGHTS), "pictures").step
    records: list[breaks.Record] = []
    try:
        found = breaks.evaluate_breaks(load_template(), pictures, _forgiving(model), resized, gallery, step)
        records.extend(found)
    except KeyboardInterrupt:  # after an hour's work what is there is told
        print("stopped: the tables are of the pictures so far", file=sys.stderr)
    if not records:
        raise UserError("Not one picture was judged; there is nothing to tell.")
    if gallery is not None:
        write_picture(gallery.sheet(), options.sheet)
    figures = breaks.summarise(records)
    about |= {"stored": options.stored} if options.stored else {"pack": options.pack or "shipped"}
    return {**about, "breaks": figures, "records": [asdict(r) for r in records]}, breaks.report(figures)


def _sequences(options: argparse.Namespace) -> tuple[dict, str]:
    from bodymap.data.testset import stored_sequences

    sequences = list(stored_sequences(options.folder))
    model, about = _model(options)

    from bodymap.evaluation import report
    from bodymap.evaluation.progress import Progress
    from bodymap.evaluation.sequences import evaluate_sequence, followed, frame_pairs, summarise_sequences
    from bodymap.surface import load_template
    from bodymap.tracking import follow

    errors: dict[str, list] = {}
    pairs = sum(sum(1 for _ in frame_pairs(len(s.frames), options.every)) for s in sequences)
    step, alone = Progress(pairs, "sequences").step, _forgiving(model)
    for s in sequences:
        film, length = s.frames.sample, len(s.frames)
        predict = lambda number, sample: alone(sample.image)  # noqa: E731
        if options.follow:
            predict = followed(partial(follow, model), film, length, options.every)
        found = evaluate_sequence(load_template(), film, length, predict, options.every, step)
        errors.setdefault(s.name, []).append(found)
    results = summarise_sequences(errors)
    return {**about, "stored": options.folder, "follow": options.follow, "temporal": results}, report.sequence_report(
        results
    )


def _photos(options: argparse.Namespace) -> tuple[dict, str]:
    from bodymap.data.photos import PhotoSet, read_photo_sets

    sets = read_photo_sets(options.folder)
    if options.limit:
        sets = [PhotoSet(photos.name, photos.photos[: options.limit]) for photos in sets]
    model, about = _model(options)

    from bodymap.evaluation import report
    from bodymap.evaluation.photos import evaluate_set
    from bodymap.evaluation.progress import Progress
    from bodymap.evaluation.sheet import Sheet
    from bodymap.metrics.landmarks import share_right
    from bodymap.surface import load_template

    sheet = Sheet()

    def show(image: Any, correspondence: Correspondence, scores: PhotoScores) -> None:
        caption = scores.photo.name
        caption += f"  iou {scores.mask_iou:.2f}" if scores.mask_iou is not None else ""
        caption += f"  landmarks {100 * share_right(scores.landmarks):.0f} %" if scores.landmarks else ""
        sheet.add(image, correspondence, caption)

    results = {}
    for photos in sets:
        step = Progress(len(photos.photos), photos.name).step
        results[photos.name] = evaluate_set(photos, _forgiving(model), load_template(), options.mirror, step, show)
    if options.sheet:
        sheet.write(options.sheet)
    return {**about, "photos": results}, report.photo_report(results)


def _densepose(options: argparse.Namespace) -> tuple[dict, str]:
    from bodymap.densepose.adapter import load_adapter
    from bodymap.densepose.annotations import read_annotations
    from bodymap.evaluation import densepose
    from bodymap.evaluation.progress import Progress

    if options.detections and not options.detections.is_dir():
        raise UserError(f"There is no folder {options.detections}; give the one with the detections.")
    pictures = densepose.annotated(read_annotations(options.annotations), options.limit)
    densepose.check_pictures(pictures, options.pictures)
    adapter = load_adapter(options.adapter)
    if options.detections:
        about, detect = {"detections": str(options.detections)}, densepose.from_files(options.detections)
    else:
        model, about = _model(options)
        detect = densepose.from_model(model.predict_all)
    name = Path(options.annotations).stem
    step = Progress(len(pictures), name).step
    figures = densepose.evaluate_densepose(pictures, options.pictures, adapter, detect, step)
    return {**about, "annotations": options.annotations, "densepose": figures}, densepose.densepose_report(
        figures, name
    )


def _tables(options: argparse.Namespace) -> tuple[dict, str]:
    if not options.results:
        from bodymap.ablation.command import run_tables

        return run_tables(options)
    from bodymap.evaluation import report
    from bodymap.files import read_json

    try:
        figures = read_json(options.results)
        return figures, report.paper_report(figures["synthetic"])
    except OSError as error:
        raise UserError(f"{options.results} cannot be read ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{options.results} holds no figures of synthetic people; write it with `synthetic --json`."
        ) from None


def _figures(options: argparse.Namespace) -> tuple[dict, str]:
    from bodymap.ablation.command import run_figures

    return run_figures(options)


# ------------------------------------------------------------------------------------------------------- helpers


def _pack(path: str | None) -> Any:
    from bodymap.people.pack import Pack

    return Pack.load(path)


def _stored(folder: str, which: Any, most: int | None) -> tuple[int, Any]:
    """How many stored pictures of a set are taken, and an iterator over them."""
    from bodymap.data.testset import stored_pictures

    pictures = stored_pictures(folder, which)
    count = 0 if pictures is None else min(len(pictures), most or len(pictures))
    return count, (pictures.sample(number) for number in range(count))


def _model(options: argparse.Namespace) -> tuple[Any, dict]:
    """The predictor, and what the JSON says about it."""
    from bodymap import __version__, weights

    weights.find(options.weights)  # a wrong name is told before torch is imported
    from bodymap import BodyMap
    from bodymap.predictor import PredictorConfig

    config = PredictorConfig(stage=options.stage, fit=options.fit)
    model = BodyMap.from_pretrained(options.weights, device=options.device, config=config)
    if model.net.cse is None:
        raise UserError("These weights have no coarse stage, which finds people; evaluate ones that have.")
    about = {
        "bodymap": __version__,
        "weights": options.weights or "shipped",
        "stage": options.stage,
        "fit": options.fit,
        "parameters": sum(values.numel() for values in model.net.parameters()),
        "device": str(model.device),
    }
    return model, about


def _forgiving(model: Any) -> Callable[[Any], Correspondence]:
    """``predict``; but a picture in which nobody is found gets an empty map instead of ending the evaluation."""
    from bodymap.types import Correspondence

    def predict(image):
        try:
            return model.predict(image)
        except UserError:  # the pictures themselves are sound: this is the only thing it can mean
            return Correspondence.empty(image.shape[:2])

    return predict


if __name__ == "__main__":
    if sys.stdout.encoding and sys.stdout.encoding.lower() not in ("utf-8", "utf8"):
        sys.stdout.reconfigure(encoding="utf-8")
    run_command(main)
