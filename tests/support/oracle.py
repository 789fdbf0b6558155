"""A photo whose colours are the surface code itself, and a network that reads them: predictions have an exact truth."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bodymap.network.cse import CSEOutput
from bodymap.network.model import Prediction
from bodymap.surface import load_template
from bodymap.types import Sample
from support.pictures import template_sample

BACKGROUND = np.array([0, 0, 255], np.uint8)  # far from every code
BINS = torch.arange(256.0)


def code_photo(height: int, facing: float = 0.0, margin: int = 0) -> Sample:
    """The template painted in its own code on one plain colour; ``margin`` adds background to the left and right."""
    sample = template_sample(facing, (height, height * 3 // 4))
    image = sample.image.copy()
    image[~sample.foreground] = BACKGROUND
    sample = replace(sample, image=image)
    if not margin:
        return sample
    wider = {
        name: np.pad(
            getattr(sample, name),
            [(0, 0), (margin, margin)] + [(0, 0)] * (getattr(sample, name).ndim - 2),
            constant_values=fill,
        )
        for name, fill in (("foreground", False), ("triangle", -1), ("barycentric", 0), ("part", -1))
    }
    image = np.pad(image, [(0, 0), (margin, margin), (0, 0)])
    image[~wider["foreground"]] = BACKGROUND
    return replace(sample, image=image, **wider)


def _foreground(image):
    background = torch.from_numpy(BACKGROUND).float().view(1, 3, 1, 1) / 255
    return ((image - background).abs().amax(1, keepdim=True) - 0.18) * 40


class OracleStage:
    """The coarse stage: the colours at stride 4."""

    def __init__(self, calls):
        self.calls = calls

    def __call__(self, image):
        self.calls.append(tuple(image.shape[-2:]))
        small = F.interpolate(image, scale_factor=0.25, mode="nearest-exact")
        return CSEOutput(small, _foreground(small), torch.zeros(len(image), 4))

    def both_ways(self, image):
        return self(image)


class Oracle(nn.Module):
    """Has what the predictor asks of a network; whatever is not the background colour is a person of that code."""

    def __init__(self):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        self.correspondence = True
        self.calls = SimpleNamespace(cse=[], net=[], conditions=[])
        self.cse = OracleStage(self.calls.cse)

    def correspondence_image(self, output, size):
        inside = output.foreground > 0
        image = torch.cat([output.embedding * inside, inside.float()], 1)
        return F.interpolate(image, size, mode="nearest-exact")

    def evidence_at(self, output, pixels, size, samples=None):
        image, row, column = pixels
        rows, columns = output.embedding.shape[-2:]
        code = output.embedding[image, :, row * rows // size[0], column * columns // size[1]]
        asked = load_template().sample_code
        asked = asked if samples is None else asked[samples][:, None]
        return -(255 * (code[..., None, :] - asked)).square().sum(-1) / 400

    def forward(self, image, mask, correspondence):
        self.calls.net.append(tuple(image.shape[-2:]))
        self.calls.conditions.append(correspondence)
        layer = torch.zeros(1, 7, *image.shape[-2:])
        layer[:, 0] = 9.0
        layer[:, 3] = 1.0
        return Prediction(image, _foreground(image), layer, None)

    def scores(self, features):
        return -(BINS - features[..., None] * 255).square() / 8
