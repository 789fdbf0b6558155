"""How high on the body each pixel of the lower garment lies, from mask and match alone: a network without colours.

Cloth does not show it. A long skirt's pixel shows only cloth, and the edge of the top above it, which a network that
sees the photograph takes for the waist, may be at the thighs. The person as a whole tells it: where head, shoulders,
hands and feet are. That is what this network looks at, on a grid of some 64 x 48 cells. Since it cannot recognise
people by what they wear, it errs elsewhere than the layered network, whose answer it corrects (``moved``).

Heights on the body at rest are nearly affine in the picture; the network starts from such a map (``affine_heights``)
and adds to it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from apps.layered.heads import CONDITIONS, condition_of
from apps.layered.samples import LOWER
from apps.layered.settings import HeightConfig
from bodymap.network.tokens import pad_to_multiple
from bodymap.surface import Template, colour, load_template

_STEPS, _SCALE = 8, 0.05  # of reweighted least squares; metres at which a pixel begins to count less
_RIDGE = 1e-4  # holds the slopes where what is known lies in a row
_ENOUGH = 8.0  # sum of the confidences
_ARM = 0.19  # of the code's first channel from the middle: there, and above the hips, are arms
_BINS = 64
_DOUBT = 1.5  # the layered network's spread is too small on people it has never seen: chosen on 22 of these
_SPREAD, _WIDEST = 0.1, 3.0  # metres that a spread of 0 stands for; the most it may differ, as a logarithm


class HeightNet(nn.Module):
    """Mask and match -> heights: a small U-Net, whose finest level has half of the grid's resolution."""

    def __init__(self, config: HeightConfig):
        super().__init__()
        self.config = config
        widths = config.widths
        self.multiple = 2 ** len(widths)
        self.stem = nn.Conv2d(4 * (CONDITIONS + 4 + 2), widths[0], 1)
        self.down = nn.ModuleList(_block(a, b) for a, b in zip((widths[0], *widths), widths, strict=False))
        self.up = nn.ModuleList(
            _block(above + width, width) for above, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.answer = nn.Conv2d(widths[0], 2, 1)
        nn.init.zeros_(self.answer.weight)  # begins as the affine map
        nn.init.zeros_(self.answer.bias)

    def forward(
        self, mask: Int[Tensor, "batch rows columns"], match: Float[Tensor, "batch 4 rows columns"]
    ) -> tuple[Float[Tensor, "batch rows columns"], Float[Tensor, "batch rows columns"]]:
        """Any size; about ``samples.CELLS`` along the longer side is what it was trained on.

        Args:
            mask: semantic, as ``LayeredNet``'s.
            match: the template's colour code in [0, 1] and a confidence, 0 where nothing is known.

        Returns:
            heights and their spread (mean absolute error, as the network sees it), metres on the lower garment's
            surface at rest. They mean something where that garment is, hidden or not.
        """
        rows, columns = mask.shape[-2:]
        template = load_template().to(match.device)
        start = affine_heights(template, match, mask)
        x = pad_to_multiple(torch.cat([condition_of(mask), match, start], 1), self.multiple)
        x = self.stem(F.pixel_unshuffle(x, 2))
        kept = []
        for number, block in enumerate(self.down):
            x = block(x if number == 0 else F.max_pool2d(x, 2))
            kept.append(x)
        x = x + x.mean((2, 3), keepdim=True)
        for block, finer in zip(self.up, kept[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), finer], 1))
        answer = F.interpolate(self.answer(x).float(), scale_factor=2.0, mode="bilinear", align_corners=False)
        answer = answer[..., :rows, :columns]
        spread = _SPREAD * answer[:, 1].clamp(-_WIDEST, _WIDEST).exp()
        return start[:, 0] + answer[:, 0], spread


def _block(before: int, width: int) -> nn.Sequential:
    groups = math.gcd(8, width)
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1),
        nn.GroupNorm(groups, width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.GroupNorm(groups, width),
        nn.ReLU(),
    )


def height_loss(
    height: Float[Tensor, "*grid"],
    spread: Float[Tensor, "*grid"],
    truth: Float[Tensor, "*grid"],
    known: Bool[Tensor, "*grid"],
) -> Float[Tensor, ""]:
    """Negative log likelihood of Laplace's distribution, mean over what is known; all in metres."""
    error = (height - truth).abs()[known]
    wide = spread[known]
    return (error / wide + (wide / _SPREAD).log()).sum() / known.sum().clamp(min=1)


@torch.no_grad()
def affine_heights(
    template: Template,
    match: Float[Tensor, "batch 4 height width"],
    mask: Int[Tensor, "batch height width"],
) -> Float[Tensor, "batch 2 height width"]:
    """The height of each of the person's pixels by an affine map of the picture, and how far to trust it.

    The map is fitted (iteratively reweighted, Cauchy's weights) to the matches of the person's pixels off the lower
    garment and off the arms, which may point anywhere.

    Args:
        match: the template's colour code in [0, 1] and a confidence, 0 where nothing is known.
        mask: semantic, index into NAMES, or the person or unknown (``apps.layered.heads``).

    Returns:
        metres on the template at rest in [-1, 1], and a trust in (0, 1]: one over the leverage, 1 amid the pixels that
        say something, near 0 far from them (of a chest alone nobody knows how far down the knees are). Both 0 off the
        person, and where too little is known for a map.
    """
    with torch.autocast(match.device.type, enabled=False):  # metres are finer than half precision
        return _affine(template, match.float(), mask)


