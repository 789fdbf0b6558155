"""Cameras: where points land in the picture, round trips, and agreement of the clip coordinates with the pixels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bodymap.rendering import rasterize
from bodymap.rendering.camera import (
    camera_from_world,
    camera_looking_at,
    clip_from_world,
    depth_from_clip,
    intrinsics_from_fov,
    look_at,
    project,
    transform,
    unproject,
)

SIZE = (120, 90)
CAMERA = camera_looking_at((0.5, -3.0, 1.6), (0.0, 0.0, 0.9), 0.8, SIZE)


def some_points(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 0.6, 1.8])


def test_a_camera_in_front_of_the_template_sees_it_upright_and_mirrored_left_to_right():
    camera = camera_looking_at((0.0, -3.0, 1.0), (0.0, 0.0, 1.0), 0.8, SIZE)
    middle, above, left_hand = project(camera, torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.5], [0.5, 0.0, 1.0]]))
    torch.testing.assert_close(middle, torch.tensor([45.0, 60.0]))
    # Row 0 is the top; the person's left hand, +X, is on the right of a picture taken from the front.
    assert above[1] < 60 and abs(above[0] - 45) < 1e-4 and left_hand[0] > 45


def test_look_at_is_rigid_and_centres_its_target():
    eye = some_points(5) + torch.tensor([2.0, -3.0, 1.0])
    target = some_points(5)
    T = look_at(eye, target)
    rotation = T[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(5, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(5))
    torch.testing.assert_close(transform(T, eye[:, None]), torch.zeros(5, 1, 3), atol=1e-6, rtol=0)
    seen = transform(T, target[:, None])[:, 0]
    torch.testing.assert_close(seen[:, :2], torch.zeros(5, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(seen[:, 2], (eye - target).norm(dim=1))


def test_field_of_view_spans_the_height():
    K = intrinsics_from_fov(0.8, SIZE)
    top = torch.tensor([0.0, -math.tan(0.4), 1.0])
    torch.testing.assert_close((K @ top)[:2], torch.tensor([45.0, 0.0]), atol=1e-4, rtol=0)


def test_projection_and_its_inverse_are_a_round_trip():
    points = some_points(2, 7)
    depth = camera_from_world(CAMERA, points)[..., 2]
    torch.testing.assert_close(unproject(CAMERA, project(CAMERA, points), depth), points, atol=1e-5, rtol=1e-5)


def test_clip_coordinates_say_the_same_as_the_projection():
    points = some_points(3, 4)
    clip = clip_from_world(points, CAMERA, near=0.5, far=20.0)
    pixel = (clip[..., :2] / clip[..., 3:] + 1) / 2 * torch.tensor([90.0, 120.0])
    torch.testing.assert_close(pixel, project(CAMERA, points), atol=1e-3, rtol=0)
    depth = camera_from_world(CAMERA, points)[..., 2]
    torch.testing.assert_close(clip[..., 3], depth)
    torch.testing.assert_close(depth_from_clip(clip[..., 2] / clip[..., 3], 0.5, 20.0), depth, atol=1e-4, rtol=0)


def test_near_and_far_become_minus_and_plus_one():
    for depth, expected in ((0.5, -1.0), (20.0, 1.0)):
        forward = torch.from_numpy(np.linalg.inv(CAMERA.T_camera_world)).float()
        point = transform(forward, torch.tensor([[0.0, 0.0, depth]]))
        clip = clip_from_world(point, CAMERA, near=0.5, far=20.0)[0]
        torch.testing.assert_close(clip[2] / clip[3], torch.tensor(expected), atol=1e-4, rtol=0)


def test_a_small_triangle_is_drawn_where_its_centre_projects():
    centre = torch.tensor([0.2, -0.1, 1.3])
    offsets = 0.03 * torch.tensor([[1.0, 0.0, 0.0], [-0.5, 0.0, 0.8], [-0.5, 0.0, -0.8]])
    fragments = rasterize(clip_from_world(centre + offsets, CAMERA), torch.tensor([[0, 1, 2]]), SIZE)[0]
    drawn = torch.nonzero(fragments.foreground[0]).float().flip(1) + 0.5
    assert 0 < len(drawn) < 20
    assert (drawn.mean(0) - project(CAMERA, centre[None])[0]).norm() < 1


def test_skew_in_the_intrinsics_is_honoured():
    from dataclasses import replace

    K = CAMERA.intrinsics.copy()
    K[0, 1] = 5.0
    skewed = replace(CAMERA, intrinsics=K)
    points = some_points(4)
    clip = clip_from_world(points, skewed)
    pixel = (clip[:, :2] / clip[:, 3:] + 1) / 2 * torch.tensor([90.0, 120.0])
    torch.testing.assert_close(pixel, project(skewed, points), atol=1e-3, rtol=0)


@pytest.mark.parametrize("k1", [-0.2, 0.15])
def test_distortion_and_its_inverse(k1: float) -> None:
    bent = replace(CAMERA, distortion=k1)
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(50, 3, generator=generator) * 0.3
    depth = camera_from_world(bent, points)[..., 2]
    torch.testing.assert_close(unproject(bent, project(bent, points), depth), points, atol=1e-3, rtol=1e-3)
    # the axis stays, everything else moves along its radius: outwards for k1 > 0
    d = camera_from_world(CAMERA, points)
    d = d[:, :2] / d[:, 2:]
    moved = (project(bent, points) - project(CAMERA, points)) / float(CAMERA.intrinsics[0, 0])
    wanted = k1 * d.square().sum(1, keepdim=True) * d
    torch.testing.assert_close(moved[:, 0], wanted[:, 0], atol=1e-4, rtol=1e-3)
    clip = clip_from_world(points, bent)
    height, width = bent.size
    pixel = (clip[:, :2] / clip[:, 3:] * 0.5 + 0.5) * torch.tensor([width, height])
    torch.testing.assert_close(pixel, project(bent, points), atol=1e-2, rtol=1e-4)
