"""The canonical surfaces: six kinds of garments on bodies of several shapes have one map (METHOD, section 9)."""

import numpy as np
import pytest
import torch

from apps.layered.canonical import LAYERS, canonical
from bodymap import UserError
from bodymap.people import shells
from bodymap.people.material import Material
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.shape import draw_body
from bodymap.people.skirts import SkirtCut, make_skirt
from bodymap.people.wardrobe import Wardrobe
from bodymap.surface import colour, geodesic, load_template, points

PLAIN = Material(np.ones(3))


@pytest.fixture(scope="module")
def wardrobe():
    return Wardrobe.of(Pack.load())


@pytest.fixture(scope="module")
def bodies(wardrobe):
    return [draw_body(np.random.default_rng(seed), wardrobe.pack, "train") for seed in (1, 4)]


def garments(wardrobe, body):
    """(name, layer, legged, piece)."""
    a = wardrobe.anatomy
    hip, waist = a.heads["upperleg01.L"][2], a.heads["spine04"][2]
    leg = np.clip(a.leg / a.leg_length, 0, 1) * a.of("leg", "foot")
    arm = np.clip(a.arm / a.arm_length, 0, 1) * a.of("arm", "hand")
    trunk = np.clip((a.heads["neck01"][2] - 0.08 - a.rest[:, 2]) / 0.5, 0, 1.2) * a.of("torso")

    def grow(level, offset, source):
        return shells.grow(wardrobe, body, level, np.float32(offset), PLAIN, 3, "grown", source, 6)

    def top(sleeve, hem):
        opening = shells.neckline(a, 0.08, 0.06, 0.04, False)
        return np.maximum(np.maximum(shells.sleeves(a, sleeve), opening), shells.above(a, hem))

    def legs(share):
        return np.maximum(shells.below(a, waist), shells.legs(a, share * a.leg_length))

    def tube(top, share, **hang):
        return make_skirt(wardrobe, body, SkirtCut(top, share * a.leg_length, **hang), PLAIN, 3, "tube")

    return [
        ("T-shirt", "upper", False, grow(top(0.2, hip), 0.012 + 0.03 * trunk + 0.03 * arm, "tights")),
        ("shirt", "upper", False, grow(top(a.arm_length - 0.02, hip - 0.03), 0.01 + 0.01 * trunk, "skin")),
        ("hoodie", "upper", False, grow(top(a.arm_length, hip - 0.04), 0.02 + 0.04 * trunk + 0.03 * arm, "tights")),
        ("dress", "upper", False, tube(-0.1, 0.7, flare=0.1, margin=0.03)),
        ("trousers", "lower", True, grow(legs(0.97), 0.006 + 0 * leg, "skin")),
        ("wide trousers", "lower", True, grow(legs(0.97), 0.006 + 0.05 * leg, "tights")),
        ("shorts", "lower", True, grow(legs(0.55), 0.008 + 0.02 * leg, "tights")),
        ("skirt", "lower", False, tube(-0.06, 0.55, flare=0.1)),
        ("long skirt", "lower", False, tube(-0.06, 0.9, flare=0.3, pleats=10, pleat_depth=0.05)),
    ]


@pytest.fixture(scope="module")
def maps(wardrobe, bodies):
    """(name, surface, piece, body, where its vertices belong)."""
    found = []
    for body in bodies:
        for name, layer, legged, piece in garments(wardrobe, body):
            c, skin = canonical(layer), body.vertices[:SKIN_VERTICES]
            found.append((name, c, piece, body, c.bind(piece.vertices, skin, legged, piece.triangles)))
    return found


def place_at(piece, triangle, barycentric, surface, x, z, front=True):
    """Canonical position of the cloth that is met first on a straight way back (or forward) at (x, z)."""
    corners = piece.vertices[piece.triangles]
    p, q, r = (corners[:, k][:, [0, 2]] for k in range(3))

    def cross(u, v):
        return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]

    at = np.array([[x, z]])
    w = np.stack([cross(q - at, r - at), cross(r - at, p - at), cross(p - at, q - at)], 1)
    w = w / np.where(w.sum(1) == 0, np.inf, w.sum(1))[:, None]
    inside = np.flatnonzero((w > 0).all(1))
    if not len(inside):
        return None
    y = (w[inside] * corners[inside, :, 1]).sum(1)
    hit = inside[y.argmin() if front else y.argmax()]
    position = points.position(surface, triangle, barycentric).numpy()
    return (position[piece.triangles[hit]] * w[hit][:, None]).sum(0)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_surface_is_a_template(layer):
    c = canonical(layer)
    t = c.surface
    assert torch.isfinite(t.sample_geodesic).all() and (t.sample_geodesic == t.sample_geodesic.T).all()
    assert (t.code >= 0).all() and (t.code <= 1).all()
    mirrored = t.code[t.mirror_vertex]
    assert torch.allclose(mirrored, torch.stack([1 - t.code[:, 0], t.code[:, 1], t.code[:, 2]], 1), atol=1e-3)
    generator = torch.Generator().manual_seed(0)
    triangle = torch.randint(len(t.triangles), (400,), generator=generator)
    weight = torch.rand(400, 3, generator=generator)
    weight = weight / weight.sum(1, keepdim=True)
    code = points.code(t, triangle, weight)
    # what the network is asked for comes back: from colours, and from its scores
    bins = torch.arange(256)
    scores = -0.5 * ((bins - 255 * code[..., None]) / 3) ** 2
    found = colour.decode_scores(t, scores)
    error = geodesic.distance(t, *found[:2], triangle, weight)
    assert error.median() < 0.01 and (error < 0.05).float().mean() > 0.97
    same = geodesic.distance(t, *colour.decode_colour(t, code), triangle, weight)
    assert (same < 0.03).float().mean() > 0.98


