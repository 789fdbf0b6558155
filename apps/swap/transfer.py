"""The swap itself: source photo -> texture -> filled texture -> the target's map -> blended into the target's photo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from apps.rerender.normals import body_of
from apps.rerender.skirt import skirt_region
from apps.swap import drape, garments, hair, hems, labels, regions, relit
from apps.swap.choice import GARMENTS, chosen
from apps.swap.outline import Outline, outline
from bodymap.errors import UserError
from bodymap.layer_maps import with_layers
from bodymap.surface import Template, load_template
from bodymap.types import LAYER_NAMES, Correspondence, LayerMaps
from bodymap.warping import blend
from bodymap.warping.atlas import get_atlas
from bodymap.warping.fill import SEEN, FilledTexture, fill_texture
from bodymap.warping.grid import dilate, smoothing_reach
from bodymap.warping.image_to_texture import PartialTexture, image_to_texture
from bodymap.warping.symmetry import mirror_unseen
from bodymap.warping.texture_to_image import look_up

if TYPE_CHECKING:
    from apps.rerender.pretrained import Completion
    from apps.rerender.renderer import RendererNet

TONES = ("source", "target")
SKIN, HAIR = LAYER_NAMES.index("skin"), LAYER_NAMES.index("hair")
# Larger photos are worked on at a fraction of their size (the texture has no finer detail) and blended at full size.
WORKING_PIXELS = 3_000_000


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


@dataclass(frozen=True)
class Source:
    """A source's photo as a texture: read once, put on as many targets as wanted.

    Attributes:
        photo, correspondence: at working size.
        seen: texels that the photo shows.
        partial: those and their mirror image.
        filled: the whole texture.
    """

    photo: UInt8[np.ndarray, "height width rgb=3"]
    correspondence: Correspondence
    seen: Bool[Tensor, "texel texel"]
    partial: PartialTexture
    filled: FilledTexture

    @cached_property
    def skirt(self) -> Bool[np.ndarray, "height width"] | None:
        """Where a skirt hangs in the photo; None: nowhere."""
        return skirt_region(self.correspondence)

    @cached_property
    def body(self) -> Float[np.ndarray, "vertex=13380 xyz=3"] | None:
        """Vertices of the body behind the photo, metres, in its camera's space; None: none fits."""
        return body_of(self.correspondence)


def swap(
    src_photo: UInt8[np.ndarray, "src_height src_width rgb=3"],
    src_correspondence: Correspondence,
    tgt_photo: UInt8[np.ndarray, "height width rgb=3"],
    tgt_correspondence: Correspondence,
    what: str | Iterable[str] = "all",
    with_head: bool = False,
    *,
    skin: str = "source",
    template: Template | None = None,
    texture_size: int = 1024,
    shading: float = 0.5,
    completion: Completion | None = None,
    renderer: RendererNet | None = None,
    src_layers: LayerMaps | None = None,
    tgt_layers: LayerMaps | None = None,
) -> SwapResult:
    """Dresses the target's person as the source's.

    Args:
        what: ``all``: outfit and skin (hair with the head); ``upper``, ``lower``, ``shoes``: that garment alone, where
            the target wears one and where the source's covers what is bare on the target; ``hair``: its
            colours, not its cut. Several: joined by commas, or a sequence.
        with_head: for ``all``: head, hair and hands too; otherwise they stay the target's.
        skin: whose tone bare arms, legs and neck have after ``all``. With ``target``, skin that is bare on both stays
            as it is, and what comes out from under the target's clothes is tinted to match.
        template: None: the shipped one, on the CPU; the work happens on its device.
        texture_size: texels each way of the texture in between.
        shading: how much of the target's coarse light the new clothes take on, in [0, 1].
        completion: makes up what the source's photo does not show; None: a plain fill does.
        renderer: moves light and shade as the clothes' surface has turned; None: they stay as they were.
        src_layers, tgt_layers: Layered-BodyMap's maps of the photos: garments are where these have them.

    Raises:
        UserError: nobody in a photo, no such garment, nothing to replace, sizes that do not fit.
    """
    names = chosen(what)
    template = template or load_template()
    # a wrong target is refused before the source's slow part
    _check(tgt_photo, tgt_correspondence, "target", tgt_layers)
    source = read_source(
        src_photo,
        src_correspondence,
        with_head=with_head,
        template=template,
        texture_size=texture_size,
        completion=completion,
        layers=src_layers,
    )
    return put_on(
        source,
        tgt_photo,
        tgt_correspondence,
        names,
        with_head,
        skin=skin,
        template=template,
        shading=shading,
        renderer=renderer,
        layers=tgt_layers,
    )


