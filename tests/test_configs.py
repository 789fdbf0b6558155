"""Every configuration in configs/ loads, builds on no memory at all, and counts its parameters."""

from pathlib import Path

import pytest
import torch

from bodymap.config import from_dict, load_config
from bodymap.network import build_model
from bodymap.surface import load_template
from bodymap.train import Config

FOLDER = Path(__file__).parents[1] / "configs" / "bodymap"
# millions of parameters; huge is the paper's (about 600)
RANGES = {
    "tiny": (0.1, 2),
    "ablation": (10, 20),
    "small": (10, 20),
    "base": (20, 60),
    "large": (150, 350),
    "huge": (550, 680),
}


def test_every_file_is_listed():
    assert {file.stem for file in FOLDER.glob("*.yaml")} == set(RANGES)


@pytest.mark.parametrize("name", RANGES)
def test_it_loads_builds_and_says_how_to_use_it(name):
    file = FOLDER / f"{name}.yaml"
    config = load_config(Config, file)
    template = load_template()
    with torch.device("meta"):
        net = build_model(config.model, template)
    millions = sum(p.numel() for p in net.parameters()) / 1e6
    low, high = RANGES[name]
    assert low < millions < high, millions
    assert file.read_text().startswith("# ") and f"configs/bodymap/{name}.yaml" in file.read_text()
    from bodymap.task import TaskConfig

    from_dict(TaskConfig, config.task, "task")


LAUNCHES = sorted((FOLDER.parent / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("file", LAUNCHES, ids=lambda file: file.name)
def test_accelerate_takes_it(file):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(file))
    assert config.num_processes >= config.num_machines >= 1
    assert f"configs/accelerate/{file.name}" in file.read_text()


def test_the_launcher_asks_for_the_sharding_that_the_loop_knows(monkeypatch):
    """What ``accelerate launch`` makes of fsdp.yaml: the environment that its plugin reads."""
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    file = str(FOLDER.parent / "accelerate" / "fsdp.yaml")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    arguments = launch_command_parser().parse_args(["--config_file", file, "--num_processes", "2", "train.py"])
    arguments, *_ = _validate_launch_command(arguments)
    environment = prepare_multi_gpu_env(arguments)
    assert arguments.use_fsdp and environment["ACCELERATE_USE_FSDP"] == "true"
    monkeypatch.setattr("os.environ", environment)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True and not plugin.cpu_ram_efficient_loading
    assert plugin.auto_wrap_policy is None
