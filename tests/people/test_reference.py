"""The sixteen pictures of the reference, made again from nothing, are equal to the byte (truth: test_testset.py)."""

from __future__ import annotations

from bodymap.data.testset import reference_samples
from bodymap.people import person


def test_made_again_they_are_the_same_bytes():
    made = reference_samples()
    person._cache.clear()  # and not only because the people were kept
    for first, second in zip(made, reference_samples(), strict=True):
        for field in ("image", "triangle", "barycentric", "part", "layer", "normal", "instance"):
            assert getattr(first, field).tobytes() == getattr(second, field).tobytes(), field
