"""Correspondences come back as they were; anything else is refused."""

import dataclasses
import zipfile

import numpy as np
import pytest

from bodymap.correspondence_io import load_correspondence, save_correspondence
from bodymap.errors import UserError
from bodymap.types import Correspondence


def make(height=40, width=30, seed=0) -> Correspondence:
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    mask[5:30, 8:20] = True
    barycentric = rng.dirichlet([1, 1, 1], (height, width)).astype(np.float32) * mask[..., None]
    uv = rng.random((height, width, 2), np.float32)
    uv[~mask] = np.nan
    return Correspondence(
        mask=mask,
        confidence=rng.random((height, width), np.float32) * mask,
        colour=(rng.integers(0, 255, (height, width, 3)) * mask[..., None]).astype(np.uint8),
        uv=uv,
        part=np.where(mask, rng.integers(0, 16, (height, width)), -1).astype(np.int16),
        triangle=np.where(mask, rng.integers(0, 26000, (height, width)), -1).astype(np.int32),
        barycentric=barycentric,
        layer=np.where(mask, rng.integers(1, 7, (height, width)), 0).astype(np.int8),
    )


def test_round_trip(tmp_path):
    c = make()
    path = save_correspondence(c, tmp_path / "c.npz", "code-1")
    back = load_correspondence(path, "code-1")
    for field in dataclasses.fields(c):
        a, b = getattr(c, field.name), getattr(back, field.name)
        assert a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    # plain numpy reads it too, and the same correspondence gives the same bytes
    with np.load(path, allow_pickle=False) as plain:
        assert np.array_equal(plain["triangle"], c.triangle) and str(plain["code_version"]) == "code-1"
    save_correspondence(c, tmp_path / "again.npz", "code-1")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.npz", "c.npz"]


def test_another_template_is_refused(tmp_path):
    path = save_correspondence(make(), tmp_path / "c.npz", "code-1")
    load_correspondence(path)
    with pytest.raises(UserError, match="code-1.*code-2"):
        load_correspondence(path, "code-2")


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("confidence", lambda a: a + 2),
        ("confidence", lambda a: np.full_like(a, np.nan)),
        ("part", lambda a: a + 20),
        ("part", lambda a: np.abs(a)),
        ("triangle", lambda a: np.full_like(a, -1)),
        ("layer", lambda a: np.zeros_like(a)),
        ("layer", lambda a: a.astype(np.int64)),
        ("uv", lambda a: a * 2),
        ("mask", lambda a: a[:-1]),
        ("mask", lambda a: ~a),
        ("barycentric", lambda a: a[..., :2]),
        ("colour", lambda a: a.astype(object)),
    ],
)
def test_wrong_fields(tmp_path, field, change):
    arrays = {f.name: getattr(make(), f.name) for f in dataclasses.fields(Correspondence)}
    arrays[field] = change(arrays[field])
    path = tmp_path / "c.npz"
    np.savez_compressed(path, format=np.array("bodymap-correspondence 1"), **arrays)
    with pytest.raises(UserError) as caught:
        load_correspondence(path)
    assert "c.npz" in str(caught.value)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "c.npz"
    with pytest.raises(UserError, match="does not exist"):
        load_correspondence(path)
    whole = save_correspondence(make(), tmp_path / "whole.npz").read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 3 : len(whole) // 3 + 50] = bytes(50)
    for content in (b"", b"text", whole[:500], whole[: len(whole) // 2], bytes(damaged)):
        path.write_bytes(content)
        with pytest.raises(UserError):
            load_correspondence(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(UserError, match="not a correspondence"):
        load_correspondence(path)


def test_a_size_that_would_fill_the_memory_is_refused_by_its_header(tmp_path):
    """The file promises 10^12 pixels in a few bytes."""
    c = make()
    path = save_correspondence(c, tmp_path / "c.npz")
    header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    header += b"{'descr': '|b1', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117) + b"\n"
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(bomb, "w") as target:
        for name in source.namelist():
            target.writestr(name, header if name == "mask.npy" else source.read(name))
    with pytest.raises(UserError, match="impossible size"):
        load_correspondence(bomb)
