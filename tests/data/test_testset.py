"""Stored test sets: the reference of the truth, smooth sequences, folders that go on where they stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bodymap.data import testset
from bodymap.errors import UserError
from bodymap.evaluation.sequences import frame_pairs
from bodymap.people import Pack, PeopleConfig
from bodymap.people.sequences import SEQUENCES, Sequence

REFERENCE = Path(__file__).parents[1] / "people" / "reference.npz"


@pytest.fixture(scope="module")
def pack() -> Pack:
    return Pack.load(None)


def test_the_truth_is_that_of_the_reference() -> None:
    made = testset.reference_arrays(testset.reference_samples())
    again = testset.reference_arrays(testset.reference_samples())
    with np.load(REFERENCE, allow_pickle=False) as stored:
        for name in testset.REFERENCE_FIELDS:
            assert made[name].tobytes() == again[name].tobytes(), name
            # other processors round otherwise: 0.1 % of the pixels may differ
            assert (made[name] != stored[name]).mean() < 0.001, name


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_sequences_move_smoothly(name: str, pack: Pack) -> None:
    sequence = Sequence(name, 0, pack, PeopleConfig(size=(64, 64)))
    shots = [sequence.shot(frame) for frame in (30, 31, 32)]
    placed = [np.asarray(shot.take.actors[0].bones)[:, :, 3] for shot in shots]
    step, next_step = (np.linalg.norm(b - a, axis=1).max() for a, b in zip(placed, placed[1:], strict=False))
    # nothing jumps: a thirtieth of a second moves no bone's origin by 35 cm (the far ends of turning limbs' frames)
    assert max(step, next_step) < 0.35
    light = [shot.take.light.irradiance.tobytes() for shot in shots]
    assert len(set(light)) == 1 and len({shot.faults.seed for shot in shots}) == 3


def test_a_sequence_is_its_numbers(pack: Pack) -> None:
    config = PeopleConfig(size=(48, 48))
    first, again = (Sequence("turn", 1, pack, config).sample(5) for _ in range(2))
    assert first.image.tobytes() == again.image.tobytes() and (first.triangle == again.triangle).all()
    assert (Sequence("turn", 2, pack, config).sample(5).image != first.image).any()


def test_folders_are_finished_read_and_guarded(tmp_path: Path) -> None:
    testset.main(["images", "-o", str(tmp_path / "a"), "--count", "3", "--size", "64x48"])
    sets = [testset.stored_pictures(tmp_path / "a", which) for which in testset.TEST_SETS]
    assert [len(s) for s in sets] == [2, 1]
    wanted = testset.draw_test_picture(testset.TEST_SETS[0], 1, None, PeopleConfig(size=(64, 48), covered=True))
    stored = sets[0].sample(1)
    assert (stored.image == wanted.image).all() and (stored.covered_triangle == wanted.covered_triangle).all()
    with pytest.raises(UserError, match="another size"):
        testset.main(["images", "-o", str(tmp_path / "a"), "--count", "3", "--size", "64x64"])
    with pytest.raises(UserError, match="no finished test set"):
        testset.stored_pictures(tmp_path / "b", testset.TEST_SETS[0])
    with pytest.raises(UserError, match="at least"):
        testset.main(["sequences", "-o", str(tmp_path / "c"), "--frames", "3"])


def test_frame_pairs() -> None:
    pairs = list(frame_pairs(30, 10, (1, 12)))
    assert (0, 1) in pairs and (10, 22) in pairs and all(b < 30 for _, b in pairs)
