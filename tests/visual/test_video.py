"""Films come back as they were written, upright, and what is no film is refused in one sentence."""

import subprocess

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from bodymap.errors import UserError
from bodymap.visual.video import is_film, open_film, open_mp4, write_film


@pytest.mark.parametrize("ending", [".mp4", ".gif", ".webp", ".png"])
def test_films(tmp_path, ending):
    frames = [np.full((32, 48, 3), (60 * k, 100, 200), np.uint8) for k in range(4)]
    written = write_film(tmp_path / f"film{ending}", iter(frames), fps=10)
    if ending == ".png":
        assert [p.name for p in written] == [f"film_{k:04d}.png" for k in range(4)]
        back = [np.asarray(Image.open(p)) for p in written]
    else:
        back = list(iio.imread(written[0], index=...))
    assert len(back) == 4
    for frame, found in zip(frames, back, strict=True):
        assert np.abs(frame.astype(int) - found[..., :3]).max() < 16
    assert not [p for p in tmp_path.iterdir() if p.suffix != ending]


def test_one_frame_keeps_its_name_and_bad_names_are_refused(tmp_path):
    assert write_film(tmp_path / "one.png", [np.zeros((8, 8, 3), np.uint8)]) == [tmp_path / "one.png"]
    assert (tmp_path / "one.png").is_file() and len(list(tmp_path.iterdir())) == 1
    for path, message in ((tmp_path / "film.avi", "must end in"), (tmp_path / "no" / "film.gif", "does not exist")):
        with pytest.raises(UserError, match=message):
            write_film(path, [np.zeros((8, 8, 3), np.uint8)])
    with pytest.raises(UserError, match="no frames"):
        write_film(tmp_path / "none.gif", [])


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_what_was_written_is_read(tmp_path, ending):
    frames = [np.full((33, 47, 3), (30 * k, 100, 200), np.uint8) for k in range(7)]
    write_film(tmp_path / f"film{ending}", frames, fps=10)
    film = open_film(tmp_path / f"film{ending}")
    assert is_film(film.path) and not is_film("photo.jpg")
    even = (34, 48) if ending == ".mp4" else (33, 47)
    assert film.size == even and film.count == 7 and film.fps == pytest.approx(10)
    back = list(film.frames())
    assert len(back) == 7
    for frame, found in zip(frames, back, strict=True):
        assert found.dtype == np.uint8 and found.shape == (*even, 3)
        assert np.abs(frame.astype(int) - found[:33, :47]).max() < 16


def test_a_film_recorded_upright_is_read_upright(tmp_path):
    import imageio_ffmpeg

    picture = np.full((64, 48, 3), 200, np.uint8)
    picture[:8] = (200, 0, 0)  # the top edge
    write_film(tmp_path / "film.mp4", [picture] * 3)
    turn = ["-display_rotation", "90", "-i", tmp_path / "film.mp4", "-c", "copy", tmp_path / "turned.mp4"]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *turn], check=True)
    film = open_film(tmp_path / "turned.mp4")
    assert film.size == (48, 64)
    first = next(film.frames()).astype(int)
    red = first[..., 0] - first[..., 1]
    assert red[:, :6].min() > 100 and red[:, 10:].max() < 100  # turned against the clock: the top came to the left


def test_two_films_at_once_appear_when_they_are_complete(tmp_path):
    with open_mp4(tmp_path / "a.mp4", 5) as a, open_mp4(tmp_path / "b.mp4", 5) as b:
        for k in range(3):
            a(np.full((32, 32, 3), 60 * k, np.uint8))
            b(np.full((32, 32, 3), 255 - 60 * k, np.uint8))
        assert not (tmp_path / "a.mp4").exists()
    assert open_film(tmp_path / "a.mp4").count == open_film(tmp_path / "b.mp4").count == 3
    with pytest.raises(ZeroDivisionError), open_mp4(tmp_path / "c.mp4", 5) as c:
        c(np.zeros((32, 32, 3), np.uint8))
        1 / 0  # noqa: B018
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_what_is_no_film(tmp_path):
    write_film(tmp_path / "film.mp4", [np.zeros((32, 32, 3), np.uint8)] * 5)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "film.mp4").read_bytes()[:300])
    (tmp_path / "text.gif").write_bytes(b"hello")
    for name in ("cut.mp4", "text.gif"):
        with pytest.raises(UserError, match="damaged, or not a film"):
            open_film(tmp_path / name)
    with pytest.raises(UserError, match="does not exist"):
        open_film(tmp_path / "none.mp4")
