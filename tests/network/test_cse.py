import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from support.sizes import PRESETS

from bodymap.losses.cse import embedding_loss, soft_truth
from bodymap.losses.facing import facing_loss
from bodymap.network.cse import (
    CSEOutput,
    GlobalContext,
    _embedding_at,
    correspondence_image,
    embedding_distance,
    evidence_at,
    mask_from_foreground,
)
from bodymap.network.model import build_model


@pytest.mark.parametrize("size", [(64, 48), (33, 50), (8, 7)])
def test_output_is_at_stride_4_for_any_size(tiny, size):
    output = tiny.cse.eval()(torch.rand(2, 3, *size))
    rows, columns = math.ceil(size[0] / 4), math.ceil(size[1] / 4)
    assert output.embedding.shape == (2, 16, rows, columns)
    assert output.foreground.shape == (2, 1, rows, columns)
    assert output.facing.shape == (2, 4)
    assert torch.allclose(output.embedding.norm(dim=1), torch.ones(2, rows, columns), atol=1e-5)


def test_default_stage_is_the_trial_network_and_takes_odd_sizes(sphere):
    stage = build_model(PRESETS["small"], sphere).cse.eval()
    assert stage(torch.rand(1, 3, 50, 37)).embedding.shape == (1, 16, 13, 10)


def test_distance_is_that_of_unit_vectors_and_its_gradient_is_finite_at_zero():
    a = F.normalize(torch.randn(20, 16), dim=1).requires_grad_()
    b = F.normalize(torch.randn(30, 16), dim=1)
    assert torch.allclose(embedding_distance(a, b), torch.cdist(a, b), atol=2e-3)
    embedding_distance(a, a.detach()).sum().backward()
    assert a.grad.isfinite().all()


def test_vertex_embedding_does_not_depend_on_how_eigenvectors_are_scaled(sphere):
    def embedding(template):
        torch.manual_seed(3)
        return build_model(PRESETS["tiny"], template).cse.vertex_embedding()

    scaled = replace(sphere, sample_eigenvectors=sphere.sample_eigenvectors * 100)
    assert torch.allclose(embedding(sphere), embedding(scaled), atol=1e-5)
    assert torch.allclose(embedding(sphere).norm(dim=1), torch.ones(64), atol=1e-5)


def test_decoding_a_samples_own_embedding_gives_its_colour(tiny, sphere):
    with torch.no_grad():
        tiny.cse.basis.normal_()  # far apart embeddings: no doubt about the sample
    colour, confidence = tiny.cse.decode(tiny.cse.vertex_embedding())
    assert (colour - sphere.sample_code).abs().max() < 0.02
    assert confidence.min() > 0.9


def test_decoding_between_two_neighbours_lands_between_their_colours(tiny, sphere):
    with torch.no_grad():
        tiny.cse.basis.normal_()
    embedding = tiny.cse.vertex_embedding().detach()
    tiny.cse.code = tiny.cse.code.clone()
    tiny.cse.code[1] = tiny.cse.code[0] + 0.04
    colour, _ = tiny.cse.decode(F.normalize(embedding[:1] + embedding[1:2], dim=1))
    assert torch.allclose(colour[0], tiny.cse.code[0] + 0.02, atol=0.003)
    # but two places with unlike codes are never mixed: one of them is taken, at half the confidence
    tiny.cse.code[1] = tiny.cse.code[0] + 0.4
    colour, confidence = tiny.cse.decode(F.normalize(embedding[:1] + embedding[1:2], dim=1))
    assert min((colour[0] - tiny.cse.code[i]).abs().max() for i in (0, 1)) < 0.02
    assert 0.35 < confidence.item() < 0.65


def two_halves(stage, left: int, right: int) -> CSEOutput:
    """Samples ``left`` and ``right`` side by side in rows 2..7, columns 2..9 of a 10 x 12 output."""
    embedding = stage.vertex_embedding().detach()
    image = torch.empty(1, 16, 10, 12)
    image[..., :6] = embedding[left].view(1, 16, 1, 1)
    image[..., 6:] = embedding[right].view(1, 16, 1, 1)
    foreground = torch.full((1, 1, 10, 12), -20.0)
    foreground[..., 2:8, 2:10] = 20
    return CSEOutput(image, foreground, torch.zeros(1, 4))


