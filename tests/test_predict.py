"""The command: what it writes, and that every mistake gives one sentence, exit code 2 and no files."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.oracle import BACKGROUND, Oracle, code_photo
from support.sizes import PRESETS

import bodymap
from bodymap import UserError, predict
from bodymap.config import to_dict
from bodymap.correspondence_io import load_correspondence
from bodymap.network import build_model
from bodymap.predictor import BodyMap, PredictorConfig
from bodymap.surface import load_template
from bodymap.visual.video import open_film, write_film
from bodymap.weights import save_weights

PERSON = ("_map.png", "_overlay.png", ".npz")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder with one.png, two.png (two people), meadow.png (nobody), mask.png (of one.png)."""
    folder = tmp_path_factory.mktemp("photos")
    one = code_photo(160)
    two = np.empty((160, 230, 3), np.uint8)
    two[:] = BACKGROUND
    two[:, :120] = one.image
    two[20:140, 135:225] = code_photo(120).image
    meadow = np.empty_like(two)
    meadow[:] = BACKGROUND
    for name, picture in (("one", one.image), ("two", two), ("meadow", meadow)):
        Image.fromarray(picture).save(folder / f"{name}.png")
    Image.fromarray(one.foreground).save(folder / "mask.png")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    template = load_template()
    torch.manual_seed(0)
    net = build_model(PRESETS["tiny"], template)
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    metadata = {"code_version": template.code_version}
    return save_weights(folder, net.state_dict(), {"model": to_dict(PRESETS["tiny"])}, metadata)


@pytest.fixture
def oracle(monkeypatch):
    """The command with the oracle in the network's place."""
    model = BodyMap(Oracle(), load_template(), config=PredictorConfig(size=160, coarse_size=128))
    monkeypatch.setattr(BodyMap, "from_pretrained", classmethod(lambda cls, *_, **__: model))
    monkeypatch.setattr("bodymap.weights.find", lambda source: Path("oracle"))


def run(*arguments) -> int:
    return predict.main([str(argument) for argument in arguments])


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_with_real_weights_and_a_mask(photos, weights, tmp_path, capsys):
    out = tmp_path / "made" / "here"
    arguments = ("--mask", photos / "mask.png", "--weights", weights, "--size", 128, "--device", "cpu")
    assert run(photos / "one.png", "-o", out, *arguments) == 0
    assert listing(out) == sorted(f"one{ending}" for ending in PERSON)
    c = load_correspondence(out / "one.npz", load_template().code_version)
    assert np.array_equal(c.mask, np.asarray(Image.open(photos / "mask.png")))
    assert np.array_equal(np.asarray(Image.open(out / "one_map.png")), c.colour)
    assert Image.open(out / "one_overlay.png").size == (120, 160)
    assert "one.png" in capsys.readouterr().out
    # files of its own umask, not the private ones of a temporary file
    assert (out / "one.npz").stat().st_mode & 0o777 == (out / "one_map.png").stat().st_mode & 0o777 != 0o600


def test_one_and_all(photos, oracle, tmp_path):
    assert run(photos / "two.png", "-o", tmp_path / "one") == 0
    assert listing(tmp_path / "one") == sorted(f"two{ending}" for ending in PERSON)
    assert run(photos / "two.png", "-o", tmp_path / "all", "--all") == 0
    assert listing(tmp_path / "all") == sorted(f"two_{n}{ending}" for n in (0, 1) for ending in PERSON)
    first, second = (load_correspondence(tmp_path / "all" / f"two_{n}.npz") for n in (0, 1))
    assert first.mask.sum() > second.mask.sum() > 0 and not (first.mask & second.mask).any()


def test_several_photos_of_which_one_fails(photos, oracle, tmp_path, capsys):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes((photos / "two.png").read_bytes()[:400])
    assert run(photos / "one.png", photos / "meadow.png", damaged, photos / "two.png", "-o", tmp_path / "o") == 1
    assert listing(tmp_path / "o") == sorted(f"{name}{ending}" for name in ("one", "two") for ending in PERSON)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and "No person was found in" in errors[0] and "meadow.png" in errors[0]
    assert "damaged.png" in errors[1]


def test_the_same_photo_twice_is_mapped_once(photos, oracle, tmp_path, capsys):
    again = photos / ".." / photos.name / "one.png"
    assert run(photos / "one.png", again, "-o", tmp_path / "o") == 0
    captured = capsys.readouterr()
    assert captured.out.count("->") == 1 and "twice" in captured.err


