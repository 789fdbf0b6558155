"""The annotation reader: what it gives, and what it says of damaged files."""

import json

import numpy as np
import pytest
from support.densepose import annotation, write_annotations

from bodymap.densepose import rle
from bodymap.densepose.annotations import read_annotations
from bodymap.errors import UserError


def grid(rows, columns):
    mask = np.zeros((256, 256), bool)
    mask[rows, columns] = True
    return rle.encode(mask)


def test_points_and_masks(tmp_path):
    masks = [[]] * 14
    masks[0] = grid(slice(0, 128), slice(None))
    masks[13] = grid(slice(64, 128), slice(None))
    path = tmp_path / "a.json"
    people = [
        annotation(7, picture=2, points=((0, 0, 1, 0.25, 0.5), (255, 127.5, 24, 1, 0)), dp_masks=masks),
        {"id": 8, "image_id": 2, "category_id": 1, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        {"id": 9, "image_id": 2, "category_id": 2, "bbox": [0, 0, 5, 5]},
    ]
    write_annotations(path, people, pictures=(2, 1))
    raw = json.loads(path.read_text())
    raw["categories"].append({"id": 2, "name": "dog"})
    path.write_text(json.dumps(raw))
    first, second = read_annotations(path)
    assert first.id == 1 and not first.people
    person, crowd = second.people  # the dog is left out
    assert crowd.crowd and crowd.truth is None and crowd.area == 25
    # 255 across a box of 51 pixels is its far edge
    assert person.pixels().tolist() == [[10, 20], [61, 45.5]]
    assert person.truth.chart.tolist() == [1, 24] and person.truth.uv.tolist() == [[0.25, 0.5], [1, 0]]
    # the later part lies on top
    assert [person.truth.coarse[row, 0] for row in (0, 63, 64, 127, 128)] == [1, 1, 14, 14, 0]


def test_mask_is_stretched_into_the_box(tmp_path):
    path = tmp_path / "a.json"
    write_annotations(path, [annotation(box=(-4, 20, 64, 32), dp_masks=[grid(slice(0, 128), slice(None))])])
    mask = read_annotations(path)[0].people[0].mask((100, 120))
    assert mask[20:36, :60].all() and mask.sum() == 16 * 60  # cut at the picture's edge


def test_outline_where_there_are_no_parts(tmp_path):
    path = tmp_path / "a.json"
    square = [[10, 10, 20, 10, 20, 20, 10, 20]]
    runs = rle.encode(np.eye(100, 120, dtype=bool))
    write_annotations(path, [annotation(1, segmentation=square), annotation(2, segmentation=runs), annotation(3)])
    polygon, coded, none = (person.mask((100, 120)) for person in read_annotations(path)[0].people)
    assert polygon[12:18, 12:18].all() and 81 <= polygon.sum() <= 121
    assert (coded == np.eye(100, 120, dtype=bool)).all() and none is None


@pytest.mark.parametrize(
    "change, says",
    [
        ({"dp_I": [25]}, "dp_I outside"),
        ({"dp_I": [1.5]}, "dp_I outside"),
        ({"dp_U": [float("nan")]}, "dp_U or dp_V outside"),
        ({"dp_x": [300]}, "outside its box"),
        ({"dp_y": [1, 2]}, "different lengths"),
        ({"dp_y": "there"}, "annotation 5"),
        ({"dp_masks": [{"size": [256, 256], "counts": "1"}]}, "runs"),
        ({"dp_masks": [{"size": [2, 2], "counts": "4"}]}, "2 x 2"),
        ({"dp_masks": [[]] * 15}, "more than 14"),
        ({"bbox": [1, 2, 3]}, "box"),
        ({"bbox": [1, 2, -3, 4]}, "box"),
        ({"area": "large"}, "annotation 5"),
        ({"image_id": 77}, "picture 77"),
        ({"image_id": [1]}, "no usable image_id"),
        ({"category_id": [1]}, "no usable category_id"),
    ],
)
def test_damage_names_the_annotation(tmp_path, change, says):
    path = tmp_path / "a.json"
    write_annotations(path, [annotation(5, **change)])
    with pytest.raises(UserError, match=says) as raised:
        read_annotations(path)
    assert "5" in str(raised.value)


def test_missing_fields(tmp_path):
    path = tmp_path / "a.json"
    person = annotation()
    del person["dp_V"]
    write_annotations(path, [person])
    with pytest.raises(UserError, match="no dp_V"):
        read_annotations(path)
    write_annotations(path, [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}])
    with pytest.raises(UserError, match="plain COCO"):
        read_annotations(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": []}', '{"images": [3], "annotations": []}'])
def test_not_such_a_file(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError):
        read_annotations(path)
    with pytest.raises(UserError, match="no annotations at"):
        read_annotations(tmp_path / "b.json")