def test_correspondence_image_never_mixes_two_places(tiny, sphere):
    with torch.no_grad():
        tiny.cse.basis.normal_()
    image = correspondence_image(tiny.cse, two_halves(tiny.cse, 3, 60), (40, 48))
    assert image.shape == (1, 4, 40, 48)
    inside = image[0, 3] > 0
    expected = torch.zeros(40, 48, dtype=torch.bool)
    expected[8:32, 8:40] = True
    assert (inside ^ expected).sum() == 4  # the bilinear slope is cut at a half: only the corner pixels go
    assert (image[0, :, ~inside] == 0).all()
    for columns, sample in ((slice(8, 24), 3), (slice(24, 40), 60)):
        colour = image[0, :3, 8:32, columns]
        wrong = (colour - sphere.sample_code[sample].view(3, 1, 1)).abs().amax(0) > 0.02
        assert wrong.sum() == 2  # those corners


def test_looking_both_ways_sees_a_mirrored_image_alike(tiny):
    image = torch.rand(1, 3, 48, 40)
    stage = tiny.cse.eval()
    with torch.no_grad():
        here, there = stage.both_ways(image), stage.both_ways(image.flip(-1))
    assert torch.allclose(here.embedding, stage(image).embedding, atol=1e-5)
    assert torch.allclose(here.foreground, there.foreground.flip(-1), atol=1e-5)
    assert torch.allclose(here.embedding, there.mirrored.flip(-1), atol=1e-5)
    assert torch.allclose(here.facing, there.facing[:, [0, 3, 2, 1]], atol=1e-5)  # left and right change places
    with pytest.raises(ValueError, match="multiple of 4"):
        stage.both_ways(image[..., :38])


def test_the_mirrored_embedding_settles_a_doubt_between_two_sides(tiny, sphere):
    with torch.no_grad():
        tiny.cse.basis.normal_()
    vertices = tiny.cse.vertex_embedding()
    left, right = 5, int(sphere.sample_mirror[5])
    torn = F.normalize(vertices[left] + vertices[right], dim=0)[None]
    alone = tiny.cse.decode(torn)[1]
    # the mirror image shows the left place as a right one
    for place, other in ((left, right), (right, left)):
        colour, confidence = tiny.cse.decode(torn, vertices[other][None])
        assert (colour - sphere.sample_code[place]).abs().max() < 0.05
        assert confidence > alone


def test_evidence_at_pixels_is_highest_for_what_they_show(tiny, sphere):
    with torch.no_grad():
        tiny.cse.basis.normal_()
    output, mirror = two_halves(tiny.cse, 3, 60), sphere.sample_mirror
    pixels = torch.tensor([0, 0]), torch.tensor([20, 20]), torch.tensor([12, 36])
    evidence = evidence_at(tiny.cse, output, pixels, (40, 48))
    assert evidence.shape == (2, len(sphere.sample_code)) and evidence.argmax(1).tolist() == [3, 60]
    # the mirror image agrees on the left half only
    both = replace(output, mirrored=two_halves(tiny.cse, int(mirror[3]), int(mirror[5])).embedding)
    doubt = evidence_at(tiny.cse, both, pixels, (40, 48)) - evidence
    assert abs(doubt[0, 3]) < 0.1 and doubt[1, 60] < -0.5


