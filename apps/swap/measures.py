"""One swap's figures, beside an exact answer where there is one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from apps.swap.baselines import NearestTexel, paste_by_part
from apps.swap.choice import GARMENTS
from apps.swap.regions import HANDS, HEAD, SKIN
from apps.swap.transfer import put_on, read_source, without_fallen_hair
from bodymap.errors import UserError
from bodymap.metrics.exchange import changed_share, colour_distance, foreign, greatest_change, leak_rate
from bodymap.metrics.image import lpips_distance, psnr, ssim
from bodymap.surface import Template
from bodymap.types import LAYER_NAMES, Correspondence
from bodymap.warping import image_to_texture
from bodymap.warping.fill import fill_texture
from bodymap.warping.grid import smoothing_reach
from bodymap.warping.texture_to_image import texture_to_image

Photo = UInt8[np.ndarray, "height width rgb=3"]
Region = Bool[np.ndarray, "height width"]
# (source's photo, map, target's photo, map) -> (picture, region in [0, 1] or bool)
Way = Callable[[np.ndarray, Correspondence, np.ndarray, Correspondence], tuple[np.ndarray, np.ndarray]]

_TEXTURE = 512  # texels each way at which textures are compared
_MOST = 60.0  # decibels: equal pictures count so much in a mean
_MARGIN = 32  # pixels around a region that is compared
_SAME = 15  # of 255: closer colours count as one
_TOLD_APART = 0.2  # of an old garment: where less differs in colour from the new one its leak says nothing
_FEWEST = 200  # texels in common for a comparison of textures


@dataclass(frozen=True)
class Scene:
    """A source and a target with their maps.

    Attributes:
        true_source, true_target: the maps by which regions are measured; the same ones where there is no truth.
        truth, truth_map: the right answer and its map, if it is known.
    """

    src_photo: Photo
    src_map: Correspondence
    tgt_photo: Photo
    tgt_map: Correspondence
    true_source: Correspondence
    true_target: Correspondence
    truth: Photo | None = None
    truth_map: Correspondence | None = None


def ways(template: Template, what: str, completion, texture_size: int, renderer=None) -> dict[str, Way]:
    """The swap, and what it is compared with, by name."""
    layers = layers_of(what)

    def by_texture(network, renderer=None) -> Way:
        def way(src_photo, src_map, tgt_photo, tgt_map):
            source = read_source(src_photo, src_map, template=template, texture_size=texture_size, completion=network)
            result = put_on(source, tgt_photo, tgt_map, what, template=template, renderer=renderer)
            return result.image, result.region

        return way

    def paste(src_photo, src_map, tgt_photo, tgt_map):
        return paste_by_part(template, src_photo, src_map, tgt_photo, tgt_map, layers)

    found = {"swap": by_texture(completion, renderer)}
    if renderer is not None:
        found["without renderer"] = by_texture(completion)
    return found | {"nearest texel": by_texture(NearestTexel()), "warp and paste": paste}


def layers_of(what: str) -> tuple[int, ...]:
    """The garments among what is exchanged, index into LAYER_NAMES."""
    names = GARMENTS if what == "all" else tuple(name for name in what.split(",") if name in GARMENTS)
    return tuple(LAYER_NAMES.index(name) for name in names)


def measure(
    template: Template,
    scene: Scene,
    way: Way,
    what: str,
    lpips: str | None = None,
) -> dict[str, float]:
    """Every figure of one swap by name; nan where it does not apply.

    Args:
        what: as the command takes it; of hair nothing is measured.
    """
    layers = layers_of(what)
    image, region = way(scene.src_photo, scene.src_map, scene.tgt_photo, scene.tgt_map)
    t, before = scene.true_target, scene.tgt_photo
    worn = t.mask & np.isin(t.layer, layers)
    figures = {}
    if scene.truth is not None and scene.truth_map is not None:
        # what lies outside the target's outline no swap can show that leaves the background alone: it is not compared,
        # nor do the windows of SSIM and LPIPS see it from within
        truth = np.where(t.mask[..., None], scene.truth, image)
        figures |= likeness(image, truth, np.isin(scene.truth_map.layer, layers) & t.mask, lpips)
    figures["outside"] = float(greatest_change(image, before, np.asarray(region) == 0))
    figures["background %"] = 100 * changed_share(image, before, ~t.mask)
    head = t.mask & (t.part == HEAD)
    figures["head dB"] = decibels(image, before, head)
    figures["others %"] = 100 * changed_share(image, before, kept_region(t, what))
    figures |= (
        {"skin %": math.nan, "skin unasked %": math.nan}
        if what == "all"
        else skin_changed(template, scene, image, layers)
    )
    changing = _ought_to_change(scene, worn, layers)
    told_apart = changing.sum() > _TOLD_APART * worn.sum()
    figures["leak %"] = 100 * leak_rate(image, before, changing) if told_apart else math.nan
    figures |= fidelity(template, scene, image, np.asarray(region, float), layers, lpips)
    figures |= _there_and_back(scene, way, image, layers, lpips)
    return figures


def skin_changed(template: Template, scene: Scene, image: Photo, layers: tuple[int, ...]) -> dict[str, float]:
    """Of the target's skin what has changed, and what of it no garment was to cover: shares of all of its skin.

    The source's garment is to cover skin where it lies on the same place of the source's body, as far as that is seen
    there or on its mirror image, and as plain filling has it elsewhere, under hair on the shoulders, too.
    """
    t = scene.true_target
    skin = t.mask & (t.layer == SKIN)
    if not skin.any():
        return {"skin %": math.nan, "skin unasked %": math.nan}
    one = image_to_texture(
        template, scene.src_photo, scene.true_source, _TEXTURE, smooth=smoothing_reach(scene.true_source)
    )
    one = without_fallen_hair(template, one)
    worn = torch.isin(fill_texture(template, one).layer, torch.tensor(layers)).float()[..., None]
    asked = texture_to_image(template, worn, t, smooth=smoothing_reach(t)).values[..., 0].numpy() > 0.5
    share = (skin & ~asked).sum() / skin.sum()
    unasked = changed_share(image, scene.tgt_photo, skin & ~asked) * share if share else 0.0
    return {"skin %": 100 * changed_share(image, scene.tgt_photo, skin), "skin unasked %": 100 * float(unasked)}


def _ought_to_change(scene: Scene, worn: Region, layers: tuple[int, ...]) -> Region:
    """Where the target's old garment shows colours that the right answer, or else the new garment, does not have."""
    if scene.truth is not None and scene.truth_map is not None:
        apart = np.abs(scene.truth.astype(int) - scene.tgt_photo).max(-1) > 2 * _SAME
        return worn & apart & scene.truth_map.mask
    new = scene.src_photo[scene.true_source.mask & np.isin(scene.true_source.layer, layers)] / 255
    return foreign(scene.tgt_photo, worn, new)


