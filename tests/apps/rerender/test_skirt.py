"""Skirts are tubes: of synthetic people in skirts, and of bodies whose cross-sections are known."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import trimesh
from support.mapped import of_sample

from apps.rerender.avatar import make_avatar
from apps.rerender.export import write_mesh
from apps.rerender.skirt import _AROUND, _FREE, FACES, _rigid, _section, _waist_down, make_skirt, skirt_region
from apps.rerender.view import render_rgba
from bodymap.fitting.picture import draw
from bodymap.people import PeopleConfig, sample
from bodymap.people.config import CameraConfig, PoseConfig, SceneConfig
from bodymap.people.skinning import rotation_vector
from bodymap.types import LAYER_NAMES, PART_NAMES

LOWER = LAYER_NAMES.index("lower")
CONFIG = PeopleConfig(
    size=(288, 216),
    scene=SceneConfig(bystander=0, occluder=0, distractor=0, nobody=0),
    camera=CameraConfig(facing={"front": 1.0}, framing={"full": 1.0}, facing_spread=5.0, steep=0, roll=0, distortion=0),
    pose=PoseConfig(pack=0, procedural=1, procedural_kind={"stand": 1.0}, arms={"down": 1.0}, joint_noise=0.2),
)
SKIRT, TROUSERS = 3, 1  # persons of the shipped pack


@cache
def mapped(person: int):
    """(photo, true map) of a person who stands before the camera."""
    taken = sample(person, 1, 1, 1, config=CONFIG)
    return taken.image, of_sample(taken)


@cache
def avatar():
    return make_avatar(*mapped(SKIRT), texture_size=256)


def test_a_skirt_is_one_and_trousers_are_none():
    _, map_ = mapped(SKIRT)
    region = skirt_region(map_)
    assert region is not None and (map_.layer[region] == LOWER).mean() > 0.9
    assert skirt_region(mapped(TROUSERS)[1]) is None
    # nor are closed trouser legs, which fill their rows but become narrow
    height, width = np.indices((200, 100))
    legs = (height >= 80) & (height < 180) & (abs(width - 50) < 24 - 0.14 * (height - 80))
    part = np.where(legs, np.where(height < 130, *(PART_NAMES.index(f"left_{name}") for name in ("thigh", "shin"))), -1)
    map_ = replace(map_, mask=legs, part=part.astype(np.int16), layer=(LOWER * legs).astype(np.int8))
    assert skirt_region(map_) is None
    assert skirt_region(replace(map_, part=np.where(height < 180, part.max(), part))) is None
    straight = (height >= 80) & (height < 180) & (abs(width - 50) < 24)
    map_ = replace(
        map_, mask=straight, part=np.where(straight, part.max(), -1), layer=(LOWER * straight).astype(np.int8)
    )
    assert skirt_region(map_) is not None


def test_the_photos_own_view_has_the_skirts_outline():
    photo, map_ = mapped(SKIRT)
    made = avatar()
    assert made.skirt is not None
    rgb, alpha = render_rgba(made, made.vertices, made.fit.camera)
    covered = alpha[..., 0] > 0.5
    rows = np.flatnonzero(skirt_region(map_).any(1))
    rows = slice(rows[len(rows) // 4], rows[-len(rows) // 10])
    own = map_.mask & (map_.layer == LOWER)
    with_skirt = (covered & own)[rows].sum() / (covered | own)[rows].sum()
    assert with_skirt > 0.85
    both = (own & covered)[rows]
    assert np.abs(rgb[rows][both] - photo[rows][both]).mean() < 12


def test_from_the_side_both_legs_are_in_one_piece_of_cloth():
    made = avatar()
    vertices = made.turned(90)
    covered, _ = made.skirt.over(vertices, made.fit.camera)
    rows = np.flatnonzero(covered.any(1))
    rows = rows[len(rows) // 4 : -len(rows) // 6]
    covered = covered | draw(vertices, made.fit.camera).mask  # an arm hangs before it
    filled = covered[rows].sum(1) / (covered.shape[1] - covered[rows].argmax(1) - covered[rows, ::-1].argmax(1))
    assert filled.min() > 0.9


def test_it_turns_with_the_person_and_gives_way_to_legs():
    made = avatar()
    tube = made.skirt.about(made.vertices)
    rotation, move = rotation_vector(np.array([0.2, 1.1, -0.3])), np.array([0.3, -0.1, 0.5])
    moved = made.skirt.about(made.vertices @ rotation.T + move)
    assert np.allclose(moved, tube @ rotation.T + move, atol=1e-4)

    # a leg that steps out to the front stays inside
    vertices = made.vertices.copy()
    legs = [k for k, name in enumerate(PART_NAMES) if name in ("left_shin", "left_thigh")]
    leg = np.isin(made.template.vertex_part.numpy(), legs)
    vertices[leg] -= 0.25 * made.skirt.frame[1]
    pushed = made.skirt.about(vertices)
    assert (np.linalg.norm(pushed - tube, axis=1) > 0.05).any()
    frame, origin = made.skirt.frame, made.skirt.origin
    body, cloth = ((points - origin) @ frame.T for points in (vertices[leg], pushed))
    level = made.skirt.offset[..., 2].mean()
    here = np.abs(body[:, 2] - level) < 0.02
    around = cloth[np.abs(cloth[:, 2] - level) < 0.02]
    assert around[:, 1].min() < body[here, 1].min()


def test_a_photo_of_little_but_a_skirt_is_fitted_whole():
    photo, map_ = mapped(SKIRT)
    region = skirt_region(map_)
    rows = np.flatnonzero(region.any(1))
    mask = np.zeros_like(map_.mask)
    mask[rows[0] : rows[-1] + 6] = map_.mask[rows[0] : rows[-1] + 6]
    assert skirt_region(replace(map_, mask=mask)) is not None
    made = make_avatar(photo, replace(map_, mask=mask), texture_size=128)
    assert made.skirt is None


def test_nothing_hangs_about_somebody_who_lies():
    photo, map_ = mapped(SKIRT)
    made = avatar()
    arguments = photo, map_, skirt_region(map_), made.vertices
    assert make_skirt(*arguments, made.up, made.fit.camera) is not None
    assert make_skirt(*arguments, np.array([1.0, 0, 0]), made.fit.camera) is None


def test_cross_sections_of_a_cylinder_are_circles():
    centre, radius = np.array([0.05, -0.1]), 0.2
    angle = np.linspace(0, 2 * np.pi, len(_waist_down()), endpoint=False)
    body = np.zeros((13380, 3))
    body[_waist_down()] = np.stack(
        [centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), 0 * angle], 1
    )
    assert _section(body, 0.0, centre) == pytest.approx(np.full(_AROUND, radius), rel=1e-3)
    assert _section(body, 1.0, centre) == pytest.approx(np.zeros(_AROUND))
    # two legs apart: the cloth is drawn from one to the other
    body[_waist_down()[::2], 0] += 0.3
    section = _section(body, 0.0, centre + [0.15, 0])
    assert section[0] == pytest.approx(0.35, rel=1e-2) and section[_AROUND // 4] == pytest.approx(radius, rel=1e-2)
    assert _FREE > 0


def test_rigid_motion_is_found():
    points = np.random.default_rng(0).normal(size=(30, 3))
    rotation = rotation_vector(np.array([0.5, -0.2, 0.9]))
    found, move = _rigid(points, points @ rotation.T + [1, 2, 3])
    assert np.allclose(found, rotation) and np.allclose(move, [1, 2, 3])


def test_it_is_exported_as_a_mesh_of_its_own(tmp_path):
    made = avatar()
    write_mesh(tmp_path / "person.glb", made, made.turned(30))
    scene = trimesh.load(tmp_path / "person.glb")
    assert set(scene.geometry) == {"person", "skirt"}
    assert len(scene.geometry["skirt"].faces) == len(FACES)
