"""Sorts meshes into tops, bottoms, one-pieces, shoes, hats and hair by where they lie, and cuts suits apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from bodymap.errors import UserError
from bodymap.people.assets.body import Bodies
from bodymap.people.assets.makehuman import FARTHEST, Asset
from bodymap.people.pack import KIND_LAYER, SKIN_VERTICES, Garment, fit
from bodymap.types import LAYER_NAMES

_BUTTON = 30  # components with fewer vertices (buttons, buckles) belong to the nearest larger one
_NEAR = 0.08  # metres: skin this near to a vertex of a garment counts as covered
_COVERED = 0.3  # share of the trunk's zone that a garment must cover to be worn alone
_BELT = 0.10  # metres: what is not higher than this around the hips is a belt
_OVER_EYES = 0.07  # metres: what does not reach this high on the head is neither hat nor hair
_CATEGORY_KIND = {"hair": "hair", "eyebrows": "eyebrows", "eyelashes": "eyelashes"}
# Layers of the mouth that look wrong when drawn on a closed or badly opened mouth
IGNORED_CATEGORIES = ("teeth", "tongue", "eyes", "proxymeshes")


@dataclass(frozen=True)
class Heights:
    """Heights of the default body's landmarks, metres, world z: what "reaches above the knee" means."""

    ankle: float
    knee: float
    crotch: float
    waist: float
    chest: float
    neck: float
    eyes: float

    @staticmethod
    def of(bodies: Bodies) -> Heights:
        z = {label: float(head[2]) for label, head in zip(bodies.bones.labels, bodies.base_heads, strict=True)}
        return Heights(
            ankle=z["foot.L"],
            knee=z["lowerleg01.L"],
            crotch=z["upperleg01.L"] - 0.08,
            waist=z["spine04"],
            chest=z["spine02"],
            neck=z["neck01"],
            eyes=z["eye.L"],
        )


def connected_components(triangles: Int[np.ndarray, "face 3"], count: int) -> Int[np.ndarray, " vertex"]:
    """Component number of each of ``count`` vertices: the smallest vertex id it is connected to."""
    label = np.arange(count)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]])
    while True:
        # roots of both ends take the smaller root, then all labels jump to their root: a few rounds for any mesh
        roots = label[edges]
        smaller = roots.min(1)
        if (roots[:, 0] == roots[:, 1]).all():
            return label
        np.minimum.at(label, roots[:, 0], smaller)
        np.minimum.at(label, roots[:, 1], smaller)
        while (label[label] != label).any():
            label = label[label]


def classify(low: float, high: float, heights: Heights) -> str:
    """Kind of a piece of clothing that reaches from ``low`` to ``high`` (world z on the default body, metres)."""
    if low > heights.neck - 0.05:
        return "hat"
    if high < heights.knee + 0.08:
        return "shoes"
    if high < heights.chest:
        return "bottom"
    return "full" if low < heights.crotch - 0.12 else "top"


def split_asset(asset: Asset, bodies: Bodies, heights: Heights) -> list[Garment]:
    """Garments of one asset, without texture and split: hair and the like as a whole, a suit as top and bottom.

    Each part keeps its own vertices and hides only the skin that lies nearer to it than to the other parts.

    Raises:
        UserError: it is nothing that a person can wear as clothes, shoes, hat or hair; or it lies far off the body.
    """
    position = _on_default_body(asset, bodies)
    name = asset.path.stem
    kind = _CATEGORY_KIND.get(asset.category) or _head_kind(asset, position, heights)
    if kind in ("hair", "hat") and not _covers(kind, position, bodies, heights):
        raise UserError(f"{asset.path} {_NOT_WORN}")
    if kind is not None:
        return [_garment(asset, np.arange(len(position)), kind, name)]

    kinds = _part_kinds(asset, position, heights)
    if "full" in kinds:  # overalls come with the shirt and the belt they are worn with
        kinds[:] = "full"
    parts = {kind: np.flatnonzero(kinds == kind) for kind in ("top", "bottom", "full", "shoes", "hat")}
    parts = _worn({kind: ids for kind, ids in parts.items() if len(ids)}, asset, position, bodies, heights)
    hides = _share_hidden(asset.binding.delete, parts, position, bodies.base_vertices)
    if "shoes" in parts:
        parts["shoes"] = _without_socks(parts["shoes"], position, heights)
        # what the sock hid shows again; the rim overlaps by a centimetre
        rim = position[parts["shoes"], 2].max() - 0.01
        hides["shoes"] = hides["shoes"][bodies.base_vertices[hides["shoes"], 2] < rim]
    names = {kind: name if len(parts) == 1 else f"{name}/{kind}" for kind in parts}
    return [_garment(asset, ids, kind, names[kind], hides[kind]) for kind, ids in parts.items()]


