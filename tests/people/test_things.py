"""Things around people and things they wear, carry and have printed on them: every entry of every registry."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from bodymap.errors import UserError
from bodymap.people import Pack, PeopleConfig
from bodymap.people.anatomy import template
from bodymap.people.carried import BAGS, HELD, carried_things, closed_hands
from bodymap.people.config import OutfitConfig, SceneConfig
from bodymap.people.dressing import Dresser
from bodymap.people.fitting import landmark
from bodymap.people.lookalikes import picture
from bodymap.people.mesh import Mesh, Piece
from bodymap.people.pack import SKIN_VERTICES
from bodymap.people.pattern import PATTERNS, draw_pattern
from bodymap.people.primitives import box, lathe, rod, rounded, sheet, tube
from bodymap.people.prints import METRES, PRINTS, PlacedMaterial, draw_print, place_print
from bodymap.people.props import Props
from bodymap.people.shape import Body, draw_body
from bodymap.people.skinning import pose_skeleton, skin
from bodymap.people.stage import Actor
from bodymap.people.streams import stream
from bodymap.people.things import THINGS, draw_thing, make_thing
from bodymap.people.wardrobe import Wardrobe
from bodymap.people.worn import WORN, worn_things
from bodymap.types import LAYER_NAMES

UPPER, CARRIED = LAYER_NAMES.index("upper"), LAYER_NAMES.index("carried")


@cache
def pack() -> Pack:
    return Pack.load(None)


@cache
def props() -> Props:
    return Props(pack(), PeopleConfig(scene=SceneConfig(companions=2)), "train")


def world(actor: Actor) -> np.ndarray:
    """Where the vertices stand that triangles use."""
    m = actor.mesh
    vertices = skin(m.vertices.numpy(), m.index.numpy().astype(int), m.weight.numpy(), np.asarray(actor.bones))
    for start, draped in actor.draped:
        vertices[start : start + len(draped)] = draped
    return vertices[np.unique(m.triangles.numpy())]


def check_mesh(mesh: Mesh) -> None:
    assert len(mesh.triangles)
    assert 0 <= int(mesh.triangles.min()) and int(mesh.triangles.max()) < len(mesh.vertices)
    assert 0 <= int(mesh.uv_triangles.min()) and int(mesh.uv_triangles.max()) < len(mesh.uv)
    assert int(mesh.piece.max()) < len(mesh.materials) == len(mesh.layers)
    for field in (mesh.vertices, mesh.uv, mesh.cloth, mesh.rest, mesh.weight):
        assert torch.isfinite(field).all()
    assert torch.allclose(mesh.weight.sum(1), torch.ones(len(mesh.weight)), atol=1e-4)


@pytest.mark.parametrize("kind", sorted(THINGS))
def test_every_thing_stands_on_the_floor(kind: str) -> None:
    for seed in range(2):
        actors = make_thing(kind, stream(seed, kind), props())
        for actor in actors:
            check_mesh(actor.mesh)
            assert actor.instance == 0 and actor.bones.shape[1:] == (3, 4)
        vertices = np.concatenate([world(actor) for actor in actors])
        assert np.isfinite(vertices).all() and np.abs(vertices).max() < 4.5
        size = vertices.max(0) - vertices.min(0)
        # nothing sinks in or floats (balls fly); a statue's pose may reach a little below its feet
        limit = (-0.06, 1.3) if kind == "ball" else (-0.06, 0.06) if kind in ("statue", "mannequin") else (-0.03, 0.03)
        low = float(vertices[:, 2].min())
        assert limit[0] < low < limit[1] or (kind == "poster" and low < 1.3), (kind, low)
        assert size.max() > 0.1


def test_tables_name_things_that_exist() -> None:
    scene, outfit = SceneConfig(), OutfitConfig()
    assert set(scene.occluders) <= set(THINGS) and set(scene.distractors) <= set(THINGS)
    assert set(scene.occluders) | set(scene.distractors) == set(THINGS)
    assert set(outfit.worn) == set(WORN) and set(outfit.bags) == set(BAGS) and set(outfit.helds) == set(HELD)
    assert set(outfit.patterns) == set(PATTERNS) and set(outfit.prints) == set(PRINTS)


def test_unknown_names_are_refused() -> None:
    rng, body = stream(0, "x"), draw_body(stream(0, "body"), pack(), "train")
    with pytest.raises(UserError, match="unicorn"):
        draw_thing(rng, {"unicorn": 1.0}, props())
    with pytest.raises(UserError, match="unicorn"):
        draw_pattern(0, {"unicorn": 1.0})
    with pytest.raises(UserError, match="unicorn"):
        draw_print(0, (("unicorn", 1.0),))
    wardrobe = Wardrobe.of(pack())
    for config in (OutfitConfig(bag=1, bags={"unicorn": 1}), OutfitConfig(bag=0, held=1, helds={"unicorn": 1})):
        with pytest.raises(UserError, match="unicorn"):
            carried_things(rng, wardrobe, body, config, "train")
    with pytest.raises(UserError, match="unicorn"):
        worn_things(rng, Dresser(0, pack(), body, OutfitConfig(worn={"unicorn": 1.0}), "train"))


def test_statues_are_of_one_material_and_keep_no_hair_cards() -> None:
    statue = make_thing("statue", stream(3, "statue"), props())[0]
    colours = {tuple(np.round(m.colour, 4)) for m in statue.mesh.materials}
    assert len(colours) == 1 and not any(m.alpha for m in statue.mesh.materials)
    assert (statue.mesh.template_triangle == -1).all()


def test_pictures_are_made_once_and_show_somebody() -> None:
    first = picture(0, props())
    assert first.dtype == np.uint8 and first.shape[2] == 3 and first.std() > 5
    assert picture(0, props()) is first


def test_clothes_on_hangers_are_nobody() -> None:
    actor = make_thing("hanger", stream(1, "hanger"), props())[0]
    assert actor.instance == 0 and set(actor.mesh.layers) == {0}
    # the garment is its own: skin texture is nowhere
    assert all(m.texture is None or m.texture.shape[0] > 0 for m in actor.mesh.materials)
    depth = np.ptp(world(actor)[:, 1])
    assert depth < 0.45


# ------------------------------------------------------------------ primitives
def closed(triangles: np.ndarray, vertices: np.ndarray) -> bool:
    """Every edge between different places is shared by two triangles."""
    _, same = np.unique(np.round(vertices, 6), axis=0, return_inverse=True)
    t = same.reshape(-1)[triangles]
    t = t[(t[:, 0] != t[:, 1]) & (t[:, 1] != t[:, 2]) & (t[:, 2] != t[:, 0])]
    edges = np.sort(np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]]), 1)
    return bool((np.unique(edges, axis=0, return_counts=True)[1] == 2).all())


def volume(vertices: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = (vertices[triangles[:, k]].astype(float) for k in range(3))
    return abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6))


def test_solids_are_closed_and_have_their_volume() -> None:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ring = tube(np.stack([0.5 * np.cos(t), 0.5 * np.sin(t), 0 * t], 1), 0.1, 32, closed=True)
    cases = [
        (box((0.1, 0.2, 0.3)), 0.048),
        (rod((0, 0, 0), (0, 1, 1), 0.1, 64), np.pi * 0.01 * 2**0.5),
        (lathe([(0, 0), (0.2, 0), (0.2, 0.5), (0, 0.5)], 64), np.pi * 0.04 * 0.5),
        (rounded((0.1, 0.1, 0.1), 1.0, 48, 48), 4 / 3 * np.pi * 0.001),
        (ring, 2 * np.pi**2 * 0.5 * 0.01),
    ]
    for (vertices, triangles), expected in cases:
        assert closed(triangles, vertices)
        assert volume(vertices, triangles) == pytest.approx(expected, rel=0.02)
    x, y = np.meshgrid(np.linspace(0, 1, 3), np.linspace(0, 1, 4))
    vertices, triangles = sheet(np.stack([x, y, 0 * x], -1))
    assert len(vertices) == 12 and len(triangles) == 12


# ------------------------------------------------------------------ worn and held
@cache
def dressed(seed: int) -> Dresser:
    body = draw_body(stream(seed, "body"), pack(), "train")
    dresser = Dresser(seed, pack(), body, OutfitConfig(worn={}, bag=0, held=0), "train")
    dresser.separates(stream(seed, "outfit"))
    return dresser


def check_bound(piece: Piece, body: Body, limit: float) -> None:
    """Finite, with valid indices; every vertex lies within ``limit`` of the place it is bound to, on this body."""
    assert len(piece.triangles) and piece.triangles.max() < len(piece.vertices) and piece.triangles.min() >= 0
    assert np.isfinite(piece.vertices).all() and np.isfinite(piece.truth).all()
    assert np.allclose(piece.skin_weight.sum(1), 1, atol=1e-3) and piece.skin_index.max() < len(pack().bones.labels)
    t = template()
    used = np.unique(piece.triangles)
    truth = torch.from_numpy(np.ascontiguousarray(piece.truth[used], np.float32))
    distance, vertex = torch.cdist(truth, t.vertices.float()).min(1)
    assert float(distance.max()) < 0.03  # on the template
    if piece.drape is None:
        away = np.linalg.norm(piece.vertices[used] - body.vertices[:SKIN_VERTICES][vertex.numpy()], axis=1)
        assert away.max() < limit, (piece.name, away.max())


@pytest.mark.parametrize("kind", sorted(WORN))
def test_worn_things_lie_on_the_body(kind: str) -> None:
    found = 0
    for seed in range(3):
        dresser = dressed(seed)
        for thing in WORN[kind](stream(seed, kind), dresser):
            check_bound(thing.piece, dresser.body, 0.25)
            found += 1
    assert found or kind in ("necklace", "socks")  # which clothes may hide


def test_glasses_sit_before_the_eyes_and_on_the_ears() -> None:
    for seed in range(4):
        dresser = dressed(seed)
        piece = WORN["glasses"](stream(seed, "glasses"), dresser)[0].piece
        eye = dresser.body.heads[pack().bones.index("eye.L")]
        front = piece.vertices[piece.vertices[:, 1] < eye[1] - 0.012]
        assert np.abs(front[:, 2].mean() - eye[2]) < 0.02
        for side in (1.0, -1.0):
            ear = dresser.body.vertices[landmark(dresser.wardrobe, "ear_root", side)]
            assert np.linalg.norm(piece.vertices - ear, axis=1).min() < 0.008
        assert piece.layer == CARRIED


@pytest.mark.parametrize("kind", sorted({**BAGS, **HELD}))
def test_carried_things_are_bound_to_what_carries_them(kind: str) -> None:
    config = OutfitConfig(bag=float(kind in BAGS), held=float(kind in HELD), bags={kind: 1.0}, helds={kind: 1.0})
    body = draw_body(stream(1, "body"), pack(), "train")
    bones = pack().bones
    posed = pose_skeleton(bones.parents, body.heads, np.tile(np.eye(3), (len(bones.labels), 1, 1)))
    things = carried_things(stream(0, kind), Wardrobe.of(pack()), body, config, "train")
    assert things
    gaps: list[float] = []
    for thing in things:
        piece = thing.piece
        assert piece.layer == CARRIED
        check_bound(piece, body, 1.0)
        if piece.drape is not None:
            hanging = piece.drape(body.vertices[:SKIN_VERTICES], posed)
            assert hanging.shape == piece.vertices.shape and np.isfinite(hanging).all()
            gaps.append(np.linalg.norm(hanging - posed.position[piece.drape.hand], axis=1).min())
    assert not gaps or min(gaps) < 0.25  # an umbrella's cloth is far from the hand, its shaft is not


def test_hands_close_around_what_they_hold() -> None:
    config = OutfitConfig(bag=0, held=1, helds={"mug": 1.0})
    body = draw_body(stream(1, "body"), pack(), "train")
    pieces = tuple(t.piece for t in carried_things(stream(0, "m"), Wardrobe.of(pack()), body, config, "train"))
    labels = pack().bones.labels
    rest = np.tile(np.eye(3, dtype=np.float32), (len(labels), 1, 1))
    closed_pose = closed_hands(rest, pieces, pack())
    moved = {labels[j] for j in np.flatnonzero(np.abs(closed_pose - rest).max((1, 2)) > 0.05)}
    side = labels[int(pieces[0].skin_index[0, 0])][-1]
    assert moved and all(label.startswith("finger") and label.endswith(side) for label in moved)
    assert closed_hands(rest, (), pack()) is not rest


# ------------------------------------------------------------------ prints
def test_patterns_are_drawn_once_and_follow_the_seed() -> None:
    for kind in PATTERNS:
        tile, size = draw_pattern(3, {kind: 1.0})
        assert tile.shape == (128, 128, 3) and tile.dtype == np.uint8 and 0.05 < size < 0.7
        assert draw_pattern(3, {kind: 1.0})[0] is tile
        assert any(draw_pattern(s, {kind: 1.0})[0].std((0, 1)).max() > 2 for s in range(3)), kind


@pytest.mark.parametrize("kind", ["lettering", "logo", "photo"])
def test_prints_of_one_side_show_there_and_nowhere_else(kind: str) -> None:
    """Looks the print up at every vertex of a shirt: only chest or back differ from the plain cloth."""
    wardrobe = Wardrobe.of(pack())
    a = wardrobe.anatomy
    from bodymap.people import shells

    for seed in range(6):
        tile, side = draw_print(seed, ((kind, 1.0),))
        assert side in ("front", "back")
        material = PlacedMaterial(np.ones(3, np.float32), pattern=tile, pattern_size=METRES, side=side)
        body = Body(pack().base_vertices, pack().base_heads, np.zeros(1), True, 30.0)
        level = np.maximum(shells.sleeves(a, 0.3), shells.above(a, 0.05))
        shirt = shells.grow(wardrobe, body, level, np.full(len(level), 0.01, np.float32), material, UPPER, "shirt")
        placed = place_print(shirt, a)
        where = (placed.cloth / METRES % 1 * len(tile)).astype(int) % len(tile)
        colour = tile[where[:, 1], where[:, 0]].astype(int)
        plain = tile[int(0.55 * len(tile)), len(tile) // 2].astype(int)
        printed = np.abs(colour - plain).max(1) > 30
        if not printed.any():
            continue  # a small logo between the vertices
        y = placed.rest[printed, 1] - a.heads["upperarm01.L"][1]
        assert ((y < 0.03) if side == "front" else (y > -0.03)).all()
        assert np.abs(placed.rest[printed, 0]).max() < 0.2
    assert place_print(shirt, a).cloth is not shirt.cloth
