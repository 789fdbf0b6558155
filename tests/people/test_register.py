"""Scans of one's own: what is read, what is fitted, what is kept. The scans are made from our own people, so the truth
is known to the vertex."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.scans import T_GLTF_WORLD, export_scan

from bodymap.errors import UserError
from bodymap.people import Pack, PeopleConfig
from bodymap.people.anatomy import template
from bodymap.people.mesh import Piece
from bodymap.people.outfit import skin_piece
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.person import Person, assemble, build_person
from bodymap.people.register import main
from bodymap.people.rig import Rig, State
from bodymap.people.scans.frame import scale_of
from bodymap.people.scans.identity import Identity
from bodymap.people.scans.labels import parse_layers
from bodymap.people.scans.read import read_scan, sample_scan
from bodymap.people.scans.registration import Registration, register
from bodymap.people.scans.texture import fill_unseen, texels
from bodymap.people.scans.visible import seen_faces
from bodymap.people.skinning import rotation_vector
from bodymap.surface import points
from bodymap.types import LAYER_NAMES, PART_NAMES

OUTER = np.flatnonzero(template().vertex_triangles[:, 0].numpy() >= 0)


@dataclass(frozen=True)
class Case:
    """A person, its scan's file, and what came of it; ``truth``: its posed body in the scan's frame."""

    person: Person
    pieces: tuple[Piece, ...]
    made: Registration
    truth: np.ndarray
    T: np.ndarray
    file: Path


@pytest.fixture(scope="module")
def pack() -> Pack:
    return Pack.load(None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("scans")


def standing(pack: Pack, number: int) -> np.ndarray:
    clip = next(clip for clip in pack.clips if clip.kind == "standing")
    return pack.pose(clip.start + number).astype(float)


def lump(vertices: np.ndarray, heads: np.ndarray, pack: Pack) -> np.ndarray:
    """1 on the left shoulder blade, falling to 0 over some 10 cm."""
    centre = heads[pack.bones.index("spine01")] + [0.07, 0, 0]
    near = np.linalg.norm(vertices[:SKIN_VERTICES, ::2] - centre[::2], axis=1) < 0.02
    centre[1] = vertices[:SKIN_VERTICES][near, 1].max()
    return np.exp(-((vertices - centre) ** 2).sum(1) / (2 * 0.04**2))


@pytest.fixture(scope="module")
def naked(pack: Pack, folder: Path) -> Case:
    """Bare, with a lump on the back that no body of the pack has, in centimetres, X up, turned, off centre: all to be
    found."""
    body = build_person(3, pack, PeopleConfig(), "train").body
    vertices = body.vertices.copy()
    vertices[:, 1] += (0.02 * lump(vertices, body.heads, pack)).astype(np.float32)
    body = replace(body, vertices=vertices)
    skin = skin_piece(3, pack, body, np.zeros(SKIN_VERTICES, bool), "train")
    person = assemble(3, body, (skin,))
    vertices, _ = person.pose(pack, standing(pack, 3))
    T = np.eye(4)
    T[:3, :3] = 100 * np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]) @ rotation_vector(np.array([0, 0, 2.0]))
    T[:3, 3] = [50, -300, 20]
    file = folder / "naked.glb"
    export_scan(file, (skin,), vertices, T)
    made = register(file, pack, steps=9, texture=256)
    return Case(person, (skin,), made, vertices @ T[:3, :3].T + T[:3, 3], T, file)


@pytest.fixture(scope="module")
def clothed(pack: Pack, folder: Path) -> Case:
    """Shirt, trousers, boots, hair; 3 mm of noise, six holes."""
    config = PeopleConfig()
    outfit = replace(
        config.outfit,
        kind={"separates": 1.0},
        top={"shell": 1.0},
        bottom={"shell": 1.0},
        footwear={"shell": 1.0},
        jacket=0.0,
        hat=0.0,
        scarf=0.0,
        bag=0.0,
        held=0.0,
    )
    person = build_person(8, pack, replace(config, outfit=outfit), "train")
    vertices, _ = person.pose(pack, standing(pack, 1))
    file = folder / "clothed.glb"
    export_scan(file, person.pieces, vertices, noise=0.003, holes=6)
    export_scan(folder / "clean.glb", person.pieces, vertices)
    made = register(file, pack, steps=9, texture=256, up="y", unit="m")
    T = T_GLTF_WORLD
    return Case(person, person.pieces, made, vertices[:SKIN_VERTICES] @ T[:3, :3].T, T, file)


def to_surface(places: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Distance of each place to the body's surface."""
    t = template()
    triangle, weight = points.closest(t, torch.from_numpy(places).float(), torch.from_numpy(vertices).float())
    found = (vertices[t.triangles[triangle].numpy()] * weight.numpy()[..., None]).sum(1)
    return np.linalg.norm(places - found, axis=1)


