"""Compact samples, batches, and the seeds of people made on the fly."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from support.samples import make_sample

from bodymap.data.batch import collate, compact, stack
from bodymap.data.synthetic import SyntheticPeople, seeds_of


def test_collate_gives_the_sample_back():
    samples = [make_sample(0), make_sample(1)]
    batch = collate(samples)
    assert batch["image"].shape == (2, 3, 20, 16) and batch["image"].dtype == torch.float32
    for i, sample in enumerate(samples):
        torch.testing.assert_close(batch["image"][i].permute(1, 2, 0) * 255, torch.from_numpy(sample.image).float())
        assert np.array_equal(batch["triangle"][i], sample.triangle) and batch["triangle"].dtype == torch.int64
        assert np.array_equal(batch["foreground"][i], sample.foreground) and batch["foreground"].dtype == torch.bool
        assert np.array_equal(batch["layer"][i], sample.layer)
        assert np.abs(batch["barycentric"][i].numpy() - sample.barycentric).max() <= 1 / 255 + 1e-6
        assert batch["facing"][i] == pytest.approx(sample.facing)
    assert batch["barycentric"].min() >= 0
    sums = batch["barycentric"].sum(-1)
    torch.testing.assert_close(sums, batch["foreground"].float())


def test_foreground_without_a_layer_and_layers_outside_are_put_right():
    sample = make_sample()
    sample.layer[0, 0] = 0  # the person's, without a layer
    outside = np.argwhere(~sample.foreground)[0]
    sample.layer[tuple(outside)] = 4  # a bystander's clothes
    batch = collate([sample])
    assert np.array_equal(batch["foreground"][0], sample.foreground)
    assert batch["layer"][0, 0, 0] == 1 and batch["layer"][0][tuple(outside)] == 0


def test_compact_is_eight_bytes_a_pixel_and_idempotent():
    small = compact(make_sample())
    assert sum(array.nbytes for array in small.values()) == 20 * 16 * 8 + 4
    assert compact(small) is small
    assert stack([small, make_sample(1)])["barycentric"].dtype == torch.uint8


def test_a_template_too_large_for_the_format_is_refused():
    sample = make_sample()
    sample.triangle[0, 0] = 40000
    with pytest.raises(ValueError, match="int16"):
        compact(sample)


def test_views_share_a_person_and_nothing_else():
    seeds = [seeds_of(i, seed=3, views_per_person=4) for i in range(12)]
    people = [person for person, *_ in seeds]
    assert people[:4] == [people[0]] * 4 and len(set(people)) == 3
    for stream in range(1, 4):
        assert len({s[stream] for s in seeds}) == 12
    assert seeds_of(5, 3, 4) == seeds[5] and seeds_of(5, 4, 4) != seeds[5]
    assert len(set(seeds[0])) == 4
    # frozen: shards on disk were made with these
    assert seeds_of(5, 1, 4) == (1639030180, 1886301330, 4192675621, 915253827)


def test_people_travel_to_workers():
    people = SyntheticPeople(seed=1, split="test")
    people._loaded = (lambda: None, None)
    copy = pickle.loads(pickle.dumps(people))
    assert copy._loaded is None and copy.split == "test" and people._loaded is not None
