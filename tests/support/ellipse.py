"""Made-up samples without an engine: an ellipse of random surface points, and predictions of known quality."""

import numpy as np
import torch

from bodymap.surface import points
from bodymap.types import LAYER_NAMES, Camera, Correspondence, Sample

SIZE = (64, 48)


def ellipse(template, seed, facing=0.0, pieces=()):
    """A picture of noise in which an ellipse shows random surface points, and the normals of a ball."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    foreground = ((rows - 32) / 24) ** 2 + ((columns - 24 + seed % 3) / 12) ** 2 < 1
    outer = np.flatnonzero(template.triangle_inner.numpy() == 0)
    triangle = np.where(foreground, rng.choice(outer, SIZE), -1).astype(np.int32)
    barycentric = rng.dirichlet((1, 1, 1), SIZE).astype(np.float32) * foreground[..., None]
    part = np.full(SIZE, -1, np.int16)
    inside = torch.from_numpy(triangle[foreground]).long(), torch.from_numpy(barycentric[foreground])
    part[foreground] = points.part(template, *inside).numpy()
    right, down = (columns - 24 + seed % 3) / 12, (rows - 32) / 24
    normal = np.stack([right, down, -np.sqrt(np.maximum(1 - right**2 - down**2, 0))], -1) * foreground[..., None]
    return Sample(
        image=rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8),
        foreground=foreground,
        triangle=triangle,
        barycentric=barycentric,
        part=part,
        layer=np.where(foreground, LAYER_NAMES.index("upper"), 0).astype(np.int8),
        normal=normal.astype(np.float32),
        instance=foreground.astype(np.int8),
        camera=Camera(np.eye(3, dtype=np.float32), np.eye(4, dtype=np.float32), SIZE),
        facing=facing,
        body={"pieces": pieces},
        seeds=(seed,) * 4,
    )


def truth_as_prediction(template, sample):
    inside = sample.foreground
    colour = np.zeros((*inside.shape, 3), np.uint8)
    place = torch.from_numpy(sample.triangle[inside]).long(), torch.from_numpy(sample.barycentric[inside])
    colour[inside] = (255 * points.code(template, *place)).round().byte().numpy()
    return Correspondence(
        mask=inside,
        confidence=inside.astype(np.float32),
        colour=colour,
        uv=np.zeros((*inside.shape, 2), np.float32),
        part=sample.part,
        triangle=sample.triangle,
        barycentric=sample.barycentric,
        layer=sample.layer,
    )
