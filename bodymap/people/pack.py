"""The pack: one file that holds everything synthetic people are made from (shapes, garments, skins, poses, light).

A pack is one safetensors file (no pickle), written by ``python -m bodymap.people.assets`` and read with ``Pack.load``.
Conventions are those of ``bodymap.types``: metres, Z up, the person faces -Y, its left is +X; UV with v **down**.
"Base mesh" is MakeHuman's hm08 with its helpers (19158 vertices); its first 13380 vertices are the template's skin.
"""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from bodymap.errors import UserError
from bodymap.people.rotations import matrix_from_quaternion

SMALL_PACK = Path(__file__).with_name("small.pack")  # ships with the project
BASE_VERTICES = 19158  # hm08 with helpers
SKIN_VERTICES = 13380  # the first ones: the template's own vertices
WEIGHTS_PER_VERTEX = 6

# What a garment can be, and the layer its pixels belong to. Brows, lashes and eyes are part of the skin layer.
KIND_LAYER: dict[str, str] = {
    "top": "upper",
    "bottom": "lower",
    "full": "upper",  # a one-piece is upper
    "skirt": "lower",
    "dress": "upper",
    "shoes": "shoes",
    "hat": "hair",  # worn on the head, occludes hair: nearest of the seven layers
    "hair": "hair",
    "eyebrows": "skin",
    "eyelashes": "skin",
    "eyes": "skin",
}
_IMAGE_CACHE_BYTES = 160 << 20  # a process a core holds its own


@dataclass(frozen=True)
class Garment:
    """A mesh bound to the base mesh: clothes, shoes, hats, hair, brows, lashes, eyes. ``fit`` puts it on a body.

    Attributes:
        name: unique within the pack; parts of one suit are ``suit/top``, ``suit/bottom``.
        kind: a key of KIND_LAYER.
        layer: index into LAYER_NAMES.
        refs: (n, 3) int32, base vertices each garment vertex hangs on.
        weights: (n, 3) float32, their weights; sum 1, may be negative.
        offsets: (n, 3) float32, metres, **our** axes, at scale 1.
        scales: (axis 0..2 of **our** axes, base vertex a, base vertex b, reference distance in metres): offsets along
            that axis are multiplied by |B[a] - B[b]| along it / reference.
        triangles: (m, 3) int32, into the n vertices.
        uv: (k, 2) float32, v down, may exceed [0, 1] (repeat).
        uv_triangles: (m, 3) int32, into ``uv``.
        texture: image key, or None: colour it procedurally.
        alpha: the texture's alpha is a cut-out (hair cards, lashes).
        hides: ids of base vertices that the garment hides (< SKIN_VERTICES only). A skin triangle goes when **all**
            its corners are hidden.
        licence: SPDX id, or "unknown, user supplied".
        split: "train" or "test".
        gender: "female", "male" or "any": whom it was made for.
        source: the asset's name before splitting (all parts of a suit share it and its texture).
    """

    name: str
    kind: str
    layer: int
    refs: Int[np.ndarray, "vertex 3"]
    weights: Float[np.ndarray, "vertex 3"]
    offsets: Float[np.ndarray, "vertex xyz=3"]
    scales: tuple[tuple[int, int, int, float], ...]
    triangles: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "uv_vertex uv=2"]
    uv_triangles: Int[np.ndarray, "face 3"]
    texture: str | None = None
    alpha: bool = False
    hides: Int[np.ndarray, " hidden"] = field(default_factory=lambda: np.zeros(0, np.int32))
    licence: str = "unknown, user supplied"
    split: str = "train"
    gender: str = "any"
    source: str = ""


@dataclass(frozen=True)
class Skin:
    """A skin texture in the template's UV layout. ``texture``: image key; ``age``: young, middleage, old or any."""

    name: str
    texture: str
    gender: str = "any"
    age: str = "any"
    licence: str = "unknown, user supplied"
    split: str = "train"


@dataclass(frozen=True)
class EyeTexture:
    """An iris texture for garments of kind "eyes"."""

    name: str
    texture: str
    licence: str = "unknown, user supplied"
    split: str = "train"


@dataclass(frozen=True)
class Panorama:
    """An equirectangular surrounding: ``image`` (key) is tone-mapped for backgrounds, ``radiance`` lights the person.

    radiance: (h, 2h, 3) float32, linear RGB, or None. Row 0 is straight up; the middle column is the picture's middle.
    """

    name: str
    image: str
    radiance: Float[np.ndarray, "height width rgb=3"] | None = None
    licence: str = "unknown, user supplied"
    split: str = "train"


