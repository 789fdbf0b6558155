"""The reader of photo folders."""

import json

import numpy as np
import pytest
from PIL import Image

from bodymap.data import photos
from bodymap.errors import UserError
from bodymap.types import LAYER_NAMES

SIZE = (24, 20)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two pictures of the same person and one of nobody known, with everything that may lie beside them."""
    people = tmp_path / "people"
    for name in ("a.jpg", "b.png", "c.jpg"):
        save(people / name, np.full((*SIZE, 3), 90))
    (people / "photos.csv").write_text("file,person,note\na.jpg,anna,x\nb.png,anna,\n", "utf-8")
    mask = np.zeros(SIZE)
    mask[4:20, 5:15] = 255
    save(people / "masks" / "a.png", mask)
    save(people / "masks" / "b.png", mask > 0)
    labels = np.zeros(SIZE)
    labels[:8], labels[8:16], labels[16:] = 2, 1, 3
    labels[:, 0] = 0
    save(people / "c_labels.png", labels)
    (people / "classes.csv").write_text("id,name,group\n0,null,background\n1,dress,full\n2,hair,body\n3,boots,body\n")
    (tmp_path / "keypoints.json").write_text(json.dumps({"a.jpg": [[0.5, 0.5, 0, 1]] * 33}))
    return people


def test_a_whole_set(folder):
    (photo_set,) = photos.read_photo_sets(folder)
    assert photo_set.name == "people" and [photo.name for photo in photo_set.photos] == ["a.jpg", "b.png", "c.jpg"]
    a, b, c = photo_set.photos
    assert (a.person, b.person, c.person) == ("anna", "anna", None)
    assert a.landmarks.shape == (33, 4) and b.landmarks is None
    assert a.image().shape == (*SIZE, 3)
    # 0/255 and 0/1 masks mean the same
    assert a.foreground(SIZE).sum() == b.foreground(SIZE).sum() == 160
    # without a mask the labels tell the foreground
    assert c.foreground(SIZE).sum() == 24 * 19
    assert a.label_groups(SIZE) is None
    groups = c.label_groups(SIZE)
    assert [photos.GROUPS[groups[row, 5]] for row in (0, 10, 20)] == ["hair", "full", "shoes"]
    layers = photos.layer_truth(groups)
    assert [LAYER_NAMES[layers[row, 5]] for row in (0, 10, 20)] == ["hair", "upper", "shoes"]
    assert layers[0, 0] == 0


def test_a_folder_of_sets(folder):
    (folder.parent / "empty").mkdir()
    save(folder.parent / "more" / "z.webp", np.zeros((*SIZE, 3)))
    assert [s.name for s in photos.read_photo_sets(folder.parent)] == ["more", "people"]


def test_only_pictures_are_needed(tmp_path):
    save(tmp_path / "x.jpg", np.zeros((*SIZE, 3)))
    ((photo,),) = (s.photos for s in photos.read_photo_sets(tmp_path))
    assert photo.foreground(SIZE) is None and photo.label_groups(SIZE) is None and photo.person is None


def test_a_mask_of_another_size_is_stretched(folder):
    photo = photos.read_photo_sets(folder)[0].photos[0]
    assert photo.foreground((48, 40)).sum() == 4 * 160


@pytest.mark.parametrize(
    ("name", "group", "expected"),
    [
        ("hair", "body", "hair"), ("tights", "body", "skin"), ("sneakers", "body", "shoes"), ("coat", "upper", "upper"),
        ("Purse", "accessory", "carried"), ("hat", "accessory", "accessory"), ("skirt", "lower", "lower"),
        ("dress", "full", "full"), ("anything", "footwear", "shoes"), ("anything", "odd", "accessory"),
        ("rucksack", "carried", "carried"), ("hair", "hair", "hair"),
    ],
)  # fmt: skip
def test_groups(name, group, expected):
    assert photos.group_of(name, group) == expected


def test_accessories_have_no_layer():
    groups = np.array([[photos.GROUPS.index("accessory"), photos.GROUPS.index("carried")]])
    assert photos.layer_truth(groups).tolist() == [[-1, LAYER_NAMES.index("carried")]]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("photos.csv", "name\na.jpg\n", "no column 'file'"),
        ("classes.csv", "id,name,group\nx,hair,body\n", "not a number"),
        ("keypoints.json", "{", "JSON"),
        ("keypoints.json", '{"a.jpg": [[1, 2]]}', "33 landmarks"),
        ("keypoints.json", "[1]", "JSON"),
    ],
)
def test_damaged_files_are_named(folder, file, content, message):
    (folder / file).write_text(content)
    with pytest.raises(UserError, match=message) as error:
        photos.read_photo_sets(folder)
    assert file in str(error.value)


def test_no_folder_and_no_pictures(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        photos.read_photo_sets(tmp_path / "nothing")
    with pytest.raises(UserError, match="no photographs"):
        photos.read_photo_sets(tmp_path)


def test_a_broken_mask(folder):
    (folder / "masks" / "a.png").write_bytes(b"not a picture")
    photo = photos.read_photo_sets(folder)[0].photos[0]
    with pytest.raises(UserError, match=r"a\.png"):
        photo.foreground(SIZE)
