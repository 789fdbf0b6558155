"""Where it breaks: one record a picture, and accuracy by what makes a picture hard; the worst pictures side by side.

The axes: the person's height in pixels, which part of it is in the picture, how much is hidden, light, the side from
which it is seen, and the places of the body. Only the first needs pictures of its own: some of the test pictures again,
rescaled (or, where they are made, rendered larger) until the person has the wanted height.
"""

from __future__ import annotations

import functools
import heapq
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bodymap.data.testset import TEST_SETS, TestSet, draw_test_picture, stored_pictures
from bodymap.evaluation.judge import Judgement, judge
from bodymap.evaluation.report import number, percent, table
from bodymap.metrics import accuracy, similarity
from bodymap.types import PART_NAMES, Correspondence, Sample

if TYPE_CHECKING:
    from bodymap.surface import Template

HEIGHTS: tuple[int, ...] = (64, 128, 256, 512, 1024)  # of the person, pixels

# Upper ends of the bins of an axis, the last one open
OCCLUDED = (0.02, 0.15, 0.3)  # share of the body in the picture that something hides
GREY = (60.0, 110.0, 160.0)  # the person's mean, of 255
CONTRAST = (25.0, 60.0)  # between the person's mean colour and that of what is around, largest channel, of 255
AGE = (16.0, 60.0)  # years
TONE = (10.0, 41.0)  # of the skin, degrees (``skin_tone``): brown and dark, tan and intermediate, light

# A part is in the picture from this share of the person's pixels on
_PRESENT = 0.005
_RING = 0.06  # width of what is around a person, share of its height


@dataclass(frozen=True)
class Record:
    """One picture, as JSON has it.

    Attributes:
        picture: "<test set> <number>".
        height: of the person's box, pixels; ``rescaled``: the picture was made for the axis of heights alone.
        visible: which ends of the body are in the picture, a word of ``visible_part``.
        occluded: share of the bare body's pixels in the picture that something else than its own clothes hides; nan
            where the truth of the covered body is missing.
        grey, contrast: see GREY and CONTRAST.
        view: a word of metrics.accuracy.VIEWS.
        age: years; nan, as ``tone`` and "" of ``sex``: the sample does not say.
        sex: whose clothes and skin the person has, "female" or "male".
        tone: see ``skin_tone``.
        mask_iou; within_5, within_10: shares of true foreground pixels; median_cm; swap_rate (nan: nothing lateral).
        gpsm: sqrt(GPS x mask IoU), kappa 0.255: the score by which the worst pictures are picked.
        places: name -> (pixels, of them within 5 cm, within 10 cm, median in cm).
    """

    picture: str
    height: int
    rescaled: bool
    visible: str
    occluded: float
    grey: float
    contrast: float
    view: str
    age: float
    sex: str
    tone: float
    mask_iou: float
    within_5: float
    within_10: float
    median_cm: float
    swap_rate: float
    gpsm: float
    places: dict[str, tuple[int, float, float, float]] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------ one picture


def record_of(template: Template, sample: Sample, judged: Judgement, picture: str, rescaled: bool = False) -> Record:
    """What a picture is like, and how its prediction was judged."""
    worst = float(template.sample_geodesic.max())
    whole = accuracy.summary(judged.errors, worst)
    grey, contrast = light_of(sample)
    body = sample.body
    places = {} if rescaled else accuracy.by_place(judged.errors, worst)
    return Record(
        picture=picture,
        height=person_height(sample),
        rescaled=rescaled,
        visible=visible_part(sample),
        occluded=occluded_share(sample),
        grey=grey,
        contrast=contrast,
        view=accuracy.view_of(sample.facing),
        age=body.get("age", math.nan),
        sex={True: "female", False: "male"}.get(body.get("female"), ""),
        tone=skin_tone(body["skin"]) if "skin" in body else math.nan,
        mask_iou=judged.mask_iou,
        within_5=whole["acc_cm"]["5"],
        within_10=whole["acc_cm"]["10"],
        median_cm=whole["geodesic"]["median_cm"],
        swap_rate=whole["swap_rate"],
        gpsm=similarity.gps_masked(similarity.gps(judged.errors.geodesic), judged.mask_iou),
        places={
            name: (f["pixels"], f["acc_cm"]["5"], f["acc_cm"]["10"], f["geodesic"]["median_cm"])
            for name, f in places.items()
        },
    )


