"""Which pixels of the target a swap may touch: by layer, by body part with soft edges, by what the source showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from apps.swap.labels import FIRM, HAIR, LOWER, SHOES, SKIN, UPPER, bins, log_ratio
from bodymap.surface import Template, points
from bodymap.types import LAYER_NAMES, PART_NAMES, Correspondence
from bodymap.warping import blend, evening
from bodymap.warping.atlas import Atlas, get_atlas
from bodymap.warping.fill import MIRRORED, SEEN, FilledTexture
from bodymap.warping.grid import PixelGrid, pixel_grid
from bodymap.warping.image_to_texture import PartialTexture
from bodymap.warping.texture_to_image import look_up
from bodymap.warping.windows import window_mean

HEAD, NECK = PART_NAMES.index("head"), PART_NAMES.index("neck")
# Over how much skin the head's tone runs out into the body's, and the hand's into the arm's, metres.
NECK_FADE, WRIST_FADE, PART_FADE = 0.09, 0.06, 0.05
# A group of parts says nothing, and the target keeps its own there, when less than this share of its texels was seen
# and it makes up less than that share of the source's pixels.
FEWEST_SEEN, FEWEST_PIXELS = 0.04, 0.01
# A head is exchanged only when at least this share of what the target shows of it was seen on the source.
HEAD_SEEN = 0.3
# Radius of the rounding of garment edges, as a share of the texture's side: about 1 cm on the torso.
EDGE_ROUNDING = 6 / 1024
# Skin of the source keeps so much of its light and shade; below so many pixels no tone is known.
_SHADES, _FEWEST_COLOURS = (0.5, 1.5), 30
# A sole is no higher than this share of the person, and seen along so much of the shoe's lower edge.
_SOLE, _ALONG = 1 / 60, 0.4
# Room around the person, pixels, for filters.
_MARGIN = 8


def _parts(*names: str) -> tuple[int, ...]:
    return tuple(i for i, name in enumerate(PART_NAMES) if any(name.endswith(n) for n in names))


HANDS = _parts("hand")
TORSO = _parts("torso_front", "torso_back")
FOREARMS, SHINS, FEET = _parts("forearm"), _parts("shin"), _parts("foot")
ARMS = _parts("upper_arm", "forearm")
LEGS = _parts("thigh", "shin")
GROUPS = (TORSO, _parts("upper_arm"), FOREARMS, _parts("thigh"), SHINS, FEET)
# Where skin may come out from under a garment, and where a garment may lie on bare skin.
BARED = {UPPER: (*ARMS, *TORSO, *HANDS, NECK), LOWER: (*LEGS, *FEET), SHOES: FEET}
COVERED = {UPPER: (*ARMS, *TORSO, NECK), LOWER: (*LEGS, *TORSO), SHOES: (*SHINS, *FEET)}
# A sleeve is long when at least this share of what is seen of the forearms is sleeve.
LONG = 0.7
# Things on a garment are smaller than this share of the person.
SMALL_THING = 0.008


@dataclass(frozen=True)
class TargetView:
    """The cut-out of the target around its person, with the source's texture seen through its map.

    Attributes:
        photo: (h, w, 3) float32 in [0, 1].
        grid: its map, evened.
        mask, layer, part, triangle, barycentric: the same as tensors.
        picture: the source's filled texture seen here, 0 outside the mask.
        share: the source's layers seen here (without background), in [0, 1], summing to 1 inside the mask.
        known: share of the look-up that was seen on the source, directly or mirrored.
        light: the renderer's correction of the source's textures here (``relit.py``): logarithm of a factor, and what
            is added; None: there is none.
    """

    photo: Float[Tensor, "height width rgb=3"]
    grid: PixelGrid
    mask: Bool[Tensor, "height width"]
    layer: Int[Tensor, "height width"]
    part: Int[Tensor, "height width"]
    triangle: Int[Tensor, "height width"]
    barycentric: Float[Tensor, "height width 3"]
    picture: Float[Tensor, "height width rgb=3"]
    share: Float[Tensor, "height width layer"]
    known: Float[Tensor, "height width"]
    light: Float[Tensor, "height width 4"] | None = None

    def lit(self, picture: Float[Tensor, "height width rgb=3"]) -> Float[Tensor, "height width rgb=3"]:
        """What a texture of the source's shows here, in the light that falls here."""
        if self.light is None:
            return picture
        return (picture * self.light[..., :1].exp() + self.light[..., 1:]).clamp(0, 1)

    @property
    def source_layer(self) -> Int[Tensor, "height width"]:
        return (self.share.argmax(-1) + 1) * self.mask

    @property
    def extent(self) -> int:
        """The person's larger side, pixels."""
        return max(self.mask.shape) - 2 * _MARGIN

    @property
    def radius(self) -> int:
        """Of edge filters, pixels."""
        return max(2, round(self.extent / 250))


