"""The swap itself: source photo -> texture -> filled texture -> the target's map -> blended into the target's photo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from apps.rerender.pattern import continued_pattern
from apps.swap import regions
from bodymap.errors import UserError
from bodymap.surface import Template, load_template
from bodymap.types import LAYER_NAMES, Correspondence
from bodymap.warping import blend
from bodymap.warping.atlas import get_atlas
from bodymap.warping.fill import SEEN, FilledTexture, fill_texture
from bodymap.warping.grid import dilate, smoothing_reach
from bodymap.warping.image_to_texture import PartialTexture, image_to_texture
from bodymap.warping.symmetry import mirror_unseen
from bodymap.warping.texture_to_image import look_up

if TYPE_CHECKING:
    from apps.rerender.pretrained import Completion

WHAT, TONES = ("all", "upper", "lower"), ("source", "target")
SKIN, HAIR = LAYER_NAMES.index("skin"), LAYER_NAMES.index("hair")
# Larger photos are worked on at a fraction of their size (the texture has no finer detail) and blended at full size.
WORKING_PIXELS = 3_000_000
# A garment of fewer texels than this share of the texture is a stray label, not a garment.
FEWEST_TEXELS = 1e-3


@dataclass(frozen=True)
class SwapResult:
    """What a swap gives back.

    Attributes:
        image: (H, W, 3) uint8, the target's photo with the swap in it; the target's own bytes where ``region`` is 0.
        texture: (T, T, 3) uint8, the source's texture, filled.
        seen: (T, T) bool, which of its texels the source's photo shows.
        region: (H, W) float32 in [0, 1], how much of each pixel was replaced.
    """

    image: UInt8[np.ndarray, "height width rgb=3"]
    texture: UInt8[np.ndarray, "texel texel rgb=3"]
    seen: Bool[np.ndarray, "texel texel"]
    region: Float[np.ndarray, "height width"]


def swap(
    src_photo: UInt8[np.ndarray, "src_height src_width rgb=3"],
    src_correspondence: Correspondence,
    tgt_photo: UInt8[np.ndarray, "height width rgb=3"],
    tgt_correspondence: Correspondence,
    what: str = "all",
    with_head: bool = False,
    *,
    skin: str = "source",
    template: Template | None = None,
    texture_size: int = 1024,
    shading: float = 0.5,
    completion: Completion | None = None,
) -> SwapResult:
    """Dresses the target's person as the source's.

    Args:
        what: ``all``: outfit and skin (hair with the head); ``upper`` or ``lower``: that garment alone, where the
            target wears one and where the source's covers what is bare on the target.
        with_head: for ``all``: head, hair and hands too; otherwise they stay the target's.
        skin: whose tone bare arms, legs and neck have after ``all``. With ``target``, skin that is bare on both stays
            as it is, and what comes out from under the target's clothes is tinted to match.
        template: None: the shipped one, on the CPU; the work happens on its device.
        texture_size: texels each way of the texture in between.
        shading: how much of the target's coarse light the new clothes take on, in [0, 1].
        completion: makes up what the source's photo does not show; None: a plain fill does.

    Raises:
        UserError: nobody in a photo, no such garment, nothing to replace, sizes that do not fit.
    """
    if what not in WHAT:
        raise UserError(f"There is nothing called {what!r} to swap; choose all, upper or lower.")
    if skin not in TONES:
        raise UserError(f"Skin is the source's or the target's, not {skin!r}; choose source or target.")
    for name, photo, correspondence in (
        ("source", src_photo, src_correspondence),
        ("target", tgt_photo, tgt_correspondence),
    ):
        if photo.shape[:2] != correspondence.size:
            raise UserError(
                f"The {name}'s photo is {photo.shape[:2]} but its map {correspondence.size}; make the map anew."
            )
        if not correspondence.mask.any():
            raise UserError(f"No person was found in the {name}'s photo; choose another, or give a mask.")
    template = template or load_template()

    # Source: what its photo shows of the person, in texture space.
    src_photo, src_correspondence = _at_working_size(src_photo, src_correspondence)
    reach = smoothing_reach(src_correspondence)
    src_correspondence = _with_tidy_layers(src_correspondence, reach)
    partial = image_to_texture(template, src_photo, src_correspondence, texture_size, smooth=reach)
    partial = _without_strays(template, partial, with_head)
    if not bool(partial.seen.any()):
        raise UserError("Too little of the source's person is seen to take a texture from; choose a larger photo.")
    seen = partial.seen
    filled = None if completion is None else completion.complete(template, partial)
    partial = mirror_unseen(template, partial)
    filled = filled or fill_texture(template, partial, mirror=False)

    # Target: that texture through its map, and where it goes.
    window = regions.window(tgt_correspondence)
    photo, correspondence = _at_working_size(tgt_photo[window], regions.cut(tgt_correspondence, window))
    reach = smoothing_reach(correspondence)
    view = regions.target_view(template, photo, _with_tidy_layers(correspondence, reach), filled, smooth=reach)
    if what == "all":
        picture, matte = _whole(template, view, src_correspondence, partial, filled, with_head, skin)
    else:
        picture, matte = _garment(template, view, partial, LAYER_NAMES.index(what))
    if not bool((matte > 0).any()):
        raise UserError(f"The target's photo shows nothing to replace with --what {what}; choose another.")
    picture = blend.match_shading(
        picture,
        view.source_layer,
        view.photo,
        view.layer,
        matte > 0.5,
        radius=max(4, view.extent // 16),
        strength=shading,
    )

    image, region = _into_photo(tgt_photo, window, tgt_correspondence.mask, picture, matte)
    texture = (filled.colour * 255).round().byte().cpu().numpy()
    return SwapResult(image, texture, seen.cpu().numpy(), region)


def _with_tidy_layers(correspondence: Correspondence, reach: int) -> Correspondence:
    """Without specks in the layers: each would be a hole in a garment."""
    layer = torch.from_numpy(np.where(correspondence.mask, correspondence.layer, 0).astype(np.int64))
    tidy = blend.majority(layer, max(1, reach // 4)).numpy().astype(np.int8)
    return replace(correspondence, layer=tidy)


def _whole(
    template: Template,
    view: regions.TargetView,
    source: Correspondence,
    partial: PartialTexture,
    filled: FilledTexture,
    with_head: bool,
    skin: str,
) -> tuple[Float[Tensor, "height width rgb=3"], Float[Tensor, "height width"]]:
    """Everything the source's photo has something to say about; soft where the target's own body takes over."""
    picture = view.picture
    keep = regions.keep_unseen(template, view, filled.origin == SEEN, source)
    if not with_head:
        keep = torch.maximum(keep, regions.keep_head_and_hands(template, view))
    if skin == "target":
        bare = view.share[..., SKIN - 1]
        keep = torch.maximum(keep, bare * (view.layer == SKIN))
        tinted = (picture * _skin_gain(view, partial)).clamp(0, 1)
        picture = torch.lerp(picture, tinted, bare[..., None])
    region = (view.mask & (view.layer != LAYER_NAMES.index("carried"))).float()
    return picture, blend.soft_matte(region * (1 - keep), view.photo, view.mask, view.radius)


def _skin_gain(view: regions.TargetView, partial: PartialTexture) -> Float[Tensor, " rgb=3"]:
    """What turns the source's skin tone into the target's."""
    return blend.colour_gain(partial.colour[partial.layer == SKIN], view.photo[view.mask & (view.layer == SKIN)])


def _garment(
    template: Template, view: regions.TargetView, partial: PartialTexture, layer: int
) -> tuple[Float[Tensor, "height width rgb=3"], Float[Tensor, "height width"]]:
    """One garment: where the target wears it, and where the source's covers what is bare on the target."""
    name = LAYER_NAMES[layer]
    own = partial.seen & (partial.layer == layer)
    if float(own.float().mean()) < FEWEST_TEXELS:
        raise UserError(f"The source's photo shows no {name} garment; choose another, or --what all.")
    layers = [layer]
    # Where the source shows skin under the target's garment (short sleeves for long ones), skin comes out.
    bare = view.share[..., SKIN - 1] * regions.may_be_bare(view, layer)
    if bool((bare > 0).any()) and bool((partial.layer == SKIN).any()):
        layers.append(SKIN)
    textures = [fill_texture(template, partial, mirror=False, layers=(k,)).colour for k in layers]
    # a jacket may have to become as long as a coat: its pattern goes on
    textures[0] = (textures[0] + continued_pattern(textures[0], torch.full_like(partial.layer, layer), own)).clamp(0, 1)
    pictures = look_up(template, torch.cat(textures, -1), view.grid, tuple(view.mask.shape)).values
    picture = pictures[..., :3]
    if len(layers) > 1:
        # in the tone of what else is seen of the target's skin
        tinted = (pictures[..., 3:] * _skin_gain(view, partial)).clamp(0, 1)
        picture = torch.lerp(picture, tinted, bare[..., None])

    # The target's garment, with its edge drawn onto the photo's edge.
    worn = (view.layer == layer) & view.mask
    # The source's garment over the target's bare skin: there its edge comes from the source, not from this photo.
    over = view.share[..., layer - 1] * regions.may_be_covered(view, layer) * view.mask
    region = torch.maximum(worn.float(), over)
    matte = blend.soft_matte(region, view.photo, view.mask, view.radius)
    return picture, torch.where(dilate(worn, view.radius), matte, region)


