"""The renderer of people: its depth test, light, truth and batches against slow or obvious twins."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import warp as wp
from PIL import Image

from bodymap.people import Pack, PeopleConfig
from bodymap.people.anatomy import template
from bodymap.people.background import Backdrop, Block
from bodymap.people.binding import closest_within
from bodymap.people.director import direct
from bodymap.people.film import backdrop, geometry, labels, queries, shading
from bodymap.people.film.blur import gaussian_blur
from bodymap.people.film.develop import Faults, develop
from bodymap.people.film.film import expose
from bodymap.people.film.jpeg import compress
from bodymap.people.film.meter import meter
from bodymap.people.film.stagehand import Take, pose_actors
from bodymap.people.light import Light
from bodymap.people.material import Material, Tint
from bodymap.people.mesh import Piece, join
from bodymap.people.stage import Actor
from bodymap.rendering import rasterize
from bodymap.rendering.camera import camera_looking_at, clip_from_world
from bodymap.surface import points

SIZE = (48, 40)
# equally bright everywhere: a white surface of any normal sees 1
EVEN = Light(np.concatenate([np.full((1, 3), 1 / 0.282095), np.zeros((8, 3))]), np.array([0, 0, 1.0]), np.zeros(3), 0.0)


def square(material: Material, depth: float = 0.0, half: float = 0.5, instance: int = 1) -> Actor:
    """A square across the y axis, uv 0..1, v down."""
    corner = np.array([[-1, 0, 1], [1, 0, 1], [1, 0, -1], [-1, 0, -1]], np.float32) * half + [0, depth, 0]
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    weight = np.tile(np.float32([1, 0, 0, 0, 0, 0]), (4, 1))
    zero = np.zeros((4, 6), np.int64)
    truth = template().vertices[:4].numpy()
    piece = Piece("square", 1, corner, triangles, uv, triangles, zero, weight, truth, corner, uv, material)
    mesh = join((piece,))
    return Actor(mesh, np.eye(3, 4, dtype=np.float32)[None], instance)


def camera(size=SIZE):
    return camera_looking_at((0, -2, 0), (0, 0, 0), 0.8, size)


def take(*actors: Actor, light: Light = EVEN, **kwargs) -> Take:
    return Take(actors, camera(), light, **kwargs)


@pytest.fixture(scope="module")
def pack() -> Pack:
    return Pack.load(None)


@pytest.fixture(scope="module")
def takes(pack: Pack) -> list[Take]:
    config = PeopleConfig(size=(96, 72))
    return [direct(s, s, s, s, pack, config, "train").take for s in range(6)]


def test_colour_of_an_evenly_lit_square() -> None:
    film = expose([take(square(Material(np.array([0.2, 0.5, 0.8]))))])
    middle = film.colour[0, 24, 20].numpy()
    assert np.allclose(middle, np.array([0.2, 0.5, 0.8]) ** 2.2, atol=0.02)
    share = float(film.cover.mean())
    fov = 2 * 2 * np.tan(0.4)
    assert share == pytest.approx(1 / (fov * fov * SIZE[1] / SIZE[0]), abs=0.02)
    assert film.foreground[0, 24, 20] and not film.foreground[0, 0, 0]
    assert np.allclose(film.normal[0, 24, 20].numpy(), [0, 0, -1], atol=1e-4)


def test_sunlight_follows_the_cosine_and_shadows_fall() -> None:
    dark = np.zeros((9, 3))
    angle = np.radians(35)
    sun = np.array([0, -np.cos(angle), np.sin(angle)])
    light = Light(dark, sun, np.ones(3), 0.0)
    white = Material(np.full(3, 0.95), gloss=0.0)
    film = expose([take(square(white), light=light)])
    shaded = expose([take(square(white), square(white, depth=-0.4, half=0.15, instance=0), light=light)])
    albedo = 0.95**2.2
    at = film.colour[0, 20, 20, 0]
    assert float(at) == pytest.approx(albedo * (np.cos(angle) + 0.04), abs=0.02)
    # the small square hides 0.3 m of the large one's middle from us, and darkens a place below it
    drop = 0.4 * np.tan(angle)
    row = int((0.5 + drop / (2 * 2 * np.tan(0.4))) * SIZE[0]) + 1
    assert float(shaded.colour[0, row, 20, 0]) < 0.3 * float(film.colour[0, row, 20, 0])


def test_alpha_cuts_the_shape_out() -> None:
    texture = np.full((8, 8, 4), 255, np.uint8)
    texture[:, :4, 3] = 0
    front = square(Material(np.ones(3), texture=texture, alpha=True), depth=-0.1)
    film = expose([take(front, square(Material(np.array([1.0, 0, 0])), instance=2))])
    left, right = film.colour[0, 24, 14].numpy(), film.colour[0, 24, 26].numpy()
    assert left[0] > 0.8 and left[1] < 0.1 and np.allclose(right, right[0], atol=0.02)
    assert int(film.instance[0, 24, 14]) == 2 and int(film.instance[0, 24, 26]) == 1


def test_tints() -> None:
    texture = np.full((4, 4, 3), 128, np.uint8)
    texture[:2] = 64
    mean = 96 / 255
    replaced = Material(np.ones(3), texture=texture, tint=Tint(np.array([0.1, 0.5, 0.3]), 1.0, True, mean))
    gained = Material(np.ones(3), texture=texture, tint=Tint(np.array([0.5, 1.0, 1.5]), 1.0, False, mean))
    for material, wanted in (
        (replaced, np.array([0.1, 0.5, 0.3]) * (128 / 96)),
        (gained, np.array([0.5, 1, 1.5]) * 128 / 255),
    ):
        film = expose([take(square(material))])
        assert np.allclose(film.colour[0, 30, 20].numpy(), wanted**2.2, atol=0.02)


def test_depth_test_is_the_rasterizers(takes: list[Take]) -> None:
    for one in takes[:3]:
        g = pose_actors([one])
        stage = g.stage()
        solid = torch.tensor([not m.alpha for m in stage.materials])[stage.piece]
        one = Take(one.actors, one.camera, one.light)
        film = expose([one], factor=1)
        wanted = rasterize(clip_from_world(stage.vertices, one.camera)[None], stage.triangles[solid], one.camera.size)
        instance = stage.instance[solid][wanted[0].triangle[0].clamp_min(0)]
        mine = (wanted[0].triangle[0] >= 0) & (instance == 1)
        if not film.alone[0] and bool(solid.all()):
            assert (film.foreground[0] == mine).float().mean() > 0.999
        else:  # hair cards add to what is solid
            assert (film.foreground[0] | ~mine).float().mean() > 0.98


def test_a_batch_is_its_pictures(takes: list[Take]) -> None:
    together = expose(takes)
    for n, one in enumerate(takes):
        alone = expose([one])
        assert (together.triangle[n] == alone.triangle[0]).float().mean() > 0.9999
        assert (together.layer[n] == alone.layer[0]).float().mean() > 0.9999
        assert torch.allclose(together.colour[n], alone.colour[0], atol=1e-4)
        again = expose([one])
        assert torch.equal(alone.colour, again.colour) and torch.equal(alone.triangle, again.triangle)


def test_truth_lies_on_the_outer_template(takes: list[Take]) -> None:
    t = template()
    film = expose(takes[:3])
    found = film.triangle[film.foreground].long(), film.barycentric[film.foreground]
    on_template = points.position(t, *found)
    # a template point is its own closest point
    again = points.position(t, *closest_within(t, on_template))
    assert float((on_template - again).norm(dim=1).max()) < 1e-4
    assert torch.allclose(found[1].sum(1), torch.ones(len(found[1])), atol=1e-5)


def test_a_flat_backdrop_and_a_room() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0] = 255
    flat = expose([Take((square(Material(np.ones(3)), half=0.01),), camera(), EVEN, Backdrop(image=image))])
    assert float(flat.colour[0, 1, 1].min()) > 0.95 and float(flat.colour[0, -2, 1].max()) < 0.05
    tiles = [np.full((4, 4, 3), 40 * k + 20, np.uint8) for k in range(6)]
    walls = tuple(Block(tile, 1.0, np.ones(3)) for tile in tiles)
    room = Backdrop(blocks=walls, low=np.array([-3.0, -3, -3]), high=np.array([3.0, 3, 3]))
    film = expose([Take((square(Material(np.ones(3)), half=0.01),), camera(), EVEN, room)])
    # the camera looks along +y: the wall at high y
    assert np.allclose(film.colour[0, 4, 20].numpy(), (tiles[3][0, 0] / 255) ** 2.2, atol=0.01)


def test_undeveloped_pictures_stay_and_grain_repeats() -> None:
    linear = torch.rand(2, 32, 24, 3) * 0.7
    plain = develop(linear, [Faults(), Faults()])
    assert np.abs(plain.numpy() / 255 - linear.numpy() ** (1 / 2.2)).max() < 0.003
    faults = [Faults(grain=0.05, seed=3), Faults(blur=1.0, resolution=0.5, quality=60, motion=(0.1, 0.0))]
    first, again = develop(linear, faults), develop(linear, faults)
    assert torch.equal(first, again)
    assert np.std(first[0].numpy() / 255.0 - plain[0].numpy() / 255.0) == pytest.approx(0.05, abs=0.015)
    assert first[1].float().std() < plain[1].float().std()


def test_cameras_meter_the_person_first() -> None:
    linear = torch.full((3, 40, 30, 3), 0.8)
    person = torch.zeros(3, 40, 30, dtype=torch.bool)
    person[:2, 10:30, 10:20] = True
    linear[:2][person[:2]] = 0.05  # against the light
    gains = meter(linear, person, [1.0, 0.0, 1.0])
    # less than the person alone wants, more than the picture as a whole; nothing; what a grey card wants
    assert 1.2 < gains[0] < 0.2 / 0.05 and gains[1] == 1 and gains[2] == pytest.approx(0.25, rel=0.01)
    brighter = meter(linear / 2, person, [1.0, 0.0, 1.0])
    assert brighter[0] == pytest.approx(2 * gains[0], rel=0.02)
    faults = [Faults(metered=1.0), Faults(metered=1.0, exposure=1.0), Faults()]
    images = develop(linear, faults, person).float()
    assert images[0][person[0]].median() > develop(linear, [Faults()] * 3)[0].float()[person[0]].median() + 20
    assert images[1][person[1]].median() > images[0][person[0]].median() + 20
    night = meter(torch.zeros(1, 40, 30, 3), torch.zeros(1, 40, 30, dtype=torch.bool), [1.0])
    assert 1 < night[0] < 8


@pytest.mark.parametrize("quality", [40, 85])
def test_jpeg_as_pillow_does_it(quality: int) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (10, 8, 3), np.uint8)).resize((72, 88), Image.Resampling.BICUBIC)
    image = np.asarray(coarse)
    file = io.BytesIO()
    coarse.save(file, "jpeg", quality=quality)
    wanted = np.asarray(Image.open(file), np.float32)
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    mine = compress(x, [quality])[0].permute(1, 2, 0).numpy() * 255
    damage = np.abs(wanted - image).mean()
    assert np.abs(mine - wanted).mean() < 0.5 * damage
    assert np.abs(mine - image).mean() == pytest.approx(damage, rel=0.25)


@pytest.mark.parametrize("module", [geometry, shading, labels, backdrop, queries])
def test_kernels_compile_for_cuda(module, tmp_path) -> None:
    files = wp.compile_aot_module(module.__name__, arch=90, module_dir=tmp_path, use_ptx=False)
    assert any(path.suffix == ".cubin" and path.stat().st_size > 1000 for path in map(type(tmp_path), files))


def test_the_lens_bends_the_outline() -> None:
    k1 = -0.25
    bent = replace(camera((160, 160)), distortion=k1)
    # a square with corners at (x, y) / z = 0.2
    film = expose([Take((square(Material(np.ones(3)), half=0.4),), bent, EVEN)], factor=1)
    edge = 0.2 * (1 + k1 * 0.04)  # the middle of a side
    focal = bent.intrinsics[0, 0]
    columns = np.flatnonzero(film.cover[0, 80].numpy())
    assert (columns[-1] + 1 - columns[0]) / 2 == pytest.approx(edge * focal, abs=1.0)
    corner = 0.2 * (1 + k1 * 0.08)
    rows = np.flatnonzero(film.cover[0].numpy().any(1))
    assert rows[0] == pytest.approx(80 - edge * focal, abs=1.0)
    covered = np.argwhere(film.cover[0].numpy())
    assert np.abs(covered - 79.5).sum(1).max() == pytest.approx(2 * corner * focal, abs=2.5)


def test_the_lens_bends_the_backdrop_by_its_inverse() -> None:
    # a wall across the view, dark left of the middle and white from (x, y) / z = 0.25 on
    tile = np.zeros((64, 64, 3), np.uint8)
    tile[:, 32:] = 255
    walls = [Block(np.zeros((4, 4, 3), np.uint8), 1.0, np.ones(3))] * 6
    walls[3] = Block(tile, 2.0, np.ones(3))  # white from 1 m to 2 m
    room = Backdrop(blocks=tuple(walls), low=np.full(3, -3.0), high=np.array([3, 2.0, 3]))
    for k1 in (0.0, -0.25, 0.2):
        bent = replace(camera((160, 160)), distortion=k1)
        film = expose([Take((square(Material(np.ones(3)), half=0.01),), bent, EVEN, room)], factor=1)
        first = np.flatnonzero(film.colour[0, 80, 90:, 0].numpy() > 0.5)[0] + 90
        wanted = 80 + 0.25 * (1 + k1 * 0.0625) * bent.intrinsics[0, 0]
        assert first == pytest.approx(wanted, abs=1.5), k1


def test_gaussian_blur_has_its_variance():
    image = torch.zeros(1, 1, 41, 41)
    image[..., 20, 20] = 1
    blurred = gaussian_blur(image, [1.6])[0, 0]
    offsets = torch.arange(41) - 20.0
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    for axis in (0, 1):
        assert math.sqrt((blurred.sum(axis) * offsets**2).sum()) == pytest.approx(1.6, rel=0.03)


def test_gaussian_blur_of_one_picture_does_not_look_at_the_others():
    images = torch.rand(3, 2, 24, 32, generator=torch.Generator().manual_seed(0))
    sigmas = [0.4, 3.0, 1.1]
    together = gaussian_blur(images, sigmas)
    for n, sigma in enumerate(sigmas):
        assert torch.allclose(together[n], gaussian_blur(images[n : n + 1], [sigma])[0], atol=1e-6)
