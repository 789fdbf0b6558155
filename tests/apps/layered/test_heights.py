"""Heights of the lower garment: the affine map, the network on top of it, its training, and what it moves."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.pictures import template_sample

from apps.layered import samples
from apps.layered.canonical import canonical
from apps.layered.height_task import augmented
from apps.layered.heights import HeightNet, affine_heights, code_at, height_loss, height_of, moved, own_spread
from apps.layered.predictor import PRETRAINED, load_heights
from apps.layered.samples import NOWHERE, Shards, layers_of, match_sample, stack
from apps.layered.settings import HeightConfig, HeightTaskConfig
from apps.layered.train_heights import Config, main
from bodymap.config import load_config
from bodymap.data.shards import ShardDataset, ShardSettings, write_shards
from bodymap.errors import UserError
from bodymap.surface import load_template, points

CONFIGS = Path(__file__).parents[3] / "configs" / "layered" / "heights"
SIZE = (64, 48)
# What is drawn is the person's box with its margin, as it is
STILL = HeightTaskConfig(zoom=(0, 0), shift=0, far_share=0, rotation=0, stretch=0)


def flat_person(turn: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A flat person of 1.4 m in the plane of the picture, turned by an angle: match (1, 4, H, W), mask, true heights.

    Trunk and legs stand upright; the middle third, the lower garment, claims to be 20 cm higher than it is, and an arm
    to the side says anything at all.
    """
    template = load_template()
    y, x = torch.meshgrid(torch.arange(SIZE[0]) - 31.5, torch.arange(SIZE[1]) - 23.5, indexing="ij")
    c, s = np.cos(turn), np.sin(turn)
    down, across = c * y + s * x, c * x - s * y
    z = -0.028 * down
    mask = torch.where((down.abs() < 25) & (across.abs() < 5), 1, 0)
    lower = (mask > 0) & (down > -5) & (down < 12)
    arm = (down.abs() < 25) & (down < 0) & (across > 8) & (across < 12)
    mask[lower], mask[arm] = 3, 1
    codes = torch.linspace(0, 1, 4001)
    of_metres = torch.searchsorted(height_of(template, codes), z + 0.2 * lower + 0.3 * arm).clamp(max=4000)
    code = torch.stack([torch.where(arm, 0.85, 0.5), torch.full_like(z, 0.5), codes[of_metres]])
    return torch.cat([code, (mask > 0).float()[None]])[None], mask[None], z


@pytest.mark.parametrize("turn", [0.0, 0.7, np.pi / 2])
def test_what_head_and_feet_say_holds_between_them(turn):
    match, mask, z = flat_person(turn)
    fitted, trust = affine_heights(load_template(), match, mask)[0]
    person, lower = mask[0] > 0, mask[0] == 3
    assert (fitted - z)[person].abs().max() < 0.01
    assert not fitted[~person].any()
    assert trust[lower].min() > 0.15 and trust.max() <= 1 and not trust[~person].any()


def test_far_from_what_is_known_there_is_little_trust():
    match, mask, _ = flat_person(0.0)
    match[:, 3, 20:] = 0  # only the head says anything
    trust = affine_heights(load_template(), match, mask)[0, 1]
    assert trust[12, 24] > 0.3 and trust[50, 24] < 0.02


def test_nothing_known_is_nothing_said():
    match, mask, _ = flat_person(0.0)
    assert not affine_heights(load_template(), torch.zeros_like(match), mask).any()
    assert torch.isfinite(affine_heights(load_template(), match, torch.full_like(mask, -1))).all()


def test_heights_are_a_function_of_the_code():
    template = load_template()
    skin = template.triangles[template.triangle_inner == 0].unique()
    off = (height_of(template, template.code[skin, 2]) - template.vertices[skin, 2]).abs()
    assert off.median() < 0.002 and off.quantile(0.9) < 0.01
    metres = torch.linspace(-0.7, 0.7, 50)
    torch.testing.assert_close(height_of(template, code_at(template, metres)), metres, atol=1e-4, rtol=0)


