"""Layer samples: every layer's place is where it should be, mirrored and mixed as pictures are."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.pictures import template_sample

from apps.layered.canonical import canonical
from apps.layered.samples import ABSENT, PRESENT, UNKNOWN, Shards, layer_sample, layers_of, stack, visible_layer
from bodymap.data.augment import Augment
from bodymap.data.batch import compact, expand
from bodymap.data.settings import no_augmentation
from bodymap.data.shards import ShardSettings, write_shards
from bodymap.errors import UserError
from bodymap.surface import load_template, points
from bodymap.types import LAYER_NAMES


@pytest.fixture(scope="module")
def sample():
    plain = template_sample(0.4, (96, 64))
    return replace(plain, covered_triangle=plain.triangle, covered_barycentric=plain.barycentric)


def test_each_layer_has_its_place(sample):
    layers = layers_of(sample)
    assert set(np.unique(layers["layer"])) == {0, 1, 2, 3}
    upper = layers["layer"] == 2
    assert (layers["upper_triangle"][upper] >= 0).all() and (layers["upper_triangle"][~upper] == -1).all()
    # the garment's place lies close above the template point, the body's is the template point
    batch = expand(stack([layers]))
    t, c = load_template(), canonical("upper")
    inside = batch["upper_triangle"][0] >= 0
    above = points.position(c.surface, batch["upper_triangle"][0][inside], batch["upper_barycentric"][0][inside])
    below = points.position(t, batch["triangle"][0][inside], batch["barycentric"][0][inside])
    assert (above - below).norm(dim=-1).median() < 0.05
    assert (batch["triangle"][0] >= 0).sum() == (batch["layer"][0] > 0).sum()


def test_what_is_hidden_is_unknown_unless_the_sample_tells(sample):
    seen = layers_of(compact(sample))
    clothed = seen["layer"] > 1
    assert (seen["presence"][..., 0][clothed] == UNKNOWN).all() and (seen["triangle"][clothed] == -1).all()
    told = layers_of(sample)
    assert (told["presence"][..., 0][clothed] == PRESENT).all()
    assert (told["presence"][..., 1][told["layer"] == 0] == ABSENT).all()
    assert (told["presence"][..., 1][told["layer"] == 3] == UNKNOWN).all()


def test_a_skirts_cloth_has_no_place_on_the_legs(sample):
    dressed = replace(sample, body=sample.body | {"pieces": ("skin", "Skirt")})
    surface = canonical("lower").surface
    known, skirt, unnamed = (layers_of(one) for one in (sample, dressed, compact(sample)))
    for layers in (skirt, unnamed):
        batch = expand(stack([layers]))
        place = batch["lower_triangle"], batch["lower_barycentric"]
        inside = place[0] >= 0
        assert inside.any() and points.position(surface, place[0][inside], place[1][inside])[:, 2].min() >= 0
        assert (layers["layer"] == known["layer"]).all() and (layers["presence"] == known["presence"])[..., 2].all()
    legs = (known["lower_triangle"] >= 0) & (skirt["lower_triangle"] < 0)
    assert legs.sum() > 0.5 * (known["layer"] == 3).sum()


def test_bags_are_visible_as_body_but_have_no_place_on_it(sample):
    layer = sample.layer.copy()
    bag = np.zeros_like(sample.foreground)
    bag[20:30] = sample.foreground[20:30]
    layer[bag] = LAYER_NAMES.index("carried")
    layers = layers_of(compact(replace(sample, layer=layer)))
    assert (layers["layer"][bag] == 1).all() and (layers["triangle"][bag] == -1).all()


def test_mirroring_uses_each_layers_own_surface(sample):
    surfaces = {name: canonical(name).surface for name in ("upper", "lower")}
    config = replace(no_augmentation((96, 64)), flip_share=1.0)
    augment = Augment(config, load_template(), surfaces)
    batch = expand(stack([layers_of(sample)]))
    mirrored = augment(stack([layers_of(sample)]), torch.tensor([0]))
    for name, surface in surfaces.items():
        there = batch[f"{name}_triangle"] >= 0
        assert torch.equal(mirrored[f"{name}_triangle"].flip(2) >= 0, there)
        one = points.position(surface, batch[f"{name}_triangle"][there], batch[f"{name}_barycentric"][there])
        other = points.position(
            surface,
            mirrored[f"{name}_triangle"].flip(2)[there],
            mirrored[f"{name}_barycentric"].flip(2)[there],
        )
        assert ((one * torch.tensor([-1.0, 1, 1])) - other).norm(dim=-1).max() < 1e-3


def test_folders_are_mixed_and_sizes_are_not(tmp_path, sample):
    for name, size in (("a", (96, 64)), ("b", (96, 64)), ("c", (64, 64))):
        picture = layers_of(template_sample(math.pi, size))
        write_shards(lambda index, p=picture: p, 3, tmp_path / name, ShardSettings(size=size, per_shard=2))
    mixed = Shards([tmp_path / "a", tmp_path / "b"], layer_sample, [0.5, 0.5], seed=3)
    again = Shards([tmp_path / "a", tmp_path / "b"], layer_sample, [0.5, 0.5], seed=3)
    assert all(np.array_equal(mixed[i]["image"], again[i]["image"]) for i in range(5))
    assert "upper_triangle" in stack([mixed[0], mixed[1]])
    with pytest.raises(UserError, match="different sizes"):
        stack([mixed[0], Shards([tmp_path / "c"], layer_sample)[0]])
    with pytest.raises(UserError, match="shares"):
        Shards([tmp_path / "a"], layer_sample, [0.5, 0.5])


def test_layers_of_single_layer_maps():
    named = np.array([LAYER_NAMES.index(name) for name in ("background", "skin", "hair", "shoes", "upper", "lower")])
    assert visible_layer(named).tolist() == [0, 1, 1, 1, 2, 3]
    assert visible_layer(np.array([-1])).tolist() == [-1]
