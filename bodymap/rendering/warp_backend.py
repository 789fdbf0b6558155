"""The default backend: NVIDIA warp's compiler (Apache-2.0), on any CPU and on CUDA, from one source.

On the CPU a launch uses one thread and the images of a batch are drawn one after another; parallelise by process. The
first use on a machine compiles for a few seconds into warp's own cache folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import warp as wp
from torch import Tensor

from bodymap.rendering.rasterizer import Fragments


@contextmanager
def _native_stderr_closed() -> Iterator[None]:
    """Sends what C code writes to stderr nowhere; Python exceptions are not touched."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


# Warp greets on start, complains from C when there is no GPU, and reports each module it loads: noise in every command.
wp.config.log_level = wp.LOG_WARNING
with nullcontext() if torch.cuda.is_available() else _native_stderr_closed():
    wp.init()

from bodymap.rendering import warp_kernels  # noqa: E402  (after the greeting has been silenced)

# On a GPU one thread walking the box of a floor or a backdrop would hold up the whole launch: its rows are dealt out.
CUDA_ROW_STEP = 8


def with_index(device: torch.device | str) -> torch.device:
    """The device by its full name: "cuda" alone means the current GPU to torch, and nothing to warp."""
    device = torch.device(device)
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", torch.cuda.current_device())


def torch_stream(device: torch.device) -> AbstractContextManager:
    """Within it launches are queued on torch's current stream: nothing needs synchronising with torch's buffers."""
    if device.type != "cuda":
        return nullcontext()
    return wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device)), sync_enter=False)


def rasterize(clip: Tensor, triangles: Tensor, size: tuple[int, int], layers: int) -> list[Fragments]:
    """See ``bodymap.rendering.rasterize``; clip (B, V, 4) float32, triangles (F, 3) int32, contiguous and not empty."""
    height, width = size
    batch, faces = clip.shape[0], triangles.shape[0]
    device = wp.device_from_torch(clip.device)
    row_step = min(CUDA_ROW_STEP, height) if clip.is_cuda else 1
    corners, indices = wp.from_torch(clip, dtype=wp.vec4), wp.from_torch(triangles, dtype=wp.vec3i)

    result, previous = [], None
    with torch_stream(clip.device):
        for _ in range(layers):
            # All bits set is the largest unsigned key: nothing drawn yet.
            buffer = torch.full((batch, height * width), -1, dtype=torch.int64, device=clip.device)
            keys = wp.from_torch(buffer, dtype=wp.uint64)
            peel = previous is not None
            wp.launch(
                warp_kernels.fill_kernel,
                dim=(batch, faces, row_step),
                inputs=[corners, indices, height, width, row_step, int(peel), previous if peel else keys, keys],
                device=device,
            )
            triangle = torch.empty((batch, height, width), dtype=torch.int64, device=clip.device)
            barycentric = torch.empty((batch, height, width, 3), device=clip.device)
            depth = torch.empty((batch, height, width), device=clip.device)
            wp.launch(
                warp_kernels.resolve_kernel,
                dim=(batch, height * width),
                inputs=[
                    corners,
                    indices,
                    height,
                    width,
                    keys,
                    wp.from_torch(triangle.view(batch, -1), dtype=wp.int64),
                    wp.from_torch(barycentric.view(batch, -1, 3), dtype=wp.vec3),
                    wp.from_torch(depth.view(batch, -1), dtype=wp.float32),
                ],
                device=device,
            )
            result.append(Fragments(triangle, barycentric, depth))
            previous = keys
    return result
