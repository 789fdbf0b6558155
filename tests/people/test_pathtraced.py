"""What the path tracer is given, its files and its command; with ``bpy`` installed also a picture."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from bodymap.errors import UserError
from bodymap.people.background import Surroundings
from bodymap.people.light import Light, harmonics, panorama_directions
from bodymap.people.material import Material, Tint
from bodymap.people.pack import Pack, Panorama
from bodymap.people.pathtraced import blender, shaders
from bodymap.people.pathtraced.__main__ import main, silhouette_iou
from bodymap.people.pathtraced.files import is_finished, read_picture, write_picture
from bodymap.people.pathtraced.still import PATHTRACED, over, prepare, radiance
from bodymap.rendering.camera import clip_from_world
from bodymap.types import Camera

has_blender = importlib.util.find_spec("bpy") is not None
CONFIG = replace(
    PATHTRACED, size=(96, 96), camera=replace(PATHTRACED.camera, framing={"full": 1.0}, facing={"front": 1.0})
)


@pytest.fixture(scope="module")
def still():
    torch.set_num_threads(1)
    return prepare(3, Pack.load(), CONFIG, "train")


def test_parts_are_the_stage_in_place(still):
    assert {part.instance for part in still.parts} >= {1}
    for part in still.parts:
        count = len(part.vertices)
        assert part.normals.shape == part.rest.shape == (count, 3) and part.cloth.shape == (count, 2)
        assert part.triangles.min() == 0 and part.triangles.max() == count - 1
        assert part.corner_uv.shape == (len(part.triangles), 3, 2)
        np.testing.assert_allclose(np.linalg.norm(part.normals, axis=1), 1, atol=1e-3)
    # the subject's vertices are seen where the truth has its foreground
    mine = np.concatenate([part.vertices for part in still.parts if part.instance == 1])
    pinhole = replace(still.camera, distortion=0.0)  # the lens is in the vertices
    clip = clip_from_world(torch.from_numpy(mine), pinhole).numpy()
    seen = clip[:, :2] / clip[:, 3:]
    inside = (np.abs(seen) < 1).all(1)
    column, row = ((seen[inside] * 0.5 + 0.5) * 96).astype(int).T
    assert still.truth.foreground[row, column].mean() > 0.6
    rows, columns = np.nonzero(still.truth.foreground)
    assert abs(np.ptp(rows) - np.ptp(row)) <= 3


def test_the_lens_is_in_the_vertices():
    pack = Pack.load()
    for seed in range(20):
        still = prepare(seed, pack, CONFIG, "train")
        if still.camera.distortion:
            break
    assert still.camera.distortion
    pinhole = replace(still.camera, distortion=0.0)
    mine = np.concatenate([part.vertices for part in still.parts if part.instance == 1])
    rows, columns = np.nonzero(still.truth.foreground)
    seen = clip_from_world(torch.from_numpy(mine), pinhole).numpy()
    seen = ((seen[:, :2] / seen[:, 3:]) * 0.5 + 0.5) * 96
    inside = ((seen > 0) & (seen < 96)).all(1)
    for k, found in enumerate((columns, rows)):
        assert abs(seen[inside, k].min() - found.min()) < 2 and abs(seen[inside, k].max() - found.max() - 1) < 2


def test_the_backdrop_is_empty(still):
    """Where nobody stands it is the engine's picture before development; nobody is in it."""
    assert still.backdrop.shape == (96, 96, 3) and np.isfinite(still.backdrop).all()
    shown = over(np.zeros((96, 96, 4), np.float32), still.backdrop)
    np.testing.assert_allclose(shown[0].numpy(), still.backdrop)
    covered = over(np.ones((96, 96, 4), np.float32), still.backdrop)
    np.testing.assert_allclose(covered.numpy(), 1)


def test_invented_light_keeps_the_engines_irradiance():
    coefficients = np.zeros((9, 3), np.float32)
    coefficients[0] = 1 / 0.282095
    coefficients[2] = 0.6  # brighter from above
    light = Light(coefficients, np.array([0, 0, 1.0]), np.zeros(3), 0.5)
    shine = radiance(light, Surroundings(None, 0.0), 64)
    directions = panorama_directions(64, 128, 0.0)
    area = np.sin((np.arange(64) + 0.5) / 64 * np.pi)[:, None] * (np.pi / 64) ** 2
    for normal in ([0, 0, 1.0], [1.0, 0, 0], [0, -0.6, 0.8]):
        cosine = np.clip(directions @ np.array(normal), 0, None) * area
        integrated = (shine * cosine[..., None]).sum((0, 1)) / np.pi
        np.testing.assert_allclose(integrated, harmonics(np.array(normal)) @ coefficients, rtol=0.01)


def test_panoramas_keep_their_place_and_the_engines_mean():
    """A bright window 40 degrees wide, turned by the yaw, in Cycles' order of columns."""
    source = np.full((32, 64, 3), 0.2, np.float32)
    source[12:20, 28:36] = 1.0  # around the middle column: -Y at yaw 0
    coefficients = np.zeros((9, 3), np.float32)
    coefficients[0] = np.array([0.5, 0.6, 0.7]) / 0.282095
    light = Light(coefficients, np.array([0, 0, 1.0]), np.zeros(3), 0.5)
    for yaw in (0.0, 1.3):
        shine = radiance(light, Surroundings(Panorama("window", "none", source), yaw), 64)
        area = np.sin((np.arange(64) + 0.5) / 64 * np.pi)[:, None, None]
        np.testing.assert_allclose((shine * area).mean((0, 1)) / area.mean(), [0.5, 0.6, 0.7], rtol=1e-3)
        centre = panorama_directions(3, 3, yaw)[1, 1]
        image = blender.environment_image(shine)
        # Cycles: u = 0.5 - atan2(y, x) / 2 pi
        columns, rows = np.meshgrid((np.arange(128) + 0.5) / 128, (np.arange(64) + 0.5) / 64)
        around, up = (0.5 - columns) * 2 * np.pi, (0.5 - rows) * np.pi
        seen = np.stack([np.cos(around) * np.cos(up), np.sin(around) * np.cos(up), np.sin(up)], -1)
        bright = image[..., 0] > 0.5 * image[..., 0].max()
        mean = seen[bright].mean(0)
        assert mean @ centre / np.linalg.norm(mean) > np.cos(np.radians(4))


