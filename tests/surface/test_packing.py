"""Islands of a UV layout moved: squares whose places can be told by hand, and the shipped atlas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bodymap.surface import load_template
from bodymap.surface.islands import islands
from bodymap.surface.packing import Move, packed
from bodymap.types import PART_NAMES


def squares(*corners: tuple[float, float], side: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """(uv, triangles) of squares with these upper left corners."""
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * side
    uv = np.concatenate([unit + corner for corner in corners])
    triangles = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(len(corners))])
    return uv, triangles


def test_islands_are_what_hangs_together_in_the_order_of_their_vertices():
    uv, triangles = squares((0.1, 0.1), (0.5, 0.1), (0.5, 0.6))
    assert islands(triangles[[4, 0, 2, 1, 5, 3]]).tolist() == [2, 0, 1, 0, 2, 1]


def test_an_island_goes_into_its_corner_at_its_scale_and_the_rest_stay():
    uv, triangles = squares((0.1, 0.1), (0.5, 0.1))
    moved = packed(uv, triangles, islands(triangles), [Move(1, (1, 1), scale=1.5)])
    assert (moved[:4] == uv[:4]).all()
    size = np.ptp(moved[4:], axis=0)
    assert np.allclose(size, 0.3)
    assert (moved[4:].max(0) > 0.97).all() and (moved[4:].max(0) <= 1).all()


def test_nothing_overlaps():
    uv, triangles = squares((0.1, 0.1), (0.1, 0.2), (0.15, 0.15))  # on top of each other
    order = [Move(1, (-1, -1)), Move(2, (-1, -1), turns=(0.0, 45.0))]
    moved = packed(uv, triangles, islands(triangles), order).reshape(3, 4, 2)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        apart = np.maximum(moved[a].min(0) - moved[b].max(0), moved[b].min(0) - moved[a].max(0))
        assert apart.max() > 0.004  # a few cells of air


def test_where_there_is_no_room_it_says_so():
    uv, triangles = squares((0.4, 0.4), (0.1, 0.1))
    with pytest.raises(ValueError, match="no room for island 1 at 4 times"):
        packed(uv, triangles, islands(triangles), [Move(1, (1, 1), scale=4.0)])


def test_head_and_hands_have_twice_the_texels_of_the_rest():
    t = load_template()

    def area(corners: torch.Tensor) -> torch.Tensor:
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        if corners.shape[-1] == 2:
            return (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs() / 2
        return torch.linalg.cross(a, b).norm(dim=1) / 2

    texels, metres = area(t.uv[t.uv_triangles]), area(t.vertices[t.triangles])
    outer = t.triangle_inner == 0

    def density(own: torch.Tensor) -> float:
        return float(texels[own & outer].sum() / metres[own & outer].sum())

    head = t.triangle_part == PART_NAMES.index("head")
    hands = torch.isin(t.triangle_part, torch.tensor([PART_NAMES.index(f"{s}_hand") for s in ("left", "right")]))
    rest = density(~head & ~hands)
    assert density(head) > 2 * rest and density(hands) > 2 * rest
    # moved and scaled as wholes: every triangle of an island by one factor
    ratio = area(t.uv[t.uv_triangles]) / area(t.skin_uv[t.uv_triangles]).clamp_min(1e-12)
    island = torch.from_numpy(islands(t.uv_triangles.numpy()))
    for k in range(int(island.max()) + 1):
        own = (island == k) & (area(t.skin_uv[t.uv_triangles]) > 1e-7)
        assert float(ratio[own].std()) < 0.02
