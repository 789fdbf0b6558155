"""The neural renderer: a warped picture of a person becomes one with hair, hems and soft outlines.

The warp shows a texture on a bare body or along another photo's map. A U-Net at 256 pixels, which also reads the whole
texture through an encoder of its own, corrects its colours and says which pixels the person covers; the correction is
smooth enough to be laid over a warp of any size, whose detail stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from apps.rerender.completion import block
from bodymap.warping.pyramid import push_pull_batch


@dataclass(frozen=True)
class RendererConfig:
    """The network.

    Attributes:
        channels: of its levels, each half the size of the one before; the first at half of the picture's.
        texture_channels: of the texture's encoder, each half the size; the last is spread over the bottleneck.
        size: longer side of the picture that it looks at; pictures are multiples of 2^len(channels).
    """

    channels: tuple[int, ...] = (32, 48, 96, 160, 224)
    texture_channels: tuple[int, ...] = (16, 32, 64, 128)
    size: int = 256


@dataclass(frozen=True)
class Rendered:
    """Attributes:
    colour: (B, 3, H, W), about [0, 1]; also defined where nobody is.
    alpha: (B, 1, H, W) logits of what the person covers.
    base: (B, 3, H, W): the warp, continued outwards, which ``colour`` corrects.
    """

    colour: Float[Tensor, "batch rgb=3 height width"]
    alpha: Float[Tensor, "batch 1 height width"]
    base: Float[Tensor, "batch rgb=3 height width"]


class RendererNet(nn.Module):
    """See the module."""

    def __init__(self, config: RendererConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        # the warp continued, its mask, how sure it was seen, the code
        self.cells = nn.Conv2d(3 + 1 + 1 + 3, 2 * widths[0], 2, stride=2)
        self.enter = block(2 * widths[0], widths[0])
        self.down = nn.ModuleList([block(a, b) for a, b in zip(widths, widths[1:], strict=False)])
        steps = (4, *config.texture_channels)
        self.texture = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
                for a, b in zip(steps, steps[1:], strict=False)
            )
        )
        self.join = nn.Linear(config.texture_channels[-1], widths[-1])
        self.middle = block(widths[-1], widths[-1])
        self.up = nn.ModuleList([block(a + b, b) for a, b in zip(widths[::-1], widths[-2::-1], strict=False)])
        self.leave = nn.Conv2d(3 * widths[0], 4 * 4, 1)

    def forward(
        self,
        warped: Float[Tensor, "batch rgb=3 height width"],
        share: Float[Tensor, "batch 1 height width"],
        code: Float[Tensor, "batch rgb=3 height width"],
        mask: Float[Tensor, "batch 1 height width"],
        texture: Float[Tensor, "batch rgb=3 texel texel"],
        seen: Float[Tensor, "batch 1 texel texel"],
    ) -> Rendered:
        """Colours in [0, 1]; ``mask``: where the warp is; ``share`` and ``seen``: how sure the photo showed it."""
        base, _ = push_pull_batch(warped, mask, levels=8)
        cells = self.cells(torch.cat([base, mask, share, code * mask], 1))
        x = self.enter(cells)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(functional.max_pool2d(x, 2))
        whole = self.texture(torch.cat([texture, seen], 1)).mean((2, 3))
        x = self.middle(x + self.join(whole)[..., None, None])
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(torch.cat([functional.interpolate(x, scale_factor=2.0), skip], 1))
        out = functional.pixel_shuffle(self.leave(torch.cat([x, cells], 1)).float(), 2)
        # the mask is where the answer for the outline starts from
        return Rendered(base + out[:, :3], out[:, 3:] + 4 * (mask - 0.5), base)
