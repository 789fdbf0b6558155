"""Flicker: nothing where the texture only moves along, something where it trembles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from apps.rerender import steadiness
from apps.rerender.avatar import Avatar, make_avatar
from bodymap.people import sample
from bodymap.people.config import CameraConfig, PeopleConfig


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    from apps.rerender.views import true_map

    picture = sample(3, 3, 3, 3, config=PeopleConfig(size=(128, 96), camera=CameraConfig(framing={"full": 1.0})))
    made = make_avatar(picture.image, true_map(picture), texture_size=128)
    # smooth colours, so that looking up between pixels changes nothing
    rows = torch.linspace(0, 1, 128)[:, None].expand(128, 128)
    smooth = torch.stack([rows, rows.T, 0.5 * torch.ones(128, 128)], -1)
    return replace(made, texture=replace(made.texture, colour=smooth))


def test_a_slow_turn_is_steady_and_trembling_light_is_not(avatar: Avatar, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [avatar.turned(4.0 * k) for k in range(3)]
    assert steadiness.flicker(avatar, bodies, size=160) < 1.5

    plain, number = steadiness.render_rgba, iter(range(10))

    def trembling(*arguments):
        rgb, alpha = plain(*arguments)
        return rgb + (8.0 if next(number) % 2 else 0.0), alpha

    monkeypatch.setattr(steadiness, "render_rgba", trembling)
    assert steadiness.flicker(avatar, bodies, size=160) == pytest.approx(8.0, abs=1.5)
    assert np.isfinite(steadiness.flicker(avatar, bodies, size=96))
