"""Layer maps go to the photo that they are named after, and nothing wrong is taken for them."""

from pathlib import Path

import numpy as np
import pytest

from bodymap.correspondence_io import load_layer_maps, save_layer_maps
from bodymap.errors import UserError
from bodymap.layer_maps import LayerFiles
from bodymap.types import Correspondence, LayerMaps

SIZE, CODE = (6, 4), "body-1"


def write(path: Path, size=SIZE, visible=2, code=f"{CODE} upper-1 lower-1") -> Path:
    nobody = Correspondence.empty(size)
    path.parent.mkdir(exist_ok=True)
    save_layer_maps(LayerMaps(nobody, None, None, np.full(size, visible, np.int8)), path, code)
    return path


def test_each_photo_has_the_file_of_its_name(tmp_path):
    photos = [Path("a/front.jpg"), Path("b/back.png"), Path("b/side.png")]
    back, front = write(tmp_path / "back.npz", visible=1), write(tmp_path / "front.npz", visible=3)
    for given in ([back, front], [tmp_path]):
        files = LayerFiles(given, photos, CODE)
        shown = [files.of(photo, SIZE) for photo in photos]
        assert shown[2] is None and [maps.visible.max() for maps in shown[:2]] == [3, 1]
    assert LayerFiles([], photos, CODE).of(photos[0], SIZE) is None
    # one photo and one file: no name is needed; the same photo twice is one
    assert LayerFiles([back], [photos[0], photos[0]], CODE).of(photos[0], SIZE).visible.max() == 1


def test_what_does_not_fit_is_refused(tmp_path):
    photos = [Path("front.jpg"), Path("back.jpg")]
    file = write(tmp_path / "front.npz")

    def refused(message, given, photos=photos, size=SIZE, code=CODE):
        with pytest.raises(UserError, match=message):
            LayerFiles(given, photos, code).of(Path("front.jpg"), size)

    refused("do not exist", [tmp_path / "none.npz"])
    refused("none of the photos", [write(tmp_path / "other.npz")])
    refused("may be of", [file], [Path("front.jpg"), Path("b/front.jpg")])
    refused("would both be", [file, write(tmp_path / "again" / "front.npz")])
    (tmp_path / "empty").mkdir()
    refused("of no photo", [tmp_path / "empty"])
    refused(r"is of a picture of \(6, 4\)", [file], size=(6, 5))
    refused("colour code", [file], code="body-2")
    refused("nobody", [write(tmp_path / "front.npz", visible=0)])
    (tmp_path / "front.npz").write_bytes(b"no archive")
    refused("damaged", [tmp_path / "front.npz"])


def test_the_bodys_code_alone_or_all_three_are_asked_for(tmp_path):
    file = write(tmp_path / "front.npz")
    for code in (None, CODE, f"{CODE} upper-1 lower-1"):
        assert load_layer_maps(file, code).visible.shape == SIZE
    for code in ("body", "upper-1", f"{CODE} upper-2 lower-1"):
        with pytest.raises(UserError, match="colour code"):
            load_layer_maps(file, code)
