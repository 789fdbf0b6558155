"""Skirts are tubes: of synthetic people in skirts, and of bodies whose cross-sections are known."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import trimesh
from support.mapped import of_sample

import apps.rerender.avatar as making
from apps.rerender.avatar import make_avatar
from apps.rerender.export import write_mesh
from apps.rerender.shell import rigid
from apps.rerender.skirt import (
    _AROUND,
    _FREE,
    FACES,
    SkirtView,
    _section,
    _waist_down,
    make_skirt,
    skirt_region,
)
from apps.rerender.view import render_rgba
from bodymap.errors import UserError
from bodymap.fitting.picture import draw
from bodymap.people import PeopleConfig, sample
from bodymap.people.config import CameraConfig, OutfitConfig, PoseConfig, SceneConfig
from bodymap.people.skinning import rotation_vector
from bodymap.types import LAYER_NAMES, PART_NAMES, LayerMaps

UPPER, LOWER, CARRIED = (LAYER_NAMES.index(name) for name in ("upper", "lower", "carried"))
CONFIG = PeopleConfig(
    size=(288, 216),
    outfit=OutfitConfig(
        kind={"separates": 1.0},
        jacket=0,
        bag=0,
        held=0,
        scarf=0,
        hat=0,
        pattern=0,
        worn={},
        legwear={"none": 1.0},
    ),  # fmt: skip
    scene=SceneConfig(bystander=0, occluder=0, distractor=0, nobody=0),
    camera=CameraConfig(facing={"front": 1.0}, framing={"full": 1.0}, facing_spread=5.0, steep=0, roll=0, distortion=0),
    pose=PoseConfig(pack=0, procedural=1, procedural_kind={"stand": 1.0}, arms={"down": 1.0}, joint_noise=0.2),
)
SKIRT, TROUSERS = 3, 1  # persons of the shipped pack
LADEN = replace(CONFIG, outfit=OutfitConfig(kind={"separates": 1.0}, bottom={"skirt": 1.0}, jacket=1, bag=1))
LEGS, SHINS = (
    [k for k, name in enumerate(PART_NAMES) if name.endswith(ends)] for ends in (("thigh", "shin"), ("shin",))
)


@cache
def mapped(person: int):
    """(photo, true map) of a person who stands before the camera."""
    taken = sample(person, 1, 1, 1, config=CONFIG)
    return taken.image, of_sample(taken)


@cache
def seen_from(person: int, seed: int):
    """(facing, true map) of one whom a camera anywhere about them sees."""
    camera = replace(CONFIG.camera, facing={"any": 1.0})
    taken = sample(person, 1, seed, 1, config=replace(CONFIG, camera=camera))
    return taken.facing, of_sample(taken)


@cache
def avatar():
    return make_avatar(*mapped(SKIRT), texture_size=256)


def test_a_skirt_is_one_and_trousers_are_none():
    _, map_ = mapped(SKIRT)
    region = skirt_region(map_)
    assert region is not None and (map_.layer[region] == LOWER).mean() > 0.9
    assert skirt_region(mapped(TROUSERS)[1]) is None


def test_closed_trouser_legs_are_no_skirt():
    # from the side one leg hides the other: they fill their rows as a skirt does
    sides = [seed for seed in range(12) if 60 < abs(np.degrees(seen_from(TROUSERS, seed)[0])) < 120]
    assert len(sides) >= 2
    closed = []
    for seed in sides:
        map_ = seen_from(TROUSERS, seed)[1]
        legs = map_.mask & np.isin(map_.part, LEGS) & (map_.layer == LOWER)
        rows = np.flatnonzero(legs.any(1))
        ends = legs[rows].argmax(1)[:, None], legs.shape[1] - 1 - legs[rows, ::-1].argmax(1)[:, None]
        column = np.arange(legs.shape[1])
        closed.append(map_.mask[rows][(column >= ends[0]) & (column <= ends[1])].mean() > 0.97)
        assert skirt_region(map_) is None
        assert skirt_region(seen_from(SKIRT, seed)[1]) is not None
    assert any(closed)


def test_leggings_are_not_the_skirt():
    _, map_ = mapped(SKIRT)
    region = skirt_region(map_)
    # what is bare under the hem is given the skirt's layer
    dressed = replace(map_, layer=np.where(map_.mask & np.isin(map_.part, SHINS), LOWER, map_.layer))
    found = skirt_region(dressed)
    hems = [np.flatnonzero(r.any(1))[-1] for r in (region, found)]
    assert (dressed.layer == LOWER).sum() > 1.1 * (map_.layer == LOWER).sum()
    # of a round hem the lowest rows are as narrow as legs
    assert abs(hems[0] - hems[1]) < 0.03 * np.ptp(np.flatnonzero(map_.mask.any(1)))
    assert (region & found).sum() > 0.93 * (region | found).sum()


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


def test_a_bag_and_a_jacket_before_it_leave_its_outline():
    taken = sample(SKIRT, 1, 1, 1, config=LADEN)
    map_ = of_sample(taken)
    own = map_.mask & (map_.layer == LOWER)
    before = map_.mask & ~own
    made = make_avatar(taken.image, map_, texture_size=128)
    tube, _ = made.skirt.over(made.vertices, made.fit.camera)
    rows = np.flatnonzero(skirt_region(map_).any(1))
    rows = slice(rows[len(rows) // 4], rows[-1])
    # there are such things, and nobody knows where the skirt ends behind them
    assert (before & np.isin(map_.layer, (CARRIED, UPPER)))[: rows.stop].sum() > 0.2 * own.sum()
    assert (before & (map_.layer == CARRIED))[rows].any()
    assert (tube & own)[rows].sum() / ((tube | own) & ~before)[rows].sum() > 0.9
    # it ends where the skirt does, not further down over the legwear
    below = slice(rows.stop, None)
    assert tube[below].sum() < 0.1 * tube.sum()


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
    mask &= np.logical_or.accumulate(region, 1) & np.logical_or.accumulate(region[:, ::-1], 1)[:, ::-1]  # no arms
    assert skirt_region(replace(map_, mask=mask)) is not None
    made = make_avatar(photo, replace(map_, mask=mask), texture_size=128)
    assert made.skirt is None


def test_nothing_hangs_about_somebody_who_lies():
    photo, map_ = mapped(SKIRT)
    made = avatar()
    view = SkirtView(photo, map_, skirt_region(map_), made.vertices, made.fit.camera)
    assert make_skirt(view, made.up) is not None
    assert make_skirt(view, np.array([1.0, 0, 0])) is None


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
    found, move = rigid(points, points @ rotation.T + [1, 2, 3])
    assert np.allclose(found, rotation) and np.allclose(move, [1, 2, 3])


def test_it_is_exported_as_a_mesh_of_its_own(tmp_path):
    made = avatar()
    write_mesh(tmp_path / "person.glb", made, made.turned(30))
    scene = trimesh.load(tmp_path / "person.glb")
    assert set(scene.geometry) == {"person", "skirt"}
    assert len(scene.geometry["skirt"].faces) == len(FACES)


def test_the_back_is_another_photos_if_there_is_one():
    photo, map_ = mapped(SKIRT)
    behind = replace(CONFIG, camera=replace(CONFIG.camera, facing={"back": 1.0}))
    taken = sample(SKIRT, 1, 1, 1, config=behind)
    back_map, striped = of_sample(taken), taken.image.copy()
    region = skirt_region(back_map)
    rows = np.flatnonzero(region.any(1))
    stripe = region & (abs(np.arange(len(region))[:, None] - rows.mean()) < 0.15 * len(rows))
    columns = np.flatnonzero(stripe.any(0))
    stripe &= abs(np.arange(region.shape[1]) - columns.mean()) < 0.3 * len(columns)  # its ends are seen from in front
    striped[stripe] = (255, 0, 255)
    made = make_avatar(photo, map_, texture_size=128, more=[(striped, back_map)])

    def magenta(avatar, degrees):
        rgb, alpha = render_rgba(avatar, avatar.turned(degrees), avatar.fit.camera)
        shown = (rgb[..., 0] > 150) & (rgb[..., 1] < 90) & (rgb[..., 2] > 150) & (alpha[..., 0] > 0.9)
        return shown.sum() / stripe.sum()

    assert magenta(made, 180) > 0.5
    assert magenta(made, 0) < 0.02
    # without it the back is the front's mirror image, and the front is the same
    alone = avatar().skirt.picture
    width = alone.shape[1]
    assert np.array_equal(alone[:, : width // 4], alone[:, width // 4 : width // 2][:, ::-1])
    middle = slice(3 * width // 8, 5 * width // 8)
    assert np.abs(alone.mean((0, 1)) - alone[:, middle].mean((0, 1))).max() < 0.05
    assert np.abs(made.skirt.picture[:, middle] - alone[:, middle]).mean() < 0.02


def test_where_none_can_be_built_the_texture_is_made_once(monkeypatch):
    photo, map_ = mapped(SKIRT)
    textured, started = [], []
    fit, take = making.fit_body, making.take_texture
    monkeypatch.setattr(making, "make_skirt", lambda *a: None)
    monkeypatch.setattr(making, "fit_body", lambda *a, **k: started.append(k.get("start")) or fit(*a, **k))
    monkeypatch.setattr(making, "take_texture", lambda t, views, n: textured.append(views) or take(t, views, n))
    made = make_avatar(photo, map_, texture_size=128)
    # the second fit goes on from the first one, and what was taken for a skirt is on the legs
    assert made.skirt is None and started[0] is None and started[1] is not None and len(started) == 2
    assert len(textured) == 1 and np.array_equal(textured[0][0][1].mask, map_.mask)


def test_layer_maps_say_what_is_a_skirt(monkeypatch):
    photo, map_ = mapped(SKIRT)
    monkeypatch.setattr(making, "_figure", lambda template, c, *rest: shown.append(c) or avatar())
    monkeypatch.setattr(making, "make_skirt", lambda *a: None)
    texture = avatar().texture
    bare = replace(map_, layer=np.where(map_.layer == LOWER, LAYER_NAMES.index("skin"), map_.layer))
    visible = np.where(map_.layer == LOWER, 3, 0).astype(np.int8)
    shown = []
    make_avatar(photo, bare, texture=texture)
    assert len(shown) == 1 and np.array_equal(shown[0].layer, bare.layer)
    shown = []
    make_avatar(photo, bare, texture=texture, layers=LayerMaps(map_, None, None, visible))
    assert len(shown) == 2 and np.array_equal(shown[1].layer, map_.layer)
    with pytest.raises(UserError, match="picture of"):
        make_avatar(photo, bare, layers=LayerMaps(map_, None, None, visible[1:]))
