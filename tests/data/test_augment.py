"""Augmentation: analytic warps, and truth that moves and mirrors with the picture."""

from __future__ import annotations

import dataclasses
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bodymap.data.augment import (
    Augment,
    source_points,
    take_nearest,
)
from bodymap.data.batch import expand
from bodymap.data.mirror import flip_batch, mirror_truth
from bodymap.data.settings import AugmentConfig, no_augmentation
from bodymap.errors import UserError

SIZE = (256, 192)


@pytest.fixture(scope="module")
def template():
    """A mirror-symmetric 'template': a grid of triangles over the square, mirrored at x = 1/2; its code is the place.

    The mirrored triangle of (row, column, half) lists its corners in another order, so that a wrong table is noticed.
    """
    n = 12
    x, y = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
    vertices = np.stack([x.ravel() / n, y.ravel() / n], -1)
    number = lambda column, row: row * (n + 1) + column  # noqa: E731
    left = []
    for row in range(n):
        for column in range(n // 2):
            a, b, c, d = (number(column + i, row + j) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)))
            left += [(a, b, c), (a, c, d)]
    left = np.array(left)
    over = lambda v: v // (n + 1) * (n + 1) + n - v % (n + 1)  # noqa: E731
    right = over(left)[:, [1, 2, 0]]  # corner k of a left triangle is corner (k + 2) % 3 of its mirror
    triangles = torch.from_numpy(np.concatenate([left, right]))
    half = len(left)
    mirror_triangle = torch.cat([torch.arange(half) + half, torch.arange(half)])
    mirror_corner = torch.tensor([[2, 0, 1]] * half + [[1, 2, 0]] * half)
    return SimpleNamespace(
        vertices=torch.from_numpy(vertices).float(), triangles=triangles,
        mirror_triangle=mirror_triangle, mirror_corner=mirror_corner,
    )  # fmt: skip


def place(template, triangle, barycentric):
    """Point of the square (..., 2) for each triangle and barycentric."""
    return (template.vertices[template.triangles[triangle.clamp(min=0)]] * barycentric[..., None]).sum(-2)


def drawn(template, size=SIZE, count=1):
    """``count`` times the same picture as a Batch: the square over a box of it, where red = x, green = y, blue = 0.5.

    Colour and truth are then the same thing, and stay so under any warp.
    """
    if (id(template), size) not in _DRAWN:
        _DRAWN[id(template), size] = _draw(template, size)
    return {name: torch.stack([value] * count) for name, value in _DRAWN[id(template), size].items()}


_DRAWN = {}


def _draw(template, size):
    height, width = size
    rows, columns = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    top, left = 0.15 * height, 0.15 * width  # off the middle, so that mirroring moves it
    points = np.stack([(columns - left) / (0.6 * width), (rows - top) / (0.7 * height)], -1)
    inside = ((points > 0) & (points < 1)).all(-1)
    corners = template.vertices.numpy()[template.triangles.numpy()]  # (F, 3, 2)
    triangle = np.full(size, -1)
    barycentric = np.zeros((*size, 3))
    for f, (a, b, c) in enumerate(corners):
        matrix = np.linalg.inv(np.stack([b - a, c - a], -1))
        w = (points - a) @ matrix.T
        w = np.stack([1 - w.sum(-1), w[..., 0], w[..., 1]], -1)
        hit = (w >= -1e-9).all(-1) & inside & (triangle < 0)
        triangle[hit], barycentric[hit] = f, w[hit]
    image = np.where(inside[..., None], np.stack([points[..., 0], points[..., 1], 0 * points[..., 0] + 0.5], -1), 0.5)
    return {
        "image": torch.from_numpy(image).permute(2, 0, 1).float(),
        "foreground": torch.from_numpy(inside),
        "triangle": torch.from_numpy(triangle),
        "barycentric": torch.from_numpy(barycentric).float(),
        "layer": torch.from_numpy(inside * (1 + (points[..., 0] > 0.5))).long(),
        "facing": torch.tensor(0.7),
    }