# ---------------------------------------------------------------------- the fit
def test_a_bare_scan_is_found_to_a_millimetre_or_two(naked: Case, pack: Pack) -> None:
    centimetre = 10.0  # millimetres in a unit of this scan
    corresponding = centimetre * np.linalg.norm(naked.made.vertices - naked.truth, axis=1)[OUTER]
    surface = centimetre * to_surface(naked.made.vertices, naked.truth)[OUTER]
    assert naked.made.identity.notes["unit"] == "cm"
    assert corresponding.mean() < 3 and np.quantile(corresponding, 0.95) < 8
    assert surface.mean() < 1
    # the lump is none of the pack's shapes: the displacement finds it
    body = naked.person.body
    lumpy = (lump(body.vertices, body.heads, pack)[:SKIN_VERTICES] > 0.5)[OUTER]
    before = centimetre * to_surface(naked.made.body, naked.truth)[OUTER]
    assert before[lumpy].mean() > 4 and surface[lumpy].mean() < 1
    print(f"corresponding {corresponding.mean():.2f} mm, surface {surface.mean():.2f} mm")


def test_it_can_be_posed_anew(naked: Case, pack: Pack, folder: Path) -> None:
    path = folder / "naked.safetensors"
    naked.made.identity.save(path)
    again = Identity.load(path).person(pack)
    for local in (standing(pack, 9), pack.pose(pack.clips[0].start).astype(float)):
        own, true = again.pose(pack, local)[0], naked.person.pose(pack, local)[0]
        error = np.linalg.norm(own - true - (own - true)[OUTER].mean(0), axis=1)[OUTER]
        assert error.mean() < 0.006


def test_saving_twice_gives_the_same_bytes(naked: Case, folder: Path) -> None:
    for name in ("one.safetensors", "two.safetensors"):
        naked.made.identity.save(folder / name)
    assert (folder / "one.safetensors").read_bytes() == (folder / "two.safetensors").read_bytes()


def test_the_scans_texture_arrives(naked: Case) -> None:
    identity, original = naked.made.identity, naked.pieces[0].material.texture
    triangle, _ = texels(template(), 256)
    shown = np.isin(template().vertex_part.numpy()[template().triangles.numpy()[triangle][..., 0]], range(2, 16))
    shown &= identity.seen & (triangle >= 0)
    assert shown.mean() > 0.3
    size = original.shape[0] // 256
    coarse = original[: 256 * size, : 256 * size].reshape(256, size, 256, size, 3).mean((1, 3))
    error = np.abs(identity.texture[shown].astype(float) - coarse[shown]).mean()
    # the texture has structure, and it is in the right place: mixed up it would err by several times as much
    mixed = np.abs(np.random.default_rng(0).permutation(coarse[shown]) - coarse[shown]).mean()
    assert error < 4 and error < 0.6 * mixed


def test_a_clothed_scan_with_noise_and_holes(clothed: Case, folder: Path) -> None:
    # the surface: what one sees of the scan before it was spoilt
    clean = read_scan(folder / "clean.glb")
    upright = clean.moved(np.linalg.inv(T_GLTF_WORLD))
    samples = sample_scan(clean, 60000, np.random.default_rng(0), seen_faces(upright))
    from scipy.spatial import cKDTree

    near = cKDTree(clothed.made.vertices[OUTER]).query(samples.points)[1]
    gap = clothed.made.vertices[OUTER][near] - samples.points
    across = np.abs((gap * samples.normals).sum(1))
    assert np.median(across) < 0.003 and across.mean() < 0.008
    # the vertices: cloth stands off the body by up to some centimetres
    apart = np.linalg.norm(clothed.made.vertices - clothed.truth, axis=1)[OUTER]
    assert apart.mean() < 0.025
    # the skeleton inside is where the true one is
    print(f"clothed: across the surface {1e3 * across.mean():.2f} mm, apart {1e3 * apart.mean():.1f} mm")
    body = np.linalg.norm(clothed.made.body - clothed.truth, axis=1)[OUTER]
    assert body.mean() < 0.025


