"""Semantic masks: what users bring is read or refused, and what training breaks stays a mask."""

import numpy as np
import pytest
import torch
from PIL import Image

from apps.layered.corruption import damage, grown
from apps.layered.heads import condition_of
from apps.layered.masks import draw_layers, read_layers
from apps.layered.settings import MaskConfig
from bodymap.errors import UserError


@pytest.fixture
def labels():
    mask = np.zeros((40, 30), np.int8)
    mask[5:12, 10:20], mask[12:24, 8:22], mask[24:36, 10:20] = 1, 2, 3
    return mask


def test_label_pictures_colours_and_arrays_are_read(tmp_path, labels):
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "labels.png")
    Image.fromarray(draw_layers(labels)).save(tmp_path / "colours.png")
    Image.fromarray(np.repeat(labels.astype(np.uint8)[..., None], 3, 2)).save(tmp_path / "rgb.png")
    for source in (tmp_path / "labels.png", tmp_path / "colours.png", tmp_path / "rgb.png", labels):
        assert np.array_equal(read_layers(source, labels.shape), labels)
    twice = read_layers(labels, (80, 60))
    assert np.array_equal(twice[::2, ::2], labels)


@pytest.mark.parametrize(
    "source, words",
    [
        (np.full((40, 30), 200, np.uint8), "values"),
        (np.zeros((40, 30), np.uint8), "empty"),
        (np.ones((40, 90), np.uint8), "pixels"),
        (np.ones((40, 30), np.float32), "whole number"),
        (np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8), "colours"),
    ],
)
def test_other_masks_are_refused(source, words):
    with pytest.raises(UserError, match=words):
        read_layers(source, (40, 30))


def test_damage_is_seeded_and_keeps_to_the_labels(labels):
    mask = torch.from_numpy(labels.astype(np.int64))[None].repeat(24, 1, 1)
    torch.manual_seed(1)
    first = damage(mask, MaskConfig())
    torch.manual_seed(1)
    assert torch.equal(first, damage(mask, MaskConfig()))
    assert set(first.unique().tolist()) <= {-1, 0, 1, 2, 3, 4}
    changed = (first != mask).flatten(1).float().mean(1)
    assert (changed > 0).sum() > 12 and changed.median() < 0.4


def test_growing_and_shrinking(labels):
    mask = torch.from_numpy(labels.astype(np.int64))
    person, wide, narrow = mask > 0, grown(mask, 3) > 0, grown(mask, -3) > 0
    assert (wide & person).sum() == person.sum() and wide.sum() > person.sum() > narrow.sum() > 0
    assert torch.equal(grown(mask, 3)[person], mask[person])


def test_conditions_name_layers_and_person():
    channels = condition_of(torch.tensor([[[0, 1, 2, 3, 4, -1]]]))[0, :, 0].T.tolist()
    assert channels == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 1], [0, 0, 1, 0, 1], [0, 0, 0, 1, 1], [0] * 4 + [1], [0] * 5]