def check_truth(template, batch, tolerance=0.03, mirrored=None):
    """The place that the truth names equals the colour; mirrored pictures show red = 1 - x instead."""
    inside = batch["triangle"] >= 0
    assert torch.equal(inside, batch["foreground"]) and torch.equal(inside, batch["layer"] > 0)
    assert batch["barycentric"][~inside].abs().max() == 0
    torch.testing.assert_close(batch["barycentric"][inside].sum(-1), torch.ones(int(inside.sum())))
    named = place(template, batch["triangle"], batch["barycentric"])
    red, green = batch["image"][:, 0], batch["image"][:, 1]
    if mirrored is not None:
        red = torch.where(mirrored[:, None, None], 1 - red, red)
    # pixels at the silhouette mix with the background; at the crop's edge the silhouette may be just outside
    beyond = torch.nn.functional.pad((~inside).float()[:, None], (2, 2, 2, 2), value=1.0)
    core = inside & ~torch.nn.functional.max_pool2d(beyond, 5, 1)[:, 0].bool()
    assert core.sum() > 500
    error = torch.maximum((named[..., 0] - red).abs(), (named[..., 1] - green).abs())[core]
    assert error.max() < tolerance and error.mean() < tolerance / 5


def only(size=(224, 160), **changes):
    return dataclasses.replace(no_augmentation(size), **changes)


def test_the_drawing_is_right(template):
    check_truth(template, drawn(template), 1e-5)


def test_no_augmentation_at_the_same_size_changes_nothing(template):
    batch = drawn(template, (224, 160))
    result = Augment(only(), template)(batch, torch.tensor([3]))
    for name in ("foreground", "triangle", "layer", "facing", "barycentric"):
        assert torch.equal(result[name], batch[name]), name
    torch.testing.assert_close(result["image"], batch["image"], rtol=0, atol=2e-5)


def test_triangles_that_the_surface_does_not_have_are_refused(template):
    batch = drawn(template, (224, 160))
    batch["triangle"][0, 3, 4] = 30_000
    with pytest.raises(UserError, match="triangle 30000"):
        Augment(only(), template)(batch, torch.tensor([3]))


def test_known_shift_and_scale():
    values = torch.arange(2 * 8 * 6).reshape(2, 8, 6)
    centre, matrix = torch.tensor([[5.0, 5.0], [3.0, 4.0]]), torch.eye(2).repeat(2, 1, 1)
    points = source_points(centre, matrix, (4, 4))
    assert points[0, 0, 0].tolist() == [
        3.5,
        3.5,
    ]  # its centre (2, 2) lies on (5, 5)
    taken = take_nearest(values, points, -1)
    assert torch.equal(taken[0, :, :3], values[0, 3:7, 3:6]) and (taken[0, :, 3] == -1).all()
    assert torch.equal(taken[1], values[1, 2:6, 1:5])
    half = take_nearest(values, source_points(torch.tensor([[3.0, 4.0]] * 2), 0.5 * matrix, (16, 12)), -1)
    assert torch.equal(half, values.repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_flip_twice_is_the_identity(template):
    batch = drawn(template, count=2)
    batch["facing"] = torch.tensor([0.7, -3.0])
    once = flip_batch(batch, template)
    check_truth(template, once, 1e-5, mirrored=torch.tensor([True, True]))
    assert torch.equal(once["facing"], -batch["facing"]) and not torch.equal(once["triangle"], batch["triangle"])
    twice = flip_batch(once, template)
    for name, value in batch.items():
        assert torch.equal(twice[name], value), name


def test_mirroring_only_some_samples_and_prefixed_maps(template):
    batch = drawn(template, count=3)
    batch |= {"upper_triangle": batch["triangle"].clone(), "upper_barycentric": batch["barycentric"].clone()}
    original = {name: value.clone() for name, value in batch.items()}
    tables = {"": (template.mirror_triangle, template.mirror_corner)}
    mirrored = mirror_truth(batch, torch.tensor([False, True, False]), tables)
    for name, value in original.items():
        assert torch.equal(batch[name], value)  # the input is left alone
        assert torch.equal(mirrored[name][[0, 2]], value[[0, 2]])
    assert torch.equal(mirrored["triangle"], mirrored["upper_triangle"])
    named = place(template, mirrored["triangle"][1], mirrored["barycentric"][1])
    before = place(template, original["triangle"][1], original["barycentric"][1])
    inside = original["foreground"][1]
    torch.testing.assert_close(named[inside], (before * torch.tensor([-1, 1]) + torch.tensor([1, 0]))[inside])


@pytest.mark.parametrize(
    "change",
    [
        {"flip_share": 1.0},
        {"scale": (0.8, 0.8), "slide": 0.5},
        {"wide_share": 1.0},
        {"zoom_share": 1.0},
        {"rotation_share": 1.0, "rotation": 0.4},
        {"turn_share": 1.0},
        {"aspect": 0.2},
        {
            "flip_share": 0.5,
            "scale": (0.7, 1.0),
            "slide": 0.5,
            "rotation_share": 0.7,
            "aspect": 0.12,
            "zoom_share": 0.3,
        },
    ],
    ids=lambda change: "+".join(change),
)
def test_truth_follows_the_picture(template, change):
    batch = drawn(template, count=6)
    result = Augment(only(**change), template)(batch, torch.arange(6))
    assert result["image"].shape == (6, 3, 224, 160) and result["triangle"].shape == (6, 224, 160)
    mirrored = result["facing"] < 0
    assert bool(mirrored.all()) == (change.get("flip_share") == 1.0)
    check_truth(template, result, mirrored=mirrored)
    assert not torch.equal(result["triangle"][0], result["triangle"][1]) or change == {"flip_share": 1.0}


def test_compact_and_expanded_batches_give_the_same(template):
    batch = drawn(template, count=3)
    small = {
        "image": (batch["image"] * 255).round().byte().permute(0, 2, 3, 1),
        "triangle": batch["triangle"].short(),
        "barycentric": (batch["barycentric"][..., :2] * 255).round().byte(),
        "layer": batch["layer"].to(torch.int8),
        "facing": batch["facing"],
    }
    augment = Augment(AugmentConfig(), template)
    a, b = augment(small, torch.arange(3)), augment(expand(small), torch.arange(3))
    for name in b:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=1e-5)


