"""Decoding a crop in blocks gives what weighing every sample for every pixel gives."""

import pytest
import torch

from bodymap.decoding import BLOCK, decode_crop
from bodymap.surface import colour, load_template, points
from bodymap.types import PART_NAMES

SIZE = (22, 37)


@pytest.fixture(scope="module")
def crop():
    """Scores and evidence of a crop whose left and right halves show two arms, in two minds about which."""
    t = load_template()
    generator = torch.Generator().manual_seed(0)
    # a strip of skin, in the order of its places from one end to the other
    arm = torch.nonzero(t.sample_part == PART_NAMES.index("left_forearm"))[:, 0]
    arm = arm[t.sample_geodesic[arm[0], arm].argsort()]
    strip = arm[torch.linspace(0, len(arm) - 1, 19).long()]
    true = torch.empty(SIZE, dtype=torch.long)
    true[:, :19] = strip
    true[:, 19:] = t.sample_mirror[strip[:18]]
    centre = t.sample_code[true.flatten()] * 255
    other = t.sample_code[t.sample_mirror[true.flatten()]] * 255
    bins = torch.arange(256.0)
    scores = torch.logaddexp(-(bins - centre[..., None]).square() / 18, -(bins - other[..., None]).square() / 18 - 0.5)
    scores = scores + torch.randn(scores.shape, generator=generator)
    expected = true.flatten()

    def says(pixels, samples):
        return 2 * colour.evidence_near(t, expected[pixels], 0.05, 0.02, samples)

    return t, scores, true, says


def exhaustive(t, scores, pixels, says):
    evidence = None if says is None else says(pixels[None], None)[0]
    triangle, barycentric, confidence = colour.decode_scores(t, scores[pixels], "likelihood", evidence)
    return torch.cat([points.code(t, triangle, barycentric), confidence[:, None]], 1)


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("kind", ["everything", "spots", "one pixel"])
def test_blocks_decide_as_single_pixels_do(crop, heard, kind):
    t, scores, _, says = crop
    wanted = torch.zeros(SIZE, dtype=torch.bool)
    if kind == "everything":
        wanted[:] = True
    elif kind == "spots":
        wanted = torch.rand(SIZE, generator=torch.Generator().manual_seed(1)) < 0.1
    else:
        wanted[-1, -1] = True
    pixels = wanted.flatten().nonzero()[:, 0]
    expected = exhaustive(t, scores, pixels, says if heard else None)
    evidence = [says] if heard else []
    every = decode_crop(t, lambda n: scores[n], wanted, evidence, len(t.samples))
    assert every.shape == (*SIZE, 4) and (every[~wanted] == 0).all()
    assert (every[wanted] - expected).abs().max() < 1e-3
    few = decode_crop(t, lambda n: scores[n], wanted, evidence)
    off = (few[wanted] - expected).abs()
    assert (off[:, :3].amax(1) > 1 / 255).float().mean() < 0.02
    assert off[:, 3].mean() < 0.01


def test_candidates_cover_a_block_that_shows_two_places(crop):
    """The border between the arms runs through blocks: both sides keep their own."""
    t, scores, true, says = crop
    assert 19 % BLOCK
    answer = decode_crop(t, lambda n: scores[n], torch.ones(SIZE, dtype=torch.bool), [says])
    sample = points.nearest_sample(t, *colour.decode_colour(t, answer[..., :3].reshape(-1, 3).contiguous()))
    assert (t.sample_geodesic[sample, true.flatten()] < 0.05).float().mean() > 0.97


def test_evidence_of_all_samples_and_of_some_agree(crop):
    t, _, _, says = crop
    pixels = torch.arange(32).view(2, 16)
    some = torch.randint(0, len(t.samples), (2, 9), generator=torch.Generator().manual_seed(2))
    assert torch.equal(says(pixels, some), says(pixels, None).gather(-1, some[:, None].expand(2, 16, 9)))
