"""Finding people: from the coarse stage's maps of a whole photo to one box and one region per person.

Works on the stage's own small grids (cells of a few photo pixels) with numpy and scipy alone; the network is asked
elsewhere (bodymap.predictor). A photo may be given at several scales, coarse to fine: people who are small on a coarse
grid are looked for again on the next finer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

from bodymap.cropping import resized
from bodymap.types import PART_NAMES

HEAD, NECK, TORSO = 0, 1, (2, 3)
WHOLE = 2  # grids of the whole photo; finer ones only hold what is worth a closer look
_SPECK = 4  # cells of foreground, from which on something may be a person far away


@dataclass(frozen=True)
class Evidence:
    """What the coarse stage saw in the whole photo on one grid.

    Attributes:
        probability: foreground, in [0, 1].
        part: index into PART_NAMES, -1 where there is none.
        confidence: of the surface point, in [0, 1].
    """

    probability: Float32[np.ndarray, "height width"]
    part: Int[np.ndarray, "height width"]
    confidence: Float32[np.ndarray, "height width"]


@dataclass(frozen=True)
class FindingConfig:
    """When a patch of foreground counts as a person."""

    threshold: float = 0.5  # of the foreground probability
    smallest_side: float = 12.0  # cells; sqrt(area) under which a person is looked for again on the next finer grid
    minimum_cells: int = 16  # fewer show nothing
    minimum_share: float = 0.005  # of the largest person's area
    minimum_confidence: float = 0.065  # mean over the region: about 0.3 for people, below 0.05 for noise
    closer_confidence: float = 0.11  # the same of regions that are small on the first grid: there are many more
    maximum_patchiness: float = 0.12  # share of neighbouring cells whose parts do not touch on a body
    overlap: float = 0.3  # share of a region inside another one from which both are the same person
    head_share: float = 0.3  # a second head is at least this share of the largest one's area,
    head_distance: float = 1.5  # and this many head widths away,
    body_share: float = 0.15  # and what belongs to it is at least this share of the whole
    gap: float = 0.25  # of the height of both together, across which two pieces of one person are joined


@dataclass(frozen=True)
class Person:
    """One person found in a photo.

    Attributes:
        box: (left, top, right, bottom), photo pixels, of the region.
        area: photo pixels squared.
        region: the cells of this person, on a grid over the whole photo.
        score: mean probability times mean confidence, in [0, 1].
    """

    box: tuple[float, float, float, float]
    area: float
    region: Bool[np.ndarray, "height width"]
    score: float


def find_people(levels: Sequence[Evidence], size: tuple[int, int], config: FindingConfig | None = None) -> list[Person]:
    """The people of a photo of ``size`` (height, width), the largest first; an empty list where there is nobody.

    Args:
        levels: grids over the whole photo, coarse to fine.
    """
    config = config or FindingConfig()
    found: list[Person] = []
    small: list[Person] = []
    for number, evidence in enumerate(levels):
        last = number == len(levels) - 1
        for person in _people_of_level(evidence, size, config, number):
            if any(_share_inside(person, other) > config.overlap for other in found):
                continue
            tiny = np.sqrt(person.region.sum()) < config.smallest_side
            (small if tiny and not last else found).append(person)

    # who was only seen small, and not again on a finer grid, counts where that was no mere suspicion
    for person in sorted(small, key=lambda p: -p.score):
        if person.score < config.closer_confidence:
            continue
        if not any(max(_share_inside(person, o), _share_inside(o, person)) > config.overlap for o in found):
            found.append(person)
    found.sort(key=lambda p: -p.area)
    return [person for person in found if person.area >= config.minimum_share * found[0].area]


def worth_a_closer_look(
    evidence: Evidence, found: Sequence[Person], config: FindingConfig | None = None
) -> Bool[np.ndarray, "height width"]:
    """Where a finer grid may show people: around every patch of foreground that is not a large person found already.

    Small people are seen long before it can be told where their points lie; how sure that is tells them from noise.
    """
    config = config or FindingConfig()
    labels, count = ndimage.label(evidence.probability > config.threshold, structure=np.ones((3, 3)))
    known = np.zeros(labels.shape, bool)
    for person in found:
        if np.sqrt(person.region.sum()) >= config.smallest_side:
            known |= resample_region(person.region, labels.shape)
    cells = np.bincount(labels.ravel(), minlength=count + 1)
    open_cells = np.bincount(labels.ravel(), weights=~known.ravel(), minlength=count + 1)
    ask = (cells >= _SPECK) & (open_cells > 0.5 * cells)
    ask[0] = False
    return ndimage.binary_dilation(ask[labels], np.ones((3, 3)), iterations=2)


def _people_of_level(evidence: Evidence, size: tuple[int, int], config: FindingConfig, level: int = 0) -> list[Person]:
    labels, count = ndimage.label(evidence.probability > config.threshold, structure=np.ones((3, 3)))
    pieces: list[np.ndarray] = []
    for number, window in enumerate(ndimage.find_objects(labels), start=1):
        mask = labels[window] == number
        if mask.sum() < config.minimum_cells:
            continue
        for piece in split_by_heads(mask, evidence.part[window], config):
            region = np.zeros(labels.shape, bool)
            region[window] = piece
            pieces.append(region)
    people = [_person(region, evidence, size) for region in join_pieces(pieces, evidence.part, config)]
    return [
        person
        for person in people
        if evidence.confidence[person.region].mean() >= _needed(person, config, level)
        and patchiness(person.region, evidence.part) <= config.maximum_patchiness
    ]


def _needed(person: Person, config: FindingConfig, level: int) -> float:
    """Confidence; what is large on the first grid is as many times larger on each finer one."""
    large = np.sqrt(person.region.sum()) >= config.smallest_side * 2**level
    return config.minimum_confidence if large else config.closer_confidence


def _person(region: Bool[np.ndarray, "height width"], evidence: Evidence, size: tuple[int, int]) -> Person:
    (rows, columns), (height, width) = region.shape, size
    top, left = (int(axis.min()) for axis in np.nonzero(region))
    bottom, right = (int(axis.max()) + 1 for axis in np.nonzero(region))
    box = (left * width / columns, top * height / rows, right * width / columns, bottom * height / rows)
    area = float(region.sum()) * (height / rows) * (width / columns)
    score = float(evidence.probability[region].mean() * evidence.confidence[region].mean())
    return Person(box, area, region, score)


def _share_inside(person: Person, other: Person) -> float:
    """Share of a person's region that lies in another's; the two may live on different grids."""
    region = other.region
    if region.shape != person.region.shape:
        region = resample_region(region, person.region.shape)
    return float((region & person.region).sum() / max(person.region.sum(), 1))


def resample_region(
    region: Bool[np.ndarray, "height width"], shape: tuple[int, int]
) -> Bool[np.ndarray, "rows columns"]:
    """A region on another grid over the same photo: the cell in which each new centre lies."""
    rows = ((np.arange(shape[0]) + 0.5) * region.shape[0] / shape[0]).astype(int)
    columns = ((np.arange(shape[1]) + 0.5) * region.shape[1] / shape[1]).astype(int)
    return region[rows[:, None], columns[None, :]]


# ------------------------------------------------------------------------------------------------- splitting, joining


def split_by_heads(
    mask: Bool[np.ndarray, "height width"], part: Int[np.ndarray, "height width"], config: FindingConfig | None = None
) -> list[Bool[np.ndarray, "height width"]]:
    """Pieces of one patch of foreground that belong to different heads; the patch itself where there are no two.

    Each cell goes to the head from which it is reached by the shortest way through the patch. Ways along the image's
    rows count double, since people who touch mostly stand side by side; ways from one part of the body to one that does
    not touch it count more still, since there one person ends before another.
    """
    config = config or FindingConfig()
    heads = _heads(mask & (part == HEAD), config)
    if len(heads) < 2:
        return [mask]
    owner = _nearest_head(mask, part, heads)
    pieces = [owner == number for number in range(len(heads))]
    # a blob called head without a body of its own is a slip of the network, no person
    real = [n for n, piece in enumerate(pieces) if piece.sum() >= config.body_share * mask.sum() / len(heads)]
    if len(real) < 2:
        return [mask]
    if len(real) < len(heads):
        owner = _nearest_head(mask, part, [heads[n] for n in real])
        pieces = [owner == number for number in range(len(real))]
    return pieces


def _heads(head: Bool[np.ndarray, "height width"], config: FindingConfig) -> list[Bool[np.ndarray, "height width"]]:
    """Clusters of head cells that can be heads of different people, the largest first."""
    labels, count = ndimage.label(head, structure=np.ones((3, 3)))
    clusters = sorted((labels == n for n in range(1, count + 1)), key=lambda c: -int(c.sum()))
    chosen: list[np.ndarray] = []
    centres: list[np.ndarray] = []
    for cluster in clusters:
        area = cluster.sum()
        if area < 4 or (chosen and area < config.head_share * chosen[0].sum()):
            break
        centre = np.array(ndimage.center_of_mass(cluster))
        width = np.sqrt(chosen[0].sum()) if chosen else 0
        if all(np.linalg.norm(centre - other) >= config.head_distance * width for other in centres):
            chosen.append(cluster)
            centres.append(centre)
    return chosen


def _nearest_head(mask: np.ndarray, part: np.ndarray, heads: Sequence[np.ndarray]) -> Int[np.ndarray, "height width"]:
    """For each cell of the mask the number of the head that is nearest on ways through the mask; -1 outside."""
    index = np.full(mask.shape, -1)
    index[mask] = np.arange(mask.sum())
    touching = parts_that_touch()
    rows, columns, costs = [], [], []
    for step_down, step_right, cost in ((0, 1, 2.0), (1, 0, 1.0), (1, 1, 2.2), (1, -1, 2.2)):
        here, there = _pairs(mask.shape, step_down, step_right)
        both = mask[here] & mask[there]
        a, b = part[here][both], part[there][both]
        foreign = (a >= 0) & (b >= 0) & ~touching[a, b]
        rows.append(index[here][both])
        columns.append(index[there][both])
        costs.append(np.where(foreign, 4 * cost, cost))
    graph = sparse.coo_matrix(
        (np.concatenate(costs), (np.concatenate(rows), np.concatenate(columns))), shape=(mask.sum(), mask.sum())
    ).tocsr()
    ways = [dijkstra(graph, directed=False, indices=index[head], min_only=True) for head in heads]
    owner = np.full(mask.shape, -1)
    owner[mask] = np.argmin(ways, axis=0)
    return owner


def _pairs(shape: tuple[int, int], down: int, right: int):
    """Two index expressions: cells, and their neighbours (down, right) of them."""
    height, width = shape
    here = (slice(0, height - down), slice(max(0, -right), width - max(0, right)))
    there = (slice(down, height), slice(max(0, right), width + min(0, right)))
    return here, there


def join_pieces(
    pieces: Sequence[Bool[np.ndarray, "height width"]],
    part: Int[np.ndarray, "height width"],
    config: FindingConfig | None = None,
) -> list[Bool[np.ndarray, "height width"]]:
    """Joins what an occluder cut off (legs under a table top, a hand beyond a pole) to the person that it completes.

    A piece without a head joins the nearest larger piece in reach that lacks what the piece shows.
    """
    config = config or FindingConfig()
    order = sorted(pieces, key=lambda p: -int(p.sum()))
    histograms = [np.bincount(part[p][part[p] >= 0], minlength=len(PART_NAMES)) for p in order]
    joined: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    for piece, histogram in zip(order, histograms, strict=True):
        target = None
        if histogram[HEAD] < 0.02 * piece.sum():
            shown = histogram >= 0.1 * piece.sum()
            reach = [
                (_gap(piece, other), n)
                for n, other in enumerate(joined)
                if (counts[n][shown].sum() <= 0.5 * histogram[shown].sum())
                and _gap(piece, other) <= config.gap * _extent(piece | other)
            ]
            target = min(reach)[1] if reach else None
        if target is None:
            joined.append(piece)
            counts.append(histogram)
        else:
            joined[target] = joined[target] | piece
            counts[target] = counts[target] + histogram
    return joined


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest distance between two regions, cells."""
    return float(ndimage.distance_transform_edt(~a)[b].min())


