"""The predictor with an oracle in the network's place (exact truth), and with a tiny random network (its contracts)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from support.oracle import BACKGROUND, Oracle, code_photo
from support.sizes import PRESETS

from bodymap import BodyMap, Correspondence, UserError
from bodymap.config import to_dict
from bodymap.foreground import Foreground
from bodymap.loading import choose_device
from bodymap.network import build_model
from bodymap.predictor import PredictorConfig
from bodymap.surface import load_template, points
from bodymap.weights import save_weights


@pytest.fixture(scope="module")
def oracle() -> BodyMap:
    return BodyMap(Oracle(), load_template(), config=PredictorConfig(size=160, coarse_size=128))


@pytest.fixture(scope="module")
def sample():
    return code_photo(224)


@pytest.fixture(scope="module")
def tiny_weights(tmp_path_factory):
    torch.manual_seed(0)
    template = load_template()
    net = build_model(PRESETS["tiny"], template)
    config = {"model": to_dict(PRESETS["tiny"])}
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    return save_weights(folder, net.state_dict(), config, {"code_version": template.code_version})


def check_invariants(c: Correspondence, size: tuple[int, int]):
    """What every Correspondence promises."""
    shapes = {"mask": (), "confidence": (), "colour": (3,), "uv": (2,), "part": (), "triangle": (), "barycentric": (3,)}
    kinds = {"mask": bool, "confidence": "f4", "colour": "u1", "uv": "f4", "part": "i2", "triangle": "i4"}
    for name, rest in {**shapes, "layer": ()}.items():
        assert getattr(c, name).shape == (*size, *rest)
    for name, kind in {**kinds, "barycentric": "f4", "layer": "i1"}.items():
        assert getattr(c, name).dtype == np.dtype(kind)
    inside, outside = c.mask, ~c.mask
    assert (c.confidence[outside] == 0).all() and (c.colour[outside] == 0).all() and np.isnan(c.uv[outside]).all()
    assert (c.part[outside] == -1).all() and (c.triangle[outside] == -1).all() and (c.layer[outside] == 0).all()
    assert ((c.confidence >= 0) & (c.confidence <= 1)).all()
    assert (c.triangle[inside] >= 0).all() and (c.part[inside] >= 0).all()
    assert ((c.layer[inside] >= 1) & (c.layer[inside] <= 6)).all()
    assert ((c.uv[inside] >= 0) & (c.uv[inside] <= 1)).all()
    assert np.allclose(c.barycentric[inside].sum(-1), 1, atol=1e-4)
    template = load_template()
    place = torch.from_numpy(c.triangle[inside]).long(), torch.from_numpy(c.barycentric[inside])
    assert np.abs(points.code(template, *place).numpy() * 255 - c.colour[inside]).max() <= 0.51
    assert np.array_equal(points.part(template, *place).numpy(), c.part[inside])


def inner(mask, width=4):
    return ndimage.binary_erosion(mask, iterations=width)


def centimetres(c: Correspondence, sample, where) -> np.ndarray:
    """Straight distances between predicted and true points."""
    template = load_template()

    def position(triangle, barycentric):
        return points.position(template, torch.from_numpy(triangle[where]).long(), torch.from_numpy(barycentric[where]))

    difference = position(c.triangle, c.barycentric) - position(sample.triangle, sample.barycentric)
    return difference.norm(dim=-1).numpy() * 100


# ------------------------------------------------------------------------------------------------------ exact truth


def test_oracle_gives_the_truth_at_the_photos_own_size(oracle, sample):
    c = oracle.predict(sample.image)
    check_invariants(c, sample.image.shape[:2])
    union = (c.mask | sample.foreground).sum()
    assert (c.mask & sample.foreground).sum() > 0.97 * union
    error = centimetres(c, sample, c.mask & inner(sample.foreground, 3))
    assert np.median(error) < 0.6 and np.percentile(error, 99) < 3
    assert (c.layer[c.mask] == 3).all()  # background is the likeliest layer of the oracle, but no answer inside
    assert np.array_equal(c.part[inner(c.mask)], sample.part[inner(c.mask)]) or (
        (c.part == sample.part)[inner(c.mask)].mean() > 0.97
    )


def test_the_result_has_no_blocks():
    """A crop at a quarter of the photo's resolution: the code must rise in every pixel, not every fourth."""
    sample = code_photo(480)
    model = BodyMap(Oracle(), load_template(), config=PredictorConfig(size=160, coarse_size=128))
    c = model.predict(sample.image)
    torso = inner(sample.foreground, 12)
    rows = torso[:-1] & torso[1:]
    step = np.abs(np.diff(c.colour.astype(int), axis=0)).max(-1)[rows]
    true_step = np.abs(np.diff(sample.image.astype(int), axis=0)).max(-1)[rows]
    # in blocks of four, three of four steps would be 0
    assert (step > 0).mean() > 0.8 * (true_step > 0).mean()
    assert np.median(centimetres(c, sample, torso & c.mask)) < 0.6


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_and_kind_of_photo_do_not_matter(oracle, sample, tmp_path, orientation):
    plain = oracle.predict(sample.image)
    turned = np.rot90(sample.image, {3: 2, 6: 1, 8: 3}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(np.ascontiguousarray(turned)).save(path, exif=exif)
    for photo in (path, str(path), Image.open(path)):
        c = oracle.predict(photo)
        assert np.array_equal(c.triangle, plain.triangle) and np.array_equal(c.mask, plain.mask)


def test_a_small_person_in_a_wide_photo(oracle):
    sample = code_photo(96, margin=400)
    c = oracle.predict(sample.image)
    check_invariants(c, sample.image.shape[:2])
    assert (c.mask & sample.foreground).sum() > 0.9 * (c.mask | sample.foreground).sum()
    assert np.median(centimetres(c, sample, c.mask & inner(sample.foreground, 2))) < 1.0


def two_people():
    """A large person on the left and a smaller one on the right."""
    large, small = code_photo(240), code_photo(160)
    photo = np.empty((240, 336, 3), np.uint8)
    photo[:] = BACKGROUND
    photo[:, :180] = large.image
    photo[64:224, 200:320] = small.image
    return photo, large, small


def test_largest_and_all(oracle):
    photo, large, small = two_people()
    everybody = oracle.predict_all(photo)
    assert len(everybody) == 2
    first, second = everybody
    for c in everybody:
        check_invariants(c, (240, 336))
    assert first.mask[:, :188].sum() == first.mask.sum() and second.mask[:, 192:].sum() == second.mask.sum()
    assert abs(first.mask.sum() - large.foreground.sum()) < 0.05 * large.foreground.sum()
    assert abs(second.mask.sum() - small.foreground.sum()) < 0.08 * small.foreground.sum()
    assert np.array_equal(oracle.predict(photo).triangle, first.triangle)


def test_touching_people_are_told_apart(oracle):
    one = code_photo(240)
    photo = np.empty((240, 272, 3), np.uint8)
    photo[:] = BACKGROUND
    photo[:, :180] = one.image
    # the right one's hand covers the left one's
    patch = photo[:, 92:]
    patch[one.foreground] = one.image[one.foreground]
    everybody = oracle.predict_all(photo)
    assert len(everybody) == 2
    a, b = (c.mask for c in everybody)
    assert not (a & b).any()
    assert abs(int(a.sum()) - int(b.sum())) < 0.2 * a.sum()


def test_a_mask_is_taken_as_it_is(oracle, sample):
    mask = np.zeros(sample.foreground.shape, bool)
    mask[60:160, 90:140] = True
    c = oracle.predict(sample.image, mask=mask)
    check_invariants(c, mask.shape)
    assert np.array_equal(c.mask, mask)
    both = mask & inner(sample.foreground)
    assert np.median(centimetres(c, sample, both)) < 0.6
    # a single pixel, and the whole photo, are masks too
    dot = np.zeros_like(mask)
    dot[100, 110] = True
    assert oracle.predict(sample.image, dot).mask.sum() == 1
    assert oracle.predict(sample.image, np.ones_like(mask)).mask.all()
    # scaled masks of the same shape
    assert np.array_equal(oracle.predict(sample.image, np.kron(mask, np.ones((2, 2))) > 0).mask, mask)
    with pytest.raises(UserError, match="empty"):
        oracle.predict(sample.image, np.zeros_like(mask))
    with pytest.raises(UserError, match="168 x 224"):
        oracle.predict(sample.image, np.ones((100, 100), bool))


def test_nobody(oracle, tmp_path):
    path = tmp_path / "meadow.png"
    Image.new("RGB", (200, 150), tuple(BACKGROUND.tolist())).save(path)
    for ask in (oracle.predict, oracle.predict_all):
        with pytest.raises(UserError, match="No person was found in .*meadow.png"):
            ask(path)


class Halves(Foreground):
    """A segmenter that sees only the upper half of everything that is not background."""

    def __call__(self, photo):
        matte = (photo != BACKGROUND).any(-1).astype(np.float32)
        matte[photo.shape[0] // 2 :] = 0
        return matte


def test_another_segmenter_replaces_the_masks(sample):
    model = BodyMap(Oracle(), load_template(), foreground=Halves(), config=PredictorConfig(size=160, coarse_size=128))
    c = model.predict(sample.image)
    expected = sample.foreground.copy()
    expected[112:] = False
    assert (c.mask ^ expected).sum() < 0.01 * expected.sum()
    photo, _, _ = two_people()
    first, second = model.predict_all(photo)
    assert not first.mask[:, 192:].any() and not second.mask[:, :188].any() and second.mask.any()


def test_guide_reaches_the_network(oracle, sample):
    first = oracle.predict(sample.image)
    colour = np.where(first.mask[..., None], np.array([10, 200, 30], np.uint8), np.uint8(0))
    oracle.net.calls.conditions.clear()
    oracle.predict(sample.image, guide=replace(first, colour=colour))
    image = oracle.net.calls.conditions[-1][0]
    marked = (image[:3] - torch.tensor([10, 200, 30]).view(3, 1, 1) / 255).abs().amax(0) < 1e-3
    # everywhere but in the pixels at the silhouette that only the coarse stage calls person
    assert marked.sum() > 0.8 * (image[3] > 0).sum()


def test_second_pass_is_shown_the_first(sample):
    model = BodyMap(Oracle(), load_template(), config=PredictorConfig(size=160, coarse_size=128, passes=2))
    c = model.predict(sample.image)
    assert len(model.net.calls.net) == 2
    assert np.median(centimetres(c, sample, c.mask & inner(sample.foreground, 3))) < 0.6


def test_the_coarse_stage_alone(sample):
    config = PredictorConfig(size=160, coarse_size=160, stage="cse")
    model = BodyMap(Oracle(), load_template(), config=config)
    c = model.predict(sample.image)
    check_invariants(c, sample.image.shape[:2])
    assert not model.net.calls.net
    assert (c.mask & sample.foreground).sum() > 0.93 * (c.mask | sample.foreground).sum()
    assert np.median(centimetres(c, sample, c.mask & inner(sample.foreground, 4))) < 2
    with pytest.raises(UserError, match="guide"):
        model.predict(sample.image, guide=c)


# ------------------------------------------------------------------------------------------------- a real network


def test_from_pretrained_round_trip(tiny_weights, sample):
    model = BodyMap.from_pretrained(tiny_weights, device="cpu", config=PredictorConfig(size=128, coarse_size=96))
    c = model.predict(sample.image, sample.foreground)
    check_invariants(c, sample.image.shape[:2])
    assert np.array_equal(c.mask, sample.foreground)
    again = BodyMap.from_pretrained(tiny_weights, device="cpu", config=PredictorConfig(size=128, coarse_size=96))
    same = again.predict(Image.fromarray(sample.image), Image.fromarray(sample.foreground))
    for name in ("triangle", "barycentric", "confidence", "layer"):
        assert np.array_equal(getattr(c, name), getattr(same, name))


def test_reduced_precision_runs(tiny_weights, sample):
    model = BodyMap.from_pretrained(
        tiny_weights, device="cpu", dtype="bfloat16", config=PredictorConfig(size=128, coarse_size=96)
    )
    check_invariants(model.predict(sample.image, sample.foreground), sample.image.shape[:2])


def test_networks_without_a_coarse_stage_ask_for_a_mask(sample):
    net = build_model(replace(PRESETS["tiny"], cse=None, correspondence=None), load_template())
    model = BodyMap(net, load_template(), config=PredictorConfig(size=128))
    check_invariants(model.predict(sample.image, sample.foreground), sample.image.shape[:2])
    with pytest.raises(UserError, match="mask"):
        model.predict(sample.image)
    model = BodyMap(net, load_template(), config=PredictorConfig(size=128, stage="cse"))
    with pytest.raises(UserError, match="coarse stage"):
        model.predict(sample.image, sample.foreground)


def test_weights_that_do_not_fit(tmp_path):
    template = load_template()
    net = build_model(PRESETS["tiny"], template)
    state = net.state_dict()
    good = {"code_version": template.code_version}
    tiny = to_dict(PRESETS["tiny"])
    cases = [
        ({"model": {**tiny, "colour": 3}}, state, good, 'unknown key "colour"'),
        ({"model": {**tiny, "decoder": {"features": 20}}}, state, good, "does not fit|no network"),
        ({"something": 1}, state, good, '"model"'),
        ({"model": 5}, state, good, '"model"'),
        ({"model": tiny}, dict(list(state.items())[3:]), good, "does not fit"),
        ({"model": tiny}, state, {"code_version": "another"}, "colour code"),
    ]
    for n, (config, tensors, metadata, word) in enumerate(cases):
        folder = save_weights(tmp_path / str(n), tensors, config, metadata)
        with pytest.raises(UserError, match=word) as caught:
            BodyMap.from_pretrained(folder, device="cpu")
        assert str(folder) in str(caught.value)
    with pytest.raises(UserError, match="no weights"):
        BodyMap.from_pretrained(tmp_path / "none.safetensors")


def test_devices_and_settings(tiny_weights):
    assert choose_device("cpu").type == "cpu"
    for wrong in ("gpu", "cuda:99", "xpu"):
        with pytest.raises(UserError, match="device"):
            choose_device(wrong)
    with pytest.raises(UserError, match="number type"):
        BodyMap.from_pretrained(tiny_weights, device="cpu", dtype="int8")
    with pytest.raises(UserError, match="multiple of 32"):
        BodyMap(Oracle(), load_template(), config=PredictorConfig(size=450))
