"""The sixteen pictures of the reference: made twice they are equal to the byte, and their truth is the stored one's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bodymap.data.testset import reference_arrays, reference_samples
from bodymap.people import person

STORED = Path(__file__).with_name("reference.npz")


@pytest.fixture(scope="module")
def made():
    return reference_samples()


def test_made_again_they_are_the_same_bytes(made):
    person._cache.clear()  # and not only because the people were kept
    for first, second in zip(made, reference_samples(), strict=True):
        for field in ("image", "triangle", "barycentric", "part", "layer", "normal", "instance"):
            assert getattr(first, field).tobytes() == getattr(second, field).tobytes(), field


def test_their_truth_is_the_stored_one(made):
    """On any machine; who changes what the engine makes stores it anew (``bodymap.data.testset reference``)."""
    arrays = reference_arrays(made)
    with np.load(STORED) as stored:
        assert set(stored.files) == set(arrays)
        for name, expected in stored.items():
            assert (arrays[name] != expected).mean() < 1e-3, name
