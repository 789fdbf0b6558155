"""Meshes and textures where the kernels can read them: on the device, kept as long as their mesh lives."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
import torch
import warp as wp
from torch import Tensor

from bodymap.people.film import records
from bodymap.people.film.arrays import view
from bodymap.people.film.records import BONES, CAST_DTYPE, MATERIAL_COLUMNS, WAVES
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


# What a piece is made of, a row each; addresses first, for their alignment
_TABLE = np.dtype(
    [
        ("texture", np.int64),
        ("pattern", np.int64),
        ("waves", np.float32, (WAVES, 4)),
        ("wave_metres", np.float32, WAVES),
        ("material", np.float32, MATERIAL_COLUMNS),
        ("texture_size", np.int32, 3),
        ("pattern_size", np.int32),
        ("layer", np.int32),
    ],
    align=True,
)
_COLUMNS = {
    "texture": (torch.int64, wp.uint64),
    "pattern": (torch.int64, wp.uint64),
    "waves": (torch.float32, wp.vec4),
    "wave_metres": (torch.float32, wp.float32),
    "material": (torch.float32, wp.float32),
    "texture_size": (torch.int32, wp.vec3i),
    "pattern_size": (torch.int32, wp.int32),
    "layer": (torch.int32, wp.int32),
}

_residents: dict[torch.device, weakref.WeakKeyDictionary[Mesh, Resident]] = {}


def resident(mesh: Mesh, device: torch.device) -> Resident:
    """The mesh on the device; copied there once."""
    kept = _residents.setdefault(device, weakref.WeakKeyDictionary())
    if mesh not in kept:
        kept[mesh] = _bring(mesh, device)
    return kept[mesh]


def _bring(mesh: Mesh, device: torch.device) -> Resident:
    record = np.zeros((), CAST_DTYPE)
    holds: list = []

    def give(name: str, tensor: Tensor, dtype: type) -> None:
        holds.append(tensor.to(device).contiguous())
        record[name] = view(holds[-1], dtype).numpy_value()

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

    def address(image: np.ndarray | None) -> int:
        if image is None:
            return 0
        holds.append(texels(image, device))
        return holds[-1].data_ptr()

    table = np.zeros(len(mesh.materials), _TABLE)
    table["layer"] = mesh.layers
    waves = table["waves"]
    for k, material in enumerate(mesh.materials):
        table["material"][k] = material_row(material)
        if material.waves is not None:
            waves[k, :, :3], waves[k, :, 3] = material.waves, material.phases
        table["texture"][k], table["pattern"][k] = address(material.texture), address(material.pattern)
        if material.texture is not None:
            table["texture_size"][k] = material.texture.shape
        if material.pattern is not None:
            table["pattern_size"][k] = material.pattern.shape[0]
    table["wave_metres"] = 1 / np.maximum(np.linalg.norm(waves[..., :3], axis=-1), 1e-6)
    # one copy to the device; the kernels see its columns
    rows = torch.from_numpy(table.view(np.uint8).reshape(len(table), -1)).to(device)
    holds.append(rows)
    for name, (kind, dtype) in _COLUMNS.items():
        first, size = _TABLE.fields[name][1], _TABLE.fields[name][0].itemsize
        column = rows[:, first : first + size].view(kind).view(len(table), *_TABLE.fields[name][0].shape)
        record[name] = view(column, dtype).numpy_value()
    assert mesh.index.shape[1] == BONES
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
