"""Configuration: files, inheritance, the command line, and what a mistake answers."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Literal

import pytest

from bodymap.config import (
    add_config_arguments,
    config_from_arguments,
    from_dict,
    load_config,
    read_yaml,
    save_config,
    to_dict,
)
from bodymap.errors import UserError


@dataclass(frozen=True)
class ModelConfig:
    depth: int = 4
    rate: float = 0.5
    size: tuple[int, int] = (224, 160)
    stages: tuple[int, ...] = (1, 2)
    kind: Literal["vit", "resnet"] = "vit"
    name: str = "small"
    start: str | None = None
    frozen: bool = False
    weights: dict[str, float] = field(default_factory=lambda: {"a": 1.0})

    def __post_init__(self):
        if self.depth < 1:
            raise ValueError("depth must be at least 1.")


@dataclass(frozen=True)
class TrainConfig:
    steps: int | None = field(default=None, metadata={"help": "optimiser steps"})


@dataclass(frozen=True)
class Config:
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def write(path, text):
    path.write_text(text)
    return path


def test_file_base_and_overrides_win_in_order(tmp_path):
    write(tmp_path / "base.yaml", "model: {depth: 2, rate: 1e-3, weights: {b: 2}}\ntrain: {steps: 10}\n")
    (tmp_path / "sub").mkdir()
    path = write(tmp_path / "sub" / "own.yaml", "base: ../base.yaml\nmodel: {depth: 3, size: [64, 32]}\n")
    config = load_config(Config, path, ["model.size=96,64", "model.start=null", "model.weights.b=7"])
    assert config.model.depth == 3 and config.model.rate == 1e-3 and config.train.steps == 10
    assert config.model.size == (96, 64) and config.model.weights == {"b": 7.0}


@pytest.mark.parametrize(
    ("override", "attribute", "expected"),
    [
        ("model.name=123", "name", "123"),
        ("model.start=12", "start", "12"),
        ("model.frozen=true", "frozen", True),
        ("model.rate=3e-4", "rate", 3e-4),
        ("model.depth=1e1", "depth", 10),
        ("model.stages=5", "stages", (5,)),
        ("model.stages=[]", "stages", ()),
        ("model.kind=resnet", "kind", "resnet"),
    ],
)
def test_command_line_values_take_the_field_type(override, attribute, expected):
    value = getattr(load_config(Config, None, [override]).model, attribute)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {dpeth: 3}", 'unknown key "model.dpeth"; did you mean "depth"?'),
        ("depth: 3", 'unknown key "depth"; did you mean "model.depth"?'),
        ("dpeth: 3", 'unknown key "dpeth"; did you mean "model.depth"?'),
        ("model: {zzz: 3}", 'unknown key "model.zzz"; known here: depth'),
        ("model: {depth: many}", "\"model.depth\" must be a whole number, not 'many'"),
        ("model: {depth: 1.5}", '"model.depth" must be a whole number'),
        ("model: {depth: true}", '"model.depth" must be a whole number'),
        ("model: {frozen: 1}", '"model.frozen" must be true or false'),
        ("model: {name: 5}", '"model.name" must be text'),
        ("model: {size: [1, 2, 3]}", '"model.size" must be a list of 2 values'),
        ("model: {size: [1, x]}", '"model.size[1]" must be a whole number'),
        ("model: {kind: resnt}", 'did you mean "resnet"?'),
        ("model: 3", '"model" is a section'),
        ("model: {depth: 0}", "model: depth must be at least 1"),
        ("model: {depth: 3, depth: 4}", 'the key "depth" is given twice'),
        ("- 1", "must hold keys and values"),
        ("model: {", "not valid YAML"),
        ("model: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("base: nowhere.yaml", "nowhere.yaml does not exist"),
        ("base: own.yaml", "circle"),
    ],
)
def test_mistakes_in_a_file_name_file_and_field(tmp_path, text, message):
    path = write(tmp_path / "own.yaml", text)
    with pytest.raises(UserError) as caught:
        load_config(Config, path)
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("override", ["model.dpeth=3", "model.depth", "model.depth.x=1", "=3", "model=3"])
def test_mistakes_on_the_command_line(override):
    with pytest.raises(UserError, match="--set"):
        load_config(Config, None, [override])


def test_saved_configuration_loads_back_equal(tmp_path):
    config = load_config(Config, None, ["model.size=64,32", "model.rate=1e-7", "train.steps=5"])
    save_config(config, tmp_path / "config.yaml")
    assert load_config(Config, tmp_path / "config.yaml") == config
    assert from_dict(Config, to_dict(config)) == config
    assert read_yaml(tmp_path / "config.yaml")["model"]["size"] == [64, 32]


def test_values_inside_an_untyped_section_are_read_and_saved(tmp_path):
    @dataclass(frozen=True)
    class Loose:
        task: dict = field(default_factory=dict)

    Loose.__annotations__ = {"task": dict}
    config = load_config(Loose, None, ["task.rate=0.75", "task.inputs.own=0.5", "task.inputs.name=wide"])
    assert config.task == {"rate": 0.75, "inputs": {"own": 0.5, "name": "wide"}}
    save_config(config, tmp_path / "config.yaml")
    assert load_config(Loose, tmp_path / "config.yaml") == config


def test_flags_carry_help_and_stand_below_set(tmp_path):
    parser = argparse.ArgumentParser()
    add_config_arguments(parser, Config, {"--steps": "train.steps"})
    assert "optimiser steps" in parser.format_help()
    path = write(tmp_path / "own.yaml", "train: {steps: 1}")
    arguments = parser.parse_args(["--config", str(path), "--steps", "7"])
    assert config_from_arguments(Config, arguments).train.steps == 7
    arguments = parser.parse_args(["--steps", "7", "--set", "train.steps=9"])
    assert config_from_arguments(Config, arguments).train.steps == 9
    with pytest.raises(UserError, match='"train.steps" must be'):
        config_from_arguments(Config, parser.parse_args(["--steps", "many"]))


def test_missing_required_key():
    @dataclass
    class Needs:
        a: int
        b: int = 1

    Needs.__annotations__ = {"a": int, "b": int}
    with pytest.raises(UserError, match='"a" is missing'):
        from_dict(Needs, {"b": 2})


def test_configuration_modules_do_not_import_torch():
    code = (
        "import sys, bodymap.config, bodymap.training.settings, bodymap.data.settings, bodymap.weights;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
