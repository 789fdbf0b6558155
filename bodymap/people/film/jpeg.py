"""What baseline JPEG does to pictures (ITU-T T.81, Annex K tables; chroma at half size), on any device.

Only the quantisation is imitated: entropy coding loses nothing.
"""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor

_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def compress(
    image: Float[Tensor, "picture rgb=3 height width"], quality: list[int]
) -> Float[Tensor, "picture rgb=3 height width"]:
    """Saved and opened again; ``image`` in [0, 1], ``quality`` 1..100 for each picture, as libjpeg counts it."""
    height, width = image.shape[-2:]
    padded = torch.nn.functional.pad(image * 255, (0, -width % 16, 0, -height % 16), mode="replicate")
    r, g, b = padded.unbind(1)
    luma = 0.299 * r + 0.587 * g + 0.114 * b - 128
    chroma = torch.stack([(b - luma - 128) * 0.564334, (r - luma - 128) * 0.713267], 1)
    chroma = torch.nn.functional.avg_pool2d(chroma, 2)
    luma = _quantise(luma[:, None], _tables(_LUMA, quality, image.device))
    chroma = _quantise(chroma, _tables(_CHROMA, quality, image.device))
    chroma = torch.nn.functional.interpolate(chroma, scale_factor=2, mode="bilinear")
    luma, blue, red = luma[:, 0] + 128, chroma[:, 0], chroma[:, 1]
    out = torch.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], 1)
    return (out[..., :height, :width] / 255).clamp(0, 1)


def _tables(base: tuple, quality: list[int], device: torch.device) -> Float[Tensor, "picture 8 8"]:
    """Quantisation steps: the base table scaled as libjpeg scales it."""
    scale = torch.tensor([5000 // q if q < 50 else 200 - 2 * q for q in quality], dtype=torch.float32, device=device)
    table = torch.tensor(base, dtype=torch.float32, device=device)
    return ((table * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)


def _quantise(plane: Float[Tensor, "picture channel h w"], steps: Float[Tensor, "picture 8 8"]) -> Tensor:
    """Each block of 8 x 8 to its cosine transform, rounded to the steps, and back."""
    count, channels, height, width = plane.shape
    cosine = _cosines().to(plane.device)
    blocks = plane.reshape(count, channels, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    steps = steps[:, None, None, None]
    values = torch.round(cosine @ blocks @ cosine.T / steps) * steps
    blocks = cosine.T @ values @ cosine
    return blocks.permute(0, 1, 2, 4, 3, 5).reshape(count, channels, height, width)


@functools.lru_cache(maxsize=1)
def _cosines() -> Float[Tensor, "8 8"]:
    """The orthonormal cosine transform."""
    k = torch.arange(8, dtype=torch.float64)
    matrix = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) * 0.5
    matrix[0] /= 2**0.5
    return matrix.float()
