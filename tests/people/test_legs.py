"""What is worn on legs and feet: tights and what is seen through them, boots, trainers, heels, sandals."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bodymap.errors import UserError
from bodymap.people import Pack
from bodymap.people.config import OutfitConfig
from bodymap.people.dressing import Dresser
from bodymap.people.hosiery import SheerMaterial, draw_legwear, seen_through
from bodymap.people.outfit import dress
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.shape import Body, draw_body
from bodymap.people.shoes import SHOES, heel_height, on_heels, put_on_shoes
from bodymap.people.streams import stream
from bodymap.types import LAYER_NAMES

LOWER, SKIN, FEET = (LAYER_NAMES.index(name) for name in ("lower", "skin", "shoes"))
PLAIN = OutfitConfig(kind={"separates": 1.0}, jacket=0, hat=0, scarf=0, bag=0, held=0, worn={}, footwear={"none": 1.0})


@cache
def pack() -> Pack:
    return Pack.load(None)


@cache
def woman() -> Body:
    bodies = (draw_body(stream(seed, "body"), pack(), "train") for seed in range(40))
    return next(body for body in bodies if body.female and 18 < body.age < 60)


@pytest.mark.parametrize("kind", sorted(SHOES))
def test_footwear_is_on_both_feet_and_nowhere_else(kind: str) -> None:
    for seed in range(4):
        d = Dresser(seed, pack(), woman(), replace(PLAIN, footwear={kind: 1.0}), "train")
        put_on_shoes(stream(seed, "shoes"), d)
        assert d.pieces and all(piece.layer == FEET for piece in d.pieces)
        truth = np.concatenate([piece.truth for piece in d.pieces])
        foot = d.a.of("leg", "foot")[d.wardrobe.nearest(truth)]
        assert foot.min() > 0.3 and (truth[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.1)
        for piece in d.pieces:
            assert np.isfinite(piece.vertices).all() and len(piece.triangles)


def test_heels_lift_the_heel_and_leave_the_ball() -> None:
    body, height = woman(), 0.07
    lifted = on_heels(body, pack(), height)
    assert on_heels(body, pack(), 0.0) is body
    bones, t = pack().bones, body.vertices[:SKIN_VERTICES]
    foot = np.flatnonzero(t[:, 2] < t[:, 2].min() + 0.015)
    heel, ball = (
        foot[t[foot, 1].argsort()[-20:]],
        foot[np.abs(t[foot, 1] - body.heads[bones.index("toe1-1.L"), 1]) < 0.02],
    )
    raised = lifted.vertices[heel, 2].mean() - lifted.vertices[ball, 2].mean()
    assert raised == pytest.approx(height, abs=0.02)
    above = t[:, 2] > t[:, 2].min() + 0.25
    assert np.abs(lifted.vertices[:SKIN_VERTICES] - t)[above].max() < 0.003


def test_children_wear_no_heels() -> None:
    child = replace(woman(), age=8.0)
    config = replace(PLAIN, footwear={"heels": 0.5, "boots": 0.5})
    assert all(heel_height(seed, child, config, "train") == 0 for seed in range(20))
    assert any(heel_height(seed, woman(), config, "train") > 0 for seed in range(20))


def test_trousers_are_tucked_into_boots() -> None:
    config = replace(PLAIN, bottom={"loose": 1.0}, footwear={"boots": 1.0})
    tucked = 0
    for seed in range(12):
        d = Dresser(seed, pack(), woman(), config, "train")
        d.bottom(stream(seed, "bottom"), False)
        put_on_shoes(stream(seed, "shoes"), d)
        vertex = d.wardrobe.nearest(d.pieces[0].truth)
        boots = next(piece for piece in d.pieces if piece.name == "boots")
        top = np.quantile(d.a.leg[d.wardrobe.nearest(boots.truth)], 0.01)
        inside = (d.a.leg[vertex] > top + 0.04) & (d.a.of("leg", "foot")[vertex] > 0.5)
        inside &= np.isin(np.arange(len(vertex)), d.pieces[0].triangles)
        if inside.any():
            off = ((d.pieces[0].vertices - woman().vertices[vertex]) * woman().skin_normal[vertex]).sum(1)
            assert off[inside].max() < 0.012
            tucked += 1
    assert tucked > 2


@pytest.mark.parametrize("kind", ["sheer", "opaque", "patterned", "net", "leggings", "thigh_high"])
def test_legwear_has_its_layer_and_changes_nothing_else(kind: str) -> None:
    config = replace(PLAIN, bottom={"skirt": 1.0}, legwear={"none": 1.0})
    bare, worn = (dress(5, pack(), woman(), c, "train") for c in (config, replace(config, legwear={kind: 1.0})))
    tights = [piece for piece in worn if piece.name == "stockings"]
    others = [piece for piece in worn if piece.name != "stockings"]
    assert len(tights) == 1 and tights[0].layer == (LOWER if kind == "leggings" else SKIN) and len(others) == len(bare)
    skirts = [next(p for p in pieces if p.name == "skirt") for pieces in (bare, worn)]
    assert np.array_equal(skirts[0].vertices, skirts[1].vertices)
    if kind in ("sheer", "net"):  # the skin's own texture, where the skin has it, darker
        assert tights[0].material.texture is worn[0].material.texture
        assert not isinstance(tights[0].material, SheerMaterial)
        assert tights[0].material.mean_brightness < worn[0].material.mean_brightness
        assert tights[0].uv_triangles.max() < len(tights[0].uv) and np.ptp(tights[0].uv) > 0.1
    else:
        assert seen_through(tights[0], worn[0]) is tights[0]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="clogs"):
        put_on_shoes(stream(0, "x"), Dresser(0, pack(), woman(), replace(PLAIN, footwear={"clogs": 1.0}), "train"))
    with pytest.raises(UserError, match="gaiters"):
        draw_legwear(Dresser(0, pack(), woman(), replace(PLAIN, legwear={"gaiters": 1.0}), "train"), shorts=False)
