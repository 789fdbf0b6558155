"""Seeded ways to spoil a file: what bad disks, cut downloads, wrong programs and hostile senders make of it.

``KINDS`` names for each kind of file the mutations that make sense; each is a function (rng, path) that changes the
file in place. The same seed spoils the same file in the same way.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Mutation = Callable[[np.random.Generator, Path], None]


# ------------------------------------------------------------------------------------------------------------ any file
def flip_a_few_bits(rng: np.random.Generator, path: Path) -> None:
    _flip(rng, path, int(rng.integers(1, 9)))


def flip_many_bits(rng: np.random.Generator, path: Path) -> None:
    _flip(rng, path, max(20, path.stat().st_size // 200))


def _flip(rng: np.random.Generator, path: Path, count: int) -> None:
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, len(content), count):
        content[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def damage_header(rng: np.random.Generator, path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, min(64, len(content)), int(rng.integers(1, 7))):
        content[place] = int(rng.integers(256))
    path.write_bytes(content)


def truncate(rng: np.random.Generator, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(1, len(content)))])


def zero_a_block(rng: np.random.Generator, path: Path) -> None:
    content = bytearray(path.read_bytes())
    start = int(rng.integers(len(content)))
    stop = min(len(content), start + max(16, len(content) // 4))
    content[start:stop] = bytes(stop - start)
    path.write_bytes(content)


def append_garbage(rng: np.random.Generator, path: Path) -> None:
    path.write_bytes(path.read_bytes() + rng.bytes(int(rng.integers(1, 2000))))


def random_bytes(rng: np.random.Generator, path: Path) -> None:
    path.write_bytes(rng.bytes(int(rng.integers(1, 5000))))


def empty(rng: np.random.Generator, path: Path) -> None:
    path.write_bytes(b"")


def folder_instead(rng: np.random.Generator, path: Path) -> None:
    path.unlink()
    path.mkdir()


def unreadable(rng: np.random.Generator, path: Path) -> None:
    """The driver gives up root's right to read everything."""
    path.chmod(0)


def missing(rng: np.random.Generator, path: Path) -> None:
    path.unlink()