def read_source(
    photo: UInt8[np.ndarray, "height width rgb=3"],
    correspondence: Correspondence,
    *,
    with_head: bool = False,
    template: Template | None = None,
    texture_size: int = 1024,
    completion: Completion | None = None,
    layers: LayerMaps | None = None,
) -> Source:
    """The first half of ``swap``: what the source's photo shows of the person, in texture space, and the rest made up.

    Args:
        with_head: the head is wanted, too: otherwise hair that fell on the clothes is none of the texture.
        layers: Layered-BodyMap's maps of the photo: garments are where these have them.

    Raises:
        UserError: nobody in the photo, or too little of them.
    """
    template = template or load_template()
    _check(photo, correspondence, "source", layers)
    photo, correspondence = _at_working_size(photo, with_layers(correspondence, layers))
    reach = smoothing_reach(correspondence)
    # (of a target that would keep more of what is wrongly taken for carried)
    correspondence = labels.carried_redrawn(_tidied(template, correspondence, photo, reach), photo)
    correspondence = labels.bare_wrists(labels.held_redrawn(correspondence, photo))
    partial = image_to_texture(template, photo, correspondence, texture_size, smooth=reach)
    partial = partial if with_head else without_fallen_hair(template, partial)
    if not bool(partial.seen.any()):
        raise UserError("Too little of the source's person is seen to take a texture from; choose a larger photo.")
    seen = partial.seen
    filled = None if completion is None else completion.complete(template, partial)
    partial = mirror_unseen(template, partial)
    filled = filled or fill_texture(template, partial, mirror=False)
    return Source(photo, correspondence, seen, partial, filled)


