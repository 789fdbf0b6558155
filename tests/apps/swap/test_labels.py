"""Layers put right by the photo's colours: skin and cloth, hems that nothing shows, crumbs of carried things."""

import numpy as np
import pytest
from scipy import ndimage
from support.mapped import FOREARMS, HAIR, HANDS, LOWER, SKIN, UPPER, correspondence, dressed, with_changes

from apps.swap import transfer
from apps.swap.hems import belted, straightened
from apps.swap.labels import (
    bare_wrists,
    carried_redrawn,
    enclosed_redrawn,
    hair_redrawn,
    held_redrawn,
    seen_through,
    skin_redrawn,
    tidy_layers,
    without_background,
)
from bodymap.surface import load_template
from bodymap.types import LAYER_NAMES, PART_NAMES

COLOURS = {SKIN: (0.45, 0.3, 0.2), UPPER: (0.8, 0.7, 0.1), LOWER: (0.1, 0.5, 0.2)}
CARRIED = LAYER_NAMES.index("carried")


def block(where, half):
    """A square in the middle of a region."""
    row, column = (int(np.median(at)) for at in np.nonzero(where))
    square = np.zeros_like(where)
    square[row - half : row + half + 1, column - half : column + half + 1] = True
    return square


def relabelled(c, where, layer):
    return with_changes(c, layer=np.where(where, layer, c.layer).astype(np.int8))


def test_cuffs_that_the_map_takes_for_hands_are_cloth_and_fingers_skin():
    c = correspondence(0.4)
    photo = dressed(c, COLOURS)
    hands = (c.layer == SKIN) & np.isin(c.part, HANDS)
    cuffs = ndimage.binary_dilation(hands, iterations=5) & (c.layer == UPPER)
    found = skin_redrawn(relabelled(c, cuffs, SKIN), photo)
    assert cuffs.sum() > 40 and (found.layer[cuffs] == UPPER).mean() > 0.95
    assert (found.layer == c.layer)[c.mask].mean() > 0.995
    # they are on the arm, but nobody knows where
    assert np.isin(found.part[cuffs], FOREARMS).mean() > 0.95
    assert (found.confidence[cuffs & (found.layer == UPPER)] == 0).all()
    # and the other way round
    rim = hands & ndimage.binary_dilation(c.layer == UPPER, iterations=5)
    found = skin_redrawn(relabelled(c, rim, UPPER), photo)
    assert rim.sum() > 40 and (found.layer[rim] == SKIN).mean() > 0.7
    assert np.isin(found.part[rim & (found.layer == SKIN)], HANDS).all()


def lock_over_the_shoulder():
    """(map, where) of a lock that the map has half for cloth: below its hair, the chest's upper part."""
    c = correspondence(0.4)
    front = (c.layer == UPPER) & (c.part == PART_NAMES.index("torso_front"))
    rows, columns = np.nonzero(front)
    strip = front & (np.abs(np.arange(c.size[1]) - np.median(columns)) <= 4)
    down = np.arange(c.size[0])[:, None] - rows.min()
    lock, extent = strip & (down < 40), np.ptp(np.flatnonzero(c.mask.any(1)))
    assert 0.1 * extent > 20
    return relabelled(c, lock & (down < 20), HAIR), lock


def test_the_rest_of_a_lock_on_the_chest_is_hair_but_cloth_is_not():
    c, lock = lock_over_the_shoulder()
    photo = dressed(relabelled(c, lock, HAIR), {**COLOURS, HAIR: (0.2, 0.1, 0.05)})
    found = hair_redrawn(c, photo)
    lost = lock & (c.layer == UPPER)
    assert lost.sum() > 100 and (found.layer[lost] == HAIR).mean() > 0.8
    assert (found.layer == c.layer)[c.mask & ~lost].mean() > 0.995
    # where it lies has not changed
    assert np.array_equal(found.triangle, c.triangle) and np.array_equal(found.part, c.part)