def _affine(template: Template, match: Tensor, mask: Tensor) -> Tensor:
    batch, _, rows, columns = match.shape
    code, sure = match[:, :3], match[:, 3]
    high = height_of(template, code[:, 2])
    arm = (high > 0) & ((code[:, 0] - 0.5).abs() > _ARM)
    weight = torch.where((mask == 0) | (mask == LOWER) | arm, 0.0, sure)
    longest = max(rows, columns)
    y = (torch.arange(rows, device=match.device) / longest - 0.5).view(1, -1, 1).expand(batch, -1, columns)
    x = (torch.arange(columns, device=match.device) / longest - 0.5).view(1, 1, -1).expand(batch, rows, -1)
    at = torch.stack([y, x, torch.ones_like(y)], -1)

    at = at.flatten(1, 2)
    z, w = high.flatten(1), weight.flatten(1)
    total = w.sum(1)
    w = w / total.clamp(min=1e-6)[:, None]
    ridge = _RIDGE * torch.eye(3, device=match.device)
    now = w
    for _ in range(_STEPS):
        weighted = at * now[..., None]
        affine = torch.linalg.solve(weighted.mT @ at + ridge, weighted.mT @ z[..., None])
        now = w / (1 + ((z - (at @ affine)[..., 0]) / _SCALE) ** 2)
    fitted = (at @ affine)[..., 0].clamp(-1, 1)
    spread = torch.linalg.inv((at * now[..., None]).mT @ at / now.sum(1).clamp(min=1e-6).view(-1, 1, 1) + ridge)
    trust = 1 / ((at @ spread) * at).sum(-1).clamp(min=1)
    known = (total > _ENOUGH).view(-1, 1, 1) & (mask != 0)
    return torch.stack([fitted, trust], 1).view(batch, 2, rows, columns) * known[:, None]


def moved(
    surface: Template,
    code: Float[Tensor, "n 3"],
    own: Float[Tensor, " n"],
    height: Float[Tensor, " n"],
    spread: Float[Tensor, " n"],
) -> Float[Tensor, "n 3"]:
    """Colour codes moved along a surface towards other heights: two answers weighted by their inverse variances.

    Args:
        code: in [0, 1].
        own: spread of the codes' own heights, metres (``own_spread``).
        height, spread: of HeightNet, metres.
    """
    variance = (_DOUBT * own).square()
    share = variance / (variance + spread.square()).clamp(min=1e-12)
    target = code_at(surface, torch.lerp(height_of(surface, code[:, 2]), height, share))
    return torch.cat([code[:, :2], target[:, None]], 1)


def own_spread(surface: Template, scores: Float[Tensor, "n 3 256"]) -> Float[Tensor, " n"]:
    """Standard deviation in metres of the heights that scores of a surface's code (``LayeredNet.scores``) allow."""
    posterior = colour.sample_log_posterior(surface, scores).exp()
    heights = height_of(surface, surface.sample_code[:, 2])
    mean, square = (posterior @ torch.stack([heights, heights.square()], 1)).unbind(1)
    return (square - mean.square()).clamp(min=0).sqrt()


def height_of(surface: Template, code: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Metres on a surface at rest where its colour code's third channel has a value: nearly a function of it (the
    median vertex is off by a millimetre)."""
    metres = surface.kept("heights", lambda: _metres_of_codes(surface))
    place = code.clamp(0, 1) * _BINS
    low = place.floor().long().clamp(max=_BINS - 1)
    return metres[low].lerp(metres[low + 1], place - low)


def code_at(surface: Template, height: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The inverse of ``height_of``; heights beyond the surface are its ends."""
    metres = surface.kept("heights", lambda: _metres_of_codes(surface))
    height = height.clamp(float(metres[0]), float(metres[-1]))
    low = (torch.searchsorted(metres, height.contiguous()) - 1).clamp(0, _BINS - 1)
    return (low + (height - metres[low]) / (metres[low + 1] - metres[low])) / _BINS


def _metres_of_codes(surface: Template) -> Float[Tensor, " node"]:
    """Heights at the third channel's values 0, 1 / _BINS ... 1, rising: medians of the bins, linear between."""
    outside = surface.triangles[surface.triangle_inner == 0].unique().cpu()
    code, z = surface.code[outside, 2].cpu().double().numpy(), surface.vertices[outside, 2].cpu().double().numpy()
    number = np.minimum((code * _BINS).astype(int), _BINS - 1)
    filled = np.unique(number)
    centre, middle = (np.array([np.median(values[number == k]) for k in filled]) for values in (code, z))
    ends = np.concatenate([[0], centre, [1]]), np.concatenate([[z.min()], middle, [z.max()]])
    metres = np.maximum.accumulate(np.interp(np.arange(_BINS + 1) / _BINS, *ends)) + 1e-6 * np.arange(_BINS + 1)
    return torch.from_numpy(metres).float().to(surface.vertices.device)
