"""Detail that goes on where nothing was seen: as strong as the seen, of the same layer only, the same every time."""

import torch

from apps.rerender.grain import _FINE, _LIMIT, _detail, continued_grain

SIZE = 256


def cloth(strength: float, layer: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(colour, layer, known): grey with noise on the left half, smooth and unknown on the right."""
    rng = torch.Generator().manual_seed(3)
    known = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    known[:, : SIZE // 2] = True
    colour = 0.5 + strength * torch.randn(SIZE, SIZE, 3, generator=rng) * known[..., None]
    return colour, torch.full((SIZE, SIZE), layer), known


def test_it_is_as_strong_as_what_is_seen_and_only_where_nothing_is():
    colour, layer, known = cloth(0.01)
    added = continued_grain(colour, layer, known)
    assert not added[known].any()
    own = _detail(colour.permute(2, 0, 1)[None], known)[0][0].permute(1, 2, 0)
    inside = own[8:-8, 8 : SIZE // 2 - 8]
    assert abs(float(added[~known].std() / inside.std()) - 1) < 0.1
    # no brighter or darker on the whole, and no seam where patches meet
    assert float(added[~known].mean().abs()) < 1e-3
    rows = added[:, SIZE // 2 :].std((1, 2))
    assert float(rows.max() / rows.min()) < 1.5


def test_it_is_the_same_every_time_and_another_with_another_seed():
    given = cloth(0.01)
    assert torch.equal(continued_grain(*given), continued_grain(*given))
    assert not torch.equal(continued_grain(*given), continued_grain(*given, seed=1))


def test_plain_cloth_stays_plain_and_other_layers_get_none():
    assert continued_grain(*cloth(0.0)).abs().max() < 1e-6
    colour, layer, known = cloth(0.01)
    layer[:, SIZE // 2 :] = 4  # nothing of that is seen
    assert not continued_grain(colour, layer, known).any()
    layer[:, SIZE // 2 :] = 0  # outside the islands
    assert not continued_grain(colour, layer, known).any()


def test_of_a_print_only_so_much_goes_on():
    assert continued_grain(*cloth(0.2)).abs().max() <= 4 * _LIMIT  # four patches overlap
    assert _FINE * SIZE > 3