_NOT_WORN = (
    "covers neither trunk, hips, feet nor the top of the head: glasses, masks, beards, gloves, belts, ties and "
    "jewellery are not used."
)


def _on_default_body(asset: Asset, bodies: Bodies) -> Float[np.ndarray, "vertex xyz=3"]:
    """Where all vertices of an asset lie, those without a face too."""
    binding, base = asset.binding, bodies.base_vertices
    whole = replace(
        _garment(asset, np.arange(len(binding.refs)), "full", asset.path.stem),
        refs=binding.refs,
        weights=binding.weights,
        offsets=binding.offsets,
    )
    position = fit(whole, base)
    off = np.linalg.norm(position - base[binding.refs].mean(1), axis=1).max()
    if not off < FARTHEST:
        raise UserError(f"{asset.path} puts vertices more than a metre away from the body.")
    return position


def _head_kind(asset: Asset, position: Float[np.ndarray, "vertex xyz=3"], heights: Heights) -> str | None:
    """Kind of things on the head that lie loose, without a category folder; None for clothes."""
    words = " ".join([asset.path.stem.lower(), *asset.binding.tags])
    low, high = _reach(position)
    for word, kind in (("eyebrow", "eyebrows"), ("eyelash", "eyelashes")):
        if word in words and low > heights.neck:
            return kind
    # a mohair sweater is no hair
    if "hair" in words and asset.category != "clothes" and high > heights.eyes:
        return "hair"
    return "hat" if low > heights.neck - 0.02 else None


def _covers(kind: str, position: Float[np.ndarray, "vertex xyz=3"], bodies: Bodies, heights: Heights) -> bool:
    """Whether a person can wear this as the only thing of its kind: gloves are no trousers, glasses no hat."""
    low, high = _reach(position)
    if kind in ("hat", "hair"):
        return high > heights.eyes + _OVER_EYES
    if kind == "shoes":
        return low < heights.ankle
    skin = bodies.base_vertices[:SKIN_VERTICES]
    trunk = skin[np.abs(skin[:, 0]) < 0.2]  # without the arms
    hips = trunk[(trunk[:, 2] > heights.crotch) & (trunk[:, 2] < heights.waist)]
    chest = trunk[(trunk[:, 2] > heights.waist) & (trunk[:, 2] < heights.neck - 0.08)]

    def share(zone: np.ndarray) -> float:
        return float((_nearest_distance(zone, position) < _NEAR**2).mean())

    if kind == "bottom":
        return high - low > _BELT and share(hips) > _COVERED
    if kind == "full":
        return share(hips) > _COVERED and share(chest) > 0.5
    return share(chest) > _COVERED


def _worn(
    parts: dict[str, np.ndarray],
    asset: Asset,
    position: Float[np.ndarray, "vertex xyz=3"],
    bodies: Bodies,
    heights: Heights,
) -> dict[str, np.ndarray]:
    """Parts that can be worn; gloves or a belt of a suit join its largest part."""
    if "full" in parts and not _covers("full", position[parts["full"]], bodies, heights):
        parts = {next((k for k in ("bottom", "top") if _covers(k, position, bodies, heights)), "full"): parts["full"]}
    worn = {kind: ids for kind, ids in parts.items() if _covers(kind, position[ids], bodies, heights)}
    if not worn:
        raise UserError(f"{asset.path} {_NOT_WORN}")
    main = max(worn, key=lambda kind: len(worn[kind]))
    rest = [ids for kind, ids in parts.items() if kind not in worn]
    worn[main] = np.sort(np.concatenate([worn[main], *rest]))
    return worn


def _part_kinds(asset: Asset, position: Float[np.ndarray, "vertex xyz=3"], heights: Heights) -> np.ndarray:
    """Kind of each vertex, the same within a connected component."""
    component = connected_components(asset.triangles, len(position))
    numbers, counts = np.unique(component, return_counts=True)
    large = numbers[counts >= _BUTTON]
    if len(large) == 0:
        large = numbers
    kind_of = {c: classify(*_reach(position[component == c]), heights) for c in large}
    # a small piece takes the kind of the large piece it lies on
    on_large = np.isin(component, large)
    for c in numbers[counts < _BUTTON] if len(large) < len(numbers) else []:
        centre = position[component == c].mean(0)
        nearest = np.flatnonzero(on_large)[np.linalg.norm(position[on_large] - centre, axis=1).argmin()]
        kind_of[c] = kind_of[component[nearest]]
    return np.array([kind_of[c] for c in component])


def _reach(position: Float[np.ndarray, "vertex xyz=3"]) -> tuple[float, float]:
    return float(position[:, 2].min()), float(position[:, 2].max())