def test_two_photos_of_one_name(photos, oracle, tmp_path):
    (tmp_path / "one.jpg").write_bytes((photos / "one.png").read_bytes())
    with pytest.raises(UserError, match="same name"):
        run(photos / "one.png", tmp_path / "one.jpg", "-o", tmp_path / "o")
    # a photo that is itself called like a map
    (tmp_path / "one_0_map.png").write_bytes((photos / "one.png").read_bytes())
    with pytest.raises(UserError, match="overwritten"):
        run(tmp_path / "one.jpg", tmp_path / "one_0_map.png", "-o", tmp_path, "--all")


def test_nothing_is_half_written(photos, oracle, tmp_path, monkeypatch):
    out = tmp_path / "o"
    assert run(photos / "one.png", "-o", out) == 0
    before = {name: (out / name).read_bytes() for name in listing(out)}

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bodymap.correspondence_io.save_correspondence", fail)
    with pytest.raises(UserError, match="No space left"):
        run(photos / "one.png", "-o", out)
    assert {name: (out / name).read_bytes() for name in listing(out)} == before


def write_bad(folder: Path, kind: str) -> Path:
    path = folder / "bad.jpg"
    if kind == "text":
        path.write_text("not a picture")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "one pixel":
        Image.new("RGB", (1, 1)).save(path)
    elif kind == "huge":
        path = folder / "bad.png"
        Image.new("1", (20000, 20000)).save(path)
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "one pixel", "huge", "folder", "missing"])
def test_bad_photos(kind, weights, tmp_path):
    path = write_bad(tmp_path, kind)
    with pytest.raises(UserError) as caught:
        run(path, "-o", tmp_path / "o", "--weights", weights)
    assert "bad." in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "o").exists()


def test_bad_options(photos, weights, tmp_path):
    one, mask = photos / "one.png", photos / "mask.png"
    good = ("-o", tmp_path / "o", "--weights", weights)
    (tmp_path / "cut.safetensors").write_bytes(next(weights.glob("*.safetensors")).read_bytes()[:5000])
    (tmp_path / "file").write_text("x")
    Image.fromarray(np.zeros((160, 120), np.uint8)).save(tmp_path / "black.png")
    cases = [
        ((one, *good, "--size", 100), "multiple of 32"),
        ((one, *good, "--size", 4096), "multiple of 32"),
        ((one, *good, "--device", "quantum"), "device"),
        ((one, *good, "--foreground", "magic"), "provider"),
        ((one, *good, "--foreground", "onnx:none.onnx"), "does not exist"),
        ((one, photos / "two.png", *good, "--mask", mask), "one photo"),
        ((one, *good, "--mask", mask, "--all"), "one photo"),
        ((photos / "two.png", *good, "--mask", mask), "120 x 160"),
        ((one, *good, "--mask", tmp_path / "none.png"), "does not exist"),
        ((one, *good, "--mask", tmp_path / "black.png"), "empty"),
        ((one, "-o", tmp_path / "o", "--weights", tmp_path / "none"), "no weights"),
        ((one, "-o", tmp_path / "o", "--weights", tmp_path / "cut.safetensors"), "cut off"),
        ((one, "-o", tmp_path / "file", "--weights", weights), "output folder"),
        ((one, "-o", tmp_path / "file" / "deeper", "--weights", weights), "output folder"),
    ]
    for arguments, word in cases:
        with pytest.raises(UserError, match=word) as caught:
            run(*arguments)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "o").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(photos, weights, tmp_path):
    (tmp_path / "o").mkdir(mode=0o500)
    with pytest.raises(UserError, match="cannot be written"):
        run(photos / "one.png", "-o", tmp_path / "o", "--weights", weights)


