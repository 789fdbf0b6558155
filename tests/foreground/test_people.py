"""Finding people on drawn evidence: who is whom is known."""

import numpy as np
import pytest

from bodymap.foreground.people import (
    Evidence,
    box_with_matte,
    find_people,
    join_pieces,
    keep_person,
    own_weight,
    patchiness,
    people_of_mask,
    split_by_heads,
)
from bodymap.types import PART_NAMES

NUMBER = {name: n for n, name in enumerate(PART_NAMES)}


def draw(part, x, y, height, arms=True):
    """A standing person, seen from the front: (x, y) the middle of the head's top. The left hand is on the right."""
    h = height / 40

    def box(name, left, top, right, bottom):
        rows = slice(max(0, round(y + top * h)), round(y + bottom * h))
        part[rows, max(0, round(x + left * h)) : round(x + right * h)] = NUMBER[name]

    box("head", -3, 0, 3, 6)
    box("neck", -1, 6, 1, 7)
    box("torso_front", -5, 7, 5, 20)
    for side, sign in (("right", -1), ("left", 1)):
        limbs = [("thigh", 0, 20, 4, 29), ("shin", 0, 29, 4, 38), ("foot", 0, 38, 5, 40)]
        if arms:
            limbs += [("upper_arm", 5, 7, 7, 13), ("forearm", 5, 13, 7, 19), ("hand", 5, 19, 7, 22)]
        for name, near, top, far, bottom in limbs:
            box(f"{side}_{name}", min(sign * near, sign * far), top, max(sign * near, sign * far), bottom)


def evidence(part):
    inside = part >= 0
    return Evidence((0.05 + 0.9 * inside).astype(np.float32), part, (0.8 * inside).astype(np.float32))


def blank(height=72, width=108):
    return np.full((height, width), -1)


def test_one_person():
    part = blank()
    draw(part, 50, 10, 50)
    (person,) = find_people([evidence(part)], (720, 1080))
    assert np.array_equal(person.region, part >= 0)
    rows, columns = np.nonzero(part >= 0)
    assert person.box == (columns.min() * 10, rows.min() * 10, (columns.max() + 1) * 10, (rows.max() + 1) * 10)
    assert person.area == (part >= 0).sum() * 100 and person.score == pytest.approx(0.95 * 0.8)


def test_nobody_and_specks():
    assert find_people([evidence(blank())], (720, 1080)) == []
    part = blank()
    part[3:5, 3:5] = 0
    assert find_people([evidence(part)], (720, 1080)) == []


def test_things_with_patchy_maps_are_no_people():
    part = blank()
    part[10:50, 20:60] = np.random.default_rng(0).integers(0, 16, (40, 40))
    assert patchiness(part >= 0, part) > 0.5
    assert find_people([evidence(part)], (720, 1080)) == []
    draw(part, 85, 10, 50)
    assert len(find_people([evidence(part)], (720, 1080))) == 1
    assert patchiness(part[:, 70:] >= 0, part[:, 70:]) < 0.03


def test_two_apart_the_largest_first():
    part = blank()
    draw(part, 25, 15, 40)
    draw(part, 80, 8, 60)
    found = find_people([evidence(part)], (720, 1080))
    assert [round(p.box[0] / 10) > 50 for p in found] == [True, False]


@pytest.mark.parametrize("distance", [14, 16, 20])
def test_two_who_touch_are_split_between_them(distance):
    """Hands, then arms overlap; the nearer person hides part of the other."""
    part = blank()
    draw(part, 40, 10, 50)
    alone = part.copy()
    other = blank()
    draw(other, 40 + distance, 8, 52)
    part[other >= 0] = other[other >= 0]
    found = find_people([evidence(part)], (720, 1080))
    assert len(found) == 2
    truth = [other >= 0, (alone >= 0) & (other < 0)]
    for mask in truth:
        best = max((p.region & mask).sum() / (p.region | mask).sum() for p in found)
        assert best > 0.8
    assert not (found[0].region & found[1].region).any()


def test_a_slip_of_the_network_is_no_second_head():
    part = blank()
    draw(part, 50, 10, 50)
    # the knee called head, as large as a third of the true head
    knees = (part == NUMBER["left_thigh"]) & (np.arange(72)[:, None] > 42)
    part[knees] = NUMBER["head"]
    assert len(find_people([evidence(part)], (720, 1080))) == 1
    assert len(split_by_heads(part >= 0, part)) == 1