@pytest.mark.parametrize("size", [(40, 48), (38, 45), (25, 31), (38, 60)])
def test_embeddings_between_cells_are_those_of_weighted_interpolation(size):
    embedding, weight = torch.randn(2, 16, 10, 12), torch.rand(2, 1, 10, 12) + 0.1
    everywhere = torch.ones(2, *size, dtype=torch.bool).nonzero(as_tuple=True)
    exact = (-(-size[0] // 4), -(-size[1] // 4)) == (10, 12)
    whole = F.interpolate(embedding * weight, (40, 48) if exact else size, mode="bilinear")[..., : size[0], : size[1]]
    expected = F.normalize(whole, dim=1).permute(0, 2, 3, 1).flatten(0, 2)
    assert torch.allclose(_embedding_at(embedding, weight, everywhere, size), expected, atol=1e-4)


def test_a_slanted_edge_between_two_places_has_no_blocks(tiny, sphere):
    """Two unlike places divided by a diagonal: nearest cells would give steps of four pixels."""
    with torch.no_grad():
        tiny.cse.basis.normal_()
    vertices = tiny.cse.vertex_embedding().detach()
    row, column = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    share = ((column - row) / 2 + 0.5).clamp(0, 1)  # cells on the diagonal are torn between both
    embedding = F.normalize(torch.lerp(vertices[3][:, None, None], vertices[60][:, None, None], share), dim=0)
    output = CSEOutput(embedding[None], torch.full((1, 1, 24, 24), 20.0), torch.zeros(1, 4))
    image = correspondence_image(tiny.cse, output, (96, 96))[0, :3]
    is_right = (image - sphere.sample_code[60].view(3, 1, 1)).abs().amax(0) < 0.02
    edge = is_right.float().argmax(1)[8:80]  # the first column on the right place, row by row
    assert (edge.diff() <= 2).all() and (edge.diff() >= 0).all()


def test_what_lies_beyond_the_silhouette_does_not_colour_its_rim(tiny):
    with torch.no_grad():
        tiny.cse.basis.normal_()
    tiny.cse.code = tiny.cse.code.clone()
    tiny.cse.code[60] = tiny.cse.code[3] + 0.04  # alike enough to be interpolated
    output = two_halves(tiny.cse, 3, 3)
    stray = output.embedding.clone()
    stray[0, :, output.foreground[0, 0] < 0] = tiny.cse.vertex_embedding().detach()[60][:, None]
    image = correspondence_image(tiny.cse, replace(output, embedding=stray), (40, 48))
    inside = image[0, 3] > 0
    assert inside.any()
    assert (image[0, :3, inside] - tiny.cse.code[3][:, None]).abs().max() < 0.003


def test_correspondence_image_of_an_odd_size_is_the_even_one_cut(tiny):
    output = two_halves(tiny.cse, 3, 60)
    whole, cut = (correspondence_image(tiny.cse, output, size) for size in ((40, 48), (37, 46)))
    assert torch.equal(whole[..., :37, :46], cut)


def test_mask_covers_the_foreground_and_a_little_more(tiny):
    mask = mask_from_foreground(two_halves(tiny.cse, 3, 60), (40, 48))
    assert mask[0, 0, 8:32, 8:40].min() > 0.99
    assert mask[0, 0, 6, 20] > 0.5 and mask[0, 0, 2, 20] < 0.2
    assert 0 <= mask.min() and mask.max() <= 1


def test_context_adds_nothing_at_the_start_but_learns():
    context = GlobalContext(8, 16)
    x = torch.randn(2, 8, 3, 4)
    y, facing = context(x)
    assert torch.equal(x, y)
    (y.square().sum() + facing.sum()).backward()
    assert context.back.weight.grad.abs().sum() > 0
    assert context.hidden[0].weight.grad.abs().sum() > 0


def test_context_reaches_every_pixel():
    context = GlobalContext(8, 16)
    with torch.no_grad():
        context.back.weight.normal_()
    x = torch.randn(1, 8, 5, 5)
    elsewhere = x.clone()
    elsewhere[..., 4, 4] += 3
    assert (context(x)[0] - context(elsewhere)[0]).abs().amax(1).min() > 1e-3


def test_stage_learns_place_and_facing(tiny, sphere):
    """Two images that differ only in a stripe at the border: the pixel's place must follow from the whole picture."""
    torch.manual_seed(0)
    images = torch.rand(1, 3, 32, 32).repeat(2, 1, 1, 1)
    images[0, :, :, :4], images[1, :, :, :4] = 0, 1
    target = torch.tensor([5, 50]).repeat_interleave(64)
    facing = torch.tensor([0.0, math.pi])
    stage = tiny.cse.train()
    optimizer = torch.optim.AdamW(stage.parameters(), lr=5e-3, fused=True)
    for _ in range(40):
        output = stage(images)
        distance = embedding_distance(output.embedding.permute(0, 2, 3, 1).flatten(0, 2), stage.vertex_embedding())
        place = embedding_loss(distance, target, soft_truth(sphere.sample_geodesic, 0.05), stage.config.sigma)
        loss = place + facing_loss(output.facing, facing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert output.facing.argmax(1).tolist() == [0, 2]
    assert (distance.argmin(1) == target).float().mean() > 0.95
