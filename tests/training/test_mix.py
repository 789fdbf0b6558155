"""Weights between two runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bodymap.errors import UserError
from bodymap.training.mix import main, mix
from bodymap.weights import load, save_weights


def saved(folder: Path, value: float, width: int = 3) -> Path:
    tensors = {"a.weight": torch.full((2, width), value), "a.steps": torch.tensor(int(value))}
    return save_weights(folder, tensors, {"model": {"width": width}}, {"code_version": "v"}, dtype=None)


def test_the_mix_lies_on_the_line_between_them(tmp_path: Path) -> None:
    before, after = saved(tmp_path / "before", 1.0), saved(tmp_path / "after", 5.0)
    assert main([str(before), str(after), "--share", "0.75", "-o", str(tmp_path / "mixed")]) == 0
    mixed = load(tmp_path / "mixed")
    assert torch.equal(mixed.tensors["a.weight"], torch.full((2, 3), 4.0))
    assert int(mixed.tensors["a.steps"]) == 5
    assert mixed.metadata["code_version"] == "v"
    assert mixed.config == load(after).config


def test_bad_input(tmp_path: Path) -> None:
    before, after = saved(tmp_path / "before", 1.0), saved(tmp_path / "after", 5.0, width=4)
    with pytest.raises(UserError, match="different networks"):
        mix(before, after, 0.5, tmp_path / "mixed")
    with pytest.raises(UserError, match="--share"):
        main([str(before), str(before), "--share", "1.5", "-o", str(tmp_path / "mixed")])
