"""Sequences: the same frames in any order, smooth in time, feet on the floor, a background that keeps still."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bodymap.errors import UserError
from bodymap.people import Pack, PeopleConfig
from bodymap.people.motion import FPS, Wander, clip_motion, ease, follow_feet, key_motion, slerp
from bodymap.people.person import get_person
from bodymap.people.sequences import LENGTH, SEQUENCES, Sequence, split_of
from bodymap.people.skinning import rotation_vector

SIZE = (64, 64)


@cache
def pack() -> Pack:
    return Pack.load(None)


@cache
def sequence(name: str, number: int = 0) -> Sequence:
    return Sequence(name, number, pack(), PeopleConfig(size=SIZE))


@cache
def walker():
    return get_person(1, pack(), PeopleConfig(), "train")


def named(clip: str):
    return next(c for c in pack().clips if c.name.endswith(clip))


def angles(rotations: np.ndarray) -> np.ndarray:
    """Radians of rotation matrices."""
    return np.arccos(np.clip((np.trace(rotations, axis1=-2, axis2=-1) - 1) / 2, -1, 1))


def test_slerp_goes_at_an_even_rate_the_short_way():
    a = np.array([1.0, 0, 0, 0])
    b = -np.array([np.cos(0.6), np.sin(0.6), 0, 0])  # 1.2 radians about x, on the other side
    for share in (0.0, 0.25, 0.5, 1.0):
        assert np.allclose(np.abs(slerp(a, b, share) @ [np.cos(0.6 * share), np.sin(0.6 * share), 0, 0]), 1)
    assert np.allclose(slerp(a, a, 0.3), a)


def test_ease_has_no_jerk_at_its_ends():
    assert ease(-1.0) == 0 and ease(2.0) == 1 and ease(0.5) == 0.5
    assert ease(0.01) < 2e-5 and 1 - ease(0.99) < 2e-5


def test_key_poses_are_met_and_held():
    poses = [np.stack([rotation_vector(np.array([angle, 0, 0]))]) for angle in (0.0, 1.0, -0.5)]
    motion = key_motion((0.0, 1.0, 2.0), poses, hold=0.25)
    for time, angle in ((0.0, 0.0), (0.8, 1.0), (1.0, 1.0), (1.9, -0.5), (5.0, -0.5)):
        assert np.allclose(motion(time)[0], rotation_vector(np.array([angle, 0, 0])), atol=1e-5), time


def test_wander_is_smooth_and_of_the_size_asked_for():
    wave = Wander(np.random.default_rng(0), np.array([1.0, 0.1]), 0.2, 1.0)
    values = np.array([wave(t) for t in np.arange(0, 400, 0.1)])
    assert np.allclose(values.std(0), [1.0, 0.1], rtol=0.15)
    assert np.abs(np.diff(values[:, 0])).max() < 2 * np.pi * 1.0 * 0.1 * 5 / np.sqrt(2.5)


@pytest.mark.parametrize("clip", ["walk", "dance_b"])
def test_clips_loop_without_a_jump(clip):
    motion = clip_motion(pack(), named(clip))
    local = np.stack([motion(k / 60) for k in range(400)])
    assert np.allclose(local @ np.swapaxes(local, -1, -2), np.eye(3), atol=1e-5)
    steps = angles(np.swapaxes(local[:-1], -1, -2) @ local[1:])
    assert steps.max() < np.radians(25)  # in a sixtieth of a second
    assert np.abs(np.diff(steps, axis=0)).max() < np.radians(6)


def test_what_stands_does_not_slide():
    track = follow_feet(clip_motion(pack(), named("walk")), walker(), pack(), 80, turning=False).straightened()
    assert track.root[-1, 1] < -0.6 * 79 / FPS * 0.8 and abs(track.root[-1, 0]) < 1e-9
    feet = [pack().bones.index(f"foot.{side}") for side in "LR"]
    places = np.stack([track.place(walker(), pack(), k).posed.position[feet] for k in range(80)])
    speed = np.linalg.norm(np.diff(places[..., :2], axis=0), axis=-1) * FPS
    # at any time the slower foot all but stands, while the body goes on
    assert np.median(speed.min(1)) < 0.25 * np.linalg.norm(np.diff(track.root[:, :2], axis=0), axis=1).mean() * FPS
    assert speed.max(1).mean() > 1.0


def test_half_of_the_sequences_show_held_out_assets():
    for name in SEQUENCES:
        assert {split_of(name, 0), split_of(name, 1)} == {"train", "test"}
    assert sum(split_of(name, 3) == "test" for name in SEQUENCES) == len(SEQUENCES) // 2


@pytest.mark.parametrize("name", SEQUENCES)
def test_frames_are_smooth_and_feet_touch_the_floor(name):
    film = sequence(name)
    track, cameras = film.film.track, film.film.cameras
    assert len(track) == len(cameras) == len(film) == LENGTH
    speed = np.diff(track.root, axis=0) * FPS
    assert np.linalg.norm(speed, axis=1).max() < 6.0
    assert np.abs(np.diff(speed, axis=0)).max() * FPS < 60.0
    turns = angles(np.swapaxes(track.local[:-1], -1, -2).astype(float) @ track.local[1:])
    assert turns.max() < np.radians(45)
    T = np.stack([camera.T_camera_world for camera in cameras]).astype(float)
    assert angles(np.swapaxes(T[:-1, :3, :3], -1, -2) @ T[1:, :3, :3]).max() < np.radians(6)
    for frame in range(0, LENGTH, 12):
        skin = track.place(film.film.subject, pack(), frame).probe
        # of the vertices that are drawn one in eight is looked at; a skirt or a bag may hang lower than the shoes
        assert -0.25 < skin[:, 2].min() < 0.03, frame


def test_frames_do_not_depend_on_their_order():
    again = Sequence("turn", 0, pack(), PeopleConfig(size=SIZE))
    later = again.sample(100)
    for frame in (0, 100):
        first, second = sequence("turn").sample(frame), later if frame == 100 else again.sample(frame)
        for field in ("image", "triangle", "barycentric", "layer", "instance"):
            assert getattr(first, field).tobytes() == getattr(second, field).tobytes(), field
    assert first.body["sequence"] == "turn" and first.body["frame"] == 100


def test_the_scene_stays_and_only_the_grain_changes():
    film = sequence("turn")
    shots = [film.shot(frame) for frame in (0, 30)]
    a, b = (shot.take for shot in shots)
    assert a.light is b.light and a.backdrop is b.backdrop and a.actors[1:] == b.actors[1:]
    assert shots[0].faults.seed != shots[1].faults.seed
    assert (a.camera.T_camera_world == b.camera.T_camera_world).all()
    assert abs(shots[0].facing - shots[1].facing) > 0.8  # a sixth of a turn, and the hips' own


def test_leaving_and_coming_back():
    film = sequence("leave")
    seen = np.array([film.sample(frame).foreground.mean() for frame in range(0, LENGTH, 10)])
    assert (seen[[0, -1]] > 0.03).all() and seen.min() == 0
    gone = np.flatnonzero(seen == 0)
    assert len(gone) < len(seen) / 2 and (np.diff(gone) == 1).all()


def test_walking_up_fills_the_picture():
    film = sequence("approach")
    seen = [film.sample(frame).foreground.mean() for frame in (0, 90, LENGTH - 1)]
    assert 0.005 < seen[0] < seen[1] < seen[2] and seen[2] > 8 * seen[0]


def test_people_who_pass_hide_each_other_and_nobody_vanishes():
    film = sequence("passing")
    there = [film.sample(frame) for frame in range(60, 121, 6)]
    assert all((s.instance == 2).any() for s in there)
    mine = [s.foreground.sum() for s in there]
    assert min(mine) < 0.6 * max(mine)


def test_a_talking_face_changes_and_the_clothes_do_not():
    film = sequence("talk")
    assert film.film.faces is not None and film.film.faces.std(0).max() > 0.1
    assert np.abs(np.diff(film.film.faces, axis=0)).max() < 0.4
    first, second = film._subject(20), film._subject(21)
    assert [p.name for p in first.pieces] == [p.name for p in second.pieces]
    for a, b in zip(first.pieces, second.pieces, strict=True):
        assert a.triangles.shape == b.triangles.shape, a.name
        assert (np.asarray(a.material.colour) == np.asarray(b.material.colour)).all()
        assert np.abs(a.vertices - b.vertices).max() < 0.02, a.name


def test_unknown_sequences_are_named():
    with pytest.raises(UserError, match="no sequence 'swim'"):
        Sequence("swim", 0, pack(), PeopleConfig(size=SIZE))
