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
