"""The truth of random pictures, checked pixel by pixel by rays that share no code with what made it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from support import raycaster

from bodymap.people import Pack, PeopleConfig, sample
from bodymap.people.anatomy import template
from bodymap.types import Camera, Sample

SIZE = (128, 96)
SEEDS = range(8)
PIXELS = 400  # of each picture
EDGE = 2e-3  # a ray this close to the edge of a triangle (barycentric) may fall on either side of it
BENT = 1e-2  # the engine bends a lens's picture at the vertices, rays bend it everywhere (barycentric)
ALPHA = 110  # of 255: more opaque than this is solid
LARGEST = 2e-3  # square metres: the parallelogram of a triangle counts with no more in the normals of its corners


@dataclass(frozen=True)
class Set:
    """What stood before the camera of one picture, as plain arrays.

    ``alpha[k]``: (texture height, width) of a piece cut out by its texture, else None. ``wrinkled[k]``: the piece has
    wrinkles, which its vertices include and its ``normals`` do not.
    """

    vertices: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    uv_triangles: np.ndarray
    truth: np.ndarray
    piece: np.ndarray
    template_triangle: np.ndarray
    instance: np.ndarray
    layers: np.ndarray
    alpha: tuple
    wrinkled: np.ndarray
    camera: Camera
    factor: int


def photograph(seed: int) -> tuple[Sample, Set]:
    """One picture and what it was taken of: the only place that knows how ``sample`` is made inside."""
    module = importlib.import_module("bodymap.people.studio")
    kept = []

    def spy(*arguments, **named):
        kept.append(expose(*arguments, **named))
        return kept[-1]

    config = PeopleConfig(size=SIZE, covered=True)
    with pytest.MonkeyPatch.context() as patch:
        expose = module.expose
        patch.setattr(module, "expose", spy)
        made = sample(seed, seed, seed, seed, pack=_pack(), config=config)
    film = kept[-1]
    stage = film.geometry.stage(0)
    # others that hid too much of the subject were sent away
    shown = (stage.instance == 1) | (not film.alone[0])
    faces = ("triangles", "uv_triangles", "piece", "template_triangle", "instance")
    cut_out = [m.alpha and m.texture is not None and m.texture.shape[-1] == 4 for m in stage.materials]
    return made, Set(
        **{name: getattr(stage, name)[shown].numpy() for name in faces},
        **{name: getattr(stage, name).numpy() for name in ("vertices", "normals", "uv", "truth")},
        layers=np.array(stage.layers),
        alpha=tuple(m.texture[..., 3] if cut else None for m, cut in zip(stage.materials, cut_out, strict=True)),
        wrinkled=np.array([m.relief > 0 for m in stage.materials]),
        camera=made.camera,
        factor=config.supersample,
    )


@cache
def _pack() -> Pack:
    return Pack.load(None)


# ---------------------------------------------------------------------- what rays see
@dataclass(frozen=True)
class Seen:
    """What each chosen pixel shows by rays. ``face`` (P,), ``barycentric`` (P, 3) of the set, -1 where not the subject;
    ``clear`` (P,): no ray of the pixel passes so close to an edge that rounding decides."""

    foreground: np.ndarray
    instance: np.ndarray
    face: np.ndarray
    barycentric: np.ndarray
    position: np.ndarray
    clear: np.ndarray


def see(scene: Set, row: np.ndarray, column: np.ndarray) -> Seen:
    """A pixel is the subject's when half of its samples are; its truth is that of the first, diagonal ones first."""
    assert scene.factor == 2
    places = ((0.25, 0.25), (0.75, 0.75), (0.75, 0.25), (0.25, 0.75))  # (right, down)
    instance, face, weight, position, clear = [], [], [], [], []
    for right, down in places:
        pixels = np.stack([column + right, row + down], 1)
        camera = scene.camera
        eye, direction = raycaster.pixel_rays(camera.intrinsics, camera.T_camera_world, pixels, camera.distortion)
        hits = raycaster.cast(scene.vertices, scene.triangles, eye, direction, nearest=0.1, farthest=50.0)
        first = hits.first(opaque(scene, hits), len(pixels))
        some = first >= 0
        instance.append(np.where(some, scene.instance[hits.face[first]], 0))
        face.append(np.where(some, hits.face[first], -1))
        weight.append(np.where(some[:, None], hits.barycentric[first], 0))
        position.append(eye + direction * np.where(some, hits.distance[first], 0)[:, None])
        clear.append(~some | (hits.barycentric[first].min(1) > EDGE))
    instance, face = np.stack(instance), np.stack(face)
    mine = instance == 1
    foreground = mine.sum(0) >= 2
    others = np.where((instance > 1).sum(0) >= 2, instance.max(0), 0)
    chosen, pixel = mine.argmax(0), np.arange(len(row))
    return Seen(
        foreground=foreground,
        instance=np.where(foreground, 1, others),
        face=np.where(foreground, face[chosen, pixel], -1),
        barycentric=np.stack(weight)[chosen, pixel],
        position=np.stack(position)[chosen, pixel],
        clear=np.stack(clear).all(0),
    )


