"""The webdataset format: nothing is lost, the bytes are fixed, other programs read it, damage is named."""

from __future__ import annotations

import io
import json
import math
import tarfile
from dataclasses import fields, replace

import numpy as np
import pytest
from support.samples import make_sample

from bodymap.data.batch import stack
from bodymap.data.shards import ShardDataset, ShardSettings, shard_name, verify_shards, write_shards
from bodymap.data.shards.__main__ import main
from bodymap.errors import UserError
from bodymap.types import Camera

SETTINGS = ShardSettings(size=(20, 16), per_shard=4, format="webdataset")


def make(index):
    """A sample in which every field says something; every fourth shows nobody."""
    rng = np.random.default_rng(index)
    normal = rng.normal(size=(20, 16, 3)).astype(np.float32)
    return replace(
        make_sample(index),
        normal=normal,
        camera=Camera(rng.random((3, 3), np.float32), rng.random((4, 4), np.float32), (20, 16), -0.1 * rng.random()),
        facing=math.nan if index % 4 == 3 else float(rng.uniform(-3, 3)),
        body={
            "shape": rng.normal(size=64).astype(np.float32),
            "pieces": ("skin", f"shirt {index}"),
            "framing": "full",
            "nested": {"angle": 0.1 + index, "none": None, "ids": np.arange(3), "flag": True, "nan": math.nan},
        },
        seeds=(index, 2, 3, 2**32 - 1),
        covered_triangle=rng.integers(-1, 26756, (20, 16), dtype=np.int32) if index % 2 else None,
        covered_barycentric=rng.random((20, 16, 3), np.float32) if index % 2 else None,
    )


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and a == b


def same_sample(a, b):
    for field in fields(a):
        ours, theirs = getattr(a, field.name), getattr(b, field.name)
        if isinstance(ours, Camera):
            assert all(same(getattr(ours, f.name), getattr(theirs, f.name)) for f in fields(ours))
        else:
            assert same(ours, theirs), field.name


def test_the_full_truth_survives_to_the_bit(tmp_path):
    write_shards(make, 10, tmp_path, SETTINGS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "index.json",
        *(f"shard-00000{number}.tar" for number in range(3)),
    ]
    data = ShardDataset(tmp_path, verify=True)
    assert len(data) == 10 and data.settings == SETTINGS
    for index in (9, 0, 3, 5):
        same_sample(make(index), data.sample(index))
    with pytest.raises(IndexError):
        data.sample(10)


def test_people_of_the_engine_survive_too(tmp_path):
    from bodymap.data.synthetic import SyntheticPeople

    people = SyntheticPeople(size=(64, 48), seed=5, options={"covered": True})
    write_shards(people.sample, 4, tmp_path, replace(SETTINGS, size=(64, 48)))
    data = ShardDataset(tmp_path)
    found = [data.sample(index) for index in range(4)]
    for index, sample in enumerate(found):
        same_sample(people.sample(index), sample)
    # the bare body under the clothes is there wherever somebody is
    assert any(sample.covered_triangle is not None for sample in found)


def test_both_formats_train_alike(tmp_path):
    write_shards(make, 10, tmp_path / "tar", SETTINGS)
    write_shards(make, 10, tmp_path / "arrays", replace(SETTINGS, format="safetensors"))
    tar, arrays = ShardDataset(tmp_path / "tar"), ShardDataset(tmp_path / "arrays")
    ours, theirs = (stack([data[index] for index in (7, 1, 9)]) for data in (tar, arrays))
    assert set(ours) == set(theirs)
    assert all(ours[name].numpy().tobytes() == theirs[name].numpy().tobytes() for name in ours)
    with pytest.raises(UserError, match="compact samples; make full ones with --format webdataset"):
        arrays.sample(0)


def test_bytes_are_fixed_and_two_processes_make_the_same(tmp_path):
    write_shards(make_sample, 10, tmp_path / "one", SETTINGS)
    write_shards(make_sample, 10, tmp_path / "two", SETTINGS, workers=2)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    with tarfile.open(tmp_path / "one" / shard_name(1, "webdataset")) as archive:
        members = archive.getmembers()
    assert [m.name for m in members[:3]] == ["00000004.image.png", "00000004.json", "00000004.truth.npz"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}


def test_plain_tools_read_it(tmp_path):
    """tarfile, PIL, json and numpy, knowing nothing of this project."""
    from PIL import Image

    write_shards(make, 3, tmp_path, SETTINGS)
    with tarfile.open(tmp_path / "shard-000000.tar") as archive:
        read = {m.name: archive.extractfile(m).read() for m in archive}
    record = json.loads(read["00000002.json"], parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert record["key"] == "00000002" and record["seeds"][0] == 2 and record["body"]["pieces"][1] == "shirt 2"
    truth = np.load(io.BytesIO(read["00000002.truth.npz"]))
    expected = make(2)
    assert {"foreground", "triangle", "barycentric", "part", "layer", "normal", "instance"} <= set(truth.files)
    assert np.array_equal(truth["triangle"], expected.triangle)
    assert np.array_equal(truth["body/shape"], expected.body["shape"])
    np.testing.assert_array_equal(record["camera"]["intrinsics"], expected.camera.intrinsics.astype(float))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(read["00000002.image.png"]))), expected.image)


