"""Decoding colours and scores, and geodesic distance, against what is known exactly."""

import math
from dataclasses import replace

import pytest
import torch

from bodymap.surface import colour, geodesic, load_template, points


@pytest.fixture(scope="module")
def t():
    return load_template()


@pytest.fixture(scope="module")
def some(t):
    """Random outer surface points."""
    generator = torch.Generator().manual_seed(0)
    outer = torch.nonzero(t.triangle_inner == 0)[:, 0]
    triangle = outer[torch.randint(len(outer), (2000,), generator=generator)]
    barycentric = torch.rand(2000, 3, generator=generator)
    return triangle, barycentric / barycentric.sum(1, keepdim=True)


def gaussian_scores(code, sigma=2.0):
    return -((torch.arange(256.0) - code[..., None] * 255) ** 2) / (2 * sigma**2)


def distance(t, a, b):
    return (points.position(t, *a) - points.position(t, *b)).norm(dim=1)


def test_closest_on_triangle_hits_corners_edges_and_inside():
    a, b, c = torch.tensor([0.0, 0, 0]), torch.tensor([2.0, 0, 0]), torch.tensor([0.0, 2, 0])
    cases = {
        (-1.0, -1.0, 0.0): (1, 0, 0),
        (3.0, -1.0, 1.0): (0, 1, 0),
        (1.0, -1.0, 0.0): (0.5, 0.5, 0),
        (2.0, 2.0, 5.0): (0, 0.5, 0.5),
        (0.5, 0.5, 7.0): (0.5, 0.25, 0.25),
    }
    for p, expected in cases.items():
        torch.testing.assert_close(
            points.closest_on_triangle(torch.tensor(p), a, b, c), torch.tensor(expected, dtype=torch.float)
        )
    # a degenerate triangle is a segment
    line = points.closest_on_triangle(torch.tensor([0.5, 1.0, 0]), a, b, b)
    torch.testing.assert_close(line[0], torch.tensor(0.75))


def test_colour_round_trip(t, some):
    found = colour.decode_colour(t, points.code(t, *some))
    error = distance(t, some, found)
    assert error.mean() < 5e-4 and (error > 0.01).float().mean() < 0.01


def test_closest_finds_points_lifted_off_the_surface(t, some):
    found = points.closest(t, points.position(t, *some) + 0.001)
    assert distance(t, some, found).quantile(0.99) < 0.01
    moved = t.vertices * 1.1
    again = points.closest(t, (moved[t.triangles[some[0]]] * some[1][..., None]).sum(1), vertices=moved)
    assert distance(t, some, again).quantile(0.99) < 0.002


@pytest.mark.parametrize("method", ["likelihood", "expectation"])
def test_scores_decode_below_the_quantisation(t, some, method):
    triangle, barycentric, confidence = colour.decode_scores(t, gaussian_scores(points.code(t, *some)), method)
    error = distance(t, some, (triangle, barycentric))
    assert error.median() < 0.002 and error.quantile(0.99) < 0.02
    assert confidence.min() >= 0 and confidence.max() <= 1 and confidence.mean() > 0.9


def test_likelihood_survives_two_hypotheses_where_expectation_mixes_them(t, some):
    """Each channel hesitates between a point and its mirror image, 55 : 45, the red channel the other way round."""
    right = points.code(t, *some)
    mirrored = points.code(t, *points.mirror(t, *some))
    far = (right[:, 0] - mirrored[:, 0]).abs() > 0.3
    right, mirrored = right[far], mirrored[far]
    other = torch.cat([mirrored[:, :1], right[:, 1:2].flip(0), mirrored[:, 2:]], 1)  # green of some other place
    p = 0.55 * gaussian_scores(right).softmax(-1) + 0.45 * gaussian_scores(other).softmax(-1)
    p[:, 1] = 0.45 * gaussian_scores(right).softmax(-1)[:, 1] + 0.55 * gaussian_scores(other).softmax(-1)[:, 1]
    scores = (p + 1e-9).log()
    truth = (some[0][far], some[1][far])
    errors = {}
    for method in ("likelihood", "expectation"):
        triangle, barycentric, _ = colour.decode_scores(t, scores, method)
        errors[method] = float((distance(t, truth, (triangle, barycentric)) > 0.05).float().mean())
    assert errors["likelihood"] < 0.6 * errors["expectation"]


