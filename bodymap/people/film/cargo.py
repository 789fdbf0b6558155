"""Shots on their way from the processes that direct them to the device that takes them: one block of bytes a batch.

Meshes travel as slices of one tensor (one copy to the GPU), each once however many shots it stands in; images of the
pack do not travel: the other side has the pack.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from bodymap.people.director import Shot
from bodymap.people.mesh import Mesh
from bodymap.people.pack import Pack
from bodymap.people.stage import Actor

_ALIGNED = 16
_TENSORS = tuple(f.name for f in fields(Mesh) if f.name not in ("layers", "materials"))


@dataclass(frozen=True)
class _Packed:
    """A mesh's place in the block: (first byte, shape, dtype) of each tensor."""

    tensors: tuple[tuple[int, tuple[int, ...], torch.dtype], ...]
    layers: tuple[int, ...]
    materials: tuple


@dataclass(frozen=True)
class Cargo:
    """Shots whose actors' meshes and whose images were taken out.

    Attributes:
        data: all meshes' bytes.
        meshes: where each lies in them.
        shots: with numbers of ``meshes`` in place of meshes, and keys of the pack in place of its images.
    """

    data: UInt8[Tensor, " byte"]
    meshes: tuple[_Packed, ...]
    shots: tuple[Shot, ...]


def load(shots: list[Shot], pack: Pack) -> Cargo:
    """Packs the shots; ``pack`` is the one they were directed with."""
    known: dict[int, int] = {}
    packed: list[_Packed] = []
    blocks: list[Tensor] = []
    size = 0

    def number(actor: Actor | None) -> Actor | None:
        nonlocal size
        if actor is None:
            return None
        mesh = actor.mesh
        if id(mesh) not in known:
            places = []
            for name in _TENSORS:
                tensor = getattr(mesh, name).contiguous()
                flat = tensor.view(-1).view(torch.uint8)
                places.append((size, tuple(tensor.shape), tensor.dtype))
                blocks.append(torch.nn.functional.pad(flat, (0, -len(flat) % _ALIGNED)))
                size += len(blocks[-1])
            materials = tuple(replace(m, texture=pack.key_of(m.texture)) for m in mesh.materials)
            known[id(mesh)] = len(packed)
            packed.append(_Packed(tuple(places), mesh.layers, materials))
        return replace(actor, mesh=known[id(mesh)])

    stripped = []
    for shot in shots:
        backdrop = replace(shot.take.backdrop, image=pack.key_of(shot.take.backdrop.image))
        take = replace(shot.take, actors=tuple(number(a) for a in shot.take.actors), backdrop=backdrop)
        stripped.append(replace(shot, take=take, bare=number(shot.bare)))
    data = torch.cat(blocks) if blocks else torch.zeros(0, dtype=torch.uint8)
    return Cargo(data, tuple(packed), tuple(stripped))


def unload(cargo: Cargo, pack: Pack, device: torch.device | str = "cpu") -> list[Shot]:
    """The shots, their meshes on the device."""
    data = cargo.data.to(device, non_blocking=True)
    meshes = []
    for packed in cargo.meshes:
        tensors = {}
        for name, (start, shape, dtype) in zip(_TENSORS, packed.tensors, strict=True):
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            tensors[name] = data[start : start + size].view(dtype).view(shape)
        materials = tuple(replace(m, texture=_image(m.texture, pack)) for m in packed.materials)
        meshes.append(Mesh(**tensors, layers=packed.layers, materials=materials))

    def actor(stripped: Actor | None) -> Actor | None:
        return None if stripped is None else replace(stripped, mesh=meshes[stripped.mesh])

    shots = []
    for shot in cargo.shots:
        backdrop = replace(shot.take.backdrop, image=_image(shot.take.backdrop.image, pack))
        take = replace(shot.take, actors=tuple(actor(a) for a in shot.take.actors), backdrop=backdrop)
        shots.append(replace(shot, take=take, bare=actor(shot.bare)))
    return shots


def _image(image, pack: Pack):
    return pack.image(image) if isinstance(image, str) else image
