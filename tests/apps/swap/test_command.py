"""python -m apps.swap: what it writes, what it refuses and how quickly; an oracle stands in for the network."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.mapped import psnr
from support.oracle import Oracle, code_photo

from apps.swap.__main__ import main, reverse_name
from bodymap import BodyMap, UserError
from bodymap.predictor import PredictorConfig
from bodymap.surface import load_template

FAST = ["--texture", "256"]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two photos whose colours are the surface code itself, and a model that reads them."""
    for name, facing in (("one", 0.0), ("two", 0.4)):
        Image.fromarray(code_photo(240, facing).image).save(tmp_path / f"{name}.png")
    model = BodyMap(Oracle(), load_template(), config=PredictorConfig(size=224, coarse_size=160))
    monkeypatch.setattr(BodyMap, "from_pretrained", classmethod(lambda cls, *a, **k: model))
    monkeypatch.setattr("bodymap.weights.find", lambda source: Path(source or "weights"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_writes_the_picture_its_reverse_and_the_sheets(photos):
    main(["one.png", "two.png", "-o", "out.png", "--both", "--sheet", "sheet.jpg", "--with-head", *FAST])
    one, two = picture("one.png"), picture("two.png")
    # each place has its own colour on both, so a right swap gives back the target
    for target, out in ((two, "out.png"), (one, "out_reverse.png")):
        assert picture(out).shape == target.shape
        assert psnr(picture(out) / 255, target / 255) > 24
    assert picture("sheet.jpg").shape == picture("sheet_reverse.jpg").shape
    assert sorted(p.name for p in photos.iterdir()) == [
        "one.png",
        "out.png",
        "out_reverse.png",
        "sheet.jpg",
        "sheet_reverse.jpg",
        "two.png",
    ]


def test_the_same_photo_twice_and_the_default_name(photos, capsys):
    main(["one.png", "one.png", *FAST])
    assert psnr(picture("swap.png") / 255, picture("one.png") / 255) > 26
    assert "swap.png" in capsys.readouterr().out


def test_nobody_is_reported_by_the_files_name_and_nothing_is_written(photos):
    Image.new("RGB", (120, 160), (0, 0, 255)).save("empty.png")
    with pytest.raises(UserError, match="empty.png"):
        main(["one.png", "empty.png", "--both", *FAST])
    assert not list(photos.glob("swap*"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["one.png", "none.png"], "none.png does not exist"),
        (["one.png", "two.png", "-o", "out.gif"], "must end in"),
        (["one.png", "two.png", "-o", "nowhere/out.png"], "does not exist"),
        (["one.png", "two.png", "-o", "two.png"], "would replace"),
        (["one.png", "two.png", "-o", "a.png", "--sheet", "a.png"], "same name"),
        (["one.png", "two.png", "--what", "upper", "--with-head"], "--with-head"),
        (["one.png", "two.png", "--size", "100"], "--size"),
        (["one.png", "two.png", "--texture", "9"], "--texture"),
    ],
)
def test_refuses_before_the_slow_part(photos, monkeypatch, arguments, message):
    monkeypatch.setattr(BodyMap, "from_pretrained", classmethod(lambda *a, **k: pytest.fail("too late")))
    with pytest.raises(UserError, match=message):
        main(arguments)


def test_reverse_names():
    assert reverse_name(Path("a/out.b.png")) == Path("a/out.b_reverse.png")


def test_help_and_mistakes_are_quick_and_have_no_traceback(tmp_path):
    root = Path(__file__).parents[3]
    begin = time.process_time()
    help_ = subprocess.run([sys.executable, "-m", "apps.swap", "--help"], cwd=root, capture_output=True, text=True)
    assert help_.returncode == 0 and "--with-head" in help_.stdout
    wrong = subprocess.run(
        [sys.executable, "-m", "apps.swap", "no.jpg", "no.jpg"], cwd=root, capture_output=True, text=True
    )
    assert wrong.returncode == 2 and "no.jpg does not exist" in wrong.stderr and "Traceback" not in wrong.stderr
    assert time.process_time() - begin < 2
    light = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from apps.swap.__main__ import main\n"
            "try: main(['no.jpg', 'no.jpg'])\n"
            "except Exception: print('torch' in sys.modules)",
        ],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert light.stdout.strip() == "False", light.stderr
