"""The adapter on the template itself, where every answer is known, and on the real files where they are there."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.densepose import strip_adapter, template_adapter, write_obj, write_table

from bodymap.densepose import adapter as adapter_module
from bodymap.densepose.adapter import body_in_order, load_adapter, make_adapter
from bodymap.densepose.charts import CHART_PARTS, CHART_SIDE, COARSE_NAMES, COARSE_OF_CHART, read_chart_table
from bodymap.densepose.mesh import BodyMesh, in_order_of, read_obj
from bodymap.errors import UserError
from bodymap.metrics.similarity import KAPPA_BY_PART
from bodymap.types import PART_NAMES


def random_points(count, faces, seed=0):
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet([1, 1, 1], count)
    return rng.choice(faces, count), weight


# -------------------------------------------------------------------------------------------------- charts


def test_names_agree_with_each_other():
    """The tables of parts, sides, coarse masks and kappas say the same of every chart."""
    from bodymap.densepose.charts import KAPPA_OF_CHART

    for chart in range(1, 25):
        part, coarse = CHART_PARTS[chart][0], COARSE_NAMES[COARSE_OF_CHART[chart]]
        assert coarse == ("torso" if part.startswith("torso") else part)
        side = -1 if part.startswith("left") else 1 if part.startswith("right") else 0
        assert CHART_SIDE[chart] == side or part == "head"
        assert KAPPA_OF_CHART[chart] == KAPPA_BY_PART[PART_NAMES.index(part)]


def test_table_there_and_back(tmp_path):
    table = strip_adapter().table
    write_table(table, tmp_path / "t.mat")
    read = read_chart_table(tmp_path / "t.mat")
    for name in ("body_vertex", "triangles", "chart", "uv"):
        assert np.array_equal(getattr(read, name), getattr(table, name))


def test_damaged_tables(tmp_path):
    table, path = strip_adapter().table, tmp_path / "t.mat"
    for bad, says in (
        (replace(table, chart=table.chart + 23), "1..24"),
        (replace(table, uv=table.uv + 1), "0..1"),
        (replace(table, triangles=table.triangles + 200), "out of range"),
        (replace(table, chart=np.roll(table.chart, 1)), "two charts"),
        (replace(table, triangles=table.triangles * 0, chart=table.chart * 0 + table.chart[0]), "meet at a vertex"),
    ):
        write_table(bad, path)
        with pytest.raises(UserError, match=says):
            read_chart_table(path)
    path.write_bytes(b"no matlab at all")
    with pytest.raises(UserError, match="cannot be read"):
        read_chart_table(path)
    with pytest.raises(UserError, match="no chart table"):
        read_chart_table(tmp_path / "none.mat")


# ---------------------------------------------------------------------------------------------------- mesh


def test_renumbered_vertices_are_found():
    """Connections alone tell which vertex is which, also with two triangles missing, but not of another mesh."""
    table = template_adapter().table
    body, index = np.unique(table.body_triangles, return_inverse=True)
    triangles = index.reshape(-1, 3)
    count = len(body)
    shuffle = np.random.default_rng(0).permutation(count)
    other = np.random.default_rng(1).permutation(np.roll(shuffle[triangles], 1, axis=1))
    kept = np.delete(triangles, [100, 9000], axis=0)
    assert np.array_equal(in_order_of(kept, count, other), shuffle)
    assert in_order_of(kept, count, other[:-500]) is None


def test_geodesics_on_a_cylinder():
    """Around half of a cylinder the way is pi r, along its side the straight line, inside a triangle too."""
    around, along, r = 48, 25, 0.1
    angle, z = np.meshgrid(np.arange(around) * 2 * np.pi / around, np.linspace(0, 0.5, along), indexing="ij")
    vertices = np.stack([r * np.cos(angle), r * np.sin(angle), z], -1).reshape(-1, 3)
    n = np.arange(around * along).reshape(around, along)
    a, b = n[:, :-1].ravel(), np.roll(n, -1, 0)[:, :-1].ravel()
    mesh = BodyMesh(vertices, np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)]))
    rows = mesh.geodesics.from_vertices(n[[0, 0], [0, 12]])
    assert rows[0, n[around // 2, 0]] == pytest.approx(np.pi * r, rel=0.01)
    assert rows[1, n[0, 24]] == pytest.approx(0.25, abs=1e-6)
    # the diagonal of the unrolled sheet
    assert rows[0, n[around // 4, 24]] == pytest.approx(np.hypot(np.pi * r / 2, 0.5), rel=0.03)
    points = random_points(200, np.arange(len(mesh.triangles)))
    same = mesh.geodesics.between(points, points)
    assert same.max() < 1e-6
    shifted = (points[0], np.roll(points[1], 1, axis=1))
    straight = np.linalg.norm(mesh.position(points) - mesh.position(shifted), axis=1)
    assert np.allclose(mesh.geodesics.between(points, shifted), straight, atol=1e-4)


def test_closest_point_beats_every_sampled_one():
    mesh = BodyMesh(*_sphere())
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(50, 3))
    found = mesh.position(mesh.closest(queries))
    tried = mesh.position(random_points(20000, np.arange(len(mesh.triangles))))
    best = np.linalg.norm(queries[:, None] - tried[None], axis=-1).min(1)
    assert (np.linalg.norm(queries - found, axis=1) <= best + 1e-9).all()


def _sphere():
    from scipy.spatial import ConvexHull

    k = np.arange(300) + 0.5
    polar, turn = np.arccos(1 - 2 * k / 300), np.pi * (1 + 5**0.5) * k
    v = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], 1)
    return v, ConvexHull(v).simplices.astype(np.int64)


# ------------------------------------------------------------------------------------------------- adapter


@pytest.fixture(scope="module")
def same_body():
    return template_adapter()


def test_charts_there_and_back():
    adapter = strip_adapter()
    chart, uv = np.array([2, 3, 2]), np.array([[0.3, 0.7], [0.3, 0.7], [1.0, 0.0]])
    points = adapter.smpl_of_iuv(chart, uv)
    assert np.allclose(adapter.body.position(points), [[0.3, 0.07, 0], [1.3, 0.07, 0], [1, 0, 0]])
    back, coordinates = adapter.iuv_of_smpl(points)
    assert np.array_equal(back, chart) and np.allclose(coordinates, uv)
    assert np.allclose(adapter.body.position(adapter.smpl_of_vertex(np.arange(123))), adapter.vertices)


def test_template_there_and_back(same_body):
    outer = np.flatnonzero(same_body.template.triangle_inner.numpy() == 0)
    triangle, weight = random_points(500, outer)
    at = lambda t, b: (same_body.fitted[same_body.template.triangles.numpy()[t]] * b[..., None]).sum(1)  # noqa: E731
    place = at(triangle, weight)
    smpl = same_body.smpl_of_template(triangle, weight)
    assert np.allclose(same_body.body.position(smpl), place, atol=1e-6)
    assert np.allclose(at(*same_body.template_of_smpl(smpl)), place, atol=1e-6)
    chart, uv = same_body.iuv_of_smpl(smpl)
    assert np.allclose(same_body.body.position(same_body.smpl_of_iuv(chart, uv)), place, atol=2e-4)


def test_charts_are_judged(same_body):
    assert same_body.gap() < 1e-6 and same_body.wrong_charts() == {}
    problems = template_adapter(mirrored=True).wrong_charts()
    assert set(problems) == {3, 4, 5, 6, 9, 10, 13, 14, 15, 16, 19, 20, 23, 24}
    assert all("other side" in reason for reason in problems.values())
    # the upper arm's chart on the forearm
    chart = same_body.table.chart
    swapped = np.where(chart == 15, 19, np.where(chart == 19, 15, chart))
    assert set(replace(same_body, table=replace(same_body.table, chart=swapped)).wrong_charts()) == {15, 19}


def test_file_there_and_back(same_body, tmp_path):
    path = same_body.save(tmp_path / "a.npz")
    read = load_adapter(path)
    assert np.array_equal(read.table.triangles, same_body.table.triangles)
    assert np.allclose(read.fitted, same_body.fitted) and np.allclose(read.table.uv, same_body.table.uv)


def test_damaged_files(same_body, tmp_path):
    path = same_body.save(tmp_path / "a.npz")
    other = replace(same_body.template, code_version="another")
    with pytest.raises(UserError, match="another"):
        load_adapter(path, other)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="no adapter"):
        load_adapter(path)
    np.savez(tmp_path / "b.npz", format="something")
    with pytest.raises(UserError, match="format"):
        load_adapter(tmp_path / "b.npz")
    with pytest.raises(UserError, match="make one"):
        load_adapter(tmp_path / "c.npz")


def test_a_body_inside_out(tmp_path):
    """The body is symmetric, so that connections alone would take it for its mirror image."""
    adapter = template_adapter()
    used, index = np.unique(adapter.table.body_triangles, return_inverse=True)
    triangles = index.reshape(-1, 3)
    order = np.zeros(used.max() + 1, np.int64)
    order[used] = np.arange(len(used))
    table = replace(adapter.table, body_vertex=order[adapter.table.body_vertex])
    shuffle = np.random.default_rng(0).permutation(len(used))
    shuffled = np.zeros((len(used), 3))
    shuffled[shuffle] = adapter.vertices[used]
    for name, faces in (("out", triangles), ("in", triangles[:, ::-1])):
        write_obj(shuffled, shuffle[faces], tmp_path / f"{name}.obj")
        assert np.allclose(body_in_order(table, tmp_path / f"{name}.obj"), adapter.vertices[used], atol=1e-6)


def test_bodies_that_cannot_be_used(same_body, tmp_path):
    table, path = same_body.table, tmp_path / "body.obj"
    with pytest.raises(UserError, match="no mesh"):
        body_in_order(table, path)
    write_obj(same_body.vertices * 100, table.body_triangles, path)
    with pytest.raises(UserError, match="metres"):
        body_in_order(table, path)
    write_obj(same_body.vertices, table.body_triangles[:-300], path)
    with pytest.raises(UserError, match="remeshed"):
        body_in_order(table, path)
    path.write_text("v 0 0 0\nv 0 0 2\nf 1 2 9\n")
    with pytest.raises(UserError, match="damaged"):
        read_obj(path)
    with pytest.raises(UserError, match=".npz"):
        adapter_module.main(["t.mat", str(path), "-o", str(tmp_path / "a.txt")])


# ---------------------------------------------------------------------------------------- the real files

REAL = Path(os.environ.get("BODYMAP_DENSEPOSE", Path(__file__).parents[3] / "shared" / "densepose"))
TABLE, BODY = REAL / "UV_Processed.mat", REAL / "smpl_mean_man_ccby.obj"
real = pytest.mark.skipif(not (TABLE.is_file() and BODY.is_file()), reason="needs DensePose's and SMPL's files")


@pytest.fixture(scope="session")
def real_adapter():
    """The fit takes half a minute: once for all tests."""
    pytest.importorskip("trimesh")
    return make_adapter(TABLE, BODY)


@real
def test_real_fit(real_adapter):
    assert real_adapter.gap() < 0.002
    assert real_adapter.wrong_charts() == {}
    assert set(np.unique(real_adapter.table.chart)) == set(range(1, 25))


@real
def test_real_landmarks(real_adapter):
    """Tips and ends of both bodies are each other's: fingers, toes, crown, heels."""
    body, t = real_adapter.vertices, real_adapter.template
    from bodymap.surface.parts import REGION_NAMES

    top = body[:, 1].argmax()
    tips = {"left_middle_finger": body[:, 0].argmax(), "right_middle_finger": body[:, 0].argmin(), "scalp": top}
    for side, sign in (("left", 1), ("right", -1)):
        low = np.flatnonzero((body[:, 1] < 0.1) & (sign * body[:, 0] > 0))
        tips[f"{side}_toes"] = low[body[low, 2].argmax()]
    for name, vertex in tips.items():
        triangle, _ = real_adapter.template_of_smpl(real_adapter.smpl_of_vertex(np.array([vertex])))
        regions = t.vertex_region.numpy()[t.triangles.numpy()[triangle[0]]]
        assert REGION_NAMES.index(name) in regions, name


@real
def test_real_demo_annotation(real_adapter):
    """Every point of the real annotation lies on a part that its chart allows, and survives the way back."""
    import json

    points = json.loads((REAL / "demo_points.json").read_text())
    chart, uv = np.array(points["I"], int), np.stack([points["U"], points["V"]], 1)
    smpl = real_adapter.smpl_of_iuv(chart, uv)
    triangle, weight = real_adapter.template_of_smpl(smpl)
    back = real_adapter.smpl_of_template(triangle, weight)
    assert np.median(real_adapter.body.geodesics.between(smpl, back)) < 0.002
    part = real_adapter.template.triangle_part.numpy()[triangle]
    allowed = [PART_NAMES[p] in CHART_PARTS[c] for p, c in zip(part, chart, strict=True)]
    assert np.mean(allowed) > 0.85  # charts and parts part company at shoulders and hips
