"""The pieces that samples are made of: cutting, binding, skinning, skirts, light, streams, the preview command."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.raycaster import closest_point

from bodymap.errors import UserError
from bodymap.people import Pack
from bodymap.people.anatomy import template
from bodymap.people.binding import closest_within, surface_grid
from bodymap.people.light import Light, draw_light, evened, harmonics, panorama_directions
from bodymap.people.material import Material
from bodymap.people.mesh import Piece, blend_weights, corner_normals, cut, neighbour_table, smooth
from bodymap.people.pose import mirror_pose
from bodymap.people.skinning import least_rotation, local_from_global, pose_skeleton, rotation_vector, skin
from bodymap.people.streams import choose, stream
from bodymap.surface import points


@pytest.fixture(scope="module")
def pack() -> Pack:
    return Pack.load(None)


def flat_piece(n: int = 6) -> Piece:
    """A square sheet [0, 1]^2 of n x n quads, uv = position, with one uv seam nowhere."""
    x, y = np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, n + 1))
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1).astype(np.float32)
    a = (np.arange(n)[:, None] * (n + 1) + np.arange(n)[None]).ravel()
    triangles = np.concatenate([np.stack([a, a + 1, a + n + 1], 1), np.stack([a + 1, a + n + 2, a + n + 1], 1)])
    index, weight = np.zeros((len(vertices), 6), int), np.zeros((len(vertices), 6), np.float32)
    index[:, 1], weight[:, 0], weight[:, 1] = 1, 1 - vertices[:, 0], vertices[:, 0]
    uv = vertices[:, :2].copy()
    return Piece(
        "sheet", 3, vertices, triangles, uv, triangles, index, weight, vertices, vertices, uv, Material(np.ones(3))
    )


def area(piece: Piece) -> float:
    a, b, c = (piece.vertices[piece.triangles[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_cut_is_exact_for_a_straight_line() -> None:
    piece = flat_piece()
    level = piece.vertices[:, 0] + 0.5 * piece.vertices[:, 1] - 0.61
    part = cut(piece, level)
    # the region x + y/2 < 0.61 of the unit square
    expected = 0.5 * 0.61 * 1.22 - 0.5 * 0.22 * 0.11
    assert area(part) == pytest.approx(expected, abs=1e-5)
    assert (part.vertices[:, 0] + 0.5 * part.vertices[:, 1] < 0.61 + 1e-5).all()
    # everything that is linear stays linear: uv, truth, skin weights
    corners_uv = part.uv[part.uv_triangles]
    assert np.allclose(corners_uv, part.vertices[part.triangles][..., :2], atol=1e-5)
    assert np.allclose(part.truth, part.vertices, atol=1e-6)
    second_bone = np.where(part.skin_index == 1, part.skin_weight, 0).sum(1)
    assert np.allclose(second_bone, part.vertices[:, 0], atol=1e-5)


def test_blend_weights_collects_bones() -> None:
    index, weight = blend_weights(
        np.array([[4, 7]]), np.array([[0.3, 0.2]]), np.array([[7, 9]]), np.array([[0.4, 0.1]]), 3
    )
    assert index.tolist() == [[7, 4, 9]]
    assert np.allclose(weight, [[0.6, 0.3, 0.1]])


def test_smoothing_keeps_planes_and_the_masked(pack: Pack) -> None:
    piece = flat_piece()
    neighbours = neighbour_table(piece.triangles, len(piece.vertices))
    rough = piece.vertices.copy()
    rough[24, 2] = 1.0
    mask = np.ones(len(rough), bool)
    mask[24] = False
    assert smooth(rough, neighbours, 5, mask)[24, 2] == 1.0
    assert smooth(rough, neighbours, 5)[24, 2] < 0.4
    assert np.allclose(corner_normals(piece.vertices, piece.triangles), [0, 0, 1])


def test_binding_finds_the_closest_point() -> None:
    t = template()
    generator = torch.Generator().manual_seed(0)
    outer = torch.nonzero(t.triangle_inner == 0)[:, 0]
    triangle = outer[torch.randint(len(outer), (400,), generator=generator)]
    weight = torch.rand(400, 3, generator=generator)
    place = points.position(t, triangle, weight / weight.sum(1, keepdim=True))
    found = points.position(t, *closest_within(t, place))
    assert (found - place).norm(dim=1).max() < 1e-5
    away = (place + torch.randn(400, 3, generator=generator) * 0.015).double().numpy()
    exact = closest_point(t.vertices.numpy(), t.triangles.numpy()[outer], away)[1]
    found = points.position(t, *closest_within(t, torch.from_numpy(away).float())).numpy()
    longer = np.linalg.norm(found - away, axis=1) - np.linalg.norm(exact - away, axis=1)
    assert longer.max() < 1e-5


def test_cells_know_their_nearest_vertex() -> None:
    t = template()
    outer = torch.nonzero(t.vertex_triangles[:, 0] >= 0)[:, 0]
    place = t.vertices[outer[::7]]
    found = t.vertices[surface_grid().vertex(place)]
    assert (found - place).norm(dim=1).max() < 0.02 * 3**0.5


def test_binding_obeys_its_limits() -> None:
    t = template()
    allowed = (t.vertices[:, 2] > 0.6).numpy()
    triangle, _ = closest_within(t, torch.tensor([[0.1, 0.1, 0.0], [0.0, -0.2, 0.3]]), allowed)
    assert t.vertices[t.triangles[triangle]][..., 2].min() > 0.55


def test_skeleton_and_skin(pack: Pack) -> None:
    count = len(pack.bones.labels)
    rest = np.tile(np.eye(3), (count, 1, 1))
    posed = pose_skeleton(pack.bones.parents, pack.base_heads, rest)
    assert np.allclose(posed.position, pack.base_heads, atol=1e-6)
    same = skin(pack.base_vertices, pack.skin_index, pack.skin_weight, posed.transform)
    assert np.allclose(same, pack.base_vertices, atol=1e-4)
    rest[0] = rotation_vector(np.array([0, 0, np.pi / 2]))
    turned = pose_skeleton(pack.bones.parents, pack.base_heads, rest)
    moved = skin(pack.base_vertices, pack.skin_index, pack.skin_weight, turned.transform)
    expected = (pack.base_vertices - pack.base_heads[0]) @ rest[0].T + pack.base_heads[0]
    assert np.allclose(moved, expected, atol=1e-3)


def test_rotations(pack: Pack) -> None:
    a, b = np.array([0.2, 1.0, -0.3]), np.array([-1.0, 0.1, 0.4])
    turn = least_rotation(a, b)
    assert np.allclose(turn @ a / np.linalg.norm(a), b / np.linalg.norm(b))
    assert np.allclose(least_rotation(a, -a) @ a, -a)
    wanted = {"upperarm01.L": rotation_vector(np.array([0.3, -0.2, 0.5]))}
    local = local_from_global(pack.bones.parents, pack.bones.labels, wanted)
    posed = pose_skeleton(pack.bones.parents, pack.base_heads, local)
    assert np.allclose(posed.rotation[pack.bones.index("wrist.L")], wanted["upperarm01.L"], atol=1e-5)
    assert np.allclose(posed.rotation[pack.bones.index("wrist.R")], np.eye(3), atol=1e-6)


def test_mirrored_pose_is_the_mirror_image(pack: Pack) -> None:
    rng = np.random.default_rng(0)
    local = np.stack([rotation_vector(rng.normal(0, 0.2, 3)) for _ in pack.bones.labels])
    heads = pack.base_heads.copy()
    one = pose_skeleton(pack.bones.parents, heads, local).position
    two = pose_skeleton(pack.bones.parents, heads, mirror_pose(local, pack)).position
    left, right = pack.bones.index("wrist.L"), pack.bones.index("wrist.R")
    assert np.allclose(one[left] * [-1, 1, 1], two[right], atol=5e-3)


def test_skirt_keeps_the_legs_inside(pack: Pack) -> None:
    from bodymap.people.pack import SKIN_VERTICES
    from bodymap.people.skirts import Drape, SkirtCut
    from bodymap.people.wardrobe import Wardrobe

    drape = Drape(Wardrobe.of(pack), SkirtCut(top=-0.1, hem=0.5, flare=0.0))
    local = np.tile(np.eye(3), (len(pack.bones.labels), 1, 1))
    local[pack.bones.index("upperleg01.L")] = rotation_vector(np.array([-0.5, 0, 0]))
    local[pack.bones.index("upperleg01.R")] = rotation_vector(np.array([0.4, 0, 0]))
    posed = pose_skeleton(pack.bones.parents, pack.base_heads, local)
    legs = skin(pack.base_vertices, pack.skin_index, pack.skin_weight, posed.transform)[:SKIN_VERTICES]
    rings = drape(legs, posed).reshape(drape.rings, -1, 3)
    # at the height of each ring, no leg point is further in front or behind than the cloth
    for k in range(3, drape.rings - 1):
        band = np.abs(legs[drape.points[: drape.near_legs]][:, 2] - rings[k, :, 2].mean()) < 0.01
        inside = legs[drape.points[: drape.near_legs]][band]
        if len(inside):
            assert inside[:, 1].min() > rings[k - 1 : k + 2, :, 1].min() - 0.015
            assert inside[:, 1].max() < rings[k - 1 : k + 2, :, 1].max() + 0.015


def test_harmonics_reproduce_a_clamped_cosine() -> None:
    """A panorama lit from one side only: irradiance is highest facing it and lowest facing away."""
    height, width = 32, 64
    direction = panorama_directions(height, width, 0.3)
    assert np.allclose(np.linalg.norm(direction, axis=-1), 1)
    toward = np.array([1.0, 0, 0])
    radiance = np.clip(direction @ toward, 0, None)[..., None] * np.ones(3)

    class Lamp:
        pass

    lamp = Lamp()
    lamp.radiance = radiance
    from bodymap.people.config import LightConfig

    light = draw_light(np.random.default_rng(0), lamp, 0.3, LightConfig())
    around = np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0]])
    seen = (harmonics(around) @ light.irradiance).mean(1)
    assert seen[0] > 1.8 * seen[1] > 1.8 * seen[2]


def test_an_evened_light_falls_alike_from_all_sides_and_as_brightly() -> None:
    rng = np.random.default_rng(3)
    sun = np.array([0.6, 0.48, 0.64])
    light = Light(rng.uniform(0.2, 1.0, (9, 3)).astype(np.float32), sun, np.array([0.9, 0.8, 0.7], np.float32), 0.5)
    even = evened(light)
    assert not even.sun_colour.any() and even.occlusion == light.occlusion
    turns = np.arange(8) * np.pi / 4
    around = np.stack([np.cos(turns), np.sin(turns), 0 * turns], -1)

    def seen(light: Light) -> np.ndarray:
        return harmonics(around) @ light.irradiance + np.clip(around @ light.sun, 0, None)[:, None] * light.sun_colour

    assert np.ptp(seen(even), axis=0).max() < 1e-5 < 0.3 < np.ptp(seen(light), axis=0).min()
    np.testing.assert_allclose(seen(even).mean(0), seen(light).mean(0), rtol=1e-4)
    # from above it is still another than from below
    above = np.array([[0, 0, 1.0], [0, 0, -1.0]])
    assert abs(np.diff(harmonics(above) @ even.irradiance, axis=0)).min() > 0.3


def test_streams_do_not_disturb_each_other() -> None:
    a = stream(5, "outfit").random(3)
    stream(5, "pose").random(10)
    assert (stream(5, "outfit").random(3) == a).all()
    assert (stream(5, "outfit", "test").random(3) != a).any()
    drawn = [choose(np.random.default_rng(k), {"a": 3.0, "b": 1.0}) for k in range(400)]
    assert 0.65 < drawn.count("a") / 400 < 0.85


def test_preview_repeats_its_bytes(tmp_path) -> None:
    from bodymap.people.preview import main

    for name in ("one.png", "two.png"):
        assert main(["--count", "2", "--seed", "4", "--size", "64x48", "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    "bad", [["--count", "0"], ["--size", "12"], ["--seed", "-1"], ["--pack", "missing.pack"], ["--size", "8x8"]]
)
def test_preview_explains_mistakes(tmp_path, bad: list[str]) -> None:
    from bodymap.people.preview import main

    with pytest.raises(UserError):
        main([*bad, "-o", str(tmp_path / "sheet.png")])


def test_preview_wants_a_png(tmp_path) -> None:
    from bodymap.people.preview import main

    with pytest.raises(UserError):
        main(["-o", str(tmp_path / "sheet.jpg")])
    with pytest.raises(UserError):
        main(["--count", "1", "--size", "64x48", "-o", str(tmp_path / "nowhere" / "sheet.png")])
