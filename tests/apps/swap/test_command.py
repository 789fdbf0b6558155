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
from apps.swap.transfer import swap
from bodymap import BodyMap, UserError
from bodymap.correspondence_io import save_layer_maps
from bodymap.predictor import PredictorConfig
from bodymap.surface import load_template
from bodymap.types import LayerMaps

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


def test_layer_maps_say_who_is_meant_and_where_garments_are(photos, monkeypatch):
    model = BodyMap.from_pretrained()
    c = model.predict(picture("two.png"))
    half = c.mask & (np.arange(c.size[0])[:, None] < c.size[0] // 2)
    save_layer_maps(LayerMaps(c, None, None, (2 * half).astype(np.int8)), photos / "two.npz")
    masks, predict = [], BodyMap.predict
    monkeypatch.setattr(BodyMap, "predict", lambda self, p, mask=None: masks.append(mask) or predict(self, p, mask))
    given = []
    monkeypatch.setattr("apps.swap.transfer.swap", lambda *a, **k: given.append(k) or swap(*a, **k))
    main(["one.png", "two.png", "-o", "out.png", "--layers", "two.npz", "--with-head", *FAST])
    assert masks[0] is None and np.array_equal(masks[1], half)
    assert given[0]["src_layers"] is None and np.array_equal(given[0]["tgt_layers"].visible, 2 * half)
    assert np.array_equal(picture("out.png")[~half], picture("two.png")[~half])


def folder_of_targets(photos):
    folder = photos / "targets"
    folder.mkdir()
    (photos / "two.png").rename(folder / "two.png")
    Image.new("RGB", (120, 160), (0, 0, 255)).save(folder / "empty.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no photo either")
    return folder


def test_a_folder_of_targets_and_what_is_there_already(photos, monkeypatch, capsys):
    folder = folder_of_targets(photos)
    calls, predict = [], BodyMap.predict
    monkeypatch.setattr(BodyMap, "predict", lambda self, photo: calls.append(photo.shape) or predict(self, photo))
    command = ["one.png", "--targets", "targets", "-o", "out", "--sheet", "sheets", "--with-head", "--resume", *FAST]
    assert main(command) == 1
    said = capsys.readouterr()
    for name in ("empty.png", "broken.jpg"):
        assert sum(name in line for line in said.err.splitlines() if line.startswith("error: ")) == 1
    assert "Traceback" not in said.err
    assert [sorted(p.name for p in Path(d).iterdir()) for d in ("out", "sheets")] == [["two.png"], ["two.png"]]
    target = picture(folder / "two.png")
    assert psnr(picture("out/two.png") / 255, target / 255) > 24
    # the source is mapped once, and so is each target that can be read
    assert calls == [picture("one.png").shape, (160, 120, 3), target.shape]
    # the second time only what failed is tried again
    for name in ("empty.png", "broken.jpg"):
        (folder / name).unlink()
    Path("out/two.png").write_bytes(b"mine")
    assert main(command) == 0 and Path("out/two.png").read_bytes() == b"mine"
    assert len(calls) == 3
    assert main([k for k in command if k != "--resume"]) == 0 and picture("out/two.png").shape == target.shape


def test_several_garments_are_asked_for_in_either_form(photos):
    main(["one.png", "two.png", "-o", "a.png", "--what", "upper,lower", *FAST])
    main(["one.png", "two.png", "-o", "b.png", "--what", "lower", "--what", "upper", *FAST])
    assert np.array_equal(picture("a.png"), picture("b.png"))


def test_a_clip_moves_the_sources_person(photos, monkeypatch):
    from bodymap.visual.video import write_film

    frames = [np.full((64, 48, 3), 40 * k, np.uint8) for k in range(6)]
    write_film("clip.mp4", frames, 5.0)
    asked = []

    def rerender(arguments):
        asked.append(arguments)
        write_film(arguments[arguments.index("-o") + 1], frames, 5.0)
        return 0

    monkeypatch.setattr("apps.rerender.predict.main", rerender)
    command = ["one.png", "--video", "clip.mp4", "-o", "out.mp4", "--frames", "6", "--background", "photo"]
    assert main([*command, "--completion", "plain", "--sheet", "sheet.png"]) == 0
    assert asked[0][:5] == ["one.png", "--driving", "clip.mp4", "-o", "out.mp4"]
    rest = asked[0][5:]
    assert dict(zip(rest[::2], rest[1::2], strict=True)) == {
        "--texture": "1024",
        "--completion": "plain",
        "--frames": "6",
        "--background": "photo",
    }
    assert picture("sheet.png").shape[1] > picture("one.png").shape[1]
    from apps.rerender.predict import _parser

    assert _parser().parse_args(asked[0]).driving == Path("clip.mp4")


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
        (["one.png", "two.png", "--what", "hat"], "'hat'"),
        (["one.png"], "onto whom"),
        (["one.png", "two.png", "--targets", "."], "just one"),
        (["one.png", "--targets", "none"], "not a folder"),
        (["one.png", "--targets", ".", "-o", "."], "would replace"),
        (["one.png", "--targets", ".", "-o", "a", "--sheet", "a"], "same names"),
        (["one.png", "--targets", ".", "-o", "one.png"], "is a file"),
        (["one.png", "--targets", ".", "--both"], "--both"),
        (["one.png", "two.png", "--resume"], "--resume"),
        (["one.png", "two.png", "--frames", "3"], "--frames goes with --video"),
        (["one.png", "--video", "none.mp4"], "none.mp4"),
        (["one.png", "--video", "none.mp4", "--what", "upper"], "whole"),
        (["one.png", "two.png", "--texture", "9"], "--texture"),
        (["one.png", "two.png", "--layers", "none.npz"], "none.npz do not exist"),
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


def test_a_link_that_leads_to_itself_is_no_photo(photos):
    (photos / "loop.png").symlink_to("loop.png")
    for given in (["loop.png", "two.png"], ["one.png", "loop.png"]):
        with pytest.raises(UserError, match="loop.png"):
            main([*given, "-o", "out.png", *FAST])
    assert not (photos / "out.png").exists()
