"""How photographs are fed to the networks, and who is in them: free of torch, so that exported networks
(``bodymap.deploy``) find people by the same lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from bodymap.cropping import DEFAULT, MULTIPLE, pieces_of, resized, round_to
from bodymap.foreground import people
from bodymap.foreground.people import Evidence, FindingConfig, Person
from bodymap.tidying import EDGE_RADIUS

# A picture whose sides are multiples of MULTIPLE -> on its grid of stride 4 the foreground's probability, and the
# coarse stage's colour code and confidence (channels last; 0 where there is nobody)
Look = Callable[
    [UInt8[np.ndarray, "height width rgb=3"]],
    tuple[Float32[np.ndarray, "rows columns"], Float32[np.ndarray, "rows columns 4"]],
]
# Colour codes -> index into PART_NAMES
PartsOf = Callable[[Float32[np.ndarray, "point rgb=3"]], Int[np.ndarray, " point"]]


@dataclass(frozen=True)
class PredictorConfig:
    """How photographs are fed to the network; sizes in pixels.

    Attributes:
        stage: "cse" stops after the coarse stage, whose match and silhouette are then the answer; every layer is skin.
            That is the baseline that BodyMap has to beat, and several times as fast.
    """

    stage: Literal["cse", "bodymap"] = "bodymap"
    size: int = DEFAULT  # longest side of a person's crop
    coarse_size: int = 384  # longest side of the crop for the coarse stage
    coarse_weight: float = 2.0  # of its posterior against the scores' when both are decoded together; 0: scores alone
    coarse_mirror: bool = True  # it also looks at the crop's mirror image: fewer lefts for rights
    margin: float = 0.12  # of the person's longer side, around the box found
    enlarge: float = 3.0  # people smaller than size are scaled up by at most this
    survey_sides: tuple[int, ...] = (224, 448, 896)  # shorter sides of the whole photo when people are looked for
    survey_enlarge: float = 2.5  # for that, photos are scaled up by at most this: people far away are small
    piece: int = 512  # large surveys go through the coarse stage in overlapping pieces of at most this side
    decoded: float = 0.3  # foreground probability from which a pixel's surface point is worked out
    edge_radius: int = EDGE_RADIUS  # of the guided filter at the mask's edge, crop pixels; 0: none
    fit: bool = False  # fit a body to the map, and let it have its say where the network is in two minds
    passes: int = 1  # runs of the network on a crop; each further one is shown the result of the one before
    finding: FindingConfig = FindingConfig()


def search(
    photo: UInt8[np.ndarray, "height width rgb=3"],
    config: PredictorConfig,
    look: Look,
    parts_of: PartsOf,
    everyone: bool = True,
) -> list[Person]:
    """Who is in the photo, the largest first.

    Args:
        everyone: also look for small people, on finer scales; False: stop at somebody of good size.
    """
    levels: list[Evidence] = []
    found: list[Person] = []
    for side in config.survey_sides:
        if levels and side > config.survey_enlarge * min(photo.shape[:2]):
            break  # no further detail to be had
        # after that only what the looks at the whole photo left open
        where = people.worth_a_closer_look(levels[-1], found, config.finding) if len(levels) >= people.WHOLE else None
        if where is not None and not where.any():
            break
        levels.append(_survey(photo, side, config.piece, look, parts_of, where))
        found = people.find_people(levels, photo.shape[:2], config.finding)
        large = [p for p in found if np.sqrt(p.region.sum()) >= config.finding.smallest_side]
        if large and not everyone:
            break
    return found


def _survey(
    photo: UInt8[np.ndarray, "height width rgb=3"],
    side: int,
    piece: int,
    look: Look,
    parts_of: PartsOf,
    where: Bool[np.ndarray, "cells_down cells_across"] | None,
) -> Evidence:
    """The coarse stage on the whole photo, its shorter side scaled to ``side``, in overlapping pieces.

    Args:
        where: only pieces that hold some of this; None: all of them.
    """
    height, width = photo.shape[:2]
    # very long pictures: as many cells as twelve squares have, no more
    scale = min(side / min(height, width), np.sqrt(12 * side * side / (height * width)))
    rows, columns = round_to(height * scale, MULTIPLE), round_to(width * scale, MULTIPLE)
    picture = resized(photo, (rows, columns))
    shape = rows // 4, columns // 4
    probability, image = np.zeros(shape, np.float32), np.zeros((*shape, 4), np.float32)
    depth = np.full(shape, -1.0)
    wanted = np.ones(shape, bool) if where is None else people.resample_region(where, shape)
    for (left, top, right, bottom), deep in pieces_of((rows, columns), piece, MULTIPLE):
        cells = slice(top // 4, bottom // 4), slice(left // 4, right // 4)
        if not wanted[cells].any():
            continue
        seen, match = look(picture[top:bottom, left:right])
        # of overlapping pieces the one speaks in which a cell lies deepest
        better = deep[::4, ::4] > depth[cells]
        depth[cells][better] = deep[::4, ::4][better]
        probability[cells][better] = seen[better]
        image[cells][better] = match[better]

    part = np.full(shape, -1)
    confidence = np.ascontiguousarray(image[..., 3])
    known = confidence > 0
    if known.any():
        part[known] = parts_of(image[known][:, :3])
    return Evidence(probability, part, confidence)
