"""What a swap is compared with: pasting the source's pixels part by part, and filling from the nearest texel."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from apps.rerender.evaluate import nearest_fill
from bodymap.surface import Template, points
from bodymap.types import PART_NAMES, Correspondence
from bodymap.warping.atlas import get_atlas
from bodymap.warping.fill import SEEN, SMOOTH, FilledTexture
from bodymap.warping.image_to_texture import PartialTexture

# Places of both pictures that lie so close on the body show the same of it, metres.
_SAME = 0.03
_MATCHES, _FEWEST = 4000, 60


class NearestTexel:
    """Stands in for the learned completion: every unseen texel is as the nearest seen one of the atlas."""

    def complete(self, template: Template, partial: PartialTexture) -> FilledTexture:
        covered = get_atlas(template, partial.layer.shape[0]).covered
        as_colours = partial.layer[..., None].expand(-1, -1, 3).float()
        layer = nearest_fill(PartialTexture(as_colours, partial.confidence, partial.layer))[..., 0].round().long()
        origin = torch.where(partial.seen, SEEN, SMOOTH) * covered
        return FilledTexture(nearest_fill(partial) * covered[..., None], layer * covered, origin)


def paste_by_part(
    template: Template,
    src_photo: UInt8[np.ndarray, "src_height src_width rgb=3"],
    source: Correspondence,
    tgt_photo: UInt8[np.ndarray, "height width rgb=3"],
    target: Correspondence,
    layers: tuple[int, ...],
) -> tuple[UInt8[np.ndarray, "height width rgb=3"], Bool[np.ndarray, "height width"]]:
    """Warp and paste: each body part of the source's photo by one affine map, fitted to what both pictures show of it.

    Parts that only the target shows get the garment's mean colour.

    Args:
        layers: what is exchanged, index into LAYER_NAMES.

    Returns:
        (picture, which pixels were replaced): where the target wears one of the layers.
    """
    region = target.mask & np.isin(target.layer, layers)
    worn = source.mask & np.isin(source.layer, layers)
    image = tgt_photo.copy()
    if not region.any() or not worn.any():
        return image, region
    mean = {k: src_photo[worn & (source.layer == k)].mean(0) for k in layers if (worn & (source.layer == k)).any()}
    average = src_photo[worn].mean(0)
    for part in range(len(PART_NAMES)):
        here = region & (target.part == part)
        if not here.any():
            continue
        rows, columns = np.nonzero(here)
        affine = _affine(template, source, target, part)
        if affine is None:
            image[here] = [mean.get(k, average) for k in target.layer[here]]
            continue
        row, column = (np.stack([rows, columns, np.ones(len(rows))], 1) @ affine).T
        image[here] = np.stack(
            [map_coordinates(src_photo[..., k], [row, column], order=1, mode="nearest") for k in range(3)], 1
        )
    return image, region


def _affine(
    template: Template, source: Correspondence, target: Correspondence, part: int
) -> Float[np.ndarray, "3 2"] | None:
    """Least squares from the target's (row, column, 1) to the source's (row, column); None: too little in common."""
    places = []
    for c in (source, target):
        rows, columns = np.nonzero(c.mask & (c.part == part))
        if len(rows) < _FEWEST:
            return None
        some = slice(None, None, max(1, len(rows) // _MATCHES))
        at = rows[some], columns[some]
        position = points.position(
            template, torch.from_numpy(c.triangle[at]).long(), torch.from_numpy(c.barycentric[at])
        )
        places.append((np.stack(at, 1).astype(float), position.numpy()))
    (src_at, src_position), (tgt_at, tgt_position) = places
    distance, which = cKDTree(src_position).query(tgt_position)
    good = distance < _SAME
    if good.sum() < _FEWEST:
        return None
    known = np.concatenate([tgt_at[good], np.ones((int(good.sum()), 1))], 1)
    return np.linalg.lstsq(known, src_at[which[good]], rcond=None)[0]