def naked(scene: Set) -> Set:
    """The subject's whole skin and nothing else; its vertices come first in the set."""
    t = template()
    outer = np.flatnonzero(t.triangle_inner.numpy() == 0)
    none = np.zeros(len(outer), int)
    triangles = t.triangles.numpy()[outer]
    return replace(
        scene,
        triangles=triangles,
        uv_triangles=triangles,
        piece=none,
        template_triangle=outer,
        instance=none + 1,
        alpha=(None,),
        wrinkled=np.zeros(1, bool),
    )


def opaque(scene: Set, hits: raycaster.Hits) -> np.ndarray:
    """Which hits the textures do not cut away: the texel that the uv coordinates fall into."""
    out = np.ones(len(hits.face), bool)
    for k, alpha in enumerate(scene.alpha):
        mine = np.flatnonzero(scene.piece[hits.face] == k)
        if alpha is None or not len(mine):
            continue
        corners = scene.uv[scene.uv_triangles[hits.face[mine]]].astype(np.float64)
        u, v = (corners * hits.barycentric[mine][..., None]).sum(1).T % 1
        height, width = alpha.shape
        texel = alpha[np.minimum(v * height, height - 1).astype(int), np.minimum(u * width, width - 1).astype(int)]
        out[mine] = texel > ALPHA
    return out