def dangling_link(rng: np.random.Generator, path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def link_to_itself(rng: np.random.Generator, path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def web_page(rng: np.random.Generator, path: Path) -> None:
    path.write_bytes(b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not \xfcbrig</body></html>\n")


def git_lfs_pointer(rng: np.random.Generator, path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n")


FILE: tuple[Mutation, ...] = (
    flip_a_few_bits, flip_many_bits, damage_header, truncate, zero_a_block, append_garbage, random_bytes, empty,
    folder_instead, unreadable, missing, dangling_link, link_to_itself, web_page, git_lfs_pointer,
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ pictures
def _open(path: Path):
    from PIL import Image

    with Image.open(path) as image:
        return image.copy()


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", head) + _png_chunk(b"IDAT", rows) + _png_chunk(b"IEND", b"")


def huge_declared_size(rng: np.random.Generator, path: Path) -> None:
    """A few bytes that promise a picture of up to four thousand million pixels each way."""
    width, height = (int(rng.choice([20_000, 60_000, 2**31 - 1])) for _ in range(2))
    path.write_bytes(_png(width, height, 8, 2, zlib.compress(bytes(100))))


def decompression_bomb(rng: np.random.Generator, path: Path) -> None:
    """Forty kilobytes of real picture data that unpack to forty million pixels."""
    side = 12_000
    path.write_bytes(_png(side, side, 1, 0, zlib.compress(bytes(side * (1 + side // 8)), 9)))


def text_bomb(rng: np.random.Generator, path: Path) -> None:
    """A PNG whose compressed comment unpacks to fifty megabytes."""
    content = (
        path.read_bytes() if path.read_bytes()[:4] == b"\x89PNG" else _png(40, 40, 8, 0, zlib.compress(bytes(1640)))
    )
    comment = _png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9))
    path.write_bytes(content[:33] + comment + content[33:])


def one_pixel(rng: np.random.Generator, path: Path) -> None:
    _open(path).resize((1, 1)).convert("RGB").save(path, "PNG")


def one_pixel_high(rng: np.random.Generator, path: Path) -> None:
    size = (20_000, 1) if rng.random() < 0.5 else (1, 20_000)
    _open(path).convert("RGB").resize(size).save(path, "PNG")


def a_long_strip(rng: np.random.Generator, path: Path) -> None:
    size = (6000, 16) if rng.random() < 0.5 else (16, 6000)
    _open(path).convert("RGB").resize(size).save(path, "PNG")


def another_size(rng: np.random.Generator, path: Path) -> None:
    image = _open(path)
    image.resize((max(1, image.width // int(rng.integers(2, 9))), image.height)).save(path, "PNG")


def sixteen_bits(rng: np.random.Generator, path: Path) -> None:
    from PIL import Image

    values = np.asarray(_open(path).convert("L")).astype(np.uint16) * 257
    Image.fromarray(values).save(path, "PNG")


def printing_colours(rng: np.random.Generator, path: Path) -> None:
    _open(path).convert("CMYK").save(path, "JPEG")


def palette_with_alpha(rng: np.random.Generator, path: Path) -> None:
    _open(path).convert("RGB").quantize(7).save(path, "PNG", transparency=bytes([0, 80, 255]))


def animation(rng: np.random.Generator, path: Path) -> None:
    from PIL import ImageOps

    image = _open(path).convert("RGB")
    format = str(rng.choice(["PNG", "GIF", "WEBP"]))
    image.save(path, format, save_all=True, append_images=[ImageOps.flip(image)] * 2, duration=40)


def quite_transparent(rng: np.random.Generator, path: Path) -> None:
    image = _open(path).convert("RGBA")
    image.putalpha(0)
    image.save(path, "PNG")


def numbers_that_are_none(rng: np.random.Generator, path: Path) -> None:
    from PIL import Image

    values = np.asarray(_open(path).convert("F")).copy()
    values[rng.random(values.shape) < 0.3] = rng.choice([np.nan, np.inf, -np.inf, 1e30])
    Image.fromarray(values).save(path, "TIFF")


def black_and_white(rng: np.random.Generator, path: Path) -> None:
    _open(path).convert("1").save(path, "PNG")


def damaged_exif(rng: np.random.Generator, path: Path) -> None:
    """The orientation among random bytes."""
    block = bytearray(
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + bytes([0, int(rng.integers(12)), 0, 0])
    )
    for place in rng.integers(6, len(block), int(rng.integers(0, 6))):
        block[place] = int(rng.integers(256))
    _open(path).convert("RGB").save(path, "JPEG", exif=bytes(block) + rng.bytes(40))


def damaged_profile(rng: np.random.Generator, path: Path) -> None:
    _open(path).convert("CMYK").save(path, "JPEG", icc_profile=rng.bytes(300))


def vector_drawing(rng: np.random.Generator, path: Path) -> None:
    """PostScript, which Pillow would hand to an interpreter."""
    path.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 128\n%%EndComments\n{ } loop\nshowpage\n%%EOF\n"
        if rng.random() < 0.5
        else b'<svg xmlns="http://www.w3.org/2000/svg" width="96" height="128"><rect width="96" height="128"/></svg>'
    )


def another_format(rng: np.random.Generator, path: Path) -> None:
    """The ending lies."""
    _open(path).convert("RGB").save(path, str(rng.choice(["BMP", "GIF", "TIFF", "WEBP", "PPM", "ICO", "TGA", "PCX"])))


def all_black(rng: np.random.Generator, path: Path) -> None:
    from PIL import Image

    Image.new("L", _open(path).size, 0).save(path, "PNG")


PICTURE: tuple[Mutation, ...] = (
    huge_declared_size, decompression_bomb, text_bomb, one_pixel, one_pixel_high, a_long_strip, another_size,
    sixteen_bits, printing_colours, palette_with_alpha, animation, quite_transparent, numbers_that_are_none,
    black_and_white, damaged_exif, damaged_profile, vector_drawing, another_format, all_black,
)  # fmt: skip


# -------------------------------------------------------------------------------------------------- trees (JSON, YAML)
_JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1, 7, 10**9, 10**30, 1e308, -0.5, float("nan"), float("inf"), "", "x", "../..", "\ud800".encode(
        "utf-8", "surrogatepass").decode("utf-8", "replace"), [], {}, [[]], {"a": {"b": []}}, [1, "two", None],
)  # fmt: skip


def spoil_tree(rng: np.random.Generator, tree: Any) -> Any:
    """Replaces, removes or renames one to three entries somewhere in nested dictionaries and lists."""
    for _ in range(int(rng.integers(1, 4))):
        places = list(_places(tree))
        if not places:
            return _JUNK[int(rng.integers(len(_JUNK)))]
        holder, key = places[int(rng.integers(len(places)))]
        what = rng.random()
        if what < 0.7:
            holder[key] = _JUNK[int(rng.integers(len(_JUNK)))]
        elif what < 0.9 or isinstance(holder, list):
            del holder[key]
        else:
            holder[f"{key}x"] = holder.pop(key)
    return tree


def _places(tree: Any):
    """(holder, key) of every entry; of long lists the first eight."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree[:8]) if isinstance(tree, list) else ()
    for key, value in list(entries):
        yield tree, key
        yield from _places(value)


def wrong_entries(rng: np.random.Generator, path: Path) -> None:
    path.write_text(json.dumps(spoil_tree(rng, json.loads(path.read_text("utf-8")))), "utf-8")


def deep_brackets(rng: np.random.Generator, path: Path) -> None:
    depth, bracket = int(rng.choice([2_000, 100_000])), str(rng.choice(["[", '{"a":']))
    path.write_text(bracket * depth, "utf-8")


def deep_brackets_inside(rng: np.random.Generator, path: Path) -> None:
    tree = json.loads(path.read_text("utf-8"))
    text = json.dumps(tree)
    key = json.dumps(next(iter(tree))) if isinstance(tree, dict) and tree else None
    if key is not None:
        text = "{" + key + ": " + "[" * 900 + "]" * 900 + ", " + text[1:].replace(key, '"other"', 1)
    path.write_text(text, "utf-8")


def another_encoding(rng: np.random.Generator, path: Path) -> None:
    text = path.read_text("utf-8")
    path.write_bytes(text.encode("utf-16") if rng.random() < 0.5 else b"\xff\xfe\xfc" + text.encode("utf-8"))


def endless_number(rng: np.random.Generator, path: Path) -> None:
    text = path.read_text("utf-8")
    digits = [place for place, sign in enumerate(text) if sign.isdigit()]
    if digits:
        place = digits[int(rng.integers(len(digits)))]
        text = text[:place] + "9" * 6000 + text[place + 1 :]
    path.write_text(text, "utf-8")


JSON: tuple[Mutation, ...] = (
    wrong_entries, wrong_entries, wrong_entries, deep_brackets, deep_brackets_inside, another_encoding, endless_number,
)  # fmt: skip

_YAML_LINES = (
    "model: &a [*a]\n",
    "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n"
    "d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\n"
    "f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\n"
    "h: &h [*g, *g, *g, *g, *g, *g, *g, *g, *g]\nmodel: [*h, *h, *h, *h, *h]\n",
    "a: &a {k1: x}\n" + "".join(
        f"{name}: &{name} {{<<: [{', '.join(f'*{before}' for _ in range(12))}]}}\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    ) + "model: {<<: [*h, *h]}\n",
    "train: !!python/object/apply:os.system ['true']\n",
    "train: !!int x\n", "train: !!float one\n", "train: !!timestamp 2001-99-99\n", "train: !!binary '%%%'\n",
    "train: 2001-99-99\n", "? [a, b]\n: 1\n", "? {a: b}\n: 1\n", "train:\n\tsteps: 1\n", "train: {steps: 1\n",
    "train: {steps: 1, steps: 2}\n", "<<: 5\n", "<<: *nobody\n", "base: .\n", "base: [a]\n", "base: config.yaml\n",
    "base: nowhere.yaml\n", "base: /dev/null\n", "--- {}\n--- {}\n", "%YAML 9.9\n---\ntrain: {}\n", "- a\n- b\n",
    "train: .nan\n", "train: {steps: .inf}\n", "train: {rate: .nan}\n", "train: {rate: .inf}\n", "1: {}\n",
    "null: {}\n", "train: {1: 2}\n", "? !!set {a}\n: b\n", "train: !!set {steps}\n", "train: !!omap [steps: 1]\n",
    "train: {steps: 0x7fffffffffffffffff}\n", "train: {betas: [.nan, .nan]}\n", "train: {seed: -1}\n",
    "train: {batch_size: 0x7fffffff}\n", "train: {workers: -3}\n", "train: {threads: -3}\n", "\0\n", "\x01: 1\n",
)  # fmt: skip


def yaml_tricks(rng: np.random.Generator, path: Path) -> None:
    """In front of what is there, behind it, or alone."""
    line, text = _YAML_LINES[int(rng.integers(len(_YAML_LINES)))], path.read_text("utf-8")
    path.write_text(str(rng.choice([line, line + text, text + "\n" + line])), "utf-8")


def wrong_settings(rng: np.random.Generator, path: Path) -> None:
    import yaml

    tree = spoil_tree(rng, yaml.safe_load(path.read_text("utf-8")))
    path.write_text(yaml.safe_dump(tree, sort_keys=False), "utf-8")


YAML: tuple[Mutation, ...] = (
    wrong_settings, wrong_settings, wrong_settings, yaml_tricks, yaml_tricks, yaml_tricks, deep_brackets,
    another_encoding, endless_number,
)  # fmt: skip


# --------------------------------------------------------------------------------------------------------- safetensors
def _split(path: Path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def _join(path: Path, header: bytes, tensors: bytes) -> None:
    path.write_bytes(len(header).to_bytes(8, "little") + header + tensors)


def wrong_header_entries(rng: np.random.Generator, path: Path) -> None:
    header, tensors = _split(path)
    names = [name for name in header if name != "__metadata__"]
    name = names[int(rng.integers(len(names)))]
    header[name] = spoil_tree(rng, header[name])
    _join(path, json.dumps(header).encode(), tensors)


def wrong_metadata(rng: np.random.Generator, path: Path) -> None:
    """Texts become other texts; texts that hold JSON get wrong entries."""
    header, tensors = _split(path)
    metadata = header.setdefault("__metadata__", {})
    for key in list(metadata):
        if rng.random() < 1.5 / max(len(metadata), 1):
            try:
                metadata[key] = json.dumps(spoil_tree(rng, json.loads(metadata[key])))
            except ValueError:
                metadata[key] = str(rng.choice(["", "x", "[" * 3000, "null", "1", "{}"]))
    if rng.random() < 0.2 and metadata:
        del metadata[list(metadata)[int(rng.integers(len(metadata)))]]
    _join(path, json.dumps(header).encode(), tensors)


def no_metadata(rng: np.random.Generator, path: Path) -> None:
    header, tensors = _split(path)
    header.pop("__metadata__", None)
    _join(path, json.dumps(header).encode(), tensors)


def huge_header(rng: np.random.Generator, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(int(rng.choice([2**63 - 1, 2**40, 10**8, 0])).to_bytes(8, "little") + content[8:])


def deep_header(rng: np.random.Generator, path: Path) -> None:
    _join(path, b'{"a":' + b"[" * 50_000, b"")


def huge_shape(rng: np.random.Generator, path: Path) -> None:
    _join(path, b'{"a":{"dtype":"F32","shape":[4294967295,4294967295],"data_offsets":[0,16]}}', bytes(16))


def _tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str] | None]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118 - not a dict


def _write_tensors(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str] | None) -> None:
    """With the checksum of weights made anew and that of packs left out, so that the damage is behind it."""
    from safetensors.numpy import save_file

    metadata = {name: text for name, text in (metadata or {}).items() if name != "checksum"} or None
    if metadata and "digest" in metadata:
        import torch

        from bodymap.weights import digest

        metadata = {**metadata, "digest": digest({k: torch.from_numpy(v.copy()) for k, v in tensors.items()})}
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path, metadata)


def wrong_tensors(rng: np.random.Generator, path: Path) -> None:
    """One to three arrays of a whole file: gone, renamed, of another shape or type, or of impossible values."""
    tensors, metadata = _tensors(path)
    for _ in range(int(rng.integers(1, 4))):
        name = list(tensors)[int(rng.integers(len(tensors)))]
        value = tensors[name]
        what = int(rng.integers(8))
        if what == 0 and len(tensors) > 1:
            del tensors[name]
        elif what == 1:
            tensors[f"{name}_"] = tensors.pop(name)
        elif what == 2:
            tensors[name] = value.reshape(-1)[: max(0, value.size - 1)]
        elif what == 3:
            tensors[name] = value[None]
        elif what == 4:
            tensors[name] = value.astype(np.float64 if value.dtype.kind in "iub" else np.int32)
        elif what == 5:
            tensors[name] = value[:0] if value.ndim else value
        elif value.dtype.kind == "f":
            spoilt = value.copy()
            spoilt.reshape(-1)[: max(1, value.size // 7)] = rng.choice([np.nan, np.inf, -1e4, 6e4])
            tensors[name] = spoilt
        else:
            info = np.iinfo(value.dtype) if value.dtype.kind in "iu" else None
            tensors[name] = np.full_like(value, True if info is None else rng.choice([info.min, info.max]))
    _write_tensors(path, tensors, metadata)


SAFETENSORS: tuple[Mutation, ...] = (
    wrong_header_entries, wrong_metadata, wrong_metadata, no_metadata, huge_header, deep_header, huge_shape,
    wrong_tensors, wrong_tensors, wrong_tensors,
)  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------- npz
def wrong_arrays(rng: np.random.Generator, path: Path) -> None:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    for _ in range(int(rng.integers(1, 3))):
        name = list(arrays)[int(rng.integers(len(arrays)))]
        value, what = arrays[name], int(rng.integers(7))
        if what == 0 and len(arrays) > 1:
            del arrays[name]
        elif what == 1:
            arrays[name] = value[None]
        elif what == 2:
            arrays[name] = np.array("text")
        elif what == 3:
            arrays[name] = value.astype("U8") if value.dtype.kind != "f" else value.astype(np.complex64)
        elif what == 4 and value.ndim:
            arrays[name] = value[: len(value) // 2]
        elif value.dtype.kind == "f":
            arrays[name] = np.full_like(value, rng.choice([np.nan, np.inf, 1e30]))
        elif value.dtype.kind in "iu":
            arrays[name] = np.full_like(value, rng.choice([np.iinfo(value.dtype).min, np.iinfo(value.dtype).max]))
    np.savez(path.open("wb"), **arrays)


def pickled_arrays(rng: np.random.Generator, path: Path) -> None:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    name = list(arrays)[int(rng.integers(len(arrays)))]
    arrays[name] = np.array([{"a": 1}, None], dtype=object)
    np.savez(path.open("wb"), **arrays)


def huge_array(rng: np.random.Generator, path: Path) -> None:
    """Headers that promise terabytes."""
    with np.load(path, allow_pickle=False) as file:
        names = list(file)
    head = io.BytesIO()
    side = int(rng.choice([2**20, 2**31 - 1]))
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (side, side)})
    victim = names[int(rng.integers(len(names)))]
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(f"{name}.npy") for name in names}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"{name}.npy", head.getvalue() + bytes(64) if name == victim else content)


def plain_zip(rng: np.random.Generator, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


NPZ: tuple[Mutation, ...] = (wrong_arrays, wrong_arrays, pickled_arrays, huge_array, plain_zip)


# -------------------------------------------------------------------------------------------------- text, meshes, films
_WORDS = ("nan", "inf", "-1", "0", "1e30", "99999999999", "x", "", "{", "}", "JOINT", "é", "0x10", "1/0", "//", "f")


def wrong_words(rng: np.random.Generator, path: Path) -> None:
    lines = path.read_text("utf-8", "replace").split("\n")
    for _ in range(int(rng.integers(1, 6))):
        row = int(rng.integers(len(lines)))
        words = lines[row].split(" ")
        words[int(rng.integers(len(words)))] = _WORDS[int(rng.integers(len(_WORDS)))]
        lines[row] = " ".join(words)
    path.write_text("\n".join(lines), "utf-8")


def lost_lines(rng: np.random.Generator, path: Path) -> None:
    lines = path.read_text("utf-8", "replace").split("\n")
    start = int(rng.integers(len(lines)))
    del lines[start : start + int(rng.integers(1, 12))]
    path.write_text("\n".join(lines), "utf-8")


TEXT: tuple[Mutation, ...] = (wrong_words, wrong_words, wrong_words, lost_lines, another_encoding, endless_number)


def wrong_scene(rng: np.random.Generator, path: Path) -> None:
    """A .glb whose JSON has wrong entries."""
    content = path.read_bytes()
    size = int.from_bytes(content[12:16], "little")
    text = json.dumps(spoil_tree(rng, json.loads(content[20 : 20 + size]))).encode()
    text += b" " * (-len(text) % 4)
    rest = content[20 + size :]
    head = b"glTF" + struct.pack("<II", 2, 20 + len(text) + len(rest)) + struct.pack("<I", len(text)) + b"JSON"
    path.write_bytes(head + text + rest)


GLB: tuple[Mutation, ...] = (wrong_scene, wrong_scene, wrong_scene)

KINDS: dict[str, tuple[Mutation, ...]] = {
    "picture": FILE + PICTURE,
    "json": FILE + JSON * 3,
    "yaml": FILE + YAML * 4,
    "safetensors": FILE + SAFETENSORS * 2,
    "npz": FILE + NPZ * 3,
    "text": FILE + TEXT * 2,
    "glb": FILE + GLB * 3,
    "binary": FILE,
}


def copy(source: Path, target: Path) -> None:
    """A file or folder as writable hard-to-confuse bytes of its own: a mutation must never reach the original."""
    import shutil

    if source.is_dir():
        shutil.copytree(source, target)
    else:
        os.makedirs(target.parent, exist_ok=True)
        shutil.copyfile(source, target)
