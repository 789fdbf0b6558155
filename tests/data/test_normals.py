"""Normals beside shards: made again from the folder's settings, and turned with the pictures."""

import numpy as np
import pytest
import torch

from bodymap.data.augment import Augment
from bodymap.data.batch import expand, stack
from bodymap.data.mirror import flip_batch
from bodymap.data.normals import WithNormals, write_normals
from bodymap.data.settings import no_augmentation
from bodymap.data.shards import ShardSettings, write_shards
from bodymap.data.synthetic import SyntheticPeople
from bodymap.errors import UserError
from bodymap.surface import load_template

SIZE = (64, 64)


@pytest.fixture(scope="module")
def people():
    return SyntheticPeople(None, SIZE, seed=3, views_per_person=2)


@pytest.fixture(scope="module")
def folders(people, tmp_path_factory):
    """Two people twice: compact and in full."""
    root = tmp_path_factory.mktemp("normals")
    for format in ("safetensors", "webdataset"):
        write_shards(people.sample, 2, root / format, ShardSettings("", 3, SIZE, 2, format=format))
        write_normals(root / format, None, root / f"{format}_normals")
    return root


def test_the_normals_are_those_of_the_pictures(people, folders):
    for format in ("safetensors", "webdataset"):
        both = WithNormals(folders / format, folders / f"{format}_normals")
        assert len(both) == 2
        for index in range(2):
            sample, item = people.sample(index), both[index]
            assert np.array_equal(item["image"], sample.image)
            assert np.abs(item["normal"] / 127 - sample.normal).max() <= 0.5 / 127 + 1e-6
    normal = expand(stack([both[0]]))["normal"][0].numpy()
    length = np.linalg.norm(normal, axis=-1)
    assert sample.foreground.any() and np.allclose(length[people.sample(0).foreground], 1, atol=0.01)


def test_pictures_that_are_not_made_again_are_refused(people, folders, tmp_path):
    write_shards(people.sample, 2, tmp_path / "other", ShardSettings("", 4, SIZE, 2))  # not the seed that it was
    with pytest.raises(UserError, match="picture 0 is not what this version makes"):
        write_normals(tmp_path / "other", None, tmp_path / "normals")
    write_shards(people.sample, 2, tmp_path / "pack", ShardSettings("0" * 64, 3, SIZE, 2))
    with pytest.raises(UserError, match="--pack"):
        write_normals(tmp_path / "pack", None, tmp_path / "normals")
    write_shards(people.sample, 1, tmp_path / "fewer", ShardSettings("", 3, SIZE, 2))
    write_normals(tmp_path / "fewer", None, tmp_path / "some")
    with pytest.raises(UserError, match="1 of 2"):
        WithNormals(folders / "safetensors", tmp_path / "some")


def test_normals_turn_and_mirror_with_the_picture():
    """The picture is a ball; whatever is done to it, what it shows is still a ball with the normals of a ball."""
    from dataclasses import replace

    size = (64, 64)
    y, x = (np.mgrid[:64, :64] + 0.5 - 32) / 28
    inside = x**2 + y**2 < 1
    # lopsided, so that a wrong turn shows: red tells x, green y
    ball = np.stack([x, y, -np.sqrt(np.maximum(1 - x**2 - y**2, 0))], -1) * inside[..., None]
    batch = {
        "image": torch.from_numpy(ball * 0.5 + 0.5).permute(2, 0, 1)[None].float().repeat(16, 1, 1, 1),
        "triangle": torch.from_numpy(np.where(inside, 7, -1))[None].repeat(16, 1, 1),
        "barycentric": torch.from_numpy(np.stack([inside, 0 * x, 0 * x], -1)).float()[None].repeat(16, 1, 1, 1),
        "layer": torch.from_numpy(inside * 1)[None].repeat(16, 1, 1),
        "normal": torch.from_numpy(np.rint(127 * ball).astype(np.int8))[None].repeat(16, 1, 1, 1),
    }
    config = replace(no_augmentation(size), turn_share=1.0, flip_share=0.5)
    turned = Augment(config, load_template())(batch, torch.arange(16))
    place = torch.from_numpy(np.stack([x, y], -1)).float()
    sure = torch.from_numpy(x**2 + y**2 < 0.8)
    # where a normal points says where on the ball it is, whichever way the picture was turned
    assert (turned["normal"][:, sure][..., :2] - place[sure]).abs().max() < 0.06
    red = (turned["image"][:, 0] * 2 - 1)[:, sure]
    assert (red - place[sure][:, 0]).abs().amax(1).median() > 0.3  # and they were turned
    assert (turned["normal"][~turned["foreground"]] == 0).all()

    flipped = flip_batch(expand(batch), load_template())
    assert (flipped["normal"][:, sure][..., :2] - place[sure]).abs().max() < 0.03
