"""Layers in whole pieces."""

import numpy as np
import pytest

from bodymap.tidying import settle_layers
from bodymap.types import LAYER_NAMES

HAIR, UPPER, LOWER = (LAYER_NAMES.index(name) for name in ("hair", "upper", "lower"))
SIZE = (60, 40)


def dressed(seed=0, said=2.0):
    """Logits, picture, height code and outline of a red top above blue trousers, the picture a little noisy."""
    rng = np.random.default_rng(seed)
    truth = np.where(np.arange(SIZE[0]) < 30, UPPER, LOWER)[:, None].repeat(SIZE[1], 1)
    logits = np.zeros((len(LAYER_NAMES), *SIZE), np.float32)
    np.put_along_axis(logits, truth[None], np.float32(said), 0)
    colour = np.where((truth == UPPER)[None], [[[0.7]], [[0.1]], [[0.1]]], [[[0.1]], [[0.1]], [[0.6]]])
    picture = (colour + rng.normal(0, 0.01, (3, *SIZE))).clip(0, 1).astype(np.float32)
    height = np.linspace(1, 0, SIZE[0], dtype=np.float32)[:, None].repeat(SIZE[1], 1)
    return truth, logits, picture, height, np.ones(SIZE, bool)


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


def test_nothing_changes_outside_and_where_little_is_seen():
    _, logits, picture, height, inside = dressed()
    inside[:, :20] = False
    after = settle_layers(logits, picture, height, inside)
    assert (after[:, ~inside] == logits[:, ~inside]).all() and after is not logits
    inside[:] = False
    inside[:3, :3] = True
    assert settle_layers(logits, picture, height, inside) is logits


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_every_time(seed):
    _, logits, *rest = dressed(seed)
    assert (settle_layers(logits, *rest) == settle_layers(logits, *rest)).all()
