"""The network by itself on synthetic crops: no search for the person, just one pass at the sample's own size.

It answers what the predictor's figures cannot: what the CSE stage alone is worth, and whether BodyMap listens to it.
With the correspondence input zeroed or taken from another picture it must get worse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from bodymap.evaluation.judge import Judgement, judge
from bodymap.types import Correspondence, Sample

if TYPE_CHECKING:
    import torch

    from bodymap.surface import Template

INPUTS: tuple[str, ...] = ("own", "zero", "shuffle", "cse")


def evaluate_network(
    net: Any,
    template: Template,
    samples: Sequence[Sample],
    correspondence: str = "own",
    method: str = "likelihood",
    device: str | torch.device = "cpu",
    step: Callable[[], None] = lambda: None,
) -> list[Judgement]:
    """One pass over ``samples``, in their order.

    Args:
        net: a BodyMapNet; it is put into eval mode and left on ``device``.
        correspondence: what the correspondence stream is given: ``own`` the network's CSE match, ``zero`` nothing at
            all, ``shuffle`` the match of the sample before (the last one's for the first). ``cse`` judges the match
            itself. The mask is the CSE stage's in every case.
        method: decoder of the scores, ``likelihood`` or ``expectation``, or ``fused``: the likelihood together with the
            CSE stage's posterior, as the predictor has it. No effect on ``cse``.
        step: called after every picture.
    """
    import torch

    if correspondence not in INPUTS:
        raise ValueError(f"correspondence must be one of {INPUTS}, not {correspondence!r}")
    net.eval().to(device)
    judgements = []
    with torch.inference_mode():
        for index, sample in enumerate(samples):
            other = quarter = None
            if correspondence == "cse":
                own = _look(net, _image(sample.image, device))
                predicted = cse_map(net, template, sample.image, own)
                quarter = int(own.facing[0].argmax())
            else:
                if correspondence == "shuffle":
                    other = _look(net, _image(samples[index - 1].image, device))
                zeroed = correspondence == "zero"
                predicted = network_map(net, template, sample.image, method, other, zeroed, device=device)
            judgements.append(judge(template, sample, predicted, quarter))
            step()
    return judgements


def network_map(
    net: Any,
    template: Template,
    picture: UInt8[np.ndarray, "height width rgb=3"],
    method: str = "likelihood",
    match: Any = None,
    zeroed: bool = False,
    silhouette: str = "fine",
    device: str | torch.device = "cpu",
) -> Correspondence:
    """One pass of the network on a picture as it is; a record of what judging needs (``record``).

    Args:
        net: in eval mode.
        method: as in ``evaluate_network``.
        match: another ``CSEOutput`` for the correspondence stream; None: the picture's own. ``zeroed``: nothing there.
        silhouette: whose mask is the answer: ``fine`` the network's, ``cse`` the coarse stage's.
    """
    import torch

    from bodymap.network.cse import mask_from_foreground

    with torch.inference_mode():
        image = _image(picture, device)
        size = tuple(image.shape[-2:])
        own = _look(net, image)
        match = own if match is None else match
        given = None if net.correspondence is None else net.correspondence_image(match, size)
        if zeroed:
            given = torch.zeros_like(given)
        prediction = net(image, mask_from_foreground(own, size), given)
        mask = prediction.foreground[0, 0] > 0 if silhouette == "fine" else _coarse_mask(own, size)
        return _decoded(net, template, prediction, mask, method, match if method == "fused" else None)


def cse_map(
    net: Any,
    template: Template,
    picture: UInt8[np.ndarray, "height width rgb=3"],
    output: Any = None,
    device: str | torch.device = "cpu",
) -> Correspondence:
    """The coarse stage's match and silhouette of a picture as it is; ``output``: what the stage has said already."""
    import torch

    with torch.inference_mode():
        if output is None:
            output = _look(net, _image(picture, device))
        return _cse_points(net, template, output, picture.shape[:2])


def _image(picture, device) -> torch.Tensor:
    import torch

    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].to(device).float() / 255


def _look(net, image):
    """The CSE stage as the predictor asks it: both ways, where the width allows."""
    return net.cse(image) if image.shape[-1] % 4 else net.cse.both_ways(image)


def _decoded(net, template, prediction, mask, method, coarse) -> Correspondence:
    from bodymap.predictor import PredictorConfig
    from bodymap.surface import colour

    decoded = []
    for place in mask.nonzero().split(4096):
        row, column = place.unbind(1)
        evidence = None
        if coarse is not None:
            evidence = net.evidence_at(coarse, (row * 0, row, column), tuple(mask.shape))
            evidence *= PredictorConfig.coarse_weight
        scores = net.scores(prediction.features[0][:, row, column].T).float()
        how = "likelihood" if method == "fused" else method
        decoded.append(colour.decode_scores(template.to(scores.device), scores, how, evidence))
    layer = prediction.layer[0].argmax(dim=0)
    return record(mask.cpu().numpy(), *_joined(decoded), layer.cpu().numpy())


def _coarse_mask(output, size: tuple[int, int]):
    import torch.nn.functional as functional

    logits = functional.interpolate(output.foreground.float(), size=size, mode="bilinear", align_corners=False)
    return logits[0, 0] > 0


def _cse_points(net, template, output, size: tuple[int, int]) -> Correspondence:
    from bodymap.surface import colour

    mask = _coarse_mask(output, size)
    matched = net.correspondence_image(output, size)[0].float()
    codes, confidence = matched[:3, mask].T, matched[3, mask]
    decoded = [(*colour.decode_colour(template.to(codes.device), codes), confidence)] if len(codes) else []
    layer = np.zeros(size, np.int8)
    return record(mask.cpu().numpy(), *_joined(decoded), layer)


def _joined(decoded):
    import torch

    if not decoded:
        return np.zeros(0, np.int64), np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
    return tuple(torch.cat(values).cpu().numpy() for values in zip(*decoded, strict=True))


def record(mask, triangle, barycentric, confidence, layer) -> Correspondence:
    """A Correspondence of what judging needs: points, confidence and layers; colours, uv and parts stay empty."""
    record = Correspondence.empty(mask.shape)
    record.mask[:] = mask
    record.triangle[mask], record.barycentric[mask], record.confidence[mask] = triangle, barycentric, confidence
    record.layer[mask] = layer[mask]
    return record