@pytest.mark.parametrize("told_apart", [True, False])
def test_the_rest_of_a_book_before_the_garment_is_carried(told_apart):
    c = correspondence(0.4, (840, 528))
    book = block((c.layer == UPPER) & (c.part == PART_NAMES.index("torso_front")), 20)
    half = book & (np.arange(840)[:, None] > np.median(np.nonzero(book)[0]))
    lost = book & ~half
    colour = (0.6, 0.4, 0.9) if told_apart else COLOURS[UPPER]
    photo = dressed(relabelled(c, book, CARRIED), {**COLOURS, CARRIED: colour})
    c = relabelled(c, half, CARRIED)
    found = carried_redrawn(c, photo)
    assert (found.layer[lost] == (CARRIED if told_apart else UPPER)).mean() > 0.8
    assert (found.layer == c.layer)[c.mask & ~lost].mean() > 0.999


def test_a_lock_in_the_garments_colour_stays_as_the_map_has_it():
    c, lock = lock_over_the_shoulder()
    photo = dressed(relabelled(c, lock, HAIR), {**COLOURS, HAIR: COLOURS[UPPER]})
    assert np.array_equal(hair_redrawn(c, photo).layer, c.layer)


def test_a_watch_that_the_map_takes_for_the_garment_is_carried():
    c = correspondence(0.0, (840, 528), sleeves=False)
    hands, forearms = (np.isin(c.part, parts) for parts in (HANDS, FOREARMS))
    # a band of some ten pixels around each wrist, without the forearm beyond it
    band = ndimage.binary_dilation(hands, iterations=10) & forearms
    watch = relabelled(c, band, UPPER)
    found = bare_wrists(watch)
    assert band.sum() > 150 and (found.layer[band] == CARRIED).mean() > 0.9
    assert np.array_equal(found.layer[~band], watch.layer[~band])


def test_a_sleeve_that_ends_at_the_hand_is_no_watch():
    c = correspondence(0.0, (840, 528))
    assert np.array_equal(bare_wrists(c).layer, c.layer)
    # nor one pushed up a little, with bare skin on one side alone
    pushed = ndimage.binary_dilation(np.isin(c.part, HANDS), iterations=10) & np.isin(c.part, FOREARMS)
    c = relabelled(c, pushed, SKIN)
    assert np.array_equal(bare_wrists(c).layer, c.layer)


@pytest.mark.parametrize("through", [True, False])
def test_background_within_a_hand_is_no_cloth_but_trousers_are(through):
    c = correspondence(0.0, (840, 528))
    forearm = c.mask & (c.part == FOREARMS[0])
    bare = relabelled(c, np.isin(c.part, [*FOREARMS, *HANDS]), SKIN)
    hole = block(forearm, 3)
    assert (hole & forearm).sum() == hole.sum() == 49
    photo = dressed(bare, COLOURS)
    photo[hole] = photo[~c.mask][0] if through else np.median(photo[bare.layer == LOWER], 0)
    held = relabelled(bare, hole, LOWER)
    expected = relabelled(bare, hole, CARRIED) if through else held
    assert np.array_equal(seen_through(held, photo).layer, expected.layer)


def test_cloth_in_the_colour_of_skin_stays_where_the_map_has_it():
    c = correspondence(0.4)
    hands = (c.layer == SKIN) & np.isin(c.part, HANDS)
    cuffs = relabelled(c, ndimage.binary_dilation(hands, iterations=5) & (c.layer == UPPER), SKIN)
    found = skin_redrawn(cuffs, dressed(c, {**COLOURS, UPPER: COLOURS[SKIN]}))
    arms = np.isin(c.part, [*HANDS, *FOREARMS])
    assert np.array_equal(found.layer[arms], cuffs.layer[arms])


def test_an_elbow_in_the_sleeves_colours_is_no_skin():
    c = correspondence(0.4)
    sleeve = (c.layer == UPPER) & (c.part == PART_NAMES.index("torso_front"))
    patch = block(sleeve, 8)
    found = skin_redrawn(relabelled(c, patch, SKIN), dressed(c, COLOURS))
    assert (found.layer[patch] == UPPER).all()


