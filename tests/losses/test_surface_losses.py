import math

import pytest
import torch
import torch.nn.functional as F

from bodymap.losses.consistency import choose_pairs, consistency_loss, expected_distance
from bodymap.losses.cse import embedding_loss, soft_truth
from bodymap.losses.geodesic import geodesic_loss


def delta(sample: torch.Tensor, count: int = 12) -> torch.Tensor:
    """log posterior that is certain of a sample."""
    return torch.where(F.one_hot(sample, count).bool(), 0.0, -1e4)


def test_geodesic_is_zero_at_the_truth_and_the_distance_elsewhere(circle):
    truth = torch.tensor([0, 3, 11])
    assert geodesic_loss(delta(truth), truth, circle).item() == 0
    found = torch.tensor([1, 9, 5])  # 1, 6 and 6 away
    assert geodesic_loss(delta(found), truth, circle).item() == pytest.approx(13 / 3)


def test_geodesic_of_total_doubt_is_the_mean_distance(circle):
    uniform = torch.zeros(2, 12).log_softmax(-1)
    assert geodesic_loss(uniform, torch.tensor([0, 7]), circle).item() == pytest.approx(3)  # (2 (1+..+5) + 6) / 12


def test_geodesic_gradient_moves_mass_towards_the_truth(circle):
    scores = torch.zeros(1, 12, requires_grad=True)
    geodesic_loss(scores.log_softmax(-1), torch.tensor([4]), circle).backward()
    # d/ds_i of an expectation = p_i (g_i - mean): nearer than the mean rises, farther falls
    expected = (circle[4] - 3) / 12
    assert torch.allclose(scores.grad[0], expected, atol=1e-6)


def test_embedding_loss_is_the_entropy_at_best_and_more_elsewhere(circle):
    target, sigma_g, sigma_e = torch.tensor([2, 8]), 0.7, 0.05
    truth = (-circle[target] / sigma_g).softmax(-1)
    entropy = -(truth * truth.log()).sum(-1).mean()
    matching = circle[target] * (sigma_e / sigma_g)  # distances in proportion: both softmaxes agree
    best = embedding_loss(matching, target, soft_truth(circle, sigma_g), sigma_e)
    assert torch.allclose(best, entropy, atol=1e-5)
    assert embedding_loss(matching.roll(1, dims=1), target, soft_truth(circle, sigma_g), sigma_e) > best + 0.1


def test_embedding_loss_with_a_narrow_truth_is_plain_cross_entropy(circle):
    distance, target = torch.rand(5, 12), torch.randint(12, (5,))
    expected = F.cross_entropy(-distance / 0.3, target)
    assert torch.allclose(embedding_loss(distance, target, soft_truth(circle, 0.01), 0.3), expected, atol=1e-5)


def test_embedding_loss_counts_pixels_by_weight(circle):
    distance, target, truth = torch.rand(2, 12), torch.tensor([1, 7]), soft_truth(circle, 0.4)
    one, other = (embedding_loss(distance[i : i + 1], target[i : i + 1], truth, 0.1) for i in (0, 1))
    both = embedding_loss(distance, target, truth, 0.1, torch.tensor([3.0, 1.0]))
    assert torch.allclose(both, (3 * one + other) / 4, atol=1e-5)