def person_height(sample: Sample) -> int:
    """Rows from the topmost to the lowest pixel of the person; 0 where there is none."""
    rows = np.flatnonzero(sample.foreground.any(axis=1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 0


def visible_part(sample: Sample) -> str:
    """Which ends of the body are in the picture: head to foot, head without feet, feet without head, neither."""
    part = sample.part[sample.foreground]
    feet = [i for i, name in enumerate(PART_NAMES) if name.endswith("foot")]
    head = np.mean(part == PART_NAMES.index("head")) >= _PRESENT if len(part) else False
    foot = np.mean(np.isin(part, feet)) >= _PRESENT if len(part) else False
    return ("head to foot" if foot else "head without feet") if head else ("feet without head" if foot else "neither")


def occluded_share(sample: Sample) -> float:
    """Share of the bare body's pixels where not the person is seen but something before it."""
    if sample.covered_triangle is None:
        return math.nan
    body = sample.covered_triangle >= 0
    return float(np.mean(~sample.foreground[body])) if body.any() else math.nan


def light_of(sample: Sample) -> tuple[float, float]:
    """(the person's mean grey, largest channel difference to what is around), both of 255."""
    from scipy import ndimage

    if not sample.foreground.any():
        return math.nan, math.nan
    inside = sample.image[sample.foreground].mean(axis=0)
    grey = float(inside @ (0.299, 0.587, 0.114))
    reach = max(2, round(_RING * person_height(sample)))
    ring = (ndimage.distance_transform_edt(~sample.foreground) <= reach) & ~sample.foreground
    return grey, float(np.abs(sample.image[ring].mean(axis=0) - inside).max()) if ring.any() else math.nan


def skin_tone(colour: Sequence[float]) -> float:
    """The individual typology angle of a skin's mean colour (sRGB in [0, 1]): atan((L* - 50) / b*) in degrees, from
    above 55 (very light) to below -30 (dark); Chardon et al., Skin colour typology and suntanning pathways, 1991."""
    srgb = np.asarray(colour, float)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    # CIELAB's Y and Z relative to the white of D65
    y, z = np.array([[0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear / (1.0, 1.089)
    root = [math.cbrt(v) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29 for v in (y, z)]
    return math.degrees(math.atan2(116 * root[0] - 66, 200 * (root[0] - root[1])))


def rescaled(sample: Sample, factor: float) -> Sample:
    """A picture made smaller (``factor`` below 1) with its truth: pixels are averaged, of truths the middle counts."""
    from PIL import Image

    height, width = sample.foreground.shape
    size = max(16, round(height * factor)), max(16, round(width * factor))
    rows = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(int)
    maps = ("foreground", "triangle", "barycentric", "part", "layer", "normal", "instance")
    covered = ("covered_triangle", "covered_barycentric") if sample.covered_triangle is not None else ()
    picture = Image.fromarray(sample.image).resize(size[::-1], Image.Resampling.BOX)
    taken = {name: getattr(sample, name)[rows[:, None], columns[None]] for name in maps + covered}
    return replace(sample, image=np.asarray(picture), **taken)


# ----------------------------------------------------------------------------------------------------- many of them


@dataclass(frozen=True)
class Picture:
    """A test picture: its name, its Sample, and a way to have it rendered larger (None: it cannot be)."""

    name: str
    sample: Sample
    enlarge: Callable[[float], Sample] | None = None


def stored(folder: str, most: int | None) -> tuple[int, Iterator[Picture]]:
    """How many pictures, and these: of both stored test sets in turn, at most ``most`` of each."""
    sets = [(which.name, stored_pictures(folder, which)) for which in TEST_SETS]
    sets = [(name, pictures) for name, pictures in sets if pictures is not None]
    places = sorted(
        (k, n) for n, (_, pictures) in enumerate(sets) for k in range(min(len(pictures), most or sys.maxsize))
    )
    return len(places), (Picture(f"{sets[n][0]} {k}", sets[n][1].sample(k)) for k, n in places)


def made(count: int, size: tuple[int, int], pack: Any) -> tuple[int, Iterator[Picture]]:
    """As ``stored``: ``count`` pictures of each test set, made as they are asked for, with the covered body's truth."""
    from bodymap.people import PeopleConfig

    def draw(which: TestSet, number: int, factor: float = 1.0) -> Sample:
        config = PeopleConfig(size=(round(size[0] * factor), round(size[1] * factor)), covered=True)
        return draw_test_picture(which, number, pack, config)

    return count * len(TEST_SETS), (
        Picture(f"{which.name} {number}", draw(which, number), functools.partial(draw, which, number))
        for number in range(count)
        for which in TEST_SETS
    )


def evaluate_breaks(
    template: Template,
    pictures: Iterable[Picture],
    predict: Callable[[np.ndarray], Correspondence],
    resized: int,
    gallery: Gallery | None = None,
    step: Callable[[], None] = lambda: None,
) -> Iterator[Record]:
    """One record for every picture, and one a height of HEIGHTS for the first ``resized`` that can be brought to it.

    Args:
        predict: (H, W, 3) uint8 -> Correspondence.
        step: called once a picture and once a height.
    """
    for index, picture in enumerate(pictures):
        found = predict(picture.sample.image)
        judged = judge(template, picture.sample, found)
        record = record_of(template, picture.sample, judged, picture.name)
        if gallery is not None:
            gallery.offer(record, picture.sample, found)
        yield record
        step()
        if index < resized:
            for height in HEIGHTS:
                sample = at_height(picture, height)
                if sample is not None:
                    judged = judge(template, sample, predict(sample.image))
                    record = record_of(template, sample, judged, picture.name, rescaled=True)
                    yield replace(record, height=height)  # the wanted one: rounding is no other bin
                step()


def at_height(picture: Picture, height: int) -> Sample | None:
    """The picture with a person of ``height`` pixels; None where it would have to be blown up."""
    factor = height / max(1, person_height(picture.sample))
    if factor <= 1:
        return rescaled(picture.sample, factor)
    return None if picture.enlarge is None else picture.enlarge(factor)


def axes(records: Sequence[Record]) -> dict[str, dict[str, list[Record]]]:
    """{axis: {bin: its records}}; bins without a record are left out."""
    own = [record for record in records if not record.rescaled]
    sorted_by = {
        "person's height, pixels": _by([r for r in records if r.rescaled], [str(h) for h in HEIGHTS], _height),
        "in the picture": _by(
            own, ("head to foot", "head without feet", "feet without head", "neither"), lambda r: r.visible
        ),
        "hidden, per cent": _binned(own, lambda r: 100 * r.occluded, [100 * edge for edge in OCCLUDED]),
        "the person's mean grey": _binned(own, lambda r: r.grey, GREY),
        "contrast to what is around": _binned(own, lambda r: r.contrast, CONTRAST),
        "seen from": _by(own, accuracy.VIEWS, lambda r: r.view),
        "age, years": _binned(own, lambda r: r.age, AGE),
        "sex": _by(own, ("female", "male"), lambda r: r.sex),
        "skin tone, degrees": _binned(own, lambda r: r.tone, TONE),
    }
    return {"all": {"every picture": own}} | {axis: bins for axis, bins in sorted_by.items() if bins}


def _height(record: Record) -> str:
    return str(record.height)


def _by(records, names: Sequence[str], name_of: Callable[[Record], str]) -> dict[str, list[Record]]:
    bins = {name: [record for record in records if name_of(record) == name] for name in names}
    return {name: members for name, members in bins.items() if members}


def _binned(records, value: Callable[[Record], float], edges: Sequence[float]) -> dict[str, list[Record]]:
    names = [f"up to {edges[0]:g}"]
    names += [f"{low:g} to {high:g}" for low, high in zip(edges[:-1], edges[1:], strict=True)]
    names += [f"above {edges[-1]:g}"]
    known = [record for record in records if math.isfinite(value(record))]
    return _by(known, names, lambda r: names[int(np.searchsorted(edges, value(r)))])


def summarise(records: Sequence[Record]) -> dict:
    """Figures by axis and bin, every picture counting alike; and by place, every pixel counting alike."""

    def mean(values: Iterable[float]) -> float:
        known = [value for value in values if math.isfinite(value)]
        return float(np.mean(known)) if known else math.nan

    figures = {
        axis: {
            name: {
                "pictures": len(members),
                "within_5": mean(r.within_5 for r in members),
                "within_10": mean(r.within_10 for r in members),
                "median_cm": float(np.median([r.median_cm for r in members])),
                "mask_iou": mean(r.mask_iou for r in members),
                "swap_rate": mean(r.swap_rate for r in members),
            }
            for name, members in bins.items()
        }
        for axis, bins in axes(records).items()
    }
    own = [record for record in records if not record.rescaled]
    names = dict.fromkeys(name for record in own for name in record.places)
    figures["place"] = {name: _place([r.places[name] for r in own if name in r.places]) for name in names}
    return figures


def _place(found: Sequence[tuple[int, float, float, float]]) -> dict[str, float]:
    pixels = np.array([entry[0] for entry in found], float)
    return {
        "pictures": len(found),
        "pixels": int(pixels.sum()),
        "within_5": float(np.average([entry[1] for entry in found], weights=pixels)),
        "within_10": float(np.average([entry[2] for entry in found], weights=pixels)),
        "median_cm": float(np.median([entry[3] for entry in found])),
    }


def report(figures: dict) -> str:
    """The tables for the screen: one a axis."""
    header = ["pictures", "5 cm", "10 cm", "median cm", "mask IoU", "swapped"]
    sections = ["## Where it breaks: per cent of the person's pixels within so many cm, mean over pictures"]
    for axis, bins in figures.items():
        if axis == "place":
            continue
        rows = [[name, str(f["pictures"]), *_cells(f), number(f["mask_iou"], 3), percent(f["swap_rate"])]
                for name, f in bins.items()]  # fmt: skip
        sections.append(table(["" if axis == "all" else axis, *header], rows))
    rows = [[name, str(f["pictures"]), *_cells(f), str(f["pixels"])] for name, f in figures["place"].items()]
    sections.append(table(["place (over pixels)", *header[:4], "pixels"], rows))
    return "\n\n".join(sections)


def _cells(figures: dict) -> list[str]:
    return [percent(figures["within_5"]), percent(figures["within_10"]), number(figures["median_cm"])]


# ----------------------------------------------------------------------------------------------------- the gallery


class Gallery:
    """Keeps the worst pictures seen: photograph, true map, our map, where they differ."""

    def __init__(self, template: Template, count: int = 12) -> None:
        self.template, self.count = template, count
        self._worst: list[tuple[float, str, Record, Sample, Correspondence]] = []

    def offer(self, record: Record, sample: Sample, found: Correspondence) -> None:
        """A picture that may be among the worst."""
        # the heap's first is the best of the kept ones; names settle ties before records are compared
        entry = (-record.gpsm, record.picture, record, sample, found)
        (heapq.heappush if len(self._worst) < self.count else heapq.heappushpop)(self._worst, entry)

    def sheet(self, columns: int = 3, tile: tuple[int, int] = (220, 165)) -> np.ndarray | None:
        """(H, W, 3) uint8, the worst first; None without pictures."""
        from bodymap.visual.maps import code_picture
        from bodymap.visual.sheets import fit, grid, labelled

        if not self._worst:
            return None
        entries = []
        for *_, record, sample, found in sorted(self._worst, key=lambda entry: -entry[0]):
            truth = code_picture(self.template, sample.foreground, sample.triangle, sample.barycentric)
            ours = found.colour * found.mask[..., None]
            pictures = [sample.image, truth, ours, error_map(self.template, sample, found)]
            row = grid([fit(picture, tile) for picture in pictures], 4, tile, gap=2, background=(60, 60, 60))
            caption = (
                f"{record.picture}: GPSm {record.gpsm:.2f}  mask {record.mask_iou:.2f}  10 cm "
                f"{percent(record.within_10, 0)} %  swapped {percent(record.swap_rate, 0)} %  {record.view}, "
                f"{record.visible}, hidden {percent(record.occluded, 0)} %"
            )
            entries.append(labelled(row, caption))
        return grid(entries, min(columns, len(entries)), gap=8)


# error in cm -> colour: none dark blue, then green, yellow, red; steps at which eyes can read it
_STOPS_CM = (0, 5, 10, 30, 80)
_STOPS = ((25, 35, 80), (40, 140, 120), (240, 220, 80), (225, 90, 40), (150, 0, 30))
_MISSED, _LEAKED = (255, 60, 255), (200, 200, 200)


def error_map(template: Template, sample: Sample, found: Correspondence) -> np.ndarray:
    """Where a map is wrong, (H, W, 3) uint8: dark blue right, green 5 cm, yellow 10, red 30, dark red 80 and more;
    magenta where the person was missed, grey where there is none."""
    errors = judge(template, sample, found).errors.geodesic
    picture = np.zeros((*sample.foreground.shape, 3), np.uint8)
    picture[found.mask & ~sample.foreground] = _LEAKED
    shown = np.where(np.isfinite(errors), 100 * errors, 0)
    colours = np.stack([np.interp(shown, _STOPS_CM, [stop[c] for stop in _STOPS]) for c in range(3)], -1)
    colours[~np.isfinite(errors)] = _MISSED
    picture[sample.foreground] = colours.round().astype(np.uint8)
    return picture