def shell(*arguments) -> subprocess.CompletedProcess:
    root = Path(bodymap.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "bodymap.predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_as_a_command(photos, tmp_path):
    start = time.perf_counter()
    helped = shell("--help")
    missing = shell(tmp_path / "none.jpg", "-o", tmp_path / "o")
    nothing = shell()
    seconds = time.perf_counter() - start
    assert helped.returncode == 0 and "--mask" in helped.stdout
    assert missing.returncode == 2 and "does not exist" in missing.stderr and len(missing.stderr.splitlines()) == 1
    assert nothing.returncode == 2 and "usage" in nothing.stderr
    assert seconds < 6 and not (tmp_path / "o").exists()


# ---------------------------------------------------------------------------------------------------------- films


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Four frames of one person who moves to the right."""
    path = tmp_path_factory.mktemp("films") / "walk.gif"
    frames = []
    for k in range(4):
        frame = np.empty((160, 200, 3), np.uint8)
        frame[:] = BACKGROUND
        frame[:, 20 + 6 * k : 140 + 6 * k] = code_photo(160).image
        frames.append(frame)
    # each pixel's colour is its truth: nothing that loses colours will do
    Image.fromarray(frames[0]).save(path.with_suffix(".png"))
    write_film(path, frames, fps=10)
    return path


def test_a_film(oracle, film, tmp_path, capsys):
    assert run(film, "-o", tmp_path / "out", "--arrays") == 0
    assert listing(tmp_path / "out") == ["walk", "walk_map.mp4", "walk_overlay.mp4"]
    assert listing(tmp_path / "out" / "walk") == [f"{k:05d}.npz" for k in range(4)]
    maps = open_film(tmp_path / "out" / "walk_map.mp4")
    assert maps.count == 4 and maps.size == (160, 200) and maps.fps == pytest.approx(10)
    masks = [load_correspondence(tmp_path / "out" / "walk" / f"{k:05d}.npz").mask for k in range(4)]
    middles = [np.nonzero(mask)[1].mean() for mask in masks]
    assert np.diff(middles) == pytest.approx([6, 6, 6], abs=1.5)
    for frame, mask in zip(maps.frames(), masks, strict=True):
        assert (frame.max(-1) > 60)[mask].mean() > 0.95 and (frame.max(-1) < 30)[~mask].mean() > 0.95
    assert "4 frames, somebody everywhere" in capsys.readouterr().out


def test_everybody_in_a_film(oracle, film, tmp_path):
    assert run(film, "-o", tmp_path, "--all", "--arrays") == 0
    assert listing(tmp_path / "walk") == [f"{k:05d}_0.npz" for k in range(4)]


def test_mistakes_with_films(oracle, film, photos, tmp_path):
    empty = tmp_path / "empty.mp4"
    write_film(empty, [np.full((64, 64, 3), BACKGROUND, np.uint8)] * 3)
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    for arguments, message in (
        ((empty,), "No person was found in .*empty.mp4"),
        ((tmp_path / "broken.mp4",), "not a film"),
        ((film, "--mask", photos / "mask.png"), "--mask is for one photograph"),
        ((photos / "one.png", "--arrays"), "--arrays is for films"),
    ):
        with pytest.raises(UserError, match=message):
            run(*arguments, "-o", tmp_path / "out")
        assert not (tmp_path / "out").exists() or not listing(tmp_path / "out")


def test_a_folder_goes_on_where_it_was(photos, oracle, tmp_path, capsys, monkeypatch):
    folder, out = tmp_path / "folder", tmp_path / "o"
    (folder / "more").mkdir(parents=True)
    for name in ("b.png", "more/c.png"):
        (folder / name).write_bytes((photos / "one.png").read_bytes())
    (folder / "a.jpg").write_bytes(b"no picture at all")
    assert run(folder, "-o", out) == 1
    told = capsys.readouterr()
    assert "a.jpg is not an image" in told.err and "2 of 3 mapped, 1 failed" in told.err and told.out.count("->") == 2
    assert listing(out) == sorted(["more", *(f"b{ending}" for ending in PERSON)])
    assert listing(out / "more") == sorted(f"c{ending}" for ending in PERSON)
    # what is there is left as it is, what is new is done
    before = (out / "b.npz").stat().st_mtime_ns
    (folder / "a.jpg").unlink()
    (folder / "d.png").write_bytes((photos / "one.png").read_bytes())
    assert run(folder, "-o", out, "--resume") == 0
    told = capsys.readouterr()
    assert told.out.count("->") == 1 and "2 were there already" in told.err
    assert (out / "b.npz").stat().st_mtime_ns == before and (out / "d.npz").is_file()
    monkeypatch.setattr(BodyMap, "from_pretrained", lambda *_, **__: pytest.fail("nothing was left to do"))
    assert run(folder, "-o", out, "--resume") == 0
    assert "all 3 were there already" in capsys.readouterr().err


def test_everybody_is_there_once_the_first_is(photos, oracle, tmp_path, monkeypatch):
    """The first person's files are written last, so that a run that was stopped between two people does them again."""
    written = []
    real = predict.write
    monkeypatch.setattr(predict, "write", lambda *a: (written.append(a[3]), real(*a)))
    assert run(photos / "two.png", photos / "one.png", "-o", tmp_path / "o", "--all") == 0
    assert written == ["two_1", "two_0", "one_0"]
    assert run(photos / "two.png", photos / "one.png", "-o", tmp_path / "o", "--all", "--resume") == 0
    assert len(written) == 3


@pytest.mark.parametrize("more", [["--workers", "2"], ["--ray", "local", "--workers", "0"]])
def test_workers_without_a_cluster(photos, tmp_path, more):
    with pytest.raises(UserError, match="--workers goes with --ray"):
        run(photos, "-o", tmp_path / "o", *more)
