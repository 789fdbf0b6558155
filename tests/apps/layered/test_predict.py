"""The shipped layered weights on a photograph-like picture, the command, and bad input."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from apps.layered.masks import read_layers
from apps.layered.predict import main, write
from apps.layered.predictor import LayeredBodyMap, LayeredPredictorConfig
from apps.layered.sheet import layer_sheet
from bodymap import BodyMap, UserError
from bodymap.correspondence_io import load_layer_maps
from bodymap.predictor import PredictorConfig
from bodymap.surface import points

ROOT = Path(__file__).parents[3]
PHOTO = ROOT / "examples" / "anna.jpg"


@pytest.fixture(scope="module")
def model():
    # small crops: a test needs no detail
    bodymap = BodyMap.from_pretrained(device="cpu", config=PredictorConfig(size=256, coarse_size=224))
    return LayeredBodyMap.from_pretrained(bodymap=bodymap, config=LayeredPredictorConfig(size=256))


@pytest.fixture(scope="module")
def photo():
    image = Image.open(PHOTO).convert("RGB")
    image.thumbnail((400, 400))
    return np.asarray(image)


@pytest.fixture(scope="module")
def maps(model, photo):
    return model.predict(photo)


def test_every_layer_has_its_place(maps, photo):
    size = photo.shape[:2]
    assert maps.visible.shape == size and set(np.unique(maps.visible)) <= {0, 1, 2, 3}
    assert (maps.visible == 2).mean() > 0.02  # she wears something on top
    for index, layer in enumerate((maps.body, maps.upper, maps.lower), start=1):
        if layer is None:
            assert not (maps.visible == index).any()
            continue
        assert layer.mask.shape == size and ((layer.triangle >= 0) == layer.mask).all()
        assert not layer.mask[maps.visible == 0].any()
    # the body reaches under the clothes
    assert (maps.body.mask & (maps.visible > 1)).sum() > 0.5 * (maps.visible > 1).sum()


def test_heights_move_the_lower_garment_and_nothing_else(model, photo, maps, monkeypatch):
    class Same:
        """Says with certainty that all is 35 cm below the template's middle."""

        def __call__(self, mask, match):
            return torch.full(mask.shape, -0.35), torch.full(mask.shape, 1e-6)

    single = model.bodymap.predict(photo, maps.visible > 0)
    found = {}
    for name, heights in (("without", None), ("with", Same())):
        monkeypatch.setattr(model, "heights", heights)
        found[name] = model.separate(photo, single, maps.visible)
    for layer in ("body", "upper"):
        one, other = (getattr(found[name], layer) for name in found)
        assert np.array_equal(one.triangle, other.triangle)
    off = {}
    for name, result in found.items():
        lower = result.lower
        place = torch.from_numpy(lower.triangle[lower.mask]).long(), torch.from_numpy(lower.barycentric[lower.mask])
        off[name] = (points.position(model.surfaces["lower"], *place)[:, 2] + 0.35).abs().median()
    assert off["with"] < 0.05 < off["without"]
    assert (found["with"].visible == found["without"].visible).all()


def test_a_damaged_mask_is_refined(model, photo, maps):
    damaged = maps.visible.copy()
    damaged[: photo.shape[0] // 2][damaged[: photo.shape[0] // 2] == 2] = 1
    again = model.predict(photo, damaged)
    assert again.visible.shape == maps.visible.shape and (again.visible > 0).any()
    person = maps.visible > 0
    assert ((again.visible > 0) & person).sum() > 0.9 * person.sum()


def test_files_come_back(tmp_path, maps, photo, model):
    write(maps, photo, tmp_path, "anna", model.code_version)
    assert {path.name for path in tmp_path.iterdir()} == {
        "anna.npz",
        *(f"anna_{end}.png" for end in ("body", "upper", "lower", "layers", "layers_overlay")),
    }
    back = load_layer_maps(tmp_path / "anna.npz", model.code_version)
    assert np.array_equal(back.visible, maps.visible) and np.array_equal(back.body.triangle, maps.body.triangle)
    assert (back.upper is None) == (maps.upper is None)
    assert np.array_equal(read_layers(tmp_path / "anna_layers.png", photo.shape[:2]), maps.visible)
    with pytest.raises(UserError, match="colour code"):
        load_layer_maps(tmp_path / "anna.npz", "another")
    assert layer_sheet([(photo, maps)]).ndim == 3


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["missing.jpg", "-o", "OUT"], "missing.jpg"),
        ([str(PHOTO), "-o", "OUT", "--mask", "missing.png"], "missing.png"),
        ([str(PHOTO), "-o", "OUT", "--size", "100"], "multiple of 32"),
        ([str(PHOTO), "-o", "OUT", "--weights", "nowhere"], "no layered weights"),
        ([str(PHOTO), "-o", "OUT", "--heights", "nowhere"], "no layered weights"),
        ([str(PHOTO), "-o", str(PHOTO)], "is a file"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        main(arguments)
    assert not (tmp_path / "OUT").exists()


def test_the_command_exits_with_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "apps.layered.predict", "missing.jpg", "-o", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_folder_past_a_bad_file_and_on(tmp_path, photo, model, monkeypatch, capsys):
    monkeypatch.setattr(LayeredBodyMap, "from_pretrained", classmethod(lambda cls, *_, **__: model))
    folder, out = tmp_path / "photos", tmp_path / "out"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(photo).save(folder / "more" / "anna.png")
    (folder / "bad.jpg").write_bytes(b"nothing")
    assert main([str(folder), "-o", str(out)]) == 1
    told = capsys.readouterr()
    assert "bad.jpg is not an image" in told.err and "1 of 2 mapped, 1 failed" in told.err
    assert {path.name for path in out.iterdir()} == {"more"} and (out / "more" / "anna.npz").is_file()
    (folder / "bad.jpg").unlink()
    assert main([str(folder), "-o", str(out), "--resume"]) == 0
    assert "all 1 were there already" in capsys.readouterr().err
