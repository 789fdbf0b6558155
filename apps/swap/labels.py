"""The map's layers made fit for a swap: specks and islands go, and skin ends and cloth begins where the photo says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence
from bodymap.warping import blend

SKIN, HAIR, UPPER, LOWER, SHOES, CARRIED = range(1, len(LAYER_NAMES))
CLOTH = (UPPER, LOWER, SHOES)
# What the map takes for the other garment in the middle of one is a mistake up to this share of the person, if it
# borders so much on it; what it takes for a thing carried is a speck up to that share.
MISTAKE, BORDERS, SPECK = 0.04, 0.6, 0.0015
# A speck of garment that borders on hands and carried things alone is carried, up to this share of the person.
_CAP = 0.004
# Shares of the person's size: how far from the photo's edge a label may end, how far its colours are sure, and from how
# far around a piece of skin the cloth's colours are taken.
_ASTRAY, _SURE, _AROUND = 1 / 40, 1 / 150, 1 / 12
# A colour speaks for the other label when it is e^FIRM times as frequent there, at the label's edge, and e^DEEP times
# more where the label is at its furthest from it. What is rarer than RARE on both sides says nothing.
FIRM, DEEP, _RARE = 0.8, 1.5, 1e-3
_BINS, _SOFT = 16, 0.8
# Pixels over which skin and cloth mix along their edge.
_MIXED = 2
# How far from where the map has it hair may fall over clothes, and a thing reach, as a share of the person's size.
_FALLS = 1 / 10
# What is worn on a wrist parts two pieces of arm by less than this share of the person's size; seen from there they
# lie in directions whose cosine is below that.
_BRACELET, _OPPOSITE = 1 / 18, -0.5
# An island is within a hand where so much of its rim is; a thing within a garment where so much of it is that.
_WITHIN, _ENCLOSED = 0.8, 0.9
# A garment shows the colours that are more frequent on it than this.
SHOWN = 3e-4
# A thing in the hand lies within the first of these shares of the person's size from it and begins within the second;
# it is between those shares of the person, and a circle in it is so much of it.
_HELD, _THING, _COMPACT = (1 / 6, 1 / 40), (0.002, 0.06), 0.3
# A belt is so many times as wide as it is high.
_BAND = 3
# A gap between arm and body is no wider than the first, a share of the person's size; so much of its rim is on either.
_GAP, _PARTED = 1 / 20, 0.15
# A gap's own colours are known from so many pixels of it.
_FEW_BEHIND = 30
# Of fewer colours no histogram is made; of a piece of skin no more than this share can be cloth.
_FEWEST, _MOST = 150, 0.5
# No trousers or shoes are worn on these; from these no cloth is taken for elsewhere.
_ABOVE = tuple(k for k, name in enumerate(PART_NAMES) if name.endswith(("head", "neck", "arm", "hand")))
_FOREARMS = tuple(k for k, name in enumerate(PART_NAMES) if name.endswith(("forearm", "hand")))
_HANDS = tuple(k for k, name in enumerate(PART_NAMES) if name.endswith("hand"))
_HEAD = PART_NAMES.index("head")
# Background shows between an arm and the body, and between the legs.
_APART = tuple(
    tuple(
        tuple(k for k, name in enumerate(PART_NAMES) if name.startswith(begins) and name.endswith(ends))
        for begins, ends in pair
    )
    for pair in (
        (("", ("arm", "hand")), ("", ("front", "back", "thigh", "shin"))),
        (("left", ("thigh", "shin")), ("right", ("thigh", "shin"))),
    )
)
_TORSO = tuple(k for k, name in enumerate(PART_NAMES) if name.startswith("torso"))
_BARE = tuple(k for k, name in enumerate(PART_NAMES) if name.endswith(("head", "hand")))

Photo = UInt8[np.ndarray, "height width rgb=3"]
Region = Bool[np.ndarray, "height width"]


def tidy_layers(correspondence: Correspondence, radius: int) -> Correspondence:
    """Without specks in the layers, nor islands of one garment within the other or on a hand, nor crumbs of carried
    things."""
    mask = correspondence.mask
    layer = np.where(mask, correspondence.layer, 0).astype(np.int64)
    layer = _without_crumbs(layer, SPECK * mask.sum())
    tidied = blend.majority(torch.from_numpy(layer), max(1, radius)).numpy().astype(np.int8)
    held = mask & (tidied == SKIN) & np.isin(correspondence.part, _FOREARMS)
    for mine, other in ((UPPER, LOWER), (LOWER, UPPER)):
        pieces, count = ndimage.label(tidied == mine)
        area = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        for number in np.flatnonzero((area < MISTAKE * mask.sum()) & (area < area.max(initial=0))) + 1:
            piece = pieces == number
            ring = ndimage.binary_dilation(piece, iterations=2) & ~piece
            # what lies on a hand or a bottle alone is a thing in the hand
            beside = (held | (tidied == CARRIED))[ring & mask]
            if (tidied[ring] == other).mean() > BORDERS:
                tidied[piece] = other
            elif area[number - 1] < _CAP * mask.sum() and beside.any() and beside.mean() > _WITHIN:
                tidied[piece] = CARRIED
    return replace(correspondence, layer=tidied)


def _without_crumbs(layer: np.ndarray, least: float) -> np.ndarray:
    """Carried things of fewer pixels are what lies nearest to them."""
    pieces, count = ndimage.label(layer == CARRIED)
    area = np.bincount(pieces.ravel(), minlength=count + 1)
    crumbs = np.isin(pieces, np.flatnonzero(area < least)) & (pieces > 0)
    known = (layer > 0) & ~crumbs
    if not crumbs.any() or not known.any():
        return layer
    at = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.where(crumbs, layer[tuple(at)], layer)


def skin_redrawn(correspondence: Correspondence, photo: Photo) -> Correspondence:
    """Labels of skin and cloth moved to where the photo's colours change from one to the other.

    A map is coarser than fingers, cuffs and collars: it has trousers between the fingers, and the last of a sleeve on
    the hand. Each pixel near such an edge is compared with the colours of the person's skin and of the cloth about it.
    One that changes sides takes the place on the body of the nearest pixel there, and is nothing to be sure of.
    """
    layer, mask = correspondence.layer, correspondence.mask
    skin, cloth = mask & (layer == SKIN), mask & np.isin(layer, CLOTH)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    astray, sure, around = (max(2, round(share * extent)) for share in (_ASTRAY, _SURE, _AROUND))
    from_cloth, from_skin = _distance(cloth), _distance(skin)
    near = (from_skin <= astray) & cloth | (from_cloth <= astray) & skin
    known = skin & (from_cloth > sure)
    if not near.any() or known.sum() < _FEWEST:
        return correspondence
    becomes_cloth, becomes_skin, mixed = (np.zeros_like(mask) for _ in range(3))
    pieces, count = ndimage.label(ndimage.binary_dilation(skin, iterations=2))
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        window = tuple(slice(max(0, s.start - around), s.stop + around) for s in box)
        piece = (pieces[window] == number) & skin[window]
        reach = _distance(piece)
        there = photo[window][cloth[window] & (from_skin[window] > sure) & (reach <= around)]
        if len(there) < _FEWEST:
            continue
        table = log_ratio(photo[known], there)
        ratio = table[bins(photo[window])]
        speaks = ndimage.uniform_filter(ratio, 3, mode="nearest")
        depth = np.minimum(np.where(skin, from_cloth, from_skin)[window] / astray, 1)
        against = FIRM + DEEP * depth
        lost = piece & near[window] & (speaks < -against)
        if _is_cloth(photo, known, window, piece, there):
            becomes_cloth[window] |= piece
        elif min(np.median(ratio[piece]), -np.median(table[bins(there)])) > FIRM and lost.sum() < _MOST * piece.sum():
            becomes_cloth[window] |= lost
            becomes_skin[window] |= cloth[window] & near[window] & (reach <= astray) & (speaks > against)
            mixed[window] |= (ratio < 0) & (reach <= astray)
    # what comes over joins what is there: a fingertip before another thing of the cloth's colour stays
    becomes_cloth, becomes_skin = _joined(becomes_cloth, cloth & ~becomes_skin), _joined(becomes_skin, skin)
    # the last pixels of the skin have something of the cloth beside them
    left = (skin | becomes_skin) & ~becomes_cloth & mixed
    for _ in range(_MIXED):
        becomes_cloth |= left & ndimage.binary_dilation(cloth & ~becomes_skin | becomes_cloth)
    becomes_skin &= ~becomes_cloth
    moved = _replaced(correspondence, skin & ~becomes_cloth, cloth & ~becomes_skin, astray)
    donors = cloth & ~becomes_skin & ~becomes_cloth
    moved = _moved(moved, becomes_cloth, donors & ~np.isin(moved.part, _BARE))
    return _moved(moved, becomes_skin, skin & ~becomes_cloth)


def seen_through(correspondence: Correspondence, photo: Photo) -> Correspondence:
    """Background within the curve of a hand, which the map has for cloth, counts as carried: it stays as it is.

    It is a small island of cloth within a hand and forearm, and has the colours of what lies around the person.
    """
    mask, layer = correspondence.mask, correspondence.layer
    cloth, bare = mask & np.isin(layer, CLOTH), mask & (layer == SKIN) & np.isin(correspondence.part, _FOREARMS)
    extent = _extent(mask)
    pieces, _ = ndimage.label(cloth)
    through = np.zeros_like(mask)
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        window = tuple(slice(max(0, s.start - round(_AROUND * extent)), s.stop + round(_AROUND * extent)) for s in box)
        piece = pieces[window] == number
        rim = ndimage.binary_dilation(piece) & ~piece
        there = photo[window][~mask[window]]
        if piece.sum() >= SPECK * mask.sum() or bare[window][rim].mean() < _WITHIN or len(there) < _FEWEST:
            continue
        others = photo[cloth & (pieces != number)]
        if len(others) >= _FEWEST and np.median(log_ratio(there, others)[bins(photo[window][piece])]) > FIRM:
            through[window] |= piece
    return replace(correspondence, layer=np.where(through, CARRIED, layer).astype(layer.dtype))


def without_background(correspondence: Correspondence, photo: Photo) -> Correspondence:
    """The map without background that shows between an arm and the body or between the legs.

    It is a patch that parts the two, in the colours of what lies around the person there, not in those of the person.
    """
    extent = _extent(correspondence.mask)
    gap, sure, around = (max(2, round(share * extent)) for share in (_GAP, _SURE, _AROUND))
    rows, columns = (np.flatnonzero(correspondence.mask.any(axis)) for axis in (1, 0))
    crop = tuple(slice(max(0, at[0] - around), at[-1] + 1 + around) for at in (rows, columns))
    mask, part, layer = (getattr(correspondence, name)[crop] for name in ("mask", "part", "layer"))
    colours = photo[crop]
    inner, outer = mask & (_distance(~mask) > sure), ~mask & (_distance(mask) > sure)
    apart = [[mask & np.isin(part, side) for side in pair] for pair in _APART]
    between = np.logical_or.reduce([np.logical_and.reduce([_distance(of) <= gap for of in pair]) for pair in apart])
    near = between & mask & ~np.isin(layer, (HAIR, CARRIED)) & (part != _HEAD)
    behind = np.zeros_like(mask)
    for top in range(0, mask.shape[0], around):
        for left in range(0, mask.shape[1], around):
            tile = slice(top, top + around), slice(left, left + around)
            if not near[tile].any():
                continue
            window = tuple(slice(max(0, s.start - around), s.stop + around) for s in tile)
            there, own = colours[window][outer[window]], colours[window][inner[window]]
            if min(len(there), len(own)) >= _FEWEST:
                behind[tile] = near[tile] & (log_ratio(there, own)[bins(colours[tile])] > FIRM + DEEP)
    # what is thin everywhere is an outline, where both mix
    thick = ndimage.binary_opening(ndimage.median_filter(behind, 5), iterations=max(1, sure // 2))
    behind = ndimage.binary_dilation(thick, iterations=sure, mask=behind | thick)
    pieces, _ = ndimage.label(behind)
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        window = tuple(slice(max(0, s.start - sure), s.stop + sure) for s in box)
        piece = pieces[window] == number
        if not _parts(piece, apart, window, sure):
            behind[window] &= ~piece
    # and the thin ends of gaps, which go on from them in their own colours
    pieces, _ = ndimage.label(behind | between & ~mask)
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        window = tuple(slice(max(0, s.start - around), s.stop + around) for s in box)
        piece, own = pieces[window] == number, colours[window][inner[window] & ~behind[window]]
        if min(piece.sum(), len(own)) >= _FEW_BEHIND and _parts(piece, apart, window, sure):
            alike = near[window] & (log_ratio(colours[window][piece], own)[bins(colours[window])] > FIRM + DEEP)
            behind[window] |= ndimage.binary_propagation(piece, mask=piece | alike) & mask[window]
    where = np.zeros_like(correspondence.mask)
    where[crop] = behind
    return _without(correspondence, where)


def _parts(piece: Region, apart: list[list[Region]], window: tuple[slice, slice], reach: int) -> bool:
    """Whether a piece lies between the two of a pair."""
    rim = ndimage.binary_dilation(piece, iterations=reach) & ~piece
    return max(min((of[window] & rim).sum() for of in pair) for pair in apart) >= _PARTED * rim.sum()


def _without(correspondence: Correspondence, where: Region) -> Correspondence:
    """The map with background there."""
    if not where.any():
        return correspondence
    nothing = Correspondence.empty(correspondence.size)
    changed = {}
    for name in correspondence.__dataclass_fields__:
        values = getattr(correspondence, name).copy()
        values[where] = getattr(nothing, name)[where]
        changed[name] = values
    return Correspondence(**changed)


def bare_wrists(correspondence: Correspondence) -> Correspondence:
    """A source's watch or bracelet before its garment, which the map has for part of that, counts as carried.

    It is cloth between two pieces of arm, each in the opposite direction of the other. (Of a target that would stop
    trousers between two hands from being exchanged.)
    """
    mask, layer = correspondence.mask, correspondence.layer
    arms, cloth = mask & (layer == SKIN) & np.isin(correspondence.part, _FOREARMS), mask & np.isin(layer, CLOTH)
    extent = _extent(mask)
    pieces, _ = ndimage.label(arms)
    numbers = np.flatnonzero(np.bincount(pieces.ravel())[1:] >= _FEWEST) + 1
    worn = np.zeros_like(mask)
    at = np.indices(mask.shape)
    for number in numbers if len(numbers) > 1 else ():
        ends = pieces == number, np.isin(pieces, numbers) & (pieces != number)
        away = [ndimage.distance_transform_edt(~end, return_distances=False, return_indices=True) - at for end in ends]
        length = [np.hypot(*to) for to in away]
        cosine = (away[0] * away[1]).sum(0) / np.maximum(length[0] * length[1], 1e-6)
        worn |= cloth & (length[0] + length[1] < _BRACELET * extent) & (cosine < _OPPOSITE)
    # and its edges, where its colours are mixed with the garment's
    worn = ndimage.binary_dilation(ndimage.binary_opening(worn), iterations=_MIXED) & cloth
    return replace(correspondence, layer=np.where(worn, CARRIED, layer).astype(layer.dtype))


def hair_redrawn(correspondence: Correspondence, photo: Photo) -> Correspondence:
    """Locks over the shoulders that the map has for cloth become hair, where the two have not the same colours.

    They keep their place on the body: hair off the head is part of nobody's outfit, and the target's own stays.
    """
    return _grown(correspondence, photo, correspondence.mask & (correspondence.layer == HAIR), UPPER)


def carried_redrawn(correspondence: Correspondence, photo: Photo) -> Correspondence:
    """The rest of a bag or a book that the map has for the garment beside it, where it has other colours than that."""
    pieces, count = ndimage.label(correspondence.mask & (correspondence.layer == CARRIED))
    for number in range(1, count + 1):
        for garment in (UPPER, LOWER):
            correspondence = _grown(correspondence, photo, pieces == number, garment)
    return correspondence


def held_redrawn(correspondence: Correspondence, photo: Photo) -> Correspondence:
    """A source's bag or book in the hand, which the map has for part of a garment, counts as carried.

    It is a compact patch that touches the hand, or what of it is known for carried, in colours that the clothes show
    nowhere else.
    """
    layer, mask = correspondence.layer, correspondence.mask
    cloth = mask & np.isin(layer, (UPPER, LOWER))
    hand = mask & ((layer == CARRIED) | (layer == SKIN) & np.isin(correspondence.part, _HANDS))
    extent = _extent(mask)
    reach, touching = (round(share * extent) for share in _HELD)
    away, sure = _distance(hand), max(2, round(_SURE * extent))
    near, there = cloth & (away <= reach), photo[cloth & (away > reach)]
    if not near.any() or len(there) < _FEWEST:
        return correspondence
    foreign = near & (histogram(there)[bins(photo)] < SHOWN)
    # what the photo blurs together along edges is no thing
    mostly = ndimage.uniform_filter(foreign.astype(np.float32), 2 * sure + 1) > 0.5
    foreign = ndimage.binary_opening(mostly, iterations=sure)
    pieces, _ = ndimage.label(foreign)
    held = np.zeros_like(mask)
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        piece = np.pad(pieces[box] == number, 1)
        area, round_ = piece.sum(), np.pi * ndimage.distance_transform_edt(piece).max() ** 2
        least, most = (share * mask.sum() for share in _THING)
        if not least < area < most or round_ < _COMPACT * area or away[box][piece[1:-1, 1:-1]].min() > touching:
            continue
        # a pocket beside the hand is as the other one
        piece = ndimage.binary_fill_holes(pieces == number)
        others = histogram(photo[cloth & ~ndimage.binary_dilation(piece, iterations=2 * sure)])
        if (others[bins(photo[piece])] < SHOWN).mean() > _WITHIN:
            held |= piece
    held = ndimage.binary_dilation(held, iterations=2 * sure) & cloth
    return replace(correspondence, layer=np.where(held, CARRIED, layer).astype(layer.dtype))


def enclosed_redrawn(correspondence: Correspondence, photo: Photo) -> Correspondence:
    """What the map has for carried or for skin in the middle of a garment, and is neither, becomes garment.

    A thing that is carried hangs from a hand or reaches the garment's edge, and is not in colours that the garment
    shows elsewhere. A band across the trunk is a belt; skin shows through in other shapes.
    """
    mask, layer, now = correspondence.mask, correspondence.layer, correspondence.layer.copy()
    trunk = np.isin(correspondence.part, _TORSO)
    for kind in (CARRIED, SKIN):
        pieces, _ = ndimage.label(mask & (layer == kind))
        for number in np.flatnonzero(np.bincount(pieces.ravel())[1:] >= _FEWEST) + 1:
            piece = pieces == number
            rim = ndimage.binary_dilation(piece, iterations=2) & ~piece & (mask | (kind == CARRIED))
            garment = max((UPPER, LOWER), key=lambda k: (layer[rim] == k).sum())
            if (layer[rim] == garment).sum() < _ENCLOSED * rim.sum() or not rim.any():
                continue
            if kind == CARRIED:
                others = photo[mask & (layer == garment)]
                mistaken = (histogram(others)[bins(photo[piece])] > SHOWN).mean() > _WITHIN
            else:
                high, wide = (np.ptp(at) + 1 for at in np.nonzero(piece))
                mistaken = trunk[piece].mean() > _WITHIN and wide > _BAND * high
            if mistaken:
                now[piece] = garment
    return replace(correspondence, layer=now)


def _extent(mask: Region) -> int:
    """The person's larger side, pixels."""
    return int(max(np.ptp(np.flatnonzero(mask.any(axis))) for axis in (0, 1))) + 1