def _without_socks(
    ids: Int[np.ndarray, " part"], position: Float[np.ndarray, "vertex xyz=3"], heights: Heights
) -> Int[np.ndarray, " kept"]:
    """Low shoes lose what stands above the ankle (socks poke through trousers); boots stay whole."""
    top = position[ids, 2].max()
    if top > heights.ankle + 0.5 * (heights.knee - heights.ankle):
        return ids
    low = ids[position[ids, 2] < heights.ankle + 0.03]
    return low if len(low) else ids


def _share_hidden(
    delete: Int[np.ndarray, " deleted"],
    parts: dict[str, np.ndarray],
    position: Float[np.ndarray, "vertex xyz=3"],
    base: Float[np.ndarray, "base_vertex xyz=3"],
) -> dict[str, np.ndarray]:
    """Gives each hidden skin vertex to the part it lies nearest to."""
    if len(parts) == 1:
        return {kind: delete for kind in parts}
    kinds = list(parts)
    distance = np.stack([_nearest_distance(base[delete], position[parts[kind]]) for kind in kinds])
    owner = distance.argmin(0) if len(delete) else np.zeros(0, int)
    return {kind: delete[owner == number] for number, kind in enumerate(kinds)}


def _nearest_distance(
    queries: Float[np.ndarray, "n xyz=3"], points: Float[np.ndarray, "m xyz=3"]
) -> Float[np.ndarray, " n"]:
    out = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), 512):  # 512 x some thousand points at a time: no megabytes to spare
        block = queries[start : start + 512, None] - points[None]
        out[start : start + 512] = (block**2).sum(-1).min(1)
    return out


def _garment(
    asset: Asset, ids: Int[np.ndarray, " part"], kind: str, name: str, hides: Int[np.ndarray, " hidden"] | None = None
) -> Garment:
    """The garment of some of an asset's vertices: triangles with all corners among them, everything renumbered."""
    keep: Bool[np.ndarray, " vertex"] = np.zeros(len(asset.binding.refs), bool)
    keep[ids] = True
    faces = keep[asset.triangles].all(1)
    used, triangles = np.unique(asset.triangles[faces], return_inverse=True)
    # corners without UV point at one extra coordinate at the end
    uv_faces = asset.uv_triangles[faces]
    uv = np.concatenate([asset.mesh.uv, np.full((1, 2), 0.5, np.float32)])
    uv_used, uv_triangles = np.unique(np.where(uv_faces < 0, len(uv) - 1, uv_faces), return_inverse=True)
    binding = asset.binding
    words = " ".join([asset.path.stem.lower(), *binding.tags])
    return Garment(
        name=name,
        kind=kind,
        layer=LAYER_NAMES.index(KIND_LAYER[kind]),
        refs=binding.refs[used],
        weights=binding.weights[used],
        offsets=binding.offsets[used],
        scales=binding.scales,
        triangles=triangles.reshape(-1, 3).astype(np.int32),
        uv=uv[uv_used],
        uv_triangles=uv_triangles.reshape(-1, 3).astype(np.int32),
        hides=(binding.delete if hides is None else hides).astype(np.int32),
        licence=asset.licence,
        gender="female" if "female" in words else "male" if "male" in words else "any",
        source=asset.path.stem,
    )


def eye_garment(helper: Int[np.ndarray, "face 3"], bodies: Bodies) -> Garment:
    """The eyeballs of the base mesh as a garment bound to themselves, with UV for MakeHuman's iris textures."""
    ids, triangles = np.unique(helper, return_inverse=True)
    position = bodies.base_vertices[ids]
    left = position[:, 0] > 0
    centre = np.where(left[:, None], position[left].mean(0), position[~left].mean(0))
    towards = (position - centre) / np.linalg.norm(position - centre, axis=1, keepdims=True)
    # equal angles from straight ahead (-Y) are equal distances from the pupil; the drawn iris spans 30 degrees
    angle = np.arccos(np.clip(-towards[:, 1], -1, 1))
    sideways = towards[:, [0, 2]] / np.maximum(np.linalg.norm(towards[:, [0, 2]], axis=1, keepdims=True), 1e-9)
    radius = np.minimum(angle * 0.215, 0.28)[:, None]
    pupil = np.where(left[:, None], [0.705, 0.297], [0.293, 0.703])
    return Garment(
        name="eyes",
        kind="eyes",
        layer=LAYER_NAMES.index("skin"),
        refs=np.repeat(ids[:, None], 3, 1).astype(np.int32),
        weights=np.tile(np.array([1, 0, 0], np.float32), (len(ids), 1)),
        offsets=np.zeros((len(ids), 3), np.float32),
        scales=(),
        triangles=triangles.reshape(-1, 3).astype(np.int32),
        uv=(pupil + radius * sideways * [1, -1]).astype(np.float32),
        uv_triangles=triangles.reshape(-1, 3).astype(np.int32),
        hides=np.zeros(0, np.int32),
        licence="CC0-1.0",
        source="eyes",
    )
