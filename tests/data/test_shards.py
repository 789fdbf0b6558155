"""Shards: stopped and continued, damaged and repaired, read while they grow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.samples import make_compact as make
from support.samples import make_sample

from bodymap.data.batch import stack
from bodymap.data.shards import ShardDataset, ShardSettings, read_index, shard_name, write_shards
from bodymap.data.shards.__main__ import main
from bodymap.errors import UserError

SETTINGS = ShardSettings(size=(20, 16), per_shard=4)
ROOT = Path(__file__).parents[2]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("workers", [1, 2])
def test_round_trip(tmp_path, workers):
    lines = []
    write_shards(make, 10, tmp_path, SETTINGS, workers, say=lines.append)
    assert sorted(files(tmp_path)) == ["index.json", *(shard_name(n) for n in range(3))]
    assert len(lines) == 3 and "10 of 10 samples" in lines[-1]
    data = ShardDataset(tmp_path, verify=True)
    assert len(data) == 10 and data.settings == SETTINGS
    for i in (9, 0, 5):
        for name, value in make(i).items():
            assert np.array_equal(data[i][name], value) and data[i][name].dtype == value.dtype
    with pytest.raises(IndexError):
        data[10]
    assert stack([data[1], data[7]])["image"].shape == (2, 20, 16, 3)


def test_arrays_that_lie_otherwise_in_memory_come_back(tmp_path):
    plane = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(3, 2, 4)
    write_shards(lambda index: {"map": (plane + index).transpose(1, 2, 0)}, 2, tmp_path, ShardSettings(per_shard=2))
    assert np.array_equal(ShardDataset(tmp_path)[1]["map"], (plane + 1).transpose(1, 2, 0))


def test_finished_shards_are_kept_and_damaged_ones_made_again(tmp_path):
    write_shards(make, 10, tmp_path, SETTINGS)
    whole = files(tmp_path)
    made = []

    def counting(index):
        made.append(index)
        return make(index)

    write_shards(counting, 10, tmp_path, SETTINGS)
    assert made == []
    middle = tmp_path / shard_name(1)
    middle.write_bytes(middle.read_bytes()[:-1] + b"x")  # the same size, other bytes
    (tmp_path / shard_name(2)).unlink()
    write_shards(counting, 10, tmp_path, SETTINGS)
    assert made == [4, 5, 6, 7, 8, 9] and files(tmp_path) == whole
    # a longer set keeps what is there; the short last shard is filled up
    made.clear()
    write_shards(counting, 14, tmp_path, SETTINGS)
    assert made == [8, 9, 10, 11, 12, 13] and len(ShardDataset(tmp_path, verify=True)) == 14


CHILD = """
import sys, time
from support.samples import make_sample
from bodymap.data.shards import ShardSettings, write_shards
def slow(index):
    time.sleep(0.05)
    return make_sample(index)
write_shards(slow, 40, {folder!r}, ShardSettings(size=(20, 16), per_shard=4, format={format!r}))
"""


@pytest.mark.parametrize(
    ("number", "format"),
    [(signal.SIGKILL, "safetensors"), (signal.SIGTERM, "safetensors"), (signal.SIGKILL, "webdataset")],
)
def test_killed_and_continued_gives_the_same_bytes(tmp_path, number, format):
    settings = ShardSettings(size=(20, 16), per_shard=4, format=format)
    folder = tmp_path / "killed"
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    code = CHILD.format(folder=str(folder), format=format)
    child = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})
    deadline = time.monotonic() + 30
    while not (folder / "index.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    child.send_signal(number)
    child.wait()
    count = len(ShardDataset(folder, verify=True))  # what is there is whole
    assert 0 < count < 40
    (folder / ".shard-00009-abc.safetensors").write_bytes(b"half")
    write_shards(make_sample, 40, folder, settings)
    write_shards(make_sample, 40, tmp_path / "straight", settings)
    ours, theirs = files(folder), files(tmp_path / "straight")
    assert ours == theirs


def test_grows_while_it_is_read(tmp_path):
    write_shards(make, 4, tmp_path, SETTINGS)
    data = ShardDataset(tmp_path)
    reader = ShardDataset(tmp_path)  # as in a worker: nobody tells it
    first = {name: value.copy() for name, value in data[3].items()}
    write_shards(make, 12, tmp_path, SETTINGS)
    assert len(data) == 4 and data.refresh() == 12
    assert np.array_equal(reader[11]["image"], make(11)["image"])
    assert all(np.array_equal(data[3][name], value) for name, value in first.items())
    # only an unbroken row of shards counts, so that indices keep their meaning
    write_shards(make, 24, tmp_path, SETTINGS)
    text = (tmp_path / "index.json").read_text().replace('"4": {', '"40": {')
    (tmp_path / "index.json").write_text(text)
    assert len(ShardDataset(tmp_path)) == 16 and data.refresh() == 16


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match="holds no shards"):
        ShardDataset(tmp_path)
    write_shards(make, 8, tmp_path, SETTINGS)
    with pytest.raises(UserError, match="shards with seed 0, not 1"):
        write_shards(make, 8, tmp_path, ShardSettings(size=(20, 16), per_shard=4, seed=1))
    with pytest.raises(UserError, match=r"shards with size \[20, 16\]"):
        write_shards(make, 8, tmp_path, ShardSettings(size=(24, 16), per_shard=4))
    file = tmp_path / shard_name(1)
    content = file.read_bytes()
    file.write_bytes(content[:-5])
    with pytest.raises(UserError, match=rf"{shard_name(1)} has {len(content) - 5} bytes instead of {len(content)}"):
        ShardDataset(tmp_path)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert len(ShardDataset(tmp_path)) == 8
    with pytest.raises(UserError, match=f"{shard_name(1)} is damaged"):
        ShardDataset(tmp_path, verify=True)
    file.write_bytes(b"\xff" * len(content))
    with pytest.raises(UserError, match="is damaged"):
        ShardDataset(tmp_path)[5]
    file.unlink()
    with pytest.raises(UserError, match=f"{shard_name(1)} is missing"):
        ShardDataset(tmp_path)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(UserError, match="index.json is damaged"):
        read_index(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "--count must be at least 1"),
        (["--count", "3", "--size", "8", "8"], "--size"),
        (["--count", "3", "--pack", "nowhere.pack"], "nowhere.pack does not exist"),
        (["--count", "3", "--seed", "-1"], "--seed"),
    ],
)
def test_the_command_refuses_at_once(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        main([*arguments, "-o", str(tmp_path / "out")])


def test_the_command_writes_people(tmp_path, monkeypatch):
    from bodymap.data import synthetic

    monkeypatch.setattr(synthetic.SyntheticPeople, "sample", lambda self, index: make_sample(index, self.size))
    main(["--count", "5", "--seed", "2", "-o", str(tmp_path / "out"), "--size", "24", "16", "--per-shard", "4"])
    data = ShardDataset(tmp_path / "out")
    assert len(data) == 5 and data.settings.seed == 2 and data[0]["image"].shape == (24, 16, 3)