def test_codes_are_moved_the_further_the_surer_the_heights_are():
    surface = canonical("lower").surface
    code = torch.tensor([[0.4, 0.6, 0.5]]).expand(4, 3)
    high = height_of(surface, code[:, 2])
    own = torch.tensor([0.03, 0.03, 0.03, 0.0])
    found = moved(surface, code, own, high - 0.1, torch.tensor([1e-6, 0.045, 50.0, 0.0]))
    assert torch.equal(found[:, :2], code[:, :2])
    shift = high - height_of(surface, found[:, 2])
    torch.testing.assert_close(shift, torch.tensor([0.1, 0.05, 0.0, 0.0]), atol=1e-3, rtol=0)


def test_the_spread_of_scores_is_that_of_their_heights():
    surface = canonical("lower").surface
    middle = surface.sample_code[300]
    bins = torch.linspace(0, 1, 256)
    spread = []
    for width in (0.02, 0.1, 10.0):  # of Gaussian scores, in colour
        scores = -0.5 * ((bins - middle[:, None]) / width).square()[None]
        spread.append(own_spread(surface, scores).item())
    assert spread[0] < 0.03 < spread[1] < spread[2]
    heights = height_of(surface, surface.sample_code[:, 2])
    assert spread[2] == pytest.approx(heights.std(correction=0).item(), rel=0.02)  # nothing known: all of the surface


@pytest.mark.parametrize("size", [(64, 48), (37, 64)])
def test_a_new_network_begins_as_the_affine_map(size):
    net = HeightNet(HeightConfig(widths=(8, 8, 8))).eval()
    match, mask, _ = flat_person(0.3)
    match, mask = match[..., : size[0], : size[1]], mask[..., : size[0], : size[1]]
    with torch.no_grad():
        height, spread = net(mask, match)
    assert height.shape == spread.shape == mask.shape and (spread > 0).all()
    assert torch.equal(height, affine_heights(load_template(), match, mask)[:, 0])


def test_the_loss_is_least_at_the_truth_and_its_mean_error():
    truth, error = torch.zeros(2000), torch.linspace(-0.1, 0.1, 2000)
    known = torch.ones(2000, dtype=torch.bool)

    def loss(shift: float, spread: float) -> float:
        return height_loss(error + shift, torch.full((2000,), spread), truth, known).item()

    best = loss(0.0, 0.05)  # the mean absolute error
    assert all(best < other for other in (loss(0.02, 0.05), loss(0.0, 0.03), loss(0.0, 0.08)))
    assert height_loss(error, truth + 1, truth, ~known) == 0


@pytest.fixture(scope="module")
def matches(tmp_path_factory):
    """Match samples of four pictures of the template, made by the command."""
    pictures, folder = tmp_path_factory.mktemp("layers"), tmp_path_factory.mktemp("matches")
    views = [layers_of(template_sample(0.5 * i, (128, 96), i)) for i in range(4)]
    for view in views:  # (ordinary pictures do not tell what may be a skirt; here nobody wears one)
        view["lower_triangle"], view["lower_barycentric"] = lower_of(view)
    write_shards(views.__getitem__, 4, pictures, ShardSettings(size=(128, 96), per_shard=4))
    samples.main(["matches", str(pictures), "-o", str(folder)])
    return pictures, folder


def lower_of(view):
    mine = (view["layer"] == samples.LOWER) & (view["triangle"] >= 0)
    mine |= (view["layer"] == samples.LOWER) & (view["lower_triangle"] >= 0)
    return np.where(mine, view["lower_triangle"], -1), view["lower_barycentric"]


def test_match_samples_hold_what_the_picture_says(matches):
    pictures, folder = (ShardDataset(path) for path in matches)
    assert len(folder) == 4
    picture, found = pictures[1], match_sample(folder, 1)
    assert found["layer"].shape == SIZE and found["match"].shape == found["body"].shape == (*SIZE, 4)
    grid = np.ix_((np.arange(64) * 2 + 1), (np.arange(48) * 2 + 1))
    assert np.array_equal(found["layer"], picture["layer"][grid])
    seen = found["body"][..., 3] > 0
    assert np.array_equal(seen, (picture["layer"][grid] == 1) & (picture["triangle"][grid] >= 0))
    triangle = torch.from_numpy(picture["triangle"][grid][seen]).long()
    corners = torch.from_numpy(picture["barycentric"][grid][seen]).float() / 255
    code = points.code(load_template(), triangle, torch.cat([corners, 1 - corners.sum(-1, keepdim=True)], -1))
    assert np.abs(255 * code.numpy() - found["body"][seen][:, :3]).max() <= 1
    there = picture["lower_triangle"][grid] >= 0
    assert there.any() and np.array_equal(found["height"] > NOWHERE, there)
    assert -1000 < found["height"][there].min() < found["height"][there].max() < 300
    with pytest.raises(UserError, match="no match samples"):
        match_sample(pictures, 0)


