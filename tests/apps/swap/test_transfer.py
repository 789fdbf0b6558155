"""Swaps between renders of the template, where every pixel's right colour is known."""

import numpy as np
import pytest
from scipy import ndimage
from support.mapped import (
    FEET,
    FOREARMS,
    HAIR,
    HANDS,
    LOWER,
    SHOES,
    SKIN,
    UPPER,
    correspondence,
    dressed,
    photo_of,
    positions,
    psnr,
    waves,
    with_changes,
)

from apps.swap import transfer
from apps.swap.labels import tidy_layers
from apps.swap.transfer import swap
from bodymap.errors import UserError
from bodymap.types import LAYER_NAMES, PART_NAMES

ONE = {
    SKIN: (0.9, 0.7, 0.6),
    HAIR: (0.2, 0.1, 0.1),
    UPPER: (0.1, 0.3, 0.8),
    LOWER: (0.3, 0.3, 0.3),
    SHOES: (0.5, 0.1, 0),
}
TWO = {SKIN: (0.45, 0.3, 0.2), HAIR: (0, 0, 0), UPPER: (0.8, 0.7, 0.1), LOWER: (0.1, 0.5, 0.2), SHOES: (0.9, 0.9, 0.9)}
GREY = np.array([120, 130, 140], np.uint8)
TEXTURE = 256
HEAD = PART_NAMES.index("head")


def run(source, target, what="all", with_head=False, source_photo=None, target_photo=None, **more):
    source_photo = dressed(source, ONE) if source_photo is None else source_photo
    target_photo = dressed(target, TWO) if target_photo is None else target_photo
    result = swap(source_photo, source, target_photo, target, what, with_head, texture_size=TEXTURE, **more)
    assert result.image.shape == target_photo.shape and result.image.dtype == np.uint8
    # the promise: not a bit changes where nothing was replaced, and never outside the person
    assert np.array_equal(result.image[result.region == 0], target_photo[result.region == 0])
    assert (result.region[~target.mask] == 0).all() and result.region.max() <= 1
    return result


def inside(where, pixels=3):
    """The region without its edges, where colours are blended."""
    return ndimage.binary_erosion(where, iterations=pixels)


def shows(image, where, colour, share=0.98, tolerance=0.04):
    """Nearly all of these pixels have this colour."""
    assert where.sum() > 40
    close = np.abs(image[where] / 255 - np.array(colour)).max(1) < tolerance
    assert close.mean() > share, (close.mean(), np.median(image[where] / 255, axis=0))


def test_outfit_from_one_camera_to_another():
    source, target = correspondence(0.0), correspondence(0.5, (420, 320))
    image = run(source, target).image
    for layer in (UPPER, LOWER, SHOES):
        shows(image, inside(target.layer == layer), ONE[layer], share=0.97)
    # head and hands stay; skin between them and the clothes runs from one tone to the other
    head = target.part == HEAD
    assert np.array_equal(image[inside(head)], dressed(target, TWO)[inside(head)])
    hands = inside(np.isin(target.part, HANDS) & (target.layer == SKIN))
    shows(image, hands, TWO[SKIN])
    chest = (target.layer == SKIN) & np.isin(target.part, [2, 3])
    shows(image, inside(chest), ONE[SKIN], share=0.5)


def test_head_and_hands_come_along_when_asked():
    source, target = correspondence(0.0), correspondence(0.4)
    image = run(source, target, with_head=True).image
    head = target.part == HEAD
    shows(image, inside(head & (target.layer == SKIN)), ONE[SKIN], share=0.9)
    shows(image, inside(head & (target.layer == HAIR)), ONE[HAIR], share=0.9)
    shows(image, inside(np.isin(target.part, HANDS), 2), ONE[SKIN], share=0.9)