def test_the_webdataset_package_reads_it(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    write_shards(make, 6, tmp_path, SETTINGS)
    pattern = str(tmp_path / "shard-{000000..000001}.tar")
    items = list(webdataset.WebDataset(pattern, shardshuffle=False).decode("rgb8"))
    assert [item["__key__"] for item in items] == [f"{index:08d}" for index in range(6)]
    for index, item in enumerate(items):
        assert np.array_equal(item["image.png"], make(index).image) and item["json"]["index"] == index
        assert np.array_equal(item["truth.npz"]["barycentric"], make(index).barycentric)


def test_resumes_and_repairs(tmp_path):
    write_shards(make, 10, tmp_path, SETTINGS)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    made = []

    def counting(index):
        made.append(index)
        return make(index)

    damaged = bytearray(whole["shard-000001.tar"])
    damaged[1000] ^= 1
    (tmp_path / "shard-000001.tar").write_bytes(damaged)
    (tmp_path / ".shard-000002-killed.tar").write_bytes(b"half")
    (tmp_path / ".index-killed.json").write_bytes(b"half")
    write_shards(counting, 10, tmp_path, SETTINGS)
    assert made == [4, 5, 6, 7]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole


def test_an_error_while_a_shard_is_made_leaves_nothing_half(tmp_path):
    def failing(index):
        if index == 6:
            raise RuntimeError("no person")
        return make(index)

    with pytest.raises(RuntimeError):
        write_shards(failing, 10, tmp_path, SETTINGS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "shard-000000.tar"]


def test_verify_names_what_is_damaged(tmp_path, capsys):
    folder = str(tmp_path)
    write_shards(make, 10, tmp_path, SETTINGS)
    assert main(["--verify", "-o", folder]) == 0 and "3 shards, 10 samples, all whole" in capsys.readouterr().out
    assert verify_shards(tmp_path) == (3, 10)
    content = bytearray((tmp_path / "shard-000001.tar").read_bytes())
    content[3000] ^= 1
    (tmp_path / "shard-000001.tar").write_bytes(content)
    (tmp_path / "shard-000002.tar").unlink()
    says = r"shard-000001.tar is damaged \(its checksum is another\); .*shard-000002.tar is missing; run python -m"
    with pytest.raises(UserError, match=says):
        main(["--verify", "-o", folder])
    with pytest.raises(UserError, match="holds no shards"):
        main(["--verify", "-o", str(tmp_path / "nowhere")])


def test_damage_is_named_when_it_is_read(tmp_path):
    write_shards(make, 4, tmp_path, SETTINGS)
    file = tmp_path / "shard-000000.tar"
    content = file.read_bytes()
    with tarfile.open(file) as archive:
        members = {m.name: m for m in archive}
    for ending in ("image.png", "json", "truth.npz"):
        member = members[f"00000002.{ending}"]
        middle = member.offset_data + member.size // 2
        file.write_bytes(content[:middle] + b"\0" * 20 + content[middle + 20 :])
        data = ShardDataset(tmp_path)
        same_sample(make(1), data.sample(1))
        with pytest.raises(UserError, match=r"shard-000000.tar \(sample 2: .*\) is damaged"):
            data[2]
    file.write_bytes(b"\xff" * len(content))
    with pytest.raises(UserError, match=r"shard-000000.tar .* is damaged; run python -m bodymap.data.shards again"):
        ShardDataset(tmp_path)[0]
    file.write_bytes(content[:1536].ljust(len(content), b"\0"))  # an archive of fewer members
    with pytest.raises(UserError, match="does not hold 4 samples"):
        ShardDataset(tmp_path)[0]


def test_formats_do_not_mix_and_old_folders_go_on(tmp_path):
    write_shards(make, 4, tmp_path / "tar", SETTINGS)
    with pytest.raises(UserError, match="shards with format webdataset, not safetensors"):
        write_shards(make, 4, tmp_path / "tar", replace(SETTINGS, format="safetensors"))
    old = tmp_path / "old"
    write_shards(make, 4, old, replace(SETTINGS, format="safetensors"))
    index = json.loads((old / "index.json").read_text())
    del index["settings"]["format"]  # as before there was a choice
    (old / "index.json").write_text(json.dumps(index))
    assert len(ShardDataset(old)) == 4
    write_shards(make, 8, old, replace(SETTINGS, format="safetensors"))
    assert len(ShardDataset(old, verify=True)) == 8
    index["settings"]["format"] = "zip"
    (old / "index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="not an index that this version"):
        ShardDataset(old)


def test_what_cannot_be_stored_is_refused(tmp_path):
    with pytest.raises(TypeError, match="body/odd is a set"):
        write_shards(lambda index: replace(make(index), body={"odd": {1}}), 1, tmp_path, SETTINGS)
