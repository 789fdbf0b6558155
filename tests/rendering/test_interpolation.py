"""Interpolation: values, gradients, other index buffers, and the list of foreground pixels."""

from __future__ import annotations

import pytest
import torch

from bodymap.rendering import (
    foreground_pixels,
    gather_corners,
    interpolate,
    interpolate_pixels,
    rasterize,
    scatter_pixels,
)
from bodymap.rendering.camera import clip_from_camera
from bodymap.rendering.interpolation import pixel_barycentric

SIZE = (20, 30)
CAMERA = torch.tensor([[30.0, 0.0, 15.0], [0.0, 30.0, 10.0], [0.0, 0.0, 1.0]])
QUAD = torch.tensor([[-0.7, -0.5, 1.5], [0.6, -0.4, 2.0], [0.7, 0.8, 3.0], [-0.6, 0.7, 2.2]])
TRIANGLES = torch.tensor([[0, 1, 2], [0, 2, 3]])


@pytest.fixture
def fragments():
    clip = torch.stack([clip_from_camera(QUAD + shift, CAMERA, SIZE) for shift in (0.0, 0.1)])
    return rasterize(clip, TRIANGLES, SIZE)[0]


def test_interpolated_positions_project_back_onto_their_pixels(fragments):
    points = torch.stack([QUAD, QUAD + 0.1])
    seen = interpolate(points, fragments, TRIANGLES, fill=-7.0)
    assert (seen[~fragments.foreground] == -7).all()
    image, row, column = torch.nonzero(fragments.foreground, as_tuple=True)
    assert len(image) > 100
    homogeneous = seen[image, row, column] @ CAMERA.T
    pixel = homogeneous[:, :2] / homogeneous[:, 2:]
    torch.testing.assert_close(pixel, torch.stack([column, row], 1) + 0.5, atol=1e-3, rtol=0)


def test_shared_and_per_image_attributes_agree(fragments):
    values = torch.rand(4, 5, generator=torch.Generator().manual_seed(0))
    shared = interpolate(values, fragments, TRIANGLES)
    assert torch.equal(shared, interpolate(values.expand(2, -1, -1), fragments, TRIANGLES))
    with pytest.raises(ValueError, match="for 3 images"):
        interpolate(values.expand(3, -1, -1), fragments, TRIANGLES)


def test_another_index_buffer_brings_values_with_seams(fragments):
    # Each triangle has corners of its own: constant values a triangle.
    values = torch.tensor([[1.0]] * 3 + [[2.0]] * 3)
    seen = interpolate(values, fragments, torch.arange(6).view(2, 3))[..., 0]
    torch.testing.assert_close(seen, (fragments.triangle + 1).float())


def test_gradients_reach_exactly_the_corners_that_are_seen(fragments):
    values = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    interpolate(values, fragments, TRIANGLES)[..., 0].sum().backward()
    # d(sum)/d(value of a vertex) is the sum of its weights.
    expected = torch.zeros(4, dtype=torch.float64)
    pixels = foreground_pixels(fragments)
    expected.index_add_(0, TRIANGLES[pixels.triangle].reshape(-1), pixels.barycentric.double().reshape(-1))
    torch.testing.assert_close(values.grad[:, 0], expected)
    assert values.grad[:, 1].abs().max() == 0


def test_pixels_are_a_faithful_list_of_the_image(fragments):
    pixels = foreground_pixels(fragments)
    assert len(pixels.image) == int(fragments.foreground.sum())
    torch.testing.assert_close(scatter_pixels(pixels.barycentric, pixels), fragments.barycentric)
    ids = scatter_pixels(pixels.triangle[:, None].float(), pixels, fill=-1.0)[..., 0]
    assert torch.equal(ids.long(), fragments.triangle)
    corners = gather_corners(QUAD, pixels, TRIANGLES)
    by_hand = (corners * pixels.barycentric[..., None]).sum(1)
    torch.testing.assert_close(interpolate_pixels(QUAD, pixels, TRIANGLES), by_hand)


def test_nothing_in_view_is_no_special_case():
    empty = rasterize(torch.zeros(1, 4, 4), TRIANGLES, SIZE)[0]
    assert (interpolate(QUAD, empty, TRIANGLES, fill=2.0) == 2).all()


def test_recomputed_weights_equal_the_rasterizers_and_carry_gradients(fragments):
    points = torch.stack([QUAD, QUAD + 0.1]).double().requires_grad_()
    pixels = foreground_pixels(fragments)

    def weights(p):
        return pixel_barycentric(clip_from_camera(p, CAMERA.double(), SIZE), pixels, TRIANGLES)

    torch.testing.assert_close(weights(points).float(), pixels.barycentric, atol=1e-5, rtol=0)
    assert torch.autograd.gradcheck(lambda p: weights(p)[::40], (points,))
