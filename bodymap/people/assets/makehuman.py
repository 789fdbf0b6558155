"""Reads clothes, hair, brows, lashes and skins in MakeHuman's own layout, and turns them into the pack's garments.

The layout is a folder (of category folders, or loose) of .mhclo files (binding to the base mesh), each naming an .obj
mesh and an .mhmat material. Folders from the MakeHuman community site are read as they are.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bodymap.errors import UserError
from bodymap.people.assets.lookup import IMAGE_ENDINGS, files_below, find_file, read_text
from bodymap.people.assets.obj import ObjMesh, read_obj, triangulate
from bodymap.people.pack import BASE_VERTICES, SKIN_VERTICES

UNKNOWN_LICENCE = "unknown, user supplied"
CATEGORIES = ("clothes", "hair", "eyebrows", "eyelashes", "teeth", "tongue", "eyes", "proxymeshes")
# Pictures beside a garment that are not its colour
_NOT_COLOUR = (
    "normal bump spec gloss rough metal occlusion ao displacement height mask thumb preview screen render".split()
)
FARTHEST = 1.0  # metres from the base vertices that a garment's vertex hangs on
_LOOSE_SHARE = 0.1  # vertices without a face: more of them, and the mesh is cut off
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
    material_name: str | None = None


@dataclass(frozen=True)
class Material:
    """What matters of an .mhmat file.

    Attributes:
        diffuse, occlusion: existing textures or None.
        licence: as stated.
        colour: (3,) sRGB in [0, 1] of the surface without a texture; None: not said, or white (MakeHuman's default).
        missing: the diffuse texture's name, where it is named and not there.
    """

    diffuse: Path | None = None
    occlusion: Path | None = None
    licence: str | None = None
    colour: tuple[float, float, float] | None = None
    missing: str | None = None


@dataclass(frozen=True)
class Asset:
    """One garment as files have it: binding, mesh, material.

    ``category`` is one of CATEGORIES or "" for things that lie loose; ``notes`` say what is missing, a sentence each.
    """

    path: Path
    category: str
    binding: Binding
    mesh: ObjMesh
    triangles: Int[np.ndarray, "face 3"]
    uv_triangles: Int[np.ndarray, "face 3"]
    material: Material
    licence: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Licences:
    """Licence of a file: from the folder's MANIFEST.csv (columns file, licence), else from the file, else unknown."""

    folder: Path
    table: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def read(folder: Path) -> Licences:
        """Raises UserError where there is a manifest that cannot be read."""
        manifest = folder / "MANIFEST.csv"
        table: dict[str, str] = {}
        if manifest.is_file():
            try:
                for row in csv.DictReader(read_text(manifest).splitlines()):
                    name, licence = row.get("file") or row.get("name"), row.get("licence")
                    if name and licence:
                        table[name] = licence.strip()
            except csv.Error as error:
                raise UserError(f"{manifest} is not a readable table ({error}); mend it or take it away.") from None
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
    lines = read_text(path).splitlines()
    try:
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
    except (ValueError, IndexError, OverflowError):
        raise UserError(f"{path} is not a readable .mhclo file.") from None
    if not refs or mesh is None:
        raise UserError(f"{path} binds no vertices or names no mesh.")
    refs_array = np.array(refs, np.int64)
    ids = [*refs_array.ravel(), *delete, *(i for _, a, b, _ in scales for i in (a, b))]
    if min(ids) < 0 or max(ids) >= BASE_VERTICES:
        raise UserError(f"{path} refers to vertices that the base mesh hm08 does not have.")
    with np.errstate(over="ignore"):
        moved = np.array(offsets, np.float32)
        weight_array = np.array(weights, np.float32)
    total = weight_array.sum(1, keepdims=True)
    if not np.isfinite([total.sum(), moved.sum()]).all() or not np.abs(moved).max() < 10 * FARTHEST:
        raise UserError(f"{path} puts vertices more than a metre away from the body.")
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
        material_name=material,
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
    elif len(words) < 6:
        raise ValueError(f"a vertex of {len(words)} numbers")
    else:
        refs.append([int(x) for x in words[:3]])
        weights.append([float(x) for x in words[3:6]])
        offsets.append([float(x) for x in words[6:9]] if len(words) >= 9 else [0.0, 0.0, 0.0])


def _read_ranges(words: list[str]) -> list[int]:
    """``3 7 - 9 12`` -> 3, 7, 8, 9, 12. Raises ValueError or IndexError where there is something else."""
    ids: list[int] = []
    k = 0
    while k < len(words):
        if words[k] == "-" and ids and k + 1 < len(words):
            ids.extend(range(ids[-1] + 1, min(int(words[k + 1]), BASE_VERTICES) + 1))
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
    """Reads a material.

    Raises:
        UserError: it cannot be read.
    """
    named: dict[str, str] = {}
    licence = None
    for line in read_text(path).splitlines():
        words = line.split(None, 1)
        if line.startswith(("#", "//")):
            licence = licence or _stated_licence(line)
        elif len(words) == 2:
            named[words[0].lower()] = words[1].strip()
    diffuse, occlusion = (
        find_file(path.parent, named[key]) if key in named else None for key in ("diffusetexture", "aomaptexture")
    )
    return Material(
        diffuse,
        occlusion,
        named.get("license", licence),
        _colour(named.get("diffusecolor", "")),
        named.get("diffusetexture") if diffuse is None else None,
    )


def _colour(words: str) -> tuple[float, float, float] | None:
    try:
        red, green, blue = (min(max(float(word), 0.0), 1.0) for word in words.split()[:3])
    except ValueError:
        return None
    return None if min(red, green, blue) > 0.99 or not red + green + blue >= 0 else (red, green, blue)


def read_asset(path: Path, licences: Licences) -> Asset:
    """Reads an .mhclo with its mesh and material.

    Raises:
        UserError: the binding or the mesh is missing or unreadable, or they do not belong together.
    """
    binding = read_mhclo(path)
    if not binding.mesh_file.is_file():
        raise UserError(f"{path} names the mesh {binding.mesh_file.name}, which is missing.")
    mesh = read_obj(binding.mesh_file)
    if len(mesh.vertices) != len(binding.refs):
        raise UserError(f"{path} binds {len(binding.refs)} vertices, but its mesh has {len(mesh.vertices)}.")
    triangles, uv_triangles = triangulate(mesh.faces, mesh.uv_faces)
    loose = len(binding.refs) - len(np.unique(triangles))
    if loose > _LOOSE_SHARE * len(binding.refs):
        raise UserError(f"The mesh {binding.mesh_file} is cut off: {loose} of its vertices belong to no face.")
    material, notes = _material(path, binding)
    licence = licences.of(path, binding.licence or material.licence)
    category = category_of(path, licences.folder)
    return Asset(path, category, binding, mesh, triangles, uv_triangles, material, licence, tuple(notes))


def category_of(path: Path, folder: Path) -> str:
    """Which of CATEGORIES an asset below ``folder`` belongs to: the nearest folder of that name; "" for none."""
    above = (*path.relative_to(folder).parts[-2::-1], folder.name, folder.parent.name)
    return next((part.lower() for part in above if part.lower() in CATEGORIES), "")


def _material(path: Path, binding: Binding) -> tuple[Material, list[str]]:
    """The material of an asset, from what else lies in its folder where files are missing; and notes about that."""
    # In a folder of many garments nothing tells whose a file is
    alone = sum(p.suffix.lower() == ".mhclo" for p in path.parent.iterdir() if not p.name.startswith(".")) == 1
    notes = []
    file = binding.material_file
    if file is None:
        others = sorted(p for p in path.parent.iterdir() if p.suffix.lower() == ".mhmat" and p.name[0] != ".")
        file = others[0] if alone and len(others) == 1 else None
        if binding.material_name and file is None:
            notes.append(f"{path} names the material {binding.material_name}, which is missing")
    material = Material()
    if file is not None:
        try:
            material = read_mhmat(file)
        except UserError as error:
            notes.append(str(error).rstrip("."))
    if material.missing is not None and material.missing.lower() != "none":
        notes.append(f"{file} names the texture {material.missing}, which is missing")
    if material.diffuse is None and (notes or file is None):
        guess = _colour_texture(path.parent) if alone else None
        if guess is not None:
            material = replace(material, diffuse=guess)
            notes = [f"{note}; {guess.name} is used instead" for note in notes]
    return material, notes


def _colour_texture(folder: Path) -> Path | None:
    """Without a usable material: the texture in the folder that looks like the colour."""
    images = files_below(folder, *IMAGE_ENDINGS)
    colour = [p for p in images if "diffuse" in p.stem.lower() or "texture" in p.stem.lower()]
    others = [p for p in images if not any(word in p.stem.lower() for word in _NOT_COLOUR)]
    return (colour or others or [None])[0]


def find_assets(folder: Path) -> list[Path]:
    """All .mhclo files below a folder, in the order of their names."""
    return files_below(folder, ".mhclo")


def find_skins(
    folder: Path, licences: Licences, note: Callable[[str], None] = lambda line: None
) -> list[tuple[str, Path, str]]:
    """Skin textures: (name, image, licence), from .mhmat files outside of garments, and from ``skins/textures``.

    Painted costumes and cartoons are left out: their layers would be wrong. ``note`` takes what is missing.
    """
    root = folder.resolve()
    with_clothes = {path.parent for path in find_assets(root)}
    textures: dict[Path, str | None] = {}
    for path in files_below(root, ".mhmat"):
        inside_skins = "skins" in (part.lower() for part in (root.name, *path.relative_to(root).parts[:-1]))
        loose = path.parent not in with_clothes and path.parent.parent not in with_clothes
        if inside_skins or (loose and "skin" in path.stem.lower()):
            try:
                material = read_mhmat(path)
            except UserError as error:
                note(f"skipped: {error}")
                continue
            if material.diffuse is not None:
                textures.setdefault(material.diffuse.resolve(), material.licence)
            elif material.missing is not None:
                note(f"skipped: {path} names the texture {material.missing}, which is missing.")
    for path in files_below(root, *IMAGE_ENDINGS):
        if _lies_in(path, root, "skins", "textures") and "diffuse" in path.stem.lower():
            textures.setdefault(path.resolve(), None)
    found = []
    for path, stated in sorted(textures.items()):
        if any(word in path.stem.lower() for word in ("special_suit", "toon")) or root not in path.parents:
            continue
        found.append((path.stem, path, Licences(root, licences.table).of(path, stated)))
    return found


def find_eye_textures(folder: Path, licences: Licences) -> list[tuple[str, Path, str]]:
    """Iris textures of ``eyes/materials``: (name, image, licence)."""
    paths = [p for p in files_below(folder, *IMAGE_ENDINGS) if _lies_in(p, folder, "eyes", "materials")]
    return [(p.stem, p, licences.of(p)) for p in paths if "eye" in p.stem.lower()]


def _lies_in(path: Path, folder: Path, outer: str, inner: str) -> bool:
    above = [part.lower() for part in (folder.name, *path.relative_to(folder).parts[:-1])]
    return above[-2:] == [outer, inner]
