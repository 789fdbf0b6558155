"""Skirts: told from trousers by the gap between the legs, carried over by a cubic that strays cannot bend."""

import numpy as np
import torch
from scipy import ndimage
from support.mapped import LOWER, SKIN, UPPER, correspondence, dressed, photo_of, positions, with_changes

from apps.rerender.skirt import skirt_region
from apps.swap import drape, transfer
from apps.swap.drape import _fitted, _terms
from apps.swap.regions import LEGS
from apps.swap.transfer import swap
from bodymap.types import PART_NAMES


def skirted(facing, size=(420, 264), between="crotch"):
    """The template with the gap between its legs closed by cloth: the map there is that of the crotch, as the engine's
    skirts have it, or of the nearest leg."""
    c = correspondence(facing, size)
    legs = c.mask & np.isin(c.part, LEGS) & (c.layer == LOWER)
    closed = np.zeros_like(legs)
    for row in np.flatnonzero(legs.any(1)):
        columns = np.flatnonzero(legs[row])
        closed[row, columns[0] : columns[-1] + 1] = True
    closed &= ~c.mask
    crotch = c.mask & (c.part == PART_NAMES.index("torso_front")) & (c.layer == LOWER)
    nearest = ndimage.distance_transform_edt(
        ~(crotch if between == "crotch" else legs), return_distances=False, return_indices=True
    )
    fields = {name: getattr(c, name).copy() for name in c.__dataclass_fields__}
    for field in fields.values():
        field[closed] = field[tuple(nearest)][closed]
    return with_changes(c, **fields)


def test_a_gap_between_the_legs_is_no_skirt():
    assert skirt_region(correspondence(0.0)) is None
    c = skirted(0.0)
    found = skirt_region(c)
    assert found is not None and found.sum() > 0.9 * (np.isin(c.part, LEGS) & (c.layer == LOWER)).sum()
    assert skirt_region(with_changes(c, layer=np.where(np.isin(c.part, LEGS), 1, c.layer).astype(np.int8))) is None


def test_strays_do_not_bend_the_cubic():
    rng = np.random.default_rng(0)
    region = torch.ones(40, 30, dtype=torch.bool)
    terms = _terms(torch.nonzero(region), region)
    true = torch.from_numpy(rng.normal(0, 0.1, (terms.shape[1], 2)))
    places = terms @ true
    stray = torch.from_numpy(rng.random(len(places)) < 0.25)
    places[stray] = torch.from_numpy(rng.random((int(stray.sum()), 2)))
    fit = _fitted(terms, places)
    assert fit is not None and (terms @ fit - terms @ true).abs().mean() < 0.004
    plain = torch.linalg.lstsq(terms, places).solution
    assert (terms @ plain - terms @ true).abs().mean() > 0.02
    # nothing smooth in noise
    assert _fitted(terms, torch.from_numpy(rng.random(places.shape))) is None


def test_stripes_stay_straight_on_a_skirt(monkeypatch):
    # the map of the nearest leg is smooth, as a cubic is, but looks like trousers to whoever does not know
    source, target = skirted(0.0, between="leg"), skirted(0.0, (420, 300), between="leg")
    for module in (drape, transfer):
        monkeypatch.setattr(module, "skirt_region", lambda c: c.mask & np.isin(c.part, LEGS) & (c.layer == LOWER))
    stripes = 0.5 + 0.4 * np.sign(np.sin(positions(source)[:, 2:] * 60)) * np.ones(3)
    photo = photo_of(source, stripes)
    plain = dressed(target, {UPPER: (0.2, 0.3, 0.4), LOWER: (0.5, 0.5, 0.5)})
    result = swap(photo, source, plain, target, "lower", texture_size=256, shading=0.0)
    carried = []
    monkeypatch.setattr(drape, "skirt_region", lambda c: carried.append(c))
    without = swap(photo, source, plain, target, "lower", texture_size=256, shading=0.0)
    assert carried
    truth = photo_of(target, 0.5 + 0.4 * np.sign(np.sin(positions(target)[:, 2:] * 60)) * np.ones(3))
    thighs = np.isin(target.part, [PART_NAMES.index("left_thigh"), PART_NAMES.index("right_thigh")])
    thighs &= (target.layer == LOWER) & (result.region > 0.9)
    errors = [np.abs(image[thighs].astype(int) - truth[thighs]).mean() for image in (result.image, without.image)]
    # on an exact map the cubic costs little
    assert errors[0] < errors[1] + 15 and errors[0] < 50
    assert not np.array_equal(result.image, without.image)


def test_a_long_skirt_is_not_drawn_on_bare_legs():
    skirt, trousers = skirted(0.0), correspondence(0.0)
    target = correspondence(0.2)
    bare = (target.layer == LOWER) & np.isin(target.part, [k for k, n in enumerate(PART_NAMES) if n.endswith("shin")])
    target = with_changes(target, layer=np.where(bare, SKIN, target.layer).astype(np.int8))
    blue, green = (0.1, 0.2, 0.8), (0.1, 0.5, 0.2)
    pale, dark = (0.9, 0.7, 0.6), (0.45, 0.3, 0.2)
    before = dressed(target, {SKIN: dark, LOWER: green})
    inside = ndimage.binary_erosion(bare, iterations=3)
    thighs = ndimage.binary_erosion(target.layer == LOWER, iterations=3)

    def shins(source, what):
        photo = dressed(source, {SKIN: pale, LOWER: blue})
        image = swap(photo, source, before, target, what, texture_size=256, shading=0.0).image
        assert np.abs(np.median(image[thighs], 0) / 255 - blue).max() < 0.04
        return image[inside]

    def are(pixels, colour):
        return (np.abs(pixels / 255 - colour).max(1) < 0.06).mean() > 0.9

    assert are(shins(trousers, "lower"), blue) and are(shins(trousers, "all"), blue)
    assert np.array_equal(shins(skirt, "lower"), before[inside])
    assert are(shins(skirt, "all"), pale)
