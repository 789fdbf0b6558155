"""Held-out people with exact maps: whoever is shown in their own picture is shown as they are."""

import math

import pytest
import torch

from apps.rerender import people_measures
from apps.rerender.evaluate import nearest_fill
from apps.rerender.people_measures import measure_people
from apps.rerender.renderer import RendererConfig, RendererNet
from apps.rerender.views import photograph_twice
from bodymap.people import Pack

REGIONS = ("whole", "person", "face", "hands", "seen", "completed")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """LPIPS would have to be downloaded; here its place is taken by the mean difference."""

    def difference(one, other, region=None, weights=None):
        error = (one - other).abs().mean(0)
        return float((error if region is None else error[region]).mean())

    monkeypatch.setattr(people_measures, "lpips_distance", difference)


@pytest.fixture(scope="module")
def pack():
    return Pack.load(None)


def test_each_way_and_region_has_its_figures(pack):
    renderer = RendererNet(RendererConfig(channels=(8, 8), texture_channels=(8,), size=64)).eval()
    done = []
    figures = measure_people(pack, 1, {"nearest": nearest_fill}, renderer=renderer, progress=done.append)
    assert list(figures) == ["warp only", "nearest", "rendered"] and done == [0]
    for row in figures.values():
        assert set(row) == {f"{region} {name}" for region in REGIONS for name in ("psnr", "ssim", "lpips")}
        # the surroundings are the picture's own
        assert row["whole psnr"] > row["person psnr"] + 1
    plain, rendered = figures["nearest"], figures["rendered"]
    assert plain["completed lpips"] < figures["warp only"]["completed lpips"]
    assert abs(plain["seen psnr"] - figures["warp only"]["seen psnr"]) < 0.5
    # one that has learned nothing changes nothing
    assert all(abs(plain[k] - rendered[k]) < 0.02 or math.isnan(plain[k]) for k in plain)


def test_a_picture_shown_in_itself_is_itself(pack, monkeypatch):
    def twice_the_same(*of):
        pictures, normals = photograph_twice(*of)
        return [pictures[0], pictures[0]], normals

    monkeypatch.setattr(people_measures, "photograph_twice", twice_the_same)
    figures = measure_people(pack, 1, {"grey": lambda partial: torch.full_like(partial.colour, 0.5)})
    assert figures["warp only"]["seen psnr"] > 24 and figures["warp only"]["seen lpips"] < 0.05
    assert figures["grey"]["seen psnr"] < figures["warp only"]["seen psnr"] - 5
