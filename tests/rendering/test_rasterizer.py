"""The default rasteriser against the obvious one, closed forms, and everything that can go wrong with its input."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from bodymap.errors import UserError
from bodymap.rendering import Fragments, available_backends, rasterize, rasterizer
from bodymap.rendering.camera import clip_from_camera

CAMERA = torch.tensor([[40.0, 0.0, 16.0], [0.0, 40.0, 12.0], [0.0, 0.0, 1.0]])
SIZE = (24, 32)


def full_screen(depth: float, vertices: int = 0) -> torch.Tensor:
    """Camera points of a triangle, parallel to the image, that covers all of it; other vertices may come before."""
    points = torch.tensor([[-5.0, -5.0, 1.0], [10.0, -5.0, 1.0], [-5.0, 10.0, 1.0]]) * depth
    return torch.cat([torch.zeros(vertices, 3), points])


def draw(points: torch.Tensor, triangles, **options) -> list[Fragments]:
    return rasterize(clip_from_camera(points, CAMERA, SIZE), torch.as_tensor(triangles), SIZE, **options)


@pytest.mark.parametrize("seed", range(6))
def test_triangle_soup_agrees_with_the_obvious_rasterizer(seed, soup, reference, assert_same):
    clip, triangles = soup(seed, batch=2)
    assert_same(rasterize(clip, triangles, (37, 52), layers=4), reference(clip, triangles, (37, 52), layers=4))


@pytest.mark.parametrize("seed", range(4))
def test_any_homogeneous_coordinates_agree_with_the_obvious_rasterizer(seed, reference, assert_same):
    # Not what a camera makes: w of either sign, z unrelated to it.
    clip = torch.randn(2, 90, 4, generator=torch.Generator().manual_seed(seed))
    triangles = torch.arange(90).view(30, 3)
    layers = rasterize(clip, triangles, (30, 40), layers=2)
    assert layers[1].foreground.any()
    assert_same(layers, reference(clip, triangles, (30, 40), layers=2))


def test_tiny_triangles_agree_with_the_obvious_rasterizer(soup, reference, assert_same):
    clip, triangles = soup(11, faces=300)
    clip[..., :2] *= 0.3
    assert_same(rasterize(clip, triangles, (40, 40), layers=2), reference(clip, triangles, (40, 40), layers=2))


def test_perspective_correct_weights_and_depth_against_the_ray_plane_intersection():
    corners = torch.tensor([[-1.0, -0.8, 1.2], [1.1, -0.6, 2.5], [0.0, 1.3, 4.0]])
    fragments = draw(corners, [[0, 1, 2]])[0]
    row, column = 11, 17
    assert fragments.triangle[0, row, column] == 0
    # The ray through the pixel's centre meets the plane of the triangle.
    ray = torch.tensor([(column + 0.5 - 16) / 40, (row + 0.5 - 12) / 40, 1.0])
    normal = torch.linalg.cross(corners[1] - corners[0], corners[2] - corners[0])
    hit = ray * (corners[0] @ normal) / (ray @ normal)
    weights = torch.linalg.solve(corners.T, hit)
    torch.testing.assert_close(fragments.barycentric[0, row, column], weights, atol=1e-5, rtol=0)
    near, far = 0.1, 50.0
    expected = (far + near) / (far - near) - 2 * far * near / ((far - near) * hit[2])
    torch.testing.assert_close(fragments.depth[0, row, column], expected, atol=1e-5, rtol=0)


def test_exactly_the_pixels_whose_centres_are_inside_are_drawn():
    # Pixels 3..9 by 5..7, with edges between pixel centres; row 0 is the top.
    clip = torch.tensor([[3.1, 5.2], [9.9, 5.2], [9.9, 7.9], [3.1, 7.9]])
    clip = torch.cat([2 * clip / torch.tensor([32.0, 24.0]) - 1, torch.zeros(4, 1), torch.ones(4, 1)], dim=1)
    mask = rasterize(clip, torch.tensor([[0, 1, 2], [2, 0, 3]]), SIZE)[0].foreground
    expected = torch.zeros(1, 24, 32, dtype=torch.bool)
    expected[:, 5:8, 3:10] = True
    assert torch.equal(mask, expected)


def test_both_sides_are_drawn_and_weights_follow_the_corner_order():
    one, other = draw(full_screen(2.0), [[0, 1, 2]])[0], draw(full_screen(2.0), [[2, 1, 0]])[0]
    assert one.foreground.all() and other.foreground.all()
    torch.testing.assert_close(one.barycentric, other.barycentric.flip(-1))
    torch.testing.assert_close(one.barycentric.sum(-1), torch.ones(1, *SIZE))


def test_layers_come_nearest_first_and_end_with_background():
    points = torch.cat([full_screen(3.0), full_screen(1.0), full_screen(2.0)])
    layers = draw(points, [[0, 1, 2], [3, 4, 5], [6, 7, 8]], layers=4)
    assert [int(layer.triangle[0, 5, 5]) for layer in layers] == [1, 2, 0, -1]
    assert [layer.triangle.unique().numel() for layer in layers] == [1, 1, 1, 1]
    assert layers[3].barycentric.abs().max() == 0 and layers[3].depth.min() == 1


def test_equal_depths_go_to_the_lowest_index_and_peel_in_order():
    layers = draw(full_screen(2.0), [[0, 1, 2]] * 3, layers=4)
    assert [int(layer.triangle.unique()) for layer in layers] == [0, 1, 2, -1]


def test_nothing_behind_the_camera_or_outside_the_planes_is_drawn():
    for depth in (-2.0, 0.05, 60.0):
        assert not draw(full_screen(depth), [[0, 1, 2]])[0].foreground.any()


def test_a_floor_that_passes_under_the_camera_is_cut_at_the_near_plane():
    # The plane one metre below the camera, from ten metres behind it to thirty in front.
    floor = torch.tensor([[-40.0, 1.0, -10.0], [40.0, 1.0, -10.0], [0.0, 1.0, 30.0]])
    mask = draw(floor, [[0, 1, 2]])[0].foreground[0]
    # Row r sees depth 40 / (r + 0.5 - 12); the horizon is row 12, and 30 m is row 13.3.
    assert mask.any(dim=1).nonzero().min() == 13 and mask[14:, 16].all()


def test_degenerate_and_nan_triangles_draw_nothing():
    points = torch.cat([full_screen(2.0)[[0, 0, 1]], full_screen(1.5) * torch.nan, full_screen(3.0)])
    fragments = draw(points, [[0, 1, 2], [0, 0, 0], [3, 4, 5], [6, 7, 8]])[0]
    assert fragments.triangle.unique().tolist() == [3]
    assert fragments.barycentric.isfinite().all()


def test_indices_above_two_to_the_24_survive():
    count = 2**24 + 3
    triangles = torch.zeros(count, 3, dtype=torch.int32)
    triangles[-1] = torch.tensor([1, 2, 3])
    clip = clip_from_camera(full_screen(2.0, vertices=1), CAMERA, (1, 2))
    assert rasterize(clip, triangles, (1, 2))[0].triangle.unique().tolist() == [count - 1]


def test_images_of_a_batch_are_independent(soup):
    clip, triangles = soup(3, batch=3)
    together = rasterize(clip, triangles, (20, 30), layers=2)
    for image in range(3):
        alone = rasterize(clip[image], triangles, (20, 30), layers=2)
        for a, b in zip(together, alone, strict=True):
            assert torch.equal(a.triangle[image], b.triangle[0]) and torch.equal(a.depth[image], b.depth[0])


@pytest.mark.parametrize("batch, faces", [(0, 2), (2, 0)])
def test_empty_input_gives_background(batch, faces):
    layers = rasterize(torch.zeros(batch, 3, 4), torch.zeros(faces, 3, dtype=torch.int64), (5, 7), layers=2)
    assert len(layers) == 2 and layers[0].triangle.shape == (batch, 5, 7) and layers[0].size == (5, 7)
    assert not layers[0].foreground.any() and (layers[1].depth == 1).all()


def test_input_of_other_types_and_layouts_is_accepted(soup):
    clip, triangles = soup(5)
    want = rasterize(clip, triangles.int(), (16, 16))[0]
    strided = torch.empty(1, clip.shape[1], 8, dtype=torch.float64)[..., ::2]
    strided.copy_(clip)
    got = rasterize(strided.requires_grad_(), triangles.flip(0).flip(0), (16, 16))[0]
    assert torch.equal(want.triangle, got.triangle) and not got.barycentric.requires_grad


def test_wrong_arguments_are_refused():
    clip, triangles = torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]])
    for bad in ((clip[..., :3], triangles, SIZE), (clip, triangles[:, :2], SIZE), (clip, triangles, (0, 4))):
        # TypeError where the tests run with shapes checked.
        with pytest.raises((ValueError, TypeError)):
            rasterize(*bad)
    with pytest.raises(ValueError, match="outside 0..2"):
        rasterize(clip, triangles + 1, SIZE)
    with pytest.raises(ValueError):
        rasterize(clip, triangles, SIZE, layers=0)


def test_backends_are_chosen_by_argument_or_environment(monkeypatch):
    clip, triangles = torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]])
    assert "warp" in available_backends()
    with pytest.raises(UserError, match="no rasteriser 'opengl'.*warp, nvdiffrast, pytorch3d"):
        rasterize(clip, triangles, SIZE, backend="opengl")
    monkeypatch.setenv("BODYMAP_RASTERIZER", "nonsense")
    with pytest.raises(UserError, match="'nonsense' .BODYMAP_RASTERIZER"):
        rasterize(clip, triangles, SIZE)
    rasterize(clip, triangles, SIZE, backend="warp")
    monkeypatch.setitem(rasterizer.BACKENDS, "pytorch3d", ("no_such_package_here", "unused"))
    monkeypatch.setenv("BODYMAP_RASTERIZER", "pytorch3d")
    with pytest.raises(UserError, match="needs the package 'no_such_package_here'"):
        rasterize(clip, triangles, SIZE)


def test_the_package_is_light_and_the_rasterizer_quiet():
    script = """