def test_trousers_have_no_place_on_a_hand():
    c = correspondence(0.0)
    patch = block((c.layer == LOWER) & (c.part == PART_NAMES.index("left_thigh")), 3)
    row, column = (int(at[0]) for at in np.nonzero(np.isin(c.part, HANDS)))
    fields = {name: getattr(c, name).copy() for name in ("part", "triangle", "barycentric", "uv")}
    for values in fields.values():
        values[patch] = values[row, column]
    found = skin_redrawn(with_changes(c, **fields), dressed(c, COLOURS))
    assert (found.part[patch] == PART_NAMES.index("left_thigh")).all() and (found.layer[patch] == LOWER).all()


def test_a_crumb_of_a_carried_thing_is_what_lies_around_it():
    c = correspondence(0.4)
    thigh = (c.layer == LOWER) & (c.part == PART_NAMES.index("left_thigh"))
    crumb, phone = block(thigh, 1), block(thigh, 4)
    assert (tidy_layers(relabelled(c, crumb, CARRIED), 1).layer[crumb] == LOWER).all()
    assert (tidy_layers(relabelled(c, phone, CARRIED), 1).layer[phone] == CARRIED).mean() > 0.9


@pytest.mark.parametrize("shown", [False, True])
def test_a_flap_goes_where_the_photo_does_not_show_it(shown):
    c = correspondence(0.0, (560, 352))
    hips = (c.layer == LOWER) & np.isin(c.part, [PART_NAMES.index(f"{side}_thigh") for side in ("left", "right")])
    rows, columns = np.nonzero(hips)
    flap = hips & (np.arange(c.size[0])[:, None] < rows.min() + 30) & (np.arange(c.size[1]) < columns.min() + 14)
    assert 100 < flap.sum() < 0.04 * c.mask.sum()
    drawn = relabelled(c, flap, UPPER)
    noise = np.random.default_rng(0).integers(0, 8, (*c.size, 3))
    # alike, or each garment in its own colour, the flap in the top's
    photo = dressed(drawn, COLOURS if shown else {**COLOURS, LOWER: COLOURS[UPPER]})
    photo = np.where(c.mask[..., None], (photo + noise).clip(0, 255), photo).astype(np.uint8)
    found = straightened(load_template(), drawn, photo)
    body = c.mask & ~flap
    assert (found.layer[flap] == (UPPER if shown else LOWER)).mean() > 0.9
    assert (found.layer == drawn.layer)[body].mean() > 0.99


@pytest.mark.parametrize("shown", [False, True])
def test_a_bag_in_the_hand_that_the_map_takes_for_the_garment_is_carried(shown):
    c = correspondence(0.0, (840, 528))
    thigh = (c.layer == LOWER) & (c.part == PART_NAMES.index("right_thigh"))
    bag, other = block(thigh, 12), block(thigh & (np.arange(840)[:, None] > 560), 12)
    # the hand holds it: its place is there
    held = relabelled(c, ndimage.binary_dilation(bag, iterations=6) & ~bag & c.mask, SKIN)
    assert bag.sum() == 625 and not (bag & other).any()
    fields = {"part": np.where((held.layer == SKIN) & thigh, HANDS[0], c.part).astype(c.part.dtype)}
    held = with_changes(held, **fields)
    photo = dressed(held, COLOURS)
    photo[bag] = (60, 70, 200)
    if shown:
        photo[other] = (60, 70, 200)
    found = held_redrawn(held, photo)
    assert (found.layer[bag] == (LOWER if shown else CARRIED)).mean() > 0.9
    beyond = ~ndimage.binary_dilation(bag, iterations=18)
    assert np.array_equal(found.layer[beyond], held.layer[beyond])
    source = transfer.read_source(photo, held, texture_size=64)
    assert (source.correspondence.layer[bag] == CARRIED).mean() > 0.9 or shown
    # nor is the same thing anything but a pocket where no hand is near it
    photo = dressed(c, COLOURS)
    photo[other] = (60, 70, 200)
    assert np.array_equal(held_redrawn(c, photo).layer, c.layer)