def test_a_person_behind_a_table_is_one():
    part = blank()
    draw(part, 50, 10, 50)
    part[38:44] = -1
    (person,) = find_people([evidence(part)], (720, 1080))
    assert np.array_equal(person.region, part >= 0)


def test_legs_of_another_person_are_not_joined():
    part = blank()
    draw(part, 30, 10, 50)
    other = blank()
    draw(other, 80, 10, 50)
    other[:38] = -1  # only legs are seen, far away
    part[other >= 0] = other[other >= 0]
    pieces = [part[:, :60] >= 0, part[:, 60:] >= 0]
    pieces = [np.pad(pieces[0], [(0, 0), (0, 48)]), np.pad(pieces[1], [(0, 0), (60, 0)])]
    assert len(join_pieces(pieces, part)) == 2


def test_small_people_are_looked_for_on_the_finer_grid():
    coarse, fine = blank(42, 63), blank(84, 126)
    draw(coarse, 18, 3, 36)
    draw(fine, 36, 6, 72)
    draw(coarse, 50, 27, 13, arms=False)
    draw(fine, 100, 54, 26)
    found = find_people([evidence(coarse), evidence(fine)], (840, 1260))
    assert len(found) == 2
    assert found[0].region.shape == (42, 63) and found[1].region.shape == (84, 126)
    # a piece of the large person alone on the fine grid is no further person
    fine[:, :60][fine[:, :60] > 3] = -1
    assert len(find_people([evidence(coarse), evidence(fine)], (840, 1260))) == 2
    # and who is seen only on the coarse one still counts
    assert len(find_people([evidence(coarse), evidence(blank(84, 126))], (840, 1260))) == 2


def test_dust_beside_a_large_person_is_dropped():
    part = blank(200, 300)
    draw(part, 100, 10, 180)
    part[20:24, 250:255] = 0
    assert len(find_people([evidence(part)], (200, 300))) == 1


def two_regions():
    part = blank()
    draw(part, 25, 10, 50)
    draw(part, 80, 10, 50)
    return find_people([evidence(part)], (720, 1080))


def test_pixels_go_to_the_nearer_person():
    found = two_regions()
    a, b = sorted(found, key=lambda p: p.box[0])
    weight = own_weight(a, [b], (0, 0, 1080, 720), (72, 108), (720, 1080))
    assert (weight[a.region] == 1).all() and (weight[b.region] == 0).all()
    other = own_weight(b, [a], (0, 0, 1080, 720), (72, 108), (720, 1080))
    assert ((weight == 1) | (other == 1)).all()
    assert (own_weight(a, [], (0, 0, 1080, 720), (72, 108), (720, 1080)) == 1).all()
    # the other one lies outside this crop
    assert (own_weight(a, [b], (0, 0, 400, 720), (72, 40), (720, 1080)) == 1).all()


def test_patches_that_belong():
    probability = np.zeros((100, 60), np.float32)
    own = np.zeros((100, 60), bool)
    probability[10:80, 20:40] = 1  # the person
    own[10:80, 20:40] = True
    probability[82:86, 25:30] = 1  # a shoe beyond a kerb: close
    probability[20:60, 52:60] = 1  # a bystander
    area = keep_person(probability, own)
    assert area[10:80, 20:40].all() and area[82:86, 25:30].all() and not area[20:60, 52:60].any()
    assert keep_person(np.zeros((5, 5), np.float32), np.ones((5, 5), bool)).all()


def test_people_of_a_matte():
    mask = np.zeros((50, 80), bool)
    mask[5:45, 5:20], mask[10:40, 40:60], mask[0, 79] = True, True, True
    found = people_of_mask(mask)
    assert [p.area for p in found] == [600, 600]
    assert {p.box for p in found} == {(5, 5, 20, 45), (40, 10, 60, 40)}


def test_a_matte_may_enlarge_the_box():
    found = two_regions()
    a, b = sorted(found, key=lambda p: p.box[0])
    matte = np.zeros((720, 1080), np.float32)
    rows, columns = np.nonzero(np.kron(a.region | b.region, np.ones((10, 10))))
    matte[rows, columns] = 1
    matte[20:110, 200:300] = 1  # a hat
    left, top, right, bottom = box_with_matte(a, [b], matte)
    assert top == 20 and right < 600 and left == a.box[0] and bottom == a.box[3]