def test_a_scanned_person_is_photographed(clothed: Case, pack: Pack) -> None:
    from bodymap.people.camera import draw_view
    from bodymap.people.director import draw_setting, stage_shot
    from bodymap.people.streams import stream
    from bodymap.people.studio import samples

    rules = ["upper=torso_front,torso_back,upper_arm,forearm", "lower=thigh,shin", "shoes=foot"]
    person = replace(clothed.made.identity, triangle_layer=parse_layers(rules)).person(pack)
    assert len(person.pieces[0].vertices) == SKIN_VERTICES
    config = PeopleConfig(size=(128, 96))
    alone = replace(config.scene, nobody=0.0, bystander=0.0, occluder=0.0, distractor=0.0)
    config = replace(config, scene=alone)
    local = standing(pack, 2)
    placed = person.place(pack, local)
    view = draw_view(stream(0, "camera"), placed.probe, pack.bones, placed.posed, config.size, config.camera)
    setting = draw_setting(0, pack, config, "train", view.camera, placed)
    made = samples([stage_shot(person, local, placed, view, setting, config, (0, 0, 0, 0))], 2)[0]
    mine = made.instance == 1
    assert mine.mean() > 0.03
    # every pixel is bare template: its layer is its part's
    part, layer = made.part[mine], made.layer[mine]
    of_torso = np.isin(part, [PART_NAMES.index("torso_front"), PART_NAMES.index("torso_back")])
    assert of_torso.any() and (layer[of_torso] == LAYER_NAMES.index("upper")).mean() > 0.9
    assert (layer[part == PART_NAMES.index("head")] == LAYER_NAMES.index("skin")).all()


# ---------------------------------------------------------------------- its parts
def test_the_rigs_derivatives_are_those_of_small_differences(pack: Pack) -> None:
    rng = np.random.default_rng(0)
    rig = Rig(pack, np.arange(0, SKIN_VERTICES, 97))
    state = State(rng.normal(0, 0.5, len(rig.basis)), standing(pack, 0), np.array([0.1, 0.2, 0.3]))
    made = rig.derivatives(state)
    assert np.allclose(made.vertices, rig.posed(state), atol=1e-5)
    parameters = made.jacobian.shape[1]
    for k in [0, len(rig.basis), parameters - 1, *rng.integers(0, parameters, 12)]:
        small = np.zeros(parameters)
        small[k] = 1e-4
        slope = (rig.posed(rig.step(state, small)) - rig.posed(rig.step(state, -small))) / 2e-4
        assert np.abs(slope.reshape(-1) - made.jacobian[:, k]).max() < 1e-3


def test_units_are_guessed_from_the_size() -> None:
    box = np.array([[0, 0, 0], [0.4, 1.75, 0.3]])
    for scale, name in ((1.0, "m"), (100.0, "cm"), (1000.0, "mm")):
        metres, unit = scale_of(box * scale, None, None)
        assert unit == name and metres * scale == pytest.approx(1)
    assert scale_of(box * 7.3, None, None)[0] * 7.3 * 1.75 == pytest.approx(1.7, rel=0.01)
    assert scale_of(box * 7.3, None, 1.6)[0] * 7.3 * 1.75 == pytest.approx(1.6, rel=0.01)
    with pytest.raises(UserError, match="--height"):
        scale_of(box, None, 170.0)


def test_hidden_layers_are_not_seen() -> None:
    def ball(radius: float):
        import trimesh

        return trimesh.creation.icosphere(3, radius)

    import trimesh

    from bodymap.people.scans.read import Scan

    mesh = trimesh.util.concatenate([ball(1.0), ball(0.9)])
    faces = np.array(mesh.faces)
    scan = Scan(np.array(mesh.vertices, float), faces, np.zeros((len(mesh.vertices), 2)), np.full(len(faces), -1))
    seen = seen_faces(scan)
    half = len(faces) // 2
    assert not seen[half:].any()
    top = scan.vertices[faces[:half]].mean(1)[:, 2] > -0.2
    assert seen[:half][top].all()


