"""Skirts: told from trousers by the gap between the legs, carried over by a cubic that strays cannot bend."""

import numpy as np
import torch
from scipy import ndimage
from support.mapped import LOWER, SKIN, UPPER, correspondence, dressed, photo_of, positions, waves, with_changes

from apps.rerender.skirt import skirt_region
from apps.swap import drape, regions, transfer
from apps.swap.drape import _fitted, _terms
from apps.swap.regions import HEAD, LEGS
from apps.swap.transfer import swap
from bodymap.surface import load_template
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


def test_a_head_keeps_its_proportions_where_the_map_wavers(monkeypatch):
    source, target = correspondence(0.0, (560, 352)), correspondence(0.0, (560, 400))
    head = target.mask & (target.part == HEAD)
    # each row's places slide to and fro by some pixels
    row, column = np.nonzero(head)
    at = (column + np.round(3 * np.sin(row / 3)).astype(int)).clip(0, 399)
    at = np.where(head[row, at], at, column)
    fields = {name: getattr(target, name).copy() for name in ("triangle", "barycentric", "uv", "part")}
    for name, values in fields.items():
        values[row, column] = getattr(target, name)[row, at]
    wavering = with_changes(target, **fields)
    photo, truth = (photo_of(c, waves(positions(c) * 4)) for c in (source, target))
    before = dressed(target, {SKIN: (0.5, 0.4, 0.3), UPPER: (0.2, 0.3, 0.4)})

    def error():
        image = swap(photo, source, before, wavering, "all", True, texture_size=512, shading=0.0).image
        face = ndimage.binary_erosion(head & (target.layer == SKIN), iterations=4)
        return np.abs(image[face].astype(int) - truth[face]).mean()

    one = error()
    monkeypatch.setattr(drape, "head_over", lambda *_: None)
    assert one < 0.6 * error()


def test_a_skirt_is_one_piece_up_to_the_hips(monkeypatch):
    source, target = skirted(0.0, between="leg"), skirted(0.0, (420, 300), between="leg")
    monkeypatch.setattr(drape, "skirt_region", lambda c: c.mask & np.isin(c.part, LEGS) & (c.layer == LOWER))
    monkeypatch.setattr(transfer, "skirt_region", drape.skirt_region)
    photo = dressed(source, {UPPER: (0.2, 0.3, 0.4), LOWER: (0.5, 0.5, 0.5)})
    template = load_template()
    read = transfer.read_source(photo, source, template=template, texture_size=256)
    view = regions.target_view(template, photo_of(target, positions(target)), target, read.filled, smooth=1)
    weight = drape.carried_over(template, view, target, read)[1].numpy()
    place = np.full(target.size, np.nan)
    place[target.mask] = positions(target)[:, 2]
    trunk = np.isin(target.layer, (UPPER, LOWER)) & np.isin(target.part, regions.TORSO)
    hips = ndimage.binary_erosion(trunk & (place < np.nanmin(place[trunk]) + 0.1), iterations=4)
    assert hips.sum() > 100 and weight[hips].min() > 0.3
    # and fades out above
    assert (weight[target.mask & (place > 0.45)] == 0).all()


def test_two_legs_tones_meet_without_a_step_where_the_photo_shows_no_edge():
    skirt = skirted(0.0, between="leg")
    template = load_template()
    photo = dressed(skirt, {UPPER: (0.2, 0.3, 0.4), LOWER: (0.5, 0.5, 0.5)})
    read = transfer.read_source(photo, skirt, template=template, texture_size=64)
    left = np.isin(skirt.part, [k for k in LEGS if PART_NAMES[k].startswith("left")])
    tones = torch.from_numpy(np.where(left, 0.6, 0.4)[..., None].repeat(3, -1)).float()
    legs = skirt.mask & np.isin(skirt.part, LEGS) & np.isin(skirt.layer, (UPPER, LOWER))

    def step(photo):
        view = regions.target_view(template, photo, skirt, read.filled, smooth=1)
        picture = drape.without_seam(view, tones)
        assert torch.equal(picture[~legs], tones[~legs])
        light = picture[..., 0].numpy()
        beside = legs[:, 1:] & legs[:, :-1] & (left[:, 1:] != left[:, :-1])
        return np.abs(light[:, 1:] - light[:, :-1])[beside].mean(), light

    after, light = step(photo)
    assert after < 0.04 and 0.4 <= light[legs].min() and light[legs].max() <= 0.6
    # the nearer to it the more
    away = ndimage.distance_transform_edt(~(legs & ~left))
    changed = [0.6 - light[left & legs & near].mean() for near in (away < 4, away > 25)]
    assert 0 < changed[1] <= 0.8 * changed[0]
    # trousers: a dark line between the legs
    dark = photo.copy()
    line = legs & (ndimage.distance_transform_edt(~left) < 3) & (ndimage.distance_transform_edt(left) < 3)
    dark[line] = 0
    assert step(dark)[0] > 0.19
    # or a leg of another colour
    tones[..., 2] = torch.where(torch.from_numpy(left), 0.2, 0.8)
    assert step(photo)[0] > 0.19
