"""The colour code, backwards: from colours, or from the network's 3 x 256 scores, to points on the surface.

Two decoders of scores (METHOD, section 1):

* ``expectation``: each channel's expectation around its mode, then projection on the surface. Fast; three independent
  channels can mix two hypotheses (left and right) into a colour that lies off the surface.
* ``likelihood``: argmax over surface samples of sum_c log p_c(code_c(sample)), so that the channels must agree on one
  place; then the expectation within a window around that place, projected on the triangles near it.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.surface import points
from bodymap.surface.body import Template

BINS = 256
# Radius within which the posterior's mass counts as confidence, metres; half width of the refining window, bins.
CONFIDENCE_RADIUS = 0.05
WINDOW = 8
# Scores and evidence come from one picture and err together: their product taken at face value would be far too sure.
FUSED_TEMPER = 0.4
_BLOCK = 4096


def decode_colour(t: Template, colours: Float[Tensor, "point rgb=3"]) -> points.SurfacePoints:
    """Projects colours (float, [0, 1]) on the surface in colour space."""
    return points.project(t, t.code, colours, neighbours=2, key="code")


def sample_log_posterior(t: Template, scores: Float[Tensor, "point 3 256"]) -> Float[Tensor, "point sample"]:
    """log p(sample | scores), normalised over the samples; differentiable in the scores.

    log p(s) is sum_c log p_c(code_c(s)), each log p_c interpolated linearly between its two nearest bins.
    """
    # bins lead, so that a sample's score is a copy of whole rows: several times faster than gathering columns
    log_p = scores.log_softmax(-1).permute(1, 2, 0).contiguous()
    low, fraction = _sample_bins(t)
    total = sum(
        torch.lerp(log_p[c][low[:, c]], log_p[c][low[:, c] + 1], fraction[:, c, None].to(log_p.dtype)) for c in range(3)
    )
    return total.log_softmax(0).T


def decode_scores(
    t: Template,
    scores: Float[Tensor, "point 3 256"],
    method: Literal["likelihood", "expectation"] = "likelihood",
    evidence: Float[Tensor, "point sample"] | None = None,
) -> tuple[Int[Tensor, " point"], Float[Tensor, "point 3"], Float[Tensor, " point"]]:
    """Decodes scores to (triangle, barycentric, confidence); confidence in [0, 1], streamed in blocks.

    Confidence is the posterior's mass within CONFIDENCE_RADIUS (geodesic) of the answer; with ``expectation`` the
    product over the channels of the mass inside the window around the mode.

    Args:
        evidence: what else is known of the pixels: log likelihoods of the samples, up to a constant a pixel
            (``network.cse.evidence_at``). Both are multiplied; only with ``likelihood``.
    """
    if method not in ("likelihood", "expectation"):
        raise ValueError(f"method is 'likelihood' or 'expectation', not {method!r}")
    if evidence is not None and method != "likelihood":
        raise ValueError("only the method 'likelihood' takes evidence")
    blocks = []
    for part in (slice(i, i + _BLOCK) for i in range(0, len(scores), _BLOCK)):
        if method == "expectation":
            blocks.append(_decode_expectation(t, scores[part]))
        else:
            blocks.append(_decode_likelihood(t, scores[part], None if evidence is None else evidence[part]))
    if not blocks:
        empty = torch.zeros(0, device=scores.device)
        return empty.long(), empty.reshape(0, 3), empty
    return tuple(torch.cat(parts) for parts in zip(*blocks, strict=True))  # type: ignore[return-value]


def evidence_near(
    t: Template,
    expected: Int[Tensor, "*batch point"],
    sigma: float,
    floor: float,
    samples: Int[Tensor, "*batch candidate"] | None = None,
) -> Float[Tensor, "*batch point candidate"]:
    """Evidence of somebody who expects points at given samples: log likelihoods of ``samples`` (None: of all).

    Args:
        sigma: of the guess, metres along the surface.
        floor: likelihood, relative to the guess', of any other place: the guess may be wrong altogether.
    """
    if samples is None:
        distance = t.sample_geodesic[expected]
    else:
        distance = t.sample_geodesic[expected[..., :, None], samples[..., None, :]]
    return torch.log(torch.exp(distance**2 / (-2 * sigma**2)) + floor)


def _decode_likelihood(t: Template, scores: Tensor, evidence: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    # to find the place, each sample's nearest bin is enough; samples lead, so that rows are copied whole
    log_p = scores.float().log_softmax(-1)
    rows = log_p.permute(1, 2, 0).contiguous()
    bins = _nearest_bins(t)
    likelihood = rows[0][bins[:, 0]]
    likelihood += rows[1][bins[:, 1]]
    likelihood += rows[2][bins[:, 2]]
    if evidence is not None:
        likelihood.add_(evidence.T).mul_(FUSED_TEMPER)
    top, best = likelihood.max(0)
    near = _near_samples(t)[best].T
    # (clamped: numbers below the smallest normal float make exp many times slower)
    p = likelihood.sub_(top).clamp_(min=-40).exp_()
    mass = p.gather(0, near.clamp_min(0)).masked_fill(near < 0, 0)
    confidence = mass.sum(0) / p.sum(0)

    mean = (
        None if evidence is None else (mass[..., None] * t.sample_code[near.clamp_min(0)]).sum(0) / mass.sum(0)[:, None]
    )
    return *_place_near(t, log_p, best, mean), confidence.clamp(0, 1)


def sample_scores(t: Template, log_p: Float[Tensor, "*batch 3 256"]) -> Float[Tensor, "*batch sample"]:
    """Of each sample the sum over the channels of its nearest bin's log probability."""
    bins = _nearest_bins(t)
    return sum(log_p[..., c, :][..., bins[:, c]] for c in range(3))


