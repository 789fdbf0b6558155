"""A fitted body repairs what a map has wrong in places, and keeps silent where it does not understand the map."""

import numpy as np
import torch
from support.oracle import Oracle, code_photo

from bodymap import BodyMap
from bodymap.fitting.feedback import body_samples, evidence_of_body
from bodymap.predictor import PredictorConfig
from bodymap.surface import load_template, points


def test_a_leg_that_was_taken_for_the_other_is_expected_to_be_itself():
    t, sample = load_template(), code_photo(240)
    mask = torch.from_numpy(sample.foreground)
    place = (
        torch.from_numpy(sample.triangle[sample.foreground]).long(),
        torch.from_numpy(sample.barycentric[sample.foreground]),
    )
    codes = torch.zeros(*mask.shape, 4)
    codes[mask] = torch.cat([points.code(t, *place), torch.full((int(mask.sum()), 1), 0.9)], 1)
    true = points.nearest_sample(t, *place)
    wrong = codes.clone()
    mirrored = points.mirror(t, *place)
    swapped = torch.from_numpy(sample.part[sample.foreground] == 12)  # left shin
    assert swapped.any()
    values = wrong[mask]
    values[swapped, :3] = points.code(t, *mirrored)[swapped]
    wrong[mask] = values
    expected = body_samples(t, wrong, mask)
    assert expected is not None and expected.shape == mask.shape
    distance = t.sample_geodesic[expected[mask], true]
    assert distance.median() < 0.05 and distance[swapped].median() < 0.08

    pixels = mask.flatten().nonzero()[:48, 0].view(3, 16)
    said = evidence_of_body(t, expected)(pixels, None)
    assert said.shape == (3, 16, len(t.samples)) and torch.isfinite(said).all()
    assert torch.equal(said.argmax(-1), expected.flatten()[pixels])
    some = torch.randint(0, len(t.samples), (3, 20), generator=torch.Generator().manual_seed(0))
    asked = evidence_of_body(t, expected)(pixels, some)
    assert torch.equal(asked, said.gather(-1, some[:, None].expand(3, 16, 20)))


def test_nonsense_is_left_alone():
    t, sample = load_template(), code_photo(160)
    mask = torch.from_numpy(sample.foreground)
    rng = np.random.default_rng(0)
    codes = torch.zeros(*mask.shape, 4)
    anything = torch.from_numpy(rng.integers(0, len(t.samples), int(mask.sum())))
    codes[mask] = torch.cat([t.sample_code[anything], torch.ones(len(anything), 1)], 1)
    assert body_samples(t, codes, mask) is None
    assert body_samples(t, codes, torch.zeros_like(mask)) is None


def test_a_right_map_stays_right():
    sample = code_photo(224)
    config = PredictorConfig(size=160, coarse_size=128, fit=True)
    c = BodyMap(Oracle(), load_template(), config=config).predict(sample.image)
    both = c.mask & sample.foreground
    assert (c.part == sample.part)[both].mean() > 0.92
