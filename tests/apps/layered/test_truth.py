"""The truth of every layer agrees with the picture where the layer is seen, and goes on where it is not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import cloth

from apps.layered.canonical import LAYERS, canonical
from apps.layered.truth import Wearer, engine_sample
from bodymap import UserError
from bodymap.people.config import CameraConfig, PeopleConfig, SceneConfig
from bodymap.people.pack import Pack
from bodymap.surface import load_template, points

CONFIG = PeopleConfig(
    size=(128, 96),
    camera=CameraConfig(framing={"full": 1.0}),
    scene=SceneConfig(nobody=0.0, occluder=0.0, bystander=0.0),
)


@pytest.fixture(scope="module")
def pack():
    return Pack.load()


@pytest.fixture(scope="module")
def wearer(pack):
    return Wearer(cloth.still_sequence(), 3, pack, CONFIG)


def check(sample):
    """What every sample keeps to, wherever it comes from."""
    size = sample.mask.shape
    assert sample.image.shape == (*size, 3) and sample.image.dtype == np.uint8
    for number, name in ((1, "body"), *enumerate(LAYERS, start=2)):
        layer = getattr(sample, name)
        shown = sample.mask == number
        assert (layer.visible == (shown & (layer.triangle >= 0))).all()
        assert (layer.triangle[shown] >= 0).mean() > 0.99 if shown.any() else True
        there = layer.triangle >= 0
        assert np.allclose(layer.barycentric[there].sum(-1), 1, atol=1e-3) and not layer.barycentric[~there].any()


def test_layers_of_a_cloth_sequence(wearer):
    sample = wearer.sample(2, camera=5, scene=6)
    check(sample)
    assert sample.about["garments"] == ("trousers", "T-shirt") and sample.about["split"] == "train"
    assert (sample.mask == 2).sum() > 100 and (sample.mask == 3).sum() > 100
    # the body goes on under the clothes: nearly everywhere that they are
    dressed = sample.mask >= 2
    assert (sample.body.triangle[dressed] >= 0).mean() > 0.75
    assert not sample.body.visible[dressed].any()
    # and the covered body point lies near the garment's point: both are about the same rest body
    both = (sample.upper.visible) & (sample.body.triangle >= 0)
    c, t = canonical("upper").surface, load_template()

    def at(surface, layer):
        return points.position(
            surface, torch.from_numpy(layer.triangle[both]).long(), torch.from_numpy(layer.barycentric[both])
        )

    assert (at(c, sample.upper) - at(t, sample.body)).norm(dim=1).median() < 0.06
    # trousers under the shirt's hem are there, though not seen
    assert ((sample.lower.triangle >= 0) & (sample.mask == 2)).sum() > 5


def test_seeds_repeat_and_vary(wearer, pack):
    one, same = wearer.sample(1, 2, 3), wearer.sample(1, 2, 3)
    assert np.array_equal(one.image, same.image) and np.array_equal(one.upper.triangle, same.upper.triangle)
    other = Wearer(cloth.still_sequence(), 4, pack, CONFIG).sample(1, 2, 3)
    assert np.abs(one.image.astype(int) - other.image).mean() > 1
    with pytest.raises(UserError, match="5 frames"):
        wearer.sample(5, 0, 0)


def test_layers_of_the_engine(pack):
    seen = {"upper": 0, "lower": 0}
    for seed in range(3):
        sample = engine_sample(seed, seed, seed, seed, pack=pack, config=CONFIG)
        check(sample)
        for number, name in enumerate(LAYERS, start=2):
            seen[name] += int((sample.mask == number).sum())
    assert min(seen.values()) > 100


def test_a_body_of_another_pack_is_refused(pack):
    sequence = cloth.still_sequence()
    strange = replace(sequence, body=replace(sequence.body, coefficients=np.zeros(3, np.float32)))
    with pytest.raises(UserError, match="without --pack"):
        Wearer(strange, 0, pack, CONFIG)
