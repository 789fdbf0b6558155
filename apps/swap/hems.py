"""Where top and trousers meet: at a belt that the photo shows; where it shows none, at a plain hem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy import ndimage

from apps.swap.labels import LOWER, MISTAKE, SHOWN, SKIN, UPPER, bins, histogram, log_ratio
from bodymap.surface import Template, points
from bodymap.types import PART_NAMES, Correspondence

_PARTS = tuple(k for k, name in enumerate(PART_NAMES) if name.startswith("torso") or name.endswith("thigh"))
# Steps around the body and, metres, along it.
_AROUND, _STEP = 36, 0.01
# A hem that rises or falls by one step costs as much as this share of the clothes' pixels on the wrong side of it.
_BEND = 1 / 200
# A piece on the wrong side stays where its colours are e^SHOWN times as frequent on its own garment as on the other,
# both as they are up to that share of the person's size around it; of fewer pixels nothing is said.
_SHOWN, _NEAR, _FEWEST = 0.7, 1 / 10, 200
# A belt lies no further from the map's hem than this share of the person's size, is between these shares of it high,
# and spans so much of the trunk. Below a hem it is looked for no further than that either.
_BY_HEM, _THICK, _SPANS = 1 / 16, (1 / 160, 1 / 20), 0.6

Colours = UInt8[np.ndarray, "n rgb=3"]


def straightened(
    template: Template, correspondence: Correspondence, photo: UInt8[np.ndarray, "height width rgb=3"]
) -> Correspondence:
    """The layers with flaps of one garment over the other taken away, where nothing in the photo tells them apart.

    The hem is a height on the body for each direction around it, chosen so that few pixels lie on its wrong side and
    it bends little. Jackets and shirt tails that the photo shows stay as they are.
    """
    layer, mask = correspondence.layer, correspondence.mask
    own = mask & np.isin(layer, (UPPER, LOWER)) & np.isin(correspondence.part, _PARTS)
    upper = layer[own] == UPPER
    if min(upper.sum(), (~upper).sum()) < _FEWEST:
        return correspondence
    place = (
        points.position(
            template,
            torch.from_numpy(correspondence.triangle[own]).long().to(template.device),
            torch.from_numpy(correspondence.barycentric[own]).to(template.device),
        )
        .cpu()
        .numpy()
    )
    direction = ((np.arctan2(place[:, 0], -place[:, 1]) / (2 * np.pi) + 0.5) * _AROUND).astype(int).clip(0, _AROUND - 1)
    height = ((place[:, 2] - place[:, 2].min()) / _STEP).astype(int)
    hem = _hem(direction, height, upper, _BEND * len(upper))
    wrong = np.zeros_like(mask)
    wrong[own] = upper != (height >= hem[direction])
    reach = round(_NEAR * max(mask.any(0).sum(), mask.any(1).sum()))
    result = layer.copy()
    for mine, other in ((UPPER, LOWER), (LOWER, UPPER)):
        pieces, _ = ndimage.label(wrong & (layer == mine))
        size = np.bincount(pieces.ravel())
        for number, box in enumerate(ndimage.find_objects(pieces), 1):
            window = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
            piece = pieces[window] == number
            around = own[window] & ~wrong[window]
            ours, theirs = (photo[window][around & (layer[window] == k)] for k in (mine, other))
            if size[number] < MISTAKE * mask.sum() and _alike(photo[window][piece], ours, theirs):
                result[window][piece] = other
    return replace(correspondence, layer=result)


def belted(correspondence: Correspondence, photo: UInt8[np.ndarray, "height width rgb=3"]) -> Correspondence:
    """The hem at a belt that the photo shows: what is above it is top, the belt itself and what is below it are not.

    A belt is a band across the trunk, near the map's own hem, in colours that neither garment shows elsewhere.
    """
    layer, mask = correspondence.layer, correspondence.mask
    own = mask & np.isin(layer, (UPPER, LOWER)) & np.isin(correspondence.part, _PARTS)
    extent = max(mask.any(0).sum(), mask.any(1).sum())
    reach = round(_BY_HEM * extent)
    away = [ndimage.distance_transform_edt(~(own & (layer == k))) for k in (UPPER, LOWER)]
    band = own & (np.maximum(*away) <= reach)
    elsewhere = [photo[own & (layer == k) & ~band] for k in (UPPER, LOWER)]
    if not band.any() or min(map(len, elsewhere)) < _FEWEST:
        return correspondence
    strange = band & (np.maximum(*(histogram(of) for of in elsewhere))[bins(photo)] < SHOWN)
    pieces, count = ndimage.label(ndimage.binary_closing(ndimage.median_filter(strange, 3), iterations=2) & band)
    if not count:
        return correspondence
    belt = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    columns = np.flatnonzero(belt.any(0))
    high = np.median(belt.sum(0)[columns]) / extent
    rows = np.flatnonzero(belt.any(1))
    trunk = own[rows[0] : rows[-1] + 1].any(0)
    if not _THICK[0] < high < _THICK[1] or len(columns) < _SPANS * trunk.sum():
        return correspondence
    # from side to side, as far as the trunk goes on there
    nearest = columns[np.abs(np.arange(mask.shape[1])[:, None] - columns).argmin(1)]
    top = belt.argmax(0)[nearest]
    beside = np.abs(np.arange(mask.shape[1]) - nearest) <= reach // 2
    below = np.arange(mask.shape[0])[:, None] >= top
    result = np.where(band & beside, np.where(below, LOWER, UPPER), layer)
    # a buckle may have passed for skin
    skin, _ = ndimage.label(mask & (layer == SKIN))
    for number, box in enumerate(ndimage.find_objects(skin), 1):
        high = box[0].stop - box[0].start
        if rows[0] - high < box[0].start and box[0].stop <= rows[-1] + high and high <= _THICK[1] * extent:
            result[(skin == number) & beside] = LOWER
    return replace(correspondence, layer=result.astype(layer.dtype))


def _alike(piece: Colours, ours: Colours, theirs: Colours) -> bool:
    """A piece's colours are as much at home in the other garment near it as in the one that it is said to be of."""
    return min(len(ours), len(theirs)) >= _FEWEST and float(log_ratio(ours, theirs)[bins(piece)].mean()) < _SHOWN


def _hem(direction: np.ndarray, height: np.ndarray, upper: np.ndarray, bend: float) -> Float[np.ndarray, " direction"]:
    """The height for each direction from which on there is top: least cost, by dynamic programming."""
    steps = int(height.max()) + 2
    counts = np.zeros((2, _AROUND, steps))
    np.add.at(counts, (upper.astype(int), direction, height), 1)
    below_top = np.concatenate([np.zeros((_AROUND, 1)), counts[1].cumsum(1)[:, :-1]], 1)
    cost = (
        below_top
        + counts[0].sum(1, keepdims=True)
        - np.concatenate([np.zeros((_AROUND, 1)), counts[0].cumsum(1)[:, :-1]], 1)
    )
    change = bend * np.abs(np.arange(steps)[:, None] - np.arange(steps))
    best, came = cost[0], []
    for row in cost[1:]:
        total = best[:, None] + change
        came.append(total.argmin(0))
        best = total.min(0) + row
    hem = [int(best.argmin())]
    for step in reversed(came):
        hem.append(int(step[hem[-1]]))
    return np.array(hem[::-1])