@dataclass(frozen=True)
class Clip:
    """Poses from one source: rows ``start`` .. ``start + count`` of the poses.

    ``kind``: "still" (one pose of a file), "motion" (subsampled frames) or "standing" (made-up everyday poses).
    """

    name: str
    start: int
    count: int
    kind: str = "still"
    licence: str = "unknown, user supplied"
    split: str = "train"


@dataclass(frozen=True)
class Bones:
    """The 163-bone rig: names, and the parent's index (-1 for the root). A parent comes before its children."""

    labels: tuple[str, ...]
    parents: tuple[int, ...]

    def index(self, label: str) -> int:
        return self.labels.index(label)


@dataclass(frozen=True)
class FacialActions:
    """What single muscles do to the face, as displacements of base vertices: action k of A moves the vertices
    ``vertex[start[k] : start[k + 1]]``. Packs of before have none.

    Attributes:
        names: ARKit's names, ``jawOpen``, ``mouthSmileLeft``, ... (Left: the person's own).
        start: (A + 1,) int64, from 0 to M.
        vertex: (M,) int32, base vertices.
        offset: (M, 3) float32, metres, on the default body at full strength.
    """

    names: tuple[str, ...] = ()
    start: Int[np.ndarray, " bound"] = field(default_factory=lambda: np.zeros(1, np.int64))
    vertex: Int[np.ndarray, " moved"] = field(default_factory=lambda: np.zeros(0, np.int32))
    offset: Float[np.ndarray, "moved xyz=3"] = field(default_factory=lambda: np.zeros((0, 3), np.float32))

    def offsets(self, weights: Float[np.ndarray, " action"]) -> Float[np.ndarray, "vertex xyz=3"]:
        """The displacement of all 19158 base vertices, metres, when each action has its weight (0 rest .. 1 full)."""
        out = np.zeros((BASE_VERTICES, 3), np.float32)
        strength = np.repeat(np.asarray(weights, np.float32), np.diff(self.start))
        pulled = np.flatnonzero(strength)  # few of a face's muscles pull at a time
        np.add.at(out, self.vertex[pulled], strength[pulled, None] * self.offset[pulled])
        return out

    @cached_property
    def moved(self) -> Int[np.ndarray, " moving"]:
        """The base vertices that any action moves, in order."""
        return np.unique(self.vertex)