def put_on(
    source: Source,
    tgt_photo: UInt8[np.ndarray, "height width rgb=3"],
    tgt_correspondence: Correspondence,
    what: str | Iterable[str] = "all",
    with_head: bool = False,
    *,
    skin: str = "source",
    template: Template | None = None,
    shading: float = 0.5,
    renderer: RendererNet | None = None,
    layers: LayerMaps | None = None,
) -> SwapResult:
    """The second half of ``swap``; see there."""
    names = chosen(what)
    if skin not in TONES:
        raise UserError(f"Skin is the source's or the target's, not {skin!r}; choose source or target.")
    template = template or load_template()
    _check(tgt_photo, tgt_correspondence, "target", layers)
    tgt_correspondence = with_layers(tgt_correspondence, layers)

    window = regions.window(tgt_correspondence)
    photo, correspondence = _at_working_size(tgt_photo[window], regions.cut(tgt_correspondence, window))
    reach = smoothing_reach(correspondence)
    correspondence = _tidied(template, correspondence, photo, reach)
    view = regions.target_view(template, photo, correspondence, source.filled, smooth=reach)
    if renderer is not None:
        view = relit.relit(template, view, source, correspondence, renderer)

    picture, matte = torch.zeros_like(view.picture), torch.zeros_like(view.known)
    skirt = (
        drape.carried_over(template, view, correspondence, source) if {"all", "upper", "lower"} & set(names) else None
    )
    if skirt is not None:
        skirt = view.lit(skirt[0]), skirt[1]
        view = replace(view, picture=torch.lerp(view.picture, skirt[0], skirt[1][..., None]))
    if "all" in names:
        view = _with_bare_legs(_with_whole_sleeves(template, view, source), source)
        picture, matte = _whole(template, view, source, with_head, skin)
    elif pieces := [name for name in names if name in GARMENTS]:
        own = image_to_texture(template, photo, correspondence, source.seen.shape[0], (SKIN,), smooth=reach)
        picture, matte = garments.exchange(
            template, view, source.partial, source.filled, pieces, source.skirt is not None, own
        )
        if skirt is not None:
            picture = torch.lerp(picture, skirt[0], (skirt[1] * garments.of_same_kind(view, pieces))[..., None])
    if source.skirt is None:
        picture = drape.without_seam(view, picture)
    if bool((matte > 0).any()):
        picture = blend.match_shading(
            picture,
            view.source_layer,
            view.photo,
            view.layer,
            matte > 0.5,
            radius=max(4, view.extent // 16),
            strength=shading,
        )
    if "hair" in names:
        picture, matte = garments.over(picture, matte, *hair.exchange(template, view, source))
    if not bool((matte > 0).any()):
        raise UserError(f"The target's photo shows nothing to replace with --what {','.join(names)}; choose another.")
    image, region = _into_photo(tgt_photo, window, tgt_correspondence.mask, picture, matte, _outline(view))
    texture = (source.filled.colour * 255).round().byte().cpu().numpy()
    return SwapResult(image, texture, source.seen.cpu().numpy(), region)


def _check(photo: np.ndarray, correspondence: Correspondence, name: str, layers: LayerMaps | None) -> None:
    if photo.shape[:2] != correspondence.size:
        size = photo.shape[:2]
        raise UserError(f"The {name}'s photo is {size} but its map {correspondence.size}; make the map anew.")
    if layers is not None and layers.visible.shape != correspondence.size:
        size, other = photo.shape[:2], layers.visible.shape
        raise UserError(f"The {name}'s photo is {size} but its layer maps are {other}; make them anew.")
    if not correspondence.mask.any():
        raise UserError(f"No person was found in the {name}'s photo; choose another, or give a mask.")


def _tidied(template: Template, correspondence: Correspondence, photo: np.ndarray, reach: int) -> Correspondence:
    """The map with its layers as the photo's own colours have them."""
    tidy = labels.tidy_layers(labels.without_background(correspondence, photo), reach // 4)
    tidy = labels.enclosed_redrawn(tidy, photo)
    tidy = labels.skin_redrawn(tidy, photo)
    tidy = labels.seen_through(labels.hair_redrawn(tidy, photo), photo)
    return hems.belted(hems.straightened(template, tidy, photo), photo)


def _outline(view: regions.TargetView) -> Outline:
    return outline(view.photo, view.mask, max(2, view.radius))


def _whole(
    template: Template, view: regions.TargetView, source: Source, with_head: bool, skin: str
) -> tuple[Float[Tensor, "height width rgb=3"], Float[Tensor, "height width"]]:
    """Everything the source's photo has something to say about; soft where the target's own body takes over."""
    picture = view.picture
    keep = regions.keep_unseen(template, view, source.filled.origin == SEEN, source.correspondence)
    picture = regions.with_own_limbs(template, picture, view, source.partial, with_head)
    if with_head and (head := drape.head_over(template, view, source)) is not None:
        picture = torch.lerp(picture, head[0], head[1][..., None])
    if not with_head:
        keep = torch.maximum(keep, regions.keep_head_and_hands(template, view))
    if skin == "target":
        bare = view.share[..., SKIN - 1]
        keep = torch.maximum(keep, bare * (view.layer == SKIN))
        tinted = regions.in_targets_tone(picture, view, source.partial)
        picture = torch.lerp(picture, tinted, bare[..., None])
    region = view.mask & (view.layer != labels.CARRIED)
    if float((source.seen & (source.filled.layer == labels.SHOES)).float().mean()) >= garments.FEWEST_TEXELS:
        region &= ~regions.soles(view)
    region = region.float()
    matte = blend.soft_matte(region * (1 - keep), view.photo, view.mask, view.radius)
    return picture, matte * (keep < 1)


def _with_whole_sleeves(template: Template, view: regions.TargetView, source: Source) -> regions.TargetView:
    """The view with cloth up to the hands and feet, where both wear it long."""
    layers = [labels.UPPER, labels.LOWER]
    worn = torch.isin(view.layer, view.layer.new_tensor(layers)) & view.mask
    bare = view.share[..., SKIN - 1] * (regions.hidden_ends(template, view, source.partial, layers) & worn)
    if not bool((bare > 0.5).any()):
        return view
    cloth = garments.cloth(template, source.partial, source.filled, layers)
    seen = look_up(template, cloth, view.grid, tuple(view.mask.shape)).values
    same = torch.nn.functional.one_hot((view.layer - 1).clamp_min(0), view.share.shape[-1]).float()
    return replace(
        view,
        picture=torch.lerp(view.picture, seen, bare[..., None]),
        share=torch.lerp(view.share, same, bare[..., None]),
    )


def _with_bare_legs(view: regions.TargetView, source: Source) -> regions.TargetView:
    """The view with the target's own legs (in the tone of the source's skin) and shoes where the source's skirt is
    longer than what the target wears: on each leg by itself it would be no skirt."""
    if source.skirt is None:
        return view
    bare = regions.bare_legs(view)
    own = torch.where(bare[..., None], regions.in_sources_tone(view, source.partial), view.photo)
    legs = bare | regions.shod(view)
    under = legs & torch.isin(view.source_layer, view.layer.new_tensor(drape.CLOTH))
    weight = (blend.box_mean(dilate(under, 2 * view.radius).float(), view.radius) * legs)[..., None]
    same = torch.nn.functional.one_hot((view.layer - 1).clamp_min(0), view.share.shape[-1]).float()
    return replace(view, picture=torch.lerp(view.picture, own, weight), share=torch.lerp(view.share, same, weight))


def without_fallen_hair(template: Template, partial: PartialTexture) -> PartialTexture:
    """Hair that fell on the shoulders is no part of an outfit, nor does it say what is under it: unseen there."""
    atlas = get_atlas(template, partial.colour.shape[0])
    on_head = regions.texel_parts(template, atlas) == 0
    stray = (partial.layer == HAIR) & ~on_head
    return garments.without_strays(partial, stray | hair.wisps(partial, stray))


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
    edge: Outline,
) -> tuple[UInt8[np.ndarray, "height width rgb=3"], Float[np.ndarray, "height width"]]:
    """Blends the cut-out's picture into a copy of the photo, a stripe of rows at a time."""
    image, region = photo.copy(), np.zeros(photo.shape[:2], np.float32)
    top, left = window[0].start, window[1].start
    height, width = window[0].stop - top, window[1].stop - left
    # along the outline the photo shows a mixture of the old and what is behind: the old goes
    together = torch.cat([picture, (matte * edge.cover)[..., None], edge.clean * matte[..., None]], -1).cpu()
    same = together.shape[:2] == (height, width)
    for begin in range(0, height, 512):
        end = min(begin + 512, height)
        stripe = together[begin:end] if same else _resampled(together, height, width, begin, end)
        rows, columns = slice(top + begin, top + end), slice(left, left + width)
        alpha = (stripe[..., 3] * torch.from_numpy(np.ascontiguousarray(mask[rows, columns]))).clamp(0, 1)
        below = torch.from_numpy(np.ascontiguousarray(photo[rows, columns])).float() / 255
        cleaned = torch.where((alpha > 0)[..., None], below + stripe[..., 4:], below)
        mixed = blend.composite(cleaned, stripe[..., :3], alpha)
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