def test_embedding_loss_trains_embeddings_on_a_circle(circle, circle_functions):
    """C and free pixel embeddings, as the CSE stage has them: every pixel finds its sample."""
    from bodymap.network.cse import embedding_distance

    torch.manual_seed(0)
    basis = torch.randn(5, 8, requires_grad=True)
    pixels = torch.randn(24, 8, requires_grad=True)
    target = torch.arange(24) % 12
    optimizer = torch.optim.Adam([basis, pixels], lr=0.05)
    for _ in range(80):
        vertices = F.normalize(circle_functions @ basis, dim=-1)
        distance = embedding_distance(F.normalize(pixels, dim=-1), vertices)
        loss = embedding_loss(distance, target, soft_truth(circle, 0.3), 0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(distance.argmin(-1), target)


def test_expected_distance_of_certain_and_of_mixed_predictions(circle):
    reference = delta(torch.tensor([0, 6])).exp()
    near = delta(torch.tensor([[2, 11], [6, 0]])).exp()
    assert expected_distance(reference, near, circle).tolist() == [[2, 1], [0, 6]]
    half = (near[:1, :1] + near[:1, 1:]) / 2
    assert expected_distance(reference[:1], half, circle).item() == pytest.approx(1.5)


def test_expected_distance_is_that_of_a_plain_double_sum(circle):
    reference, near = torch.rand(3, 12).softmax(-1), torch.rand(3, 4, 12).softmax(-1)
    expected = torch.tensor(
        [
            [
                sum(reference[r, s] * near[r, k, t] * circle[s, t] for s in range(12) for t in range(12))
                for k in range(4)
            ]
            for r in range(3)
        ]
    )
    assert torch.allclose(expected_distance(reference, near, circle), expected, atol=1e-5)


def test_consistency_by_hand():
    distance = torch.tensor([[0.0, 2.0]])
    reference, near = torch.zeros(1, 3), torch.tensor([[[0.0, 0, 0], [1.0, 0.5, 0]]])
    expected = (math.log(2) + math.log1p(math.exp(2 / 4 - 1.5 / 3))) / 2
    assert consistency_loss(distance, reference, near, sigma_geo=4.0).item() == pytest.approx(expected)


def test_consistency_pulls_alike_pixels_harder_than_those_across_an_edge():
    distance = torch.ones(1, 2, requires_grad=True)
    near = torch.tensor([[[0.0, 0, 0], [1.0, 1, 1]]], requires_grad=True)
    consistency_loss(distance, torch.zeros(1, 3), near, sigma_geo=2.0, sigma_col=1.0).backward()
    assert distance.grad[0, 0] > 2 * distance.grad[0, 1] > 0
    assert near.grad is None  # colours weigh a pair; they are not learned


def test_pairs_lie_on_the_foreground_near_each_other():
    foreground = torch.zeros(2, 30, 20, dtype=torch.bool)
    foreground[0, 5:25, 5:15], foreground[1, 0:3, 0:3] = True, True
    pairs = choose_pairs(foreground, count=200, neighbours=6, radius=4, generator=torch.Generator().manual_seed(1))
    assert pairs.reference.shape == (200, 2) and pairs.near.shape == (200, 6, 2)
    assert foreground[pairs.batch, pairs.reference[:, 0], pairs.reference[:, 1]].all()
    assert foreground[pairs.batch[:, None], pairs.near[..., 0], pairs.near[..., 1]].all()
    assert (pairs.near - pairs.reference[:, None]).abs().max() <= 4
    # every image takes part in proportion to its pixels: 200 against 9
    assert 170 < (pairs.batch == 0).sum() < 200
    again = choose_pairs(foreground, count=200, neighbours=6, radius=4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(pairs.near, again.near)


def test_pairs_index_pixels_in_a_row():
    foreground = torch.ones(2, 5, 4, dtype=torch.bool)
    image = torch.rand(2, 3, 5, 4)
    pairs = choose_pairs(foreground, count=8, neighbours=2, radius=1, generator=torch.Generator().manual_seed(0))
    taken = image.permute(0, 2, 3, 1).flatten(0, 2)[pairs.flat((5, 4))]
    reference, near = taken[:8], taken[8:].unflatten(0, (8, 2))
    for r in range(8):
        batch, (row, column) = pairs.batch[r], pairs.reference[r]
        assert torch.equal(reference[r], image[batch, :, row, column])
        for k in range(2):
            assert torch.equal(near[r, k], image[batch, :, pairs.near[r, k, 0], pairs.near[r, k, 1]])


def test_an_empty_foreground_costs_nothing(circle):
    pairs = choose_pairs(torch.zeros(1, 4, 4, dtype=torch.bool))
    assert len(pairs.flat((4, 4))) == 0
    distance = expected_distance(torch.zeros(0, 12), torch.zeros(0, 4, 12), circle)
    assert consistency_loss(distance, torch.zeros(0, 3), torch.zeros(0, 4, 3), sigma_geo=2.0).item() == 0
    assert geodesic_loss(torch.zeros(0, 12), torch.zeros(0, dtype=torch.long), circle).item() == 0
    nothing = torch.zeros(0, dtype=torch.long)
    assert embedding_loss(torch.zeros(0, 12), nothing, soft_truth(circle, 0.1), 0.1).item() == 0
