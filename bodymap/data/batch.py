"""Batches: what a sample becomes on its way to the losses.

*Compact*, on disk and between processes, 8 bytes a pixel:
    image (H, W, 3) uint8; triangle (H, W) int16, -1 outside; barycentric (H, W, 2) uint8, the first two corners in
    1/255; layer (H, W) int8, 0 exactly where there is no person; facing () float32, radians, NaN unknown.

*Batch*, what tasks consume:
    image (B, 3, H, W) float32 in [0, 1]; foreground (B, H, W) bool; triangle (B, H, W) int64, -1 outside;
    barycentric (B, H, W, 3) float32, 0 outside; layer (B, H, W) int64; facing (B,) float32, radians.

Photographs are known in part only. Triangle -1 on the foreground: somebody's pixel whose place nobody knows; synthetic
people have none. Layer UNKNOWN: the person, in who knows what layer. Layer UNJUDGED: not for any loss to look at.
With pseudo-truth there is also trust (H, W) uint8, in 1/255; as a Batch (B, H, W) float32 in [0, 1]: what a known pixel
counts in the losses on points.
Where normals were asked for (``bodymap.data.normals``) there is normal (H, W, 3) int8, in 1/127; as a Batch
(B, H, W, 3) float32, unit up to rounding, camera axes, 0 outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from bodymap.types import LAYER_NAMES, Sample

Batch = dict[str, Tensor]
Compact = dict[str, np.ndarray]

FIELDS = ("image", "triangle", "barycentric", "layer", "facing")
LAYER_SKIN = LAYER_NAMES.index("skin")
UNKNOWN, UNJUDGED = 127, -1  # layers outside LAYER_NAMES, which the layer loss passes over


def compact(sample: Sample | Compact) -> Compact:
    """A sample in its compact form (a compact one is returned as it is).

    Raises:
        ValueError: the template has more triangles than int16 can number.
    """
    if isinstance(sample, Mapping):
        return sample
    if sample.triangle.max(initial=0) > np.iinfo(np.int16).max:
        raise ValueError("shards number triangles in int16; this template has too many")
    corners = np.rint(np.clip(sample.barycentric[..., :2], 0, 1) * 255)
    # Rounding both up could leave the third corner below zero
    corners[..., 1] = np.minimum(corners[..., 1], 255 - corners[..., 0])
    triangle = np.where(sample.foreground, sample.triangle, -1)
    corners[triangle < 0] = 0
    # The layer alone tells the foreground: a person's pixel without a layer would be lost
    layer = np.where(sample.foreground, np.maximum(sample.layer, LAYER_SKIN), 0)
    return {
        "image": np.ascontiguousarray(sample.image, np.uint8),
        "triangle": triangle.astype(np.int16),
        "barycentric": corners.astype(np.uint8),
        "layer": layer.astype(np.int8),
        "facing": np.asarray(sample.facing, np.float32),
    }


def stack(samples: Sequence[Sample | Compact]) -> Batch:
    """Samples of one size -> compact tensors with a batch axis; the loader's ``collate``."""
    parts = [compact(sample) for sample in samples]
    return {name: torch.from_numpy(np.stack([part[name] for part in parts])) for name in parts[0]}


def expand(batch: Batch) -> Batch:
    """Compact tensors -> a Batch, on their device; other entries pass through.

    Further maps of places, on whatever surface, carry a prefix ("upper_triangle" with "upper_barycentric").
    """
    image = batch["image"]
    if image.dtype == torch.uint8:
        image = image.permute(0, 3, 1, 2).float().div_(255)
    places: Batch = {}
    for name in (name for name in batch if name.endswith("triangle")):
        corners_name = name.removesuffix("triangle") + "barycentric"
        triangle, corners = batch[name].long(), batch[corners_name]
        if corners.dtype == torch.uint8:
            first = corners.float().div_(255)
            corners = torch.cat([first, 1 - first.sum(-1, keepdim=True)], -1)
            corners *= (triangle >= 0)[..., None]
        places |= {name: triangle, corners_name: corners}
    layer = batch["layer"].long()
    return {
        **batch,
        **_unscaled(batch, "trust", torch.uint8, 255),
        **_unscaled(batch, "normal", torch.int8, 127),
        "image": image.contiguous(),
        "foreground": layer > 0,
        **places,
        "layer": layer,
    }


def _unscaled(batch: Batch, name: str, stored: torch.dtype, one: int) -> Batch:
    """An optional map as float32, where it is there and still as it is stored."""
    if name not in batch:
        return {}
    return {name: batch[name].float().div_(one) if batch[name].dtype == stored else batch[name]}


def collate(samples: Sequence[Sample | Compact]) -> Batch:
    """Samples of one size -> Batch."""
    return expand(stack(samples))
