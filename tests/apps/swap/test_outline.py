"""Edges found by colour, on pictures whose edges are known."""

import numpy as np
import torch

from apps.swap.outline import outline, redrawn

PERSON, BEHIND = torch.tensor([0.8, 0.2, 0.1]), torch.tensor([0.1, 0.5, 0.9])


def disc(radius, size=80):
    at = torch.arange(size) + 0.5 - size / 2
    return (at[:, None].square() + at.square()).sqrt() - radius


def mixed(share, one=PERSON, other=BEHIND):
    return torch.lerp(other.expand(*share.shape, 3), one.expand(*share.shape, 3), share[..., None])


def test_the_outline_knows_how_much_of_a_pixel_is_the_person():
    # the true edge is two pixels inside the mask, and a pixel and a half wide
    share = (0.5 - disc(24) / 1.5).clamp(0, 1)
    mask = disc(26) < 0
    photo = mixed(share)
    edge = outline(photo, mask, 4)
    assert (edge.cover[~mask] == 0).all() and (edge.cover[disc(20) < 0] == 1).all()
    # rather too much than too little
    assert (edge.cover - share)[mask].abs().mean() < 0.06 and (edge.cover - share)[mask & (share > 0.4)].min() > -0.05
    # with another person in its place no trace of the old one is left
    new = torch.tensor([0.2, 0.9, 0.3])
    cleaned = photo + edge.clean
    result = torch.lerp(cleaned, new.expand_as(photo), edge.cover[..., None])
    assert (result - mixed(share, new))[mask].abs().mean() < 0.03


def test_alike_colours_leave_the_masks_own_shape():
    mask = disc(26) < 0
    edge = outline(torch.full((80, 80, 3), 0.5), mask, 4)
    assert edge.clean.abs().max() < 1e-6
    assert (edge.cover[~mask] == 0).all() and (edge.cover[disc(20) < 0] == 1).all()
    # a mask that is the whole picture has no edge: the photo's rim is none
    assert (outline(torch.rand(20, 20, 3), torch.ones(20, 20, dtype=torch.bool), 4).cover == 1).all()


def test_a_coarse_label_is_redrawn_along_the_photos_edge():
    truth, within = disc(20) < 0, torch.ones(80, 80, dtype=torch.bool)
    coarse = torch.from_numpy(np.kron((disc(20)[::8, ::8] < 0).numpy(), np.ones((8, 8), bool)))
    photo = mixed(truth.float())
    before, after = (float((label != truth).float().mean()) for label in (coarse, redrawn(coarse, photo, within, 8)))
    assert before > 0.04 and after < 0.15 * before
    # and stays where nothing tells the sides apart
    assert torch.equal(redrawn(truth, torch.full_like(photo, 0.3), within, 8), truth)


def test_a_print_along_the_outline_is_the_persons():
    mask = disc(26) < 0
    photo = mixed((0.5 - disc(26)).clamp(0, 1))
    # darker than both, out to the edge
    dark = mask & (torch.arange(80)[:, None] > 36) & (torch.arange(80)[:, None] < 44)
    photo[dark] = torch.tensor([0.02, 0.02, 0.02])
    edge = outline(photo, mask, 4)
    assert edge.cover[dark].min() > 0.95
    assert edge.clean[dark].abs().max() < 0.02


def test_a_pattern_in_the_backgrounds_colour_is_no_hole_in_the_outline():
    mask = disc(26) < 0
    photo = mixed((0.5 - disc(26)).clamp(0, 1))
    plain = outline(photo, mask, 4).cover
    # a dot inside, and a narrow stripe out to the edge
    dot = (disc(24) < 0) & (disc(22) > 0) & (torch.arange(80)[:, None] < 24) & ((torch.arange(80) - 40).abs() < 2)
    stripe = mask & ((torch.arange(80)[:, None] - 40).abs() < 2) & (torch.arange(80) > 40)
    photo[dot | stripe] = BEHIND
    assert dot.sum() > 4 and stripe.sum() > 40
    cover = outline(photo, mask, 4).cover
    assert cover[dot].min() > 0.95 and (cover - plain)[stripe].min() > -0.1
    # background that the mask has for the person for long is none of them
    slab = mask & (torch.arange(80)[:, None] > 52) & (disc(23) > 0)
    photo[slab] = BEHIND
    cover = outline(photo, mask, 4).cover
    assert cover[slab & (torch.arange(80)[:, None] > 56)].mean() < 0.25
