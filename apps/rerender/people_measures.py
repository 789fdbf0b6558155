"""The whole way on held-out people: one picture's texture, filled, shown in the other picture of the same person."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from apps.rerender.normals import Normals
from apps.rerender.renderer import RendererNet, Warp, refine
from apps.rerender.views import photograph_twice, true_map
from bodymap.metrics.image import by_region, lpips_distance, psnr, ssim
from bodymap.surface import load_template
from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence, Sample
from bodymap.warping import PartialTexture, image_to_texture, texture_to_image
from bodymap.warping.grid import smoothing_reach

if TYPE_CHECKING:
    from bodymap import BodyMap
    from bodymap.people.pack import Pack

Fill = Callable[[PartialTexture], Tensor]

SIZE = (320, 240)  # pixels of the pictures
_TEXTURE = 1024
_GREY = 0.5
_SKIN, _HEAD = LAYER_NAMES.index("skin"), PART_NAMES.index("head")
_HANDS = [PART_NAMES.index(f"{side}_hand") for side in ("left", "right")]
_FEWEST = 40  # pixels of a region that counts
_MOST = 60.0  # decibels: equal pictures count so much in a mean


def measure_people(
    pack: Pack,
    count: int,
    fills: dict[str, Fill],
    *,
    model: BodyMap | None = None,
    renderer: RendererNet | None = None,
    seed: int = 0,
    split: str = "test",
    weights: str | None = None,
    progress: Callable[[int], object] = lambda person: None,
) -> dict[str, dict[str, float]]:
    """Means over ``count`` people, both ways: way -> "psnr", "ssim" and "lpips" of each region.

    Ways: "warp only" leaves grey what the source does not show; the fillings by their names; "rendered" is the last one
    as a renderer shows it. Regions, of the target's picture: "whole", with its true surroundings; "person", "face",
    "hands" (skin of head and hands); "seen" and "completed", the person's pixels by whether the source showed them.

    Args:
        model: whose maps both pictures have, the person's outline given; None: the true maps.
        weights: LPIPS'.
        progress: called after each person.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    for number in range(count):
        pictures, normals = photograph_twice(number, seed, split, pack, SIZE)
        for k in range(2):
            source, target = pictures[k], pictures[1 - k]
            shown = _shown(source, target, normals[k], fills, model, renderer)
            if shown is not None:
                for name, figures in _figures(*shown, target, weights).items():
                    rows.setdefault(name, []).append(figures)
        progress(number)
    return {name: _mean(of) for name, of in rows.items()}


def _shown(
    source: Sample,
    target: Sample,
    normals: Normals,
    fills: dict[str, Fill],
    model: BodyMap | None,
    renderer: RendererNet | None,
) -> tuple[dict[str, Tensor], Tensor] | None:
    """(way -> the target's picture (3, H, W) with what the way shows, (H, W) share of it that was seen); None: of the
    source nothing is."""
    template = load_template()

    def map_of(sample: Sample) -> tuple[Correspondence, int]:
        if model is None:
            return true_map(sample), 0
        own = model.predict(sample.image, sample.foreground)
        return own, smoothing_reach(own)

    if not source.foreground.any() or not target.foreground.any():
        return None
    (own, reach), (onto, fine) = map_of(source), map_of(target)
    partial = image_to_texture(template, source.image, own, _TEXTURE, smooth=reach)
    if not bool(partial.seen.any()):
        return None
    true = torch.from_numpy(target.image).permute(2, 0, 1).float() / 255
    person = torch.from_numpy(target.foreground)
    covered = person & torch.from_numpy(onto.mask)
    seen = partial.seen[..., None].float()
    ways = {"warp only": lambda p: torch.where(p.seen[..., None], p.colour, torch.tensor(_GREY))} | fills

    def put(picture: Tensor) -> Tensor:
        return torch.where(covered, picture, torch.where(person, torch.tensor(_GREY), true))

    pictures, filled, laid = {}, seen, true
    for name, fill in ways.items():
        filled = torch.cat([fill(partial), seen], -1)
        laid = texture_to_image(template, filled, onto, smooth=fine).values.permute(2, 0, 1)
        pictures[name] = put(laid[:3])
    if renderer is not None:
        pictures["rendered"] = put(refine(renderer, Warp.along(template, onto, laid, filled, normals)))
    return pictures, laid[3] * covered


def _figures(
    pictures: dict[str, Tensor], share: Tensor, target: Sample, weights: str | None
) -> dict[str, dict[str, float]]:
    true = torch.from_numpy(target.image).permute(2, 0, 1).float() / 255
    person, skin = target.foreground, target.foreground & (target.layer == _SKIN)
    regions = {
        "person": person,
        "face": skin & (target.part == _HEAD),
        "hands": skin & np.isin(target.part, _HANDS),
        "seen": person & (share.numpy() > 0.5),
        "completed": person & (share.numpy() <= 0.5),
    }
    masks = {name: torch.from_numpy(region & (region.sum() >= _FEWEST)) for name, region in regions.items()}
    measures = {
        "psnr": lambda *of: min(psnr(*of), _MOST),
        "ssim": ssim,
        "lpips": lambda *of: lpips_distance(*of, weights=weights),
    }
    return {
        way: {
            f"{region} {name}": value
            for name, measure in measures.items()
            for region, value in by_region(measure, picture, true, masks).items()
        }
        for way, picture in pictures.items()
    }


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Of each figure over the pictures to which it applies."""
    found = {}
    for name in rows[0]:
        values = [row[name] for row in rows if not math.isnan(row[name])]
        found[name] = sum(values) / len(values) if values else math.nan
    return found
