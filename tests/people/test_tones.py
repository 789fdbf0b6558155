"""Skins in other tones: the mean that was asked for, their own shades kept, everybody from dark to light."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bodymap.people import Pack
from bodymap.people.material import toned
from bodymap.people.outfit import skin_piece
from bodymap.people.pack import SKIN_VERTICES, Skin
from bodymap.people.shape import draw_body
from bodymap.people.streams import stream

_MEANS = {"dark": (0.37, 0.22, 0.15), "light": (0.8, 0.62, 0.51)}


def _texture(mean: tuple[float, ...]) -> np.ndarray:
    """Smooth shades about a mean; the right half is a fifth lighter."""
    out = np.tile(np.array(mean), (64, 64, 1))
    out[:, 32:] *= 1.2
    return (out * 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def pack() -> Pack:
    """The shipped pack with two skins: a light one to train on, a dark one held out."""
    pack = Pack.load(None)
    images, skins = dict(pack.images), []
    for name, split in (("light", "train"), ("dark", "test")):
        file = io.BytesIO()
        Image.fromarray(_texture(_MEANS[name])).save(file, "png")
        images[name] = np.frombuffer(file.getvalue(), np.uint8)
        skins.append(Skin(name, name, "any", "any", "CC0-1.0", split))
    return replace(pack, skins=tuple(skins), images=images)


@pytest.mark.parametrize("mean", _MEANS.values())
@pytest.mark.parametrize("target", [(0.5, 0.34, 0.25), (0.62, 0.45, 0.34)])
def test_the_mean_is_the_one_asked_for_and_shades_stay(mean, target) -> None:
    texture, target = _texture(mean), np.array(target)
    tint = toned(np.random.default_rng(0), texture, target)
    assert not tint.replaces
    seen = tint.colour * (texture / 255.0) ** tint.power  # as the shader reads it
    assert np.allclose(seen.reshape(-1, 3).mean(0), target, atol=0.004)
    ratio = seen[:, 32:].mean() / seen[:, :32].mean()
    assert ratio == pytest.approx(1.2**tint.power, abs=0.01)


def test_one_light_skin_gives_people_of_all_tones(pack) -> None:
    def tone(seed: int, share: float) -> float:
        body = draw_body(stream(seed, "body", "train"), pack, "train")
        return float(
            skin_piece(seed, pack, body, np.zeros(SKIN_VERTICES, bool), "train", share).material.mean_brightness
        )

    toned_people = np.array([tone(seed, 1.0) for seed in range(30)])
    assert toned_people.min() < 0.3 and toned_people.max() > 0.7
    assert np.quantile(toned_people, 0.75) - np.quantile(toned_people, 0.25) > 0.15
    # without, everybody has about the texture's own; and half of them with a share of one half
    own = np.array([tone(seed, 0.0) for seed in range(30)])
    assert own.min() > 0.5
    half = np.array([tone(seed, 0.5) for seed in range(30)])
    assert 6 <= (half != own).sum() <= 24
