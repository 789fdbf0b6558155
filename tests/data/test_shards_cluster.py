"""Shards made through Ray: the bytes of one process, failed tasks again, mistakes named. Skipped without Ray."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.samples import make_sample

from bodymap.data.shards import ShardDataset, ShardSettings, verify_shards, write_shards
from bodymap.data.shards.__main__ import main
from bodymap.data.shards.cluster import Cluster
from bodymap.errors import UserError

SETTINGS = ShardSettings(size=(20, 16), per_shard=4, format="webdataset")


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"needs Ray; pip install bodymap\[cluster\]"):
        main(["--count", "3", "-o", str(tmp_path / "out"), "--ray", "local"])


@pytest.fixture(scope="module")
def ray():
    """A local cluster of two processes for all tests; the driver finds it started."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(str(Path(__file__).parents[n]) for n in (2, 1)))
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        yield ray
        ray.shutdown()


@pytest.mark.parametrize("format", ["safetensors", "webdataset"])
def test_the_bytes_are_those_of_one_process(tmp_path, ray, format):
    settings = ShardSettings(size=(20, 16), per_shard=4, format=format)
    lines = []
    write_shards(make_sample, 10, tmp_path / "ray", settings, say=lines.append, cluster=Cluster())
    write_shards(make_sample, 10, tmp_path / "one", settings)
    assert files(tmp_path / "ray") == files(tmp_path / "one")
    assert len(lines) == 3 and "10 of 10 samples" in lines[-1]
    # goes on where it was: nothing is left to do, then one
    lines.clear()
    write_shards(make_sample, 10, tmp_path / "ray", settings, say=lines.append, cluster=Cluster())
    assert lines == ["3 of 3 shards are there already"]
    next((tmp_path / "ray").glob("shard-*1.*")).unlink()
    write_shards(make_sample, 10, tmp_path / "ray", settings, say=lines.append, cluster=Cluster())
    assert "2 of 3 shards are there already" in lines and files(tmp_path / "ray") == files(tmp_path / "one")


class Stumbling:
    """Fails at sample 5 until it has failed ``times`` times; ``how`` it fails."""

    def __init__(self, folder, times, how):
        self.folder, self.times, self.how = folder, times, how

    def __call__(self, index):
        if index == 5 and len(list(self.folder.glob("failed*"))) < self.times:
            (self.folder / f"failed-{os.urandom(8).hex()}").touch()
            if self.how == "killed":
                os._exit(1)
            raise MemoryError("too little memory")
        return make_sample(index)


@pytest.mark.parametrize("how", ["raises", "killed"])
def test_failed_tasks_are_tried_again(tmp_path, ray, how):
    (tmp_path / "state").mkdir()
    lines = []
    make = Stumbling(tmp_path / "state", 2, how)
    write_shards(make, 10, tmp_path / "ray", SETTINGS, say=lines.append, cluster=Cluster())
    write_shards(make_sample, 10, tmp_path / "one", SETTINGS)
    assert sum("shard-000001.tar failed" in line for line in lines) == 2
    assert verify_shards(tmp_path / "ray") == (3, 10) and len(ShardDataset(tmp_path / "ray")) == 10
    for name, content in files(tmp_path / "one").items():
        assert (tmp_path / "ray" / name).read_bytes() == content


def test_what_fails_for_good_is_named_and_the_rest_kept(tmp_path, ray):
    (tmp_path / "state").mkdir()
    make = Stumbling(tmp_path / "state", 99, "raises")
    with pytest.raises(UserError, match=r"shard-000001.tar failed 2 times \(MemoryError: too little memory\)"):
        write_shards(make, 20, tmp_path / "ray", SETTINGS, cluster=Cluster(attempts=2))
    assert 0 < len(verify_shards(tmp_path / "ray")) and (tmp_path / "ray" / "shard-000000.tar").is_file()


def test_a_machine_without_the_pack_is_named(tmp_path, ray):
    pack = tmp_path / "people.pack"
    with pytest.raises(UserError, match="has no .*people.pack; every machine must have the pack"):
        write_shards(make_sample, 4, tmp_path / "out", SETTINGS, cluster=Cluster(files={str(pack): "0" * 64}))
    pack.write_bytes(b"another")
    with pytest.raises(UserError, match="people.pack on .* is another file than here"):
        write_shards(make_sample, 4, tmp_path / "out", SETTINGS, cluster=Cluster(files={str(pack): "0" * 64}))


def test_no_cluster_at_an_address(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(UserError, match="There is no Ray cluster at 127.0.0.1:9 .*ray start --head"):
        write_shards(make_sample, 4, tmp_path, SETTINGS, cluster=Cluster("127.0.0.1:9"))