@dataclass(frozen=True)
class Pack:
    """Everything people are made from; arrays are read-only by agreement. Vertices of body n:
    ``base_vertices + shape_coefficients[n] @ shape_basis``, bone heads the same.

    Attributes:
        base_vertices: (19158, 3) float32, metres: the default body (not the mean), helpers included.
        shape_basis: (K, 19158, 3) float32.
        shape_coefficients: (N, K) float32, the default body (all 0) first.
        shape_traits: one dict a body: ``gender`` 0 male .. 1 female, ``age`` in years, and Anny's further traits.
        shape_split: (N,) "train" or "test".
        base_heads, heads_basis: (163, 3) and (K, 163, 3) float32: bone heads.
        bones: the rig.
        skin_index, skin_weight: (19158, 6) int64, and float32 whose rows sum to 1.
        garments, skins, eyes, panoramas, clips: tuples of the records above.
        helpers: name -> (m, 3) int32 triangles of base vertices: "tights", "skirt", "hair" (garments can be built on
            them; they morph with the body), "eyes", for open mouths "teeth" and "tongue" (not in packs of before).
        helper_uv: name -> (uv (k, 2) float32 v down in [0, 1], uv_triangles (m, 3) int32) of the same triangles.
        pose_quaternions: (P, B, 4) float32, unit, w first, of the bones ``pose_bones`` (B,); all others rest.
        fist: (163, 3, 3) float32: local rotations of the finger bones of a closed fist, identity elsewhere.
        face: what single muscles do to the face; empty in packs of before.
        images: key -> encoded bytes (webp, jpeg or png); use ``image(key)``.
        notes: provenance, free text by topic.
    """

    base_vertices: Float[np.ndarray, "vertex xyz=3"]
    shape_basis: Float[np.ndarray, "component vertex xyz=3"]
    shape_coefficients: Float[np.ndarray, "body component"]
    shape_traits: tuple[dict[str, float], ...]
    shape_split: tuple[str, ...]
    base_heads: Float[np.ndarray, "bone xyz=3"]
    heads_basis: Float[np.ndarray, "component bone xyz=3"]
    bones: Bones
    skin_index: Int[np.ndarray, "vertex 6"]
    skin_weight: Float[np.ndarray, "vertex 6"]
    garments: tuple[Garment, ...] = ()
    skins: tuple[Skin, ...] = ()
    eyes: tuple[EyeTexture, ...] = ()
    panoramas: tuple[Panorama, ...] = ()
    clips: tuple[Clip, ...] = ()
    helpers: Mapping[str, Int[np.ndarray, "_ 3"]] = field(default_factory=dict)
    helper_uv: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    pose_bones: Int[np.ndarray, " moving"] = field(default_factory=lambda: np.zeros(0, np.int64))
    pose_quaternions: Float[np.ndarray, "pose moving 4"] = field(
        default_factory=lambda: np.zeros((0, 0, 4), np.float32)
    )
    fist: Float[np.ndarray, "bone 3 3"] | None = None
    face: FacialActions = field(default_factory=FacialActions)
    images: Mapping[str, UInt8[np.ndarray, " _"]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    _cache: OrderedDict = field(default_factory=OrderedDict, repr=False, compare=False)

    # ------------------------------------------------------------------ shapes
    def vertices(self, coefficients: Float[np.ndarray, " component"]) -> Float[np.ndarray, "vertex xyz=3"]:
        """Base mesh (helpers included) of a body in the rest pose, metres."""
        basis = self.shape_basis.reshape(len(self.shape_basis), -1)
        return self.base_vertices + (np.asarray(coefficients, np.float32) @ basis).reshape(-1, 3)

    def heads(self, coefficients: Float[np.ndarray, " component"]) -> Float[np.ndarray, "bone xyz=3"]:
        """Bone heads of a body in the rest pose, metres."""
        return self.base_heads + np.tensordot(np.asarray(coefficients, np.float32), self.heads_basis, 1)

    # ------------------------------------------------------------------ poses
    @property
    def pose_count(self) -> int:
        """How many poses ``pose`` knows."""
        return len(self.pose_quaternions)

    @cached_property
    def pose_names(self) -> tuple[str, ...]:
        """One name a pose: ``clip#number``."""
        return tuple(f"{clip.name}#{k}" for clip in self.clips for k in range(clip.count))

    @cached_property
    def pose_split(self) -> tuple[str, ...]:
        return tuple(clip.split for clip in self.clips for _ in range(clip.count))

    def pose(self, index: int) -> Float[np.ndarray, "bone 3 3"]:
        """Local rotations of all bones, world-aligned: global = parent's global @ local, identity = rest pose."""
        rotations = np.tile(np.eye(3, dtype=np.float32), (len(self.bones.labels), 1, 1))
        rotations[self.pose_bones] = matrix_from_quaternion(self.pose_quaternions[index])
        return rotations

    @property
    def poses(self) -> Float[np.ndarray, "pose bone 3 3"]:
        """All poses at once; thousands of poses are tens of MB, so prefer ``pose(index)``."""
        rotations = np.tile(np.eye(3, dtype=np.float32), (self.pose_count, len(self.bones.labels), 1, 1))
        rotations[:, self.pose_bones] = matrix_from_quaternion(self.pose_quaternions)
        return rotations

    # ------------------------------------------------------------------ garments and images
    def garments_of(self, *kinds: str, split: str = "train") -> tuple[Garment, ...]:
        """The garments of these kinds and this split, in the pack's order; split "all" for both."""
        return tuple(g for g in self.garments if g.kind in kinds and split in ("all", g.split))

    def garment_skin(self, garment: Garment) -> tuple[Int[np.ndarray, "vertex 6"], Float[np.ndarray, "vertex 6"]]:
        """Skin weights of a garment, W = sum_j w_j W[ref_j], clipped, the 6 largest, normalised. Cached."""
        key = ("skin", garment.name)
        if key not in self._cache:
            self._cache[key] = transfer_weights(garment, self.skin_index, self.skin_weight, len(self.bones.labels))
        return self._cache[key]

    def image(self, key: str) -> UInt8[np.ndarray, "height width channel"]:
        """Decodes an image: (H, W, 3) RGB or (H, W, 4) RGBA uint8. The last ones stay in memory; do not write into it.

        Raises:
            UserError: no such image, or its bytes are damaged.
        """
        if ("image", key) not in self._cache:
            if key not in self.images:
                raise UserError(f"The people pack holds no image named {key!r}; build it again.")
            self._cache["image", key] = _decode(key, self.images[key])
            decoded = {k: v.nbytes for k, v in self._cache.items() if k[0] == "image"}
            for old in list(decoded)[:-1]:  # oldest first, never the new one
                if sum(decoded.values()) > _IMAGE_CACHE_BYTES:
                    del self._cache[old], decoded[old]
        self._cache.move_to_end(("image", key))
        return self._cache[("image", key)]

    def key_of(self, image: UInt8[np.ndarray, "height width channel"] | None) -> Any:
        """The key of an array that ``image`` returned lately; any other array, or None, is returned as it is."""
        for kept, array in self._cache.items():
            if array is image and kept[0] == "image":
                return kept[1]
        return image

    # ------------------------------------------------------------------ files
    @staticmethod
    def load(path: str | os.PathLike | None = None) -> Pack:
        """Reads a pack; None is the small one that ships with the project.

        Raises:
            UserError: missing, not a pack, of another version, truncated or inconsistent.
        """
        from bodymap.people.pack_file import read_pack

        return read_pack(SMALL_PACK if path is None else Path(path))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the pack (half precision where that is far below a millimetre); nobody ever sees half a file."""
        from bodymap.people.pack_file import write_pack

        write_pack(self, Path(path))


# ---------------------------------------------------------------------- geometry
def fit(garment: Garment, base_vertices: Float[Any, "*batch vertex xyz=3"]) -> Float[Any, "*batch n xyz=3"]:
    """Puts a garment on a body in the rest pose: v = sum_j w_j B[ref_j] + offset * s (MakeHuman's proxy fitting).

    Args:
        base_vertices: (..., 19158, 3), metres, helpers included; numpy array or torch tensor (float32).

    Returns:
        (..., n, 3), metres, the same kind of array.
    """
    weights, offsets = garment.weights, garment.offsets
    refs = garment.refs
    if not isinstance(base_vertices, np.ndarray):
        weights, offsets = base_vertices.new_tensor(weights), base_vertices.new_tensor(offsets)
        refs = refs.astype(np.int64)
    vertices = sum(weights[:, j, None] * base_vertices[..., refs[:, j], :] for j in range(3))
    for axis in range(3):
        move = offsets[:, axis]
        for scaled_axis, a, b, reference in garment.scales:
            if scaled_axis == axis:
                distance = abs(base_vertices[..., a, axis] - base_vertices[..., b, axis])
                move = move * (distance / reference)[..., None]
        vertices[..., axis] += move
    return vertices


def transfer_weights(
    garment: Garment,
    skin_index: Int[np.ndarray, "vertex k"],
    skin_weight: Float[np.ndarray, "vertex k"],
    bones: int,
) -> tuple[Int[np.ndarray, "n 6"], Float[np.ndarray, "n 6"]]:
    """Skin weights for a garment's vertices from the base mesh's; see ``Pack.garment_skin``."""
    n = len(garment.refs)
    dense = np.zeros((n, bones), np.float32)
    rows = np.arange(n)[:, None]
    for j in range(3):
        np.add.at(
            dense,
            (rows, skin_index[garment.refs[:, j]]),
            garment.weights[:, j, None] * skin_weight[garment.refs[:, j]],
        )
    return largest_weights(np.clip(dense, 0, None))


def largest_weights(dense: Float[np.ndarray, "vertex bone"]) -> tuple[np.ndarray, np.ndarray]:
    """The WEIGHTS_PER_VERTEX largest of each row, largest first, normalised: (index int64, weight float32)."""
    k = min(WEIGHTS_PER_VERTEX, dense.shape[1])
    index = np.argsort(-dense, axis=1, kind="stable")[:, :k]
    weight = np.take_along_axis(dense, index, 1).astype(np.float32)
    weight /= np.maximum(weight.sum(1, keepdims=True), 1e-12)
    return index.astype(np.int64), weight


def _decode(key: str, data: UInt8[np.ndarray, " byte"]) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data.tobytes())) as image:
            return np.array(image.convert("RGBA" if "A" in image.getbands() else "RGB"))
    except (OSError, ValueError, SyntaxError):
        raise UserError(f"The image {key!r} in the people pack is damaged; build the pack again.") from None


def without_split(pack: Pack, split: str) -> Pack:
    """The pack with only the garments, skins, eyes and panoramas of one split (poses and shapes keep theirs)."""
    keep = lambda things: tuple(thing for thing in things if thing.split == split)  # noqa: E731
    return replace(
        pack,
        garments=keep(pack.garments),
        skins=keep(pack.skins),
        eyes=keep(pack.eyes),
        panoramas=keep(pack.panoramas),
        _cache=OrderedDict(),
    )