def window(correspondence: Correspondence) -> tuple[slice, slice]:
    """The rows and columns around the person, with a little room."""
    height, width = correspondence.size
    rows, columns = np.flatnonzero(correspondence.mask.any(1)), np.flatnonzero(correspondence.mask.any(0))
    return (
        slice(max(0, int(rows[0]) - _MARGIN), min(height, int(rows[-1]) + 1 + _MARGIN)),
        slice(max(0, int(columns[0]) - _MARGIN), min(width, int(columns[-1]) + 1 + _MARGIN)),
    )


def cut(correspondence: Correspondence, window: tuple[slice, slice]) -> Correspondence:
    """The part of a map inside a window."""
    return Correspondence(
        **{name: getattr(correspondence, name)[window] for name in correspondence.__dataclass_fields__}
    )


def target_view(
    template: Template,
    photo: UInt8[np.ndarray, "height width rgb=3"],
    correspondence: Correspondence,
    filled: FilledTexture,
    smooth: int,
) -> TargetView:
    """Looks at the filled texture, its layers and what of it is known through the target's map."""

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(template.device)

    atlas = get_atlas(template, filled.layer.shape[0])
    layers = smooth_shares(filled.layer, atlas)
    known = ((filled.origin == SEEN) | (filled.origin == MIRRORED)).float()[..., None]
    grid = evening.smooth(template, pixel_grid(template, correspondence), smooth)
    seen = look_up(template, torch.cat([filled.colour, known, layers], -1), grid, correspondence.size)
    mask = tensor(correspondence.mask) & (seen.weight > 0)
    return TargetView(
        photo=tensor(photo).float() / 255,
        grid=grid,
        mask=mask,
        layer=tensor(correspondence.layer).long(),
        part=tensor(correspondence.part).long(),
        triangle=tensor(correspondence.triangle).long(),
        barycentric=tensor(correspondence.barycentric).float(),
        picture=seen.values[..., :3].clamp(0, 1),
        known=seen.values[..., 3],
        share=seen.values[..., 4:],
    )


def smooth_shares(layer: Int[Tensor, "texel texel"], atlas: Atlas) -> Float[Tensor, "texel texel layer"]:
    """The layers (without background) one by one, ragged edges rounded over about a centimetre and firmed up."""
    radius = max(1, round(atlas.size * EDGE_ROUNDING))
    one_hot = torch.nn.functional.one_hot(layer, len(LAYER_NAMES))[..., 1:].float()
    covered = atlas.covered.float()
    mass = _blur(covered[None, None], radius).clamp_min(1e-6)
    # islands lie further apart than the blur reaches, by and large: what little leaks over is the same garment anyway
    blurred = _blur(one_hot.permute(2, 0, 1)[:, None] * covered, radius) / mass
    firm = ((blurred - 0.5) * radius / 2 + 0.5).clamp(0, 1)[:, 0].permute(1, 2, 0)
    # where three meet none may reach one half
    total = firm.sum(-1, keepdim=True)
    return torch.where(total > 0.5, firm / total.clamp_min(1e-6), one_hot)


def _blur(image: Float[Tensor, "c 1 height width"], radius: int) -> Float[Tensor, "c 1 height width"]:
    """Two box filters after each other."""
    for _ in range(2):
        image = window_mean(image, 2 * radius + 1, "zero")
    return image


