"""The rasteriser's one signature, its output record, and the registry of backends behind it.

Conventions, the same for every backend: clip coordinates (x, y, z, w) with x/w, y/w, z/w in [-1, 1] inside the view;
row 0 of the image is y/w = -1 and column 0 is x/w = -1 (``bodymap.rendering.camera`` builds such coordinates, so row 0
is the top of the photograph); pixels are sampled at their centres; both sides of a triangle are drawn.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bodymap.errors import UserError

# name -> (package that must be installed, our module). "warp" comes with the project, the others are optional.
BACKENDS: dict[str, tuple[str, str]] = {
    "warp": ("warp", "bodymap.rendering.warp_backend"),
    "nvdiffrast": ("nvdiffrast", "bodymap.rendering.nvdiffrast_backend"),
    "pytorch3d": ("pytorch3d", "bodymap.rendering.pytorch3d_backend"),
}
DEFAULT_BACKEND = "warp"
ENVIRONMENT_VARIABLE = "BODYMAP_RASTERIZER"


@dataclass(frozen=True)
class Fragments:
    """What one layer of every pixel shows.

    Attributes:
        triangle: (B, H, W) int64 index into the triangles, -1 where nothing is.
        barycentric: (B, H, W, 3) float32, perspective-correct weights of the three corners, 0 where nothing is.
        depth: (B, H, W) float32, z/w in [-1, 1], 1 (the far plane) where nothing is.
    """

    triangle: Int[Tensor, "batch height width"]
    barycentric: Float[Tensor, "batch height width corner=3"]
    depth: Float[Tensor, "batch height width"]

    @property
    def foreground(self) -> Tensor:
        """(B, H, W) bool: where a triangle is seen."""
        return self.triangle >= 0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.triangle.shape[1], self.triangle.shape[2]

    def to(self, device: torch.device | str) -> Fragments:
        """The same fragments on another device."""
        return Fragments(self.triangle.to(device), self.barycentric.to(device), self.depth.to(device))


def available_backends() -> list[str]:
    """Names of the backends whose package is installed here (nothing is imported)."""
    return [name for name, (package, _) in BACKENDS.items() if importlib.util.find_spec(package) is not None]


def rasterize(
    clip: Float[Tensor, "batch vertex xyzw=4"] | Float[Tensor, "vertex xyzw=4"],
    triangles: Int[Tensor, "face corner=3"],
    size: tuple[int, int],
    layers: int = 1,
    backend: str = "auto",
) -> list[Fragments]:
    """Finds, for every pixel, the nearest triangle under its centre, and the next ones behind it when asked.

    Nothing is culled; equal depths go to the lowest triangle index; what lies behind the camera or outside
    -1 <= z/w <= 1 is not drawn. No gradient flows: ``interpolation.pixel_barycentric`` recomputes the weights with one.

    Args:
        clip: (B, V, 4) float32 clip coordinates; (V, 4) counts as a batch of one.
        triangles: (F, 3) int32 or int64 vertex indices, shared by the batch, on the same device.
        size: (height, width) in pixels.
        layers: number of surfaces to peel, nearest first. A pixel centre exactly on an edge that two triangles share
            may count both.
        backend: "warp", "nvdiffrast", "pytorch3d", or "auto": what BODYMAP_RASTERIZER says if it is set, else warp.

    Returns:
        ``layers`` records, nearest first.

    Raises:
        UserError: the backend is unknown, or its package is not installed.
        ValueError: shapes, size or vertex indices (checked on the CPU only) are wrong.
    """
    if clip.dim() == 2:
        clip = clip[None]
    if clip.dim() != 3 or clip.shape[-1] != 4:
        raise ValueError(f"clip must be (B, V, 4), not {tuple(clip.shape)}.")
    if triangles.dim() != 2 or triangles.shape[-1] != 3:
        raise ValueError(f"triangles must be (F, 3), not {tuple(triangles.shape)}.")
    height, width = (int(n) for n in size)
    if height < 1 or width < 1 or layers < 1:
        raise ValueError(f"size and layers must be positive, not {size} and {layers}.")

    batch, device = clip.shape[0], clip.device
    if batch == 0 or triangles.shape[0] == 0:
        return [_background(batch, height, width, device) for _ in range(layers)]
    # A wrong index would read foreign memory. On a GPU the check would stall the stream, so it is left to the caller.
    if device.type == "cpu" and (int(triangles.min()) < 0 or int(triangles.max()) >= clip.shape[1]):
        raise ValueError(f"triangles name vertices outside 0..{clip.shape[1] - 1}.")

    clip = clip.detach().to(torch.float32).contiguous()
    triangles = triangles.to(device=device, dtype=torch.int32).contiguous()
    return _load_backend(backend).rasterize(clip, triangles, (height, width), layers)


def _background(batch: int, height: int, width: int, device: torch.device) -> Fragments:
    return Fragments(
        torch.full((batch, height, width), -1, dtype=torch.int64, device=device),
        torch.zeros((batch, height, width, 3), device=device),
        torch.ones((batch, height, width), device=device),
    )


def _load_backend(name: str):
    """The module behind a backend's name; it has one function, ``rasterize(clip, triangles, size, layers)``."""
    asked_by = "backend"
    if name == "auto":
        name = os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_BACKEND
        asked_by = ENVIRONMENT_VARIABLE
    if name == "auto":
        name = DEFAULT_BACKEND
    if name not in BACKENDS:
        raise UserError(f"There is no rasteriser {name!r} ({asked_by}); choose one of {', '.join(BACKENDS)}.")
    package, module = BACKENDS[name]
    if importlib.util.find_spec(package) is None:
        install = "install warp-lang" if name == "warp" else f"build and install {package}, or choose 'warp'"
        raise UserError(f"The rasteriser {name!r} ({asked_by}) needs the package {package!r}; {install}.")
    return importlib.import_module(module)
