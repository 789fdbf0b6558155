"""Cloth that settles on legs, hems that show what is under them, hair under hats."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bodymap.people import Pack, PeopleConfig
from bodymap.people.accessories import press_hair
from bodymap.people.config import OutfitConfig, PoseConfig
from bodymap.people.hair import HAIR
from bodymap.people.material import Material
from bodymap.people.mesh import Piece, open_edges
from bodymap.people.person import get_person
from bodymap.people.pose import draw_pose
from bodymap.people.settling import Balls, Lengths, settle
from bodymap.people.streams import stream
from bodymap.people.wardrobe import Wardrobe


@cache
def pack() -> Pack:
    return Pack.load(None)


def tube(radius: np.ndarray, z: np.ndarray) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    flat = np.stack([np.sin(angle), -np.cos(angle)], -1) * radius[:, None, None]
    return np.concatenate([flat, np.broadcast_to(z[:, None, None], (len(z), 72, 1))], -1)


def settled(x: np.ndarray, lengths: Lengths, loose: float, ball: Balls, floor: float = -1.0) -> np.ndarray:
    rings = len(x)
    none = np.zeros((rings, 72))
    s = np.linspace(0, 0.03 * (rings - 1), rings)
    return settle(x, lengths, none, np.full(rings, loose), s, (ball, ball), 0.01, floor, True)


AWAY = Balls(np.array([[5.0], [0], [0]], np.float32), np.array([0.1], np.float32))


def test_a_skirt_that_hangs_well_stays_as_it_is() -> None:
    x = tube(np.linspace(0.15, 0.3, 16), -np.linspace(0, 0.45, 16))
    assert settled(x, Lengths.of(x), 0.0, AWAY) is x


def test_threads_pull_stretched_cloth_together() -> None:
    rest = tube(np.linspace(0.15, 0.2, 16), -np.linspace(0, 0.45, 16))
    x = rest.copy()
    x[8:] *= [2.0, 2.0, 1.0]
    x[8:, :, 2] -= 0.3
    lengths = Lengths.of(rest)
    after = Lengths.of(settled(x, lengths, 0.0, AWAY))
    assert (Lengths.of(x).along / lengths.along).max() > 5
    # a few rounds: not all of it
    assert (after.along / lengths.along).max() < 3 and (after.around / lengths.around).max() < 1.3
    assert np.array_equal(settled(x, lengths, 0.0, AWAY), settled(x, lengths, 0.0, AWAY))


def test_loose_cloth_falls_onto_legs_and_the_floor() -> None:
    # a tube along y, above and around a ball
    x = tube(np.full(16, 0.3), np.linspace(0, 0.45, 16))[..., [0, 2, 1]]
    leg = Balls(np.array([[0.0], [0.3], [0.0]], np.float32), np.array([0.15], np.float32))
    out = settled(x, Lengths.of(x), 1.0, leg, floor=-0.32)
    assert out[10:, :, 2].mean() < x[10:, :, 2].mean() - 0.03
    assert np.linalg.norm(out - leg.centre[:, 0], axis=-1).min() > 0.15 and out[..., 2].min() > -0.3201


@pytest.mark.parametrize("kind", ["sit_floor", "crouch", "sit"])
def test_skirts_of_people_who_sit_are_not_torn(kind: str) -> None:
    outfit = OutfitConfig(kind={"dress": 1.0}, male_dress=1.0)
    config = PeopleConfig(outfit=outfit, pose=PoseConfig(pack=0.0, procedural_kind={kind: 1.0}))
    for seed in range(3):
        person = get_person(seed, pack(), config, "train")
        local = draw_pose(stream(seed, "pose", "train"), pack(), person.body.heads, config.pose, "train")
        vertices = person.pose(pack(), local)[0]
        for piece, start in zip(person.pieces, person.starts, strict=True):
            if piece.drape is None:
                continue
            rings = (piece.drape.rings, -1, 3)
            cloth = vertices[start : start + len(piece.vertices)].reshape(rings)
            lengths = piece.drape.lengths
            along = Lengths.of(cloth).along / lengths.along
            piece.drape.lengths = None  # as the rings are put, without settling
            put = person.pose(pack(), local)[0][start : start + len(piece.vertices)].reshape(rings)
            piece.drape.lengths = lengths
            assert np.quantile(along, 0.9) < 2 and np.quantile(Lengths.of(cloth).around / lengths.around, 0.9) < 3.2
            assert np.quantile(along, 0.98) < 0.85 * np.quantile(Lengths.of(put).along / lengths.along, 0.98)
            assert np.isfinite(cloth).all() and cloth[..., 2].min() > -0.03


def test_hems_are_the_edges_of_one_triangle_even_across_seams() -> None:
    # two triangles that share a side, once by index and once by place only
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]], float)
    assert sorted(open_edges(square, np.array([[0, 1, 2], [4, 5, 3]]))) == [0, 1, 2, 3]
    solid = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    assert not len(open_edges(np.eye(4, 3), solid))


def test_hair_lies_flat_above_the_edge_of_a_hat_only() -> None:
    person = get_person(0, pack(), PeopleConfig(outfit=OutfitConfig(hair={"none": 1.0}, hat=0.0)), "train")
    wardrobe = Wardrobe.of(pack())
    body = person.body
    head = np.flatnonzero(wardrobe.anatomy.is_group("head")[: len(person.pieces[0].vertices)])
    head = head[body.vertices[head, 2] > np.quantile(body.vertices[head, 2], 0.3)]
    centre = body.vertices[head].mean(0)
    scalp = body.vertices[head]
    way = (scalp - centre) / np.linalg.norm(scalp - centre, axis=1, keepdims=True)
    count = len(head)
    common = {
        "layer": HAIR,
        "uv": np.zeros((count, 2), np.float32),
        "skin_index": np.zeros((count, 6), int),
        "skin_weight": np.zeros((count, 6), np.float32),
        "truth": wardrobe.anatomy.rest[head],
        "rest": wardrobe.anatomy.rest[head],
        "cloth": np.zeros((count, 2), np.float32),
        "material": Material(np.ones(3, np.float32)),
    }
    triangles = np.arange(count - count % 3).reshape(-1, 3)
    hair = Piece(name="afro", vertices=scalp + 0.08 * way, triangles=triangles, uv_triangles=triangles, **common)
    edge = float(np.median(scalp[:, 2]))
    over = np.flatnonzero(scalp[:, 2] > edge)
    hat = replace(hair, name="hat", vertices=scalp + 0.02 * way, triangles=np.resize(over, (len(over) // 3, 3)))
    pressed = press_hair(hair, hat, wardrobe, body).vertices
    above, below = hair.vertices[:, 2] > edge + 0.06, hair.vertices[:, 2] < edge - 0.06
    # "nearest" finds the scalp to about a centimetre
    assert np.linalg.norm(pressed - scalp, axis=1)[above].max() < 0.03
    assert np.allclose(pressed[below], hair.vertices[below], atol=1e-6) and below.any()