def keep_head_and_hands(template: Template, view: TargetView) -> Float[Tensor, "height width"]:
    """1 where the target's own head, hair and hands stay; running out over bare skin of neck and wrists.

    Where a collar or sleeve lies on either person the edge is the garment's: nothing runs out under cloth.
    """
    bare = (view.layer == SKIN).float() * view.share[..., SKIN - 1]
    neck = at_pixels(template, view, nearness(template, (HEAD,), NECK_FADE)) * bare
    wrist = at_pixels(template, view, nearness(template, HANDS, WRIST_FADE)) * bare
    whole = head_and_hands(view) | (view.part == HEAD)
    return torch.maximum(torch.maximum(neck, wrist), whole.float())


def head_and_hands(view: TargetView) -> Bool[Tensor, "height width"]:
    """The target's face, hair and hands, as far as nothing is worn over them: these stay to the pixel."""
    hand = torch.isin(view.part, view.part.new_tensor(HANDS)) & (view.layer == SKIN)
    return view.mask & (((view.part == HEAD) & (view.layer == SKIN)) | (view.layer == HAIR) | hand)


def keep_unseen(
    template: Template, view: TargetView, evidence: Bool[Tensor, "texel texel"], source: Correspondence
) -> Float[Tensor, "height width"]:
    """1 on parts of which the source's photo shows (next to) nothing: legs, when it ends at the waist."""
    parts = texel_parts(template, get_atlas(template, evidence.shape[0]))
    keep = torch.zeros_like(view.known)
    missing = []
    pixels = source.part[source.mask]
    for group in GROUPS:
        own = torch.isin(parts, parts.new_tensor(group))
        little = float((own & evidence).sum()) < FEWEST_SEEN * float(own.sum())
        if little and np.isin(pixels, group).mean() < FEWEST_PIXELS:
            missing += group
    if missing:
        keep = at_pixels(template, view, nearness(template, tuple(missing), PART_FADE))
    head = view.part == HEAD
    if bool(head.any()) and float(view.known[head].mean()) < HEAD_SEEN:
        keep = torch.maximum(keep, at_pixels(template, view, nearness(template, (HEAD,), NECK_FADE)))
    return keep


def may_be_bare(view: TargetView, layers: Sequence[int]) -> Bool[Tensor, "height width"]:
    """Where skin may come out when the target's garments give way to smaller ones of the source's."""
    return torch.isin(view.part, view.part.new_tensor(sorted({k for n in layers for k in BARED.get(n, ())})))


def may_be_covered(view: TargetView, layers: Sequence[int]) -> Bool[Tensor, "height width"]:
    """Where the source's garments may lie on the target's bare skin."""
    parts = sorted({k for n in layers for k in COVERED.get(n, ())})
    return torch.isin(view.part, view.part.new_tensor(parts)) & (view.layer == SKIN)


def on_legs(view: TargetView) -> Bool[Tensor, "height width"]:
    return torch.isin(view.part, view.part.new_tensor(LEGS))


def bare_legs(view: TargetView) -> Bool[Tensor, "height width"]:
    """The target's legs where nothing, or tights, are worn on them."""
    return view.mask & (view.layer == SKIN) & on_legs(view)


def shod(view: TargetView) -> Bool[Tensor, "height width"]:
    return view.mask & (view.layer == SHOES) & torch.isin(view.part, view.part.new_tensor((*LEGS, *FEET)))


