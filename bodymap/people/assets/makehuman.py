"""Reads clothes, hair, brows, lashes and skins in MakeHuman's own layout, and turns them into the pack's garments.

The layout is a folder (of category folders, or loose) of .mhclo files (binding to the base mesh), each naming an .obj
mesh and an .mhmat material. Folders from the MakeHuman community site are read as they are.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bodymap.errors import UserError
from bodymap.people.assets.obj import ObjMesh, read_obj, triangulate
from bodymap.people.pack import BASE_VERTICES, SKIN_VERTICES

UNKNOWN_LICENCE = "unknown, user supplied"
_IMAGE_ENDINGS = (".webp", ".png", ".jpg", ".jpeg", ".tga", ".bmp")
_AXES = {"x_scale": 0, "y_scale": 1, "z_scale": 2}


@dataclass(frozen=True)
class Binding:
    """An .mhclo file, converted to our axes and metres (fields as in ``bodymap.people.pack.Garment``).

    MakeHuman is decimetres with Y up: (x, y, z) there is (x, -z, y) / 10 here.
    """

    name: str
    refs: Int[np.ndarray, "vertex 3"]
    weights: Float[np.ndarray, "vertex 3"]
    offsets: Float[np.ndarray, "vertex xyz=3"]
    scales: tuple[tuple[int, int, int, float], ...]
    delete: Int[np.ndarray, " deleted"]
    mesh_file: Path
    material_file: Path | None
    tags: tuple[str, ...] = ()
    licence: str | None = None


@dataclass(frozen=True)
class Material:
    """What matters of an .mhmat file. Textures are existing files or None."""

    diffuse: Path | None = None
    occlusion: Path | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Asset:
    """One garment as files have it: binding, mesh, material; ``category`` is the folder's name (clothes, hair, ...)."""

    path: Path
    category: str
    binding: Binding
    mesh: ObjMesh
    triangles: Int[np.ndarray, "face 3"]
    uv_triangles: Int[np.ndarray, "face 3"]
    material: Material
    licence: str


@dataclass(frozen=True)
class Licences:
    """Licence of a file: from the folder's MANIFEST.csv (columns file, licence), else from the file, else unknown."""

    folder: Path
    table: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def read(folder: Path) -> Licences:
        manifest = folder / "MANIFEST.csv"
        table: dict[str, str] = {}
        if manifest.is_file():
            with manifest.open(encoding="utf-8", errors="replace", newline="") as file:
                for row in csv.DictReader(file):
                    name = row.get("file") or row.get("name")
                    if name and row.get("licence"):
                        table[name] = row["licence"].strip()
        return Licences(folder, table)

    def of(self, path: Path, stated: str | None = None) -> str:
        key = path.relative_to(self.folder).as_posix()
        return self.table.get(key) or self.table.get(path.stem) or stated or UNKNOWN_LICENCE


