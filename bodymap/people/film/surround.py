"""From ``background.Backdrop`` records to painted pixels: the host side of the kernel in ``backdrop``."""

from __future__ import annotations

import numpy as np
import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor

from bodymap.people.film import backdrop
from bodymap.people.film.arrays import structs, view
from bodymap.people.film.blur import gaussian_blur
from bodymap.people.film.stagehand import Geometry
from bodymap.people.film.texels import texels


def paint_backdrops(
    g: Geometry, irradiance: Tensor, sun_keys: Tensor, cover: Tensor, device: torch.device
) -> Float[Tensor, "n pixel 3"]:
    """What lies behind everybody, linear, in and out of focus."""
    count, (height, width) = len(g.takes), g.takes[0].camera.size
    surrounds, boxes, holds = np.zeros(count, backdrop.SURROUND_DTYPE), [], []
    touching = np.concatenate([*(take.touching for take in g.takes), np.zeros((1, 2))]).astype(np.float32)
    axes, directions = np.zeros((2, count, 3, 3), np.float32)
    first = 0

    def address(image: np.ndarray) -> int:
        holds.append(texels(image, device))
        return holds[-1].data_ptr()

    for n, take in enumerate(g.takes):
        b, s = take.backdrop, surrounds[n : n + 1]
        s["kind"] = backdrop.ROOM if b.blocks else backdrop.PANORAMA if b.panorama else backdrop.FLAT
        image = b.image
        if image is None:
            image = np.full((1, 1, 3), 128, np.uint8)
        s["image"], s["height"], s["width"] = address(image), image.shape[0], image.shape[1]
        for name in ("yaw", "saturation", "contrast", "gain", "grain_strength", "axes", "low", "high"):
            s[name] = getattr(b, name)
        if b.grain is not None:
            s["grain"], s["grain_side"] = address(b.grain), len(b.grain)
            s["grain_size"] = b.grain_pixels * height / 256
        if b.sky is not None:
            s["open_sky"], s["sky"] = 1, b.sky
        s["first"], s["blocks"] = len(boxes), max(len(b.blocks) - 6, 0)
        for block in b.blocks:
            box = np.zeros((), backdrop.BOX_DTYPE)
            box["tile"], box["side"], box["metres"] = address(block.tile), len(block.tile), block.metres
            box["low"], box["high"], box["shade"], box["tint"] = block.low, block.high, block.shade, block.tint
            boxes.append(box)
        s["touching"], s["touches"] = first, len(take.touching)
        first += len(take.touching)
        K, T = take.camera.intrinsics.astype(np.float64), take.camera.T_camera_world.astype(np.float64)
        axes[n], directions[n] = T[:3, :3].T, np.linalg.inv(K)
    where = wp.device_from_torch(device)
    boxes = np.stack(boxes) if boxes else np.zeros(1, backdrop.BOX_DTYPE)
    out = torch.empty(count, height * width, 3, device=device)
    focused = torch.tensor([[float(take.backdrop.defocus == 0)] for take in g.takes], device=device)
    wp.launch(
        backdrop.backdrop_kernel,
        (count, height * width),
        inputs=[
            g.scenes,
            structs(surrounds, device),
            structs(boxes, device),
            view(torch.from_numpy(touching).to(device), dtype=wp.vec2),
            view(torch.from_numpy(axes).to(device), dtype=wp.mat33),
            view(torch.from_numpy(directions).to(device), dtype=wp.mat33),
            view(irradiance, dtype=wp.vec3),
            view(sun_keys, dtype=wp.uint64),
            view(g.sun_low),
            view(g.sun_high),
            # what is out of focus is blurred over, so it is painted everywhere
            view(cover * focused),
            height,
            width,
            view(out, dtype=wp.vec3),
        ],
        device=where,
    )
    soft = [n for n, take in enumerate(g.takes) if take.backdrop.defocus > 0]
    if soft:
        pictures = out[soft].view(-1, height, width, 3).permute(0, 3, 1, 2).contiguous()
        blurred = gaussian_blur(pictures, [g.takes[n].backdrop.defocus * height / 256 for n in soft])
        out[soft] = blurred.permute(0, 2, 3, 1).reshape(len(soft), -1, 3)
    return out
