"""The measures of people on cases whose answer is known: a sphere in a shell, a hole in it, a strand in the air."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from support import raycaster

from bodymap.errors import UserError
from bodymap.people import Pack, PeopleConfig, inspect, inspection
from bodymap.people.anatomy import template
from bodymap.people.material import Material
from bodymap.people.mesh import Piece
from bodymap.people.rays import crossings
from bodymap.types import LAYER_NAMES

UPPER, HAIR = LAYER_NAMES.index("upper"), LAYER_NAMES.index("hair")


def sphere(radius: float, rings: int = 24, columns: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """(vertices, triangles) of a closed sphere, faces outwards."""
    theta = np.linspace(0, np.pi, rings + 1)[1:-1]
    phi = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    ring = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1).reshape(-1, 3)
    vertices = np.concatenate([ring, [[0, 0, 1], [0, 0, -1]]]) * radius
    i, j = np.meshgrid(np.arange(rings - 2), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    around, top, bottom = np.arange(columns), len(ring), len(ring) + 1
    following, last = (around + 1) % columns, (rings - 2) * columns
    triangles = np.concatenate(
        [
            np.stack([a, c, b], -1).reshape(-1, 3),
            np.stack([b, c, d], -1).reshape(-1, 3),
            np.stack([np.full(columns, top), around, following], 1),
            np.stack([np.full(columns, bottom), last + following, last + around], 1),
        ]
    )
    return vertices.astype(np.float32), triangles


def piece(vertices: np.ndarray, triangles: np.ndarray, truth: np.ndarray | None = None, layer: int = UPPER) -> Piece:
    index, weight = np.zeros((len(vertices), 6), int), np.zeros((len(vertices), 6), np.float32)
    truth = vertices if truth is None else truth
    uv = vertices[:, :2]
    return Piece(
        "shell", layer, vertices, triangles, uv, triangles, index, weight, truth, truth, uv, Material(np.ones(3))
    )


def test_crossings_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    vertices, triangles = sphere(0.1)
    vertices = vertices + rng.normal(0, 0.004, vertices.shape).astype(np.float32)
    start = rng.uniform(-0.15, 0.15, (900, 3))
    end = start + rng.normal(0, 0.05, start.shape)
    found = crossings(start, end, vertices, triangles)
    hits = raycaster.cast(vertices, triangles, start, end - start, farthest=1.0)
    order = np.lexsort((found.face, found.share, found.line))
    assert len(hits.ray) > 100
    assert found.line[order].tolist() == hits.ray.tolist() and found.face[order].tolist() == hits.face.tolist()
    assert np.allclose(found.share[order], hits.distance) and np.allclose(found.barycentric[order], hits.barycentric)
    # the size of the cells is of no consequence
    coarse = crossings(start, end, vertices, triangles, cell=0.11)
    assert (np.sort(coarse.line) == np.sort(found.line)).all()


def test_nothing_crosses_nothing() -> None:
    none = np.zeros((0, 3))
    assert not len(crossings(none, none, *sphere(1.0)).line)
    assert not len(crossings(np.ones((2, 3)), np.zeros((2, 3)), none, none.astype(int)).line)


def test_a_sphere_in_a_shell_is_covered_but_for_a_hole() -> None:
    skin, _ = sphere(0.20, 40, 80)
    normals = skin / 0.20
    cloth, triangles = sphere(0.23, 60, 120)
    whole = piece(cloth, triangles, truth=cloth)
    assert (inspection.covered_by(skin, normals, skin, [whole]) == 0).all()
    # a hole of 30 degrees around the top: covered from 1.5 cm beyond its rim
    keep = ~(cloth[triangles][..., 2] > 0.23 * np.cos(np.radians(30))).all(1)
    holed = piece(cloth, triangles[keep], truth=cloth)
    over = inspection.covered_by(skin, normals, skin, [holed])
    angle = np.degrees(np.arccos(np.clip(normals[:, 2], -1, 1)))
    rim = 30 + np.degrees(0.015 / 0.23)
    assert (over[angle < 29] == -1).all() and (over[angle < rim - 2] == -1).all()
    assert (over[angle > rim + 4] == 0).all()
    # a second shell closes it; cloth too far out, or bound elsewhere, does not
    inner = piece(cloth * 0.9, triangles, truth=cloth)
    assert set(inspection.covered_by(skin, normals, skin, [holed, inner])) == {1}
    assert (inspection.covered_by(skin, normals, skin, [piece(cloth * 1.3, triangles, truth=cloth)]) == -1).all()
    assert (inspection.covered_by(skin, normals, skin, [piece(cloth, triangles, truth=cloth + 1)]) == -1).all()


def test_distance_to_hem() -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    sheet = piece(square, np.array([[0, 1, 2], [0, 2, 3]]))
    places = np.array([[0.5, 0.25, 0], [0.9, 0.5, 0], [0.5, 0.5, 0]])
    assert np.allclose(inspection.distance_to_hem(sheet, places), [0.25, 0.1, 0.5])
    # the diagonal is no hem, and a closed surface has none
    assert np.isinf(inspection.distance_to_hem(piece(*sphere(1.0)), places)).all()


def test_stretched_edges() -> None:
    rest = np.array([[0, 0, 0], [0.02, 0, 0], [0, 0.02, 0]], np.float32)
    triangle = piece(rest, np.array([[0, 1, 2]]))
    edges, length, wrong = inspection.stretched_edges(triangle, rest * 1.5)
    assert len(edges) == 3 and not wrong.any()
    pulled = rest.copy()
    pulled[1, 0] = 0.3
    edges, length, wrong = inspection.stretched_edges(triangle, pulled)
    assert {tuple(e) for e in edges[wrong]} == {(0, 1), (1, 2)}
    assert length[wrong].max() == pytest.approx(np.hypot(0.3, 0.02), abs=1e-5)
    # a large rigid thing may have long edges, and the finest may triple
    assert not inspection.stretched_edges(piece(rest * 20, triangle.triangles), rest * 20)[2].any()
    assert not inspection.stretched_edges(piece(rest / 20, triangle.triangles), rest / 4)[2].any()


def test_depth_inside_the_body() -> None:
    t = template()
    torso = np.flatnonzero(t.vertex_part.numpy() == 2)[::40]
    skin = t.vertices.numpy()[:13380]
    from bodymap.people.mesh import corner_normals

    normal = corner_normals(skin, t.triangles.numpy())[torso]
    for distance in (-0.02, 0.03):
        signed, _ = inspection.depth_inside(skin[torso] + distance * normal, skin)
        assert np.median(signed) == pytest.approx(distance, abs=2e-3)
        assert (np.sign(signed) == np.sign(distance)).mean() > 0.97


def test_a_strand_in_the_air_floats() -> None:
    skin, _ = sphere(0.1)
    ladder = np.stack([np.repeat(np.arange(6), 2), np.tile([0.0, 1], 6), np.zeros(12)], 1) * [0.02, 0.005, 0]
    strip = np.concatenate([[[i, i + 1, i + 2], [i + 1, i + 3, i + 2]] for i in range(0, 10, 2)])

    def loose(*roots: float) -> list[bool]:
        vertices = np.concatenate([ladder + [root, 0, 0] for root in roots])
        triangles = np.concatenate([strip + 12 * k for k in range(len(roots))])
        wrong = inspection.floating(vertices, triangles, skin).reshape(len(roots), 12)
        assert (wrong.all(1) == wrong.any(1)).all()  # a strand floats as a whole
        return wrong.all(1).tolist()

    assert loose(0.1) == [False]
    # one that hangs on to another strand is held by it; 10 cm further one is not
    assert loose(0.1, 0.22) == [False, False]
    assert loose(0.1, 0.32) == [False, True]
    assert loose(0.1, 0.22, 0.34) == [False, False, False]
    # vertices that no triangle uses are no hair
    assert not inspection.floating(ladder + 1, np.zeros((0, 3), int), skin).any()


def test_a_bare_shoulder_that_cloth_should_cover_is_found() -> None:
    """The shirt of a real person is pulled in beneath the skin: all of its trunk shows through."""
    torch.set_num_threads(1)
    from dataclasses import replace

    from bodymap.people import sample
    from bodymap.people.person import get_person

    pack, config = Pack.load(None), PeopleConfig(size=(96, 72))
    made = sample(0, 0, 0, 0, pack=pack, config=config)
    person = get_person(0, pack, config, "train")
    posed = person.pose(pack, made.body["local_rotations"])[0]
    inspector = inspection.Inspector(person)
    found, marks = inspector.inspect(made, posed)
    assert set(found.share) == set(inspection.MEASURES) == set(marks)
    assert found.share["skin"] < 0.02 and found.pixels == made.foreground.sum()

    # the same picture, with bare skin where cloth was
    worn = np.isin(made.layer, inspection.GARMENTS)
    naked = replace(made, layer=np.where(worn, LAYER_NAMES.index("skin"), made.layer).astype(np.int8))
    through, marks = inspector.inspect(naked, posed)
    assert through.share["skin"] > 0.3 * worn.sum() / found.pixels
    assert (marks["skin"] <= worn).all() and set(through.blame["skin"]) <= {p.name for p in person.pieces}

    # cloth that is pulled out of the picture by one corner, and cloth deep in the body
    garment = max(inspector.garments, key=lambda k: len(person.pieces[k].vertices))
    start, count = person.starts[garment], len(person.pieces[garment].vertices)
    corner = start + int(person.pieces[garment].triangles[0, 0])
    pulled = posed.copy()
    pulled[corner] += 1
    exploded, _ = inspector.inspect(made, pulled)
    assert exploded.share["stretched"] > found.share["stretched"] and exploded.longest > 1
    sunk = posed.copy()
    centre = posed[start : start + count].mean(0)
    sunk[start : start + count] = centre + 0.5 * (posed[start : start + count] - centre)
    deep, _ = inspector.inspect(made, sunk)
    assert sum(deep.share[k] - found.share[k] for k in ("inside", "crossed")) > 0.1

    # truth of another place in half of the picture
    wrong = replace(made, triangle=made.triangle.copy())
    wrong.triangle[made.foreground & (np.arange(72) % 6 < 3)[None]] = int(made.triangle.max())
    assert inspector.inspect(wrong, posed)[0].share["jumps"] > found.share["jumps"] + 0.05


def test_the_command(tmp_path, capsys) -> None:
    report, worst = tmp_path / "figures.json", tmp_path / "worst.png"
    arguments = ["--count", "2", "--seed", "0", "--size", "64x48", "--json", str(report), "--worst", str(worst)]
    assert inspect.main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in inspection.MEASURES)
    figures = json.loads(report.read_text())
    assert 1 <= len(figures) <= 2 and set(figures[0]["share"]) == set(inspection.MEASURES)
    if "is not written" not in printed:
        assert worst.stat().st_size > 0
    with pytest.raises(UserError, match="--count"):
        inspect.main(["--count", "0"])
    with pytest.raises(UserError, match="png"):
        inspect.main(["--worst", "sheet.jpg"])
    with pytest.raises(UserError, match="size"):
        inspect.main(["--size", "large"])
