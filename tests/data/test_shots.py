"""People photographed by the training process: the same pictures as those that workers take, whoever directs them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bodymap.data.batch import collate
from bodymap.data.shards import ShardDataset, ShardSettings, write_shards
from bodymap.data.synthetic import Darkroom, Shots, SyntheticPeople
from bodymap.people.film.cargo import load, unload
from bodymap.training.loader import Loader

SIZE = (64, 48)


@pytest.fixture(scope="module")
def people() -> SyntheticPeople:
    return SyntheticPeople(size=SIZE, seed=5, views_per_person=2)


def test_cargo_arrives_as_it_left(people: SyntheticPeople) -> None:
    pack, _ = people.load()
    shots = [people.shot(index) for index in range(4)]
    cargo = load(shots, pack)
    assert len(cargo.meshes) < sum(len(shot.take.actors) for shot in shots)  # views of a person share its mesh
    for sent, arrived in zip(shots, unload(cargo, pack), strict=True):
        for a, b in zip(sent.take.actors, arrived.take.actors, strict=True):
            for name in ("vertices", "index", "weight", "triangles", "uv", "truth", "piece"):
                assert torch.equal(getattr(a.mesh, name), getattr(b.mesh, name)), name
            for m, n in zip(a.mesh.materials, b.mesh.materials, strict=True):
                assert (m.texture is None) == (n.texture is None)
                assert m.texture is None or (m.texture == n.texture).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_device_takes_the_pictures_that_workers_take(people: SyntheticPeople, workers: int) -> None:
    shots = Shots(people)
    loader = Loader(shots, shots.collate, batch_size=4, workers=workers, finish=shots.finish)
    batches = loader.batches(4, 0, 1, torch.device("cpu"))
    batch = next(batches)
    batches.close()
    wanted = collate([people.sample(index) for index in range(4, 8)])
    assert batch["slot"].tolist() == [4, 5, 6, 7]
    assert (batch["triangle"] == wanted["triangle"]).float().mean() > 0.9999
    assert torch.equal(batch["layer"], wanted["layer"].long())
    assert float((batch["image"] - wanted["image"]).abs().max()) < 0.02
    assert np.allclose(batch["facing"].numpy(), wanted["facing"].numpy(), equal_nan=True)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_darkroom_takes_them_too(people: SyntheticPeople, device: str, tmp_path) -> None:
    make = Darkroom(people, device)
    wanted = [people.sample(index) for index in range(2, 6)]
    for mine, theirs in zip(make.many(range(2, 6)), wanted, strict=True):
        assert mine.seeds == theirs.seeds
        assert (mine.triangle == theirs.triangle).mean() > 0.999
        # each device has noise of its own
        assert np.abs(mine.image.mean((0, 1)) - theirs.image.mean((0, 1))).max() < 1
    write_shards(make, 4, tmp_path, ShardSettings(size=SIZE, per_shard=3, device=device))
    assert (ShardDataset(tmp_path)[3]["triangle"] == collate([make(3)])["triangle"][0].numpy()).all()