def test_blenders_camera_is_ours():
    """A world point lands on the same pixel by Blender's rules: sensor, shifts, -z forward."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = turn, [0.1, -0.2, 3.0]
    camera = Camera(np.array([[700.0, 0, 210], [0, 700, 330], [0, 0, 1]]), T, (600, 400))
    lens, shift_x, shift_y = blender.lens_of(camera)
    for _ in range(5):
        at_camera = np.array([*rng.uniform(-0.5, 0.5, 2), 3.0])
        world = np.linalg.inv(T) @ [*at_camera, 1]
        ours = (camera.intrinsics @ at_camera)[:2] / at_camera[2]
        x, y, z, _ = np.linalg.inv(blender.world_from_blender_camera(camera)) @ world
        assert z < 0
        column = (lens / 36 * x / -z - shift_x + 0.5) * 400
        row = 300 - (lens / 36 * y / -z - shift_y) * 400
        np.testing.assert_allclose([column, row], ours, atol=1e-6)
    with pytest.raises(ValueError, match="square"):
        blender.lens_of(replace(camera, intrinsics=np.diag([700.0, 650, 1])))


def test_textures_in_their_own_colours():
    texture = np.zeros((1, 2, 4), np.uint8)
    texture[0, 0], texture[0, 1] = (100, 100, 100, 255), (200, 50, 50, 7)
    grey = Material(np.ones(3), texture=texture)
    assert shaders.tinted(grey) is texture and shaders.tinted(replace(grey, texture=None)) is None
    gain = shaders.tinted(replace(grey, tint=Tint(np.array([1, 0.5, 1.2]), 2.0, False, 0.5)))
    red, green = 200 / 255, 50 / 255
    np.testing.assert_allclose(gain[0, 1] / 255, [red**2, 0.5 * green**2, 1.2 * green**2, 7 / 255], atol=0.003)
    dyed = shaders.tinted(replace(grey, tint=Tint(np.array([0.8, 0.4, 0.2]), 1.0, True, 200 / 255)))
    np.testing.assert_allclose(dyed[0, 0] / 255, [0.4, 0.2, 0.1, 1], atol=0.003)
    assert 0 < shaders.roughness(60) < shaders.roughness(10) < 1


def test_pictures_on_disk(still, tmp_path):
    path = tmp_path / "000003.png"
    write_picture(path, still.truth, 0.987, "recipe")
    again = read_picture(path.with_suffix(".npz"))
    for name in ("image", "foreground", "triangle", "barycentric", "part", "layer", "normal", "instance"):
        np.testing.assert_array_equal(getattr(again, name), getattr(still.truth, name))
    assert again.seeds == still.truth.seeds and again.facing == pytest.approx(still.truth.facing)
    np.testing.assert_array_equal(again.camera.intrinsics, still.truth.camera.intrinsics)
    assert is_finished(path, "recipe") == pytest.approx(0.987)
    assert is_finished(path, "another") is None and is_finished(tmp_path / "1.png", "recipe") is None
    path.with_suffix(".npz").write_bytes(path.with_suffix(".npz").read_bytes()[:500])
    assert is_finished(path, "recipe") is None
    with pytest.raises(UserError, match="not a readable path-traced picture"):
        read_picture(path)


def test_masks_are_compared_by_overlap():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert silhouette_iou(a, b) == 1
    a[:2], b[1:3] = True, True
    assert silhouette_iou(a, b) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--count", "0"], "--count must lie"),
        (["--size", "9"], "--size must lie"),
        (["--samples", "0"], "--samples must lie"),
        (["--seed", "-1"], "--seed must lie"),
        (["--threads", "-1"], "--threads must lie"),
    ],
)
def test_wrong_options_are_one_clear_sentence(arguments, says, tmp_path):
    with pytest.raises(UserError, match=says):
        main([*arguments, "-o", str(tmp_path)])


@pytest.mark.skipif(has_blender, reason="bpy is installed")
def test_without_blender_the_command_says_what_to_install(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "bodymap.people.pathtraced", "--count", "1", "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert blender.INSTALL in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not has_blender, reason="bpy is not installed")
def test_cycles_sees_whom_the_truth_says(still):
    studio = blender.Studio(samples=2, threads=1)
    mask = studio.silhouette(still) >= 0.5
    assert silhouette_iou(mask, still.truth.foreground) > 0.95
    picture = studio.render(still)
    assert picture.shape == (96, 96, 4) and np.isfinite(picture).all()
    mine = still.truth.foreground
    assert picture[mine, 3].mean() > 0.95
    # about as bright as the engine makes it
    engine = still.truth.image[mine].mean() / 255
    assert 0.5 < picture[mine][:, :3].clip(0, 1).mean() ** (1 / 2.2) / engine < 2
