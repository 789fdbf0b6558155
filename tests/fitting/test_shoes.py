"""Feet in shoes: the form spans the toes, has a flat sole, and is worn only by whoever wears shoes."""

from __future__ import annotations

import numpy as np

from bodymap.fitting.shoes import shoe_form, wears_shoes
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.wardrobe import Wardrobe
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
        # seen from above, gaps between toes are gone: the front's outline is nearly that of its convex hull
        assert _gaps(bare[foot]) > 3 * _gaps(shod[foot])


def _gaps(foot: np.ndarray) -> float:
    """Metres squared inside of the outline's convex hull, over the front sixth, that no vertex lies near."""
    from scipy.spatial import Delaunay, cKDTree

    flat = foot[:, :2][foot[:, 1] < foot[:, 1].min() + np.ptp(foot[:, 1]) / 6]
    x, y = np.meshgrid(*(np.arange(low, high, 0.001) for low, high in zip(flat.min(0), flat.max(0), strict=True)))
    grid = np.stack([x.ravel(), y.ravel()], 1)
    inside = grid[Delaunay(flat).find_simplex(grid) >= 0]
    return float((cKDTree(flat).query(inside)[0] > 0.004).sum() * 1e-6)


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