@pytest.mark.parametrize("shown", [False, True])
def test_a_bag_in_the_middle_of_a_garment_in_its_colours_is_garment(shown):
    c = correspondence(0.4, (840, 528))
    front = (c.layer == UPPER) & (c.part == PART_NAMES.index("torso_front"))
    patch = block(front, 14)
    drawn = relabelled(c, patch, CARRIED)
    photo = dressed(drawn, {**COLOURS, CARRIED: COLOURS[UPPER] if shown else (0.1, 0.1, 0.8)})
    assert (enclosed_redrawn(drawn, photo).layer[patch] == (UPPER if shown else CARRIED)).all()
    # and one at the garment's edge hangs there
    edge = ndimage.binary_dilation(~c.mask, iterations=20) & (c.part == PART_NAMES.index("left_thigh"))
    edge &= c.layer == LOWER
    drawn = relabelled(c, edge, CARRIED)
    assert edge.sum() > 150 and np.array_equal(enclosed_redrawn(drawn, dressed(c, COLOURS)).layer, drawn.layer)


def test_a_band_across_the_trunk_is_a_belt_and_no_skin():
    c = correspondence(0.0, (840, 528))
    square = block((c.layer == UPPER) & (c.part == PART_NAMES.index("torso_front")), 15)
    middle = np.flatnonzero(square.any(1))[15]
    band = square & (np.abs(np.arange(840)[:, None] - middle) <= 3)
    photo = dressed(c, COLOURS)
    assert (enclosed_redrawn(relabelled(c, band, SKIN), photo).layer[band] == UPPER).all()
    hole = relabelled(c, square, SKIN)
    assert np.array_equal(enclosed_redrawn(hole, photo).layer, hole.layer)


@pytest.mark.parametrize("shown", [True, False])
def test_a_belt_and_what_is_below_it_are_no_top(shown):
    c = correspondence(0.0, (840, 528))
    trunk = c.mask & np.array([name.startswith("torso") or name.endswith("thigh") for name in PART_NAMES])[c.part]
    row = np.arange(840)[:, None]
    # trousers up to the waist
    hem = np.flatnonzero((trunk & (c.layer == LOWER)).any(1))[0] - 70
    c = relabelled(c, trunk & (row >= hem), LOWER)
    belt, below = trunk & (row >= hem) & (row < hem + 12), trunk & (row >= hem + 12) & (row < hem + 24)
    photo = dressed(c, COLOURS)
    if shown:
        photo[belt] = (200, 30, 120)
    # the map's hem is slanted: half of the belt, and a corner below, are said to be top
    left = np.arange(528) < np.median(np.nonzero(belt)[1])
    drawn = relabelled(c, (belt | below) & left, UPPER)
    found = belted(drawn, photo)
    if shown:
        assert (found.layer[belt | below] == LOWER).mean() > 0.97
        assert (found.layer == c.layer)[c.mask].mean() > 0.998
        # and so has every swap it
        assert (transfer._tidied(load_template(), drawn, photo, 4).layer[belt | below] == LOWER).mean() > 0.95
    else:
        assert np.array_equal(found.layer, drawn.layer)