def read_mhclo(path: Path) -> Binding:
    """Reads a binding file.

    Raises:
        UserError: unreadable, bound to another base mesh than hm08, or without vertices.
    """
    refs, weights, offsets, delete = [], [], [], []
    scales: list[tuple[int, int, int, float]] = []
    section, mesh, material, name, licence, tags = None, None, None, path.stem, None, []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            words = line.split()
            if not words:
                continue
            if words[0].startswith("#"):
                licence = licence or _stated_licence(line)
                continue
            word = words[0]
            rest = line.split(None, 1)[1].strip() if len(words) > 1 else ""
            if _is_number(word):
                if section == "verts":
                    _read_vertex(words, refs, weights, offsets)
                elif section == "delete_verts":
                    delete.extend(_read_ranges(words))
                continue
            # other keywords may stand between a section's name and its numbers
            section = word if word in ("verts", "delete_verts", "weights") else section
            if word in _AXES:
                scales.append(_our_scale(_AXES[word], int(words[1]), int(words[2]), float(words[3])))
            elif word == "obj_file":
                mesh = rest
            elif word == "material":
                material = rest
            elif word == "name":
                name = rest or name
            elif word in ("tag", "tags"):
                tags.append(rest.lower())
            elif word == "license":
                licence = rest
            elif word == "basemesh" and rest.lower() not in ("hm08", ""):
                raise UserError(f"{path} is made for the base mesh {rest}, not for hm08; it cannot be used.")
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}).") from None
    except (ValueError, IndexError):
        raise UserError(f"{path} is not a readable .mhclo file.") from None
    if not refs or mesh is None:
        raise UserError(f"{path} binds no vertices or names no mesh.")
    refs_array = np.array(refs, np.int64)
    ids = [*refs_array.ravel(), *delete, *(i for _, a, b, _ in scales for i in (a, b))]
    if min(ids) < 0 or max(ids) >= BASE_VERTICES:
        raise UserError(f"{path} refers to vertices that the base mesh hm08 does not have.")
    moved = np.array(offsets, np.float32)
    weight_array = np.array(weights, np.float32)
    total = weight_array.sum(1, keepdims=True)
    if np.abs(total).min() < 0.1:
        raise UserError(f"{path} has weights that do not sum to 1.")
    material_file = find_file(path.parent, material) if material else None
    return Binding(
        name=name,
        refs=refs_array.astype(np.int32),
        weights=weight_array / total,
        offsets=np.stack([moved[:, 0], -moved[:, 2], moved[:, 1]], 1) / 10,
        scales=tuple(scales),
        delete=np.array(sorted({d for d in delete if d < SKIN_VERTICES}), np.int32),
        mesh_file=find_file(path.parent, mesh) or path.parent / mesh,
        material_file=material_file,
        tags=tuple(tags),
        licence=licence,
    )


def _our_scale(axis: int, a: int, b: int, reference: float) -> tuple[int, int, int, float]:
    """MakeHuman's axis and decimetres -> ours: x stays, its y is our z, its z is our -y (distances have no sign)."""
    if reference <= 0:
        raise ValueError("scale")
    return ((0, 2, 1)[axis], a, b, reference / 10)


def _read_vertex(words: list[str], refs: list, weights: list, offsets: list) -> None:
    if len(words) == 1:  # sits on a base vertex
        refs.append([int(words[0])] * 3)
        weights.append([1.0, 0.0, 0.0])
        offsets.append([0.0, 0.0, 0.0])
    else:
        refs.append([int(x) for x in words[:3]])
        weights.append([float(x) for x in words[3:6]])
        offsets.append([float(x) for x in words[6:9]] if len(words) >= 9 else [0.0, 0.0, 0.0])


def _read_ranges(words: list[str]) -> list[int]:
    """``3 7 - 9 12`` -> 3, 7, 8, 9, 12."""
    ids: list[int] = []
    k = 0
    while k < len(words):
        if words[k] == "-" and ids and k + 1 < len(words):
            ids.extend(range(ids[-1] + 1, int(words[k + 1]) + 1))
            k += 2
        else:
            ids.append(int(words[k]))
            k += 1
    return ids


def _is_number(word: str) -> bool:
    return word.lstrip("-").isdigit()


def _stated_licence(line: str) -> str | None:
    lower = line.lower()
    if "cc0" in lower or "creative commons zero" in lower:
        return "CC0-1.0"
    if "license" in lower and ":" in lower:
        return line.split(":", 1)[1].strip() or None
    return None


def read_mhmat(path: Path) -> Material:
    """Reads a material; textures that do not exist are left out (they are often missing in the wild)."""
    found: dict[str, Path | None] = {}
    licence = None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split(None, 1)
        if line.startswith(("#", "//")):
            licence = licence or _stated_licence(line)
        elif len(words) == 2 and words[0] in ("diffuseTexture", "aomapTexture"):
            found[words[0]] = find_file(path.parent, words[1].strip())
        elif len(words) == 2 and words[0] == "license":
            licence = words[1].strip()
    return Material(found.get("diffuseTexture"), found.get("aomapTexture"), licence)


