import math

import pytest
import torch
import torch.nn.functional as F

from bodymap.errors import UserError
from bodymap.losses import LOSSES, weighted_sum
from bodymap.losses.classification import classification_loss, part_weight
from bodymap.losses.facing import facing_loss, facing_target
from bodymap.losses.layer import layer_loss, layer_weight
from bodymap.losses.silhouette import silhouette_loss
from bodymap.types import LAYER_NAMES, PART_NAMES


def test_classification_of_uniform_scores_is_the_logarithm_of_the_bins():
    assert classification_loss(torch.zeros(7, 3, 256), torch.rand(7, 3)).item() == pytest.approx(math.log(256))


def test_classification_at_bin_centres_is_plain_cross_entropy():
    scores, bins = torch.randn(9, 3, 256), torch.randint(256, (9, 3))
    expected = F.cross_entropy(scores.reshape(-1, 256), bins.reshape(-1))
    assert torch.allclose(classification_loss(scores, bins / 255), expected, atol=1e-4)


def test_classification_between_bins_shares_the_target():
    scores, code = torch.randn(1, 3, 256), torch.tensor([[10.25, 100.5, 254.75]]) / 255
    log_p = scores[0].log_softmax(-1)
    expected = 0.75 * log_p[0, 10] + 0.25 * log_p[0, 11]
    expected = expected + 0.5 * log_p[1, 100] + 0.5 * log_p[1, 101] + 0.25 * log_p[2, 254] + 0.75 * log_p[2, 255]
    assert torch.allclose(classification_loss(scores, code), -expected / 3, atol=1e-3)


def test_classification_is_least_where_the_expectation_is_exact():
    """Entropy of (0.7, 0.3) is the minimum for a value three tenths above a bin."""
    scores = torch.full((1, 3, 256), -40.0)
    scores[..., 20], scores[..., 21] = math.log(0.7), math.log(0.3)
    entropy = -(0.7 * math.log(0.7) + 0.3 * math.log(0.3))
    assert classification_loss(scores, torch.full((1, 3), 20.3 / 255)).item() == pytest.approx(entropy, abs=1e-4)


def test_classification_weights_are_ratios():
    scores, code = torch.randn(2, 3, 256), torch.rand(2, 3)
    each = [classification_loss(scores[i : i + 1], code[i : i + 1]) for i in range(2)]
    weighted = classification_loss(scores, code, torch.tensor([6.0, 2.0]))
    assert torch.allclose(weighted, 0.75 * each[0] + 0.25 * each[1])


def test_no_pixels_no_loss_but_a_gradient():
    scores = torch.zeros(0, 3, 256, requires_grad=True)
    loss = classification_loss(scores, torch.zeros(0, 3))
    loss.backward()
    assert loss.item() == 0 and scores.grad is not None


def test_hands_feet_and_head_weigh_more():
    weight = part_weight(torch.arange(len(PART_NAMES)), hand=5.0, head=4.0, foot=2.0)
    by_name = dict(zip(PART_NAMES, weight.tolist(), strict=True))
    assert by_name["left_hand"] == by_name["right_hand"] == 5
    assert by_name["head"] == 4
    assert by_name["left_foot"] == by_name["right_foot"] == 2
    assert by_name["neck"] == by_name["left_forearm"] == by_name["torso_back"] == 1


def test_silhouette_by_hand():
    """Half of a square image is person, probability one half everywhere: IoU (1/4) / (1/2 + 1/4) = 1/3."""
    foreground = torch.zeros(1, 4, 4, dtype=torch.bool)
    foreground[:, :2] = True
    loss = silhouette_loss(torch.zeros(1, 1, 4, 4), foreground, bce=0.5)
    assert loss.item() == pytest.approx(2 / 3 + 0.5 * math.log(2))


def test_silhouette_of_the_truth_is_nothing_and_small_people_count_as_much():
    foreground = torch.zeros(2, 16, 16, dtype=torch.bool)
    foreground[0, :12, :12], foreground[1, :2, :2] = True, True
    perfect = torch.where(foreground, 30.0, -30.0)[:, None]
    assert silhouette_loss(perfect, foreground).item() == pytest.approx(0, abs=1e-5)
    misses = []
    for person in (0, 1):
        logits = perfect.clone()
        logits[person] = -30
        misses.append(silhouette_loss(logits, foreground, bce=0).item())
    assert misses == pytest.approx([0.5, 0.5], abs=1e-5)


def test_silhouette_without_a_person_is_finite():
    logits = torch.zeros(1, 1, 4, 4, requires_grad=True)
    silhouette_loss(logits, torch.zeros(1, 4, 4, dtype=torch.bool)).backward()
    assert (logits.grad > 0).all()


def test_layer_counts_known_pixels_only():
    logits, layer = torch.randn(2, 7, 3, 3), torch.randint(7, (2, 3, 3))
    layer[0, 0, 0], layer[1, 2, 2] = -1, 255
    known = (layer >= 0) & (layer < 7)
    expected = F.cross_entropy(logits.permute(0, 2, 3, 1)[known], layer[known])
    assert torch.allclose(layer_loss(logits, layer.to(torch.int16)), expected)
    assert layer_loss(logits, torch.full_like(layer, -1)).item() == 0
    weight = layer_weight()
    assert weight[LAYER_NAMES.index("shoes")] > weight[LAYER_NAMES.index("upper")] > weight[0]
    expected = F.cross_entropy(logits.permute(0, 2, 3, 1)[known], layer[known], weight=weight)
    assert torch.allclose(layer_loss(logits, layer, weight), expected)


def test_facing_is_shared_between_two_directions():
    angles = torch.tensor([0.0, math.pi / 2, math.pi, -math.pi, -math.pi / 2, math.pi / 4, -3 * math.pi / 4])
    expected = [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [0.5, 0.5, 0, 0],
        [0, 0, 0.5, 0.5],
    ]
    assert torch.allclose(facing_target(angles), torch.tensor(expected, dtype=torch.float32), atol=1e-6)


def test_facing_loss_by_hand_and_unknown_angles():
    logits = torch.tensor([[2.0, 0, 0, 0], [9.0, 9, 9, 9]])
    loss = facing_loss(logits, torch.tensor([0.0, math.nan]))
    assert loss.item() == pytest.approx(math.log(math.exp(2) + 3) - 2)
    assert facing_loss(logits, torch.tensor([math.nan, math.nan])).item() == 0


def test_weighted_sum():
    terms = {"silhouette": torch.tensor(2.0), "layer": torch.tensor(3.0)}
    assert weighted_sum(terms, {"silhouette": 0.5, "layer": 2, "geodesic": 9}).item() == 7
    with pytest.raises(UserError, match="'silhouette'"):
        weighted_sum(terms, {"silhuette": 1})
    with pytest.raises(UserError, match="'layer' has no weight"):
        weighted_sum(terms, {"silhouette": 1})
    assert {"classification", "silhouette", "geodesic", "consistency"} <= set(LOSSES)
