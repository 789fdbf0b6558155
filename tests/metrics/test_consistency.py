"""Measures without labels, on maps made by hand."""

import numpy as np
import pytest
import torch

from bodymap.metrics import consistency
from bodymap.surface import load_template, points
from bodymap.types import Correspondence


@pytest.fixture(scope="module")
def template():
    return load_template()


def record(triangle, barycentric):
    height, width = triangle.shape
    zero = np.zeros((height, width))
    return Correspondence(
        mask=triangle >= 0,
        confidence=zero.astype(np.float32),
        colour=np.zeros((height, width, 3), np.uint8),
        uv=np.zeros((height, width, 2), np.float32),
        part=zero.astype(np.int16),
        triangle=triangle.astype(np.int32),
        barycentric=barycentric.astype(np.float32),
        layer=zero.astype(np.int8),
    )


@pytest.fixture
def drawn(template):
    """An 8 x 10 map of random outer points in its middle columns."""
    rng = np.random.default_rng(3)
    outer = np.flatnonzero(template.triangle_inner.numpy() == 0)
    triangle = np.full((8, 10), -1)
    triangle[:, 2:7] = rng.choice(outer, (8, 5))
    return record(triangle, rng.dirichlet((1, 1, 1), (8, 10)))


def mirror_image(template, c):
    inside = c.mask
    triangle, barycentric = c.triangle.copy(), c.barycentric.copy()
    t, b = points.mirror(template, torch.from_numpy(triangle[inside]).long(), torch.from_numpy(barycentric[inside]))
    triangle[inside], barycentric[inside] = t.numpy(), b.numpy()
    return record(triangle[:, ::-1], barycentric[:, ::-1])


def test_a_symmetric_predictor_agrees_with_its_mirror_image(template, drawn):
    errors = consistency.mirror_errors(template, drawn, mirror_image(template, drawn))
    assert len(errors) == 40 and errors.max() < 1e-5


def test_forgetting_to_swap_the_sides_is_seen(template, drawn):
    unswapped = record(drawn.triangle[:, ::-1], drawn.barycentric[:, ::-1])
    assert np.median(consistency.mirror_errors(template, drawn, unswapped)) > 0.1


def test_pixels_of_one_map_only_are_infinite(template, drawn):
    mirrored = mirror_image(template, drawn)
    moved = record(np.roll(mirrored.triangle, 1, axis=1), mirrored.barycentric)
    errors = consistency.mirror_errors(template, drawn, moved)
    assert len(errors) == 48 and np.isinf(errors).sum() == 16


def test_landmarks_of_the_same_person(template, drawn):
    rows = np.zeros((33, 4))
    rows[:3] = [[0.35, 0.1, 0, 1], [0.45, 0.5, 0, 0.9], [0.05, 0.5, 0, 1]]  # inside, inside, on the background
    here = consistency.landmark_points(drawn, rows)
    assert here.visible.sum() == 3 and (here.triangle >= 0).sum() == 2
    errors = consistency.landmark_agreement(template, here, here)
    assert errors[:2].max() < 1e-6 and np.isinf(errors[2]) and len(errors) == 3
    other = rows.copy()
    other[1, 3] = 0.5  # not seen in the second photograph
    assert len(consistency.landmark_agreement(template, here, consistency.landmark_points(drawn, other))) == 2