def _grown(correspondence: Correspondence, photo: Photo, thing: Region, garment: int) -> Correspondence:
    """A thing before a garment with what of that joins it in its colours, no further off than ``_FALLS``."""
    layer, mask = correspondence.layer, correspondence.mask
    cloth = mask & (layer == garment)
    if not thing.any() or not cloth.any():
        return correspondence
    extent = _extent(mask)
    falls, sure = round(_FALLS * extent), max(2, round(_SURE * extent))
    away = _distance(thing)
    near = cloth & (away <= falls)
    known, there = photo[thing & (_distance(~thing) > sure)], photo[cloth & (away > falls) & (away <= 3 * falls)]
    if min(len(known), len(there)) < _FEWEST or not near.any():
        return correspondence
    table = log_ratio(known, there)
    ratio = table[bins(photo)]
    if min(np.median(table[bins(known)]), -np.median(table[bins(there)])) < FIRM:
        return correspondence
    speaks = ndimage.uniform_filter(ratio, 2 * sure + 1, mode="nearest")
    more = near & (speaks > FIRM + DEEP * np.minimum(away / falls, 1))
    more = ndimage.binary_closing(_joined(more, thing), iterations=sure) & near
    return replace(correspondence, layer=np.where(more, layer[thing][0], layer).astype(layer.dtype))


