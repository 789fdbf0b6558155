"""Optional backend: NVlabs/nvdiffrast 0.4 (CUDA only, built from source, licence for research or evaluation only).

It snaps coverage to 1/16 pixel, so silhouettes and triangle indices differ from warp's in a few pixels; depth ties go
to whichever triangle it drew first.
"""

from __future__ import annotations

import threading

import nvdiffrast.torch as nvdiffrast
import torch
from torch import Tensor

from bodymap.errors import UserError
from bodymap.rendering.rasterizer import Fragments

# A context holds scratch buffers and must not be used by two threads at once.
_contexts = threading.local()


def rasterize(clip: Tensor, triangles: Tensor, size: tuple[int, int], layers: int) -> list[Fragments]:
    """See ``bodymap.rendering.rasterize``; clip (B, V, 4) float32, triangles (F, 3) int32, contiguous and not empty."""
    if not clip.is_cuda:
        raise UserError("The rasteriser 'nvdiffrast' draws on a GPU only; choose 'warp', or move the data to a GPU.")
    context = _context(clip.device)
    if layers == 1:
        return [_fragments(nvdiffrast.rasterize(context, clip, triangles, size, grad_db=False)[0])]
    with nvdiffrast.DepthPeeler(context, clip, triangles, size, grad_db=False) as peeler:
        return [_fragments(peeler.rasterize_next_layer()[0]) for _ in range(layers)]


def _context(device: torch.device):
    made = _contexts.__dict__.setdefault("by_device", {})
    if device not in made:
        made[device] = nvdiffrast.RasterizeCudaContext(device)
    return made[device]


def _fragments(raster: Tensor) -> Fragments:
    """From its (u, v, z/w, triangle + 1), all zero in the background."""
    u, v, depth, code = raster.unbind(-1)
    # Indices above 2^24 do not fit a float: it stores the bits of the integer plus this (csrc/common/common.h).
    large = code.contiguous().view(torch.int32).long() - 0x4A800000
    triangle = torch.where(code <= 16777216.0, code.long(), large) - 1
    seen = triangle >= 0
    barycentric = torch.stack([u, v, 1 - u - v], dim=-1) * seen[..., None]
    return Fragments(triangle, barycentric, torch.where(seen, depth, 1.0))
