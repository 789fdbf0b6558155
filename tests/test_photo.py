"""Every kind of picture file becomes upright RGB; every kind of damage one sentence."""

import io

import numpy as np
import pytest
from PIL import Image

from bodymap import photo
from bodymap.errors import UserError
from bodymap.photo import read_photo

SIZE = (24, 40)  # height, width


def picture(seed=0):
    """Smooth colours without symmetry, so that every orientation looks different and JPEG keeps them."""
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] / max(SIZE)
    return np.stack([255 * x, 255 * y, 255 * (1 - x) * (0.2 + y)], -1).astype(np.uint8)


# What a camera stores so that a viewer who obeys the tag sees `upright`: written out from the TIFF standard's table.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, ending, orientation):
    upright = picture()
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"jpg": {"quality": 98, "subsampling": 0}, "webp": {"lossless": True}}.get(ending, {})
    path = tmp_path / f"photo.{ending}"
    image.save(path, exif=exif, **options)
    result = read_photo(path)
    assert result.shape == upright.shape and result.dtype == np.uint8 and result.flags["C_CONTIGUOUS"]
    assert np.abs(result.astype(int) - upright).max() <= (8 if ending == "jpg" else 0)
    with Image.open(path) as opened:
        assert np.array_equal(read_photo(opened), result)


def test_broken_exif_is_no_error(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture()).save(path, exif=b"Exif\x00\x00MM\x00*garbage that is no directory", quality=98)
    assert read_photo(path).shape == (*SIZE, 3)


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "RGBA", "LA", "PA", "La", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"]
)
def test_modes_of_pil_images(mode):
    rgb = Image.fromarray(picture())
    chain = {"PA": ("LA", "PA"), "La": ("LA", "La"), "RGBa": ("RGBA", "RGBa")}.get(mode, (mode,))
    if mode == "LAB":
        from PIL import ImageCms

        image = ImageCms.profileToProfile(
            rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    else:
        image = rgb
        for step in chain:
            image = image.convert(step)
    result = read_photo(image)
    assert result.shape == (*SIZE, 3) and result.dtype == np.uint8
    if mode in ("RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"):
        assert np.abs(result.astype(int) - picture()).max() <= 12
    elif mode in ("L", "LA", "La", "PA"):
        grey = np.asarray(rgb.convert("L")).astype(int)
        assert np.abs(result - grey[..., None]).max() <= 16


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_becomes_white(tmp_path, mode):
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[:, :10], alpha[:, 10:20] = 0, 128
    image = Image.fromarray(np.dstack([np.full((*SIZE, 3), 40, np.uint8), alpha]))
    path = tmp_path / "photo.png"
    if mode == "P":
        # a palette in which one entry is transparent, as GIFs and small PNGs have it
        index = Image.fromarray((alpha > 0).astype(np.uint8), "L").convert("P")
        index.putpalette([0, 0, 0, 40, 40, 40] + [0] * 750)
        index.save(path, transparency=0)
    else:
        image.convert(mode).save(path)
    result = read_photo(path)
    assert (result[:, :10] == 255).all() and (result[:, 20:] == 40).all()
    if mode != "P":
        assert np.abs(result[:, 10:20].astype(int) - 147).max() <= 1


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled(tmp_path, ending):
    values = np.linspace(0, 65535, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint16)
    path = tmp_path / f"deep.{ending}"
    Image.fromarray(values).save(path)
    result = read_photo(path)
    assert np.abs(result[..., 0].astype(float) - values / 257).max() <= 1
    assert (result == result[..., :1]).all()


def test_deep_images_of_other_ranges():
    ramp = np.linspace(0, 1, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.float32)
    for image in (
        Image.fromarray(ramp),
        Image.fromarray(ramp * 255),
        Image.fromarray((ramp * 65535).astype(np.int32)),
        Image.fromarray((ramp * 255).astype(np.int32)),
    ):
        assert np.abs(read_photo(image)[..., 0].astype(float) - ramp * 255).max() <= 1.01
    ramp[0, 0] = np.nan
    assert read_photo(Image.fromarray(ramp))[0, 0, 0] == 0


def test_sixteen_bit_colour(tmp_path):
    """Written by hand: Pillow cannot write such PNGs."""
    import struct
    import zlib

    values = picture().astype(">u2") * 257
    rows = b"".join(b"\x00" + row.tobytes() for row in values)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", SIZE[1], SIZE[0], 16, 2, 0, 0, 0)
    path = tmp_path / "deep.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    assert np.abs(read_photo(path).astype(int) - picture()).max() <= 1


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_animation_gives_the_first_picture(tmp_path, ending):
    frames = [Image.new("RGB", SIZE[::-1], colour) for colour in ((250, 10, 10), (10, 250, 10), (10, 10, 250))]
    path = tmp_path / f"moving.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if ending == "webp" else {}))
    assert np.abs(read_photo(path).astype(int) - (250, 10, 10)).max() <= 4
    with Image.open(path) as opened:
        opened.seek(2)
        assert np.abs(read_photo(opened).astype(int) - (250, 10, 10)).max() <= 4


def test_cmyk_file(tmp_path):
    path = tmp_path / "print.jpg"
    Image.fromarray(picture()).convert("CMYK").save(path, quality=98, subsampling=0)
    assert np.abs(read_photo(path).astype(int) - picture()).max() <= 12


def test_arrays():
    upright = picture()
    assert np.array_equal(read_photo(upright), upright)
    assert np.array_equal(read_photo(upright[:, ::-1]), upright[:, ::-1])
    assert read_photo(upright[..., 0]).shape == (*SIZE, 3)
    clear = np.dstack([upright, np.zeros(SIZE, np.uint8)])
    assert (read_photo(clear) == 255).all()
    clear[..., 3] = 255
    assert np.array_equal(read_photo(clear), upright)
    for wrong, word in (
        (upright / 255, "uint8"),
        (upright.astype(np.int64), "uint8"),
        (upright[None], "shape"),
        (upright.transpose(2, 0, 1), "shape"),
        (np.zeros((0, 5, 3), np.uint8), "small"),
    ):
        with pytest.raises(UserError, match=word):
            read_photo(wrong)
    with pytest.raises(UserError, match="255"):
        read_photo(upright / 255)
    with pytest.raises(UserError, match="not a list"):
        read_photo([1, 2, 3])


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"this is text, not a picture", "not an image"),
        (b"\xff\xd8\xff", "image|damaged"),
        (b"\x89PNG\r\n\x1a\n", "image|damaged"),
        (jpeg()[:700], "image|damaged"),
        (jpeg()[: len(jpeg()) // 2], "damaged"),
        (b"%PDF-1.4\n", "not an image"),
        (b"\x00" * 4096, "not an image"),
    ],
)
def test_damaged_files_get_one_sentence(tmp_path, content, word):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=word) as caught:
        read_photo(path)
    message = str(caught.value)
    assert "photo.jpg" in message and "\n" not in message and message.endswith(".")


