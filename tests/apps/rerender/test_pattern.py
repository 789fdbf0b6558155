"""A garment's pattern goes on where it was not seen."""

from __future__ import annotations

import torch

from apps.rerender.pattern import GARMENTS, _repeats, continued_pattern

SIZE = 256


def striped(amplitude: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Stripes of 16 texels on the left half of an upper garment; the right half, not known, has their mean."""
    layer = torch.full((SIZE, SIZE), GARMENTS[0])
    known = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    known[:, : SIZE // 2] = True
    stripes = 0.5 + amplitude * torch.sign(torch.sin(2 * torch.pi * (torch.arange(SIZE) + 0.5) / 16))
    colour = torch.where(known[..., None], stripes[:, None, None], torch.tensor(0.5)).expand(SIZE, SIZE, 3)
    return colour.contiguous(), layer, known


def test_stripes_go_on_at_their_distance() -> None:
    colour, layer, known = striped(0.2)
    added = continued_pattern(colour, layer, known)
    assert not added[known].any()
    across = added[:, SIZE // 2 :]
    assert (across - across[:, :1]).abs().max() < 0.02  # along a stripe nothing changes
    # a change every eight texels; where the piece meets its mirror image one is as long as two
    edges = int((across[1:, 0, 0].sign() != across[:-1, 0, 0].sign()).sum())
    assert abs(edges - SIZE // 8) <= 8
    assert across.abs().mean() > 0.1


def test_plain_cloth_stays_plain_and_skin_has_no_pattern() -> None:
    colour, layer, known = striped(0.02)
    assert not continued_pattern(colour, layer, known).any()
    colour, layer, known = striped(0.2)
    assert not continued_pattern(colour, torch.ones_like(layer), known).any()


def test_what_lies_on_the_cloth_is_not_repeated() -> None:
    colour, layer, known = striped(0.1)
    colour[40:60, 20:60] = torch.tensor([1.0, 0.0, 0.0])  # a badge
    added = continued_pattern(colour, layer, known)[:, SIZE // 2 :]
    assert (added[..., 0] - added[..., 1]).abs().max() < 0.02


def test_of_little_lively_cloth_patches_go_on() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = torch.full((SIZE, SIZE), GARMENTS[0])
    known = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    known[60:180, 100:124] = True  # too narrow for a piece that is seen to repeat
    blotches = torch.rand(1, 1, SIZE // 3 + 1, SIZE // 3 + 1, generator=generator)
    blotches = torch.nn.functional.interpolate(blotches, scale_factor=3.0)[0, 0, :SIZE, :SIZE, None]
    cloth = torch.cat([blotches, blotches, 0.2 + 0 * blotches], -1)
    colour = torch.where(known[..., None], cloth, torch.tensor([0.5, 0.5, 0.2]))
    added = continued_pattern(colour, layer, known)
    assert not added[known].any()
    made = (colour + added)[~known]
    assert made[:, 0].std() > 0.5 * cloth[known][:, 0].std()
    assert (made[:, 2] - 0.2).abs().max() < 0.02 and (made[:, 0] - made[:, 1]).abs().max() < 0.02


def test_stripes_and_checks_repeat_and_blotches_do_not() -> None:
    at = torch.arange(96)
    stripes = torch.sin(2 * torch.pi * at / 16)
    generator = torch.Generator().manual_seed(1)
    blotches = torch.rand(1, 1, 24, 24, generator=generator)
    blotches = torch.nn.functional.interpolate(blotches, scale_factor=4.0, mode="bilinear")[0, 0]
    for cloth, expected in (
        (stripes[:, None].expand(96, 96), True),
        (stripes[:, None] + stripes, True),
        (blotches, False),
    ):
        assert _repeats(cloth[..., None].expand(-1, -1, 3)) == expected