def test_a_sample_does_not_depend_on_its_neighbours(template):
    batch = drawn(template, count=5)
    augment = Augment(AugmentConfig(), template)
    slots = torch.tensor([7, 1, 12, 9, 30])
    whole = augment(batch, slots)
    for i in (0, 3):
        alone = augment({name: value[i : i + 1] for name, value in batch.items()}, slots[i : i + 1])
        for name in whole:
            assert torch.equal(alone[name][0], whole[name][i]), name
    again = augment(batch, slots)
    other = Augment(dataclasses.replace(AugmentConfig(), seed=1), template)(batch, slots)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert not torch.equal(whole["image"], other["image"])


def test_the_input_is_left_alone_and_the_output_is_in_range(template):
    batch = drawn(template, count=8)
    before = {name: value.clone() for name, value in batch.items()}
    result = Augment(AugmentConfig(noise=0.5, noise_share=1.0, cutout_share=1.0), template)(batch, torch.arange(8))
    assert all(torch.equal(batch[name], value) for name, value in before.items())
    assert result["image"].min() >= 0 and result["image"].max() <= 1 and torch.isfinite(result["image"]).all()


def test_looks_change_the_picture_but_not_the_truth(template):
    batch = drawn(template, (96, 64), count=32)
    plain = Augment(only((96, 64)), template)(batch, torch.arange(32))
    for change, share in [
        ({"colour_share": 0.5}, 0.5), ({"grey_share": 0.3}, 0.3), ({"blur_share": 0.4}, 0.4),
        ({"resize_share": 0.4}, 0.4),
        ({"sharpen_share": 0.4}, 0.4), ({"noise_share": 0.6}, 0.6), ({"cutout_share": 0.5}, 0.5),
    ]:  # fmt: skip
        result = Augment(only((96, 64), **change), template)(batch, torch.arange(32))
        for name in ("triangle", "barycentric", "layer", "foreground"):
            assert torch.equal(result[name], plain[name])
        changed = ((result["image"] - plain["image"]).abs().flatten(1).max(1).values > 1e-3).float().mean()
        assert abs(float(changed) - share) < 0.2, change
    grey = Augment(only((96, 64), grey_share=1.0), template)(batch, torch.arange(32))["image"]
    torch.testing.assert_close(grey[:, 0], grey[:, 2], rtol=0, atol=1e-5)
    # grey keeps the luma
    luma = (plain["image"] * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    torch.testing.assert_close(grey[:, 0], luma, rtol=0, atol=1e-4)


def test_shrinking_does_not_alias(template):
    """A one-pixel checkerboard shrunk by 1.6 becomes nearly grey; plain bilinear sampling would leave strong moire."""
    rows, columns = torch.meshgrid(torch.arange(256), torch.arange(192), indexing="ij")
    batch = drawn(template)
    batch["image"] = ((rows + columns) % 2).float().expand(1, 3, 256, 192)
    result = Augment(only((160, 96), scale=(1.0, 1.0)), template)(batch, torch.tensor([0]))["image"]
    assert result[:, :, 8:-8, 8:-8].std() < 0.13


@pytest.mark.parametrize(("margin", "shown"), [(0, False), (8, False), (40, True)])
def test_the_person_is_never_reflected(template, margin, shown):
    """Outside the picture there is no truth, so there must be no second person; background may be reflected."""
    batch = drawn(template, count=24)
    person = torch.zeros(256, 192, dtype=torch.bool)
    person[100:150, 60 : 192 - margin] = True
    batch["layer"] = person.long().expand(24, 256, 192)
    batch["triangle"] = person.long().expand(24, 256, 192) - 1
    # person pure red, background a green ramp towards the right edge: reflected where it falls beyond the edge
    ramp = torch.arange(192).expand(256, 192) / 191
    batch["image"] = torch.stack([person.float(), ramp * ~person, torch.zeros(256, 192)]).expand(24, 3, 256, 192)
    result = Augment(only(scale=(1.25, 1.25)), template)(batch, torch.arange(24))
    red, green, blue = result["image"].unbind(1)
    right = slice(-10, None)  # beyond the right edge of the picture
    copied = (red > 0.9) & (green < 0.1) & (blue < 0.1) & ~result["foreground"]
    if margin:
        assert not copied[:, 20:-20, right].any()
    reflected = (green[:, 20, -2] < green[:, 20, -9] - 0.02) & (blue[:, 20, -2] == 0)
    assert bool(reflected.any()) == shown


@pytest.mark.parametrize("size, why", [((224, 150), "multiples of 32"), ((0, 32), "between 32 and 8192, not 0")])
def test_sizes_must_be_multiples_of_32(size, why):
    with pytest.raises(ValueError, match=why):
        AugmentConfig(size=size)


def test_a_wrong_size_on_the_command_line_is_a_user_error():
    from bodymap.config import load_config

    with pytest.raises(UserError, match="multiples of 32"):
        load_config(AugmentConfig, None, ["size=100,100"])


def test_fast_enough(template):
    batch = drawn(template, count=12)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        augment = Augment(AugmentConfig(), template)
        augment(batch, torch.arange(12))
        began = time.thread_time()
        for k in range(3):
            augment(batch, torch.arange(12 * k, 12 * k + 12))
        assert (time.thread_time() - began) / 36 < 0.045  # 15 ms is the aim on an idle core
    finally:
        torch.set_num_threads(threads)


def test_kornia_warps_and_blurs_alike(template):
    """Ours is kept for what kornia lacks (see the module); where both do the same, the answer is the same."""
    from kornia.filters import gaussian_blur2d
    from kornia.geometry.transform import warp_affine

    from bodymap.people.film.blur import gaussian_blur

    batch = drawn(template, count=4)
    augment = Augment(only(SIZE, scale=(0.6, 0.9), rotation=0.5, rotation_share=1.0, flip_share=0.5), template)
    seen = []
    place = augment._placement
    augment._placement = lambda *given: seen.append(place(*given)) or seen[-1]
    ours = augment(batch, torch.arange(4))["image"]
    centre, matrix = seen[0]
    inverse = torch.linalg.inv(matrix)
    # pixel centres are whole numbers there
    half = torch.tensor([SIZE[1] / 2, SIZE[0] / 2]) - 0.5
    shift = half - (inverse @ (centre - 0.5)[:, :, None])[:, :, 0]
    theirs = warp_affine(batch["image"], torch.cat([inverse, shift[:, :, None]], 2), SIZE, padding_mode="zeros")
    inside = warp_affine(torch.ones(4, 1, *SIZE), torch.cat([inverse, shift[:, :, None]], 2), SIZE)[:, 0] > 0.999
    assert inside.float().mean() > 0.7 and (ours - theirs).abs().amax(1)[inside].max() < 1e-3

    noise = torch.rand(2, 3, 40, 30)
    sigma = torch.tensor([[0.7, 0.7], [1.4, 1.4]])
    for n, size in ((0, 7), (1, 11)):
        expected = gaussian_blur2d(noise[n : n + 1], (size, size), sigma[n : n + 1], border_type="replicate")
        torch.testing.assert_close(gaussian_blur(noise, sigma[:, 0].tolist())[n : n + 1], expected, rtol=0, atol=1e-5)