def _without_strays(template: Template, partial: PartialTexture, with_head: bool) -> PartialTexture:
    """Hair that fell on the shoulders is no part of an outfit: without the head it counts as unseen there."""
    if with_head:
        return partial
    atlas = get_atlas(template, partial.colour.shape[0])
    on_head = regions.texel_parts(template, atlas) == 0
    stray = (partial.layer == HAIR) & ~on_head
    return replace(
        partial,
        colour=partial.colour * ~stray[..., None],
        confidence=partial.confidence * ~stray,
        layer=partial.layer * ~stray,
    )


def _at_working_size(photo: np.ndarray, correspondence: Correspondence) -> tuple[np.ndarray, Correspondence]:
    """Photo and map thinned to at most about WORKING_PIXELS: every n-th pixel of the map, n x n means of the photo."""
    height, width = photo.shape[:2]
    step = 1
    while (height // step) * (width // step) > WORKING_PIXELS:
        step += 1
    if step == 1:
        return photo, correspondence
    rows, columns = height // step * step, width // step * step
    blocks = photo[:rows, :columns].reshape(rows // step, step, columns // step, step, 3)
    small = blocks.mean((1, 3), dtype=np.float32).round().astype(np.uint8)
    start = step // 2
    thinned = {
        name: getattr(correspondence, name)[start:rows:step, start:columns:step]
        for name in correspondence.__dataclass_fields__
    }
    return small, Correspondence(**thinned)


def _into_photo(
    photo: UInt8[np.ndarray, "height width rgb=3"],
    window: tuple[slice, slice],
    mask: Bool[np.ndarray, "height width"],
    picture: Float[Tensor, "inner_height inner_width rgb=3"],
    matte: Float[Tensor, "inner_height inner_width"],
) -> tuple[UInt8[np.ndarray, "height width rgb=3"], Float[np.ndarray, "height width"]]:
    """Blends the cut-out's picture into a copy of the photo, a stripe of rows at a time."""
    image, region = photo.copy(), np.zeros(photo.shape[:2], np.float32)
    top, left = window[0].start, window[1].start
    height, width = window[0].stop - top, window[1].stop - left
    both = torch.cat([picture, matte[..., None]], -1).cpu()
    same = both.shape[:2] == (height, width)
    for begin in range(0, height, 512):
        end = min(begin + 512, height)
        stripe = both[begin:end] if same else _resampled(both, height, width, begin, end)
        rows, columns = slice(top + begin, top + end), slice(left, left + width)
        alpha = (stripe[..., 3] * torch.from_numpy(np.ascontiguousarray(mask[rows, columns]))).clamp(0, 1)
        below = torch.from_numpy(np.ascontiguousarray(photo[rows, columns])).float() / 255
        mixed = blend.composite(below, stripe[..., :3], alpha)
        image[rows, columns] = (mixed.clamp(0, 1) * 255).round().byte().numpy()
        region[rows, columns] = alpha.numpy()
    return image, region


def _resampled(both: Tensor, height: int, width: int, begin: int, end: int) -> Float[Tensor, "rows width c"]:
    """Rows begin..end of ``both`` enlarged to height x width (bilinear)."""
    row = ((torch.arange(begin, end) + 0.5) / height * 2 - 1)[:, None].expand(end - begin, width)
    column = ((torch.arange(width) + 0.5) / width * 2 - 1)[None].expand(end - begin, width)
    grid = torch.stack([column, row], -1)[None]
    sampled = torch.nn.functional.grid_sample(
        both.permute(2, 0, 1)[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[0].permute(1, 2, 0)