def _extent(region: np.ndarray) -> int:
    return max(int(axis.max() - axis.min()) + 1 for axis in np.nonzero(region))


# ------------------------------------------------------------------------------------------------------- plausibility


def parts_that_touch() -> Bool[np.ndarray, "part part"]:
    """Which parts border each other on the body (each also touches itself)."""
    number = {name: n for n, name in enumerate(PART_NAMES)}
    pairs = [("head", "neck"), ("neck", "torso_front"), ("neck", "torso_back"), ("torso_front", "torso_back")]
    # long hair and hoods lie on the torso
    pairs += [("head", "torso_front"), ("head", "torso_back"), ("left_thigh", "right_thigh")]
    for side in ("left", "right"):
        pairs += [(f"torso_{face}", f"{side}_{limb}") for face in ("front", "back") for limb in ("upper_arm", "thigh")]
        chain = ("upper_arm", "forearm", "hand"), ("thigh", "shin", "foot")
        pairs += [(f"{side}_{a}", f"{side}_{b}") for limb in chain for a, b in zip(limb, limb[1:], strict=False)]
    touching = np.eye(len(PART_NAMES), dtype=bool)
    for a, b in pairs:
        touching[number[a], number[b]] = touching[number[b], number[a]] = True
    return touching


def patchiness(region: Bool[np.ndarray, "height width"], part: Int[np.ndarray, "height width"]) -> float:
    """Share of neighbouring cells of a region whose parts do not touch on a body: near 0 for people."""
    touching, wrong, total = parts_that_touch(), 0, 0
    for down, right in ((0, 1), (1, 0)):
        here, there = _pairs(region.shape, down, right)
        both = region[here] & region[there]
        a, b = part[here][both], part[there][both]
        known = (a >= 0) & (b >= 0)
        wrong += int((~touching[a[known], b[known]]).sum())
        total += int(known.sum())
    return wrong / max(total, 1)