def decode_among(
    t: Template,
    log_p: Float[Tensor, "block pixel 3 256"],
    among: Int[Tensor, "block candidate"],
    evidence: Float[Tensor, "block pixel candidate"] | None,
    unseen: Float[Tensor, " block"],
) -> tuple[Int[Tensor, " point"], Float[Tensor, "point 3"], Float[Tensor, " point"]]:
    """As ``decode_scores`` by likelihood, where all pixels of a block lie near some of the samples: only those are
    weighed.

    Args:
        log_p: of the bins.
        evidence: of the candidates.
        unseen: about which share of the posterior all other samples have.

    Returns:
        triangle, barycentric, confidence of each pixel, block after block.
    """
    bins = _nearest_bins(t)[among]
    size = *log_p.shape[:2], among.shape[1]
    likelihood = log_p[:, :, 0].gather(-1, bins[:, None, :, 0].expand(size))
    for c in (1, 2):
        likelihood += log_p[:, :, c].gather(-1, bins[:, None, :, c].expand(size))
    if evidence is not None:
        likelihood.add_(evidence).mul_(FUSED_TEMPER)
    top, choice = likelihood.max(-1, keepdim=True)
    best = among[:, None].expand(size).gather(-1, choice)
    near = _is_near(t)[best, among[:, None]]
    p = likelihood.sub_(top).clamp_(min=-40).exp_()
    mass = p * near
    confidence = mass.sum(-1) / p.sum(-1) * (1 - unseen[:, None])
    mean = None
    if evidence is not None:
        mean = (torch.bmm(mass, t.sample_code[among]) / mass.sum(-1, keepdim=True)).flatten(0, 1)
    return *_place_near(t, log_p.flatten(0, 1), best.flatten(), mean), confidence.clamp(0, 1).flatten()


def _place_near(
    t: Template, log_p: Float[Tensor, "point 3 256"], best: Int[Tensor, " point"], mean: Float[Tensor, "point 3"] | None
) -> points.SurfacePoints:
    """The exact place about the likeliest sample.

    Args:
        mean: the colours' posterior mean over the samples around, where evidence was heard.
    """
    # within the window around the sample's own code the channels are single-peaked: their expectation beats the bins
    colours, _, peaked = _windowed_expectation(log_p, t.code[t.samples[best]] * (BINS - 1))
    if mean is not None:
        # evidence has no channels: where theirs hardly peak, the posterior mean over the samples around says more
        colours = torch.lerp(mean, colours, peaked)
    return _project_near(t, colours, best)


def _decode_expectation(t: Template, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    log_p = scores.float().log_softmax(-1)
    colours, mass, _ = _windowed_expectation(log_p, log_p.argmax(-1).to(log_p.dtype))
    return *decode_colour(t, colours), mass.prod(-1)


def _windowed_expectation(
    log_p: Float[Tensor, "point 3 256"], centre: Float[Tensor, "point 3"]
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "point 3"], Float[Tensor, "point 3"]]:
    """(colour in [0, 1], mass, peaked): each channel's mean over the bins within WINDOW of the centre, the mass found
    there, and from 0 to 1 how much narrower it is than a flat window."""
    offsets = torch.arange(-WINDOW, WINDOW + 1, device=log_p.device)
    bins = centre.round().long()[..., None] + offsets
    valid = (bins >= 0) & (bins < BINS)
    weight = log_p.gather(-1, bins.clamp(0, BINS - 1)).exp() * valid
    mass = weight.sum(-1)
    # no mass at all (a channel that contradicts the other two): stay at the centre
    mean = (weight * bins).sum(-1) / mass.clamp_min(1e-8)
    variance = (weight * (bins - mean[..., None]).square()).sum(-1) / mass.clamp_min(1e-8)
    peaked = (1 - variance / (WINDOW * (WINDOW + 1) / 3)).clamp(0, 1)
    return torch.where(mass > 1e-8, mean, centre) / (BINS - 1), mass, peaked


def _project_near(
    t: Template, colours: Float[Tensor, "point rgb=3"], sample: Int[Tensor, " point"]
) -> points.SurfacePoints:
    """Projection in colour space, on the surface around a sample only, so that a decoded point cannot jump
    elsewhere."""
    candidates = t.sample_neighbours[sample]
    distance = (t.code[candidates] - colours[:, None]).square().sum(-1)
    nearest = candidates.gather(1, distance.topk(2, largest=False).indices)
    return points.project_on(t, t.code, colours, t.vertex_triangles[nearest].flatten(1))


def _nearest_bins(t: Template) -> Int[Tensor, "sample 3"]:
    return t.kept("nearest_bins", lambda: (t.sample_code * (BINS - 1)).round().long())


def _is_near(t: Template) -> Bool[Tensor, "sample sample"]:
    """Which samples lie within CONFIDENCE_RADIUS of each other."""
    return t.kept("is_near", lambda: t.sample_geodesic <= CONFIDENCE_RADIUS)


def _sample_bins(t: Template) -> tuple[Int[Tensor, "sample 3"], Float[Tensor, "sample 3"]]:

    def build():
        exact = t.sample_code * (BINS - 1)
        low = exact.floor().clamp(0, BINS - 2)
        return (low.long(), exact - low)

    return t.kept("sample_bins", build)


def _near_samples(t: Template) -> Int[Tensor, "sample near"]:
    """For each sample those within CONFIDENCE_RADIUS, padded with -1."""

    def build():
        inside = t.sample_geodesic <= CONFIDENCE_RADIUS
        width = int(inside.sum(1).max())
        order = t.sample_geodesic.argsort(1)[:, :width]
        return torch.where(inside.gather(1, order), order, torch.full_like(order, -1))

    return t.kept("near_samples", build)
