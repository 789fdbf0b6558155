"""The person is taken out of the photo; others stay."""

from types import SimpleNamespace

import numpy as np
import pytest

from apps.rerender.background import covering, others_in, own_frame, without_person
from bodymap.errors import UserError
from bodymap.types import Camera


def test_the_person_is_gone_and_others_stay():
    photo = np.full((100, 120, 3), 150, np.uint8)
    person, other = np.zeros((2, 100, 120), bool)
    person[20:90, 40:60] = True
    other[20:90, 61:80] = True
    photo[person], photo[other] = (200, 0, 0), (0, 0, 200)
    clean = without_person(photo, person, other)
    assert np.array_equal(clean[other], photo[other])
    assert np.abs(clean[person].astype(int) - 150).max(-1).mean() < 25
    # a margin goes with the person, the rest stays to the byte
    far = ~other
    far[10:100, 30:70] = False
    assert np.array_equal(clean[far], photo[far])
    with pytest.raises(UserError, match="covers the whole photo"):
        without_person(photo, np.ones((100, 120), bool))


def test_who_else_is_there():
    person = np.zeros((40, 60), bool)
    person[:, :20] = True
    mine, theirs = np.zeros((2, 4, 6), bool)
    mine[:, :2], theirs[:, 4:] = True, True
    model = SimpleNamespace(
        net=SimpleNamespace(cse=object()), find=lambda photo: [SimpleNamespace(region=r) for r in (mine, theirs)]
    )
    others = others_in(model, np.zeros((40, 60, 3), np.uint8), person)
    assert others[:, 40:].all() and not others[:, :40].any()
    model.net.cse = None
    assert not others_in(model, np.zeros((40, 60, 3), np.uint8), person).any()


def test_the_frame_is_the_photos():
    K = np.array([[200, 0, 60], [0, 200, 50], [0, 0, 1]], np.float32)
    camera = Camera(K, np.eye(4, dtype=np.float32), (100, 120))
    assert own_frame(camera) is camera
    half = own_frame(camera, 60)
    assert half.size == (50, 60) and np.allclose(half.intrinsics[:2], K[:2] / 2)


def test_a_picture_covers_the_frame():
    picture = np.zeros((50, 200, 3), np.uint8)
    picture[:, 75:125] = 255
    assert covering(picture, (100, 100)).min() > 200  # the middle square
    assert np.array_equal(covering(picture, (50, 200)), picture)
