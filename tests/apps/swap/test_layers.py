"""Layer maps in a swap: garments are where they have them."""

import numpy as np
import pytest
from support.mapped import HAIR, LOWER, SHOES, SKIN, UPPER, correspondence, dressed, with_changes

from apps.swap.transfer import swap
from bodymap.errors import UserError
from bodymap.layer_maps import with_layers
from bodymap.types import PART_NAMES, LayerMaps

ONE = {
    SKIN: (0.9, 0.7, 0.6),
    HAIR: (0.2, 0.1, 0.1),
    UPPER: (0.1, 0.3, 0.8),
    LOWER: (0.3, 0.3, 0.3),
    SHOES: (0.5, 0.1, 0),
}
TWO = {SKIN: (0.45, 0.3, 0.2), HAIR: (0, 0, 0), UPPER: (0.8, 0.7, 0.1), LOWER: (0.1, 0.5, 0.2), SHOES: (0.9, 0.9, 0.9)}
BODY = (SKIN, HAIR, SHOES)


def layers_of(c) -> LayerMaps:
    """What Layered-BodyMap would say is visible, if the map is right."""
    visible = np.select([c.layer == UPPER, c.layer == LOWER, np.isin(c.layer, BODY)], [2, 3, 1], 0)
    return LayerMaps(c, None, None, visible.astype(np.int8))


def mistaken(c):
    """A map that takes the left half of the chest for the lower garment and the shins for it, too."""
    chest = (c.layer == UPPER) & (c.part == PART_NAMES.index("torso_front"))
    chest &= np.arange(c.size[1]) < np.flatnonzero(chest.any(0)).mean()
    shins = np.isin(c.part, [k for k, name in enumerate(PART_NAMES) if name.endswith("foot")]) & (c.layer == SHOES)
    return with_changes(c, layer=np.where(chest | shins, LOWER, c.layer).astype(np.int8)), chest, shins


def test_garments_are_where_the_layers_have_them():
    c = correspondence(0.0)
    wrong, chest, shoes = mistaken(c)
    assert chest.sum() > 500 and shoes.sum() > 100
    right = with_layers(wrong, layers_of(c))
    assert (right.layer[chest] == UPPER).all()
    # the layers call skin, hair and shoes one body: which of them is the nearest one's, but no garment
    assert np.isin(right.layer[shoes], BODY).all()
    rest = ~chest & ~shoes
    assert np.array_equal(right.layer[rest], c.layer[rest]) and np.array_equal(right.mask, c.mask)
    assert with_layers(wrong, None) is wrong
    # beyond the map's outline, and where they show nobody, nothing changes
    narrow = with_changes(
        wrong, mask=wrong.mask & (wrong.layer != SKIN), layer=np.where(c.layer == SKIN, 0, wrong.layer)
    )
    assert not with_layers(narrow, layers_of(c)).layer[~narrow.mask].any()
    nobody = LayerMaps(c, None, None, np.zeros(c.size, np.int8))
    assert np.array_equal(with_layers(wrong, nobody).layer, wrong.layer)


def test_they_put_a_swap_right_on_either_side():
    source, target = correspondence(0.0), correspondence(0.3)
    photos = dressed(source, ONE), dressed(target, TWO)

    def upper(source_map, target_map, **layers):
        return swap(
            photos[0], source_map, photos[1], target_map, "upper", texture_size=256, shading=0.0, **layers
        ).image

    def changed(image):
        own = target.layer == UPPER
        return (np.abs(image[own].astype(int) - np.array(ONE[UPPER]) * 255).max(-1) < 16).mean()

    bad = mistaken(target)[0]
    assert changed(upper(source, bad)) < 0.85
    assert changed(upper(source, bad, tgt_layers=layers_of(target))) > 0.95
    bad = mistaken(source)[0]
    one = upper(bad, target, src_layers=layers_of(source))
    assert np.abs(one.astype(int) - upper(source, target)).max(-1).mean() < 1


def test_layers_of_another_picture_are_refused():
    c, other = correspondence(0.0), correspondence(0.0, (300, 200))
    photo = dressed(c, ONE)
    for name, side in (("source", "src_layers"), ("target", "tgt_layers")):
        with pytest.raises(UserError, match=f"{name}'s photo is .* layer maps"):
            swap(photo, c, photo, c, "upper", texture_size=256, **{side: layers_of(other)})
