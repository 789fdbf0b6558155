"""Resting hands: alike on both sides, fingers bent a little, everything else untouched."""

from __future__ import annotations

import numpy as np

from bodymap.people import Pack
from bodymap.people.hands import relaxed_hands
from bodymap.people.joints import vectors


def test_relaxed_hands_are_bent_and_alike() -> None:
    pack = Pack.load()
    straight = np.tile(np.eye(3), (len(pack.bones.labels), 1, 1))
    relaxed = relaxed_hands(straight, pack)
    labels = pack.bones.labels
    others = [k for k in range(len(labels)) if not labels[k].startswith("finger")]
    assert np.array_equal(relaxed[others], straight[others])
    assert np.array_equal(straight, np.tile(np.eye(3), (len(labels), 1, 1)))  # it was a copy
    for finger in "2345":
        for joint in "12":
            left, right = (np.linalg.norm(vectors(relaxed[labels.index(f"finger{finger}-{joint}.{s}")])) for s in "LR")
            assert 0.15 < left < 1.0
            assert abs(left - right) < 0.02
