"""Packs on disk: one safetensors file, 16-bit where that is far below a millimetre, every index checked on reading."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from bodymap.errors import UserError
from bodymap.files import atomic_path, parse_json, read_safetensors
from bodymap.people.pack import (
    BASE_VERTICES,
    KIND_LAYER,
    SKIN_VERTICES,
    WEIGHTS_PER_VERTEX,
    Bones,
    Clip,
    EyeTexture,
    FacialActions,
    Garment,
    Pack,
    Panorama,
    Skin,
)
from bodymap.people.rotations import matrix_from_quaternion, quaternion_from_matrix
from bodymap.types import LAYER_NAMES

FORMAT = "bodymap-people"
VERSION = "1"
SPLITS = ("train", "test")
_FACE_STEP = 1e-5  # metres: a tenth of what the actions are given to; 16 bits reach 33 cm


def write_pack(pack: Pack, path: Path) -> None:
    """See ``Pack.save``."""
    from safetensors.numpy import save

    half = np.float16
    # 16-bit steps of each component's own range: 0.01 mm, ten times finer than float16 where a head rises by 30 cm
    step = np.abs(pack.shape_basis).reshape(len(pack.shape_basis), -1).max(1) / 32767
    step = np.maximum(step, 1e-12).astype(np.float32)
    tensors: dict[str, np.ndarray] = {
        "base_vertices": pack.base_vertices.astype(np.float32),
        "shape_basis": np.rint(pack.shape_basis / step[:, None, None]).astype(np.int16),
        "shape_basis_step": step,
        "shape_coefficients": pack.shape_coefficients.astype(np.float32),
        "base_heads": pack.base_heads.astype(np.float32),
        "heads_basis": pack.heads_basis.astype(np.float32),
        "skin_index": pack.skin_index.astype(np.uint8),
        "skin_weight": np.rint(pack.skin_weight * 255).astype(np.uint8),
        "pose_bones": pack.pose_bones.astype(np.uint8),
        "pose_quaternions": pack.pose_quaternions.astype(half),
    }
    if pack.fist is not None:
        tensors["fist"] = quaternion_from_matrix(pack.fist).astype(half)
    if pack.face.names:
        tensors["face/start"] = pack.face.start.astype(np.uint32)
        tensors["face/vertex"] = pack.face.vertex.astype(np.uint16)
        tensors["face/offset"] = np.rint(pack.face.offset / _FACE_STEP).astype(np.int16)
    traits = sorted({key for row in pack.shape_traits for key in row})
    tensors["shape_traits"] = np.array(
        [[row.get(key, np.nan) for key in traits] for row in pack.shape_traits], np.float32
    )
    for name, triangles in pack.helpers.items():
        tensors[f"helper/{name}/triangles"] = triangles.astype(np.uint16)
        if name in pack.helper_uv:
            uv, uv_triangles = pack.helper_uv[name]
            tensors[f"helper/{name}/uv"] = uv.astype(np.float32)
            tensors[f"helper/{name}/uv_triangles"] = uv_triangles.astype(np.uint16)
    for number, g in enumerate(pack.garments):
        prefix = f"garment/{number}/"
        ids = np.uint16 if max(len(g.refs), len(g.uv)) < 65536 else np.uint32
        tensors[prefix + "refs"] = g.refs.astype(np.uint16)
        tensors[prefix + "weights"] = g.weights[:, :2].astype(half)  # the third is what is missing from 1
        tensors[prefix + "offsets"] = g.offsets.astype(half)
        tensors[prefix + "triangles"] = g.triangles.astype(ids)
        # 16-bit steps over the range in use: 1/100 of a texel even where a texture repeats
        low, high = (g.uv.min(0), g.uv.max(0)) if len(g.uv) else (np.zeros(2), np.ones(2))
        span = np.maximum(high - low, 1e-6)
        tensors[prefix + "uv"] = np.rint((g.uv - low) / span * 65535).astype(np.uint16)
        tensors[prefix + "uv_range"] = np.stack([low, span]).astype(np.float32)
        tensors[prefix + "uv_triangles"] = g.uv_triangles.astype(ids)
        tensors[prefix + "hides"] = g.hides.astype(np.uint16)
    for number, panorama in enumerate(pack.panoramas):
        if panorama.radiance is not None:
            # half precision ends at 65504, the sun does not
            tensors[f"panorama/{number}/radiance"] = np.clip(panorama.radiance, 0, 65504).astype(half)
    for key, data in pack.images.items():
        tensors[f"image/{key}"] = np.asarray(data, np.uint8)
    told = ("name", "kind", "texture", "alpha", "licence", "split", "gender", "source", "scales")
    items = {
        "bones": {"labels": pack.bones.labels, "parents": pack.bones.parents},
        "traits": traits,
        "shape_split": pack.shape_split,
        "garments": [{key: getattr(g, key) for key in told} for g in pack.garments],
        "skins": [vars(s) for s in pack.skins],
        "eyes": [vars(s) for s in pack.eyes],
        "panoramas": [{k: v for k, v in vars(p).items() if k != "radiance"} for p in pack.panoramas],
        "clips": [vars(c) for c in pack.clips],
        "helpers": list(pack.helpers),
        "face": pack.face.names,
        "notes": dict(pack.notes),
    }
    tensors = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
    text = json.dumps(items, separators=(",", ":"), sort_keys=True)
    metadata = {"format": FORMAT, "version": VERSION, "items": text, "checksum": _checksum(tensors, text)}
    with atomic_path(path) as temporary:
        temporary.write_bytes(_same_bytes(save(tensors, metadata)))


def _checksum(tensors: dict[str, np.ndarray], items: str) -> str:
    """SHA-256 over everything that people are made from."""
    total = hashlib.sha256(items.encode())
    for name in sorted(tensors):
        total.update(f"{name} {tensors[name].dtype} {tensors[name].shape}\n".encode())
        total.update(np.ascontiguousarray(tensors[name]))
    return total.hexdigest()


def _same_bytes(file: bytes) -> bytes:
    """safetensors writes metadata in random order; sorted, equal packs are equal files."""
    size = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors stay aligned
    return len(text).to_bytes(8, "little") + text + file[8 + size :]


def read_pack(path: Path) -> Pack:
    """See ``Pack.load``."""
    if not path.is_file():
        raise UserError(f"There is no people pack at {path}; build one with python -m bodymap.people.assets --help.")
    try:
        tensors, metadata = read_safetensors(path, "np")
        if metadata.get("format") != FORMAT:
            raise UserError(f"{path} is not a people pack (its format is {metadata.get('format', 'not given')!r}).")
        if metadata.get("version") != VERSION:
            raise UserError(
                f"{path} is a people pack of version {metadata.get('version')}, this program reads version "
                f"{VERSION}; build it again with python -m bodymap.people.assets."
            )
        # packs of before have none
        if "checksum" in metadata and metadata["checksum"] != _checksum(tensors, metadata["items"]):
            raise ValueError("its checksum does not match")
        pack = _assemble(tensors, parse_json(metadata["items"]))
    except (OSError, KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"The people pack {path} is damaged or incomplete ({reason[:120]}); build it again.") from None
    return pack


def _assemble(tensors: dict[str, np.ndarray], items: dict[str, Any]) -> Pack:
    """Arrays and metadata of a file -> a checked Pack. Raises KeyError, ValueError, TypeError on anything odd."""
    f32 = {key: value.astype(np.float32) for key, value in tensors.items() if value.dtype == np.float16}
    get = lambda key: f32[key] if key in f32 else tensors[key]  # noqa: E731
    weight = get("skin_weight").astype(np.float32)
    garments = []
    for number, item in enumerate(items["garments"]):
        prefix = f"garment/{number}/"
        pair = get(prefix + "weights")
        low, span = get(prefix + "uv_range")
        garments.append(
            Garment(
                **{**item, "scales": tuple((int(x), int(a), int(b), float(d)) for x, a, b, d in item["scales"])},
                layer=LAYER_NAMES.index(KIND_LAYER[item["kind"]]),
                refs=get(prefix + "refs").astype(np.int32),
                weights=np.concatenate([pair, 1 - pair.sum(1, keepdims=True)], 1),
                offsets=get(prefix + "offsets"),
                triangles=get(prefix + "triangles").astype(np.int32),
                uv=(get(prefix + "uv").astype(np.float32) / 65535 * span + low).astype(np.float32),
                uv_triangles=get(prefix + "uv_triangles").astype(np.int32),
                hides=get(prefix + "hides").astype(np.int32),
            )
        )
    face = FacialActions()
    if items.get("face"):  # optional: packs of before have no facial actions
        face = FacialActions(
            names=tuple(items["face"]),
            start=get("face/start").astype(np.int64),
            vertex=get("face/vertex").astype(np.int32),
            offset=get("face/offset").astype(np.float32) * np.float32(_FACE_STEP),
        )
    pack = Pack(
        base_vertices=get("base_vertices"),
        shape_basis=get("shape_basis").astype(np.float32) * get("shape_basis_step")[:, None, None],
        shape_coefficients=get("shape_coefficients"),
        shape_traits=tuple(dict(zip(items["traits"], map(float, row), strict=True)) for row in get("shape_traits")),
        shape_split=tuple(items["shape_split"]),
        base_heads=get("base_heads"),
        heads_basis=get("heads_basis"),
        bones=Bones(tuple(items["bones"]["labels"]), tuple(items["bones"]["parents"])),
        skin_index=get("skin_index").astype(np.int64),
        skin_weight=weight / np.maximum(weight.sum(1, keepdims=True), 1),
        garments=tuple(garments),
        skins=tuple(Skin(**item) for item in items["skins"]),
        eyes=tuple(EyeTexture(**item) for item in items["eyes"]),
        panoramas=tuple(
            Panorama(**item, radiance=f32.get(f"panorama/{number}/radiance"))
            for number, item in enumerate(items["panoramas"])
        ),
        clips=tuple(Clip(**item) for item in items["clips"]),
        helpers={name: get(f"helper/{name}/triangles").astype(np.int32) for name in items["helpers"]},
        helper_uv={
            name: (get(f"helper/{name}/uv"), get(f"helper/{name}/uv_triangles").astype(np.int32))
            for name in items["helpers"]
            if f"helper/{name}/uv" in tensors
        },
        pose_bones=get("pose_bones").astype(np.int64),
        pose_quaternions=get("pose_quaternions"),
        fist=matrix_from_quaternion(get("fist")) if "fist" in tensors else None,
        face=face,
        images={key[len("image/") :]: value for key, value in tensors.items() if key.startswith("image/")},
        notes=items["notes"],
    )
    check(pack)
    return pack


def check(pack: Pack) -> None:
    """Raises ValueError with a short reason unless every shape, index and reference in the pack is consistent."""
    n, k, j = len(pack.base_vertices), len(pack.shape_basis), len(pack.bones.labels)
    shapes = {
        "base_vertices": (n, 3),
        "shape_basis": (k, n, 3),
        "shape_coefficients": (len(pack.shape_traits), k),
        "base_heads": (j, 3),
        "heads_basis": (k, j, 3),
        "skin_index": (n, WEIGHTS_PER_VERTEX),
        "skin_weight": (n, WEIGHTS_PER_VERTEX),
        "pose_quaternions": (sum(c.count for c in pack.clips), len(pack.pose_bones), 4),
    }
    for name, shape in shapes.items():
        array = getattr(pack, name)
        _require(array.shape == shape, f"{name} is {array.shape}, not {shape}")
        _require(array.dtype.kind != "f" or bool(np.isfinite(array).all()), f"{name} is not finite")
    _require(n == BASE_VERTICES, f"{n} base vertices, not {BASE_VERTICES}")
    low, high = pack.base_vertices.min(0), pack.base_vertices.max(0)
    _require(bool((high - low > 0.1).all() and (high - low < 20).all()), "the body is no person's size")
    _require(len(pack.shape_split) == len(pack.shape_traits), "shape_split has the wrong length")
    _require(len(pack.bones.parents) == j and all(p < b for b, p in enumerate(pack.bones.parents)), "bone parents")
    _require(_inside(pack.skin_index, j) and _inside(pack.pose_bones, j), "a bone index is out of range")
    _require(bool((np.linalg.norm(pack.pose_quaternions, axis=-1) > 0.5).all()), "a pose is not a rotation")
    for name, triangles in pack.helpers.items():
        _require(triangles.ndim == 2 and _inside(triangles, n), f"helper {name} is out of range")
    for name, (uv, triangles) in pack.helper_uv.items():
        _require(uv.ndim == 2 and uv.shape[1] == 2 and bool(np.isfinite(uv).all()), f"helper {name}: uv")
        _require(triangles.shape == pack.helpers[name].shape, f"helper {name}: as many triangles in its uv")
        _require(_inside(triangles, len(uv)), f"helper {name}: uv out of range")
    face, moved = pack.face, len(pack.face.vertex)
    _require(len(set(face.names)) == len(face.names) == len(face.start) - 1, "names of the facial actions")
    ends = face.start[0] == 0 and face.start[-1] == moved
    _require(bool(ends and (np.diff(face.start) >= 0).all()), "rows of the facial actions")
    _require(face.offset.shape == (moved, 3) and bool(np.isfinite(face.offset).all()), "facial actions' offsets")
    _require(_inside(face.vertex, n), "a facial action's vertex is out of range")
    for g in pack.garments:
        _require(g.refs.shape == g.weights.shape == g.offsets.shape == (len(g.refs), 3), f"garment {g.name}: shapes")
        _require(g.triangles.shape == g.uv_triangles.shape == (len(g.triangles), 3), f"garment {g.name}: triangles")
        _require(_inside(g.refs, n) and _inside(g.hides, SKIN_VERTICES), f"garment {g.name}: base vertex out of range")
        _require(_inside(g.triangles, len(g.refs)) and _inside(g.uv_triangles, len(g.uv)), f"garment {g.name}: indices")
        _require(all(d > 0 and max(a, b) < n and axis in (0, 1, 2) for axis, a, b, d in g.scales), f"{g.name}: scales")
    names = [g.name for g in pack.garments]
    _require(len(set(names)) == len(names), "two garments share a name")
    textured = [*pack.garments, *pack.skins, *pack.eyes]
    keys = [item.texture for item in textured if item.texture is not None] + [p.image for p in pack.panoramas]
    for key in keys:
        _require(key in pack.images, f"the image {key!r} is missing")
    for item in [*textured, *pack.panoramas, *pack.clips]:
        _require(item.split in SPLITS, f"{item.name}: split {item.split!r}")


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise ValueError(reason)


def _inside(index: np.ndarray, size: int) -> bool:
    return index.size == 0 or (int(index.min()) >= 0 and int(index.max()) < size)
