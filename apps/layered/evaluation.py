"""What one picture says of a layered prediction, and what many say together; pure functions on arrays.

Rules: a true pixel of a layer that the prediction does not give to that layer has an infinite error; shares are over
pixels; overlaps are pooled over pictures; boundaries are averaged over the pictures that show the layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Int

from apps.layered.canonical import canonical
from apps.layered.samples import NAMES
from apps.layered.surfaces import surfaces
from bodymap.metrics.accuracy import COLOUR_WINDOWS, compare_pixels
from bodymap.metrics.segmentation import boundary_f
from bodymap.surface import Template
from bodymap.types import Correspondence, LayerMaps

if TYPE_CHECKING:
    from apps.layered.truth import LayeredSample, LayerTruth

LAYERS = NAMES[1:]  # (of a picture: body, upper, lower)
TOLERANCE = 2.0  # pixels, of the boundary F-score
Places = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Answer:
    """A prediction for a picture, however it was made.

    Attributes:
        visible: (H, W), index into NAMES.
        places: layer -> (triangle (H, W), -1 where the layer is not, and barycentric (H, W, 3)).
    """

    visible: Int[np.ndarray, "height width"]
    places: Places


def answer_of_layers(maps: LayerMaps) -> Answer:
    """A layered prediction."""
    size = maps.visible.shape
    nothing = np.full(size, -1), np.zeros((*size, 3), np.float32)
    found = {name: getattr(maps, name) for name in LAYERS}
    return Answer(maps.visible, {n: nothing if c is None else (c.triangle, c.barycentric) for n, c in found.items()})


def answer_of_single(single: Correspondence, visible: Int[np.ndarray, "height width"]) -> Answer:
    """What a single-layer map says of layers: a garment's place is that above the template point of its pixels, the
    body under it is the template point itself."""
    places = {"body": (single.triangle, single.barycentric)}
    for index, name in enumerate(LAYERS[1:], start=2):
        triangle = np.where(visible == index, single.triangle, -1)
        found = canonical(name).from_body(torch.from_numpy(triangle).long(), torch.from_numpy(single.barycentric))
        places[name] = found[0].numpy(), found[1].numpy()
    return Answer(visible, places)


def answer_of_body(body: Correspondence) -> Answer:
    """Of a bare body alone (a fitted one); it knows of no garment."""
    nothing = np.full(body.size, -1), np.zeros((*body.size, 3), np.float32)
    return Answer(
        body.mask.astype(np.int8), {name: nothing for name in LAYERS} | {"body": (body.triangle, body.barycentric)}
    )


@dataclass
class Tally:
    """Errors and overlaps of many pictures; ``add`` one after the other.

    ``colour`` and ``metres``: what is measured ("upper", "upper hidden", "body covered", ...) -> arrays of pixels.
    """

    colour: dict[str, list[np.ndarray]] = field(default_factory=dict)
    metres: dict[str, list[np.ndarray]] = field(default_factory=dict)
    surfaces: dict[str, Template] = field(default_factory=surfaces)
    overlap: dict[str, np.ndarray] = field(default_factory=dict)  # intersection, union
    outline: dict[str, list[float]] = field(default_factory=dict)

    def add(self, answer: Answer, sample: LayeredSample, kinds: Mapping[str, str] | None = None) -> None:
        """``kinds``: layer -> kind of garment, for figures of its own."""
        for index, name in enumerate(LAYERS, start=1):
            truth: LayerTruth = getattr(sample, name)
            known = (truth.triangle >= 0) & (sample.mask > 0)
            seen = known & (sample.mask == index)
            titles = [(name, seen & ((answer.visible == index) | (name == "body")), seen)]
            hidden = known & (sample.mask != index)
            titles.append(("body covered" if name == "body" else f"{name} hidden", hidden, hidden))
            if kinds and name in kinds:
                titles.append((f"{name}: {kinds[name]}", seen & (answer.visible == index), seen))
            for title, judged, which in titles:
                self._places(title, name, answer, truth, judged, which)
        for index, name in enumerate(NAMES):
            self._region(name, answer.visible == index, sample.mask == index)
            if index:
                there = answer.places[name][0] >= 0
                self._region(f"{name} with hidden", there, (getattr(sample, name).triangle >= 0) & (sample.mask > 0))

    def regions(self, visible: Int[np.ndarray, "height width"], truth: Int[np.ndarray, "height width"]) -> None:
        """Of a picture whose layers alone are known; truth -1 is not judged."""
        known = truth >= 0
        for index, name in enumerate(NAMES):
            self._region(name, (visible == index) & known, truth == index)

    def _places(self, title: str, layer: str, answer: Answer, truth: LayerTruth, judged, which) -> None:
        triangle, barycentric = answer.places[layer]
        surface = self.surfaces[layer]
        pixels = which & judged
        errors = compare_pixels(
            surface,
            truth.triangle[pixels],
            truth.barycentric[pixels],
            np.ones(int(pixels.sum()), np.int8),
            triangle[pixels],
            barycentric[pixels],
            np.ones(int(pixels.sum()), np.float32),
        )
        missed = np.full(int((which & ~judged).sum()), np.inf, np.float32)
        self.colour.setdefault(title, []).append(np.concatenate([errors.colour, missed]))
        self.metres.setdefault(title, []).append(np.concatenate([errors.geodesic, missed]))

    def _region(self, name: str, found: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> None:
        both, either = np.count_nonzero(found & truth), np.count_nonzero(found | truth)
        self.overlap[name] = self.overlap.get(name, np.zeros(2)) + (both, either)
        if truth.any():
            self.outline.setdefault(name, []).append(boundary_f(found, truth, TOLERANCE))

    def figures(self) -> dict[str, dict[str, float]]:
        """name -> acc_5, acc_10, acc_20 (shares within a window of the code), median_cm, iou, boundary_f, pixels."""
        result: dict[str, dict[str, float]] = {}
        for name, parts in self.metres.items():
            metres, colours = np.concatenate(parts), np.concatenate(self.colour[name])
            if not len(metres):
                continue
            result[name] = {f"acc_{w}": float((colours <= w).mean()) for w in COLOUR_WINDOWS}
            result[name] |= {"median_cm": 100 * float(np.median(metres)), "pixels": float(len(metres))}
        for name, (both, either) in self.overlap.items():
            result.setdefault(name, {})["iou"] = both / either if either else math.nan
        for name, scores in self.outline.items():
            result.setdefault(name, {})["boundary_f"] = float(np.mean(scores))
        result["mean"] = {"iou": mean_of(result[name]["iou"] for name in NAMES if name in result)}
        return result


def mean_of(values: Iterable[float]) -> float:
    """Over those that there are."""
    there = [value for value in values if math.isfinite(value)]
    return float(np.mean(there)) if there else math.nan


def damaged(mask: Int[np.ndarray, "height width"], radius: int) -> Int[np.ndarray, "height width"]:
    """The person ``radius`` pixels wider, or narrower where it is negative."""
    from apps.layered.corruption import grown

    return grown(torch.from_numpy(mask.astype(np.int64)), radius).numpy()


def kinds_of(names: Iterable[str]) -> dict[str, str]:
    """Layer -> kind of garment, from the names of what is worn."""
    words = {
        "upper": ("dress", "coat", "jacket", "suit", "hoodie", "sweater", "shirt", "top"),
        "lower": ("skirt", "shorts", "wide trousers", "trousers", "jeans", "bottom"),
    }
    text = [name.lower() for name in names]
    found = {}
    for layer, known in words.items():
        for word in known:
            mine = [name for name in text if word in name and not (layer == "lower" and name == "coat skirt")]
            if mine:
                found[layer] = word
                break
    return found
