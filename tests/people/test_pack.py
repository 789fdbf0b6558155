"""The pack: fitting by hand-computed cases, round trip, damage, and the small pack that ships."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from bodymap.errors import UserError
from bodymap.people.pack import (
    BASE_VERTICES,
    KIND_LAYER,
    SKIN_VERTICES,
    SMALL_PACK,
    Bones,
    Clip,
    Garment,
    Pack,
    Panorama,
    Skin,
    fit,
    largest_weights,
    without_split,
)
from bodymap.people.rotations import matrix_from_quaternion, quaternion_from_matrix
from bodymap.types import LAYER_NAMES


def picture(colour: tuple[int, ...], mode: str) -> np.ndarray:
    buffer = io.BytesIO()
    Image.new(mode, (8, 4), colour).save(buffer, "png")
    return np.frombuffer(buffer.getvalue(), np.uint8)


def tiny_garment(**changes) -> Garment:
    values = dict(
        name="shirt",
        kind="top",
        layer=LAYER_NAMES.index("upper"),
        refs=np.array([[0, 1, 2], [3, 3, 3], [4, 5, 6]], np.int32),
        weights=np.array([[0.5, 0.25, 0.25], [1, 0, 0], [1.5, -0.25, -0.25]], np.float32),
        offsets=np.array([[0, 0, 0], [0.25, 0.5, -0.125], [0, 0, 0]], np.float32),
        scales=((0, 7, 8, 0.5), (2, 7, 8, 0.25)),
        triangles=np.array([[0, 1, 2]], np.int32),
        uv=np.array([[0, 0], [1, 0], [0.5, 3]], np.float32),
        uv_triangles=np.array([[0, 1, 2]], np.int32),
        hides=np.array([5, 9], np.int32),
        texture="cloth",
        split="test",
        gender="female",
        licence="CC0-1.0",
        source="suit",
    )
    return Garment(**{**values, **changes})


def tiny_pack() -> Pack:
    rng = np.random.default_rng(0)
    dense = rng.random((BASE_VERTICES, 8)).astype(np.float32) ** 4
    index, weight = largest_weights(dense)
    q = rng.normal(size=(5, 2, 4)).astype(np.float32)
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    return Pack(
        base_vertices=rng.normal(size=(BASE_VERTICES, 3)).astype(np.float32),
        shape_basis=rng.normal(0, 0.1, size=(3, BASE_VERTICES, 3)).astype(np.float32),
        shape_coefficients=np.concatenate([np.zeros((1, 3)), rng.normal(size=(3, 3))]).astype(np.float32),
        shape_traits=tuple({"gender": g, "age": 30.0} for g in (0.5, 0.0, 1.0, 0.25)),
        shape_split=("train", "train", "train", "test"),
        base_heads=rng.normal(size=(8, 3)).astype(np.float32),
        heads_basis=rng.normal(size=(3, 8, 3)).astype(np.float32),
        bones=Bones(tuple("abcdefgh"), (-1, 0, 1, 1, 2, 0, 5, 6)),
        skin_index=index,
        skin_weight=weight,
        garments=(tiny_garment(), tiny_garment(name="wig", kind="hair", split="train", texture=None)),
        skins=(Skin("fair", "skin", "female", "young", "CC0-1.0"),),
        panoramas=(Panorama("street", "sky", rng.random((4, 8, 3)).astype(np.float32) * 9, "CC0", "test"),),
        clips=(Clip("walk", 0, 3, "motion"), Clip("sit", 3, 2, "still", split="test")),
        helpers={"tights": np.array([[1, 2, 3]], np.int32)},
        helper_uv={"tights": (np.eye(3, 2, dtype=np.float32), np.array([[0, 1, 2]], np.int32))},
        pose_bones=np.array([1, 4]),
        pose_quaternions=q,
        fist=matrix_from_quaternion(rng.normal(size=(8, 4))),
        images={
            "cloth": picture((1, 2, 3, 4), "RGBA"),
            "skin": picture((9, 8, 7), "RGB"),
            "sky": picture((0, 0, 9), "RGB"),
        },
        notes={"who": "a test"},
    )


def test_fit_by_hand():
    base = np.zeros((BASE_VERTICES, 3), np.float32)
    base[0], base[1], base[2] = (4, 0, 0), (0, 8, 0), (0, 0, 8)
    base[3] = (1, 1, 1)
    base[4], base[5], base[6] = (2, 2, 2), (4, 0, 0), (0, 4, 0)
    base[7], base[8] = (1, 5, -1), (2, 9, 0.5)  # 1 apart in x (reference .5: x doubles), 1.5 in z (.25: z by six)
    expected = [[2, 2, 2], [1 + 0.25 * 2, 1 + 0.5, 1 - 0.125 * 6], [2, 2, 3]]
    np.testing.assert_allclose(fit(tiny_garment(), base), expected, atol=1e-6)


def test_fit_batches_torch_and_leaves_the_body_alone():
    torch = pytest.importorskip("torch")
    base = np.random.default_rng(1).normal(size=(2, BASE_VERTICES, 3)).astype(np.float32)
    before = base.copy()
    both = fit(tiny_garment(), base)
    np.testing.assert_array_equal(base, before)
    np.testing.assert_allclose(both[1], fit(tiny_garment(), base[1]), atol=1e-6)
    np.testing.assert_allclose(fit(tiny_garment(), torch.from_numpy(base)).numpy(), both, atol=1e-6)


def test_fit_follows_the_body():
    """Moved and evenly grown bodies carry their garments along exactly (offsets are scaled along x and z)."""
    base = np.random.default_rng(2).normal(size=(BASE_VERTICES, 3)).astype(np.float32)
    garment = tiny_garment(scales=tuple((axis, 7, 8, 0.25) for axis in range(3)))
    first = fit(garment, base)
    np.testing.assert_allclose(fit(garment, base * 2 + [1, 2, 3]), first * 2 + [1, 2, 3], atol=1e-4)


def test_round_trip(tmp_path):
    pack = tiny_pack()
    pack.save(tmp_path / "p.pack")
    back = Pack.load(tmp_path / "p.pack")
    np.testing.assert_allclose(back.shape_basis, pack.shape_basis, atol=1e-5)
    for name in ("base_vertices", "shape_coefficients", "base_heads", "heads_basis"):
        np.testing.assert_array_equal(getattr(back, name), getattr(pack, name))
    np.testing.assert_allclose(back.skin_weight, pack.skin_weight, atol=0.01)
    np.testing.assert_allclose(back.skin_weight.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(back.skin_index, pack.skin_index)
    assert back.shape_traits == pack.shape_traits and back.shape_split == pack.shape_split
    assert back.bones == pack.bones and back.clips == pack.clips and back.skins == pack.skins
    assert back.notes == pack.notes
    np.testing.assert_allclose(back.poses, pack.poses, atol=2e-3)
    np.testing.assert_allclose(back.fist, pack.fist, atol=2e-3)
    np.testing.assert_allclose(back.pose(2), back.poses[2])
    for a, b in zip(back.garments, pack.garments, strict=True):
        for name, value in vars(b).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_allclose(getattr(a, name), value, atol=1e-3)
            elif name != "layer":
                assert getattr(a, name) == value
    assert back.garments[1].layer == LAYER_NAMES.index("hair")
    np.testing.assert_allclose(back.panoramas[0].radiance, pack.panoramas[0].radiance, rtol=1e-3)
    np.testing.assert_array_equal(back.helpers["tights"], pack.helpers["tights"])
    assert back.image("cloth").shape == (4, 8, 4) and (back.image("cloth")[0, 0] == [1, 2, 3, 4]).all()
    assert back.image("skin").shape == (4, 8, 3)
    assert back.image("skin") is back.image("skin")
    tiny_pack().save(tmp_path / "q.pack")
    assert (tmp_path / "p.pack").read_bytes() == (tmp_path / "q.pack").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.pack", "q.pack"]


def test_names_and_splits():
    pack = tiny_pack()
    assert pack.pose_names == ("walk#0", "walk#1", "walk#2", "sit#0", "sit#1")
    assert pack.pose_split == ("train",) * 3 + ("test",) * 2
    assert [g.name for g in pack.garments_of("top", "hair")] == ["wig"]
    assert [g.name for g in pack.garments_of("top", "hair", split="all")] == ["shirt", "wig"]
    assert [g.name for g in without_split(pack, "test").garments] == ["shirt"]
    assert set(KIND_LAYER.values()) <= set(LAYER_NAMES)


def test_shapes_are_linear():
    pack = tiny_pack()
    c = np.array([1, -2, 0.5])
    by_hand = pack.base_vertices[77] + sum(c[k] * pack.shape_basis[k, 77] for k in range(3))
    np.testing.assert_allclose(pack.vertices(c)[77], by_hand, atol=1e-5)
    np.testing.assert_array_equal(pack.vertices(pack.shape_coefficients[0]), pack.base_vertices)
    np.testing.assert_allclose(pack.heads(c)[3], pack.base_heads[3] + c @ pack.heads_basis[:, 3], atol=1e-5)


def test_garment_skin_weights():
    """A vertex on one base vertex takes its weights; a mean of two takes theirs; negative sums are clipped."""
    pack = tiny_pack()
    index, weight = np.zeros((BASE_VERTICES, 6), int), np.zeros((BASE_VERTICES, 6), np.float32)
    index[:, 1:] = np.arange(1, 6)
    weight[:, 0] = 1
    index[4, 0], index[5, 0] = 6, 7
    pack = replace(pack, skin_index=index, skin_weight=weight)
    garment = tiny_garment(
        refs=np.array([[3, 3, 3], [4, 5, 5], [4, 5, 5]], np.int32),
        weights=np.array([[1, 0, 0], [0.25, 0.25, 0.5], [1.5, -0.5, 0]], np.float32),
        name="hat",
    )
    i, w = pack.garment_skin(garment)
    assert i[0, 0] == 0 and w[0, 0] == 1
    assert list(i[1, :2]) == [7, 6] and np.allclose(w[1, :2], [0.75, 0.25])
    assert i[2, 0] == 6 and w[2, 0] == 1


def test_quaternions():
    q = np.random.default_rng(3).normal(size=(500, 4))
    q[:3] = [[0, 1, 0, 0], [0, 0, 1, 0], [1e-9, 0, 0, 1]]  # half turns, where w gives no digits
    matrices = matrix_from_quaternion(q)
    np.testing.assert_allclose(matrices @ np.swapaxes(matrices, 1, 2), np.tile(np.eye(3), (500, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(matrix_from_quaternion(quaternion_from_matrix(matrices)), matrices, atol=1e-5)
    quarter = matrix_from_quaternion(np.array([1.0, 0, 0, 1]))  # 90 degrees about z: x -> y
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-6)


def rewritten(source, target, change_metadata=None, change_tensors=None):
    with safe_open(source, framework="numpy") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        metadata = file.metadata()
    if change_tensors is not None:
        del metadata["checksum"]  # what lies behind it is to be found, too
    (change_tensors or (lambda t: None))(tensors)
    (change_metadata or (lambda m: None))(metadata)
    save_file(tensors, target, metadata)


def set_refs_out_of_range(tensors):
    tensors["garment/0/refs"] = np.full_like(tensors["garment/0/refs"], 65535)


def widen(tensors, name):
    tensors[name] = tensors[name][None]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda a, b: b.write_bytes(a.read_bytes()[:-5000]), "damaged"),
        (lambda a, b: b.write_bytes(b""), "damaged"),
        (lambda a, b: b.write_bytes(b"not a pack at all, " * 50), "damaged"),
        (lambda a, b: rewritten(a, b, lambda m: m.update(format="weights")), "not a people pack"),
        (lambda a, b: rewritten(a, b, lambda m: m.update(version="7")), "version 7"),
        (lambda a, b: rewritten(a, b, lambda m: m.update(items="{}")), "damaged"),
        (lambda a, b: rewritten(a, b, lambda m: m.update(items="[")), "damaged"),
        (lambda a, b: rewritten(a, b, None, lambda t: t.pop("base_heads")), "base_heads"),
        (lambda a, b: rewritten(a, b, None, lambda t: t.pop("image/cloth")), "cloth"),
        (lambda a, b: rewritten(a, b, None, set_refs_out_of_range), "out of range"),
        (lambda a, b: rewritten(a, b, None, lambda t: t["base_vertices"].fill(np.nan)), "finite"),
        (lambda a, b: rewritten(a, b, None, lambda t: t.update(base_vertices=t["base_vertices"][:99])), "damaged"),
        (lambda a, b: rewritten(a, b, None, lambda t: widen(t, "helper/tights/uv_triangles")), "helper tights"),
        (lambda a, b: rewritten(a, b, None, lambda t: t["helper/tights/uv"].fill(np.inf)), "helper tights"),
        (lambda a, b: None, "no people pack"),
    ],
)
def test_damage_is_one_clear_sentence(tmp_path, damage, says):
    tiny_pack().save(tmp_path / "good.pack")
    damage(tmp_path / "good.pack", tmp_path / "bad.pack")
    with pytest.raises(UserError, match=says) as caught:
        Pack.load(tmp_path / "bad.pack")
    assert "\n" not in str(caught.value)


def test_damaged_image(tmp_path):
    pack = replace(tiny_pack(), images={"cloth": np.arange(50, dtype=np.uint8)})
    with pytest.raises(UserError, match="damaged"):
        pack.image("cloth")
    with pytest.raises(UserError, match="holds no image"):
        pack.image("hat")


def test_image_cache_is_bounded(monkeypatch):
    monkeypatch.setattr("bodymap.people.pack._IMAGE_CACHE_BYTES", 200)  # two pictures of 4 x 8 x 3 bytes
    pack = replace(tiny_pack(), images={str(k): picture((k, k, k), "RGB") for k in range(4)})
    for k in (0, 1, 0, 2):
        assert pack.image(str(k))[0, 0, 0] == k
    assert [key for _, key in pack._cache] == ["0", "2"]


# ---------------------------------------------------------------------- the pack that ships


@pytest.fixture(scope="module")
def small() -> Pack:
    return Pack.load()


def test_small_pack_is_small_and_loads_fast(small):
    assert SMALL_PACK.stat().st_size <= 4_500_000
    start = time.process_time()
    Pack.load()
    assert time.process_time() - start < 1.0


def test_small_pack_holds_plausible_people(small):
    ups = (
        small.shape_coefficients @ small.shape_basis[:, :SKIN_VERTICES:3, 2] + small.base_vertices[:SKIN_VERTICES:3, 2]
    )
    heights = np.ptp(ups, axis=1)
    ages = np.array([t["age"] for t in small.shape_traits])
    genders = np.array([t["gender"] for t in small.shape_traits])
    assert len(heights) >= 200 and small.shape_split.count("test") >= 20
    assert 0.95 < heights[ages < 12].mean() < 1.45 and ages.min() < 8 and ages.max() > 70
    men, women = heights[(ages > 20) & (genders < 0.3)], heights[(ages > 20) & (genders > 0.7)]
    assert 1.68 < men.mean() < 1.82 and 1.55 < women.mean() < 1.70
    assert heights.max() < 2.15
    # symmetric and left at +X: the left hand's bone is where x is positive
    assert small.base_heads[small.bones.index("wrist.L"), 0] > 0.3


def test_small_pack_skin_weights(small):
    np.testing.assert_allclose(small.skin_weight.sum(1), 1, atol=1e-5)
    assert (small.skin_weight[:, 0] >= small.skin_weight[:, 1]).all()
    # a vertex is moved by bones near it
    strongest = small.skin_index[:SKIN_VERTICES, 0]
    distance = np.linalg.norm(small.base_vertices[:SKIN_VERTICES] - small.base_heads[strongest], axis=1)
    assert np.percentile(distance, 99) < 0.35


def test_small_pack_helpers_morph_with_the_body(small):
    for name, most in (("tights", 0.05), ("skirt", 0.25)):
        ids = np.unique(small.helpers[name])
        assert ids.min() >= SKIN_VERTICES
        for body in (0, 7, 23):
            vertices = small.vertices(small.shape_coefficients[body])
            skin = vertices[:SKIN_VERTICES:3]
            nearest = np.sqrt(((vertices[ids][::9, None] - skin[None]) ** 2).sum(-1).min(1))
            assert np.percentile(nearest, 98) < most, name
    uv, triangles = small.helper_uv["tights"]
    assert triangles.shape == small.helpers["tights"].shape and uv.min() >= 0 and uv.max() <= 1


def test_small_pack_poses_and_fist(small):
    assert small.pose_count >= 200 and {"train", "test"} <= set(small.pose_split)
    poses = small.poses
    np.testing.assert_allclose(poses @ np.swapaxes(poses, -1, -2), np.broadcast_to(np.eye(3), poses.shape), atol=2e-5)
    np.testing.assert_allclose(np.linalg.det(poses), 1, atol=1e-4)
    moved = [
        label for label, r in zip(small.bones.labels, small.fist, strict=True) if np.abs(r - np.eye(3)).max() > 0.1
    ]
    assert moved and all(label.startswith("finger") for label in moved)


def test_small_pack_licences_are_known(small):
    for item in [*small.garments, *small.clips]:
        assert item.licence in ("CC0-1.0", "Zlib"), item.name
    with safe_open(SMALL_PACK, framework="numpy") as file:
        assert json.loads(file.metadata()["items"])["notes"]["body"]
