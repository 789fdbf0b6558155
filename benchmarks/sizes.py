"""The network's sizes as configs/bodymap/*.yaml give them."""

from __future__ import annotations

from pathlib import Path

from bodymap.config import load_config
from bodymap.train import Config

SIZES = {
    file.stem: load_config(Config, file).model
    for file in sorted((Path(__file__).parents[1] / "configs" / "bodymap").glob("*.yaml"))
}
