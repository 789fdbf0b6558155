"""Samples from the small pack: exact truth, independent seeds, the same bytes for the same seeds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from bodymap.people import Pack, PeopleConfig, sample
from bodymap.people.anatomy import template
from bodymap.people.config import CameraConfig, OutfitConfig, PhotographConfig, SceneConfig
from bodymap.people.person import get_person
from bodymap.surface import points
from bodymap.types import LAYER_NAMES, PART_NAMES, Sample

SIZE = (128, 96)
ALONE = SceneConfig(bystander=0, occluder=0, distractor=0, nobody=0)
PLAIN = PeopleConfig(size=SIZE, scene=ALONE, camera=CameraConfig(distortion=0))


def looking(facing: str, framing: str = "full", **kwargs) -> PeopleConfig:
    """Subjects alone, seen from one side."""
    camera = CameraConfig(facing={facing: 1.0}, framing={framing: 1.0}, steep=0.0, **kwargs)
    return PeopleConfig(size=SIZE, scene=ALONE, camera=camera)


@cache
def pack() -> Pack:
    return Pack.load(None)


@cache
def taken(seed: int) -> Sample:
    return sample(seed, seed, seed, seed, pack=pack(), config=PeopleConfig(size=SIZE))


@pytest.mark.parametrize("seed", range(6))
def test_fields_agree(seed: int) -> None:
    s = taken(seed)
    assert s.image.shape == (*SIZE, 3) and s.image.dtype == np.uint8
    assert s.foreground.any()
    for name in ("triangle", "part"):
        assert ((getattr(s, name) >= 0) == s.foreground).all(), name
    assert ((s.layer > 0) == s.foreground).all()
    assert ((s.instance == 1) == s.foreground).all()
    assert s.triangle.max() < len(template().triangles)
    assert np.allclose(s.barycentric[s.foreground].sum(-1), 1, atol=1e-4)
    assert (s.barycentric >= -1e-6).all() and (s.barycentric[~s.foreground] == 0).all()
    assert np.allclose(np.linalg.norm(s.normal[s.foreground], axis=-1), 1, atol=1e-3)
    assert -np.pi <= s.facing <= np.pi
    assert s.seeds == (seed,) * 4


def test_same_seeds_same_bytes() -> None:
    from bodymap.people import person

    first = taken(3)
    person._cache.clear()  # and not only because the person was kept
    again = sample(3, 3, 3, 3, pack=pack(), config=PeopleConfig(size=SIZE))
    for name in ("image", "foreground", "triangle", "barycentric", "part", "layer", "normal", "instance"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes(), name
    assert first.facing == again.facing


def test_seeds_are_independent() -> None:
    base = sample(1, 1, 1, 1, pack=pack(), config=PLAIN)
    other_camera = sample(1, 1, 2, 1, pack=pack(), config=PLAIN)
    assert base.body["pieces"] == other_camera.body["pieces"]
    assert (base.body["local_rotations"] == other_camera.body["local_rotations"]).all()
    assert not (base.camera.T_camera_world == other_camera.camera.T_camera_world).all()
    other_pose = sample(1, 2, 1, 1, pack=pack(), config=PLAIN)
    assert base.body["pieces"] == other_pose.body["pieces"]
    assert [base.body[name] for name in ("age", "female", "skin")] == [
        other_pose.body[name] for name in ("age", "female", "skin")
    ]
    skin = np.array(base.body["skin"])  # warm, and neither black nor white
    assert 0.05 < skin[2] < skin[0] < 1 and 3 <= base.body["age"] <= 90
    assert (base.body["shape"] == other_pose.body["shape"]).all()
    assert not (base.body["local_rotations"] == other_pose.body["local_rotations"]).all()
    other_scene = sample(1, 1, 1, 2, pack=pack(), config=PLAIN)
    assert (base.triangle == other_scene.triangle).all()
    assert (base.image != other_scene.image).any()
    other_person = sample(2, 1, 1, 1, pack=pack(), config=PLAIN)
    assert not (base.body["shape"] == other_person.body["shape"]).all()


def test_a_bare_pixel_is_where_its_surface_point_is_seen() -> None:
    errors, vertices_of = [], {}
    triangles = template().triangles.numpy()
    for seed in range(8):
        s = sample(seed, seed, seed, seed, pack=pack(), config=PLAIN)
        person = get_person(seed, pack(), PLAIN, "train")
        vertices_of[seed] = person.pose(pack(), s.body["local_rotations"])[0]
        # below the head: eyeballs and brows are skin too, but not the template's own triangles
        bare = (s.layer == LAYER_NAMES.index("skin")) & (s.part >= PART_NAMES.index("torso_front"))
        row, column = np.nonzero(bare)
        corners = vertices_of[seed][triangles[s.triangle[bare]]]
        world = (corners * s.barycentric[bare][..., None]).sum(1)
        at_camera = world @ s.camera.T_camera_world[:3, :3].T + s.camera.T_camera_world[:3, 3]
        pixel = at_camera @ s.camera.intrinsics.T
        errors.append(np.abs(pixel[:, :2] / pixel[:, 2:] - np.stack([column + 0.5, row + 0.5], 1)).max(1))
    errors = np.concatenate(errors)
    assert len(errors) > 200
    assert errors.max() < 0.75


def test_left_and_right_and_facing() -> None:
    left, right = PART_NAMES.index("left_thigh"), PART_NAMES.index("right_thigh")
    for facing, sign in (("front", 1), ("back", -1)):
        order = []
        for seed in range(8):
            s = sample(seed, seed + 40, seed, seed, pack=pack(), config=looking(facing, facing_spread=20.0))
            assert (abs(s.facing) < np.pi / 2) == (facing == "front")
            if (s.part == left).sum() > 10 and (s.part == right).sum() > 10:
                columns = [np.nonzero(s.part == p)[1].mean() for p in (left, right)]
                order.append(np.sign(columns[0] - columns[1]) == sign)
        # seen from the front, the person's left is at the picture's right; legs may cross
        assert len(order) >= 4 and np.mean(order) > 0.7


def test_people_are_seen_from_all_sides() -> None:
    from bodymap.people.camera import _draw_facing
    from bodymap.people.streams import stream

    angle = np.array([_draw_facing(stream(seed, "camera"), CameraConfig()) for seed in range(2000)])
    angle = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
    assert (angle > np.radians(60)).mean() > 0.45
    assert (angle < np.radians(45)).mean() > 0.35


def test_pictures_without_anybody_hold_things_only() -> None:
    light = PhotographConfig(metered=(0, 0))  # a camera that meters looks at the person
    empty = PeopleConfig(size=SIZE, scene=SceneConfig(nobody=1), photograph=light)
    images = []
    for seed in range(6):
        nobody = sample(seed, seed, seed, seed, pack=pack(), config=empty)
        assert not nobody.foreground.any() and not nobody.instance.any() and np.isnan(nobody.facing)
        assert (nobody.triangle == -1).all() and not nobody.layer.any()
        images.append(nobody.image)
    # the surroundings are those that the person would have had
    config = PeopleConfig(size=SIZE, scene=SceneConfig(nobody=0), photograph=light)
    somebody = sample(0, 0, 0, 0, pack=pack(), config=config)
    beyond = somebody.instance == 0
    alike = (np.abs(somebody.image.astype(int) - images[0]).max(-1) <= 8)[beyond].mean()
    assert len({image.tobytes() for image in images}) == 6 and alike > 0.3


def test_layers_are_worn() -> None:
    seen = set()
    for seed in range(6):
        seen |= set(np.unique(taken(seed).layer))
    wear = OutfitConfig(kind={"separates": 1.0}, hat=0.0, bag=1.0, hair={"made": 1.0}, footwear={"shell": 1.0})
    for seed in range(3):
        config = PeopleConfig(size=SIZE, scene=ALONE, outfit=wear, camera=CameraConfig(framing={"full": 1.0}))
        seen |= set(np.unique(sample(seed, seed, seed, seed, pack=pack(), config=config).layer))
    assert seen == set(range(len(LAYER_NAMES)))


def test_cloth_is_bound_near_what_it_covers() -> None:
    """An upper garment's pixels name trunk, arms or thighs (a dress), never head or feet; shoes name feet or shins."""
    upper, shoes = LAYER_NAMES.index("upper"), LAYER_NAMES.index("shoes")
    wrong_upper, wrong_shoes, count = 0, 0, 0
    for seed in range(6):
        s = taken(seed)
        names = np.array(PART_NAMES)
        wrong_upper += np.isin(names[s.part[s.layer == upper]], ["head", "left_foot", "right_foot"]).sum()
        shoe_parts = names[s.part[s.layer == shoes]]
        wrong_shoes += (~np.char.endswith(shoe_parts, ("foot"))).sum() - np.char.endswith(shoe_parts, "shin").sum()
        count += s.foreground.sum()
    assert wrong_upper < 0.01 * count and wrong_shoes == 0


