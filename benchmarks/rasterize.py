"""Times the rasteriser on 54,000 triangles the size of a person.

python -m benchmarks.rasterize [--backend warp] [--device cpu] [--batch 1]
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import torch

from bodymap.rendering import interpolate, rasterize
from bodymap.rendering.camera import camera_looking_at, clip_from_world

TRIANGLES = 54_000


def capsule(triangles: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A standing body-sized ellipsoid (V, 3) in metres with about that many triangles (F, 3)."""
    columns = int((triangles / 2) ** 0.5)
    polar = torch.linspace(0.0, torch.pi, columns + 1)[:, None]
    azimuth = torch.linspace(0.0, 2 * torch.pi, columns + 1)[None]
    vertices = torch.stack(
        [0.3 * polar.sin() * azimuth.cos(), 0.3 * polar.sin() * azimuth.sin(), 0.9 - 0.9 * polar.cos() + 0 * azimuth],
        -1,
    ).reshape(-1, 3)
    corner = (torch.arange(columns)[:, None] * (columns + 1) + torch.arange(columns)).reshape(-1)
    a, b, c, d = corner, corner + 1, corner + columns + 1, corner + columns + 2
    return vertices, torch.cat([torch.stack([a, b, c], 1), torch.stack([b, d, c], 1)])


def milliseconds(function, device: torch.device, repeats: int) -> float:
    """The median wall time of a call, after two calls that are not counted."""
    times = []
    for i in range(repeats + 2):
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if i >= 2:
            times.append(1e3 * (time.perf_counter() - start))
    return sorted(times)[len(times) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    device = torch.device(arguments.device)
    vertices, triangles = (part.to(device) for part in capsule(TRIANGLES))
    triangles = triangles.int()
    print(f"{len(triangles)} triangles, batch {arguments.batch}, {device}; median milliseconds a batch")
    print("  size  covered  1 layer  3 layers  interpolate 3 channels")
    for size in (256, 512, 1024):
        camera = camera_looking_at((0.0, -3.0, 0.9), (0.0, 0.0, 0.9), 0.7, (size, size))
        clip = clip_from_world(vertices, camera).expand(arguments.batch, -1, -1)

        def draw(layers: int = 1, clip=clip, size=size):
            return rasterize(clip, triangles, (size, size), layers=layers, backend=arguments.backend)

        times = [
            milliseconds(draw, device, arguments.repeats),
            milliseconds(partial(draw, 3), device, arguments.repeats),
            milliseconds(partial(interpolate, vertices, draw()[0], triangles), device, arguments.repeats),
        ]
        covered = draw()[0].foreground.float().mean().item()
        print(f"  {size:4d}  {covered:6.1%}  {times[0]:7.2f}  {times[1]:8.2f}  {times[2]:7.2f}")


if __name__ == "__main__":
    main()