import sys
import bodymap.rendering
assert "torch" not in sys.modules and "warp" not in sys.modules
from bodymap.rendering import rasterize
import torch
rasterize(torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]]), (4, 4))
from bodymap.rendering import rasterize as again
assert again is rasterize and callable(rasterize)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "" and run.stderr == ""


def test_the_cuda_kernels_compile_without_a_gpu(tmp_path):
    import warp as wp

    from bodymap.rendering import warp_backend  # noqa: F401  (starts warp quietly)

    files = wp.compile_aot_module("bodymap.rendering.warp_kernels", arch=90, module_dir=tmp_path, use_ptx=False)
    assert any(path.suffix == ".cubin" and path.stat().st_size > 1000 for path in map(type(tmp_path), files))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_draws_what_the_cpu_draws(soup):
    clip, triangles = soup(7, faces=500, batch=3)
    on_cpu = rasterize(clip, triangles, (130, 90), layers=3)
    with torch.cuda.stream(torch.cuda.Stream()):
        on_gpu = rasterize(clip.cuda(), triangles.cuda(), (130, 90), layers=3)
        on_gpu = [fragments.to("cpu") for fragments in on_gpu]
    for cpu, gpu in zip(on_cpu, on_gpu, strict=True):
        same = cpu.triangle == gpu.triangle
        assert (~same).float().mean() < 1e-3
        torch.testing.assert_close(cpu.barycentric[same], gpu.barycentric[same], atol=1e-4, rtol=0)