def test_evidence_settles_what_the_scores_leave_open(t, some):
    right, mirrored = points.code(t, *some), points.code(t, *points.mirror(t, *some))
    far = (right[:, 0] - mirrored[:, 0]).abs() > 0.3
    truth = some[0][far], some[1][far]
    scores = (gaussian_scores(right[far]).softmax(-1) + gaussian_scores(mirrored[far]).softmax(-1) + 1e-9).log()
    sample = points.nearest_sample(t, *truth)
    for sign in (1, -1):  # evidence for the place, and against it
        evidence = -sign * 20 * t.sample_geodesic[sample].clamp(max=1)
        triangle, barycentric, confidence = colour.decode_scores(t, scores, evidence=evidence)
        wrong = (distance(t, truth, (triangle, barycentric)) > 0.05).float().mean()
        assert wrong < 0.02 if sign > 0 else wrong > 0.98
        assert confidence.min() >= 0 and confidence.max() <= 1
    with pytest.raises(ValueError, match="evidence"):
        colour.decode_scores(t, scores, "expectation", evidence)


def test_posterior_is_normalised_and_differentiable(t, some):
    scores = gaussian_scores(points.code(t, some[0][:20], some[1][:20])).requires_grad_()
    log_p = colour.sample_log_posterior(t, scores)
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(20))
    (log_p.exp() @ t.sample_geodesic[:, 0]).sum().backward()
    assert scores.grad.abs().sum() > 0
    nearest = points.nearest_sample(t, some[0][:20], some[1][:20])
    assert (t.sample_geodesic[log_p.argmax(1), nearest] < 0.05).all()


def test_flat_scores_are_not_confident(t):
    _, _, confidence = colour.decode_scores(t, torch.zeros(5, 3, 256))
    assert confidence.max() < 0.1


def test_no_points_decode_to_no_points(t):
    triangle, barycentric, confidence = colour.decode_scores(t, torch.zeros(0, 3, 256))
    assert triangle.shape == (0,) and barycentric.shape == (0, 3) and confidence.shape == (0,)
    with pytest.raises(ValueError, match="method"):
        colour.decode_scores(t, torch.zeros(1, 3, 256), "magic")


def test_geodesic_distance_of_a_point_to_itself_and_to_its_neighbours(t, some):
    assert geodesic.distance(t, *some, *some).max() < 1e-6
    # along one triangle it is the straight line
    other = (some[0], some[1].roll(1, 1))
    straight = distance(t, some, other)
    assert (geodesic.distance(t, *some, *other) - straight).abs().quantile(0.98) < 0.005


def test_geodesic_distance_between_samples_is_the_table(t):
    """At the samples themselves, far apart, interpolation has nothing to do."""
    vertex = t.samples[:300]
    face = t.vertex_triangles[vertex, 0]
    corner = (t.triangles[face] == vertex[:, None]).float()
    a, b = torch.arange(300), torch.arange(300).roll(7)
    d = geodesic.distance(t, face[a], corner[a], face[b], corner[b])
    table = t.sample_geodesic[a, b]
    far = table > 0.15
    assert (d - table).abs()[far].max() < 0.01


def test_geodesic_distance_is_symmetric_under_mirror_and_swap(t, some):
    a = (some[0][:1000], some[1][:1000])
    b = (some[0][1000:], some[1][1000:])
    forth = geodesic.distance(t, *a, *b)
    torch.testing.assert_close(forth, geodesic.distance(t, *b, *a), atol=1e-4, rtol=0)
    mirrored = geodesic.distance(t, *points.mirror(t, *a), *points.mirror(t, *b))
    assert (forth - mirrored).abs().max() < 0.03
    assert (forth >= distance(t, a, b) - 1e-5).all()
    hand = t.samples[t.vertices[t.samples, 0].argmax()], t.samples[t.vertices[t.samples, 0].argmin()]
    span = t.sample_geodesic[t.vertex_sample[hand[0]], t.vertex_sample[hand[1]]]
    assert 1.2 < float(span) < math.pi  # hand to hand goes over the shoulders


def test_what_prediction_keeps_serves_training():
    """Tensors made in inference mode cannot carry gradients; the template keeps some for both."""
    t = replace(load_template(), cache={})
    with torch.inference_mode():
        place = colour.decode_scores(t, torch.randn(4, 3, 256))
        points.nearest_sample(t, *place[:2])
    scores = torch.randn(4, 3, 256, requires_grad=True)
    colour.decode_scores(t, scores)
    colour.sample_log_posterior(t, scores)[:, 0].sum().backward()
    assert scores.grad.abs().sum() > 0
    assert not any(value.is_inference() for value in t.cache.values() if isinstance(value, torch.Tensor))
