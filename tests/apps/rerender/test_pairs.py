"""Pairs of photographs with an oracle in the network's place: a photo onto itself shows what it has shown."""

import pytest
from PIL import Image
from support.oracle import Oracle, code_photo

from apps.rerender import evaluate
from apps.rerender.renderer import RendererConfig, RendererNet
from bodymap import BodyMap, UserError
from bodymap.metrics import image
from bodymap.predictor import PredictorConfig
from bodymap.surface import load_template


@pytest.fixture
def photo(tmp_path, monkeypatch):
    model = BodyMap(Oracle(), load_template(), config=PredictorConfig(size=224, coarse_size=160))
    monkeypatch.setattr(BodyMap, "from_pretrained", classmethod(lambda cls: model))
    monkeypatch.setattr(image, "lpips_distance", lambda a, b, region, weights=None: float((a - b).abs().mean()))
    Image.fromarray(code_photo(240, 0.3).image).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_photo_laid_onto_itself_is_itself(photo):
    renderer = RendererNet(RendererConfig(channels=(8, 8), texture_channels=(8,), size=64)).eval()
    figures = evaluate.measure_pairs([str(photo)] * 2, renderer=renderer)
    assert list(figures) == ["warp only", "nearest", "smooth", "symmetry+smooth", "rendered"]
    assert figures["symmetry+smooth"]["psnr"] > 24
    assert figures["symmetry+smooth"]["psnr"] >= figures["warp only"]["psnr"]
    # one that has learned nothing changes nothing
    assert figures["rendered"]["psnr"] == pytest.approx(figures["symmetry+smooth"]["psnr"], abs=0.2)


def test_odd_numbers_are_refused(photo):
    with pytest.raises(UserError, match="even number"):
        evaluate.measure_pairs([str(photo)] * 3)
