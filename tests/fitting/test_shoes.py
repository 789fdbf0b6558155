"""Feet in shoes: the form spans the toes, has a flat sole, and is worn only by whoever wears shoes."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import ConvexHull

from bodymap.fitting.shoes import shoe_form, wears_shoes
from bodymap.people.anatomy import template
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.wardrobe import Wardrobe
from bodymap.rendering import rasterize
from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence


def test_the_form_spans_the_toes_and_stands_on_a_flat_sole() -> None:
    pack = Pack.load()
    anatomy = Wardrobe.of(pack).anatomy
    displacement, weight = shoe_form(pack)
    bare = anatomy.rest[:SKIN_VERTICES]
    shod = bare + displacement
    assert np.allclose(displacement[weight == 0], 0, atol=0.003)  # smoothing reaches a ring further
    for side in (True, False):
        foot = np.flatnonzero(anatomy.is_group("foot")[:SKIN_VERTICES] & (anatomy.left[:SKIN_VERTICES] == side))
        assert np.linalg.norm(displacement[foot], axis=1).max() < 0.045
        ground = shod[foot, 2].min()
        assert 0.010 < bare[foot, 2].min() - ground < 0.025
        lowest = foot[bare[foot, 2] < bare[foot, 2].min() + 0.004]
        assert np.ptp(shod[lowest, 2]) < 0.006
        # seen from above, the front fills its convex hull: there are no gaps between toes
        assert _filled(bare, foot) < 0.85 < 0.9 < _filled(shod, foot)


def _filled(vertices: np.ndarray, foot: np.ndarray) -> float:
    """Share of the convex hull of the foot's front quarter, seen from above, that its triangles cover."""
    front = foot[vertices[foot, 1] < vertices[foot, 1].min() + np.ptp(vertices[foot, 1]) / 4]
    triangles = template().triangles[np.isin(template().triangles.numpy(), front).all(1)]
    flat = (vertices[:, :2] - vertices[front, :2].mean(0)) / 0.07
    clip = np.concatenate([flat, 0.1 * vertices[:, 2:], np.ones((len(flat), 1))], 1).astype(np.float32)
    covered = rasterize(torch.from_numpy(clip)[None], triangles.int(), (200, 200))[0].triangle[0] >= 0
    return float(covered.sum()) / 1e4 / ConvexHull(flat[front]).volume


def test_shoes_are_worn_where_they_are_seen() -> None:
    shape = (20, 20)
    part = np.full(shape, -1, np.int16)
    part[:, :10], part[:, 10:] = PART_NAMES.index("right_foot"), PART_NAMES.index("left_foot")
    layer = np.full(shape, LAYER_NAMES.index("skin"), np.int8)
    layer[:, 10:] = LAYER_NAMES.index("shoes")
    everything, nothing = np.ones(shape, bool), np.zeros(shape, bool)

    def seen(mask: np.ndarray) -> Correspondence:
        empty = np.zeros((*shape, 3), np.float32)
        return Correspondence(
            mask, mask.astype(np.float32), empty.astype(np.uint8), empty[..., :2], part, part, empty, layer
        )

    assert wears_shoes(seen(everything)) == (True, False)
    assert wears_shoes(seen(nothing)) == (False, False)
    only_left = everything.copy()
    only_left[:, :10] = False
    assert wears_shoes(seen(only_left)) == (True, True)  # the other foot is as the one that is seen