def find_file(folder: Path, name: str) -> Path | None:
    """The file as named, or beside it with another image ending or another case; None when there is none."""
    wanted = folder / name.replace("\\", "/")
    candidates = [wanted, folder / wanted.name]
    candidates += [c.with_suffix(ending) for c in list(candidates) for ending in _IMAGE_ENDINGS if c.suffix != ".obj"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    for sibling in sorted(folder.iterdir()) if folder.is_dir() else []:
        if sibling.name.lower() == wanted.name.lower():
            return sibling
    return None


def read_asset(path: Path, licences: Licences) -> Asset:
    """Reads an .mhclo with its mesh and material.

    Raises:
        UserError: any of them is unreadable, or binding and mesh do not belong together.
    """
    binding = read_mhclo(path)
    mesh = read_obj(binding.mesh_file)
    if len(mesh.vertices) != len(binding.refs):
        raise UserError(f"{path} binds {len(binding.refs)} vertices, but its mesh has {len(mesh.vertices)}.")
    triangles, uv_triangles = triangulate(mesh.faces, mesh.uv_faces)
    material = read_mhmat(binding.material_file) if binding.material_file else Material()
    if material.diffuse is None:
        material = Material(_only_texture(path.parent), None, material.licence)
    category = path.parent.parent.name.lower()
    licence = licences.of(path, binding.licence or material.licence)
    return Asset(path, category, binding, mesh, triangles, uv_triangles, material, licence)


def _only_texture(folder: Path) -> Path | None:
    """Without a usable material: the texture in the folder that looks like the colour."""
    images = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in _IMAGE_ENDINGS]
    colour = [p for p in images if "diffuse" in p.stem.lower() or "texture" in p.stem.lower()]
    return (colour or images or [None])[0]


def find_assets(folder: Path) -> list[Path]:
    """All .mhclo files below a folder, in the order of their names."""
    return sorted(p for p in folder.rglob("*.mhclo") if p.is_file())


def find_skins(folder: Path, licences: Licences) -> list[tuple[str, Path, str]]:
    """Skin textures: (name, image, licence), from .mhmat files outside of garments, and from ``skins/textures``.

    Painted costumes and cartoons are left out: their layers would be wrong.
    """
    textures: dict[Path, str | None] = {}
    for path in sorted(folder.rglob("*.mhmat")):
        inside_skins = "skins" in (part.lower() for part in path.relative_to(folder).parts[:-1])
        loose = not any(path.parent.glob("*.mhclo")) and not any(path.parent.parent.glob("*.mhclo"))
        if inside_skins or (loose and "skin" in path.stem.lower()):
            material = read_mhmat(path)
            if material.diffuse is not None:
                textures.setdefault(material.diffuse.resolve(), material.licence)
    for path in sorted(folder.rglob("skins/textures/*")):
        if path.suffix.lower() in _IMAGE_ENDINGS and "diffuse" in path.stem.lower():
            textures.setdefault(path.resolve(), None)
    found = []
    root = folder.resolve()
    for path, stated in sorted(textures.items()):
        if any(word in path.stem.lower() for word in ("special_suit", "toon")) or root not in path.parents:
            continue
        found.append((path.stem, path, Licences(root, licences.table).of(path, stated)))
    return found


def find_eye_textures(folder: Path, licences: Licences) -> list[tuple[str, Path, str]]:
    """Iris textures of ``eyes/materials``: (name, image, licence)."""
    paths = [p for p in sorted(folder.rglob("eyes/materials/*")) if p.suffix.lower() in _IMAGE_ENDINGS]
    return [(p.stem, p, licences.of(p)) for p in paths if "eye" in p.stem.lower()]
