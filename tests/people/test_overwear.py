"""Thick stuffs, collars and hoods, scarves, a jacket about the waist or over an arm, straps of one width."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bodymap.errors import UserError
from bodymap.people import Pack
from bodymap.people.accessories import draw_scarf
from bodymap.people.bags import BAGS
from bodymap.people.config import OutfitConfig
from bodymap.people.dressing import Dresser
from bodymap.people.material import Material
from bodymap.people.overwear import STUFFS, draw_collar, outer_cloth, tied_jacket
from bodymap.people.shape import Body, draw_body
from bodymap.people.streams import stream
from bodymap.types import LAYER_NAMES

UPPER = LAYER_NAMES.index("upper")


@cache
def pack() -> Pack:
    return Pack.load(None)


@cache
def body() -> Body:
    return draw_body(stream(2, "body"), pack(), "train")


def dresser(seed: int = 0, **fields) -> Dresser:
    return Dresser(seed, pack(), body(), replace(OutfitConfig(), **fields), "train")


@pytest.mark.parametrize("kind", sorted(STUFFS))
def test_thick_stuffs_make_the_jacket_thicker_and_nothing_else(kind: str) -> None:
    made = []
    for stuffs in ({"cloth": 1.0}, {kind: 1.0}):
        d = dresser(stuffs=stuffs, collars={"none": 1.0})
        rng = stream(0, "jacket")
        d.jacket(rng)
        made.append((d.pieces[0], rng.random()))
    (thin, after), (thick, after_thick) = made
    assert after == after_thick  # no draw of the outfit's own stream
    assert thin.vertices.shape == thick.vertices.shape
    assert np.linalg.norm(thick.vertices - thin.vertices, axis=1).mean() > 0.004
    assert thick.material.pattern is not None and thick.material.pattern_blend == 0


def test_plain_cloth_is_as_it_was() -> None:
    d = dresser(stuffs={"cloth": 1.0})
    cloth, more = outer_cloth(stream(4, "x"), d)
    assert more == 0 and np.array_equal(cloth.colour, d.cloth(stream(4, "x")).colour)


@pytest.mark.parametrize("kind", ["fur", "standing", "hood"])
def test_collars_lie_about_the_neck(kind: str) -> None:
    d = dresser(collars={kind: 1.0})
    draw_collar(d, Material(np.full(3, 0.5, np.float32)))
    (collar,) = d.pieces
    neck = d.a.heads["neck01"]
    off = collar.rest - neck
    assert collar.layer == UPPER and np.abs(off[:, 2]).max() < 0.22 and np.abs(off[:, 0]).max() < 0.17
    if kind == "hood":  # it hangs behind
        assert off[off[:, 2] < -0.08, 1].min() > 0


def test_scarves_may_hang_down() -> None:
    counts = set()
    for seed in range(12):
        pieces = draw_scarf(stream(seed, "scarf"), dresser(seed))
        counts.add(len(pieces))
        assert all(len(p.triangles) and p.layer == UPPER and np.isfinite(p.vertices).all() for p in pieces)
    assert counts == {1, 2, 3}


def test_a_jacket_tied_about_the_waist_hangs_behind_and_in_front() -> None:
    d = dresser()
    things = tied_jacket(stream(1, "tied"), d)
    truth = np.concatenate([thing.piece.truth for thing in things])
    assert all(thing.piece.layer == UPPER for thing in things)
    assert np.abs(truth[:, 2] - d.waist).max() < 0.5
    middle = d.a.heads["spine04"][1]
    assert (truth[:, 1] < middle).mean() > 0.2 and (truth[:, 1] > middle).mean() > 0.2


@pytest.mark.parametrize("name", ["shoulder_bag", "backpack"])
def test_straps_have_one_width(name: str) -> None:
    d = dresser()
    for seed in range(3):
        things = BAGS[name](stream(seed, "bag"), d.wardrobe, body(), Material(np.full(3, 0.5, np.float32)), "L")
        strap = things[-1].piece
        assert strap.name.startswith("strap") and things[-1].on_cloth
        if name == "backpack":
            off = np.abs(np.abs(strap.rest[:, 0]) - 0.095)
            assert 0.009 < off.max() < 0.021
            # both rims are there all along
            assert (off > 0.95 * off.max()).mean() > 0.5


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="foil"):
        outer_cloth(stream(0, "x"), dresser(stuffs={"foil": 1.0}))
    with pytest.raises(UserError, match="ruff"):
        draw_collar(dresser(collars={"ruff": 1.0}), Material(np.full(3, 0.5, np.float32)))
