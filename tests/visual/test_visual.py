"""Maps, overlays and sheets."""

import numpy as np
import pytest

from bodymap import visual
from bodymap.types import LAYER_NAMES, PART_NAMES
from bodymap.visual.maps import LAYER_COLOURS, PART_COLOURS
from tests.test_correspondence_io import make


def test_maps_show_the_person_and_the_background():
    c = make()
    for draw in (visual.colour_map, visual.part_map, visual.layer_map, visual.confidence_map):
        picture = draw(c, background=(1, 2, 3))
        assert picture.shape == (40, 30, 3) and picture.dtype == np.uint8
        assert (picture[~c.mask] == (1, 2, 3)).all()
    assert np.array_equal(visual.colour_map(c)[c.mask], c.colour[c.mask])
    assert np.array_equal(visual.part_map(c)[c.mask], PART_COLOURS[c.part[c.mask]])


def test_colours_differ():
    for colours, names in ((PART_COLOURS, PART_NAMES), (LAYER_COLOURS, LAYER_NAMES), (visual.palette(12), range(12))):
        assert len(colours) == len(names) and len({tuple(colour) for colour in colours.tolist()}) == len(names)


def test_confidence_rises_from_dark_to_light():
    c = make()
    ramp = np.broadcast_to(np.linspace(0, 1, 30, dtype=np.float32), c.mask.shape)
    object.__setattr__(c, "confidence", ramp)
    object.__setattr__(c, "mask", np.ones_like(c.mask))
    light = visual.confidence_map(c)[0].astype(float) @ [0.3, 0.6, 0.1]
    assert (np.diff(light) > 0).all()


def test_overlay():
    c = make()
    photo = np.full((40, 30, 3), 100, np.uint8)
    plain = visual.overlay(photo, visual.colour_map(c), c.mask, strength=1.0, outline=False)
    assert np.array_equal(plain[c.mask], c.colour[c.mask]) and (plain[~c.mask] == 100).all()
    assert (photo == 100).all()
    half = visual.overlay(photo, visual.colour_map(c), c.mask, strength=0.5)
    edge = (half == 255).all(-1)
    assert edge.sum() == 2 * (25 + 12) - 4 and not edge[~c.mask].any()
    empty = visual.overlay(photo, photo, np.zeros_like(c.mask))
    assert np.array_equal(empty, photo)


def test_grid_places_and_centres():
    red, tall = np.full((10, 10, 3), (255, 0, 0), np.uint8), np.full((20, 10, 3), (0, 0, 255), np.uint8)
    sheet = visual.grid([red, None, tall], 2, tile=(20, 20), gap=2)
    assert sheet.shape == (42, 42, 3)
    assert (sheet[:20, :20] == (255, 0, 0)).all() and (sheet[:, 20:22] == 255).all() and (sheet[:20, 22:] == 255).all()
    assert (sheet[22:, 5:15] == (0, 0, 255)).all() and (sheet[22:, :5] == 255).all()
    with pytest.raises(ValueError):
        visual.grid([None], 1)


def test_labels_and_sheets_are_the_same_each_time():
    picture = np.zeros((30, 60, 3), np.uint8)
    once, twice = (visual.labelled(picture, "a label that is far too long for this", 12) for _ in range(2))
    assert np.array_equal(once, twice) and once.shape == (48, 60, 3) and (once[:18] < 128).any()
    assert (once[18:] == 0).all()
    rows = [[picture, None], [picture]]
    sheet = visual.contact_sheet(rows, row_labels=["first"], column_labels=["photo", "map"], tile=(30, 60))
    again = visual.contact_sheet(rows, row_labels=["first"], column_labels=["photo", "map"], tile=(30, 60))
    assert np.array_equal(sheet, again) and sheet.shape[1] == 124
    with pytest.raises(ValueError):
        visual.contact_sheet([])


def test_legend():
    key = visual.legend(LAYER_NAMES, LAYER_COLOURS)
    for colour in LAYER_COLOURS[1:]:
        assert (key == colour).all(-1).sum() > 50
