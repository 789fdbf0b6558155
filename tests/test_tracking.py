"""People of films whose frames carry their own truth: found, followed through motion, lost and found again."""

import numpy as np
import pytest
import torch
from support.oracle import BACKGROUND, Oracle, code_photo

from bodymap import BodyMap
from bodymap.predictor import PredictorConfig
from bodymap.surface import load_template, points
from bodymap.tracking import TrackingConfig, follow


@pytest.fixture(scope="module")
def model() -> BodyMap:
    return BodyMap(Oracle(), load_template(), config=PredictorConfig(size=160, coarse_size=128))


@pytest.fixture(scope="module")
def person():
    return code_photo(128)


def stage(*placed, size=(144, 260)):
    """A frame and whose pixels are whose, of (sample, left, top)."""
    frame = np.empty((*size, 3), np.uint8)
    frame[:] = BACKGROUND
    owner = np.full(size, -1)
    triangle, barycentric = np.full(size, -1), np.zeros((*size, 3), np.float32)
    for number, (sample, left, top) in enumerate(placed):
        height, width = sample.foreground.shape
        there = slice(top, top + height), slice(left, left + width)
        mask = sample.foreground
        frame[there][mask], owner[there][mask] = sample.image[mask], number
        triangle[there][mask], barycentric[there][mask] = sample.triangle[mask], sample.barycentric[mask]
    return frame, owner, triangle, barycentric


def iou(mask, truth) -> float:
    return (mask & truth).sum() / (mask | truth).sum()


def test_somebody_walks_through_the_picture(model, person):
    stages = [stage((person, 10 + 5 * k, 8)) for k in range(12)]
    got = list(follow(model, (s[0] for s in stages), config=TrackingConfig(survey_every=100)))
    assert len(got) == 12 and all(list(people) == [0] for people in got)
    t = load_template()
    for people, (_, owner, triangle, barycentric) in zip(got, stages, strict=True):
        c = people[0]
        assert iou(c.mask, owner == 0) > 0.9
        both = c.mask & (owner == 0)
        found, true = (
            points.position(t, torch.from_numpy(tri[both]).long(), torch.from_numpy(bary[both]))
            for tri, bary in ((c.triangle, c.barycentric), (triangle, barycentric))
        )
        assert (found - true).norm(dim=-1).median() < 0.02  # metres


def test_lost_and_found_again_under_the_same_number(model, person):
    frames = [stage((person, 60, 8))[0]] * 3 + [stage()[0]] * 2 + [stage((person, 90, 8))[0]] * 3
    got = list(follow(model, frames, config=TrackingConfig(survey_every=100)))
    assert [list(people) for people in got] == [[0]] * 3 + [[]] * 2 + [[0]] * 3
    assert iou(got[-1][0].mask, stage((person, 90, 8))[1] == 0) > 0.9


def test_nobody_for_a_while(model, person):
    frames = [stage()[0]] * 2 + [stage((person, 60, 8))[0]] * 2
    assert [list(people) for people in follow(model, frames)] == [[], [], [0], [0]]


def test_everybody_keeps_their_number(model, person):
    smaller = code_photo(100, 0.0)
    stages = [stage((person, 5 + 2 * k, 8), (smaller, 150 - 2 * k, 30)) for k in range(5)]
    got = list(follow(model, (s[0] for s in stages), everyone=True))
    assert all(sorted(people) == [0, 1] for people in got)
    for people, (_, owner, _, _) in zip(got, stages, strict=True):
        assert iou(people[0].mask, owner == 0) > 0.85 and iou(people[1].mask, owner == 1) > 0.85
    alone = list(follow(model, (s[0] for s in stages)))
    assert all(list(people) == [0] for people in alone)
    assert iou(alone[-1][0].mask, stages[-1][1] == 0) > 0.85


def test_the_same_film_gives_the_same_maps(model, person):
    frames = [stage((person, 20 + 3 * k, 8))[0] for k in range(4)]
    first, second = (list(follow(model, frames)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert all(np.array_equal(getattr(a[0], name), getattr(b[0], name), equal_nan=True) for name in vars(a[0]))


def test_memory_calms_what_trembles(person):
    """The oracle sees each frame with other noise on its codes: the average over frames has less of it."""

    def tremble(memory: bool) -> float:
        model = BodyMap(Oracle(), load_template(), config=PredictorConfig(size=160, coarse_size=128))
        rng = np.random.default_rng(0)
        frames = []
        for _ in range(6):
            frame, owner, *_ = stage((person, 60, 8))
            noise = rng.normal(0, 5, (*owner.shape, 1)).round().astype(int)
            frames.append(np.where((owner == 0)[..., None], frame + noise, frame).clip(0, 255).astype(np.uint8))
        got = [p[0] for p in follow(model, frames, config=TrackingConfig(memory=memory))]
        both = got[-1].mask & got[-2].mask
        return float(np.abs(got[-1].colour[both].astype(int) - got[-2].colour[both]).mean())

    assert tremble(True) < 0.8 * tremble(False)
