"""The network's sizes as configs/bodymap/*.yaml give them."""

from pathlib import Path

from bodymap.config import load_config
from bodymap.network.config import ModelConfig
from bodymap.train import Config

_FOLDER = Path(__file__).parents[2] / "configs" / "bodymap"
PRESETS: dict[str, ModelConfig] = {
    file.stem: load_config(Config, file).model for file in sorted(_FOLDER.glob("*.yaml"))
}
