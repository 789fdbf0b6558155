"""Folders of pictures: in order, in bounded memory, past bad files, on from where it was; here and through Ray."""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from support.working import Counting

from bodymap.batch import Item, done_already, gather, read_ahead, work_through
from bodymap.cluster import map_items
from bodymap.errors import UserError


def write(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_a_folder_in_order_with_its_subfolders(tmp_path):
    photos = write(tmp_path / "photos", b=b"1", a=b"2", sub__c=b"3", out__d=b"4")
    (photos / ".hidden.jpg").write_bytes(b"5")
    (photos / "notes.txt").write_bytes(b"6")
    (photos / "loop").symlink_to(photos, target_is_directory=True)
    items = gather([photos, tmp_path / "single.tiff"], photos / "out")
    assert [item.stem for item in items] == ["a", "b", "sub/c", "single"]
    assert items[2].path == photos / "sub" / "c.jpg"


def test_folders_that_cannot_be_mapped(tmp_path):
    with pytest.raises(UserError, match="There are no photos in"):
        gather([tmp_path], tmp_path / "out")
    write(tmp_path, a=b"1")
    with pytest.raises(UserError, match="among the photos"):
        gather([tmp_path], tmp_path / "x" / "..")


def test_bad_files_are_passed_over(tmp_path, capsys):
    photos = write(tmp_path / "photos", a=b"1", b=b"bad", c=b"huge", d=b"22")
    out = tmp_path / "out"
    items = gather([photos], out)
    assert work_through(items, partial(Counting, out)) == 1
    assert [path.name for path in sorted(out.iterdir())] == ["a.txt", "d.txt"]
    told = capsys.readouterr()
    assert "b.jpg is bad." in told.err and "c.jpg needs more memory than there is" in told.err
    assert "2 of 4 mapped, 2 failed" in told.err and told.out.count("->") == 2
    # and on from there
    (photos / "b.jpg").write_bytes(b"333")
    done = done_already(items, out, (".txt",))
    assert {item.stem for item in done} == {"a", "d"}
    assert work_through([item for item in items if item not in done], partial(Counting, out), len(done)) == 1
    assert (out / "b.txt").read_text() == "3" and "2 were there already" in capsys.readouterr().err


def test_one_picture_waits_and_no_more(tmp_path):
    items = [Item(path, path.stem) for path in sorted(write(tmp_path, **{f"p{k}": b"x" for k in range(9)}).iterdir())]
    work = Counting(tmp_path / "out")
    for item, picture in read_ahead(work, items):
        time.sleep(0.02)
        work.do(item, picture)
    # in use, waiting, being read
    assert 2 <= work.most <= 3 and len(list((tmp_path / "out").iterdir())) == 9


def test_reading_ends_when_nobody_listens(tmp_path):
    items = [Item(path, path.stem) for path in write(tmp_path, **{f"p{k}": b"x" for k in range(9)}).iterdir()]
    pictures = read_ahead(Counting(tmp_path), items)
    next(pictures)
    pictures.close()
    assert not any(thread.name == "read_ahead" for thread in threading.enumerate())


def test_a_fault_of_ours_is_not_hidden(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(read_ahead(Counting(tmp_path), [Item(tmp_path / "nothing.jpg", "nothing")]))


# ---------------------------------------------------------------------------------------------------------------- Ray
def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"Mapping on several machines needs Ray; pip install bodymap\[cluster\]"):
        list(map_items([Item(tmp_path, "a")], partial(Counting, tmp_path), tmp_path, (".txt",), "local", 1, False))


@pytest.fixture(scope="module")
def ray():
    """A local cluster of two processes for all tests; the driver finds it started."""
    pytest.importorskip("pyarrow")  # of Ray Data
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(str(Path(__file__).parents[n]) for n in (1, 0)))
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        yield ray
        ray.shutdown()


def test_through_ray(tmp_path, ray, capsys):
    photos = write(tmp_path / "photos", **{f"p{k}": b"x" * k for k in range(1, 8)}, bad=b"bad", huge=b"huge")
    out = tmp_path / "out"
    items = gather([photos], out)
    make = partial(Counting, out)
    assert work_through(items, make, 0, map_items(items, make, out, (".txt",), "local", 2, False)) == 1
    assert {path.stem: path.read_text() for path in out.iterdir()} == {f"p{k}": str(k) for k in range(1, 8)}
    told = capsys.readouterr()
    assert "bad.jpg is bad." in told.err and "huge.jpg needs more memory" in told.err
    assert "7 of 9 mapped, 2 failed" in told.err and told.out.count("->") == 7


def test_a_process_that_keeps_dying_is_told(tmp_path, ray):
    items = gather([write(tmp_path / "photos", a=b"1", z=b"die")], tmp_path)
    with pytest.raises(UserError, match="failed for good .*--resume goes on"):
        list(map_items(items, partial(Counting, tmp_path / "out"), tmp_path / "out", (".txt",), "local", 1, False))


def test_a_machine_that_does_not_share_the_folder(tmp_path, ray):
    items = gather([write(tmp_path / "photos", a=b"1")], tmp_path)
    with pytest.raises(UserError, match="all machines must share it"):
        list(map_items(items, partial(Counting, tmp_path / "there"), tmp_path / "here", (".txt",), "local", 1, False))
