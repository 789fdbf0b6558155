"""Textures of several photos become one: whose colours, whose detail, and no seam in the light."""

import torch

from bodymap.warping import PartialTexture, fuse_textures

SIZE = 160


def partial(colour, confidence, layer=3) -> PartialTexture:
    seen = confidence > 0
    return PartialTexture(colour * seen[..., None], confidence, layer * seen.long())


def stripes(period: int, strength: float = 0.1) -> torch.Tensor:
    wave = strength * torch.sin(torch.arange(SIZE) * 2 * torch.pi / period)
    return (0.4 + wave)[None, :, None].expand(SIZE, SIZE, 3).clone()


def halves(overlap: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Confidences of two photos, of which one shows the left and one the right, and both the middle."""
    column = torch.arange(SIZE)
    left = (1 - column / SIZE).clamp_min(0.05) * (column < SIZE // 2 + overlap // 2)
    right = (column / SIZE).clamp_min(0.05) * (column >= SIZE // 2 - overlap // 2)
    return left.expand(SIZE, SIZE).clone(), right.expand(SIZE, SIZE).clone()


def test_one_photo_stays_what_it_is():
    one = partial(stripes(9), halves()[0])
    assert fuse_textures([one]) is one


def test_the_same_person_from_two_sides():
    truth = stripes(9)
    left, right = halves()
    fused = fuse_textures([partial(truth, left), partial(truth, right)])
    assert bool(fused.seen.all()) and (fused.layer == 3).all()
    # near the rims the means around a texel are of different texels
    assert (fused.colour - truth).abs().max() < 0.005
    assert torch.equal(fused.confidence, torch.where(1.5 * left >= right, left, right))


def test_other_light_is_brought_to_the_first_photos():
    truth = stripes(9)
    left, right = halves()
    cast = torch.tensor([1.2, 0.9, 0.8])
    fused = fuse_textures([partial(truth, left), partial(truth * cast, right)])
    assert (fused.colour - truth).abs().max() < 0.01


def test_a_shadow_gives_no_seam_and_keeps_detail():
    """The second photo's light differs where the photos do not overlap: it changes over softly, detail stays sharp."""
    truth = stripes(9)
    left, right = halves()
    shade = torch.linspace(0.7, 1.3, SIZE)[:, None, None]  # from top to bottom
    fused = fuse_textures([partial(truth, left), partial(truth * shade, right)])
    seam = (1.5 * left >= right).int().diff(dim=1).abs()[0].argmax()
    light = (fused.colour / truth)[:, :, 0]
    step = (light[:, seam + 1] - light[:, seam]).abs()
    hard = (shade[:, 0, 0] - 1).abs()
    assert step[:40].mean() < 0.4 * hard[:40].mean()
    contrast = fused.colour[80, 20:60, 0].std(), truth[80, 20:60, 0].std()
    assert abs(contrast[0] / contrast[1] - 1) < 0.05


def test_detail_of_two_photos_is_not_mixed():
    """The same stripes, three texels apart: their mean would be fainter."""
    truth, moved = stripes(9, 0.2), stripes(9, 0.2).roll(4, 1)
    left, right = halves(overlap=160)
    fused = fuse_textures([partial(truth, left), partial(moved, right)])
    for columns in (slice(5, 70), slice(100, 155)):
        assert fused.colour[80, columns, 0].std() > 0.9 * truth[80, columns, 0].std()
    assert (fused.colour[:, 100:150] - moved[:, 100:150]).abs().max() < 0.02


def test_layers_have_gains_of_their_own_and_nothing_stays_nothing():
    truth = torch.full((SIZE, SIZE, 3), 0.5)
    left, right = halves()
    left[:10] = right[:10] = 0
    layer = torch.full((SIZE, SIZE), 3)
    layer[80:] = 4
    other = truth.clone()
    other[80:] *= 0.7
    first = partial(truth, left, layer)
    fused = fuse_textures([first, partial(other, right, layer)])
    assert not fused.seen[:10].any() and (fused.colour[:10] == 0).all() and (fused.layer[:10] == 0).all()
    assert (fused.colour[12:78] - 0.5).abs().max() < 1e-3 and (fused.colour[90:, 120:] - 0.5).abs().max() < 0.01
    assert torch.equal(fused.layer[10:], layer[10:])