def test_unseen_texels_take_the_other_sides_colour() -> None:
    t = template()
    triangle, weight = texels(t, 128)
    middle = t.vertices.numpy()[t.triangles.numpy()[triangle]].mean(2)
    covered = triangle >= 0
    colour = np.where((middle[..., 2:] > 0), [1.0, 0, 0], [0, 0, 1.0]) * covered[..., None]
    seen = covered & (middle[..., 0] > 0)
    filled = fill_unseen(t, triangle, weight, colour * seen[..., None], seen)
    far = covered & (middle[..., 0] < -0.05) & (np.abs(middle[..., 2]) > 0.1)
    assert np.abs(filled[far] - colour[far]).mean() < 0.1
    assert np.array_equal(filled[seen], colour[seen])
    assert (filled.max(-1) > 0.3).all()  # no black gutters


def test_vertex_colours_and_units_of_other_formats(tmp_path: Path) -> None:
    import trimesh

    mesh = trimesh.creation.icosphere(4)
    red = np.tile([200, 10, 10, 255], (len(mesh.vertices), 1)).astype(np.uint8)
    mesh = trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], vertex_colors=red, process=False)  # inside out
    mesh.export(tmp_path / "ball.ply")
    scan = read_scan(tmp_path / "ball.ply")
    samples = sample_scan(scan, 500, np.random.default_rng(0))
    assert (np.einsum("nc,nc->n", samples.points, samples.normals) > 0.9).all()
    colour = scan.colours_at(samples.face, np.full((500, 3), 1 / 3))
    assert np.allclose(colour * 255, [200, 10, 10], atol=1)
    assert not samples.rim.any()


def test_layers_are_named_by_part() -> None:
    layer = parse_layers(["upper=torso_front,upper_arm", "shoes=left_foot"])
    part = template().triangle_part.numpy()
    assert (layer[part == PART_NAMES.index("right_upper_arm")] == LAYER_NAMES.index("upper")).all()
    assert (layer[part == PART_NAMES.index("left_foot")] == LAYER_NAMES.index("shoes")).all()
    assert (layer[part == PART_NAMES.index("right_foot")] == LAYER_NAMES.index("skin")).all()
    for rule, word in (("upper", "--layer"), ("cape=head", "--layer"), ("upper=tail", "tail")):
        with pytest.raises(UserError, match=word):
            parse_layers([rule])


# ---------------------------------------------------------------------- mistakes
def test_what_is_no_scan_is_named(tmp_path: Path) -> None:
    import trimesh

    (tmp_path / "broken.glb").write_bytes(b"glTF but not really")
    trimesh.PointCloud(np.random.default_rng(0).normal(size=(50, 3))).export(tmp_path / "cloud.ply")
    trimesh.creation.box().export(tmp_path / "box.obj")
    for name, word in (
        ("missing.glb", "no scan"),
        ("broken.glb", "cannot be read"),
        ("cloud.ply", "no triangles"),
        ("box.obj", "too coarse"),
    ):
        with pytest.raises(UserError, match=word):
            read_scan(tmp_path / name)


def test_without_trimesh_the_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "scan.glb").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(UserError, match=r"bodymap\[scans\]"):
        read_scan(tmp_path / "scan.glb")


def test_a_ball_is_no_person(tmp_path: Path, pack: Pack, monkeypatch) -> None:
    import trimesh

    monkeypatch.setattr("bodymap.people.scans.align._KEPT", 1)  # one direction tells
    trimesh.creation.icosphere(4, 0.9).export(tmp_path / "ball.obj")
    with pytest.raises(UserError, match="No person fits"):
        register(tmp_path / "ball.obj", pack, steps=3, up="y", unit="m", texture=64)


def test_damaged_identities_are_refused(naked: Case, pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "person.safetensors"
    with pytest.raises(UserError, match="no person at"):
        Identity.load(path)
    naked.made.identity.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged"):
        Identity.load(path)
    replace(naked.made.identity, vertices=naked.made.identity.vertices[:100]).save(path)
    with pytest.raises(UserError, match="vertices"):
        Identity.load(path)
    with pytest.raises(UserError, match="bones"):
        replace(naked.made.identity, heads=np.zeros((5, 3), np.float32)).person(pack)


def test_the_command_refuses_before_it_works(tmp_path: Path) -> None:
    for extra in (
        ["--steps", "1"],
        ["-o", str(tmp_path / "a.pt")],
        ["-o", str(tmp_path / "no" / "a.safetensors")],
        ["--preview", "a.jpg"],
        ["--layer", "cape=head"],
        [],
    ):
        with pytest.raises(UserError):
            main([str(tmp_path / "scan.glb"), *extra])
