"""Truth that is mirrored and turned with its picture: left becomes right on the template, normals turn in the plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bodymap.data.batch import Batch


class Mirror(Protocol):
    """The template's left-right symmetry; ``bodymap.surface.Template`` has it.

    Corner k of triangle f corresponds to corner mirror_corner[f, k] of triangle mirror_triangle[f].
    """

    mirror_triangle: Int[Tensor, " face"]
    mirror_corner: Int[Tensor, "face corner=3"]


def mirror_truth(
    batch: Batch,
    flip: Bool[Tensor, " batch"],
    tables: Mapping[str, tuple[Int[Tensor, " face"], Int[Tensor, "face corner=3"]]],
) -> Batch:
    """The truth of mirrored pictures for the samples where ``flip`` is set: left and right change on the template.

    Only the values change, the pixels are mirrored by the warp (or by ``flip_batch``). Maps may carry a prefix
    ("upper_triangle" with "upper_barycentric").

    Args:
        tables: ``mirror_triangle`` and ``mirror_corner`` of the surface of each prefix; "": of all others.
    """
    rows = flip.cpu().nonzero()[:, 0].to(batch["image"].device)
    if len(rows) == 0:
        return batch
    batch = dict(batch)
    for name in [name for name in batch if name.endswith("triangle")]:
        prefix = name.removesuffix("triangle")
        corners_name = prefix + "barycentric"
        table = tables.get(prefix.rstrip("_"), tables[""])
        mirror_triangle, mirror_corner = (part.to(rows.device) for part in table)
        triangle, corners = batch[name][rows], batch[corners_name][rows]
        known = triangle >= 0
        faces = triangle[known]
        order = mirror_corner[faces]
        triangle[known] = mirror_triangle[faces]
        corners[known] = torch.zeros_like(corners[known]).scatter_(-1, order, corners[known])
        batch[name] = batch[name].index_copy(0, rows, triangle)
        batch[corners_name] = batch[corners_name].index_copy(0, rows, corners)
    if "facing" in batch:
        batch["facing"] = batch["facing"].index_copy(0, rows, -batch["facing"][rows])
    if "normal" in batch:
        across = batch["normal"].new_tensor([-1, 1, 1])
        batch["normal"] = batch["normal"].index_copy(0, rows, batch["normal"][rows] * across)
    return batch


def flip_batch(batch: Batch, mirror: Mirror) -> Batch:
    """A Batch mirrored left to right, pixels and truth; twice gives the batch back exactly."""
    flipped = {
        name: value.flip(-1) if name == "image" else value.flip(2) if value.ndim >= 3 else value
        for name, value in batch.items()
    }
    everything = torch.ones(len(batch["image"]), dtype=torch.bool)
    return mirror_truth(flipped, everything, {"": (mirror.mirror_triangle, mirror.mirror_corner)})


def turn_normals(
    normal: Float[Tensor, "batch height width xyz=3"], matrix: Float[Tensor, "batch 2 2"], flip: Bool[Tensor, " batch"]
) -> Float[Tensor, "batch height width xyz=3"]:
    """Normals turn with the picture about the camera's axis; mirroring is ``mirror_truth``'s.

    Scale and stretch change the camera, not how the surface lies: they leave normals as they are.
    """
    axes = matrix / torch.linalg.vector_norm(matrix, dim=1, keepdim=True)  # of the output, in the source
    across = torch.where(flip.to(axes.device), -1.0, 1.0)[:, None] * axes[:, :, 0]
    x, y, z = normal.unbind(-1)
    along = lambda axis: axis[:, 0, None, None] * x + axis[:, 1, None, None] * y  # noqa: E731
    return torch.stack([along(across), along(axes[:, :, 1]), z], -1)
