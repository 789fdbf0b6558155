"""Light on spheres, planes and corners, where the right answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from bodymap.rendering import foreground_pixels, interpolate_pixels, rasterize
from bodymap.rendering.camera import camera_from_world, camera_looking_at, clip_from_world
from bodymap.rendering.shading import (
    ambient_occlusion,
    cast_shadows,
    directional_light,
    disc,
    dominant_direction,
    face_camera,
    hemisphere_light,
    panorama_coefficients,
    panorama_directions,
    panorama_light,
    sample_panorama,
    shadow_visibility,
    vertex_normals,
)


def sphere(columns: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """The unit sphere, (V, 3) and (F, 3), corners counter-clockwise from outside, poles and seam welded by position."""
    polar = torch.linspace(0.0, math.pi, columns // 2 + 1)[1:-1, None]
    azimuth = torch.arange(columns)[None] * (2 * math.pi / columns)
    rings = torch.stack([polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos() + 0 * azimuth], dim=-1)
    vertices = torch.cat([rings.reshape(-1, 3), torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])])
    ring = torch.arange(columns)
    after, count = (ring + 1) % columns, len(polar)
    faces = [torch.stack([torch.full_like(ring, count * columns), ring, after], 1)]
    for r in range(count - 1):
        a, b, c, d = r * columns + ring, r * columns + after, (r + 1) * columns + ring, (r + 1) * columns + after
        faces += [torch.stack([a, c, b], 1), torch.stack([b, c, d], 1)]
    last = (count - 1) * columns
    faces.append(torch.stack([torch.full_like(ring, count * columns + 1), last + after, last + ring], 1))
    return vertices, torch.cat(faces)


def directions(count: int, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)), dim=-1)


# -------------------- normals and simple light


def test_vertex_normals_of_a_sphere_point_outwards():
    vertices, triangles = sphere()
    normals = vertex_normals(vertices, triangles)
    assert (normals * vertices).sum(-1).min() > 0.999
    batch = torch.stack([2 * vertices, vertices + 5])
    torch.testing.assert_close(vertex_normals(batch, triangles.int()), normals.expand(2, -1, -1), atol=1e-3, rtol=0)


def test_vertex_normals_weigh_by_area_and_leave_lone_vertices_zero():
    # A large triangle facing +Z and one with half its area facing +X share vertex 0; vertex 5 belongs to none.
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [9, 9, 9]])
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2], [0, 3, 4]]))
    torch.testing.assert_close(normals[0], normalize(torch.tensor([1.0, 0.0, 2.0]), dim=0))
    assert normals[5].abs().max() == 0


def test_a_rendered_sphere_obeys_lamberts_law():
    vertices, triangles = sphere(128)
    camera = camera_looking_at((0.0, -4.0, 0.0), (0.0, 0.0, 0.0), 0.7, (96, 96))
    pixels = foreground_pixels(rasterize(clip_from_world(vertices, camera), triangles, camera.size)[0])
    normals = normalize(interpolate_pixels(vertex_normals(vertices, triangles), pixels, triangles), dim=-1)
    lamp = normalize(torch.tensor([1.0, -2.0, 1.0]), dim=0)
    light = directional_light(normals, lamp, torch.tensor([1.0, 0.5, 0.0]))

    # The same from the ray through each pixel and the sphere's equation.
    K = torch.from_numpy(camera.intrinsics)
    pixel = torch.stack([pixels.index % 96 + 0.5, pixels.index // 96 + 0.5, torch.ones(len(pixels.index))], dim=-1)
    ray = pixel @ torch.linalg.inv(K).T @ torch.from_numpy(camera.T_camera_world)[:3, :3]
    eye = torch.tensor([0.0, -4.0, 0.0])
    a, b, c = (ray * ray).sum(-1), (ray @ eye), eye @ eye - 1
    hit = eye + ray * ((-b - (b * b - a * c).clamp_min(0).sqrt()) / a)[:, None]
    expected = (hit @ lamp).clamp_min(0)
    inner = (b * b - a * c) > 0.3
    assert inner.sum() > 1000
    torch.testing.assert_close(light[inner][:, 0], expected[inner], atol=5e-3, rtol=0)
    torch.testing.assert_close(light[:, 1], 0.5 * light[:, 0])
    assert light[:, 2].abs().max() == 0


def test_visibility_scales_directional_light():
    light = directional_light(
        torch.tensor([[0.0, 0, 1]]), torch.tensor([0.0, 0, 1]), torch.ones(3), torch.tensor([0.3])
    )
    torch.testing.assert_close(light, torch.full((1, 3), 0.3))


def test_hemisphere_light_is_the_panorama_of_two_half_spheres():
    sky, ground = torch.tensor([1.0, 1.2, 2.0]), torch.tensor([0.3, 0.2, 0.1])
    up = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(hemisphere_light(up, sky, ground), torch.stack([sky, ground, (sky + ground) / 2]))
    panorama = torch.cat([sky.expand(32, 128, 3), ground.expand(32, 128, 3)])
    normals = directions(50)
    expected = hemisphere_light(normals, sky, ground)
    torch.testing.assert_close(panorama_light(panorama_coefficients(panorama), normals), expected, atol=0.02, rtol=0.02)


def test_normals_can_be_turned_to_the_camera():
    normals = directions(20)
    turned = face_camera(normals, torch.tensor([0.0, 0.0, 1.0]).expand(20, 3))
    assert (turned[:, 2] >= 0).all() and torch.equal(turned.abs(), normals.abs())


# -------------------- panoramas


def test_panorama_directions_and_sampling_are_inverse():
    seen = panorama_directions((16, 32))
    torch.testing.assert_close(seen.norm(dim=-1), torch.ones(16, 32))
    panorama = torch.rand(16, 32, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sample_panorama(panorama, seen), panorama, atol=1e-4, rtol=0)


def test_a_panorama_is_the_right_way_up_and_round():
    panorama = torch.zeros(8, 16, 1)
    panorama[:4] = 1
    panorama[:, 8:] += 10
    looks = torch.tensor([[0.4, 0.9, 0.5], [-0.4, 0.9, 0.5], [0.4, 0.9, -0.5], [0.9, 0.0, 0.3]])
    assert sample_panorama(panorama, normalize(looks, dim=-1))[:, 0].round().tolist() == [11, 1, 10, 11]
    # Straight ahead, in the middle column, is +Y; the seam behind, -Y, is continuous.
    seam = sample_panorama(panorama, normalize(torch.tensor([[0.0, -1.0, -0.4]]), dim=-1))
    torch.testing.assert_close(seam, torch.tensor([[5.0]]), atol=1e-3, rtol=0)


def test_constant_radiance_gives_constant_light():
    coefficients = panorama_coefficients(torch.full((2, 64, 128, 3), 0.7))
    assert coefficients.shape == (2, 9, 3)
    light = panorama_light(coefficients[0], directions(30))
    torch.testing.assert_close(light, torch.full((30, 3), 0.7), atol=2e-3, rtol=0)


def test_panorama_light_is_close_to_the_integral_over_the_hemisphere():
    way = panorama_directions((64, 128))
    radiance = 0.2 + 3 * torch.exp(4 * ((way @ normalize(torch.tensor([1.0, -1.0, 0.8]), dim=0)) - 1))
    radiance = torch.stack([radiance, 0.5 * radiance, 1 + way[..., 2]], dim=-1)
    normals = directions(40, seed=3)
    solid_angle = (math.pi / 64) * (2 * math.pi / 128) * (1 - way[..., 2] ** 2).sqrt()
    cosine = torch.einsum("hwk,nk->nhw", way, normals).clamp_min(0)
    integral = torch.einsum("nhw,hw,hwc->nc", cosine, solid_angle, radiance) / math.pi
    light = panorama_light(panorama_coefficients(radiance), normals)
    # Ramamoorthi and Hanrahan: nine terms are within a few percent of the light's scale.
    assert (light - integral).abs().max() < 0.03 * integral.max()
    # A panorama that is itself of degree one is exact.
    torch.testing.assert_close(light[:, 2], integral[:, 2], atol=2e-3, rtol=0)


def test_the_dominant_direction_is_where_the_lamp_is():
    way = panorama_directions((32, 64))
    lamps = directions(5)
    radiance = 0.1 + 50 * (torch.einsum("hwk,nk->nhw", way, lamps) > 0.97).float()
    found = dominant_direction(panorama_coefficients(radiance[..., None].expand(-1, -1, -1, 3)))
    assert (found * lamps).sum(-1).min() > 0.995


# -------------------- shadows


@pytest.fixture(scope="module")
def ball():
    """A ball of 20 cm at 60 cm height, twice in a batch, with its normals."""
    vertices, triangles = sphere()
    return (0.2 * vertices + torch.tensor([0.0, 0.0, 0.6])).expand(2, -1, -1).contiguous(), triangles, vertices


def test_a_balls_shadow_falls_where_the_light_sends_it(ball):
    vertices, triangles, _ = ball
    lamps = torch.stack([torch.tensor([0.0, 0.0, 1.0]), normalize(torch.tensor([1.0, 0.0, 1.0]), dim=0)])
    shadow = cast_shadows(vertices, triangles, lamps, size=256)
    x = torch.linspace(-1.2, 1.2, 49)
    floor = torch.stack([x, torch.zeros(49), torch.zeros(49)], dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0]).expand(49, 3)
    for image, (middle, half) in enumerate(((0.0, 0.2), (-0.6, 0.2 * math.sqrt(2)))):
        seen = shadow_visibility(shadow, floor, up, torch.full((49,), image), softness=0.02)
        away = (x - middle).abs() - half
        assert (seen[away < -0.04] == 0).all() and (seen[away > 0.04] == 1).all()
        assert (away < -0.04).sum() > 5


def test_softness_makes_a_penumbra_of_that_width(ball):
    vertices, triangles, _ = ball
    shadow = cast_shadows(vertices, triangles, torch.tensor([0.0, 0.0, 1.0]), size=512)
    x = torch.linspace(0.05, 0.35, 200)
    floor = torch.stack([x, torch.zeros(200), torch.zeros(200)], dim=-1)
    up, first = torch.tensor([0.0, 0.0, 1.0]).expand(200, 3), torch.zeros(200, dtype=torch.long)
    seen = shadow_visibility(shadow, floor, up, first, softness=0.06, taps=64)
    partly = x[(seen > 0) & (seen < 1)]
    assert partly.min() > 0.13 and partly.max() < 0.27 and partly.max() - partly.min() > 0.09
    assert (seen.diff() > -0.05).all()


def test_a_lit_surface_does_not_shadow_itself(ball):
    vertices, triangles, normals = ball
    lamp = normalize(torch.tensor([0.5, -1.0, 0.7]), dim=0)
    shadow = cast_shadows(vertices, triangles, lamp, size=512)
    seen = shadow_visibility(shadow, vertices[0], normals, torch.zeros(len(normals), dtype=torch.long))
    cosine = normals @ lamp
    assert seen[cosine > 0.35].min() > 0.9
    # Nearer to the rim some taps pass the ball.
    assert seen[cosine < -0.5].max() == 0


def test_far_outside_the_map_everything_is_lit(ball):
    vertices, triangles, _ = ball
    shadow = cast_shadows(vertices, triangles, torch.tensor([0.0, 0.0, 1.0]), size=64)
    far = torch.tensor([[3.0, 3.0, 0.0], [-3.0, 0.0, 0.0]])
    assert (shadow_visibility(shadow, far, far * 0 + torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0, 1])) == 1).all()


def test_the_disc_is_evenly_filled():
    points = disc(200)
    assert points.norm(dim=1).max() <= 1 and points.mean(0).norm() < 0.02
    # The second moment of a uniform disc is 1/2.
    torch.testing.assert_close((points**2).sum(1).mean(), torch.tensor(0.5), atol=0.01, rtol=0)


# -------------------- ambient occlusion


def occlusion_of(vertices: torch.Tensor, triangles: torch.Tensor, **options):
    camera = camera_looking_at((0.0, -2.5, 1.5), (0.0, 0.0, 0.0), 0.7, (120, 120))
    pixels = foreground_pixels(rasterize(clip_from_world(vertices, camera), triangles, camera.size)[0])
    at_camera = camera_from_world(camera, vertices)
    points = interpolate_pixels(at_camera, pixels, triangles)
    corners = at_camera[triangles[pixels.triangle]]
    normals = normalize(torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=-1)
    normals = face_camera(normals, -points)
    world = interpolate_pixels(vertices, pixels, triangles)
    K = torch.from_numpy(camera.intrinsics)
    return ambient_occlusion(pixels, points, normals, K, **options), world, normals


FLOOR = torch.tensor([[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 0.3, 0.0], [-1.0, 0.3, 0.0]])
WALL = torch.tensor([[-1.0, 0.3, 0.0], [1.0, 0.3, 0.0], [1.0, 0.3, 1.0], [-1.0, 0.3, 1.0]])
TWO = torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_a_flat_floor_is_not_occluded():
    open_share, _, _ = occlusion_of(FLOOR, TWO)
    assert len(open_share) > 1000 and open_share.min() > 0.98


def test_a_corner_darkens_towards_the_crease_and_only_within_the_radius():
    open_share, world, _ = occlusion_of(torch.cat([FLOOR, WALL]), torch.cat([TWO, TWO + 4]), radius=0.15)
    floor = (world[:, 2] < 1e-4) & (world[:, 0].abs() < 0.7)
    distance = 0.3 - world[floor, 1]
    share = open_share[floor]
    near, middle, far = (
        share[(distance > a) & (distance < b)].mean() for a, b in ((0, 0.03), (0.05, 0.08), (0.2, 0.9))
    )
    # Half of the hemisphere's cosine-weighted light is gone right in a square corner; our estimate is a plausible one.
    assert near < middle - 0.05 < far - 0.1 and far > 0.98 and 0.3 < near < 0.8
    stronger, _, _ = occlusion_of(torch.cat([FLOOR, WALL]), torch.cat([TWO, TWO + 4]), radius=0.15, strength=2.0)
    assert stronger.mean() < open_share.mean() and stronger.min() >= 0