# -------------------------------------------------------------------------------------------------- whose pixel is it


def own_weight(
    person: Person,
    others: Sequence[Person],
    box: tuple[int, int, int, int],
    shape: tuple[int, int],
    size: tuple[int, int],
) -> Float32[np.ndarray, "rows columns"]:
    """On a crop of the photo: 1 where a pixel is nearer to this person's region than to anybody else's, else 0.

    Args:
        box: (left, top, right, bottom) of the crop, photo pixels.
        shape: (rows, columns) of the crop after scaling.
        size: (height, width) of the photo.
    """
    own = crop_region(person.region, box, shape, size)
    foreign = np.zeros(shape, bool)
    for other in others:
        foreign |= crop_region(other.region, box, shape, size)
    foreign &= ~own
    if not foreign.any() or not own.any():
        return np.ones(shape, np.float32)
    nearer = ndimage.distance_transform_edt(~own) <= ndimage.distance_transform_edt(~foreign)
    return nearer.astype(np.float32)


def crop_region(region: np.ndarray, box: tuple[int, int, int, int], shape: tuple[int, int], size: tuple[int, int]):
    left, top, right, bottom = box
    y = top + (np.arange(shape[0]) + 0.5) * (bottom - top) / shape[0]
    x = left + (np.arange(shape[1]) + 0.5) * (right - left) / shape[1]
    rows = np.clip((y * region.shape[0] / size[0]).astype(int), 0, region.shape[0] - 1)
    columns = np.clip((x * region.shape[1] / size[1]).astype(int), 0, region.shape[1] - 1)
    return region[rows[:, None], columns[None, :]]


