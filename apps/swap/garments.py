"""Single garments of the source on the target: which pixels each takes, and what comes out where one is smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from apps.rerender.grain import continued_grain
from apps.rerender.opposite import FOLD, laid_opposite
from apps.rerender.pattern import continued_pattern
from apps.swap import regions
from apps.swap.labels import CARRIED
from apps.swap.outline import redrawn
from apps.swap.regions import LOWER, SHOES, SKIN, UPPER
from bodymap.errors import UserError
from bodymap.surface import Template
from bodymap.types import LAYER_NAMES
from bodymap.warping import blend
from bodymap.warping.atlas import get_atlas
from bodymap.warping.fill import FilledTexture, fill_texture, restrict
from bodymap.warping.grid import dilate
from bodymap.warping.image_to_texture import PartialTexture
from bodymap.warping.texture_to_image import look_up

# A garment of fewer texels than this share of the texture is a stray label, not a garment.
FEWEST_TEXELS = 1e-3
# Light and shade of a limb lie between these shares of the person's size; no more of them than so much is taken.
_FINE, _COARSE = 120, 24
_RELIEF = (0.75, 1.2)
# So much of the skin of each part is shade, brows or lips.
_DARKER = 0.35
# Cloth beyond its own edge is as it is there over about so much of the texture's side.
_FEATHER = 1 / 32

Picture = Float[Tensor, "height width rgb=3"]
Matte = Float[Tensor, "height width"]


def exchange(
    template: Template,
    view: regions.TargetView,
    partial: PartialTexture,
    filled: FilledTexture,
    names: Sequence[str],
    skirt: bool = False,
    skin: PartialTexture | None = None,
) -> tuple[Picture, Matte]:
    """The garments where the target wears them, and where the source's cover what is bare on the target.

    Args:
        partial, filled: the source's texture, the mirror image's included, and the whole of it.
        names: some of upper, lower and shoes.
        skirt: whether the source wears one: nothing hangs about a leg by itself, so bare legs stay bare.
        skin: what the target's photo shows of its skin: what comes out from under its clothes goes on from there.

    Raises:
        UserError: the source wears none of one of them.
    """
    layers = [LAYER_NAMES.index(name) for name in names]
    _check(partial, layers)
    picture, matte = torch.zeros_like(view.picture), torch.zeros_like(view.known)
    # trousers and coat may pass into each other; a shoe is a thing by itself
    for group in ([k for k in layers if k != SHOES], [k for k in layers if k == SHOES]):
        if group:
            one, own = _exchanged(template, view, partial, filled, group, skirt, skin)
            picture, matte = over(picture, matte, one, own)
    return picture, matte


def of_same_kind(view: regions.TargetView, names: Sequence[str]) -> Bool[Tensor, "height width"]:
    """Where both wear one of the garments."""
    layers = view.layer.new_tensor([LAYER_NAMES.index(name) for name in names])
    return torch.isin(view.layer, layers) & torch.isin(view.source_layer, layers)


def over(below: Picture, below_matte: Matte, above: Picture, above_matte: Matte) -> tuple[Picture, Matte]:
    """Two pictures with their mattes as one, the second on top."""
    rest = below_matte * (1 - above_matte)
    matte = rest + above_matte
    both = rest[..., None] * below + above_matte[..., None] * above
    return both / matte.clamp_min(1e-6)[..., None], matte


def _check(partial: PartialTexture, layers: Sequence[int]) -> None:
    there = {k for k in layers if float((partial.seen & (partial.layer == k)).float().mean()) >= FEWEST_TEXELS}
    # one piece may be both
    if there & {UPPER, LOWER} and {UPPER, LOWER} <= set(layers):
        there |= {UPPER, LOWER}
    for k in layers:
        if k not in there:
            name = LAYER_NAMES[k] if k == SHOES else f"{LAYER_NAMES[k]} garment"
            raise UserError(f"The source's photo shows no {name}; choose another, or --what all.")


def _exchanged(
    template: Template,
    view: regions.TargetView,
    partial: PartialTexture,
    filled: FilledTexture,
    layers: list[int],
    skirt: bool,
    skin: PartialTexture | None,
) -> tuple[Picture, Matte]:
    mine = view.share[..., [k - 1 for k in layers]].sum(-1)
    kept = regions.head_and_hands(view)
    if layers == [SHOES]:
        # what reaches up the leg beyond the source's shoe stays: a sock as well as a boot's shaft
        kept = kept | ((view.layer == SHOES) & (mine < 0.5) & regions.on_legs(view)) | regions.soles(view)
    worn = regions.without_holes(view, layers)
    # what is carried before them keeps the edge that the map gives it
    within = view.mask & ~kept & (worn | (view.layer != CARRIED))
    worn = redrawn(worn, view.photo, within, 3 * view.radius)
    textures = [cloth(template, partial, filled, layers)]
    # Where the source shows skin under the target's garment (short sleeves for long ones), skin comes out.
    bare = view.share[..., SKIN - 1] * (regions.may_be_bare(view, layers) & worn)
    bare = bare * ~regions.hidden_ends(template, view, partial, layers)
    if bool((bare > 0).any()) and bool((partial.layer == SKIN).any()):
        textures.append(fill_texture(template, partial, mirror=False, layers=(SKIN,)).colour)
        if skin is not None and float(skin.seen.float().mean()) >= FEWEST_TEXELS:
            textures.append(_spread(template, skin))
    seen = look_up(template, torch.cat(textures, -1), view.grid, tuple(view.mask.shape)).values
    picture = view.lit(seen[..., :3])
    if len(textures) > 1:
        # in the tone of the target's skin, as it is nearest to there: a hand's, not the cheeks'
        tone = seen[..., 6:] if len(textures) > 2 else None
        tinted = regions.in_targets_tone(seen[..., 3:6], view, partial, tone) * _relief(view, worn)[..., None]
        picture = torch.lerp(picture, tinted, bare[..., None])
    # The target's garment, with its edge drawn onto the photo's edge.
    # The source's garment over the target's bare skin: there its edge comes from the source, not from this photo.
    covering = mine * regions.may_be_covered(view, layers) * view.mask
    if skirt:
        covering = covering * ~regions.bare_legs(view)
    region = torch.maximum(worn.float(), covering)
    matte = blend.soft_matte(region, view.photo, view.mask, view.radius)
    # away from the old garment its edge is as narrow as a blend's: the texture's own is a centimetre, many pixels, wide
    narrow = _narrow(mine, view) * (covering > 0)
    return picture, torch.where(dilate(worn, view.radius), matte, narrow) * ~kept


def _narrow(share: Matte, view: regions.TargetView) -> Matte:
    """A share with its edges where it passes one half, some pixels wide."""
    radius, mask = view.radius // 2, view.mask.float()
    return blend.box_mean((share > 0.5) * mask, radius) / blend.box_mean(mask, radius).clamp_min(1e-6) * mask


def _spread(template: Template, skin: PartialTexture) -> Float[Tensor, "texel texel rgb=3"]:
    """The skin's tones over the whole body, with its grain where none was seen.

    Brows, lips and the shade under the chin are no tone that goes on elsewhere: of each part the darker texels have no
    say.
    """
    parts = regions.texel_parts(template, get_atlas(template, skin.layer.shape[0]))
    light, dark = blend.luminance(skin.colour), torch.zeros_like(skin.seen)
    for part in parts[skin.seen].unique().tolist():
        own = skin.seen & (parts == part)
        dark |= own & (light < torch.quantile(light[own][:: max(1, int(own.sum()) // 10000)], _DARKER))
    filled = fill_texture(template, without_strays(skin, dark), mirror=False, layers=(SKIN,))
    return filled.colour + continued_grain(filled.colour, filled.layer, skin.seen)


def _relief(view: regions.TargetView, worn: Bool[Tensor, "height width"]) -> Matte:
    """The light and shade of the target's own limbs, as its sleeves show them: what makes an arm look round."""
    light = blend.luminance(view.photo)
    fine, coarse = (blend.blurred_within(light, worn, max(2, view.extent // share)) for share in (_FINE, _COARSE))
    return ((fine + 0.05) / (coarse + 0.05)).clamp(*_RELIEF)


def cloth(
    template: Template, partial: PartialTexture, filled: FilledTexture, layers: list[int]
) -> Float[Tensor, "texel texel rgb=3"]:
    """The garments' colours everywhere, as if they covered the whole body."""
    own = restrict(partial, tuple(layers))
    # a shirt goes on below its hem in its own colour there, not in that of the jacket over it
    plain = fill_texture(template, own, mirror=False, feather=round(math.log2(_FEATHER * partial.layer.shape[0])))
    # what the completion makes of them where it thinks that they are, else their own colours spread
    learned = torch.isin(filled.layer, filled.layer.new_tensor(layers)) & ~partial.seen
    colour = torch.where((learned & ~own.seen)[..., None], filled.colour, plain.colour)
    # a jacket may have to become as long as a coat: its pattern goes on
    rest = ~own.seen & ~learned
    added = continued_pattern(plain.colour, plain.layer, own.seen, laid_opposite(template, own, FOLD))
    return torch.where(rest[..., None], colour + added, colour).clamp(0, 1)


def without_strays(partial: PartialTexture, stray: Bool[Tensor, "texel texel"]) -> PartialTexture:
    """The texture with some of its texels unseen."""
    return replace(
        partial,
        colour=partial.colour * ~stray[..., None],
        confidence=partial.confidence * ~stray,
        layer=partial.layer * ~stray,
    )