def soles(view: TargetView) -> Bool[Tensor, "height width"]:
    """The target's own soles, where its shoes show any: what a shoe stands on the ground with.

    They lie along a shoe's lower edge, in colours that it has nowhere above. (A map knows nothing of soles: they would
    get whatever the source's shoe has beside its edge.)
    """
    from scipy import ndimage

    feet = shod(view) & torch.isin(view.part, view.part.new_tensor(FEET))
    shoes, mask = feet.cpu().numpy(), view.mask.cpu().numpy()
    photo = (view.photo * 255).round().byte().cpu().numpy()
    high = max(2, round(_SOLE * view.extent))
    # pixels down to where the person ends, going through shoe only
    below = np.full(shoes.shape, np.inf)
    down = np.where(mask[-1], np.inf, 0)
    for row in range(len(shoes) - 1, -1, -1):
        down = np.where(shoes[row], down + 1, np.where(mask[row], np.inf, 0))
        below[row] = np.where(shoes[row], down, np.inf)
    found = np.zeros_like(shoes)
    pieces, count = ndimage.label(shoes)
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        piece, depth = pieces[box] == number, below[box]
        strip, above = piece & (depth <= high), piece & (depth > 2 * high)
        if min(strip.sum(), above.sum()) < _FEWEST_COLOURS:
            continue
        ratio = log_ratio(photo[box][piece & (depth <= max(2, high // 2))], photo[box][above])[bins(photo[box])]
        sole = ndimage.binary_closing(strip & (ndimage.uniform_filter(ratio, 3) > FIRM)) & strip
        sole = ndimage.binary_propagation(strip & (depth <= 2), mask=sole | (strip & (depth <= 1)))
        # what is thin is the shoe's outline
        sole = ndimage.binary_opening(sole, np.ones((3, 3)))
        if (sole & (depth > high / 3)).any(0).sum() >= _ALONG * strip.any(0).sum():
            found[box] |= sole
    return torch.from_numpy(found).to(view.mask.device)


def hidden_ends(
    template: Template, view: TargetView, partial: PartialTexture, layers: Sequence[int]
) -> Bool[Tensor, "height width"]:
    """Forearms and hands, shins and feet, where the source's sleeves or trousers are long.

    A coat's sleeve that reaches over the hand is as long as it is: a cuff of skin on it, because the source's ends at
    the wrist, is nobody's.
    """
    parts = texel_parts(template, get_atlas(template, partial.layer.shape[0]))
    result = torch.zeros_like(view.mask)
    for layer, limb, end in ((UPPER, FOREARMS, HANDS), (LOWER, SHINS, FEET)):
        if layer not in layers:
            continue
        seen = partial.seen & torch.isin(parts, parts.new_tensor(limb))
        if bool(seen.any()) and float((partial.layer[seen] == layer).float().mean()) > LONG:
            result |= torch.isin(view.part, view.part.new_tensor((*limb, *end)))
    return result


def without_holes(view: TargetView, layers: Sequence[int]) -> Bool[Tensor, "height width"]:
    """Where the target wears the garments, small things on them included: a flower, a brooch, specks of other labels.

    Hands and faces before them are none of those, nor is what reaches the garment's edge.
    """
    from scipy import ndimage

    worn = torch.isin(view.layer, view.layer.new_tensor(layers)) & view.mask
    within = ndimage.binary_fill_holes(worn.cpu().numpy()) & view.mask.cpu().numpy() & ~worn.cpu().numpy()
    pieces, count = ndimage.label(within)
    if not count:
        return worn
    number = np.arange(1, count + 1)
    area = ndimage.sum_labels(within, pieces, number)
    living = ((view.part == HEAD) | torch.isin(view.part, view.part.new_tensor(HANDS))) & (view.layer == SKIN)
    alive = ndimage.sum_labels(living.cpu().numpy(), pieces, number)
    small = (area < SMALL_THING * float(view.mask.sum())) & (alive < 0.2 * area)
    return worn | torch.from_numpy(np.isin(pieces, number[small])).to(worn.device)


def in_targets_tone(
    skin: Float[Tensor, "height width rgb=3"],
    view: TargetView,
    partial: PartialTexture,
    tone: Float[Tensor, "height width rgb=3"] | None = None,
) -> Float[Tensor, "height width rgb=3"]:
    """The source's skin as if it were the target's: that one's colour, this one's light and shade.

    Args:
        tone: the target's at each pixel; None: the same everywhere.
    """
    wanted = view.photo[view.mask & (view.layer == SKIN)]
    return _in_tone(skin, partial.colour[partial.layer == SKIN], wanted, tone)


def in_sources_tone(view: TargetView, partial: PartialTexture) -> Float[Tensor, "height width rgb=3"]:
    """The target's legs as if they were the source's: that one's colour, their own light and shade."""
    return _in_tone(view.photo, view.photo[bare_legs(view)], partial.colour[partial.layer == SKIN])


def with_own_limbs(
    template: Template,
    picture: Float[Tensor, "height width rgb=3"],
    view: TargetView,
    partial: PartialTexture,
    hands: bool,
) -> Float[Tensor, "height width rgb=3"]:
    """The picture with the target's own arms and legs where both are bare and the source's are made up, in the tone
    of the source's.

    Args:
        hands: these everywhere: no two people hold their fingers alike.
    """
    place = texel_parts(template, get_atlas(template, partial.layer.shape[0]))
    skin = partial.layer == SKIN
    for parts in ((*ARMS, *HANDS), (*LEGS, *FEET)):
        bare = view.mask & (view.layer == SKIN) & torch.isin(view.part, view.part.new_tensor(parts))
        same = skin & torch.isin(place, place.new_tensor(parts))
        wanted = partial.colour[same if int(same.sum()) >= _FEWEST_COLOURS else skin]
        if min(int(bare.sum()), len(wanted)) < _FEWEST_COLOURS:
            continue
        tone, own = wanted.median(0).values, view.photo[bare].median(0).values.clamp_min(1e-2)
        # little of a dark skin's shades is shade on a light one
        turned = tone * (view.photo / own) ** (own / tone.clamp_min(1e-2)).clamp(0.5, 1)
        made_up = 1 - view.known
        if hands:
            made_up = made_up.masked_fill(torch.isin(view.part, view.part.new_tensor(HANDS)), 1)
        weight = blend.box_mean(made_up * bare, view.radius) / blend.box_mean(bare.float(), view.radius).clamp_min(1e-6)
        weight = weight * view.share[..., SKIN - 1] * bare
        picture = torch.lerp(picture, turned.clamp(0, 1), weight[..., None])
    return picture


def _in_tone(
    skin: Float[Tensor, "height width rgb=3"],
    own: Float[Tensor, "a rgb=3"],
    wanted: Float[Tensor, "b rgb=3"],
    tone: Float[Tensor, "height width rgb=3"] | None = None,
) -> Float[Tensor, "height width rgb=3"]:
    if min(len(own), len(wanted)) < _FEWEST_COLOURS:
        return skin
    light, middle = blend.luminance(skin), blend.luminance(own).median()
    # little of a dark skin's shades is shade on a light one, and what is far off is no skin
    shade = ((light + 0.1) / (middle + 0.1)).clamp(*_SHADES).sqrt()
    return ((wanted.median(0).values if tone is None else tone) * shade[..., None]).clamp(0, 1)


def nearness(template: Template, parts: tuple[int, ...], fade: float) -> Float[Tensor, " vertex"]:
    """For each vertex 1 on the parts, smoothly down to 0 at ``fade`` metres from them on the rest body."""
    key = ("nearness", parts, fade)
    if key not in template.cache:
        own = torch.isin(template.vertex_part, template.vertex_part.new_tensor(parts))
        distance = torch.cat(
            [torch.cdist(block, template.vertices[own]).min(1).values for block in template.vertices.split(1024)]
        )
        t = (1 - distance / fade).clamp(0, 1)
        template.cache[key] = t * t * (3 - 2 * t)
    return template.cache[key]


def at_pixels(template: Template, view: TargetView, values: Float[Tensor, " vertex"]) -> Float[Tensor, "height width"]:
    """Per-vertex values at the target's pixels, 0 outside the mask."""
    result = torch.zeros_like(view.known)
    inside = view.mask & (view.triangle >= 0)
    corners = template.triangles[view.triangle[inside]]
    result[inside] = (values[corners] * view.barycentric[inside]).sum(-1)
    return result


def texel_parts(template: Template, atlas: Atlas) -> Int[Tensor, "texel texel"]:
    """Index into PART_NAMES of each texel, -1 outside the islands."""
    key = ("texel_parts", atlas.size)
    if key not in template.cache:
        parts = torch.full_like(atlas.triangle, -1)
        covered = atlas.covered
        parts[covered] = points.part(template, atlas.triangle[covered], atlas.barycentric[covered])
        template.cache[key] = parts
    return template.cache[key]
