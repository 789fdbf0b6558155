"""Meshes and textures where the kernels can read them: on the device, kept as long as their mesh lives."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
import torch
import warp as wp
from torch import Tensor

from bodymap.people.film import records
from bodymap.people.film.records import BONES, CAST_DTYPE, MATERIAL_COLUMNS, WAVES, Cast
from bodymap.people.film.texels import texels
from bodymap.people.material import Material
from bodymap.people.mesh import Mesh


@dataclass(frozen=True)
class Resident:
    """One mesh on a device.

    Attributes:
        record: () structured, a ``Cast`` without its placement.
        vertices, faces: how many there are.
        holds: the tensors whose memory the record points into.
    """

    record: np.ndarray
    vertices: int
    faces: int
    holds: tuple


_residents: dict[torch.device, weakref.WeakKeyDictionary[Mesh, Resident]] = {}


def resident(mesh: Mesh, device: torch.device) -> Resident:
    """The mesh on the device; copied there once."""
    kept = _residents.setdefault(device, weakref.WeakKeyDictionary())
    if mesh not in kept:
        kept[mesh] = _bring(mesh, device)
    return kept[mesh]


def _bring(mesh: Mesh, device: torch.device) -> Resident:
    cast = Cast()
    holds: list = []

    def give(name: str, values: Tensor | np.ndarray, dtype: type) -> None:
        tensor = torch.as_tensor(values).to(device).contiguous()
        holds.append(tensor)
        setattr(cast, name, wp.from_torch(tensor, dtype=dtype))

    for name in ("vertices", "rest", "truth"):
        give(name, getattr(mesh, name), wp.vec3)
    for name in ("cloth", "uv"):
        give(name, getattr(mesh, name), wp.vec2)
    for name in ("triangles", "uv_triangles"):
        give(name, getattr(mesh, name), wp.vec3i)
    for name in ("piece", "template_triangle", "vertex_piece"):
        give(name, getattr(mesh, name), wp.int32)
    give("index", mesh.index, wp.uint8)
    give("weight", mesh.weight, wp.float32)
    give("layer", torch.tensor(mesh.layers, dtype=torch.int32), wp.int32)

    def address(image: np.ndarray | None) -> int:
        if image is None:
            return 0
        holds.append(texels(image, device))
        return holds[-1].data_ptr()

    count = len(mesh.materials)
    rows = np.zeros((count, MATERIAL_COLUMNS), np.float32)
    waves = np.zeros((count, WAVES, 4), np.float32)
    addresses, sizes = np.zeros((count, 2), np.int64), np.zeros((count, 4), np.int32)
    for k, material in enumerate(mesh.materials):
        rows[k] = material_row(material)
        if material.waves is not None:
            waves[k, :, :3], waves[k, :, 3] = material.waves, material.phases
        addresses[k] = address(material.texture), address(material.pattern)
        if material.texture is not None:
            sizes[k, :3] = material.texture.shape
        if material.pattern is not None:
            sizes[k, 3] = material.pattern.shape[0]
    give("material", rows, wp.float32)
    give("waves", waves, wp.vec4)
    give("wave_metres", 1 / np.maximum(np.linalg.norm(waves[..., :3], axis=-1), 1e-6), wp.float32)
    give("texture", addresses[:, 0].copy(), wp.uint64)
    give("pattern", addresses[:, 1].copy(), wp.uint64)
    give("texture_size", sizes[:, :3].copy(), wp.vec3i)
    give("pattern_size", sizes[:, 3].copy(), wp.int32)
    assert mesh.index.shape[1] == BONES
    record = np.array(cast.numpy_value(), dtype=CAST_DTYPE)
    return Resident(record, len(mesh.vertices), len(mesh.triangles), tuple(holds))


def material_row(material: Material) -> np.ndarray:
    """The numbers of a material in the order of ``records``."""
    row = np.zeros(MATERIAL_COLUMNS, np.float32)
    row[[records.RED, records.GREEN, records.BLUE]] = material.colour
    texture, tint = material.texture, material.tint
    row[records.ALPHA] = material.alpha and texture is not None and texture.shape[-1] == 4
    row[records.GLOSS], row[records.SHINE] = material.gloss, material.shine
    row[records.WEAVE], row[records.SHEEN] = material.weave, material.sheen
    row[records.FOLDS] = material.folds if material.waves is not None else 0.0
    row[records.RELIEF] = material.relief if material.waves is not None else 0.0
    row[records.PATTERN_METRES], row[records.PATTERN_BLEND] = material.pattern_size, material.pattern_blend
    row[records.MEAN] = max(material.mean_brightness, 0.05)
    if tint is not None:
        row[records.TINT] = 2.0 if tint.replaces else 1.0
        row[[records.TINT_RED, records.TINT_GREEN, records.TINT_BLUE]] = tint.colour
        row[records.TINT_POWER], row[records.TINT_MEAN] = tint.power, max(tint.mean, 0.02)
    return row