def kept_region(target: Correspondence, what: str) -> Region:
    """Where nothing was asked for: head, hands and carried things after all, else all other layers (skin apart)."""
    if what == "all":
        hands = np.isin(target.part, HANDS) & (target.layer == SKIN)
        carried = target.layer == LAYER_NAMES.index("carried")
        return target.mask & ((target.part == HEAD) | hands | carried)
    return target.mask & ~np.isin(target.layer, (SKIN, *layers_of(what)))


def likeness(image: Photo, truth: Photo, region: Region, lpips: str | None) -> dict[str, float]:
    if not region.any():
        return dict.fromkeys(("psnr", "ssim", "lpips"), math.nan)
    # networks and windows look some pixels further, and no more of the picture is needed
    rows, columns = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    around = tuple(slice(max(0, int(at[0]) - _MARGIN), int(at[-1]) + 1 + _MARGIN) for at in (rows, columns))
    one, other, where = tensor(image[around]), tensor(truth[around]), torch.from_numpy(region[around])
    return {
        "psnr": psnr(one, other, where),
        "ssim": ssim(one, other, where),
        "lpips": lpips_distance(one, other, where, weights=lpips),
    }


def fidelity(
    template: Template,
    scene: Scene,
    image: Photo,
    region: Float[np.ndarray, "height width"],
    layers: tuple[int, ...],
    lpips: str | None,
) -> dict[str, float]:
    """The garments' texture in the result against that in the source's photo, where both show the same cloth."""
    one = image_to_texture(template, scene.src_photo, scene.src_map, _TEXTURE, smooth=smoothing_reach(scene.src_map))
    other, replaced = (
        image_to_texture(template, picture, scene.tgt_map, _TEXTURE, smooth=smoothing_reach(scene.tgt_map))
        for picture in (image, np.repeat(region[..., None], 3, 2).astype(np.float32))
    )
    garment = one.seen & torch.isin(one.layer, torch.tensor(layers))
    common = garment & other.seen & (replaced.colour[..., 0] > 0.9)
    if int(common.sum()) < _FEWEST:
        return {"cloth lpips": math.nan, "cloth colours": math.nan}
    pictures = [torch.where(common[..., None], p.colour, 0.5).permute(2, 0, 1) for p in (one, other)]
    return {
        "cloth lpips": lpips_distance(*pictures, common, weights=lpips),
        "cloth colours": colour_distance(one.colour[common].numpy(), other.colour[common].numpy()),
    }


def _there_and_back(
    scene: Scene, way: Way, image: Photo, layers: tuple[int, ...], lpips: str | None
) -> dict[str, float]:
    """The source dressed again from the result: what of its own clothes has survived.

    The result's map is the truth's, where it is known, else the target's: body and outline are the same.
    """
    again = scene.tgt_map if scene.truth_map is None else scene.truth_map
    try:
        back, _ = way(image, again, scene.src_photo, scene.src_map)
    except UserError:
        return {"cycle lpips": math.nan, "cycle dB": math.nan}  # no such garment is found in the result
    worn = scene.true_source.mask & np.isin(scene.true_source.layer, layers)
    figures = likeness(back, scene.src_photo, worn, lpips)
    return {"cycle lpips": figures["lpips"], "cycle dB": min(figures["psnr"], _MOST)}


def decibels(image: Photo, before: Photo, region: Region) -> float:
    return min(psnr(tensor(image), tensor(before), torch.from_numpy(region)), _MOST) if region.any() else math.nan


def tensor(image: Photo) -> Float[Tensor, "rgb=3 height width"]:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255
