"""Normals of a posed surface, against turned and mirrored bodies whose normals are known."""

from dataclasses import replace

import numpy as np
import torch

from apps.rerender.normals import Normals, vertex_normals
from bodymap.fitting.picture import draw
from bodymap.surface import load_template
from bodymap.types import Camera


def turn(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def standing() -> np.ndarray:
    """The template before a camera: x right, y down, z away."""
    x, y, z = load_template().vertices.numpy().astype(float).T
    return np.stack([x, -z, y + 4], 1)


CAMERA = Camera(np.array([[300, 0, 80], [0, 300, 80], [0, 0, 1]], np.float32), np.eye(4, dtype=np.float32), (160, 160))


def test_normals_look_outwards_and_turn_with_the_body():
    template, body = load_template(), standing()
    normals = vertex_normals(template, body)
    crown = (body[:, 1] < body[:, 1].min() + 0.04) & (template.vertex_triangles[:, 0] >= 0).numpy()
    assert crown.sum() > 20 and (normals[crown, 1] < 0).all()
    turned = vertex_normals(template, body @ turn(70).T)
    assert np.abs(turned.numpy() - normals.numpy() @ turn(70).T).max() < 1e-3


def test_what_a_camera_sees_faces_it():
    template, body = load_template(), standing()
    shown = (body - body.mean(0)) @ turn(50).T + body.mean(0)
    map_ = draw(shown, CAMERA)
    normals = Normals.between(template, body, shown)
    pixels = normals.at_pixels(template, map_).permute(1, 2, 0)
    before, after, facing = pixels[torch.from_numpy(map_.mask)].split([3, 3, 1], -1)
    assert (facing > 0).float().mean() > 0.97 and torch.equal(facing, -after[:, 2:])
    expected = before.numpy() @ turn(50).T
    assert np.abs(after.numpy() - expected).max() < 1e-3
    assert not pixels[~torch.from_numpy(map_.mask)].any()
    nothing = normals.at_pixels(template, replace(map_, mask=np.zeros_like(map_.mask)))
    assert not nothing.any()


def test_the_atlas_has_the_normals_of_the_photo():
    template, body = load_template(), standing()
    form = Normals.between(template, body, body @ turn(90).T).at_texels(template, 64)
    lengths = form.norm(dim=0)
    assert form.shape == (3, 64, 64) and 0.2 < (lengths > 0.8).float().mean() < 0.95 and (lengths == 0).any()