def test_both_legs_and_bridges_are_apart():
    c = canonical("lower")
    t = c.surface
    assert c.bridge.any() and (c.hull & ~c.bridge).any() and (~c.hull).any()
    # the knee's inner side, and the middle of the front bridge at its height
    knee = t.vertices[t.triangles[~c.hull].reshape(-1)]
    knee = knee[(knee[:, 0] > 0) & ((knee[:, 2] + 0.35).abs() < 0.03)].mean(0)
    inner = points.closest(t, knee[None])
    front = c.bind(np.array([[0.0, -0.3, -0.35]]))
    assert c.bridge[front[0]].all()
    apart = (points.code(t, *inner) - points.code(t, *front)).abs().max()
    assert apart > 10 / 255


def test_no_edge_jumps(maps):
    for name, c, piece, _, where in maps:
        place = points.position(c.surface, *where).numpy()
        edges = piece.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        jump = np.linalg.norm(place[edges[:, 0]] - place[edges[:, 1]], axis=1)
        length = np.linalg.norm(piece.vertices[edges[:, 0]] - piece.vertices[edges[:, 1]], axis=1)
        # an edge's own length is no jump
        assert (jump - length).max() < 0.03, name


def test_the_same_place_on_every_garment(maps, bodies, wardrobe):
    """Chest, front centre, back centre, sides of the thigh and the knee, on all garments of a layer and all bodies."""
    pack = wardrobe.pack
    found: dict[tuple, list] = {}
    for name, c, piece, body, where in maps:
        joint = {label: body.heads[pack.bones.index(label)] for label in ("spine01", "spine04", "lowerleg01.L")}
        hip = body.heads[pack.bones.index("upperleg01.L")]
        knee = joint["lowerleg01.L"]
        spots = {
            "chest": (0.0, joint["spine01"][2], True),
            "left breast": (0.6 * body.heads[pack.bones.index("upperarm01.L")][0], joint["spine01"][2], True),
            "back": (0.0, joint["spine01"][2], False),
            "left of the belly": (0.8 * hip[0], 0.7 * hip[2] + 0.3 * joint["spine04"][2], True),
            "seat": (0.8 * hip[0], 0.9 * hip[2] + 0.1 * knee[2], False),
            "left knee": (knee[0], knee[2], True),
            "thigh": ((hip[0] + knee[0]) / 2, (hip[2] + knee[2]) / 2, True),
        }
        for spot, at in spots.items():
            place = place_at(piece, *where, c.surface, *at)
            if place is not None:
                found.setdefault((c.name, spot), []).append((name, place))
    assert {("lower", "left knee"), ("upper", "chest"), ("lower", "seat")} <= set(found)
    for key, places in found.items():
        xyz = np.array([place for _, place in places])
        spread = np.linalg.norm(xyz[:, None] - xyz[None], axis=-1)
        i, j = np.unravel_index(spread.argmax(), spread.shape)
        assert spread.max() < 0.05, (key, places[i], places[j])


def test_the_centre_line_of_a_skirt_stays_in_the_middle(maps):
    for name, c, piece, _, where in maps:
        if "skirt" not in name and name != "dress":
            continue
        place = points.position(c.surface, *where).numpy()
        line = np.abs(piece.vertices[:, 0]) < 0.004
        assert line.sum() > 20
        assert np.abs(place[line, 0]).max() < 0.01, name
        front = line & (piece.vertices[:, 1] < piece.vertices[:, 1].mean())
        # down the line the map goes down too
        order = np.argsort(piece.vertices[front, 2])
        assert np.diff(place[front, 2][order]).min() > -0.005, name


def test_template_points_give_the_place_above_them():
    t = load_template()
    generator = torch.Generator().manual_seed(1)
    triangle = torch.randint(len(t.triangles), (20, 30), generator=generator)
    triangle[0, 0] = -1
    weight = torch.full((20, 30, 3), 1 / 3)
    for layer in LAYERS:
        c = canonical(layer)
        place, corners = c.from_body(triangle, weight)
        assert place.shape == triangle.shape and place[0, 0] == -1 and (corners[0, 0] == 0).all()
        own = (c.body_triangle[place] == triangle) & (triangle >= 0)
        assert own.float().mean() > 0.05
        apart = points.position(c.surface, place[own], corners[own]) - points.position(t, triangle[own], weight[own])
        assert apart.norm(dim=-1).max() < 0.05

    # trousers of the engine, bound by their place or by their template point: the same within 3 cm
    wardrobe = Wardrobe.of(Pack.load())
    body = draw_body(np.random.default_rng(1), wardrobe.pack, "train")
    for name, layer, legged, piece in garments(wardrobe, body):
        if legged:
            c = canonical(layer)
            by_place = points.position(c.surface, *c.piece_points(piece))
            bound = points.closest(t, torch.from_numpy(piece.truth))
            by_point = points.position(c.surface, *c.from_body(*bound))
            assert (by_place - by_point).norm(dim=-1).quantile(0.95) < 0.03, name


def test_an_unknown_layer_is_refused():
    with pytest.raises(UserError, match="upper and lower"):
        canonical("middle")
