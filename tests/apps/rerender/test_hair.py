"""Long hair is a shell about the head: of a standing body on whose picture hair is painted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import trimesh

from apps.rerender.avatar import make_avatar
from apps.rerender.export import write_mesh
from apps.rerender.hair import hair_region, hanging, make_hair
from apps.rerender.view import render_rgba
from bodymap.fitting.picture import draw
from bodymap.people.anatomy import template
from bodymap.people.skinning import rotation_vector
from bodymap.types import LAYER_NAMES, PART_NAMES, Camera, Correspondence

HAIR, HEAD = LAYER_NAMES.index("hair"), PART_NAMES.index("head")
BROWN, SKIN, SHIRT = np.array([(110, 70, 40), (220, 180, 150), (40, 60, 160)], np.uint8)
CAMERA = Camera(
    np.array([[900.0, 0, 110], [0, 900, 150], [0, 0, 1]], np.float32), np.eye(4, dtype=np.float32), (300, 220)
)
UP = np.array([0.0, -1.0, 0.0])


def body(degrees: float = 0.0) -> np.ndarray:
    """The template, two metres before the camera, its chin in the middle; turned to its right."""
    rest = template().vertices.numpy().astype(float)
    head = np.flatnonzero(template().vertex_part.numpy() == HEAD)
    there = (rest - rest[head].mean(0) * [1, 1, 1]) @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    return there @ rotation_vector(np.radians(degrees) * UP).T + [0.0, 0.0, 2.0]


@cache
def painted(degrees: float = 0.0, length: float = 0.2) -> tuple[np.ndarray, Correspondence]:
    """(photo, map): hair 2 cm about the head and down to ``length`` metres below its middle, but for the face."""
    vertices = body(degrees)
    seen = draw(vertices, CAMERA)
    rows, columns = np.indices(CAMERA.size)
    down, across = (rows + 0.5 - 150) * 2 / 900, (columns + 0.5 - 110) * 2 / 900
    head = seen.mask & (seen.part == HEAD)
    top = down[head].min()
    cap = (across / 0.1) ** 2 + ((down - top - 0.08) / 0.1) ** 2 < 1
    curtain = (np.abs(across) < 0.1) & (down > top + 0.08) & (down < length)
    face = (np.abs(across) < 0.055) & (down > top + 0.05) if abs(degrees) < 90 else np.zeros_like(head)
    hair = (cap | curtain) & ~face
    photo = np.where((seen.part == HEAD)[..., None], SKIN, SHIRT) * seen.mask[..., None] + 255 * ~seen.mask[..., None]
    photo = np.where(hair[..., None], BROWN, photo).astype(np.uint8)
    part = np.where(hair & ~seen.mask, HEAD, seen.part)
    layer = np.where(hair, HAIR, seen.layer)
    return photo, replace(seen, mask=seen.mask | hair, part=part.astype(np.int16), layer=layer.astype(np.int8))


def made(degrees: float = 0.0):
    photo, map_ = painted(degrees)
    region = hair_region(map_)
    return region, make_hair(photo, map_, region, body(degrees), UP, CAMERA)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def test_long_hair_is_told_from_short() -> None:
    assert hair_region(painted()[1]) is not None
    assert hair_region(painted(length=0.0)[1]) is None
    _, map_ = painted()
    assert hair_region(replace(map_, layer=np.where(map_.layer == HAIR, 1, map_.layer))) is None
    region = hair_region(map_)
    loose = hanging(map_, region)
    assert loose.any() and not (loose & ~region).any()
    head = template().vertices.numpy()[template().vertex_part.numpy() == HEAD]
    assert np.nonzero(loose & (map_.part == HEAD))[0].min() > 150 + 0.2 * 450 * np.ptp(head[:, 2])


def test_the_photos_view_shows_the_photos_hair() -> None:
    region, hair = made()
    shown, colour = hair.over(body(), CAMERA)
    assert iou(shown, region) > 0.85
    assert np.abs(colour[shown & region] * 255 - BROWN).mean() < 6


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_other_views_have_hair_behind_and_none_on_the_face(angle: float) -> None:
    _, hair = made()
    turned = body(angle)
    shown, colour = hair.over(turned, CAMERA)
    seen = draw(turned, CAMERA)
    head = seen.mask & (seen.part == HEAD)
    covered = (shown & head).sum() / head.sum()
    assert covered > 0.85 and (angle == 180 or (head & ~shown).sum() > 30)  # from the side, the profile
    assert np.abs(colour[shown] * 255 - BROWN).mean() < 12
    assert shown[np.abs(np.indices(CAMERA.size)[0] - 150) < 60].any()


def test_from_behind_the_face_stays_free() -> None:
    region, hair = made(180.0)
    assert hair is not None
    assert iou(hair.over(body(180.0), CAMERA)[0], region) > 0.85
    shown, _ = hair.over(body(), CAMERA)
    seen = draw(body(), CAMERA)
    nose = body()[template().vertex_part.numpy() == HEAD]
    at = nose[nose[:, 2].argmin()]
    column, row = (at[:2] / at[2] * 900 + [110, 150]).astype(int)
    assert seen.part[row, column] == HEAD and not shown[row - 4 : row + 5, column - 4 : column + 5].any()


def test_hair_far_from_the_head_makes_none() -> None:
    photo, map_ = painted()
    region = hair_region(map_)
    assert make_hair(photo, map_, region, body() + [0.0, 0.4, 0.0], UP, CAMERA) is None
    assert make_hair(photo, map_, region, body(), -UP, CAMERA) is None  # somebody on their head


def test_an_avatar_has_it_and_exports_it(tmp_path) -> None:
    photo, map_ = painted()
    avatar = make_avatar(photo, map_, texture_size=128)
    assert avatar.hair is not None and avatar.shells == [avatar.hair]
    assert len(avatar.extent(avatar.vertices)) > len(avatar.vertices)
    rgb, alpha = render_rgba(avatar, avatar.vertices, avatar.fit.camera)
    rows, columns = np.nonzero(hair_region(map_) & (alpha[..., 0] > 0.5))
    assert len(rows) > 0.85 * hair_region(map_).sum()
    assert np.median(np.abs(rgb[rows, columns] - BROWN).mean(-1)) < 8
    write_mesh(tmp_path / "a.glb", avatar, avatar.vertices)
    scene = trimesh.load(tmp_path / "a.glb")
    assert set(scene.geometry) == {"person", "hair"}
    assert scene.geometry["hair"].visual.material.alphaMode == "MASK"
