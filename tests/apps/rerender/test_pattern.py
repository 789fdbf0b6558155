"""A garment's pattern goes on where it was not seen."""

from __future__ import annotations

import torch

from apps.rerender.pattern import GARMENTS, continued_pattern
from bodymap.warping import PartialTexture

SIZE, HALF = 256, 128
NOWHERE = torch.zeros(SIZE, SIZE, dtype=torch.bool)


def garment(cloth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(colour, layer, known) of an upper garment whose left half is known: ``cloth``; the right half has its mean."""
    layer = torch.full((SIZE, SIZE), GARMENTS[0])
    known = NOWHERE.clone()
    known[:, :HALF] = True
    mean = cloth[:, :HALF].mean((0, 1))
    return torch.where(known[..., None], cloth, mean), layer, known


def opposite(cloth: torch.Tensor, layer: torch.Tensor) -> PartialTexture:
    """Facing the right half lies what the left half shows."""
    seen = NOWHERE.clone()
    seen[:, HALF:] = True
    laid = torch.cat([torch.zeros_like(cloth[:, :HALF]), cloth[:, :HALF]], 1)
    return PartialTexture(laid, seen.float(), layer * seen)


def stripes(amplitude: float) -> torch.Tensor:
    rows = 0.5 + amplitude * torch.sign(torch.sin(2 * torch.pi * (torch.arange(SIZE) + 0.5) / 16))
    return rows[:, None, None].expand(SIZE, SIZE, 3).contiguous()


def test_stripes_go_on_at_their_height() -> None:
    colour, layer, known = garment(stripes(0.2))
    added = continued_pattern(colour, layer, known, opposite(colour, layer))
    assert not added[known].any()
    made = (colour + added)[16:-16, HALF + 4 :]
    assert (made - stripes(0.2)[16:-16, HALF + 4 :]).abs().mean() < 0.05


def test_skin_has_no_pattern_and_bands_have_theirs() -> None:
    colour, layer, known = garment(stripes(0.2))
    skin = torch.ones_like(layer)
    assert not continued_pattern(colour, skin, known, opposite(colour, skin)).any()
    assert not continued_pattern(colour, layer, known, opposite(colour, layer), ~NOWHERE).any()


def test_what_lies_on_the_cloth_is_not_repeated() -> None:
    cloth = stripes(0.02)
    cloth[40:60, 60:80] = torch.tensor([1.0, 0.0, 0.0])  # a badge
    colour, layer, known = garment(cloth)
    added = continued_pattern(colour, layer, known, opposite(colour, layer))
    assert added.abs().max() < 0.05
    assert added[100:, HALF + 4 :].abs().mean() > 0.01  # the cloth's own stripes are


def test_a_shirt_in_an_open_jacket_is_no_part_of_its_back() -> None:
    cloth = stripes(0.05) - 0.3
    cloth[:, 50:80] = 0.95
    colour, layer, known = garment(cloth)
    colour[:, HALF:] = 0.2
    added = continued_pattern(colour, layer, known, opposite(colour, layer))
    assert added[:, HALF:].max() < 0.15
    assert added[:, HALF : HALF + 40].abs().mean() > 0.03


def test_where_nothing_lies_opposite_patches_go_on() -> None:
    generator = torch.Generator().manual_seed(0)
    blotches = torch.rand(1, 1, SIZE // 3 + 1, SIZE // 3 + 1, generator=generator)
    blotches = torch.nn.functional.interpolate(blotches, scale_factor=3.0)[0, 0, :SIZE, :SIZE, None]
    cloth = torch.cat([blotches, blotches, 0.2 + 0 * blotches], -1)
    layer = torch.full((SIZE, SIZE), GARMENTS[0])
    known = NOWHERE.clone()
    known[60:180, 100:124] = True
    colour = torch.where(known[..., None], cloth, torch.tensor([0.5, 0.5, 0.2]))
    nothing = PartialTexture(torch.zeros_like(colour), torch.zeros(SIZE, SIZE), torch.zeros_like(layer))
    added = continued_pattern(colour, layer, known, nothing)
    assert not added[known].any()
    made = (colour + added)[~known]
    assert made[:, 0].std() > 0.5 * colour[known][:, 0].std()
    assert (made[:, 2] - 0.2).abs().max() < 0.02 and (made[:, 0] - made[:, 1]).abs().max() < 0.02


def test_plain_cloth_stays_plain() -> None:
    colour, layer, known = garment(torch.full((SIZE, SIZE, 3), 0.4))
    assert continued_pattern(colour, layer, known, opposite(colour, layer)).abs().max() < 1e-5
