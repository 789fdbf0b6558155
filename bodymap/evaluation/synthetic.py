"""The two synthetic test sets: people of assets that training never saw, and new combinations of those it did see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bodymap.data.testset import TestSet, draw_test_picture
from bodymap.evaluation.judge import Judgement, judge, summarise
from bodymap.evaluation.network import evaluate_network
from bodymap.types import Correspondence, Sample

if TYPE_CHECKING:
    from bodymap.surface import Template

# Pictures in memory at a time
_CHUNK = 8

# Passes of the network by itself: name in the JSON -> (correspondence input, decoder)
PASSES: dict[str, tuple[str, str]] = {
    "network_fused": ("own", "fused"),
    "network": ("own", "likelihood"),
    "network_expectation": ("own", "expectation"),
    "network_cse_zeroed": ("zero", "likelihood"),
    "network_cse_shuffled": ("shuffle", "likelihood"),
    "cse": ("cse", "likelihood"),
}


def possible_passes(net: Any) -> tuple[str, ...]:
    """The names of PASSES that a network can run: none without a CSE stage; RGB-only has no CSE input."""
    if getattr(net, "cse", None) is None:
        return ()
    if getattr(net, "correspondence", None) is None:
        return "network", "network_expectation", "cse"
    return tuple(PASSES)


def test_samples(which: TestSet, count: int, pack: Any = None, config: Any = None) -> Iterator[Sample]:
    """The first ``count`` pictures of a set; the same ones every time, each with somebody in it.

    Args:
        pack: a people.pack.Pack; None is the shipped one.
        config: a PeopleConfig; None is the default.
    """
    for number in range(count):
        yield draw_test_picture(which, number, pack, config)


def evaluate_synthetic(
    template: Template,
    samples: Iterable[Sample],
    predict: Callable[[np.ndarray], Correspondence],
    net: Any = None,
    device: Any = "cpu",
    passes: Iterable[str] = (),
    step: Callable[[], None] = lambda: None,
    show: Callable[[Sample, Correspondence, Judgement], None] = lambda *_: None,
) -> dict[str, dict]:
    """Runs the predictor, and the network by itself, over one test set.

    Args:
        template: on the CPU.
        predict: (H, W, 3) uint8 -> Correspondence, the way users get it.
        net, device: the same network, for the passes.
        passes: names of PASSES.
        step: called once a picture when it has been made, predicted, and for every pass.
        show: called with every picture, the prediction and its judgement.

    Returns:
        ``{"bodymap": figures, pass: figures, ...}``.
    """
    passes = tuple(passes)
    judged: dict[str, list[Judgement]] = {name: [] for name in ("bodymap", *passes)}
    for chunk in _chunks(samples, step):
        for sample in chunk:
            correspondence = predict(sample.image)
            judged["bodymap"].append(judge(template, sample, correspondence))
            show(sample, correspondence, judged["bodymap"][-1])
            step()
        for name in passes:
            correspondence_input, method = PASSES[name]
            judged[name] += evaluate_network(net, template, chunk, correspondence_input, method, device, step)
    worst = float(template.sample_geodesic.max())
    return {name: summarise(judgements, worst, detail=name == "bodymap") for name, judgements in judged.items()}


def _chunks(samples: Iterable[Sample], step: Callable[[], None]) -> Iterator[list[Sample]]:
    """Lists of _CHUNK pictures or one more: never a lone last one, which would have no other to be shuffled with."""
    chunk: list[Sample] = []
    for sample in samples:
        if len(chunk) > _CHUNK:
            yield chunk[:-1]
            chunk = chunk[-1:]
        chunk.append(sample)
        step()
    if chunk:
        yield chunk
