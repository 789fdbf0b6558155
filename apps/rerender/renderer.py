"""The neural renderer: the picture of a warped texture becomes one as if it had been taken there.

The warp shows a texture on a bare body or along another photo's map, in the light that fell on it when it was
photographed. A U-Net at 256 pixels, which also reads the whole texture through an encoder of its own, and how the
surface stood to the light and stands now (``normals.py``), says by how much each pixel becomes lighter or darker, and
corrects its colour; both are smooth enough to be laid over a warp of any size, whose detail stays. It begins at the
warp itself. The outline stays the warp's: what a body does not show (a
skirt, long hair) is guessed by no network of this size, half a guess is a halo, and moving the outline by a few pixels
brought nothing. Such cloth and hair have shells of their own (``skirt.py``, ``hair.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from apps.rerender.completion import block, even
from apps.rerender.normals import CHANNELS, Normals
from bodymap.config import check_ranges
from bodymap.surface import Template
from bodymap.types import Correspondence
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

    def __post_init__(self) -> None:
        check_ranges(self, channels=(1, 8192), texture_channels=(1, 8192), size=(32, 4096))
        if not self.channels or not self.texture_channels:
            raise ValueError("channels and texture_channels must not be empty.")


@dataclass(frozen=True)
class Rendered:
    """Attributes:
    base: (B, 3, H, W): the warp, continued outwards.
    gain: (B, 1, H, W): logarithm of the factor of its light.
    change: (B, 3, H, W): what is added after that.
    """

    base: Float[Tensor, "batch rgb=3 height width"]
    gain: Float[Tensor, "batch 1 height width"]
    change: Float[Tensor, "batch rgb=3 height width"]

    @property
    def colour(self) -> Float[Tensor, "batch rgb=3 height width"]:
        """About [0, 1]; also defined where nobody is."""
        return self.base * self.gain.exp() + self.change


class RendererNet(nn.Module):
    """See the module."""

    def __init__(self, config: RendererConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        # the warp continued, its mask, what of it was seen, the code, the normals
        self.cells = nn.Conv2d(3 + 1 + 1 + 3 + CHANNELS, 2 * widths[0], 2, stride=2)
        self.enter = block(2 * widths[0], widths[0])
        self.down = nn.ModuleList([block(a, b) for a, b in zip(widths, widths[1:], strict=False)])
        steps = (3 + 1 + 3, *config.texture_channels)
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
        # it begins by changing nothing
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self,
        warped: Float[Tensor, "batch rgb=3 height width"],
        share: Float[Tensor, "batch 1 height width"],
        code: Float[Tensor, "batch rgb=3 height width"],
        mask: Float[Tensor, "batch 1 height width"],
        normals: Float[Tensor, "batch c=7 height width"],
        texture: Float[Tensor, "batch rgb=3 texel texel"],
        seen: Float[Tensor, "batch 1 texel texel"],
        form: Float[Tensor, "batch xyz=3 texel texel"],
    ) -> Rendered:
        """Colours in [0, 1]; ``mask``: where the warp is; ``share`` and ``seen``: what of it the photo showed;
        ``normals`` and ``form``: ``Normals.at_pixels`` and ``at_texels``, 0 where unknown."""
        base, _ = push_pull_batch(warped, mask, levels=8)
        cells = self.cells(torch.cat([base, mask, share, code * mask, normals], 1))
        x = self.enter(cells)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(functional.max_pool2d(x, 2))
        whole = self.texture(torch.cat([texture, seen, form], 1)).mean((2, 3))
        x = self.middle(x + self.join(whole)[..., None, None])
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(torch.cat([functional.interpolate(x, scale_factor=2.0), skip], 1))
        out = even(functional.pixel_shuffle(self.leave(torch.cat([x, cells], 1)).float(), 2))
        return Rendered(base, out[:, 3:], out[:, :3])


# ------------------------------------------------------------------------------------------------ pictures of any size
TEXELS = 256  # each way of the texture, as the network reads it
_MARGIN = 0.12  # of the person's longer side, around the person: training's pictures have room, too


@dataclass(frozen=True)
class Warp:
    """A texture as a picture of any size shows it: what the renderer corrects. On the CPU.

    Attributes:
        colour: (3, H, W) in [0, 1].  share: (1, H, W) of it that the photo showed.  code: (3, H, W) the map.
        cover: (1, H, W) share of each pixel that the texture covers; the others are means over what it covers.
        texture: (4, T, T): its colours, and what of them the photo showed.
        normals, form: ``Normals.at_pixels``, a mean likewise, and ``at_texels`` of TEXELS; None: unknown.
    """

    colour: Float[Tensor, "rgb=3 height width"]
    share: Float[Tensor, "1 height width"]
    code: Float[Tensor, "rgb=3 height width"]
    cover: Float[Tensor, "1 height width"]
    texture: Float[Tensor, "c=4 texel texel"]
    normals: Float[Tensor, "c=7 height width"] | None = None
    form: Float[Tensor, "xyz=3 small small"] | None = None

    @classmethod
    def along(
        cls,
        template: Template,
        shown: Correspondence,
        laid: Float[Tensor, "c=4 height width"],
        texture: Float[Tensor, "texel texel c=4"],
        normals: Normals | None,
    ) -> Warp:
        """Of a texture (colours and what was seen) that is laid along a map."""
        return cls(
            laid[:3],
            laid[3:],
            torch.from_numpy(shown.colour).permute(2, 0, 1).float() / 255,
            torch.from_numpy(shown.mask)[None].float(),
            texture.permute(2, 0, 1),
            None if normals is None else normals.at_pixels(template, shown),
            None if normals is None else normals.at_texels(template, TEXELS),
        )


def refine(network: RendererNet, warp: Warp) -> Float[Tensor, "rgb=3 height width"]:
    """The warp's colours in [0, 1] with the network's correction over their own detail."""
    gain, change = correction(network, warp)
    return torch.where(warp.cover > 0, (warp.colour * gain.exp() + change).clamp(0, 1), warp.colour)


def correction(
    network: RendererNet, warp: Warp
) -> tuple[Float[Tensor, "1 height width"], Float[Tensor, "rgb=3 height width"]]:
    """(``Rendered.gain``, ``change``) at the warp's size, 0 far from the person."""
    alpha = warp.cover
    height, width = alpha.shape[1:]
    both = warp.colour.new_zeros(4, height, width)
    rows, columns = (torch.nonzero(alpha[0].amax(axis) > 0.5)[:, 0] for axis in (1, 0))
    if len(rows) == 0:
        return both[:1], both[1:]
    box = _box(rows, height, columns, width)
    part = (slice(None), *box)
    small = _small_size(box, network)

    def shrunk(image: Tensor, weight: Tensor | None = None) -> Tensor:
        """Means over what is covered."""
        cut = image[part][None] * (1 if weight is None else weight[part][None])
        mean = functional.interpolate(cut, small, mode="bilinear", antialias=True)
        if weight is None:
            return mean
        return mean / functional.interpolate(weight[part][None], small, mode="bilinear", antialias=True).clamp_min(1e-3)

    mask = (shrunk(alpha) > 0.5).float()
    normals = both.new_zeros(CHANNELS, height, width) if warp.normals is None else warp.normals
    form = both.new_zeros(3, TEXELS, TEXELS) if warp.form is None else warp.form
    colour, share, code, normals = (shrunk(x, alpha) * mask for x in (warp.colour, warp.share, warp.code, normals))
    atlas = functional.interpolate(warp.texture[None], (TEXELS, TEXELS), mode="area")
    with torch.no_grad():
        made = network(colour, share, code, mask, normals, atlas[:, :3], atlas[:, 3:], form[None])
    both[part] = functional.interpolate(torch.cat([made.gain, made.change], 1), both[part].shape[1:], mode="bicubic")[0]
    return both[:1], both[1:]


def _box(rows: Tensor, height: int, columns: Tensor, width: int) -> tuple[slice, slice]:
    """The person's box with its margin, inside the picture."""
    margin = round(_MARGIN * float(max(rows[-1] - rows[0], columns[-1] - columns[0])) + 1)
    return (
        slice(max(0, int(rows[0]) - margin), min(height, int(rows[-1]) + 1 + margin)),
        slice(max(0, int(columns[0]) - margin), min(width, int(columns[-1]) + 1 + margin)),
    )


def _small_size(box: tuple[slice, slice], network: RendererNet) -> tuple[int, int]:
    """What the network looks at: its size the longer way, both ways a multiple of its coarsest cell."""
    sides = [s.stop - s.start for s in box]
    cell = 2 ** len(network.config.channels)
    return tuple(max(cell, round(network.config.size * side / max(sides) / cell) * cell) for side in sides)