@pytest.mark.parametrize("shown", [True, False])
def test_background_between_arm_and_body_that_the_map_has_for_the_garment_is_no_part_of_the_person(shown):
    c = correspondence(0.0, (840, 528))
    arm, trunk = (c.mask & np.array([of in name for name in PART_NAMES])[c.part] for of in ("arm", "torso"))
    gap = ~c.mask & np.logical_and(*(ndimage.distance_transform_edt(~of) < 20 for of in (arm, trunk)))
    pieces, _ = ndimage.label(gap & (np.arange(840)[:, None] > 230))
    gap = pieces == 1
    assert 200 < gap.sum() < 3000
    # the same patch of colour on a sleeve's far side is a pattern
    outside = ndimage.distance_transform_edt(c.mask)
    sleeve = arm & (c.layer == UPPER) & (np.arange(528) < np.nonzero(arm)[1].min() + 60) & (outside < 9)
    sleeve &= np.abs(np.arange(840)[:, None] - np.median(np.nonzero(sleeve)[0])) < 12
    at = ndimage.distance_transform_edt(~c.mask, return_distances=False, return_indices=True)
    grown = {
        n: np.where(gap.reshape(840, 528, *[1] * (getattr(c, n).ndim - 2)), getattr(c, n)[tuple(at)], getattr(c, n))
        for n in c.__dataclass_fields__
    }
    drawn = with_changes(c, **grown)
    photo = dressed(drawn, COLOURS)
    if shown:
        photo[gap] = (255, 0, 255)
    photo[sleeve] = (255, 0, 255)
    found = without_background(drawn, photo)
    assert sleeve.sum() > 100 and (found.mask[sleeve]).all()
    if not shown:
        assert np.array_equal(found.mask, drawn.mask)
        return
    assert found.mask[gap].mean() < 0.15 and (found.mask[c.mask].mean() > 0.995)
    off = ~found.mask
    assert (found.triangle[off] == -1).all() and (found.layer[off] == 0).all() and np.isnan(found.uv[off]).all()
    # the swap leaves it alone
    source = transfer.read_source(
        dressed(c, {SKIN: (0.5, 0.4, 0.3), UPPER: (0.1, 0.2, 0.9), LOWER: (0.5, 0.1, 0.1)}), c, texture_size=64
    )
    result = transfer.put_on(source, photo, drawn)
    assert np.array_equal(result.image[gap & off], photo[gap & off])


def test_the_thin_ends_of_a_gap_are_background_too():
    c = correspondence(0.0, (840, 528))
    arm, trunk = (c.mask & np.array([of in name for name in PART_NAMES])[c.part] for of in ("arm", "torso"))
    gap = ~c.mask & np.logical_and(*(ndimage.distance_transform_edt(~of) < 20 for of in (arm, trunk)))
    pieces, _ = ndimage.label(gap & (np.arange(840)[:, None] > 230))
    gap = pieces == 1
    # the map has the body grow into the gap from above; the wall there has colours that the photo shows nowhere else
    rows = np.flatnonzero(gap.any(1))
    end = gap & (np.arange(840)[:, None] < rows[0] + len(rows) // 3)
    assert end.sum() > 60 and (gap & ~end).sum() > 60
    at = ndimage.distance_transform_edt(~c.mask, return_distances=False, return_indices=True)
    grown = {}
    for name in c.__dataclass_fields__:
        values = getattr(c, name)
        grown[name] = np.where(end.reshape(840, 528, *[1] * (values.ndim - 2)), values[tuple(at)], values)
    drawn = with_changes(c, **grown)
    photo = dressed(drawn, COLOURS)
    wall = photo.copy()
    wall[gap] = (240, 200, 90)
    assert without_background(drawn, wall).mask[end].mean() < 0.1
    assert (without_background(drawn, wall).mask | gap)[c.mask].mean() > 0.998
    # a sleeve there stays
    assert without_background(drawn, photo).mask[end].all()


def test_a_speck_of_garment_on_a_hand_alone_is_a_thing_in_the_hand():
    c = correspondence(0.0)
    hand = c.mask & (c.part == HANDS[0]) & (c.layer == SKIN)
    row, column = (int(np.median(at)) for at in np.nonzero(hand))
    at = np.indices(c.size)
    cap = hand & (np.hypot(at[0] - row, at[1] - column) < 3)
    assert 15 < cap.sum() < 0.004 * c.mask.sum()
    found = tidy_layers(relabelled(c, cap, UPPER), 1).layer[cap]
    assert (found == CARRIED).mean() > 0.8 and not (found == UPPER).any()
    # a sleeve that reaches over the hand is joined to the rest of it
    cuff = hand | c.mask & (c.part == FOREARMS[0])
    assert (tidy_layers(relabelled(c, cuff, UPPER), 1).layer[cuff] == UPPER).mean() > 0.95
    # and a speck on the trousers is trousers
    thigh = c.mask & (c.part == PART_NAMES.index("left_thigh")) & (c.layer == LOWER)
    row, column = (int(np.median(at)) for at in np.nonzero(thigh))
    speck = thigh & (np.hypot(at[0] - row, at[1] - column) < 3)
    assert (tidy_layers(relabelled(c, speck, UPPER), 1).layer[speck] == LOWER).all()
