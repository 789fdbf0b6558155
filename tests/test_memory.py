"""What was known of a moved picture is known where it moved to, and not of what was hidden."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from bodymap.expansion import Reading
from bodymap.memory import recall
from bodymap.surface import load_template

SIZE = (128, 96)


@pytest.fixture(scope="module")
def scenery() -> np.ndarray:
    """Something with structure at every scale, larger than SIZE."""
    rng = np.random.default_rng(0)
    layers = sum(ndimage.gaussian_filter(rng.normal(size=(200, 160, 3)), (s, s, 0)) * s for s in (1, 3, 8))
    return np.interp(layers, np.percentile(layers, (1, 99)), (0, 255)).astype(np.uint8)


def reading(box=(0, 0, 96, 128), shape=SIZE) -> Reading:
    """A code that rises from left to right and from top to bottom of the photo."""
    left, top, right, bottom = box
    y = top + (torch.arange(shape[0]) + 0.5) * (bottom - top) / shape[0]
    x = left + (torch.arange(shape[1]) + 0.5) * (right - left) / shape[1]
    y, x = torch.broadcast_tensors(y[:, None] / SIZE[0], x / SIZE[1])
    return Reading(
        box=box,
        size=SIZE,
        picture=torch.zeros(3, *shape),
        codes=torch.stack([x, y, 0 * x, 0 * x + 0.8], -1),
        foreground=x.clone(),
        own=torch.ones(shape),
        layer=torch.zeros(7, *shape),
    )


@pytest.mark.parametrize("box", [(0, 0, 96, 128), (10, 6, 90, 118)])
def test_a_moved_picture(scenery, box):
    """The picture moves by (5, -3): what is at (x, y) now was at (x - 5, y + 3)."""
    before, now = scenery[20:148, 20:116], scenery[23:151, 15:111]
    memory = recall(before, reading(box), now, (0, 0, 96, 128), SIZE)
    inside = slice(16, 112), slice(20, 80)
    assert memory.known[inside].float().mean() > 0.98
    expected = (np.arange(96) + 0.5 - 5) / 96, (np.arange(128) + 0.5 + 3) / 128
    off_x = (memory.codes[..., 0] - torch.from_numpy(expected[0])).abs()
    off_y = (memory.codes[..., 1] - torch.from_numpy(expected[1])[:, None]).abs()
    assert off_x[inside][memory.known[inside]].median() < 0.3 / 96
    assert off_y[inside][memory.known[inside]].median() < 0.3 / 128
    assert (memory.foreground - torch.from_numpy(expected[0]))[inside].abs().median() < 0.3 / 96
    assert torch.allclose(memory.codes[..., 3], torch.tensor(0.8), atol=1e-5)
    # what has come in from outside the reading's crop was not seen before
    assert not memory.known[:, :4].any() or box[0] == 0
    assert memory.known[:, :4].float().mean() < 0.6


def test_what_comes_into_view_is_not_remembered(scenery):
    before, now = scenery[20:148, 20:116].copy(), scenery[20:148, 20:116].copy()
    before[40:80, 30:60] = scenery[150:190, 100:130]  # something stood there
    memory = recall(before, reading(), now, (0, 0, 96, 128), SIZE)
    assert memory.known[46:74, 36:54].float().mean() < 0.5
    assert memory.known[90:].float().mean() > 0.95


def test_another_picture_is_not_remembered(scenery):
    rng = np.random.default_rng(1)
    other = ndimage.gaussian_filter(rng.normal(size=(128, 96, 3)), (2, 2, 0))
    other = np.interp(other, np.percentile(other, (1, 99)), (0, 255)).astype(np.uint8)
    memory = recall(scenery[:128, :96], reading(), other, (0, 0, 96, 128), SIZE)
    assert memory.known.float().mean() < 0.4


def test_memory_speaks_for_the_remembered_place():
    t = load_template()
    still = np.zeros((*SIZE, 3), np.uint8)
    memory = recall(still, reading(), still, (0, 0, 96, 128), SIZE)
    assert memory.known.all()
    chosen = torch.arange(0, len(t.samples), 97)
    pixels = 60 + torch.arange(len(chosen))  # of the right half, which is the person's
    memory.codes.view(-1, 4)[pixels, :3] = t.sample_code[chosen]
    says = memory.evidence(t)
    said = says(pixels[None], None)[0]
    assert said.shape == (len(chosen), len(t.samples)) and torch.isfinite(said).all()
    assert (t.sample_geodesic[said.argmax(1), chosen] < 0.03).float().mean() > 0.95
    assert (says(torch.tensor([[0, 3]]), None) == 0).all()  # nobody was there: nothing is said

    # averages: only of what means the same place, and only where something is remembered
    codes = memory.codes.clone()
    codes[:64, :, 0] += 0.02
    codes[64:, :, 0] -= 0.5
    steadied = memory.steadied_codes(codes)
    person = memory.foreground > 0.5
    assert (steadied[:64, :, 0] < codes[:64, :, 0])[person[:64]].all()
    assert torch.equal(steadied[64:], codes[64:])
    probability = memory.steadied_foreground(torch.zeros(SIZE))
    assert (probability > 0).all() and (probability < memory.foreground).all()


def test_the_surer_guess_goes_into_the_correspondence_stream():
    still = np.zeros((*SIZE, 3), np.uint8)
    memory = recall(still, reading(), still, (0, 0, 96, 128), SIZE)  # confidence .8 everywhere
    condition = torch.zeros(1, 4, *SIZE)
    condition[0, :3] = memory.codes[..., :3].permute(2, 0, 1) - 0.05  # about the same place
    condition[:, 3, :40] = 0.9
    condition[:, 3, 40:80] = 0.3
    condition[0, :3, 60:80] -= 0.3  # another one
    condition[:, :3, 80:] = 0
    mixed = memory.into_condition(condition)
    assert torch.equal(mixed[..., :40, :], condition[..., :40, :])
    assert torch.equal(mixed[0, :, 40:60].permute(1, 2, 0), memory.codes[40:60])
    # a contradiction is not for memory to decide
    assert torch.equal(mixed[..., 60:80, :], condition[..., 60:80, :])
    # where the coarse stage sees nobody now, nobody is remembered into the picture
    assert (mixed[..., 80:, :] == 0).all()
    assert memory.into_condition(None) is None
