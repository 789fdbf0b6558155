"""A table's results as markdown: the paper's rows, then ours, with what each cost."""

from __future__ import annotations

from collections.abc import Sequence

from bodymap.ablation import measures
from bodymap.ablation.data import Settings
from bodymap.ablation.registry import Table
from bodymap.evaluation.report import number, percent, table

_DASH = "–"
_COST = ("views", "minutes", "M parameters")


def table_markdown(chosen: Table, records: Sequence[dict], settings: Settings, skipped: Sequence[str] = ()) -> str:
    """One table.

    Args:
        records: what ``running.Runner.result`` gave, in the order of the rows.
        skipped: sentences about rows that are missing.
    """
    names = list(dict.fromkeys(name for r in records for name in measures.extras(r["figures"], chosen.measure)))
    header = ["per cent", *chosen.columns, *names, *_COST]
    blank = [_DASH] * (len(names) + len(_COST))
    rows = [[f"{name} (paper)", *(f"{v:.2f}" for v in values), *blank] for name, values in chosen.paper.items()]
    rows += [_own_row(chosen, record, names) for record in records]
    what = "annotated pictures" if chosen.measure == "densepose" else "test pictures, half of each test set"
    about = [
        f"{settings.sequences}" if chosen.measure == "sequences" else f"{settings.images} {what}",
        f"trained rows {settings.budget} each",
        f"seed {settings.seed}",
        "weights " + (settings.weights or "shipped"),
    ]
    title = f"Table {chosen.name}: {chosen.title}" if chosen.name.isdecimal() else chosen.title
    parts = [f"## {title}", table(header, rows), f"{'; '.join(about)}. The paper's data are not ours. {chosen.note}"]
    return "\n\n".join([*(part.strip() for part in parts), *skipped])


def _own_row(chosen: Table, record: dict, names: Sequence[str]) -> list[str]:
    figures, cost = record["figures"], record["cost"]
    extras = measures.extras(figures, chosen.measure)
    shown = [_extra(*extras[name]) if name in extras else _DASH for name in names]
    return [
        record["row"]["label"],
        *(percent(measures.figure(figures, column, chosen.measure), 2) for column in chosen.columns),
        *shown,
        f"{cost['samples']:,}" if "samples" in cost else _DASH,
        number(cost.get("minutes")),
        number(cost["parameters"] / 1e6),
    ]


def _extra(value: float | None, unit: str) -> str:
    return percent(value) if unit == "share" else number(value)
