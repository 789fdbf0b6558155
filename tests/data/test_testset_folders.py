"""Stored test sets: what is read back is what was made, and a stopped run goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bodymap.data import testset
from bodymap.data.testset import TEST_SETS, Frames, plan_sequences, stored_pictures, stored_sequences
from bodymap.errors import UserError
from bodymap.people import PeopleConfig
from bodymap.people.sequences import SEQUENCES


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "images"
    assert testset.main(["images", "-o", str(folder), "--count", "3", "--size", "48x40"]) == 0
    return folder


def test_pictures_are_those_that_evaluate_makes(pictures):
    counts = {}
    for which in TEST_SETS:
        stored = stored_pictures(pictures, which)
        counts[which.name] = len(stored)
        kept = stored.sample(0)
        config = PeopleConfig(size=(48, 40), covered=True)
        fresh = testset.draw_test_picture(which, 0, None, config)
        for field in ("image", "triangle", "barycentric", "layer", "normal", "covered_triangle", "covered_barycentric"):
            assert np.array_equal(getattr(kept, field), getattr(fresh, field)), field
        assert kept.seeds == fresh.seeds and kept.seeds[0] >= testset.FIRST_TEST_SEED
        assert kept.body["pieces"] == fresh.body["pieces"]
        # the body goes on under the clothes
        assert (kept.covered_triangle >= 0).sum() > 0.6 * kept.foreground.sum()
    assert counts == {"held_out_assets": 2, "new_combinations": 1}


def test_more_pictures_keep_the_first_ones(pictures, monkeypatch):
    # of each set one shard: the longer held-out set stays, the other one is made again
    made = []
    picture = testset.draw_test_picture
    monkeypatch.setattr(testset, "draw_test_picture", lambda *a: made.append(a[0].name) or picture(*a))
    testset.write_pictures(pictures, 4, (48, 40))
    assert made == ["new_combinations"] * 2
    assert json.loads((pictures / "testset.json").read_text())["sets"] == {"held_out_assets": 2, "new_combinations": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images", "--size", "64x40"], "another size"),
        (["sequences", "--size", "48x40"], "another kind"),
        (["images", "--size", "48x40", "--seed", "1"], "another seed"),
        (["images", "--pack", "nowhere.pack"], "does not exist"),
        (["sequences", "--frames", "3"], "at least 10"),
    ],
)
def test_mistakes_are_told(pictures, arguments, message):
    with pytest.raises(UserError, match=message):
        testset.main([arguments[0], "-o", str(pictures), *arguments[1:]])


def test_folders_of_something_else_are_told(pictures, tmp_path):
    with pytest.raises(UserError, match="holds no finished test set"):
        stored_pictures(tmp_path, TEST_SETS[0])
    with pytest.raises(UserError, match="a test set of images, not of sequences"):
        list(stored_sequences(pictures))
    (tmp_path / "testset.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        stored_pictures(tmp_path, TEST_SETS[0])


def test_plans_have_the_frames_asked_for():
    for frames in (10, 123, 1800, 18000):
        plan = plan_sequences(frames)
        assert sum(entry["frames"] for entry in plan) == frames
        assert {entry["name"] for entry in plan} == set(SEQUENCES)
        assert max(e["frames"] for e in plan) - min(e["frames"] for e in plan) <= 1
        assert len({entry["folder"] for entry in plan}) == len(plan)
    # the small set is the beginning of the full one
    assert plan_sequences(18000)[:10] == plan_sequences(1800)
    assert not {e["number"] for e in plan_sequences(18000, 1)} & {e["number"] for e in plan_sequences(18000)}


def test_sequences_are_stored_and_go_on(tmp_path, monkeypatch):
    def short(frames, seed):
        return [{**plan_sequences(10, seed)[0], "frames": frames}]

    monkeypatch.setattr(testset, "plan_sequences", short)
    monkeypatch.setattr(testset, "_FRAMES_A_SHARD", 2)
    for frames in (3, 4):
        testset.write_sequences(tmp_path / "s", frames, (48, 48))
        (stored,) = stored_sequences(tmp_path / "s")
        assert stored.name == "turn" and stored.split == "test" and len(stored.frames) == frames
    whole = (tmp_path / "s" / "turn_000" / "shard-000000.tar").stat().st_mtime_ns
    testset.write_sequences(tmp_path / "s", 4, (48, 48))
    assert (tmp_path / "s" / "turn_000" / "shard-000000.tar").stat().st_mtime_ns == whole
    fresh, kept = Frames("turn", 0, None, (48, 48))(3), stored.frames.sample(3)
    for field in ("image", "triangle", "covered_triangle"):
        assert np.array_equal(getattr(kept, field), getattr(fresh, field)), field
    assert kept.body["frame"] == 3
