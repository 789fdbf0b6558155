"""Layers in whole pieces."""

import numpy as np
import pytest

from bodymap.surface import load_template
from bodymap.tidying import settle_layers
from bodymap.types import LAYER_NAMES

SKIN, HAIR, UPPER, LOWER = (LAYER_NAMES.index(name) for name in ("skin", "hair", "upper", "lower"))
SIZE = (60, 40)


def dressed(seed=0, said=2.0):
    """Logits, picture, colour codes and outline of a red top above blue trousers, the picture a little noisy."""
    rng = np.random.default_rng(seed)
    truth = np.where(np.arange(SIZE[0]) < 30, UPPER, LOWER)[:, None].repeat(SIZE[1], 1)
    logits = np.zeros((len(LAYER_NAMES), *SIZE), np.float32)
    np.put_along_axis(logits, truth[None], np.float32(said), 0)
    colour = np.where((truth == UPPER)[None], [[[0.7]], [[0.1]], [[0.1]]], [[[0.1]], [[0.1]], [[0.6]]])
    picture = (colour + rng.normal(0, 0.01, (3, *SIZE))).clip(0, 1).astype(np.float32)
    up, across = np.meshgrid(np.linspace(0.9, 0.2, SIZE[0]), np.linspace(0.3, 0.7, SIZE[1]), indexing="ij")
    codes = np.stack([across, np.full(SIZE, 0.5), up], -1).astype(np.float32)
    return truth, logits, picture, codes, np.ones(SIZE, bool)


def settled(logits, *rest):
    return settle_layers(logits, *rest)[1:].argmax(0) + 1


def test_a_patch_of_another_garment_in_its_midst_goes_with_what_is_around():
    truth, logits, *rest = dressed()
    patch = np.s_[10:16, 12:20]
    logits[UPPER][patch], logits[LOWER][patch] = 0, 1  # on red cloth the network says trousers
    assert (settled(logits, *rest) == truth).all()


def test_a_patch_of_its_own_colour_stays():
    truth, logits, picture, *rest = dressed()
    patch = np.s_[10:16, 12:20]
    logits[UPPER][patch], logits[LOWER][patch] = 0, 1
    picture[:, 10:16, 12:20] = np.array([0.1, 0.8, 0.1], np.float32)[:, None, None]
    truth = truth.copy()
    truth[patch] = LOWER
    assert (settled(logits, picture, *rest) == truth).all()


def test_the_sure_are_not_outvoted_and_hair_is_not_asked():
    truth, logits, *rest = dressed()
    sure, lock = np.s_[10:16, 12:20], np.s_[0:25, 30:32]
    logits[LOWER][sure] = 12
    logits[HAIR][lock] = 2.1
    answer = settled(logits, *rest)
    assert (answer[sure] == LOWER).all() and (answer[lock] == HAIR).all()
    assert (answer == HAIR).sum() == 50


def test_height_is_the_third_of_the_code():
    template = load_template()
    assert np.corrcoef(template.code[:, 2].numpy(), template.vertices[:, 2].numpy())[0, 1] > 0.99


def test_alike_in_colour_but_not_in_height_on_the_body_each_keeps_its_layer():
    """A hand's sleeve before the thigh: beside the trousers in the picture, far above them on the body."""
    truth, logits, picture, codes, inside = dressed()
    picture[:] = 0.3
    sleeve = np.s_[40:50, 10:30]
    logits[LOWER][sleeve], logits[UPPER][sleeve] = 0, 1.5
    settled_low = settled(logits, picture, codes, inside)[sleeve]
    codes[sleeve] = (0.1, 0.5, 0.75)
    assert (settled(logits, picture, codes, inside)[sleeve] == UPPER).all()
    assert (settled_low == LOWER).all()


def test_a_skirt_below_the_bare_belly_is_no_top_however_sure():
    truth, logits, picture, codes, inside = dressed(said=8)
    truth[20:24], truth[24:45], truth[45:] = SKIN, LOWER, SKIN
    said = np.where((truth == LOWER) & (np.arange(SIZE[0]) < 40)[:, None], UPPER, truth)
    logits[:] = 0
    np.put_along_axis(logits, said[None], np.float32(8), 0)
    codes[24:, :, 2] -= 0.05
    picture[:, 24:45] = 0.9
    assert (settled(logits, picture, codes, inside) == truth).all()
    # a coat goes on below a bag: what is above says nothing of the kind
    logits[:, 20:24] = 0
    logits[LAYER_NAMES.index("carried"), 20:24] = 8
    assert (settled(logits, picture, codes, inside)[24:40] == UPPER).all()


def test_a_sure_patch_on_a_trouser_leg_is_trousers_and_one_that_hangs_from_the_top_is_not():
    truth, logits, picture, codes, inside = dressed()
    picture[:, 42:50, 10:20] = np.array([0.1, 0.8, 0.1], np.float32)[:, None, None]
    logits[UPPER][42:50, 10:20] = 9
    assert (settled(logits, picture, codes, inside) == truth).all()
    logits[UPPER][28:50, 14:16] = 9
    picture[:, 28:50, 14:16] = np.array([0.1, 0.8, 0.1], np.float32)[:, None, None]
    assert (settled(logits, picture, codes, inside)[42:50, 10:20] == UPPER).all()


def test_nothing_changes_outside_and_where_little_is_seen():
    _, logits, picture, codes, inside = dressed()
    inside[:, :20] = False
    after = settle_layers(logits, picture, codes, inside)
    assert (after[:, ~inside] == logits[:, ~inside]).all() and after is not logits
    inside[:] = False
    inside[:3, :3] = True
    assert settle_layers(logits, picture, codes, inside) is logits


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_every_time(seed):
    _, logits, *rest = dressed(seed)
    assert (settle_layers(logits, *rest) == settle_layers(logits, *rest)).all()
