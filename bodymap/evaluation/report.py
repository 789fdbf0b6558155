"""The figures of an evaluation as JSON, and as markdown tables beside the paper's."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any

from bodymap.data.testset import TEST_SETS
from bodymap.files import atomic_path
from bodymap.metrics import paper
from bodymap.metrics.accuracy import COLOUR_WINDOWS, DISTANCE_WINDOWS_CM, VIEWS
from bodymap.metrics.temporal import INTERVALS, TAU_CM

_DASH = "–"

# What the passes of a test set are called on the screen
_TITLES = {
    "bodymap": "BodyMap",
    "network_fused": "one pass of the network, decoded with the CSE's posterior",
    "network": "one pass of the network, its scores alone",
    "network_expectation": "the same, expectation decoder",
    "network_cse_zeroed": "the same, CSE input zeroed",
    "network_cse_shuffled": "the same, CSE input of another picture",
    "cse": "CSE alone",
}


def plain(value: Any) -> Any:
    """Numbers JSON can hold: nan and infinities become null, floats keep six digits, numpy scalars become Python's."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, (str, bool)) or value is None:
        return value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def write_json(figures: dict, path: str | os.PathLike) -> None:
    """Writes the figures, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(plain(figures), indent=1, ensure_ascii=False) + "\n", "utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table, padded so that it reads on a screen too; the first column is text, the others are numbers."""
    rows = [list(row) for row in rows]
    width = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells) -> str:
        padded = [cells[0].ljust(width[0])] + [c.rjust(w) for c, w in zip(cells[1:], width[1:], strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "-" * (width[0] + 2) + "|" + "".join("-" * (w + 1) + ":|" for w in width[1:])
    return "\n".join([line(header), rule, *map(line, rows)])


def percent(value: float | None, digits: int = 1) -> str:
    """A share as per cent."""
    return _DASH if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f}"


def number(value: float | None, digits: int = 1) -> str:
    return _DASH if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


# -------------------------------------------------------------------------------------------------- synthetic


def synthetic_report(figures: dict[str, dict[str, dict]]) -> str:
    """Everything of the synthetic test sets: ``{set name: {pass: figures}}``."""
    sections = []
    for which in TEST_SETS:
        if which.name not in figures:
            continue
        passes = figures[which.name]
        main = passes["bodymap"]
        sections.append(f"## Synthetic: {which.title} ({main['images']} images)")
        sections.append(_pass_table(passes))
        if "network_cse_zeroed" in passes:
            sections.append(_listening(passes))
        sections.append(
            f"GPS fixed kappa {percent(main['gps']['fixed'])}, per part {percent(main['gps']['by_part'])}, "
            f"GPSm {percent(main['gps']['masked'])}; boundary F at 2 px {percent(main['mask']['boundary_f'])}; "
            f"layers {percent(main['layer_accuracy'])}; calibration error {percent(main['calibration']['ece'])} "
            f"(confidence {percent(main['calibration']['mean_confidence'])}, "
            f"within 5 cm {percent(main['calibration']['within_5cm'])})"
            + (f"; facing {percent(passes['cse']['facing_accuracy'])}." if "cse" in passes else ".")
        )
        sections.append(_flip_table(passes))
        sections.append(_place_table(main["by_place"]))
    return "\n\n".join(sections)


def _pass_table(passes: dict[str, dict]) -> str:
    header = [
        "per cent of true foreground pixels",
        *(f"rgb {w}" for w in COLOUR_WINDOWS),
        *(f"{cm} cm" for cm in DISTANCE_WINDOWS_CM),
        "median cm",
        "mean cm",
        "mask IoU",
        "swapped",
    ]
    rows = [
        [_TITLES.get(name, name), *_accuracy_cells(f), percent(f["mask"]["iou"]), percent(f["swap_rate"])]
        for name, f in passes.items()
    ]
    return table(header, rows)


def _accuracy_cells(figures: dict) -> list[str]:
    return [
        *(percent(figures["acc_rgb"][f"{w}"]) for w in COLOUR_WINDOWS),
        *(percent(figures["acc_cm"][f"{cm}"]) for cm in DISTANCE_WINDOWS_CM),
        number(figures["geodesic"]["median_cm"]),
        number(figures["geodesic"]["mean_cm"]),
    ]


def _listening(passes: dict[str, dict]) -> str:
    """The test whether the coarse stage carries anything: without it the network must get worse."""
    own = passes["network"]["acc_cm"]["5"]
    lost = [100 * (own - passes[f"network_cse_{how}"]["acc_cm"]["5"]) for how in ("zeroed", "shuffled")]
    verdict = "the network uses its CSE input" if min(lost) > 0 else "the network does NOT need its CSE input"
    return f"Points lost at 5 cm without CSE input {lost[0]:.1f}, with another picture's {lost[1]:.1f}: {verdict}."


def _flip_table(passes: dict[str, dict]) -> str:
    header = ["images flipped left to right, per cent"]
    header += [f"{view} ({passes['bodymap']['flips'][view]['images']})" for view in (*VIEWS, "all")]
    chosen = [name for name in ("bodymap", "network", "cse") if name in passes]
    return table(
        header,
        [[_TITLES[name], *(percent(passes[name]["flips"][v]["flipped"]) for v in (*VIEWS, "all"))] for name in chosen],
    )


def _place_table(places: dict[str, dict]) -> str:
    header = ["by place", *(f"{cm} cm" for cm in DISTANCE_WINDOWS_CM), "median cm", "found", "pixels"]
    return table(
        header,
        [
            [
                name,
                *(percent(f["acc_cm"][f"{cm}"]) for cm in DISTANCE_WINDOWS_CM),
                number(f["geodesic"]["median_cm"]),
                percent(f["found"]),
                str(f["pixels"]),
            ]
            for name, f in places.items()
        ],
    )


# -------------------------------------------------------------------------------------------------- sequences


def sequence_report(figures: dict[str, dict]) -> str:
    """Temporal consistency, ``{kind: {interval: figures}}``, with the paper's below (its data are not ours)."""
    headline = f"{TAU_CM}"
    header = [f"matches within {headline} cm, per cent, frames apart", *(f"{n}" for n in INTERVALS)]
    rows = [
        [kind, *(percent(entry[f"{n}"]["within_cm"][headline], 2) for n in INTERVALS)]
        for kind, entry in figures.items()
    ]
    rows += [[f"{name} (paper)", *(f"{v:.2f}" for v in row)] for name, row in paper.TEMPORAL.items()]
    return "## Temporal consistency (the paper's data are not ours: for orientation only)\n\n" + table(header, rows)


# ----------------------------------------------------------------------------------------------------- photos


def photo_report(figures: dict[str, dict]) -> str:
    """Everything of the photo sets: ``{set name: figures}``."""
    sections = []
    for name, f in figures.items():
        sections.append(f"## Photographs: {name} ({f['photos']})")
        lines = []
        if "mask" in f:
            m = f["mask"]
            lines.append(
                f"- mask IoU ({m['photos']} photographs): mean {number(m['mean'], 3)}, "
                f"median {number(m['median'], 3)}, worst {number(m['worst'], 3)}; "
                f"leak {percent(m['leak'])} %, miss {percent(m['miss'])} % of the person"
            )
        if "landmarks" in f:
            k = f["landmarks"]
            lines.append(
                f"- landmarks: {percent(k['score'])} % of {k['landmarks']} right "
                f"(inside {percent(k['inside'])}, part {percent(k['part'])}, side {percent(k['side'])})"
            )
            lines += [
                f"- from behind: {photo} {percent(score)} % of its landmarks"
                for photo, score in k["from_behind"].items()
            ]
            lines.append(f"- mostly flipped: {', '.join(k['mostly_flipped']) or 'none'}")
        if "mirror" in f:
            m = f["mirror"]
            lines.append(
                f"- against the mirrored photograph: median {number(m['median_cm'])} cm, "
                f"{percent(m['within_cm']['5'])} % within 5 cm"
            )
        if "same_person" in f:
            s = f["same_person"]
            lines.append(
                f"- the same landmark in two photographs of a person ({s['pairs']} pairs): median "
                f"{number(s['median_cm'])} cm apart, {percent(s['within_cm']['10'])} % within 10 cm"
            )
        sections.append("\n".join(lines) or "No truth lies beside these photographs: nothing to measure.")
        if "landmarks" in f:
            kinds, views = f["landmarks"]["by_kind"], f["landmarks"]["by_view"]
            sections.append(table(["landmarks right, per cent", *kinds], [["", *map(percent, kinds.values())]]))
            header = ["by view", *(f"{view} ({entry['photos']})" for view, entry in views.items())]
            sections.append(table(header, [["", *(percent(entry["score"]) for entry in views.values())]]))
        if "layers" in f:
            layers = f["layers"]
            groups = f["missed_by_group"]
            sections.append(table(["called background, per cent", *groups], [["", *map(percent, groups.values())]]))
            header = ["right layer, per cent", "all", *layers["by_layer"]]
            sections.append(
                table(header, [["", percent(layers["accuracy"]), *map(percent, layers["by_layer"].values())]])
            )
    return "\n\n".join(sections)


# ------------------------------------------------------------------------------------------------------ paper


def paper_report(figures: dict[str, dict[str, dict]]) -> str:
    """The paper's tables for which we have the same metric, ours below its rows. The data are not the same."""
    windows = [f"{w}" for w in paper.WINDOWS]
    accuracy_rows = [[f"{name} (paper)", *(f"{v:.2f}" for v in row)] for name, row in paper.ACCURACY_SYNTHETIC.items()]
    ap_rows = [[f"{name} (paper)", *(f"{v:.1f}" for v in row)] for name, row in paper.AP_SYNTHETIC.items()]
    for which in TEST_SETS:
        for key, title in (("cse", "CSE alone"), ("bodymap", "BodyMap")):
            f = figures.get(which.name, {}).get(key)
            if f:
                label = f"{title} (ours, {which.title})"
                accuracy_rows.append([label, *(percent(f["acc_rgb"][w], 2) for w in windows)])
                ap_rows.append([label, *(percent(f["ap"][column]) for column in paper.AP_SYNTHETIC_COLUMNS)])
    return "\n\n".join(
        [
            "## Beside the paper (its data are not ours: for orientation only)",
            table(["2D accuracy, synthetic, window", *windows], accuracy_rows),
            table(["AP and AR over GPS, synthetic", *paper.AP_SYNTHETIC_COLUMNS], ap_rows),
        ]
    )
