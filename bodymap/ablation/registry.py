"""The paper's tables: each a list of rows; a row says what is trained, how it is judged, and what the paper has.

A new row is an entry in a table below; a new kind of training an entry in TRAININGS. Nothing here imports torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bodymap.errors import UserError
from bodymap.metrics import paper

Measure = Literal["pictures", "masks", "sequences", "densepose"]


@dataclass(frozen=True)
class Training:
    """How a row's network is made. Everything else is the base configuration's, for every row alike.

    Attributes:
        overrides: of the configuration, ``section.key=value``.
        kind: the network and its losses: ours, or one of ``baselines``.
        base: name of the configuration in configs/bodymap.
        start: the parts of the weights that it starts from (they must fit); empty: all of them. Baselines start their
            encoder from the CSE stage's.
        data: synthetic people, or annotated photographs with sparse or dense truth.
    """

    overrides: tuple[str, ...] = ()
    kind: Literal["bodymap", "charts", "simpose", "embedding"] = "bodymap"
    base: str = "ablation"
    start: tuple[str, ...] = ("cse",)
    data: Literal["people", "sparse", "dense"] = "people"


def _both_streams(kind: str, *more: str) -> Training:
    """Both streams of one kind, from nothing: random first weights. What a kind does not use is ignored by it."""
    return Training(
        ("task.appearance_start=own", "model.appearance.frozen_stages=0")
        + tuple(f"model.{stream}.{setting}" for stream in ("appearance", "correspondence") for setting in (kind, *more))
    )


def _fine_tuning(data: Literal["sparse", "dense"]) -> Training:
    settings = ("task.stage=both", "data.size=[320,240]", "train.rate=0.0002", "train.preview_minutes=0")
    return Training(settings, base="small", start=(), data=data)


TRAININGS: dict[str, Training] = {
    "bodymap": Training(),
    "rgb": Training(("model.correspondence=null",)),
    # -- backbones --
    "resnet": _both_streams("kind=resnet", "name=resnet18"),
    "efficientnet": _both_streams("kind=efficientnet"),
    "unet": _both_streams("kind=unet", "width=12"),
    "vit": _both_streams("kind=vit", "dim=96", "depth=4", "heads=3", "channels=[24,32,64,64]"),
    # -- losses --
    "cls": Training(("task.losses.silhouette=0", "task.losses.geodesic=0", "task.losses.consistency=0")),
    "sil": Training(("task.losses.geodesic=0", "task.losses.consistency=0")),
    "geo": Training(("task.losses.consistency=0",)),
    "con_photograph": Training(("task.colours=photograph",)),
    # -- the paper's rivals --
    "charts": Training(kind="charts"),
    "simpose": Training(kind="simpose"),
    "embedding": Training(kind="embedding"),
    # -- fine-tuning --
    "sparse": _fine_tuning("sparse"),
    "dense": _fine_tuning("dense"),
}


@dataclass(frozen=True)
class Row:
    """One line of a table of ours.

    Attributes:
        label: as printed.
        training: name in TRAININGS; None: the shipped weights (or those of ``--weights``).
        how: ``network`` one pass on the picture as it is, its scores alone; ``cse`` one pass of the coarse stage;
            ``predictor`` and ``predictor_cse`` the way users get both: the person is looked for first.
        mask: the silhouette: ``own``, that of the coarse stage (``cse``: for networks whose own was never trained), or
            for the predictor one that is given: ``true``, ``eroded``, ``dilated``, ``segmenter``.
    """

    label: str
    training: str | None = None
    how: Literal["network", "cse", "predictor", "predictor_cse"] = "network"
    mask: Literal["own", "cse", "true", "eroded", "dilated", "segmenter"] = "own"

    def key(self, measure: Measure) -> str:
        """Name of its result, the same in every table that has it."""
        return f"{measure}/{self.training or 'weights'}-{self.how}-{self.mask}"


@dataclass(frozen=True)
class Table:
    """A table of the paper, or of its text.

    Attributes:
        name: what ``--only`` calls it.
        columns: of the paper's numbers: names of figures that ``measures`` finds in a result, too.
        paper: its rows, per cent.
        note: what one has to know to read it.
    """

    name: str
    title: str
    measure: Measure
    columns: tuple[str, ...]
    paper: Mapping[str, Sequence[float]]
    rows: tuple[Row, ...]
    note: str = ""


_WINDOWS = tuple(f"rgb {window}" for window in paper.WINDOWS)
_CSE = Row("CSE alone", how="cse")
_BODYMAP = Row("BodyMap (RGB + CSE)", "bodymap")
_RGB = Row("BodyMap RGB-only", "rgb")
_CHARTS = Row("DensePose-style: 24 charts + UV", "charts")
_SIMPOSE = Row("SimPose-style: 24 charts + UV, normals", "simpose")
_EMBEDDING = Row("HumanGPS-style: full-resolution embedding", "embedding")
_SHIPPED = Row("BodyMap as users get it, not trained here", how="predictor")
_METHODS = (_CHARTS, _SIMPOSE, _EMBEDDING, _CSE, _RGB, _BODYMAP, _SHIPPED)


def _synthetic(numbers: Mapping[str, paper.Pair]) -> dict[str, Sequence[float]]:
    return {name: pair[0] for name, pair in numbers.items()}


TABLES: tuple[Table, ...] = (
    Table(
        "1",
        "AP and AR on DensePose-COCO",
        "densepose",
        paper.AP_COCO_COLUMNS,
        paper.AP_COCO,
        (
            Row("CSE alone", how="predictor_cse"),
            Row("BodyMap RGB-only", "rgb", "predictor"),
            Row("BodyMap (RGB + CSE)", "bodymap", "predictor"),
            _SHIPPED,
        ),
        "GPS, kappa per part. Without --annotations on a set of our engine in COCO's format. Trained rows: the scores "
        "alone, without the coarse stage's posterior.",
    ),
    Table("2", "2D accuracy, synthetic", "pictures", _WINDOWS, paper.ACCURACY_SYNTHETIC, _METHODS),
    Table(
        "3",
        "AP and AR over GPS, synthetic",
        "pictures",
        paper.AP_SYNTHETIC_COLUMNS,
        paper.AP_SYNTHETIC,
        _METHODS,
        "GPS, kappa 0.255.",
    ),
    Table(
        "4",
        "Temporal consistency, matches within 5 cm",
        "sequences",
        tuple(f"{n} apart" for n in paper.INTERVALS),
        paper.TEMPORAL,
        (_CHARTS, _SIMPOSE, _EMBEDDING, Row("CSE alone", how="predictor_cse"), _SHIPPED),
        "The baselines are shown the box of the true person, CSE and BodyMap find it themselves.",
    ),
    Table(
        "5",
        "Backbones of both streams",
        "pictures",
        _WINDOWS,
        _synthetic(paper.BACKBONES),
        (
            Row("ResNet-18", "resnet"),
            Row("EfficientNet-lite0", "efficientnet"),
            Row("U-Net", "unet"),
            Row("ViT", "vit"),
            Row("TinyViT started from the CSE stage's, ViT", "bodymap"),
        ),
        "The first four from nothing.",
    ),
    Table(
        "6",
        "Losses",
        "pictures",
        _WINDOWS,
        _synthetic(paper.LOSSES),
        (
            Row("L_cls (the silhouette is the CSE stage's)", "cls", mask="cse"),
            Row("+ L_sil", "sil"),
            Row("+ L_geo", "geo"),
            Row("+ L_con, of the predicted codes", "bodymap"),
            Row("+ L_con, of the photograph's colours", "con_photograph"),
        ),
    ),
    Table(
        "rgb",
        "RGB-only against RGB + CSE",
        "pictures",
        _WINDOWS,
        {name: paper.ACCURACY_SYNTHETIC[name] for name in ("CSE", "RGB-only", "BodyMap")},
        (_CSE, _RGB, _BODYMAP),
    ),
    Table(
        "finetuning",
        "Fine-tuning on annotated photographs",
        "densepose",
        _WINDOWS,
        paper.FINE_TUNING,
        (
            Row("none (shipped weights)", how="predictor"),
            Row("sparse", "sparse", "predictor"),
            Row("dense", "dense", "predictor"),
        ),
        "Colours at annotated points. Without --annotations on sets of our engine in COCO's format, whose pictures "
        "differ from the training's in light, colours, sharpness and compression.",
    ),
    Table(
        "segmentation",
        "Given masks, shipped weights",
        "masks",
        _WINDOWS,
        {},
        (
            Row("the true mask", how="predictor", mask="true"),
            Row("its own mask", how="predictor"),
            Row("another segmenter's (--segmenter)", how="predictor", mask="segmenter"),
            Row("the true mask, eroded by 5 px", how="predictor", mask="eroded"),
            Row("the true mask, dilated by 5 px", how="predictor", mask="dilated"),
        ),
        "A pixel of the person outside the given mask is wrong; one inside it is judged as any other.",
    ),
)


def find_tables(names: Sequence[str]) -> tuple[Table, ...]:
    """The tables of these names, in the paper's order; all of them for none.

    Raises:
        UserError: there is no such table.
    """
    known = {table.name: table for table in TABLES}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}."
            raise UserError(f'There is no table "{name}"; {hint}')
    return tuple(table for table in TABLES if not names or table.name in names)
