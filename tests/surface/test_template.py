"""The shipped template: what it promises, against geometry."""

import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from bodymap import PART_NAMES, UserError
from bodymap.surface import REGION_NAMES, load_template, points
from bodymap.surface.body import FORMAT, _load
from bodymap.surface.parts import MIRROR_PART


@pytest.fixture(scope="module")
def t():
    return load_template()


def test_loads_in_a_second_and_once(t):
    _load.cache_clear()
    start = time.perf_counter()
    first = load_template()
    assert time.perf_counter() - start < 1.0
    assert load_template() is first


def test_axes_left_hand_and_front(t):
    left = t.vertices[t.vertex_part == PART_NAMES.index("left_hand")]
    assert left[:, 0].min() > 0.2  # +X
    face = t.vertices[t.vertex_region == REGION_NAMES.index("face")]
    scalp = t.vertices[t.vertex_region == REGION_NAMES.index("scalp")]
    assert face[:, 1].mean() < scalp[:, 1].mean()  # front is -Y
    assert t.vertices[t.vertex_part == PART_NAMES.index("left_foot"), 2].max() < t.vertices[:, 2].min() + 0.2
    assert 1.4 < float(t.vertices[:, 2].max() - t.vertices[:, 2].min()) < 2.0  # metres


def test_uv_v_points_down(t):
    # MakeHuman's layout has the head's island above the mouth's; with v down the head has the smaller v
    head = t.uv[t.uv_triangles[t.triangle_part == PART_NAMES.index("head")].flatten()]
    mouth = t.uv[t.uv_triangles[t.triangle_inner == 1].flatten()]
    assert head[:, 1].mean() < mouth[:, 1].mean()


def test_every_part_and_region_occurs(t):
    assert set(t.triangle_part.tolist()) == set(range(len(PART_NAMES)))
    assert set(t.vertex_region.tolist()) == set(range(len(REGION_NAMES)))


def test_mirror_is_an_involution_that_negates_x(t):
    assert torch.equal(t.mirror_vertex[t.mirror_vertex], torch.arange(len(t.vertices)))
    assert torch.equal(t.mirror_triangle[t.mirror_triangle], torch.arange(len(t.triangles)))
    generator = torch.Generator().manual_seed(0)
    triangle = torch.randint(len(t.triangles), (500,), generator=generator)
    barycentric = torch.rand(500, 3, generator=generator)
    barycentric /= barycentric.sum(1, keepdim=True)
    image = points.mirror(t, triangle, barycentric)
    flip = torch.tensor([-1.0, 1, 1])
    torch.testing.assert_close(
        points.position(t, *image), points.position(t, triangle, barycentric) * flip, atol=1e-4, rtol=0
    )
    expected = points.code(t, triangle, barycentric) * flip + torch.tensor([1.0, 0, 0])
    torch.testing.assert_close(points.code(t, *image), expected, atol=2e-3, rtol=0)
    again = points.mirror(t, *image)
    assert torch.equal(again[0], triangle) and torch.allclose(again[1], barycentric)


def test_parts_mirror(t):
    # vertices exactly on the middle of the torso or head have no side; all others swap sides
    side = t.vertices[:, 0].abs() > 0.01
    mirrored = torch.tensor(MIRROR_PART)[t.vertex_part]
    assert (t.vertex_part[t.mirror_vertex] == mirrored)[side].float().mean() > 0.995


def test_samples_are_mirrored_pairs_on_the_outside(t):
    assert torch.equal(t.mirror_vertex[t.samples[t.sample_mirror]], t.samples)
    assert (t.vertex_triangles[t.samples, 0] >= 0).all()
    table = t.sample_geodesic
    assert torch.equal(table, table.T) and (table.diagonal() == 0).all()
    straight = torch.cdist(t.vertices[t.samples], t.vertices[t.samples])
    assert (table >= straight - 2e-3).all()  # (float16 keeps about 1 mm at 2 m)
    # the triangle inequality through random third samples
    third = torch.randperm(len(table), generator=torch.Generator().manual_seed(1))[:20]
    assert all((table <= table[:, k, None] + table[None, k] + 4e-3).all() for k in third)
    assert (t.sample_geodesic[t.sample_mirror][:, t.sample_mirror] - table).abs().max() < 0.02


def test_eigenvectors_are_orthogonal_and_start_constant(t):
    vectors = t.sample_eigenvectors
    assert vectors[:, 0].std() < 1e-2 * vectors[:, 0].abs().mean()
    assert vectors.shape == (len(t.samples), 256)
    # every further one has both signs
    assert ((vectors[:, 1:] > 0).any(0) & (vectors[:, 1:] < 0).any(0)).all()


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_damaged_templates_are_refused_in_one_sentence(tmp_path, damage):
    path = tmp_path / "t.safetensors"
    source = load_template.__globals__["_SHIPPED"]
    if damage == "truncated":
        path.write_bytes(source.read_bytes()[:100_000])
    elif damage == "other":
        save_file(load_file(source), path, {"format": "something-else"})
    with pytest.raises(UserError) as error:
        load_template(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert FORMAT == "bodymap-template"
