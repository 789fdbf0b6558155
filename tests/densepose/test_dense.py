"""Pseudo-truth: a network with a known mistake, put right by a few points."""

from dataclasses import replace

import numpy as np
import pytest
from support.densepose import template_adapter
from support.mapped import correspondence

from bodymap.densepose.charts import COARSE_OF_CHART
from bodymap.densepose.dense import TRUST, coarse_at, pseudo_truth

SIZE = (210, 132)


@pytest.fixture(scope="module")
def scene():
    """(adapter, exact map, a map that says of each pixel what lies 5 cm higher, coarse parts, points)."""
    adapter, exact = template_adapter(), correspondence(0.0, SIZE)
    at, body = exact.mask, adapter.body
    true = adapter.smpl_of_template(exact.triangle[at], exact.barycentric[at])
    triangle, weight = adapter.template_of_smpl(body.closest(body.position(true) + [0, 0, 0.05]))
    shifted = replace(exact, triangle=exact.triangle.copy(), barycentric=exact.barycentric.copy())
    shifted.triangle[at], shifted.barycentric[at] = triangle, weight
    chart = adapter.iuv_of_smpl(true)[0]
    coarse = np.zeros(SIZE, np.int64)
    coarse[at] = np.array(COARSE_OF_CHART)[chart]
    chosen = np.random.default_rng(0).permutation(at.sum())[:100]
    return adapter, exact, shifted, coarse, np.argwhere(at)[chosen], chart[chosen], (true[0][chosen], true[1][chosen])


def distance(adapter, exact, triangle, weight):
    """Metres in space between what two maps say, where the second one says anything."""
    at = (triangle >= 0) & exact.mask
    here = adapter.body.position(adapter.smpl_of_template(exact.triangle[at], exact.barycentric[at]))
    return np.linalg.norm(here - adapter.body.position(adapter.smpl_of_template(triangle[at], weight[at])), axis=1)


def test_points_put_the_network_right(scene):
    adapter, exact, shifted, coarse, *points = scene
    before = distance(adapter, exact, shifted.triangle, shifted.barycentric)
    made = pseudo_truth(adapter, shifted, coarse, *points)
    after = distance(adapter, exact, made.triangle, made.barycentric)
    assert np.median(before) > 0.04 and np.median(after) < 0.4 * np.median(before)
    assert (made.triangle[exact.mask] >= 0).mean() > 0.8
    assert (made.triangle[~exact.mask] == -1).all()
    known = made.triangle >= 0
    assert made.trust.max() <= TRUST and (made.trust[known] > 0).all() and (made.trust[~known] == 0).all()
    # where network and points agree there is more trust
    assert np.median(pseudo_truth(adapter, exact, coarse, *points).trust[known]) > np.median(made.trust[known])


def test_what_is_not_known_stays_unknown(scene):
    adapter, exact, _, coarse, pixel, chart, truth = scene
    unsure = replace(exact, confidence=np.zeros(SIZE, np.float32))
    none = np.zeros(0, np.int64)
    nothing = pseudo_truth(adapter, unsure, coarse, pixel[:0], chart[:0], (none, np.zeros((0, 3))))
    assert (nothing.triangle == -1).all()
    # one point makes its surroundings known, on its own part only
    one = pseudo_truth(adapter, unsure, coarse, pixel[:1], chart[:1], (truth[0][:1], truth[1][:1]))
    known = np.argwhere(one.triangle >= 0)
    assert len(known) and np.linalg.norm(known - pixel[0], axis=1).max() < 0.1 * SIZE[0]
    assert (coarse[one.triangle >= 0] == COARSE_OF_CHART[chart[0]]).all()


def test_the_annotators_masks_overrule_the_network(scene):
    """A map that takes left for right has no say on arms and legs."""
    adapter, exact, _, coarse, *_ = scene
    t = adapter.template
    mirror, corner = t.mirror_triangle.numpy(), t.mirror_corner.numpy()
    flipped = replace(exact, triangle=exact.triangle.copy(), barycentric=exact.barycentric.copy())
    at = exact.mask
    flipped.triangle[at] = mirror[exact.triangle[at]]
    weight = np.zeros((at.sum(), 3), np.float32)
    np.put_along_axis(weight, corner[exact.triangle[at]], exact.barycentric[at], 1)
    flipped.barycentric[at] = weight
    none = np.zeros(0, np.int64)
    made = pseudo_truth(adapter, flipped, coarse, np.zeros((0, 2), np.int64), none, (none, np.zeros((0, 3))))
    sided = np.isin(coarse, range(2, 14))
    assert sided.sum() > 1000 and (made.triangle[sided] == -1).mean() > 0.97


def test_coarse_parts_in_the_picture():
    coarse = np.zeros((256, 256), np.uint8)
    coarse[:, 128:] = 3
    found = coarse_at(coarse, (10.0, 20.0, 4.0, 2.0), np.arange(16) + 0.5, np.arange(24) + 0.5)
    assert found.shape == (24, 16) and (found[20:22, 12:14] == 3).all() and found.sum() == 4 * 3
