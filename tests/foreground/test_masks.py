"""Masks of the user and of other segmenters."""

import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bodymap.errors import UserError
from bodymap.foreground import build_foreground, read_mask

SIZE = (40, 60)


def shape(height=SIZE[0], width=SIZE[1]):
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 3 : width // 2] = True
    return mask


def as_label_picture(mask):
    return Image.fromarray(mask.astype(np.uint8))


def as_palette(mask):
    image = Image.fromarray(mask.astype(np.uint8), "L").convert("P")
    image.putpalette([0, 0, 0, 1, 1, 1] + [0] * 750)
    return image


def as_cut_out(mask):
    return Image.fromarray(np.dstack([np.full((*mask.shape, 3), 5, np.uint8), mask.astype(np.uint8) * 255]))


@pytest.mark.parametrize(
    "kind",
    [
        lambda m: m,
        lambda m: m.astype(np.uint8),
        lambda m: m.astype(np.uint8) * 255,
        lambda m: m.astype(np.float32) * 0.9,
        lambda m: m[..., None].astype(np.int64),
        lambda m: np.repeat(m[..., None], 3, 2).astype(np.uint8) * 255,
        lambda m: Image.fromarray(m),
        lambda m: Image.fromarray(m.astype(np.uint8) * 255),
        lambda m: Image.fromarray(m.astype(np.uint8) * 255).convert("RGB"),
        lambda m: Image.fromarray(m.astype(np.uint16) * 65535),
        as_label_picture,
        as_palette,
        as_cut_out,
    ],
)
def test_kinds_of_masks(kind, tmp_path):
    assert np.array_equal(read_mask(kind(shape()), SIZE), shape())
    given = kind(shape())
    if isinstance(given, Image.Image):
        given.save(tmp_path / "mask.png")
        assert np.array_equal(read_mask(tmp_path / "mask.png", SIZE), shape())


def test_torch_masks():
    import torch

    assert np.array_equal(read_mask(torch.from_numpy(shape()), SIZE), shape())


def test_scaled_masks_fit_and_others_do_not():
    for factor in (0.5, 2, 3):
        scaled = shape(round(SIZE[0] * factor), round(SIZE[1] * factor))
        assert (read_mask(scaled, SIZE) ^ shape()).mean() < 0.01
    # rounded sides of a thumbnail
    assert read_mask(shape(13, 20), (1999, 3000)).shape == (1999, 3000)
    for wrong in (shape(60, 40), shape(40, 40), shape(41, 80)):
        with pytest.raises(UserError, match="60 x 40"):
            read_mask(wrong, SIZE)


@pytest.mark.parametrize(
    ("mask", "word"),
    [
        (np.zeros(SIZE, bool), "empty"),
        (np.zeros((0, 0), bool), "0 x 0"),
        (np.full(SIZE, np.nan), "finite"),
        (np.zeros((2, 3, 4, 5)), "shape"),
        (np.full(SIZE, "x"), "numbers"),
        ("nowhere.png", "does not exist"),
    ],
)
def test_wrong_masks(mask, word):
    with pytest.raises(UserError, match=word):
        read_mask(mask, SIZE)


def test_registry(tmp_path):
    assert build_foreground("own") is None
    with pytest.raises(UserError, match="did you mean rembg"):
        build_foreground("rembgs")
    with pytest.raises(UserError, match="provider"):
        build_foreground("magic")
    with pytest.raises(UserError, match="path"):
        build_foreground("file:")
    Image.fromarray(shape()).save(tmp_path / "mask.png")
    matte = build_foreground(f"file:{tmp_path / 'mask.png'}")(np.zeros((*SIZE, 3), np.uint8))
    assert matte.dtype == np.float32 and np.array_equal(matte > 0.5, shape())


# ------------------------------------------------------------------------------------------------------------ ONNX


def message(*fields) -> bytes:
    """A protocol buffer by hand: (number, int | bytes | str | float)."""
    result = b""
    for number, value in fields:
        if isinstance(value, int):
            result += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            result += varint(number << 3 | 2) + varint(len(value)) + value
    return result


def varint(value: int) -> bytes:
    result = b""
    while value > 127:
        result, value = result + bytes([value & 127 | 128]), value >> 7
    return result + bytes([value])


