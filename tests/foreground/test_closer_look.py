"""Small people are looked for where the coarse grids saw something, and only there."""

import numpy as np

from bodymap.foreground.people import Evidence, FindingConfig, find_people, worth_a_closer_look

SHAPE = (40, 60)


def evidence(*patches: tuple[int, int, int, int, float], shape=SHAPE) -> Evidence:
    """Patches of foreground: (top, left, height, width, confidence), each a head on a torso."""
    probability, confidence = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    part = np.full(shape, -1)
    for top, left, height, width, sure in patches:
        there = slice(top, top + height), slice(left, left + width)
        probability[there], confidence[there], part[there] = 0.9, sure, 2
        part[top : top + max(1, height // 4), left : left + width] = 0
    return Evidence(probability, part, confidence)


def test_patches_that_are_nobody_yet_are_looked_at_again():
    large, far, speck = (5, 5, 30, 12, 0.4), (10, 40, 5, 2, 0.02), (30, 50, 1, 2, 0.02)
    seen = evidence(large, far, speck)
    found = find_people([seen], (400, 600))
    assert len(found) == 1
    where = worth_a_closer_look(seen, found)
    assert where[10:15, 40:42].all() and where[9, 39]  # with a little around it
    assert not where[:, :30].any() and not where[30, 50]
    assert worth_a_closer_look(seen, []).any(1)[5:35].all()


def test_small_patches_must_be_surer_than_large_ones():
    config = FindingConfig()
    between = (config.minimum_confidence + config.closer_confidence) / 2
    size = (400, 600)
    assert find_people([evidence((5, 5, 30, 12, between))], size)
    assert not find_people([evidence((5, 5, 12, 5, between))], size)
    assert find_people([evidence((5, 5, 12, 5, 0.2))], size)


def test_a_suspicion_that_a_closer_look_does_not_confirm_is_dropped():
    size = (400, 600)
    coarse, nothing = evidence((5, 5, 8, 3, 0.115)), evidence(shape=(80, 120))
    assert find_people([coarse], size)
    assert not find_people([coarse, nothing], size)
    confirmed = evidence((10, 10, 16, 6, 0.3), shape=(80, 120))
    assert len(find_people([coarse, confirmed], size)) == 1
    # what was sure from the first stays, whether or not the finer grid agrees
    assert len(find_people([evidence((5, 5, 8, 3, 0.4)), nothing], size)) == 1
