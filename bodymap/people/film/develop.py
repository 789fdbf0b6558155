"""What lens, sensor and file do to pictures, in torch, many at once: focus, grain, exposure, colour, compression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from bodymap.people.film.blur import gaussian_blur, shake
from bodymap.people.film.jpeg import compress
from bodymap.people.film.meter import meter


@dataclass(frozen=True)
class Faults:
    """What happens to one picture; the defaults do nothing. Lengths are shares of the picture's height.

    Attributes:
        metered: share of the metered correction (``meter``) that is made, 0..1; 0: the light as it is.
        exposure: stops brighter than that.
        motion: (rows, columns) that the picture moves during the exposure.
        gamma, contrast, lift, saturation: of the tone curve.  balance: (3,) gain of each channel.
        grain: standard deviation of the noise, of 1.  grain_colour: whether each channel has its own.
        blur: standard deviation in pixels.
        resolution: share of the pixels each way that the picture had before it was enlarged.
        quality: of the JPEG, 1..100; 0: none.
        seed: of the grain.
    """

    metered: float = 0.0
    exposure: float = 0.0
    motion: tuple[float, float] = (0.0, 0.0)
    gamma: float = 1.0
    contrast: float = 1.0
    lift: float = 0.0
    saturation: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    grain: float = 0.0
    grain_colour: bool = False
    blur: float = 0.0
    resolution: float = 1.0
    quality: int = 0
    seed: int = 0

    @property
    def toned(self) -> bool:
        """Whether the tone curve does anything."""
        return (self.gamma, self.contrast, self.lift, self.saturation, *self.balance) != (1, 1, 0, 1, 1, 1, 1)


def develop(
    linear: Float[Tensor, "picture height width rgb=3"],
    faults: list[Faults],
    subject: Bool[Tensor, "picture height width"] | None = None,
) -> UInt8[Tensor, "picture height width rgb=3"]:
    """Linear light to finished sRGB pictures, on the device of ``linear``; the same seeds give the same bytes there.

    Args:
        subject: whom the camera meters; None: nobody in particular.
    """
    device, (height, width) = linear.device, linear.shape[1:3]
    subject = torch.zeros(linear.shape[:3], dtype=torch.bool, device=device) if subject is None else subject
    metered = meter(linear, subject, [f.metered for f in faults])
    gain = torch.tensor([g * 2**f.exposure for g, f in zip(metered, faults, strict=True)], device=device)
    # highlights roll off instead of clipping
    image = linear.permute(0, 3, 1, 2).clamp_min(0) * gain.view(-1, 1, 1, 1)
    image = torch.where(image > 0.8, 0.8 + 0.2 * torch.tanh((image - 0.8) / 0.35), image).clamp_max(1) ** (1 / 2.2)
    for n, f in enumerate(faults):
        if max(abs(f.motion[0]), abs(f.motion[1])) * height >= 0.5:
            image[n] = shake(image[n], f.motion[0] * height, f.motion[1] * height)

    toned = [n for n, f in enumerate(faults) if f.toned]
    if toned:
        image[toned] = _tone(image[toned], [faults[n] for n in toned])
    for n, f in enumerate(faults):
        if f.grain > 0:
            generator = torch.Generator(device=device).manual_seed(f.seed)
            shape = (3 if f.grain_colour else 1, height, width)
            image[n].add_(torch.randn(shape, generator=generator, device=device), alpha=f.grain)
    image = image.clamp(0, 1)
    soft = [n for n, f in enumerate(faults) if f.blur > 0]
    if soft:
        image[soft] = gaussian_blur(image[soft], [faults[n].blur for n in soft])
    for n, f in enumerate(faults):
        if f.resolution < 1:
            size = (max(16, int(height * f.resolution)), max(16, int(width * f.resolution)))
            small = torch.nn.functional.interpolate(image[n : n + 1], size, mode="bilinear", antialias=True)
            image[n] = torch.nn.functional.interpolate(small, (height, width), mode="bicubic")[0].clamp(0, 1)
    squeezed = [n for n, f in enumerate(faults) if f.quality]
    if squeezed:
        image[squeezed] = compress(image[squeezed], [faults[n].quality for n in squeezed])
    return (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _tone(
    image: Float[Tensor, "picture rgb=3 height width"], faults: list[Faults]
) -> Float[Tensor, "picture rgb=3 height width"]:
    """Gamma, contrast, lift, balance and saturation of each."""

    def of_each(values: list) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=image.device).view(len(faults), -1, 1, 1)

    image = image ** of_each([f.gamma for f in faults])
    image = (image - 0.5) * of_each([f.contrast for f in faults]) + 0.5 + of_each([f.lift for f in faults])
    image = image * of_each([f.balance for f in faults])
    grey = image.mean(1, keepdim=True)
    return grey + (image - grey) * of_each([f.saturation for f in faults])