@pytest.mark.parametrize("ending", ["png", "gif", "webp", "tif", "bmp"])
def test_truncated_files_of_each_kind(tmp_path, ending):
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(UserError):
        read_photo(path)


def test_places_without_a_photo(tmp_path):
    for source, word in (
        (tmp_path / "none.jpg", "does not exist"),
        (tmp_path, "folder"),
        ("https://example.org/a.jpg", "download"),
    ):
        with pytest.raises(UserError, match=word):
            read_photo(source)


def test_sizes(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="1 x 1 pixels: too small"):
        read_photo(Image.new("RGB", (1, 1)))
    wide = tmp_path / "wide.png"
    Image.new("L", (20000, 100), 77).save(wide)
    assert read_photo(wide).shape == (100, 20000, 3)
    # refused from the header alone: decoding would take gigabytes
    bomb = tmp_path / "bomb.png"
    Image.new("1", (20000, 20000)).save(bomb)
    with pytest.raises(UserError, match="too large: at most 50 megapixels"):
        read_photo(bomb)
    # Pillow's own guard is stricter than the picture: still our sentence
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match="too large"):
        read_photo(wide)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**9)
    with pytest.raises(UserError, match="20000 x 20000"):
        read_photo(bomb)


def test_names():
    assert photo.name_of("a.jpg") == "a.jpg"
    assert photo.name_of(np.zeros((2, 2))) == "the given array"
    assert photo.name_of(Image.new("L", (1, 1))) == "the given image"
