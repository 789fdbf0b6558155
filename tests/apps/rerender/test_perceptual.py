"""What the eye sees: no difference between equal pictures, gradients for the made one only."""

from __future__ import annotations

import pytest
import torch

from apps.rerender.perceptual import MEASURES, Features, PerceptualConfig


@pytest.mark.parametrize("measure", MEASURES)
def test_equal_pictures_do_not_differ_and_gradients_reach_the_made_one(measure: str) -> None:
    import lpips

    torch.manual_seed(0)
    features = Features(PerceptualConfig(weight=1.0, measure=measure))
    # VGG's form without its weights: nothing is downloaded
    features._network = lpips.LPIPS(net="vgg", spatial=True, verbose=False, pretrained=False, pnet_rand=True).eval()
    truth = torch.rand(2, 3, 32, 32, requires_grad=True)
    made = torch.rand(2, 3, 32, 32, requires_grad=True)
    assert features(truth.detach(), truth).abs() < 1e-6
    loss = features(made, truth)
    loss.backward()
    assert loss.abs() > 1e-4 and made.grad.any()
    assert truth.grad is None or not truth.grad.any()


def test_unknown_measures_are_refused() -> None:
    with pytest.raises(ValueError, match="features, lpips"):
        PerceptualConfig(measure="vgg")