def test_places_that_a_surface_does_not_have_are_refused(tmp_path, matches):
    picture = dict(ShardDataset(matches[0])[0])
    picture["lower_triangle"] = np.full_like(picture["lower_triangle"], 30_000)
    write_shards(lambda index: picture, 1, tmp_path, ShardSettings(size=(128, 96)))
    with pytest.raises(UserError, match="surface of the lower has"):
        samples.Matches(str(tmp_path))(0)


def test_grids_are_about_the_person_and_mirrored_with_their_codes(matches):
    batch = stack([match_sample(ShardDataset(matches[1]), index) for index in range(4)])
    slots = torch.arange(40, 44)
    one = augmented(batch, slots, config=STILL)
    again = augmented(batch, slots, config=STILL)
    assert all(torch.equal(one[name], again[name]) for name in one)
    flips = [np.random.default_rng([STILL.seed, slot]).random() < 0.5 for slot in slots.tolist()]
    assert len(set(flips)) == 2
    for number, flip in enumerate(flips):
        rows, columns = (one["layer"][number] > 0).nonzero().unbind(-1)
        assert abs(float(rows.min() + rows.max()) / 2 - 31.5) <= 1.5
        assert 0.75 < (rows.max() - rows.min() + 1) / 64 < 0.87  # 1 / 1.24
        # the template's left is where its first channel is large, in a mirrored picture, too
        body = one["body"][number]
        side = body[0][:, : SIZE[1] // 2][body[3][:, : SIZE[1] // 2] > 0].mean() - 0.5
        plain = batch["body"][number].permute(2, 0, 1).float() / 255
        straight = plain[0][:, : SIZE[1] // 2][plain[3][:, : SIZE[1] // 2] > 0].mean() - 0.5
        assert side * straight > 0, flip
    stronger = augmented(batch, slots, config=HeightTaskConfig())
    known = stronger["known"]
    assert known.any() and stronger["height"][known].abs().max() < 1 and not stronger["height"][~known].any()


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGS.glob("*.yaml")))
def test_configs_load_build_and_say_how_to_use_them(name):
    file = CONFIGS / f"{name}.yaml"
    config = load_config(Config, file)
    with torch.device("meta"):
        count = sum(p.numel() for p in HeightNet(config.model).parameters())
    assert count < 2e6  # float16 weights stay below 4 MB
    assert file.read_text().startswith("# ") and f"configs/layered/heights/{name}.yaml" in file.read_text()


def test_it_trains_resumes_and_is_read_back(tmp_path, matches, monkeypatch):
    def run(*more: str) -> None:
        command = ["train_heights.py", "--config", str(CONFIGS / "tiny.yaml"), "--shards", str(matches[1])]
        more = ("-o", str(tmp_path), "--device", "cpu", "--set", "train.tensorboard=false", *more)
        monkeypatch.setattr(sys, "argv", [*command, *more])
        main()

    run("--steps", "2")
    first = load_heights(tmp_path).state_dict()
    run("--steps", "4", "--resume")
    second = load_heights(tmp_path).state_dict()
    assert any(not torch.equal(value, first[name]) for name, value in second.items())
    with pytest.raises(UserError, match="already holds a run"):
        run("--steps", "4")
    with pytest.raises(UserError, match='no section "heights"'):
        load_heights(PRETRAINED / "small")


def test_pictures_are_no_match_samples(tmp_path, matches):
    shards = Shards([matches[0]], match_sample)
    with pytest.raises(UserError, match="no match samples"):
        shards[0]
