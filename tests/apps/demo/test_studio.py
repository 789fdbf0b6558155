"""The work behind the page, without a page; an oracle stands in for the network: answers are exact and quick."""

import contextlib
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from support.mapped import psnr
from support.oracle import Oracle, code_photo

from apps.demo.pictures import around, map_pictures, texture_pictures
from apps.demo.shelf import Shelf, bytes_of
from apps.demo.studio import Looks, Studio, StudioConfig
from apps.demo.watch import Cancelled, Tickets, Watch
from apps.layered.predictor import LayeredBodyMap
from bodymap import BodyMap, UserError
from bodymap.predictor import PredictorConfig
from bodymap.surface import load_template
from bodymap.types import LayerMaps
from bodymap.visual.video import open_film

CONFIG = StudioConfig(longest=300, texture=256)


def studio(**more) -> Studio:
    model = BodyMap(Oracle(), load_template(), config=PredictorConfig(size=224, coarse_size=160))
    return Studio(model, config=CONFIG, **more)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two photos whose colours are the surface code itself, and one of nobody."""
    folder = tmp_path_factory.mktemp("photos")
    for name, facing in (("one", 0.0), ("two", 0.4)):
        Image.fromarray(code_photo(240, facing).image).save(folder / f"{name}.png")
    Image.new("RGB", (120, 160), (0, 0, 255)).save(folder / "empty.png")
    return folder


@pytest.fixture(scope="module")
def work(pictures):
    """A studio that has made everything once, the photos, and the steps that it named."""
    made = studio()
    steps: list[tuple[float, str]] = []
    watch = Watch(lambda share, text: steps.append((share, text)))
    photos = [made.photo(pictures / f"{name}.png") for name in ("one", "two")]
    result = made.swap(*photos, watch=watch)
    return made, photos, result, steps


def test_a_swap_is_right_and_names_its_steps_in_order(work):
    _, (_, two), result, steps = work
    # each place has its own colour on both, so a right swap gives back the target
    assert psnr(result.image / 255, two.pixels / 255) > 24 and (result.region > 0.5).mean() > 0.05
    shares, texts = zip(*steps, strict=True)
    assert list(shares) == sorted(shares) and 0 <= shares[0] and shares[-1] < 1
    for text in ("one.png: finding the person", "one.png: taking the texture", "two.png: putting it on"):
        assert text in texts
    assert texts.index("one.png: mapping the person") < texts.index("two.png: mapping the person")


def test_what_was_asked_once_is_not_worked_out_again(work, pictures, monkeypatch):
    made, photos, result, _ = work
    monkeypatch.setattr(BodyMap, "read", lambda *a, **k: pytest.fail("the network ran again"))
    silent = Watch(lambda *step: pytest.fail(f"there was a step: {step}"))
    # under another name, and read anew: the content is what counts
    (pictures / "copy.png").write_bytes((pictures / "one.png").read_bytes())
    again = made.photo(pictures / "copy.png")
    assert again.key == photos[0].key and again.name == "copy.png"
    assert made.swap(again, photos[1], watch=silent) is result
    # the other way round needs a texture, but no map
    made.swap(photos[1], photos[0], Looks("all", with_head=True))
    assert made.texture(photos[0]).filled.colour.shape == (256, 256, 3)


def test_a_photo_is_shrunk_to_the_limit_and_upright(pictures, tmp_path):
    made, wide = studio(), Image.effect_noise((800, 400), 50).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    wide.save(tmp_path / "wide.jpg", exif=exif)
    assert made.photo(tmp_path / "wide.jpg").pixels.shape == (300, 150, 3)
    assert made.photo(pictures / "one.png").pixels.shape == (240, 180, 3)


@pytest.mark.parametrize(
    "content, message",
    [(b"hello", "is not an image"), (b"", "is empty"), (b"\xff\xd8\xff\xe0 no more", "holiday.jpg")],
)
def test_files_that_are_no_photos_are_called_by_the_visitors_name(tmp_path, content, message):
    (tmp_path / "a8f3.bin").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        studio().photo(tmp_path / "a8f3.bin", "holiday.jpg")
    assert "holiday.jpg" in str(caught.value) and str(tmp_path) not in str(caught.value)
    with pytest.raises(UserError, match="holiday.jpg") as caught:
        studio().check(tmp_path / "a8f3.bin", "holiday.jpg")
    assert str(tmp_path) not in str(caught.value)


def test_too_small_too_large_and_nobody(tmp_path, pictures, monkeypatch):
    Image.new("RGB", (8, 300)).save(tmp_path / "tiny.png")
    made = studio()
    with pytest.raises(UserError, match="tiny.png is 8 x 300 pixels: too small"):
        made.photo(tmp_path / "tiny.png")
    monkeypatch.setattr("bodymap.photo.MAXIMUM_PIXELS", 10_000)
    with pytest.raises(UserError, match="one.png is 180 x 240 pixels: too large"):
        made.photo(pictures / "one.png")
    monkeypatch.undo()
    with pytest.raises(UserError, match="No person was found in empty.png"):
        made.person(made.photo(pictures / "empty.png"))


def test_a_command_s_options_are_not_for_visitors(work):
    made, (one, two), _, _ = work
    # the oracle knows no layers but one: there is no shoe to take
    with pytest.raises(UserError) as caught:
        made.swap(one, two, Looks("shoes"))
    assert "--" not in str(caught.value) and ".png" in str(caught.value)


def test_a_turntable_turns_and_a_cancelled_one_leaves_nothing(work, tmp_path):
    made, (one, _), _, _ = work
    path = made.turntable(one, tmp_path / "turn.mp4", frames=4, size=96)
    film = open_film(path)
    frames = list(film.frames())
    assert len(frames) == 4 and max(film.size) == 96
    assert np.abs(frames[0].astype(int) - frames[2]).mean() > 3
    path.unlink()

    seen = []
    watch = Watch(lambda share, text: seen.append(text), lambda: "Picture 2 of 4" in seen)
    with pytest.raises(Cancelled):
        made.turntable(one, path, frames=4, size=96, watch=watch)
    # it ended before the third picture, and half a film is none
    assert seen[-1] == "Picture 2 of 4" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["mapping the person", "taking the texture", "putting it on"])
def test_a_swap_stops_between_any_two_steps_and_the_studio_goes_on(pictures, step):
    made, seen = studio(), []
    photos = [made.photo(pictures / f"{name}.png") for name in ("one", "two")]
    watch = Watch(lambda share, text: seen.append(text), lambda: any(step in text for text in seen))
    with pytest.raises(Cancelled), made.alone(watch) as inside:
        made.swap(*photos, watch=inside)
        inside.check()
    assert step in seen[-1]
    with made.alone(Watch()) as inside:
        assert made.swap(*photos, watch=inside).image.shape == photos[1].pixels.shape


def test_one_job_at_a_time_and_who_waits_can_leave():
    made, shown = studio(), []
    with made.alone(Watch()) as first:
        first(0.3, "a long step")
        with pytest.raises(Cancelled), made.alone(Watch(lambda *step: shown.append(step), lambda: len(shown) > 1)):
            pytest.fail("two at once")
    assert shown[0] == (0.0, "Before this: a long step")
    with made.alone(Watch()):
        pass


def test_closing_waits_for_the_present_step_and_ends_all_others(pictures):
    made, order = studio(), []
    started, goes_on = threading.Event(), threading.Event()

    def job():
        with contextlib.suppress(Cancelled), made.alone(Watch()) as inside:
            inside(0.0, "a step")
            started.set()
            goes_on.wait(10)
            order.append("step done")
            inside(0.5, "the next step")
            order.append("next step")

    working = threading.Thread(target=job)
    working.start()
    started.wait(10)
    closing = threading.Thread(target=lambda: (made.close(), order.append("closed")))
    closing.start()
    time.sleep(0.2)
    assert order == []
    goes_on.set()
    closing.join(10)
    working.join(10)
    assert order == ["step done", "closed"]
    with pytest.raises(Cancelled), made.alone(Watch()):
        pytest.fail("worked after the end")


def test_warming_up_answers_the_first_question(pictures, monkeypatch):
    made, turned = studio(), []
    monkeypatch.setattr(made, "avatar", lambda photo, watch: turned.append(photo.name))
    made.warm_up([pictures / "one.png", pictures / "two.png"])
    photos = [made.photo(pictures / f"{name}.png") for name in ("one", "two")]
    made.swap(*photos, watch=Watch(lambda *step: pytest.fail(f"there was a step: {step}")))
    assert turned == ["one.png", "two.png"]
    made.warm_up([pictures / "none.png", pictures / "two.png"])  # no matter


def test_layers_are_asked_of_the_layered_network(pictures):
    asked = []

    class Layered(LayeredBodyMap):
        def __init__(self):
            pass

        def separate(self, photo, single, mask):
            asked.append(mask)
            return LayerMaps(single, None, None, mask)

    made = studio(layered=Layered)
    one = made.photo(pictures / "one.png")
    assert made.layers(one) is made.layers(one) and len(asked) == 1
    assert (asked[0] > 0).sum() == made.person(one).mask.sum()


def test_pictures_of_a_map_and_of_a_texture(work):
    made, (one, _), _, _ = work
    map_ = made.person(one)
    shown = map_pictures(one.pixels, map_)
    window = map_.mask[around(map_.mask)]
    assert len(shown) == 5 and all(picture.shape == (*window.shape, 3) for picture, _ in shown)
    assert window.sum() == map_.mask.sum()
    texture = made.texture(one)
    (partial, _), (filled, _), (where, legend) = texture_pictures(texture)[0]
    seen = texture.partial.seen.numpy()
    assert np.array_equal(partial[seen], filled[seen]) and "seen green" in legend
    assert len(np.unique(where[seen], axis=0)) == 1


def test_the_shelf_is_bounded_and_keeps_what_was_used_last():
    shelf = Shelf(250)
    for name in "ab":
        shelf.get(name, lambda: np.zeros(100, np.uint8))
    shelf.get("a", lambda: pytest.fail("made again"))
    shelf.get("c", lambda: torch.zeros(25))
    assert "a" in shelf and "c" in shelf and "b" not in shelf and shelf.used == 200
    # what is too large is given, but not kept
    assert shelf.get("d", lambda: np.zeros(1000, np.uint8)).size == 1000
    assert "d" not in shelf and shelf.used <= 250
    with pytest.raises(ZeroDivisionError):
        shelf.get("e", lambda: 1 // 0)
    assert "e" not in shelf
    assert bytes_of((np.zeros(3), {"x": 1}, "text")) == 24


def test_tickets():
    tickets = Tickets()
    first = tickets.take("anna")
    assert tickets.take("anna") == first and tickets.valid("anna", first)
    other = tickets.take("ben")
    tickets.cancel("anna")
    assert not tickets.valid("anna", first) and tickets.valid("ben", other)
    assert tickets.take("anna") != first and not tickets.valid("anna", first)
