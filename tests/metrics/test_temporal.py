"""Matches between frames, on maps made by hand."""

import numpy as np
import pytest
import torch

from bodymap.metrics import temporal
from bodymap.surface import geodesic, load_template, points


@pytest.fixture(scope="module")
def template():
    return load_template()


def frame(template, vertices):
    """A map one pixel high that shows these vertices, -1 background."""
    vertices = np.array(vertices)
    triangle = np.full((1, len(vertices)), -1)
    barycentric = np.zeros((1, len(vertices), 3), np.float32)
    for i, vertex in enumerate(vertices):
        if vertex >= 0:
            face = int(template.vertex_triangles[vertex, 0])
            triangle[0, i] = face
            barycentric[0, i, template.triangles[face].tolist().index(vertex)] = 1
    return temporal.SurfaceMap(triangle, barycentric)


@pytest.fixture(scope="module")
def far_apart(template):
    """Six sample vertices, any two of them more than 20 cm apart."""
    chosen = [0]
    for i in range(len(template.samples)):
        if template.sample_geodesic[i, chosen].min() > 0.2:
            chosen.append(i)
    return template.samples[chosen[:6]].tolist()


def test_vertex_pixels_takes_the_best_pixel(template):
    face = int(template.vertex_triangles[template.samples[5], 0])
    corners = template.triangles[face].tolist()
    barycentric = np.array([[[0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [0.2, 0.7, 0.1]]], np.float32)
    pixel = temporal.vertex_pixels(template, temporal.SurfaceMap(np.full((1, 3), face), barycentric))
    assert pixel[corners[0]] == 1 and pixel[corners[1]] == 2 and pixel[corners[2]] == -1
    assert (pixel >= 0).sum() == 2


def test_perfect_maps_match_perfectly(template, far_apart):
    a, b = frame(template, far_apart), frame(template, far_apart[::-1])
    errors = temporal.match_errors(template, a, b, a, b)
    assert len(errors) == 6 and errors.max() < 1e-6
    assert temporal.consistency(errors) == {"1": 1.0, "2": 1.0, "5": 1.0, "10": 1.0}


def test_only_vertices_in_both_frames_are_asked(template, far_apart):
    a, b = frame(template, far_apart), frame(template, [*far_apart[:2], -1, -1])
    assert len(temporal.match_errors(template, a, b, a, b)) == 2


def test_a_steady_error_is_consistent_and_a_flicker_is_not(template, far_apart):
    a, b = frame(template, far_apart), frame(template, far_apart)
    shifted = frame(template, [*far_apart[1:], far_apart[0]])
    # both frames make the same mistake: the match is right although the points are wrong
    assert temporal.match_errors(template, a, b, shifted, shifted).max() < 1e-6
    # only the second one does: every match is wrong, by the distance of the neighbours in the list
    errors = temporal.match_errors(template, a, b, a, shifted)
    assert temporal.consistency(errors)["10"] == 0 and np.isfinite(errors).all()
    vertex_a = template.triangles[a.triangle[0], a.barycentric[0].argmax(-1)]
    assert vertex_a.tolist() == far_apart


def test_calling_the_person_background_is_wrong(template, far_apart):
    a = frame(template, far_apart)
    gone = frame(template, [-1] * 6)
    half = frame(template, [*far_apart[:3], -1, -1, -1])
    assert np.isinf(temporal.match_errors(template, a, a, gone, a)).all()
    assert np.isinf(temporal.match_errors(template, a, a, a, gone)).all()
    assert np.isinf(temporal.match_errors(template, a, a, half, a)).sum() == 3


def test_a_match_on_the_background_is_wrong(template, far_apart):
    a = frame(template, [far_apart[0], -1])
    leaking = frame(template, [far_apart[1], far_apart[0]])  # the background pixel looks most like the point
    assert np.isinf(temporal.match_errors(template, a, a, a, leaking)).all()


def test_the_error_is_the_geodesic_distance_of_the_true_points(template, far_apart):
    first, second = far_apart[:2]
    a = frame(template, [first, second])
    swapped = frame(template, [second, first])
    errors = temporal.match_errors(template, a, a, a, swapped)
    ends = [(torch.from_numpy(m.triangle[0]), torch.from_numpy(m.barycentric[0])) for m in (a, swapped)]
    assert np.allclose(errors[np.argsort([first, second])], geodesic.distance(template, *ends[0], *ends[1]).numpy())
    assert points.position(template, *ends[0]).shape == (2, 3)
