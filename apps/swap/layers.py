"""Layer maps in a swap: which garment a pixel shows, as Layered-BodyMap (or the mask it was guided by) has it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from apps.swap.labels import LOWER, UPPER
from bodymap.types import Correspondence, LayerMaps

# What ``LayerMaps.visible`` counts, beside 0 for the background
_BODY, _GARMENTS = 1, {2: UPPER, 3: LOWER}


def with_layers(correspondence: Correspondence, layers: LayerMaps | None) -> Correspondence:
    """The map with its garments where the layers show them.

    Skin, hair, shoes and things carried, which the layers call one body, stay the map's; where it has a garment on what
    the layers call the body, that is as the nearest of these. The person's outline stays the map's.
    """
    if layers is None:
        return correspondence
    mask, layer = correspondence.mask, correspondence.layer.copy()
    for index, garment in _GARMENTS.items():
        layer[mask & (layers.visible == index)] = garment
    garments = tuple(_GARMENTS.values())
    wrong = mask & (layers.visible == _BODY) & np.isin(layer, garments)
    known = mask & ~np.isin(layer, garments)
    if wrong.any() and known.any():
        at = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        layer[wrong] = layer[at[0][wrong], at[1][wrong]]
    return replace(correspondence, layer=layer)