def test_hands_are_the_targets_own_in_the_sources_tone():
    source, target = correspondence(0.0), correspondence(0.4)
    photo = dressed(target, TWO)
    # light and shade of fingers, which the source's hands do not have
    stripes = np.where(np.arange(target.size[0]) // 3 % 2, 1.25, 0.8)[:, None, None]
    hands = np.isin(target.part, HANDS) & (target.layer == SKIN)
    photo[hands] = (photo * stripes).clip(0, 255).astype(np.uint8)[hands]
    image = run(source, target, with_head=True, target_photo=photo).image
    found = image[inside(hands, 2)].astype(float)
    assert np.abs(np.median(found, 0) / 255 - ONE[SKIN]).max() < 0.12
    assert found.mean(1).std() > 12


def test_skin_in_the_targets_tone_when_asked():
    source, target = correspondence(0.0, sleeves=False), correspondence(0.4)
    result = run(source, target, skin="target")
    before = dressed(target, TWO)
    # bared forearms match the hands beside them, and what was bare before has not changed
    shows(result.image, inside(np.isin(target.part, FOREARMS) & (target.layer == UPPER)), TWO[SKIN], 0.8, 0.06)
    chest = inside((target.layer == SKIN) & np.isin(target.part, [2, 3]), 5)
    assert (result.image[chest] == before[chest]).all(-1).mean() > 0.9
    shows(result.image, inside(target.layer == LOWER), ONE[LOWER])


def test_one_garment_leaves_the_others_alone():
    source, target = correspondence(0.0), correspondence(0.4)
    before = dressed(target, TWO)
    upper = run(source, target, "upper").image
    shows(upper, inside(target.layer == UPPER), ONE[UPPER])
    for layer in (LOWER, SHOES, HAIR):
        assert np.array_equal(upper[inside(target.layer == layer)], before[inside(target.layer == layer)])
    lower = run(source, target, "lower").image
    shows(lower, inside(target.layer == LOWER), ONE[LOWER])
    assert np.array_equal(lower[inside(target.layer == UPPER)], before[inside(target.layer == UPPER)])


def test_long_sleeves_cover_bare_arms():
    source, target = correspondence(0.0), correspondence(0.4, sleeves=False)
    image = run(source, target, "upper").image
    forearms = inside(np.isin(target.part, FOREARMS), 2)
    assert (target.layer[forearms] == SKIN).all()
    shows(image, forearms, ONE[UPPER], share=0.85)
    shows(image, inside(np.isin(target.part, HANDS)), TWO[SKIN], share=0.9)


def test_short_sleeves_bare_the_arms_in_the_targets_own_tone():
    source, target = correspondence(0.0, sleeves=False), correspondence(0.4)
    image = run(source, target, "upper").image
    forearms = inside(np.isin(target.part, FOREARMS) & (target.layer == UPPER), 3)
    shows(image, forearms, TWO[SKIN], share=0.8, tolerance=0.06)


def test_bared_forearms_have_the_tone_of_the_hands_not_that_of_the_face():
    source, target = correspondence(0.0, sleeves=False), correspondence(0.4)
    photo = dressed(target, TWO)
    face = (target.part == HEAD) & (target.layer == SKIN)
    hands = np.isin(target.part, HANDS) & (target.layer == SKIN)
    assert face.sum() > hands.sum()  # the median of all of the skin is the face's
    photo[face] = (230, 130, 60)
    image = run(source, target, "upper", target_photo=photo).image
    lower_half = inside(np.isin(target.part, FOREARMS) & (target.layer == UPPER), 3)
    lower_half &= ndimage.distance_transform_edt(~hands) < 25
    assert lower_half.sum() > 100
    shows(image, lower_half, TWO[SKIN], share=0.8, tolerance=0.08)


def test_a_long_sleeve_reaches_as_far_as_the_one_it_replaces():
    source, target = correspondence(0.0), correspondence(0.4)
    over_hands = np.where(np.isin(target.part, HANDS), UPPER, target.layer).astype(np.int8)
    target = with_changes(target, layer=over_hands)
    image = run(source, target, "all").image
    shows(image, inside(np.isin(target.part, HANDS)), ONE[UPPER], share=0.9)
    # bare arms end in hands
    image = run(correspondence(0.0, sleeves=False), target, "all").image
    shows(image, inside(np.isin(target.part, HANDS)), ONE[SKIN], share=0.9)


def test_the_rim_of_a_new_collar_on_a_bare_neck_is_no_wider_than_the_blend():
    source, target = correspondence(0.0), correspondence(0.4)
    collar = target.layer == UPPER
    height = np.full(target.size, -np.inf)
    height[target.mask] = positions(target)[:, 2]
    low = with_changes(target, layer=np.where(collar & (height > 0.36), SKIN, target.layer).astype(np.int8))
    before = dressed(low, TWO)
    image = run(source, low, "upper", target_photo=before).image
    covered = inside(collar & (low.layer == SKIN))
    shows(image, covered, ONE[UPPER], share=0.9)
    # the texture's own edge, a centimetre wide, would reach five pixels out (shoulders aside, where two islands meet)
    front = np.isin(target.part, [PART_NAMES.index("neck"), PART_NAMES.index("torso_front")])
    beyond = (target.layer == SKIN) & front & (ndimage.distance_transform_edt(~collar) > 2)
    assert beyond.sum() > 200 and np.array_equal(image[beyond], before[beyond])


def test_several_garments_at_once():
    source, target = correspondence(0.0), correspondence(0.4)
    before = dressed(target, TWO)
    for what in ("upper,shoes", ["shoes", "upper"]):
        image = run(source, target, what).image
        for layer in (UPPER, SHOES):
            shows(image, inside(target.layer == layer, 2), ONE[layer])
        assert np.array_equal(image[inside(target.layer == LOWER)], before[inside(target.layer == LOWER)])
    both = run(source, target, "upper,lower,shoes").image
    for layer in (UPPER, LOWER, SHOES):
        shows(both, inside(target.layer == layer, 2), ONE[layer], share=0.97)


def test_shoes_alone():
    source, target = correspondence(0.0), correspondence(0.4)
    before = dressed(target, TWO)
    image = run(source, target, "shoes").image
    shows(image, inside(target.layer == SHOES, 2), ONE[SHOES])
    # a boot may reach up the ankle
    others = target.mask & np.isin(target.layer, [UPPER, LOWER, HAIR])
    others &= ~ndimage.binary_dilation(target.layer == SHOES, iterations=8)
    assert np.array_equal(image[others], before[others])


def test_hair_takes_the_other_ones_colour_and_keeps_its_own_strands():
    source, target = correspondence(0.0), correspondence(0.4)
    photo = dressed(target, TWO | {HAIR: (0.3, 0.3, 0.3)})
    strands = np.where((np.arange(photo.shape[1]) // 3 % 2)[None, :, None], 30, -30)
    photo = np.where((target.layer == HAIR)[..., None], np.clip(photo + strands, 0, 255), photo).astype(np.uint8)
    fair = dressed(source, ONE | {HAIR: (0.7, 0.5, 0.2)})
    light = np.random.default_rng(0).normal(0, 12, photo.shape[:1] + fair.shape[1:2])[: fair.shape[0], :, None]
    fair = np.where((source.layer == HAIR)[..., None], np.clip(fair + light, 0, 255), fair).astype(np.uint8)
    result = run(source, target, "hair", source_photo=fair, target_photo=photo)
    hair = inside(target.layer == HAIR, 2)
    assert np.abs(np.median(result.image[hair] / 255, axis=0) - (0.7, 0.5, 0.2)).max() < 0.12
    # light strands are light, dark ones dark
    assert np.corrcoef(result.image[hair].mean(-1), photo[hair].mean(-1))[0, 1] > 0.9
    others = target.mask & ~ndimage.binary_dilation(target.layer == HAIR, iterations=8)
    assert np.array_equal(result.image[others], photo[others])


def test_one_garment_touches_next_to_nothing_else():
    source, target = correspondence(0.0), correspondence(0.4)
    photo = photo_of(target, waves(positions(target)), GREY)
    image = run(source, target, "upper", target_photo=photo).image
    changed = (image != photo).any(-1)
    assert changed[target.layer == UPPER].mean() > 0.95
    for layer in (LOWER, SHOES, HAIR):
        assert changed[target.layer == layer].mean() < 0.05
    assert not changed[~target.mask].any()


@pytest.mark.parametrize("what", ["all", "upper", "lower", "shoes", "upper,lower,shoes"])
def test_face_hair_and_hands_stay_to_the_pixel(what):
    source, target = correspondence(0.0), correspondence(0.4)
    photo = photo_of(target, waves(positions(target)), GREY)
    # no two pixels alike, and yet skin has the colours of skin
    photo[target.layer == SKIN] = photo[target.layer == SKIN] // 8 + np.array([180, 130, 100], np.uint8)
    image = run(source, target, what, target_photo=photo).image
    hands = np.isin(target.part, HANDS) & (target.layer == SKIN)
    face = (target.part == HEAD) & np.isin(target.layer, [SKIN, HAIR])
    # what is tidied in the labels may move their edge by a pixel
    kept = inside(hands, 1) | inside(face, 1)
    assert np.array_equal(image[kept], photo[kept])


def test_a_small_thing_on_the_garment_goes_with_it():
    source, target = correspondence(0.0), correspondence(0.4)
    chest = inside((target.layer == UPPER) & (target.part == PART_NAMES.index("torso_front")), 8)
    row, column = (int(np.median(at)) for at in np.nonzero(chest))
    flower = np.zeros_like(target.mask)
    flower[row - 3 : row + 4, column - 3 : column + 4] = True
    layer = np.where(flower, LAYER_NAMES.index("carried"), target.layer).astype(np.int8)
    photo = dressed(target, TWO)
    photo[flower] = (0, 0, 0)
    image = run(source, with_changes(target, layer=layer), "upper", target_photo=photo).image
    shows(image, flower, ONE[UPPER])


def test_an_island_of_one_garment_within_the_other_is_a_mistake():
    target = correspondence(0.4)
    thigh = inside((target.layer == LOWER) & (target.part == PART_NAMES.index("left_thigh")), 4)
    row, column = (int(np.median(at)) for at in np.nonzero(thigh))
    island = np.zeros_like(target.mask)
    island[row - 3 : row + 4, column - 3 : column + 4] = True
    layer = np.where(island, UPPER, target.layer).astype(np.int8)
    tidy = tidy_layers(with_changes(target, layer=layer), 1).layer
    assert (tidy[island] == LOWER).all()
    assert (tidy == target.layer)[target.mask].mean() > 0.99
    # a top as small as that, alone on bare skin, is a top
    bare = np.where(island, UPPER, np.where(target.mask, SKIN, 0)).astype(np.int8)
    assert (tidy_layers(with_changes(target, layer=bare), 1).layer[island] == UPPER).mean() > 0.9


def test_a_source_is_read_once_for_many_targets():
    source = correspondence(0.0)
    photo = dressed(source, ONE)
    once = transfer.read_source(photo, source, texture_size=TEXTURE)
    for facing in (0.0, 0.4):
        target = correspondence(facing)
        each = transfer.put_on(once, dressed(target, TWO), target, "upper")
        assert np.array_equal(each.image, run(source, target, "upper").image)


def test_swapping_with_oneself_changes_little():
    c = correspondence(0.3)
    photo = photo_of(c, waves(positions(c)), GREY)
    for what in ("all", "upper", "upper,lower,shoes"):
        result = run(c, c, what, with_head=what == "all", source_photo=photo, target_photo=photo)
        assert result.region.mean() > 0.02
        replaced = result.region > 0
        assert psnr(result.image[replaced] / 255, photo[replaced] / 255) > 30


def test_a_pattern_arrives_where_it_belongs():
    source, target = correspondence(0.0), correspondence(0.35, (420, 320))
    photo = photo_of(source, waves(positions(source)), GREY)
    result = run(source, target, source_photo=photo, shading=0.0)
    truth = photo_of(target, waves(positions(target)), GREY)
    torso = inside((target.part == PART_NAMES.index("torso_front")) & (target.layer == UPPER), 4)
    # away from the side that the source's camera did not see
    torso &= np.arange(320)[None] > np.flatnonzero(torso.any(0)).mean()
    assert psnr(result.image[torso] / 255, truth[torso] / 255) > 25


def test_the_back_is_dressed_too():
    source, target = correspondence(0.0), correspondence(np.pi)
    image = run(source, target).image
    shows(image, inside(target.layer == UPPER), ONE[UPPER], share=0.93)
    shows(image, inside(target.layer == LOWER), ONE[LOWER], share=0.93)


def test_what_the_source_does_not_show_stays():
    whole, target = correspondence(0.0), correspondence(0.4)
    cut = whole.mask.copy()
    cut[positions_row(whole) :] = False
    bust = with_changes(whole, mask=cut, part=np.where(cut, whole.part, -1).astype(np.int16))
    image = run(bust, target).image
    before = dressed(target, TWO)
    shins = np.isin(target.part, [i for i, n in enumerate(PART_NAMES) if n.endswith("shin")] + FEET)
    assert np.array_equal(image[inside(shins)], before[inside(shins)])
    shows(image, inside(target.layer == UPPER), ONE[UPPER], share=0.9)


def positions_row(c):
    """The row of the hips."""
    hips = np.abs(positions(c)[:, 2] + 0.06) < 0.02
    return int(np.median(np.nonzero(c.mask)[0][hips]))


def test_carried_things_stay():
    source, target = correspondence(0.0), correspondence(0.4)
    layer = target.layer.copy()
    rows = slice(200, 240)
    layer[rows] = np.where(target.mask[rows], LAYER_NAMES.index("carried"), 0)
    holding = with_changes(target, layer=layer)
    photo = photo_of(target, waves(positions(target)), GREY)
    image = run(source, holding, target_photo=photo).image
    inner = inside(layer == LAYER_NAMES.index("carried"), 4)
    assert inner.any() and np.array_equal(image[inner], photo[inner])


def test_large_photos_are_worked_on_in_small_and_blended_in_full(monkeypatch):
    source, target = correspondence(0.0), correspondence(0.4)
    exact = run(source, target)
    assert np.array_equal(exact.image, run(source, target).image)  # the same call gives the same bytes
    monkeypatch.setattr(transfer, "WORKING_PIXELS", 40_000)
    coarse = run(source, target)
    both = (exact.region > 0.99) & (coarse.region > 0.99)
    assert both.sum() > 0.85 * (exact.region > 0.99).sum()
    assert np.median(np.abs(exact.image[both].astype(int) - coarse.image[both])) < 4


def test_the_texture_and_what_was_seen_are_handed_over():
    source = correspondence(0.0)
    result = run(source, source)
    assert result.texture.shape == (TEXTURE, TEXTURE, 3) and result.seen.shape == (TEXTURE, TEXTURE)
    assert 0.1 < result.seen.mean() < 0.4
    blue = np.abs(result.texture[result.seen] / 255 - ONE[UPPER]).max(1) < 0.05
    assert 0.2 < blue.mean() < 0.8


def test_mistakes_are_named():
    c = correspondence(0.0)
    photo = dressed(c, ONE)
    nobody = with_changes(c, mask=np.zeros_like(c.mask))
    with pytest.raises(UserError, match="source"):
        swap(photo, nobody, photo, c)
    with pytest.raises(UserError, match="target"):
        swap(photo, c, photo, nobody)
    with pytest.raises(UserError, match="target"):
        swap(photo, c, photo[:-2], c)
    with pytest.raises(UserError, match="choose all, upper, lower, shoes or hair"):
        swap(photo, c, photo, c, "hat")
    bare = with_changes(c, layer=np.where(c.mask, SKIN, 0).astype(np.int8))
    with pytest.raises(UserError, match="no upper garment"):
        swap(photo, bare, photo, c, "upper", texture_size=TEXTURE)
    with pytest.raises(UserError, match="no shoes"):
        swap(photo, bare, photo, c, "shoes", texture_size=TEXTURE)
    with pytest.raises(UserError, match="source's photo shows no hair"):
        swap(photo, bare, photo, c, "hair", texture_size=TEXTURE)


@pytest.mark.parametrize("what", ["shoes", "all"])
def test_shoes_stand_on_the_targets_own_soles(what):
    source, target = correspondence(0.0), correspondence(0.0, (1240, 780))
    shoes = target.mask & np.isin(target.part, FEET) & (target.layer == SHOES)
    # pixels down to the ground
    below = np.zeros(target.size, int)
    for row in range(target.size[0] - 2, -1, -1):
        below[row] = np.where(shoes[row], below[row + 1] + 1, 0)
    sole = shoes & (below <= 12)
    assert inside(sole, 2).sum() > 200 and (shoes & (below > 30)).sum() > 500
    plain = dressed(target, TWO)
    soled = plain.copy()
    soled[sole] = (20, 20, 25)
    image = run(source, target, what, target_photo=soled).image
    shows(image, inside(sole, 2), (20 / 255, 20 / 255, 25 / 255))
    shows(image, inside(shoes & (below > 16) & (below < 50), 4), ONE[SHOES], share=0.95)
    # a shoe without one is exchanged down to the ground
    image = run(source, target, what, target_photo=plain).image
    shows(image, inside(sole, 2), ONE[SHOES], share=0.95)


def test_bared_arms_take_the_tone_of_skin_in_light():
    source, target = correspondence(0.0, sleeves=False), correspondence(0.0)
    photo = dressed(target, TWO)
    light, dark = (0.8, 0.6, 0.5), (0.3, 0.2, 0.16)
    # a third of the hands lies in shade, and so do brows, lips and chin
    skin = (target.layer == SKIN) & target.mask
    photo[skin] = np.round(255 * np.array(light))
    shade = skin & (np.indices(target.size)[1] % 10 < 3)
    photo[shade] = np.round(255 * np.array(dark))
    image = run(source, target, "upper", target_photo=photo, shading=0.0).image
    arms = inside(np.isin(target.part, FOREARMS) & (target.layer == UPPER), 4)
    assert np.abs(np.median(image[arms], 0) / 255 - light).max() < 0.06