@cache
def compared(seed: int) -> dict[str, np.ndarray]:
    """Per looked-at pixel whether rays and truth agree, and by how much they differ."""
    made, scene = photograph(seed)
    rng = np.random.default_rng(seed)
    inside, outside = np.flatnonzero(made.foreground), np.flatnonzero(~made.foreground)
    flat = np.concatenate(
        [
            rng.choice(inside, min(len(inside), PIXELS), replace=False),
            rng.choice(outside, min(len(outside), PIXELS // 4), replace=False),
        ]
    )
    row, column = np.divmod(flat, SIZE[1])
    seen = see(scene, row, column)
    truth = {name: getattr(made, name)[row, column] for name in ("foreground", "instance", "triangle", "barycentric")}
    both = np.flatnonzero(seen.foreground & truth["foreground"])
    face, weight = seen.face[both], seen.barycentric[both]
    corners = scene.triangles[face]

    t = template()
    vertices, triangles = t.vertices.numpy().astype(np.float64), t.triangles.numpy()
    said_triangle = truth["triangle"][both]
    said = (vertices[triangles[said_triangle]] * truth["barycentric"][both][..., None].astype(np.float64)).sum(1)

    # bare skin: the triangle it is; everything else: the closest place to where it is bound
    bare = scene.template_triangle[face] >= 0
    place = (scene.truth[corners].astype(np.float64) * weight[..., None]).sum(1)
    outer = triangles[t.triangle_inner.numpy() == 0]
    nearest = place.copy()
    nearest[~bare] = raycaster.closest_point(vertices, outer, place[~bare])[1]
    excess = np.linalg.norm(said - place, axis=1) - np.linalg.norm(nearest - place, axis=1)

    # where the picture's truth says the eye sees bare skin, on the posed body; its vertices come first in the set
    posed = (scene.vertices[triangles[said_triangle]].astype(np.float64) * truth["barycentric"][both][..., None]).sum(1)
    # the body under everything, alone
    hidden = see(naked(scene), row, column)
    said_hidden, under = made.covered_triangle[row, column], hidden.face >= 0
    own = np.where(under, naked(scene).template_triangle[hidden.face], -1)
    under_clear = under & hidden.clear & (own == said_hidden)
    return {
        "under": (own == said_hidden)[hidden.clear],
        "under_weight": np.abs(hidden.barycentric - made.covered_barycentric[row, column]).max(1)[under_clear],
        "clear": seen.clear,
        "foreground": seen.foreground == truth["foreground"],
        "instance": seen.instance == truth["instance"],
        "both_clear": seen.clear[both],
        "bare": bare,
        "triangle": scene.template_triangle[face] == said_triangle,
        "weight": np.abs(weight - truth["barycentric"][both]).max(1),
        "point": np.linalg.norm(said - nearest, axis=1),
        "excess": excess,
        "layer": scene.layers[scene.piece[face]] == made.layer[row, column][both],
        "depth": np.linalg.norm(posed - seen.position[both], axis=1),
        "normal": _angle(normals(scene, seen.position[both], face, weight), made.normal[row, column][both]),
    }


def normals(scene: Set, position: np.ndarray, face: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Unit normals in camera axes, (P, 2, 3): towards the eye, and the other way if it is seen so nearly from the side
    that either may be meant."""
    corner = scene.vertices[scene.triangles].astype(np.float64)
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    area *= np.minimum(1, LARGEST / np.maximum(np.linalg.norm(area, axis=1, keepdims=True), 1e-300))
    total = np.stack(
        [
            np.bincount(scene.triangles.reshape(-1), np.repeat(area[:, k], 3), minlength=len(scene.vertices))
            for k in range(3)
        ],
        1,
    )
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)
    wrinkled = np.unique(scene.triangles[scene.wrinkled[scene.piece]])
    total[wrinkled] = scene.normals[wrinkled]
    smooth = (total[scene.triangles[face]] * weight[..., None]).sum(1)
    smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-300)
    T = scene.camera.T_camera_world.astype(np.float64)
    view = -T[:3, :3].T @ T[:3, 3] - position
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    toward = (smooth * view).sum(1)
    near = np.where(toward < -0.05, -1, 1)
    far = np.where(np.abs(toward + 0.05) < 0.01, -near, near)
    return np.stack([smooth * near[:, None], smooth * far[:, None]], 1) @ T[:3, :3].T


def _angle(mine: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Degrees to the better of the possible normals."""
    return np.degrees(np.arccos(np.clip((mine * said[:, None]).sum(-1).max(1), -1, 1)))


def together(name: str) -> np.ndarray:
    return np.concatenate([compared(seed)[name] for seed in SEEDS])


# ---------------------------------------------------------------------- the checks
def test_rays_hit_a_known_triangle() -> None:
    """One triangle in the plane z = 2, seen through a camera at the origin."""
    vertices = np.array([[-1.0, -1, 2], [1, -1, 2], [-1, 1, 2]])
    K = np.array([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]])
    pixels = np.array([[25.0, 25], [50, 50 - 1e-6], [75, 75]])
    eye, direction = raycaster.pixel_rays(K, np.eye(4), pixels)
    hits = raycaster.cast(vertices, np.array([[0, 1, 2]]), eye, direction)
    assert hits.ray.tolist() == [0, 1]
    assert np.allclose(hits.distance, 2)
    assert np.allclose(hits.barycentric[0], [0.5, 0.25, 0.25])
    assert np.allclose(hits.barycentric[1], [0, 0.5, 0.5], atol=1e-6)


def test_closest_point_of_a_cube() -> None:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]
    triangles = np.array([[q[0], q[1], q[2]] for q in quads] + [[q[0], q[2], q[3]] for q in quads])
    places = np.random.default_rng(0).uniform(1.1, 2.0, (50, 3)) * [1, 1, 0] + [0, 0, 0.4]
    _, point = raycaster.closest_point(corners, triangles, places)
    assert np.allclose(point, np.clip(places, 0, 1))


def test_foreground_and_instance() -> None:
    clear = together("clear")
    assert clear.mean() > 0.8
    for name in ("foreground", "instance"):
        agree = together(name)
        assert agree.mean() > 0.995, name
        assert agree[clear].mean() > 0.999, name


def test_layer() -> None:
    agree = together("layer")
    assert agree.mean() > 0.995
    assert agree[together("both_clear")].mean() > 0.999


def test_bare_skin_is_the_triangle_that_the_ray_hits() -> None:
    clear = together("bare") & together("both_clear")
    assert clear.sum() > 150
    assert together("triangle")[together("bare")].mean() > 0.99
    assert together("triangle")[clear].mean() > 0.999
    same = clear & together("triangle")
    weight = together("weight")[same]
    assert np.quantile(weight, 0.99) < 1e-3 and weight.max() < BENT
    # the same point in space: two millimetres, of pixels that are a centimetre wide
    assert together("depth")[same].max() < 2e-3


def test_the_body_under_the_clothes() -> None:
    agree = together("under")
    assert len(agree) > 2000 and agree.mean() > 0.998
    weight = together("under_weight")
    assert np.quantile(weight, 0.99) < 1e-3 and weight.max() < BENT


def test_bound_things_are_projected_to_the_closest_point() -> None:
    clear = ~together("bare") & together("both_clear") & together("layer")
    assert clear.sum() > 400
    assert together("excess")[clear].max() < 1e-4
    # where two places are equally close, either may be meant
    point = together("point")[clear]
    assert np.median(point) < 1e-4 and (point < 2e-3).mean() > 0.98


def test_normals() -> None:
    angle = together("normal")[together("both_clear") & together("layer")]
    # the engine sums in integers
    assert np.quantile(angle, 0.99) < 0.1 and angle.max() < 1
