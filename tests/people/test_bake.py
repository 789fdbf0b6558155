"""A baked texture is what the film shows: the same colours and layers, texel by texel, in the same light."""

import numpy as np
import pytest
import torch

from bodymap.people import Pack, PeopleConfig
from bodymap.people.bake import bake, unwrap
from bodymap.people.config import OutfitConfig
from bodymap.people.film.film import expose
from bodymap.people.film.stagehand import Take
from bodymap.people.light import Light, harmonics
from bodymap.people.person import build_person
from bodymap.people.pose import draw_pose
from bodymap.people.stage import Actor
from bodymap.people.streams import stream
from bodymap.surface import load_template, points
from bodymap.types import LAYER_NAMES, Camera

SIZE = 256


@pytest.fixture(scope="module")
def scene():
    # prints as fine as texels would be blurred by them
    pack, config = Pack.load(None), PeopleConfig(outfit=OutfitConfig(pattern=0.0))
    person = build_person(3, pack, config, "train")
    placed = person.place(pack, draw_pose(stream(3, "pose"), pack, person.body.heads, config.pose, "train"))
    irradiance = np.zeros((9, 3), np.float32)
    irradiance[0] = 0.5 / 0.282095
    irradiance += harmonics(np.array([0.6, -0.6, 0.5]))[:, None] * np.array([0.5, 0.4, 0.3], np.float32)
    light = Light(irradiance.astype(np.float32), np.array([0.0, 0.0, 1.0], np.float32), np.zeros(3, np.float32), 0.0)
    return person, placed, light


def look(placed, behind: bool) -> Camera:
    side = -1 if behind else 1
    T = np.eye(4, dtype=np.float32)
    T[:3, :3] = [[side, 0, 0], [0, 0, -1], [0, side, 0]]
    middle = placed.probe.mean(0)
    T[:3, 3] = -T[:3, :3] @ middle + np.array([0, 0, 5.0])
    focal = 5.0 * 0.85 * 320 / np.ptp(placed.probe, axis=0).max()
    return Camera(np.array([[focal, 0, 160], [0, focal, 160], [0, 0, 1]], np.float32), T, (320, 320))


@pytest.mark.parametrize("behind", [False, True])
def test_it_is_what_a_camera_sees(scene, behind):
    person, placed, light = scene
    baked = bake(person, unwrap(person), placed, light, SIZE)
    shot = expose([Take((Actor.person(person, placed, 1),), look(placed, behind), light)])
    t = load_template()
    seen = shot.triangle[0] >= 0
    uv = points.uv(t, shot.triangle[0][seen].long(), shot.barycentric[0][seen])
    column, row = (uv * SIZE).long().clamp(0, SIZE - 1).unbind(1)
    layer, known = baked.layer[row, column], baked.known[row, column]
    theirs = shot.layer[0][seen].long()
    worn = theirs != LAYER_NAMES.index("carried")
    assert known[worn].float().mean() > 0.97
    same = known & (layer == theirs)
    assert same[worn].float().mean() > 0.9
    mine, photo = (
        baked.colour[row, column][same],
        (shot.colour[0] / shot.cover[0][..., None].clamp_min(1e-3))[seen][same],
    )
    error = (mine - photo).abs().mean(1)
    assert error.median() < 0.02
    assert (
        torch.corrcoef(torch.stack([mine.reshape(-1), photo.reshape(-1)]))[0, 1] > 0.85
    )  # texels are coarser than pixels


def test_it_repeats_and_follows_the_light(scene):
    person, placed, light = scene
    unwrapped = unwrap(person)
    one, two = (bake(person, unwrapped, placed, light, 64) for _ in range(2))
    assert torch.equal(one.colour, two.colour) and torch.equal(one.layer, two.layer)
    brighter = bake(person, unwrapped, placed, Light(2 * light.irradiance, light.sun, light.sun_colour, 0.0), 64)
    known = one.known
    ratio = brighter.colour[known].mean() / one.colour[known].mean()
    assert 1.9 < ratio < 2.1
