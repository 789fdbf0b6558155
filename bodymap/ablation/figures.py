"""The paper's comparison of methods as a sheet: photograph | CSE | embedding baseline | part-chart baseline | ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bodymap.ablation.registry import Row
from bodymap.types import Correspondence

# column -> the row that makes it; a training that is not there leaves its column out
COLUMNS: dict[str, Row] = {
    "CSE": Row("", how="predictor_cse"),
    "embedding": Row("", "embedding"),
    "24 charts": Row("", "charts"),
    "ours": Row("", how="predictor"),
}
_TILE = (260, 195)


def method_sheet(
    pictures: Sequence[tuple[str, np.ndarray]],
    folder: Path,
    weights: str | None,
    device: str | None,
    say: Callable[[str], None],
) -> np.ndarray:
    """(H, W, 3) uint8: a row a picture.

    Args:
        pictures: (name, (H, W, 3) uint8). Ours finds the person; the baselines are shown the box of what it found.
        folder: of ``running``, with the trained baselines in ``runs``.
        weights: of CSE and ours.
    """
    from bodymap.ablation.subjects import load_subject
    from bodymap.surface import load_template
    from bodymap.visual.maps import code_picture
    from bodymap.visual.sheets import contact_sheet

    template, subjects = load_template(), {}
    for name, row in COLUMNS.items():
        source: Any = weights if row.training is None else folder / "runs" / row.training / "weights"
        if row.training is not None and not source.is_dir():
            say(f"{source} is not there: no column for it (python -m bodymap.evaluate tables --only 2 -o {folder})")
            continue
        subjects[name] = load_subject(row, source, template, device)
    rows = []
    for _, picture in pictures:
        ours = subjects["ours"].predict(picture, None)
        maps = [picture]
        for name, subject in subjects.items():
            found = ours if name == "ours" else _map(subject, picture, ours)
            maps.append(code_picture(template, found.mask, found.triangle, found.barycentric))
        rows.append(maps)
        say(f"{len(rows)} of {len(pictures)} pictures")
    labels = [name for name, _ in pictures]
    return contact_sheet(rows, row_labels=labels, column_labels=["photograph", *subjects], tile=_TILE)


def _map(subject: Any, picture: np.ndarray, ours: Correspondence) -> Correspondence:
    if subject.boxed is None or not ours.mask.any():
        return subject.predict(picture, None)
    rows, columns = (np.flatnonzero(ours.mask.any(axis=axis)) for axis in (1, 0))
    return subject.boxed(picture, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
