"""What the tabs show: pictures with their captions, made of maps, textures and layers."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

from apps.demo.studio import PersonTexture
from apps.layered.masks import draw_layers
from bodymap.types import Correspondence, LayerMaps
from bodymap.visual import colour_map, confidence_map, layer_map, overlay, part_map
from bodymap.warping.fill import MIRRORED, SEEN, SMOOTH

Captioned = list[tuple[UInt8[np.ndarray, "_ _ rgb=3"], str]]

PAPER = (250, 250, 250)  # behind maps
UNSEEN = (225, 228, 232)
# Where a texel's colour comes from, and how the page shows it.
ORIGINS = (
    (SEEN, "seen", "green", (70, 160, 120)),
    (MIRRORED, "mirrored", "yellow", (240, 190, 80)),
    (SMOOTH, "made up", "red", (210, 105, 95)),
)


def map_pictures(photo: UInt8[np.ndarray, "height width rgb=3"], map_: Correspondence) -> Captioned:
    """Colour code over the photo and alone, parts, layers, confidence; cut to the person."""
    window = around(map_.mask)
    colours = colour_map(map_, PAPER)
    pictures = [
        (overlay(photo, colours, map_.mask), "Over the photo"),
        (colours, "One colour per point of the body"),
        (part_map(map_, PAPER), "Body parts"),
        (layer_map(map_, PAPER), "Skin, hair, clothes"),
        (confidence_map(map_, PAPER), "Confidence: yellow is sure"),
    ]
    return [(np.ascontiguousarray(picture[window]), caption) for picture, caption in pictures]


def texture_pictures(texture: PersonTexture) -> tuple[Captioned, str]:
    """What the photo shows, all of it, and where each texel comes from; a sentence with the shares."""
    filled, partial = texture.filled, texture.partial
    covered, origin = filled.covered.cpu().numpy(), filled.origin.cpu().numpy()
    seen = partial.seen.cpu().numpy()
    pictures = [
        (_bytes(partial.colour, seen, UNSEEN, covered), "What the photo shows"),
        (_bytes(filled.colour, covered, PAPER, covered), "Completed"),
    ]
    where = np.full((*origin.shape, 3), PAPER, np.uint8)
    shares, legend = [], []
    for kind, name, hue, colour in ORIGINS:
        there = origin == kind
        if there.any():
            where[there] = colour
            shares.append(f"{there.sum() / covered.sum():.0%} {name}")
            legend.append(f"{name} {hue}")
    pictures.append((where, f"Where it comes from: {', '.join(legend)}"))
    return pictures, f"Of this person's surface {', '.join(shares)}."


def layer_pictures(photo: UInt8[np.ndarray, "height width rgb=3"], maps: LayerMaps) -> Captioned:
    """What is visible, and the three maps; a garment that is not there is left out."""
    window = around(maps.visible > 0)
    pictures = [(overlay(photo, draw_layers(maps.visible), maps.visible > 0), "What is visible")]
    named = ((maps.body, "The body, under the clothes too"), (maps.upper, "Top"), (maps.lower, "Bottoms"))
    pictures += [(colour_map(map_, PAPER), caption) for map_, caption in named if map_ is not None]
    return [(np.ascontiguousarray(picture[window]), caption) for picture, caption in pictures]


def around(mask: Bool[np.ndarray, "height width"], margin: float = 0.08) -> tuple[slice, slice]:
    """Rows and columns of the person with a margin, a share of the longer side; of nobody: everything."""
    if not mask.any():
        return slice(None), slice(None)
    spans = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    room = round(margin * max(int(span[-1] - span[0]) for span in spans))
    rows, columns = (slice(max(0, int(span[0]) - room), int(span[-1]) + 1 + room) for span in spans)
    return rows, columns


def _bytes(colour, known: np.ndarray, elsewhere: tuple[int, int, int], covered: np.ndarray) -> np.ndarray:
    """A texture as a picture: what is not known, and what belongs to nobody, in plain colours."""
    picture = (colour.clamp(0, 1) * 255).round().byte().cpu().numpy()
    picture[covered & ~known] = elsewhere
    picture[~covered] = PAPER
    return picture
