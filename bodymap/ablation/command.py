"""``python -m bodymap.evaluate tables`` and ``figures``: their arguments, and what they write."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bodymap.ablation.data import Missing, Settings
from bodymap.ablation.registry import TABLES, find_tables
from bodymap.errors import UserError

_FIGURE_PICTURES = 6


def add_table_arguments(parser: argparse.ArgumentParser, positive: Callable, size: Callable) -> None:
    """``positive`` and ``size``: types of numbers and of sizes such as 256x192."""
    names = ", ".join(table.name for table in TABLES)
    parser.add_argument("--only", metavar="NAMES", help=f"tables, with commas between: {names}; without it all of them")
    parser.add_argument("--rows", metavar="NAMES", help="only the rows of these trainings (weights: those of none)")
    _add_folder(parser)
    parser.add_argument("--minutes", type=float, default=15.0, help="of training a row (%(default)g)")
    parser.add_argument("--steps", type=positive, help="of training a row, instead of minutes: fair on a busy machine")
    parser.add_argument("--images", type=positive, default=200, help="test pictures (%(default)s)")
    parser.add_argument("--size", type=size, default=(256, 192), metavar="HxW", help="of the test pictures (256x192)")
    parser.add_argument("--people", type=positive, default=1000, help="training pictures that are made (%(default)s)")
    parser.add_argument("--shards", metavar="DIR", help="training pictures that are there already (docs/shards.md)")
    parser.add_argument("--pack", metavar="FILE", help="the people pack; without it the shipped one")
    parser.add_argument("--config", metavar="YAML", help="instead of configs/bodymap/ablation.yaml")
    parser.add_argument("--seed", type=int, default=0, help="of training and people (%(default)s)")
    parser.add_argument("--segmenter", metavar="PROVIDER", help="of masks, for its row: onnx:FILE, rembg")
    parser.add_argument(
        "--sequences", metavar="DIR", help="for table 4: made by python -m bodymap.data.testset sequences"
    )
    parser.add_argument("--adapter", metavar="NPZ", help="for tables 1 and finetuning: see docs/densepose.md")
    parser.add_argument("--annotations", metavar="JSON", help="the test set of these; without it one of our engine")
    parser.add_argument("--pictures", metavar="DIR", help="the pictures of --annotations")


def add_figure_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help="without any, test pictures of the folder")
    _add_folder(parser)
    parser.add_argument("--sheet", required=True, metavar="FILE", help="the sheet, .png or .jpg")


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        default="runs/tables",
        metavar="DIR",
        help="trainings and results; goes on there (%(default)s)",
    )
    parser.add_argument("--weights", metavar="SOURCE", help="of the coarse stage and of ours; without it the shipped")
    parser.add_argument("--device", help="cpu, cuda, ...; without it the GPU if there is one")


def run_tables(options: argparse.Namespace) -> tuple[dict, str]:
    """Works through the tables; writes ``table_<name>.md`` and ``.json`` after every row."""
    chosen = find_tables(options.only.split(",") if options.only else ())
    for name in ("config", "pack", "adapter", "annotations"):
        if getattr(options, name) and not Path(getattr(options, name)).is_file():
            raise UserError(f"--{name} {getattr(options, name)}: there is no such file.")
    if not 0 < options.minutes < 1e5:
        raise UserError("--minutes must be above 0.")
    given = {name: value for name, value in vars(options).items() if name in Settings.__dataclass_fields__}
    given["minutes"] = None if options.steps else options.minutes
    settings = Settings(folder=Path(options.output), **given)
    from bodymap import weights

    weights.find(settings.weights)
    from bodymap.ablation.running import Runner

    runner = Runner(settings, _say)
    figures, texts = {}, []
    for table in chosen:
        figures[table.name], text = _run_table(runner, table, options.rows, alone=len(chosen) == 1)
        texts.append(text)
    return {"tables": figures}, "\n\n".join(texts)


def _run_table(runner: Any, table: Any, rows: str | None, alone: bool) -> tuple[dict, str]:
    from bodymap.ablation.markdown import table_markdown
    from bodymap.evaluation.report import write_json
    from bodymap.files import atomic_path

    wanted = None if rows is None else rows.split(",")
    records: list[dict] = []
    skipped: list[str] = []
    settings = runner.settings
    text, figures = "", {}
    for row in table.rows:
        if wanted is not None and (row.training or "weights") not in wanted:
            continue
        try:
            records.append(runner.result(row, table))
        except Missing as error:
            if alone and row.mask != "segmenter":
                raise
            skipped.append(f"Not in the table, {row.label}: {error}")
        text = table_markdown(table, records, settings, skipped)
        figures = {
            "title": table.title,
            "budget": settings.budget,
            "images": settings.images,
            "seed": settings.seed,
            "weights": settings.weights or "shipped",
            "columns": table.columns,
            "paper": {name: list(values) for name, values in table.paper.items()},
            "rows": records,
            "skipped": skipped,
        }
        write_json(figures, settings.folder / f"table_{table.name}.json")
        with atomic_path(settings.folder / f"table_{table.name}.md") as temporary:
            temporary.write_text(text + "\n", "utf-8")
    if not text:
        raise UserError(f"Table {table.name} has no row of the trainings {rows}.")
    return figures, text


def run_figures(options: argparse.Namespace) -> tuple[dict, str]:
    """Writes the sheet of methods."""
    from bodymap.ablation.figures import method_sheet
    from bodymap.evaluation.sheet import write_picture
    from bodymap.photo import read_photo

    folder = Path(options.output)
    if options.photos:
        pictures = [(Path(photo).name, read_photo(photo)) for photo in options.photos]
    else:
        from bodymap.data.testset import TEST_SETS, stored_pictures

        pictures = []
        for which in TEST_SETS:
            stored = stored_pictures(folder / "test", which)
            for number in range(min(_FIGURE_PICTURES // 2, len(stored) if stored is not None else 0)):
                pictures.append((f"{which.title} {number}", stored.sample(number).image))
    write_picture(method_sheet(pictures, folder, options.weights, options.device, _say), options.sheet)
    return {"pictures": [name for name, _ in pictures]}, f"wrote {options.sheet}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
