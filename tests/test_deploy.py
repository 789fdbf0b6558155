"""Exported graphs and the numpy between them, against the predictor on torch; and that they do without torch."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.oracle import code_photo
from support.sizes import PRESETS

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from bodymap.deploy import OnnxBodyMap, coarse, expansion
from bodymap.deploy.__main__ import main
from bodymap.errors import UserError
from bodymap.export.graphs import export
from bodymap.foreground.refine import guided_coefficients
from bodymap.network import build_model
from bodymap.network.cse import CSEOutput, _embeddings_at, correspondence_image, mask_from_foreground
from bodymap.predictor import BodyMap, PredictorConfig
from bodymap.surface import load_template
from bodymap.upsampling import sample_smooth

CONFIG = PredictorConfig(size=128, coarse_size=96)


def tiny_model() -> BodyMap:
    torch.manual_seed(0)
    return BodyMap(build_model(PRESETS["tiny"], load_template()), load_template(), config=CONFIG)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "tiny"
    differences = export(tiny_model(), folder)
    assert max(differences.values()) < 5e-3
    return folder


@pytest.fixture(scope="module")
def sample():
    return code_photo(160)


def test_the_same_map_as_torch(exported, sample):
    ours = OnnxBodyMap(exported, threads=1).predict(sample.image, sample.foreground)
    theirs = tiny_model().predict(sample.image, sample.foreground)
    assert np.array_equal(ours.mask, theirs.mask) and ours.size == theirs.size
    there = theirs.mask
    for name, tolerance in (("colour", 2), ("confidence", 0.01), ("uv", 0.01)):
        values, truth = (getattr(c, name)[there].astype(float) for c in (ours, theirs))
        # a random network hardly prefers one place to another: rounding decides some pixels
        assert (np.abs(values - truth) <= tolerance).mean() > 0.97, name
    for name in ("triangle", "part", "layer"):
        assert (getattr(ours, name) == getattr(theirs, name))[there].mean() > 0.97, name
    assert np.isnan(ours.uv[~there]).all() and (ours.triangle[~there] == -1).all()


def test_the_coarse_stages_twin(exported):
    """With what stands in an output given, every function between the graphs says what its twin on torch says."""
    model, graphs = tiny_model(), OnnxBodyMap(exported, threads=1).graphs
    random = np.random.default_rng(0)
    vertices = model.net.cse.vertex_embedding().numpy()
    # two halves of unlike places, so that some of the edge is decoded anew
    cells = np.where(np.arange(20)[None, :] < 9, 5, 900) + random.integers(0, 2, (24, 20))
    own, mirrored = vertices[cells].transpose(2, 0, 1), vertices[cells[:, ::-1]].transpose(2, 0, 1)
    logits = np.full((24, 20), -3, np.float32)
    logits[4:20, 3:17] = 4
    theirs = CSEOutput(
        torch.from_numpy(own[None].copy()),
        torch.from_numpy(logits[None, None]),
        torch.zeros(1, 4),
        torch.from_numpy(mirrored[None].copy()),
    )
    ours = coarse.CoarseOutput(own, coarse.sigmoid(logits), mirrored)
    for size in ((96, 80), (128, 96), (24, 20)):
        assert np.allclose(coarse.soft_mask(ours, size), mask_from_foreground(theirs, size)[0, 0], atol=1e-5)
        place = random.integers(0, size[0], 50), random.integers(0, size[1], 50)
        expected = _embeddings_at(theirs, (torch.zeros(50).long(), *map(torch.from_numpy, place)), size)
        for a, b in zip(coarse.embeddings_at(ours, place, size), expected, strict=True):
            assert np.allclose(a, b, atol=1e-4)
        for other, alone in ((ours, theirs), (replace(ours, mirrored=None), replace(theirs, mirrored=None))):
            image = coarse.correspondence_image(graphs, other, size)
            expected = correspondence_image(model.net.cse, alone, size)[0].numpy()
            assert expected[3].any() and (np.abs(image - expected).max(0) < 1e-3).mean() > 0.99


def test_the_expansions_twin():
    random = np.random.default_rng(1)
    image = random.random((3, 21, 17), np.float32)
    rows, columns = (random.random(40, np.float32) * 23 - 1 for _ in range(2))
    expected = sample_smooth(torch.from_numpy(image), torch.from_numpy(rows), torch.from_numpy(columns))
    assert np.allclose(coarse.sample_smooth(image, rows, columns), expected, atol=1e-4)
    matte = (image[0] > 0.4).astype(np.float32)
    expected = guided_coefficients(torch.from_numpy(image), torch.from_numpy(matte), 3)
    assert np.allclose(expansion.guided_coefficients(image, matte, 3), expected, atol=1e-4)


def test_without_torch(exported, sample, tmp_path):
    """A fresh interpreter in which importing torch fails maps a photo, and finds people."""
    Image.fromarray(sample.image).save(tmp_path / "photo.png")
    Image.fromarray(sample.foreground).save(tmp_path / "mask.png")
    program = (
        "import sys\n"
        "for name in ('torch', 'timm', 'kornia', 'safetensors'): sys.modules[name] = None\n"
        "from bodymap.deploy import OnnxBodyMap\n"
        "from bodymap.deploy.__main__ import main\n"
        "from bodymap.photo import read_photo\n"
        "main(sys.argv[1:])\n"
        "OnnxBodyMap(sys.argv[1], threads=1).find(read_photo(sys.argv[2]), everyone=False)\n"
    )
    arguments = [exported, tmp_path / "photo.png", "--mask", tmp_path / "mask.png", "-o", tmp_path / "out"]
    call = [sys.executable, "-c", program, *map(str, arguments), "--threads", "1"]
    done = subprocess.run(call, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["photo.npz", "photo_map.png", "photo_overlay.png"]


def test_what_cannot_be_run(exported, tmp_path):
    with pytest.raises(UserError, match="no exported networks"):
        OnnxBodyMap(tmp_path)
    with pytest.raises(UserError, match="precision"):
        OnnxBodyMap(exported, "float8")
    with pytest.raises(UserError, match="--int8"):
        OnnxBodyMap(exported, "int8")
    for text, word in (("{", "cannot be read"), ("{}", "does not describe"), ('{"format": "bodymap-onnx"}', "version")):
        (tmp_path / "bodymap.json").write_text(text)
        with pytest.raises(UserError, match=word):
            OnnxBodyMap(tmp_path)
    description = json.loads((exported / "bodymap.json").read_text())
    (tmp_path / "bodymap.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"lacks coarse\.onnx"):
        OnnxBodyMap(tmp_path)
    with pytest.raises(UserError, match="one photo"):
        main([str(exported), "a.png", "b.png", "--mask", "m.png", "-o", str(tmp_path / "out")])


def test_what_cannot_be_exported(tmp_path):
    net = build_model(replace(PRESETS["tiny"], cse=None, correspondence=None), load_template())
    with pytest.raises(UserError, match="cannot be exported"):
        export(BodyMap(net, load_template(), config=CONFIG), tmp_path / "x")
    assert not (tmp_path / "x").exists()
