"""Cloth sequences: garments of simulation quality, packing, limits; the solver itself where newton is installed."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import cloth

from apps.layered.canonical import canonical
from apps.layered.cloth.distance import SignedDistance
from apps.layered.cloth.fitting import LEGS, Fitting, arms_off, legs_off
from apps.layered.cloth.garments import KINDS, Tailor, cut_apart, recut
from apps.layered.cloth.motion import MOTIONS, local_rotations, posed_skin
from apps.layered.cloth.nets import Grid, cut_and_relax, hem_edges, largest, surface_net
from apps.layered.cloth.sequences import PLANS, decode, encode, plans, read_sequence, read_sequences, write_sequence
from apps.layered.cloth.simulation import Measures, SimulationFailed, Waistband, adult
from apps.layered.simulate import main
from bodymap import UserError
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.skinning import rotation_vector
from bodymap.surface import load_template, points

needs_newton = pytest.mark.skipif(importlib.util.find_spec("newton") is None, reason="newton is not installed")


@pytest.fixture(scope="module")
def pack():
    return Pack.load()


@pytest.fixture(scope="module")
def tailor():
    return cloth.tailor()


@pytest.fixture(scope="module")
def garments():
    return cloth.outfit()


@pytest.fixture(scope="module")
def sequence():
    return cloth.still_sequence()


def ball(radius=0.3, step=0.03):
    axis = np.arange(-0.45, 0.46, step)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    return Grid(np.linalg.norm(grid, axis=-1) - radius, np.full(3, axis[0]), step)


def test_a_surface_net_of_a_ball_is_closed_and_faces_outwards():
    grid = ball()
    vertices, triangles = surface_net(grid)
    assert not len(hem_edges(triangles)) and len(largest(triangles)) == len(triangles)
    assert len(vertices) - 3 * len(triangles) // 2 + len(triangles) == 2  # Euler
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    volume = (np.cross(a, b) * c).sum() / 6
    assert volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.03)


def test_a_hem_lies_on_its_line():
    grid = ball()
    vertices, triangles = cut_and_relax(surface_net(grid), grid, lambda p: p[:, 2] - 0.07)
    rim = np.unique(hem_edges(triangles))
    assert np.abs(vertices[rim, 2] - 0.07).max() < 1e-3
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.3).max() < 4e-3
    assert vertices[:, 2].min() > 0.068
    corners = vertices[triangles]
    sides = np.stack([np.linalg.norm(corners[:, (k + 1) % 3] - corners[:, k], axis=1) for k in range(3)], 1)
    assert sides.min() > 0.1 * grid.step and sides.max() < 2.2 * grid.step


def test_signed_distance_survives_overlap():
    import trimesh

    one, other = trimesh.creation.icosphere(3, 0.3), trimesh.creation.icosphere(3, 0.3)
    other.apply_translation([0.3, 0, 0])
    both = trimesh.util.concatenate([one, other])
    distance = SignedDistance(np.array(both.vertices), np.array(both.faces))
    found, face = distance(np.array([[0.15, 0, 0], [0.0, 0, 0.5], [3.0, 0, 0]]), reach=1.0)
    # ray parity would call the overlap outside
    assert found[0] < 0 and found[1] == pytest.approx(0.2, abs=3e-3) and found[2] == 1.0 and face[2] == -1


def test_garments_are_of_simulation_quality(tailor, garments):
    for garment in garments:
        assert len(largest(garment.triangles)) == len(garment.triangles)
        assert len(np.unique(garment.triangles)) == len(garment.vertices)
        # no edge with three triangles
        edges = np.sort(garment.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        assert np.unique(edges, axis=0, return_counts=True)[1].max() == 2
        assert tailor.distance(garment.vertices)[0].min() > 0.004
        assert 0 <= garment.uv.min() and garment.uv.max() <= 1
        c = canonical(garment.layer)
        place = points.position(c.surface, torch.from_numpy(garment.place), torch.from_numpy(garment.corner)).numpy()
        jump = np.linalg.norm(np.diff(place[edges], axis=1)[:, 0], axis=1)
        length = np.linalg.norm(np.diff(garment.vertices[edges], axis=1)[:, 0], axis=1)
        assert (jump - length).max() < 0.03
        if garment.legged:
            assert not c.bridge[garment.place].any()
    lower, upper = garments
    assert len(lower.held) > 15 and not len(upper.held)
    assert lower.vertices[lower.held, 2].min() > lower.vertices[:, 2].max() - 0.04
    # the upper one lies over the lower: where both are, it is further from the skin
    band = lower.vertices[(lower.vertices[:, 2] > upper.vertices[:, 2].min() + 0.03)]
    inside = SignedDistance(tailor.skin, tailor.triangles)(band)[0].mean()
    over = upper.vertices[np.abs(upper.vertices[:, 2] - band[:, 2].mean()) < 0.03]
    assert tailor.distance(over)[0].mean() > inside + 0.004


def test_what_is_cut_with_the_legs_apart_goes_back_to_rest(pack, tailor):
    fitting = Fitting.of(pack, tailor.body, legs=LEGS)
    skin, rest = fitting.body.vertices[:SKIN_VERTICES], tailor.body.vertices[:SKIN_VERTICES]
    foot = rest[:, 2] < rest[:, 2].min() + 0.1
    assert 0.1 < np.abs(skin[foot, 0]).mean() - np.abs(rest[foot, 0]).mean() < 0.35  # outwards, by 15 degrees of a leg
    again = fitting.to_rest(skin.astype(float), tailor.triangles)
    # the motion is averaged over neighbours: exact where a part moves as one, nearly so at the joints
    error = np.linalg.norm(again - rest, axis=1)
    assert np.median(error) < 1e-3 and np.quantile(error, 0.99) < 0.02


def test_fitted_trousers_part_where_the_legs_do(pack):
    body = adult(pack, 7, "test")  # thighs 23 mm apart
    straight = Tailor(pack, body, 0.04)
    plain, fitted = straight.make("trousers"), cut_apart(pack, straight, "trousers")

    def crotch(garment):
        x = garment.vertices[garment.triangles][..., 0]
        return garment.vertices[garment.triangles[(x.min(1) < 0) & (x.max(1) > 0)]][..., 2].mean(1).min()

    assert crotch(fitted) > crotch(plain) + 0.05
    assert abs(fitted.vertices[:, 2].min() - plain.vertices[:, 2].min()) < 0.02  # as long as before
    # cut as they lie on the body, but for what joints make of it
    edges = np.unique(np.sort(fitted.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    now, cut = (np.linalg.norm(np.diff(v[edges], axis=1)[:, 0], axis=1) for v in (fitted.vertices, fitted.pattern))
    assert np.percentile(now / cut, 99.5) < 1.15
    assert plain.pattern is plain.vertices


def test_arms_and_legs_of_big_persons_leave_room(pack):
    slim, big = adult(pack, 0, "train"), adult(pack, 8, "train")
    assert arms_off(pack, slim) == legs_off(pack, slim) == 0
    arms, legs = arms_off(pack, big), legs_off(pack, big)
    assert 10 <= arms < 22 and 3 <= legs <= 6
    plain, kept = (local_rotations("walk", pack, 30, arms_off=a, legs_off=b)[-1] for a, b in ((0, 0), (arms, legs)))
    for side, sign in (("L", 1), ("R", -1)):
        arm, leg = (pack.bones.index(f"{bone}.{side}") for bone in ("upperarm01", "upperleg01"))
        outwards = [rotation_vector(np.radians([0, -sign * degrees, 0])) for degrees in (arms, legs)]
        assert np.allclose(kept[arm], plain[arm] @ outwards[0], atol=1e-5)
        assert np.allclose(kept[leg], outwards[1] @ plain[leg], atol=1e-5)
    skins = [posed_skin(pack, big, local[None])[0][0] for local in (plain, kept)]
    elbow = np.abs(big.vertices[:SKIN_VERTICES] - big.heads[pack.bones.index("lowerarm01.L")]).sum(1).argmin()
    assert skins[1][elbow, 0] > skins[0][elbow, 0] + 0.02


def test_an_unknown_garment_is_refused(tailor):
    with pytest.raises(UserError, match="T-shirt"):
        tailor.make("cape")


def test_plans_hold_out_garments_and_persons():
    assert len(PLANS) == 12 and sum(plan.split == "test" for plan in PLANS) == 3
    worn = {split: {g for p in PLANS if p.split == split for g in (p.upper, p.lower)} for split in ("train", "test")}
    assert not worn["train"] & worn["test"]
    assert {plan.motion for plan in PLANS} <= set(MOTIONS) and worn["train"] | worn["test"] <= set(KINDS)
    assert len({plan.person for plan in PLANS}) == 12
    more = plans(60)
    assert more[:12] == PLANS and plans(5) == PLANS[:5] and len({plan.person for plan in more}) == 60
    assert {g for p in more[12:] for g in (p.upper, p.lower)} == worn["train"]
    assert all(plan.split == "train" for plan in more[12:])


def test_a_garment_can_be_cut_otherwise(tailor):
    plain, other, again = (tailor.make("skirt", cut_seed=seed) for seed in (None, 3, 3))
    hem = [garment.vertices[:, 2].min() for garment in (plain, other, again)]
    expected = (recut(KINDS["skirt"], 3).hem - KINDS["skirt"].hem) * tailor.leg_length
    assert abs(hem[0] - hem[1] - expected) < 0.003 and abs(expected) > 0.01 and hem[1] == hem[2]
    for seed in range(40):  # longer ones too stay those of training: no test garment's length
        assert recut(KINDS["skirt"], seed).hem < KINDS["long skirt"].hem - 0.15


def test_tops_that_are_cut_otherwise_end_between_waist_and_thighs(tailor):
    cuts = [recut(KINDS["hoodie"], seed).hem for seed in range(60)]
    waist = (tailor.hip - tailor.waist) / tailor.leg_length
    assert waist < min(cuts) < waist + 0.08 and 0.25 < max(cuts) < 0.35


@pytest.mark.parametrize("name", MOTIONS)
def test_motions_begin_at_rest_and_are_smooth(pack, tailor, name):
    local = local_rotations(name, pack, 40)
    assert np.allclose(local[0], np.eye(3), atol=1e-6)
    assert np.allclose(np.einsum("tjab,tjcb->tjac", local, local), np.eye(3), atol=1e-5)
    ids = slice(0, SKIN_VERTICES)
    skins, lift = posed_skin(pack, tailor.body, local[::4])
    assert np.abs(skins[0] - tailor.body.vertices[ids]).max() < 0.01
    # feet on the floor, and nothing faster than a hand can be
    low = skins[..., 2].min(1)
    assert np.abs(low - low[0]).max() < 0.05
    assert np.linalg.norm(np.diff(skins, axis=0), axis=-1).max() * 30 / 4 < 6
    assert len(lift) == 10


def test_a_waistband_turns_with_the_body(tailor):
    at = tailor.skin[[100, 2000, 9000]] + [0, 0, 0.01]
    band = Waistband(at, tailor.skin, tailor.triangles)
    assert np.allclose(band(tailor.skin), at, atol=1e-6)
    turn = rotation_vector(np.array([0.3, -0.5, 1.0]))
    assert np.allclose(band(tailor.skin @ turn.T + 1), at @ turn.T + 1, atol=1e-5)


def test_differences_do_not_add_up():
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(0, 0.01, (200, 50, 3)), 0).astype(np.float32)
    again = decode(*encode(path))
    assert np.abs(again - path).max() < 3e-5  # half a step of float16 at 3 cm
    assert np.array_equal(decode(*encode(path[:1])), path[:1])


def test_sequences_are_packed_and_read(sequence, pack, tmp_path):
    cut = sequence.garments[0].vertices * 1.01
    sequence = replace(sequence, garments=(replace(sequence.garments[0], cut=cut), sequence.garments[1]))
    write_sequence(tmp_path / "a.safetensors", sequence)
    again = read_sequence(tmp_path / "a.safetensors")
    assert len(again) == 5 and again.title == sequence.title and again.report == sequence.report
    for k in range(2):
        assert again.garments[k].name == sequence.garments[k].name
        assert np.array_equal(again.garments[k].triangles, sequence.garments[k].triangles)
        assert np.array_equal(again.garments[k].place, sequence.garments[k].place)
        assert np.abs(again.paths[k] - sequence.paths[k]).max() < 1e-4
    assert np.array_equal(again.garments[0].pattern, cut) and again.garments[1].cut is None
    assert np.abs(again.skin(4) - posed_skin(pack, sequence.body, sequence.local)[0][4]).max() < 1e-4
    assert len(read_sequences(tmp_path)) == 1 and not read_sequences(tmp_path, "test")

    with pytest.raises(UserError, match="does not exist"):
        read_sequence(tmp_path / "b.safetensors")
    (tmp_path / "c.safetensors").write_bytes(b"no sequence at all")
    with pytest.raises(UserError, match="cannot be read"):
        read_sequence(tmp_path / "c.safetensors")
    with pytest.raises(UserError, match="no cloth sequences"):
        read_sequences(tmp_path / "empty")


def test_what_goes_wrong_ends_a_sequence():
    Measures([0.004, 0.01], [0.0, 0.009], [1.19, 1.0], 3.0).check(0)
    for bad, word in (
        (Measures([0.1], [0.011], [1.0], 1.0), "deeper than 5 mm"),
        (Measures([0.0], [0.0], [1.21], 1.0), "stretched by 21 %"),
        (Measures([0.0], [0.0], [1.0], 40.0), "explosion"),
        (Measures([0.0], [0.0], [1.0], float("nan")), "explosion"),
    ):
        with pytest.raises(SimulationFailed, match=f"frame 7: .*{word}"):
            bad.check(7)


def test_bad_numbers_are_refused(tmp_path):
    for arguments in (["--frames", "1"], ["--sequences", "0"], ["--edge", "1"]):
        with pytest.raises(UserError, match=arguments[0]):
            main(["--out", str(tmp_path), *arguments])


@needs_newton
def test_cloth_falls_and_rests_on_a_ball():
    import trimesh

    from apps.layered.cloth.solver import ClothSolver, SolverConfig

    sphere = trimesh.creation.icosphere(3, 0.2)
    body, faces = np.array(sphere.vertices), np.array(sphere.faces)
    axis = np.linspace(-0.2, 0.2, 12)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    sheet = np.stack([x, y, np.full_like(x, 0.215)], -1).reshape(-1, 3)
    i, j = np.meshgrid(range(11), range(11), indexing="ij")
    p = (12 * i + j).reshape(-1)
    triangles = np.concatenate([np.stack([p, p + 12, p + 1], 1), np.stack([p + 1, p + 12, p + 13], 1)])
    none = np.zeros((0, 3))

    # a sheet in the air falls as everything does
    solver = ClothSolver([(sheet + [0, 0, 1], triangles)], body, faces, np.zeros(0, int), SolverConfig(air=0.0))
    for _ in range(5):
        now = solver.frame((body, body), (none, none))
    assert 1.215 - now[:, 2].mean() == pytest.approx(9.81 / 2 * (5 / 30) ** 2, rel=0.08)

    # and on a ball it comes to rest and hangs down
    solver = ClothSolver([(sheet, triangles)], body, faces, np.zeros(0, int))
    for _ in range(8):
        now = solver.frame((body, body), (none, none))
    distance = SignedDistance(body, faces)(now)[0]
    assert distance.min() > -0.002
    assert now[:, 2].min() < 0.19 and now[66, 2] > 0.19
    sides, before = (np.linalg.norm(v[triangles[:, 0]] - v[triangles[:, 1]], axis=1) for v in (now, sheet))
    assert (sides / before).max() < 1.1


@needs_newton
def test_the_command_simulates_packs_reports_and_resumes(tmp_path, capsys):
    arguments = ["--out", str(tmp_path), "--sequences", "1", "--frames", "2", "--edge", "50"]
    main(arguments)
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report) == 1 and report[0]["frames"] == 2 and max(report[0]["deep_percent"]) <= 1
    assert max(report[0]["stretch_percent"]) <= 20 and report[0]["seconds_per_frame"] > 0
    assert {p.suffix for p in tmp_path.iterdir()} == {".safetensors", ".png", ".mp4", ".json"}
    file = tmp_path / "00_walk.safetensors"
    before = file.stat().st_mtime_ns
    sequence = read_sequence(file)
    assert len(sequence) == 2 and sequence.split == "train"
    # cloth that hangs on the body is about where the body is
    near = SignedDistance(sequence.skin(1), load_template().triangles.numpy())(sequence.cloth(1)[1])[0]
    assert np.median(near) < 0.06
    (tmp_path / "report.json").unlink()
    main(arguments)
    assert file.stat().st_mtime_ns == before
    assert json.loads((tmp_path / "report.json").read_text()) == report