def test_truth_has_no_speckle() -> None:
    """Neighbouring pixels of one layer lie close on the body, but for folds, limbs in front of limbs and skirts."""
    t = template()
    jumps = []
    for seed in range(6):
        s = taken(seed)
        place = np.zeros((*SIZE, 3), np.float32)
        chosen = torch.from_numpy(s.triangle[s.foreground].astype(np.int64))
        place[s.foreground] = points.position(t, chosen, torch.from_numpy(s.barycentric[s.foreground])).numpy()
        both = s.foreground[:, 1:] & s.foreground[:, :-1] & (s.layer[:, 1:] == s.layer[:, :-1])
        jumps.append(np.linalg.norm(place[:, 1:] - place[:, :-1], axis=-1)[both])
    assert (np.concatenate(jumps) > 0.15).mean() < 0.03


def test_splits_share_no_pattern_or_shape() -> None:
    from bodymap.people.streams import TEST_SHARE, pattern_seed, stream

    train = {pattern_seed(stream(k, "outfit", "train"), "train") % TEST_SHARE for k in range(50)}
    test = {pattern_seed(stream(k, "outfit", "test"), "test") % TEST_SHARE for k in range(50)}
    assert not train & test
    a = sample(0, 0, 0, 0, pack=pack(), config=PLAIN, split="train")
    b = sample(0, 0, 0, 0, pack=pack(), config=PLAIN, split="test")
    assert not (a.body["shape"] == b.body["shape"]).all()
