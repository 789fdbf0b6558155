"""Likeness of two pictures: PSNR, SSIM and LPIPS, over the whole picture or over a region of it.

Pictures are float tensors (3, H, W) in [0, 1]; a region is a bool tensor (H, W). The regions that the re-rendering
reports use (foreground, face, hands, texels seen and texels completed) are the caller's masks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Bool, Float

from bodymap.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_WINDOW = 11  # of SSIM's Gaussian (sigma 1.5), as in Wang et al. 2004
_LEAST_SIDE = 32  # LPIPS' networks halve a picture five times


def psnr(
    image: Float[Tensor, "rgb=3 height width"],
    truth: Float[Tensor, "rgb=3 height width"],
    region: Bool[Tensor, "height width"] | None = None,
) -> float:
    """10 log10(1 / MSE) in decibels; inf for equal pictures, nan for an empty region."""
    squared = (image - truth).square()
    if region is not None:
        squared = squared[:, region]
    if not squared.numel():
        return math.nan
    error = float(squared.double().mean())
    return 10 * math.log10(1 / error) if error > 0 else math.inf


def ssim_map(
    image: Float[Tensor, "rgb=3 height width"], truth: Float[Tensor, "rgb=3 height width"]
) -> Float[Tensor, "valid_height valid_width"]:
    """Structural similarity around every pixel that lies 5 pixels or more from the frame, mean of the channels.

    SSIM = (2 mu_x mu_y + c1) (2 s_xy + c2) / ((mu_x^2 + mu_y^2 + c1) (s_x^2 + s_y^2 + c2)), Gaussian window.
    """
    from kornia.metrics import ssim as structural_similarity

    # in double precision: the variances are differences of nearly equal numbers
    values = structural_similarity(image.double()[None], truth.double()[None], _WINDOW, eps=0.0, padding="valid")
    return values[0].mean(0).float()


def ssim(
    image: Float[Tensor, "rgb=3 height width"],
    truth: Float[Tensor, "rgb=3 height width"],
    region: Bool[Tensor, "height width"] | None = None,
) -> float:
    """Mean structural similarity; nan for a picture smaller than the window, or an empty region."""
    if min(image.shape[1:]) < _WINDOW:
        return math.nan
    values = ssim_map(image, truth)
    if region is not None:
        margin = _WINDOW // 2
        values = values[region[margin:-margin, margin:-margin]]
    return float(values.mean()) if values.numel() else math.nan


@cache
def lpips_network(net: str, weights: Path | None):
    """LPIPS that answers per pixel; with a safetensors file nothing is downloaded."""
    import lpips

    if weights is None:
        try:
            return lpips.LPIPS(net=net, spatial=True, verbose=False).eval().requires_grad_(False)
        except OSError as error:
            raise UserError(
                f"LPIPS could not fetch the {net} network ({error}); give its safetensors file instead."
            ) from None
    from bodymap.files import read_safetensors

    # pnet_rand: do not fetch what is overwritten below
    model = lpips.LPIPS(net=net, spatial=True, verbose=False, pretrained=False, pnet_rand=True)
    try:
        given = read_safetensors(weights)[0]
    except (OSError, ValueError) as error:
        raise UserError(f"{weights} cannot be read as safetensors ({error}).") from None
    # lpips cuts torchvision's "features" into slices but keeps the layers' numbers
    wanted = {
        key: re.sub(r"^net\.slice\d\.", "features.", key)
        for key in model.state_dict()
        if key.startswith(("net.", "lin")) and not key.startswith("lins.")
    }
    missing = sorted(name for name in wanted.values() if name not in given)
    if missing:
        raise UserError(f"{weights} does not hold LPIPS weights for the {net} network: {missing[0]} is missing.")
    model.load_state_dict({key: given[name].float() for key, name in wanted.items()}, strict=False)
    return model.eval().requires_grad_(False)


def lpips_distance(
    image: Float[Tensor, "rgb=3 height width"],
    truth: Float[Tensor, "rgb=3 height width"],
    region: Bool[Tensor, "height width"] | None = None,
    net: str = "alex",
    weights: str | Path | None = None,
) -> float:
    """Learned perceptual distance (Zhang et al. 2018), mean over the pixels of the region; 0 for equal pictures.

    Args:
        net: "alex" or "vgg".
        weights: a safetensors file of the whole LPIPS network; without it the backbone is downloaded once.

    Returns:
        nan for pictures under 32 pixels, or an empty region.
    """
    import torch

    if min(image.shape[1:]) < _LEAST_SIDE:
        return math.nan
    model = lpips_network(net, Path(weights) if weights else None).to(image.device)
    with torch.no_grad():
        values = model(image[None].float(), truth[None].float(), normalize=True)[0, 0]
    if region is not None:
        values = values[region]
    return float(values.mean()) if values.numel() else math.nan


def by_region(
    measure: Callable[..., float],
    image: Float[Tensor, "rgb=3 height width"],
    truth: Float[Tensor, "rgb=3 height width"],
    regions: Mapping[str, Bool[Tensor, "height width"]],
) -> dict[str, float]:
    """``{"whole": measure, name: measure in the region, ...}``; a measure of this module."""
    return {"whole": measure(image, truth)} | {name: measure(image, truth, mask) for name, mask in regions.items()}