def tensor_type(name, *sides) -> bytes:
    """ValueInfoProto of floats; a side is a number or a name."""
    dims = b"".join(message((1, message((1, s) if isinstance(s, int) else (2, s)))) for s in sides)
    return message((1, name), (2, message((1, message((1, 1), (2, dims))))))


def network(path, sides=("h", "w"), scale=1.0, outputs=1):
    """An ONNX file: the mean of the channels of (1, 3, h, w), times ``scale``; so a matte of bright pixels."""
    axes = message((1, "axes"), (8, varint(1)), (20, 7))
    keep = message((1, "keepdims"), (3, 1), (20, 2))
    mean = message((1, "x"), (2, "m"), (4, "ReduceMean"), (5, axes), (5, keep))
    factor = message((2, 1), (8, "s"), (9, struct.pack("<f", scale)))
    multiply = message((1, "m"), (1, "s"), (2, "y"), (4, "Mul"))
    graph = message(
        (1, mean),
        (1, multiply),
        (2, "g"),
        (5, factor),
        (11, tensor_type("x", 1, 3, *sides)),
        (12, tensor_type("y", 1, 1, *sides)),
    )
    path.write_bytes(message((1, 7), (7, graph), (8, message((1, ""), (2, 13)))))
    return path


def bright():
    photo = np.zeros((*SIZE, 3), np.uint8)
    photo[shape()] = 255
    return photo


@pytest.mark.parametrize("sides", [("h", "w"), (64, 96)])
def test_onnx_of_free_and_fixed_size(tmp_path, sides):
    pytest.importorskip("onnxruntime")
    path = network(tmp_path / "net.onnx", sides)
    # mean 0, std 1: the network gives the brightness itself, a probability
    matte = build_foreground(f"onnx:{path},mean=0,std=1,size=64")(bright())
    assert matte.shape == SIZE and matte.dtype == np.float32 and 0 <= matte.min() and matte.max() <= 1
    assert ((matte > 0.5) ^ shape()).mean() < 0.03
    # the default normalisation gives [-1, 1], here times 6: logits
    path = network(tmp_path / "logits.onnx", sides, scale=6.0)
    assert ((build_foreground(f"onnx:{path},size=64")(bright()) > 0.5) ^ shape()).mean() < 0.03


def test_onnx_complaints(tmp_path):
    pytest.importorskip("onnxruntime")
    good = network(tmp_path / "net.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    for text, word in (
        ("onnx:", "needs a file"),
        (f"onnx:{tmp_path}/none.onnx", "does not exist"),
        (f"onnx:{tmp_path}/bad.onnx", "not an ONNX network"),
        (f"onnx:{good},colour=3", "Unknown option"),
        (f"onnx:{good},size=big", "number"),
        (f"onnx:{good},size=0", "positive"),
        (f"onnx:{good},output=3", "output 3"),
    ):
        with pytest.raises(UserError, match=word) as caught:
            build_foreground(text)
        assert "\n" not in str(caught.value)


def test_onnx_output_shapes():
    from bodymap.foreground.onnx import OnnxForeground

    provider = OnnxForeground.__new__(OnnxForeground)
    provider.channel = None
    matte = np.random.default_rng(0).random((6, 8)).astype(np.float32)
    for result in (matte, matte[None], matte[None, None], matte[None, :, :, None]):
        assert np.allclose(provider._matte(result), matte)
    two = np.stack([np.log(1 - matte), np.log(matte)])[None]  # logits of background, person
    assert np.allclose(provider._matte(two), matte, atol=1e-5)
    provider.channel = 5
    with pytest.raises(UserError, match="channel 5"):
        provider._matte(two)


def test_onnx_package_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(UserError, match="pip install onnxruntime"):
        build_foreground(f"onnx:{tmp_path / 'net.onnx'}")


def test_rembg(monkeypatch):
    monkeypatch.setitem(sys.modules, "rembg", None)
    with pytest.raises(UserError, match="pip install"):
        build_foreground("rembg")

    def remove(image, session, only_mask):
        assert session == "session u2net" and only_mask
        return image.convert("L")

    fake = SimpleNamespace(new_session=lambda name: f"session {name}", remove=remove)
    monkeypatch.setitem(sys.modules, "rembg", fake)
    matte = build_foreground("rembg:u2net")(bright())
    assert np.array_equal(matte > 0.5, shape())
