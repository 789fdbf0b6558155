"""Picture measures, against cases worked out by hand."""

import math

import numpy as np
import pytest
import torch

from bodymap.errors import UserError
from bodymap.metrics import image


@pytest.fixture
def picture():
    return torch.rand(3, 40, 36, generator=torch.Generator().manual_seed(0))


def test_psnr_by_hand(picture):
    assert image.psnr(picture, picture) == math.inf
    assert image.psnr(torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.1)) == pytest.approx(20, abs=1e-4)
    region = torch.zeros(40, 36, dtype=torch.bool)
    region[:20] = True
    spoilt = picture.clone()
    spoilt[:, 20:] += 0.5
    assert image.psnr(spoilt, picture, region) == math.inf
    assert image.psnr(spoilt, picture, ~region) == pytest.approx(10 * math.log10(4), abs=1e-4)
    assert math.isnan(image.psnr(picture, picture, torch.zeros_like(region)))


def test_ssim_of_equal_and_of_constant_pictures(picture):
    assert image.ssim(picture, picture) == pytest.approx(1)
    # two flat pictures: structure 1, luminance (2ab + c1) / (a^2 + b^2 + c1)
    flat = [torch.full((3, 16, 16), value) for value in (0.2, 0.6)]
    c1 = 0.01**2
    assert image.ssim(*flat) == pytest.approx((2 * 0.2 * 0.6 + c1) / (0.2**2 + 0.6**2 + c1), abs=1e-5)
    # the negative of a picture about its mean is the opposite structure
    assert image.ssim(picture, 1 - picture) < 0


def test_ssim_against_the_slow_definition(picture):
    other = (picture + 0.2 * torch.rand(3, 40, 36, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    x, y = picture.double().numpy(), other.double().numpy()
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    row, column = 7, 9
    values = []
    for channel in range(3):
        a, b = (p[channel, row : row + 11, column : column + 11] for p in (x, y))
        ma, mb = (window * a).sum(), (window * b).sum()
        va, vb, cov = (window * a * a).sum() - ma**2, (window * b * b).sum() - mb**2, (window * a * b).sum() - ma * mb
        c1, c2 = 0.01**2, 0.03**2
        values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    assert image.ssim_map(picture, other).shape == (30, 26)
    assert float(image.ssim_map(picture, other)[row, column]) == pytest.approx(np.mean(values), abs=1e-6)


def test_ssim_of_a_region_and_of_too_little(picture):
    spoilt = picture.clone()
    spoilt[:, 30:] = 0
    region = torch.zeros(40, 36, dtype=torch.bool)
    region[:20] = True
    assert image.ssim(spoilt, picture, region) == pytest.approx(1)
    assert image.ssim(spoilt, picture) < 0.95
    assert math.isnan(image.ssim(picture[:, :10], picture[:, :10]))


def test_by_region(picture):
    region = torch.ones(40, 36, dtype=torch.bool)
    assert image.by_region(image.psnr, picture, picture, {"face": region}) == {"whole": math.inf, "face": math.inf}


def random_lpips(path, net="alex"):
    """A file of the right shape with random weights, in torchvision's names."""
    import re

    import lpips
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = lpips.LPIPS(net=net, verbose=False, pretrained=False, pnet_rand=True)
    names = {k: re.sub(r"^net\.slice\d\.", "features.", k) for k in model.state_dict() if k.startswith(("net.", "lin"))}
    state = {name: model.state_dict()[k].abs().half() for k, name in names.items() if not k.startswith("lins.")}
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return state


@pytest.mark.filterwarnings("ignore")
def test_lpips_from_a_file_downloads_nothing(picture, tmp_path):
    path = tmp_path / "lpips.safetensors"
    state = random_lpips(path)
    assert image.lpips_distance(picture, picture, weights=path) == 0
    region = torch.zeros(40, 36, dtype=torch.bool)
    region[:10] = True
    whole = image.lpips_distance(picture, 1 - picture, weights=path)
    assert whole > 0 and math.isfinite(image.lpips_distance(picture, 1 - picture, region, weights=path))
    loaded = image.lpips_network("alex", path).state_dict()
    assert torch.equal(loaded["net.slice1.0.weight"], state["features.0.weight"].float())
    assert math.isnan(image.lpips_distance(picture[:, :20], picture[:, :20], weights=path))


@pytest.mark.filterwarnings("ignore")
def test_lpips_refuses_another_file(tmp_path):
    from safetensors.torch import save_file

    picture = torch.zeros(3, 40, 40)
    wrong, broken = tmp_path / "wrong.safetensors", tmp_path / "broken.safetensors"
    save_file({"a": torch.zeros(1)}, wrong)
    broken.write_bytes(b"nothing")
    for path in (wrong, broken):
        with pytest.raises(UserError, match=path.stem):
            image.lpips_distance(picture, picture, weights=path)
