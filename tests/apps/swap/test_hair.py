"""Hair on the clothes, in textures whose every texel is known."""

import torch

from apps.swap.hair import wisps
from apps.swap.labels import HAIR, UPPER
from bodymap.warping.image_to_texture import PartialTexture

CLOTH, DARK = torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.1, 0.05, 0.05])


def texture(cloth=CLOTH):
    """A lock of 32 x 32 texels on the garment, 256 each way; below it a wisp, half hair, half cloth."""
    size = 256
    colour, layer = cloth.expand(size, size, 3).clone(), torch.full((size, size), UPPER)
    lock, wisp = torch.zeros(2, size, size, dtype=torch.bool)
    lock[100:132, 100:132] = True
    wisp[132:138, 110:116] = True
    layer[lock] = HAIR
    colour[lock], colour[wisp] = DARK, (DARK + cloth) / 2
    return PartialTexture(colour, torch.ones(size, size), layer), lock, wisp


def test_wisps_and_a_rim_beside_a_lock_are_no_cloth():
    partial, lock, wisp = texture()
    found = wisps(partial, lock)
    assert found[wisp].all() and not found[lock].any()
    # a centimetre all around it, and nothing else
    rim = torch.zeros_like(lock)
    rim[98:134, 98:134] = True
    assert torch.equal(found, (rim | wisp) & ~lock)


def test_what_is_dark_far_from_hair_is_cloth():
    partial, lock, wisp = texture()
    partial.colour[200:206] = DARK
    assert not wisps(partial, lock)[180:].any()


def test_where_cloth_is_as_dark_as_hair_the_rim_alone_goes():
    for partial, lock, _ in (texture(DARK + 0.01), texture()):
        partial.colour[:, ::4] = DARK  # stripes like hair, all over
        found = wisps(partial, lock)
        assert int(found.sum()) == 36 * 36 - 32 * 32


def test_without_hair_there_are_no_wisps():
    partial, lock, _ = texture()
    assert not wisps(partial, torch.zeros_like(lock)).any()
