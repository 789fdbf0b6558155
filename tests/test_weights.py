"""Weights: round trip, sources, and every kind of damage answered with one sentence that names the file."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from bodymap import weights
from bodymap.config import save_config
from bodymap.errors import UserError


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    return {f"layer{i}.weight": torch.randn(100, 50, generator=generator) for i in range(8)} | {
        "steps": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "large": torch.tensor([1e6, 1.0]),
    }


@pytest.fixture
def folder(tmp_path, tensors):
    return weights.save_weights(
        tmp_path / "w", tensors, {"model": {"depth": 3}}, {"code_version": "c1"}, max_file=25_000
    )


def test_round_trip_in_float16_and_several_files(folder, tensors):
    files = sorted(folder.glob("*.safetensors"))
    assert [file.name for file in files] == [f"model-{i:05d}-of-00004.safetensors" for i in range(1, 5)]
    assert all(file.stat().st_size < 27_000 for file in files)
    loaded = weights.load(folder, code_version="c1")
    assert loaded.config == {"model": {"depth": 3}} and loaded.metadata["code_version"] == "c1"
    assert set(loaded.tensors) == set(tensors)
    for name, tensor in tensors.items():
        expected = tensor if name in ("steps", "large") else tensor.half()
        assert loaded.tensors[name].dtype == expected.dtype and torch.equal(loaded.tensors[name], expected)


def test_exact_dtype_and_tied_tensors(tmp_path):
    tied = torch.randn(4, 4)
    weights.save_weights(tmp_path / "w", {"a": tied, "b": tied, "c": tied.T}, {}, dtype=None)
    loaded = weights.load(tmp_path / "w").tensors
    assert torch.equal(loaded["a"], tied) and torch.equal(loaded["b"], tied) and torch.equal(loaded["c"], tied.T)


def test_the_same_content_gives_the_same_bytes(tmp_path, tensors):
    saved = [weights.save_weights(tmp_path / name, tensors, {"a": "ü"}, {"k": "é", "b": "1"}) for name in "ab"]
    assert len({(folder / "model.safetensors").read_bytes() for folder in saved}) == 1


def test_saving_twice_replaces_everything(folder, tensors):
    weights.save_weights(folder, {"only": tensors["layer0.weight"]}, {"x": 1})
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "model.safetensors"]
    assert [path.name for path in folder.parent.iterdir()] == ["w"]
    assert list(weights.load(folder).tensors) == ["only"]


def test_sources(tmp_path, monkeypatch, tensors):
    monkeypatch.setattr(weights, "PRESETS", tmp_path / "pretrained")
    (tmp_path / "pretrained").mkdir()
    with pytest.raises(UserError, match="shipped weights .*small are missing"):
        weights.find(None)
    shipped = weights.save_weights(tmp_path / "pretrained" / "small", tensors, {"a": 1})
    assert weights.find(None) == weights.find("small") == shipped
    assert weights.find(shipped / "model.safetensors") == shipped / "model.safetensors"
    with pytest.raises(UserError, match='did you mean "small"'):
        weights.find("smal")
    with pytest.raises(UserError, match="no weights at"):
        weights.find("./no/where")
    # a run folder stands for its weights
    weights.save_weights(tmp_path / "weights", tensors, {"a": 2})
    assert weights.find(tmp_path) == tmp_path / "weights"
    assert weights.read_weights_config(tmp_path) == {"a": 2}


def test_one_file_alone_carries_its_configuration(tmp_path, tensors):
    folder = weights.save_weights(tmp_path / "w", tensors, {"a": 1})
    alone = (folder / "model.safetensors").rename(tmp_path / "mine.safetensors")
    assert weights.load(alone).config == {"a": 1} and weights.read_weights_config(alone) == {"a": 1}


def test_hub_id(monkeypatch, folder):
    import huggingface_hub

    asked = []

    def snapshot_download(repository, revision, allow_patterns):
        asked.append((repository, revision))
        if repository == "user/none":
            raise OSError("404 not found\nmore")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert weights.load("user/name@v1").config == {"model": {"depth": 3}}
    assert asked == [("user/name", "v1")]
    with pytest.raises(UserError, match="user/none.*404 not found$"):
        weights.find("user/none")


def rewrite(file, change):
    with safe_open(file, "pt") as handle:
        metadata = handle.metadata()
    change(metadata)
    save_file(load_file(file), file, metadata)


DAMAGE = {
    "cut": (lambda f: f.write_bytes(f.read_bytes()[:-100]), "00002-of-00004.safetensors .* cut off"),
    "cut to the header": (lambda f: f.write_bytes(f.read_bytes()[:20]), "00002-of-00004.safetensors .* cut off"),
    "empty": (lambda f: f.write_bytes(b""), "00002-of-00004.safetensors .* cut off"),
    "text": (lambda f: f.write_text("<html>not found</html>"), "not a safetensors file"),
    "lfs": (lambda f: f.write_text("version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"),
    "absent": (lambda f: f.unlink(), "lacks model-00002-of-00004.safetensors"),
    "one bit": (lambda f: f.write_bytes(f.read_bytes()[:-1] + bytes([f.read_bytes()[-1] ^ 1])), "damaged"),
    "other format": (lambda f: save_file({"a": torch.zeros(1)}, f), "not one of BodyMap's"),
    "version": (lambda f: rewrite(f, lambda m: m.update(version="9")), "version 9"),
    "other save": (lambda f: rewrite(f, lambda m: m.update(index_digest="0")), "belongs to other weights"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_names_the_file(folder, kind):
    damage, message = DAMAGE[kind]
    damage(folder / "model-00002-of-00004.safetensors")
    with pytest.raises(UserError, match=message) as caught:
        weights.load(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_other_refusals(folder, tmp_path):
    with pytest.raises(UserError, match='colour code "c1".*uses "c2"'):
        weights.load(folder, code_version="c2")
    (tmp_path / "a.pth").write_bytes(b"")
    with pytest.raises(UserError, match="pickle"):
        weights.load(tmp_path / "a.pth")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="not a weights folder"):
        weights.load(tmp_path / "nothing")
    (folder / "config.yaml").write_text("{")
    with pytest.raises(UserError, match="config.yaml is not valid YAML"):
        weights.load(folder)


def test_a_name_in_the_index_that_no_file_holds(tmp_path, tensors):
    folder = weights.save_weights(tmp_path / "w", tensors, {})

    def add(metadata):
        metadata["index"] = json.dumps({**json.loads(metadata["index"]), "gone": "model-x.safetensors"})

    rewrite(folder / "model.safetensors", add)
    with pytest.raises(UserError, match="lacks model-x.safetensors"):
        weights.load(folder)


def test_load_into_reports_and_leaves_the_network_alone():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other = {name: tensor + 1 for name, tensor in state.items()}
    bad = {**other, "0.weight": torch.zeros(5, 2), "extra.x": torch.zeros(1)}
    del bad["1.bias"]
    found = weights.report(model, bad)
    assert found.missing == ("1.bias",) and found.unexpected == ("extra.x",)
    assert found.shapes == {"0.weight": ((3, 2), (5, 2))} and len(str(found).splitlines()) == 3
    with pytest.raises(UserError, match=r"w\.st does not fit.*1 tensors missing \(1.bias\).*extra.x.*0.weight"):
        weights.load_into(model, bad, source="w.st")
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    bad["0.weight"] = other["0.weight"]
    allowed = weights.load_into(model, bad, allow_missing=["1.b*"], allow_unexpected=["extra.*"])
    assert allowed.missing == ("1.bias",)
    assert torch.equal(model[0].weight, other["0.weight"]) and torch.equal(model[1].bias, state["1.bias"])
    assert not weights.load_into(model, {name: tensor.half() for name, tensor in other.items()})
    assert model[1].bias.dtype == torch.float32


def test_config_beside_wins_over_the_copy_in_the_file(folder):
    save_config({"model": {"depth": 9}}, folder / "config.yaml")
    assert weights.load(folder).config["model"]["depth"] == 9


def test_only_some_parts_are_loaded():
    class Net(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.coarse, self.fine = nn.Linear(3, 2), nn.Linear(2, width)

    theirs, net = Net(4).state_dict(), Net(7)
    before = net.fine.weight.clone()
    assert weights.load_parts(net, theirs, ["coarse"]) == 2
    assert torch.equal(net.coarse.weight, theirs["coarse.weight"]) and torch.equal(net.fine.weight, before)
    with pytest.raises(UserError, match="another shape"):
        weights.load_parts(net, theirs, ["coarse", "fine"])
    with pytest.raises(UserError, match='no part "coarser"; there are coarse, fine'):
        weights.load_parts(net, theirs, ["coarser"])
    without = {name: tensor for name, tensor in theirs.items() if not name.startswith("fine")}
    with pytest.raises(UserError, match='these has no part "fine"; there are coarse'):
        weights.load_parts(net, without, ["fine"], source="these")
    # a part is whole or not at all
    with pytest.raises(UserError, match="missing"):
        weights.load_parts(net, {"coarse.weight": theirs["coarse.weight"]}, ["coarse"])