def people_of_mask(mask: Bool[np.ndarray, "height width"], minimum_share: float = 0.02) -> list[Person]:
    """Each connected patch of a finished mask as a person, the largest first."""
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    evidence = Evidence(mask.astype(np.float32), np.full(mask.shape, -1), mask.astype(np.float32))
    areas = np.bincount(labels.ravel())[1:]
    keep = [n for n in np.argsort(-areas) if areas[n] >= minimum_share * areas.max()]
    return [_person(labels == n + 1, evidence, mask.shape) for n in keep]


def keep_person(
    probability: Float32[np.ndarray, "height width"], own: Bool[np.ndarray, "height width"]
) -> Bool[np.ndarray, "height width"]:
    """The patches of foreground that belong to a person found at ``own`` (a coarse region of the same crop).

    Kept are the main patch, others that lie mostly in the region, and small ones close to the main one (a hand beyond a
    strap). Returned is an area that covers them with their soft edges, cut half way to the patches that are not kept.
    """
    labels, count = ndimage.label(probability > 0.5, structure=np.ones((3, 3)))
    if count <= 1:
        return np.ones(probability.shape, bool)
    areas = np.bincount(labels.ravel())[1:].astype(float)
    inside = np.bincount(labels.ravel(), weights=own.ravel().astype(float))[1:]
    main = int(np.argmax(inside if inside.max() > 0 else areas))
    away = ndimage.distance_transform_edt(labels != main + 1)
    nearest = ndimage.minimum(away, labels, np.arange(1, count + 1))
    height = np.ptp(np.nonzero(labels == main + 1)[0]) + 1
    keep = (inside >= 0.2 * areas) | ((areas < 0.3 * areas[main]) & (nearest <= 0.05 * height))
    keep[main] = True
    if keep.all():
        return np.ones(probability.shape, bool)
    kept = np.concatenate([[False], keep])[labels]
    dropped = (labels > 0) & ~kept
    return ndimage.distance_transform_edt(~kept) <= ndimage.distance_transform_edt(~dropped)


def box_with_matte(
    person: Person, others: Sequence[Person], matte: Float32[np.ndarray, "height width"]
) -> tuple[float, float, float, float]:
    """The box of a person and of what the matte adds to them (a hat that the coarse stage left out)."""
    size, shape = matte.shape, person.region.shape
    whole = (0, 0, size[1], size[0])
    small = resized(matte, shape) * own_weight(person, others, whole, shape, size)
    mine = (small > 0.5) & keep_person(small, person.region)
    if not mine.any():
        return person.box
    ys, xs = np.nonzero(mine)
    sy, sx = size[0] / shape[0], size[1] / shape[1]
    left, top, right, bottom = person.box
    low = min(left, float(xs.min()) * sx), min(top, float(ys.min()) * sy)
    return *low, max(right, float(xs.max() + 1) * sx), max(bottom, float(ys.max() + 1) * sy)