def _replaced(correspondence: Correspondence, skin: Region, cloth: Region, astray: int) -> Correspondence:
    """Places on the body that do not go with the layer, beside an arm: each as the nearest one that does.

    Where an arm lies before the body, the map's places change from one to the other some pixels off its outline: a rim
    of the shirt is on the arm, or a rim of the arm on the shirt.
    """
    layer, part = correspondence.layer, correspondence.part
    on_arm, forearm = np.isin(part, _ABOVE), skin & np.isin(part, _FOREARMS)
    beside = _distance(forearm) <= astray
    moved = correspondence
    for k in CLOTH:
        own = cloth & (layer == k)
        wrong = own & on_arm
        if k == UPPER:
            # what is too narrow for a sleeve
            wrong &= beside & ~ndimage.binary_opening(wrong, iterations=max(1, astray // 3))
        moved = _moved(moved, wrong, own & ~wrong)
    return _moved(moved, skin & np.isin(part, _TORSO) & (_distance(forearm) <= astray), forearm)


def _is_cloth(
    photo: Photo, known: Region, window: tuple[slice, slice], piece: Region, there: UInt8[np.ndarray, "n rgb=3"]
) -> bool:
    """Most of a piece of skin has the colours of the cloth around it, and not those of the person's other skin."""
    others = known.copy()
    others[window] &= ~piece
    if others.sum() < max(_FEWEST, piece.sum()):
        return False
    return float(np.median(log_ratio(photo[others], there)[bins(photo[window][piece])])) < -FIRM - DEEP / 2


def _joined(region: Region, to: Region) -> Region:
    """The region's pieces that touch ``to``."""
    pieces, _ = ndimage.label(region | to, np.ones((3, 3)))
    return region & np.isin(pieces, np.unique(pieces[to]))


def _moved(correspondence: Correspondence, region: Region, to: Region) -> Correspondence:
    """The region's pixels as the nearest ones of ``to``: label and place on the body."""
    if not region.any() or not to.any():
        return correspondence
    at = ndimage.distance_transform_edt(~to, return_distances=False, return_indices=True)
    row, column = at[0][region], at[1][region]
    changed = {}
    for name in ("colour", "uv", "part", "triangle", "barycentric", "layer"):
        values = getattr(correspondence, name).copy()
        values[region] = values[row, column]
        changed[name] = values
    return replace(correspondence, confidence=np.where(region, 0, correspondence.confidence), **changed)


def _distance(where: Region) -> Float[np.ndarray, "height width"]:
    """Pixels from the nearest of ``where``."""
    return ndimage.distance_transform_edt(~where) if where.any() else np.full(where.shape, np.inf)


def log_ratio(
    one: UInt8[np.ndarray, "a rgb=3"], other: UInt8[np.ndarray, "b rgb=3"]
) -> Float[np.ndarray, "bin bin bin"]:
    """log(p(colour | one) / p(colour | other)); near 0 for colours that are rare on both."""
    return np.log((histogram(one) + _RARE) / (histogram(other) + _RARE))


def bins(photo: UInt8[np.ndarray, "... rgb=3"]) -> tuple[np.ndarray, ...]:
    return tuple(np.moveaxis(photo // (256 // _BINS), -1, 0))


def histogram(colours: UInt8[np.ndarray, "n rgb=3"]) -> Float[np.ndarray, "bin bin bin"]:
    counts = np.zeros((_BINS,) * 3)
    np.add.at(counts, bins(colours), 1)
    return ndimage.gaussian_filter(counts, _SOFT, mode="nearest") / len(colours)
