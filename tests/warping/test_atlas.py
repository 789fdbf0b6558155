"""The atlas against the template's own functions, and look-ups that must not cross from one island to another."""

import pytest
import torch

from bodymap.surface import load_template, points
from bodymap.warping.atlas import PADDING, get_atlas, grow, sample_texture, triangle_islands

SIZE = 256


@pytest.fixture(scope="module")
def atlas():
    return get_atlas(load_template(), SIZE)


def texel_centres(size):
    line = (torch.arange(size) + 0.5) / size
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def test_every_texel_knows_its_place(atlas):
    t = load_template()
    inside = atlas.covered
    uv = points.uv(t, atlas.triangle[inside], atlas.barycentric[inside])
    assert (uv - texel_centres(SIZE)[inside]).abs().max() < 1e-5
    assert 0.55 < inside.float().mean() < 0.7
    assert get_atlas(t, SIZE) is atlas


def test_islands_are_the_connected_pieces_of_the_layout():
    t = load_template()
    island = triangle_islands(t)
    # a UV vertex belongs to one island only, and each island grows from one triangle to all of it
    lowest = torch.full((len(t.uv),), 99).scatter_reduce(
        0, t.uv_triangles.flatten(), island.repeat_interleave(3), "amin"
    )
    highest = torch.full((len(t.uv),), -1).scatter_reduce(
        0, t.uv_triangles.flatten(), island.repeat_interleave(3), "amax"
    )
    used = highest >= 0
    assert torch.equal(lowest[used], highest[used])
    for k in range(int(island.max()) + 1):
        faces = t.uv_triangles[island == k]
        reached = torch.zeros(len(t.uv), dtype=torch.bool)
        reached[faces[0]] = True
        while True:
            grown = faces[reached[faces].any(1)].unique()
            if reached[grown].all():
                break
            reached[grown] = True
        assert reached[faces].all()


def test_mirrored_texels_lie_at_the_mirrored_place(atlas):
    t = load_template()
    inside = atlas.covered
    here = torch.zeros(SIZE, SIZE, 3)
    here[inside] = points.position(t, atlas.triangle[inside], atlas.barycentric[inside])
    there, weight = sample_texture(here, atlas.mirror_uv[inside], atlas.mirror_island[inside], atlas)
    error = (there - here[inside] * torch.tensor([-1.0, 1.0, 1.0])).norm(dim=-1)
    assert (weight > 0).all()
    assert error.median() < 1e-3 and error.quantile(0.99) < 0.01


def test_padding_takes_the_nearest_texel_of_the_island(atlas):
    outside = (atlas.source >= 0) & ~atlas.covered
    rows, columns = torch.nonzero(outside, as_tuple=True)
    source = atlas.source[outside]
    assert atlas.covered.view(-1)[source].all()
    assert torch.equal(atlas.island[outside], atlas.island.view(-1)[source])
    gap = torch.maximum((rows - source // SIZE).abs(), (columns - source % SIZE).abs())
    assert gap.max() <= PADDING


def test_sampling_reproduces_a_linear_texture_and_padded_rims(atlas):
    t = load_template()
    texture = texel_centres(SIZE)
    # texel centres of one big island, moved a little: all four neighbours lie on it
    inner = grow(torch.where(atlas.covered, -1, 0), 3) < 0
    uv = texture[inner] + torch.tensor([0.3, -0.4]) / SIZE
    found, weight = sample_texture(texture, uv, atlas.island[inner], atlas)
    assert torch.allclose(found, uv, atol=1e-5) and torch.allclose(weight, torch.ones_like(weight))
    # one value an island: no look-up at any corner of any triangle, rims included, may mix two
    values = atlas.island.float()[..., None]
    island = triangle_islands(t)
    for corner in range(3):
        found, weight = sample_texture(values, t.uv[t.uv_triangles[:, corner]], island, atlas)
        assert (weight > 0).all()
        assert torch.allclose(found[:, 0], island.float(), atol=1e-5)


def test_weights_leave_unknown_texels_out(atlas):
    texture = torch.where(texel_centres(SIZE)[..., :1] < 0.5, 0.25, 1.0)
    known = (texture[..., 0] == 0.25).float()
    inside = atlas.covered
    found, weight = sample_texture(
        texture, texel_centres(SIZE)[inside] + 0.4 / SIZE, atlas.island[inside], atlas, known
    )
    assert torch.allclose(found[weight > 1e-6], torch.tensor(0.25))
    assert (found[weight == 0] == 0).all()
