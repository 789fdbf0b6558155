"""Times what training spends beside the network: reading shards, augmentation, averaging, saving, the loop itself.

    python -m benchmarks.training [--device cpu] [--batch 12] [--shards DIR]

Without --shards the pictures are random numbers of the same format (which compresses nothing and reads the same).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bodymap.data.augment import Augment
from bodymap.data.batch import expand, stack
from bodymap.data.settings import AugmentConfig
from bodymap.data.shards import ShardDataset, ShardSettings, write_shards
from bodymap.surface import load_template
from bodymap.training.average import Average
from bodymap.training.loader import Loader
from bodymap.training.loop import train
from bodymap.training.settings import TrainConfig

SIZE = (256, 192)


class Idle:
    """A task of 10 M parameters whose losses cost nothing."""

    def __init__(self, loader: Loader) -> None:
        self.model = nn.Sequential(*(nn.Linear(1000, 1000) for _ in range(10)))
        self.loader = loader

    def parameter_groups(self):
        return [{"params": self.model.parameters()}]

    def batch_source(self):
        return self.loader

    def losses(self, batch, progress):
        return {"none": sum(parameter.sum() for parameter in self.model.parameters())}

    def weights_config(self):
        return {}


def random_sample(index: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(index)
    inside = np.zeros(SIZE, bool)
    inside[40:-20, 60:-60] = True
    return {
        "image": rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        "triangle": np.where(inside, rng.integers(0, 26000, SIZE), -1).astype(np.int16),
        "barycentric": (rng.integers(0, 128, (*SIZE, 2)) * inside[..., None]).astype(np.uint8),
        "layer": inside.astype(np.int8),
        "facing": np.float32(0),
    }


def clock(device: torch.device, repeat: int, work) -> float:
    """Mean seconds of ``work(i)``, after one warming up; of processor time on a CPU, which others may share."""
    now = time.perf_counter if device.type == "cuda" else time.process_time
    work(0)
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = now()
    for i in range(repeat):
        work(i + 1)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (now() - began) / repeat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--shards", help="folder of bodymap.data.shards (default: random numbers)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device, count = torch.device(arguments.device), arguments.batch

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.shards or temporary)
        if not arguments.shards:
            write_shards(random_sample, 256, folder, ShardSettings(size=SIZE))
        data = ShardDataset(folder)
        rng = np.random.default_rng(0)
        read = clock(
            torch.device("cpu"), 20, lambda i: stack([data[int(k)] for k in rng.integers(0, len(data), count)])
        )
        print(f"read and stack        {1e3 * read / count:8.2f} ms a sample")

        batch = {name: tensor.to(device) for name, tensor in stack([data[i] for i in range(count)]).items()}
        augment = Augment(AugmentConfig(), load_template())
        spent = clock(device, 10, lambda i: augment(batch, torch.arange(count) + i * count))
        print(f"augment to 224 x 160  {1e3 * spent / count:8.2f} ms a sample ({device.type})")
        spent = clock(device, 10, lambda i: expand(batch))
        print(f"expand                {1e3 * spent / count:8.2f} ms a sample ({device.type})")

        task = Idle(Loader(data, stack, batch_size=2))
        task.model.to(device)
        average = Average(task.model, 0.999)
        spent = clock(device, 10, lambda i: average.update(task.model))
        print(f"average               {1e3 * spent:8.2f} ms, 10 M parameters")

        run = Path(temporary) / "run"
        config = TrainConfig(
            steps=200,
            device="cpu" if device.type == "cpu" else "auto",
            batch_size=2,
            preview_minutes=0,
            tensorboard=False,
        )
        began = time.perf_counter()
        outcome = train(task, config, run, quiet=True)
        print(f"loop, 10 M parameters {1e3 * 60 * outcome.state.minutes / outcome.state.step:8.2f} ms a step")
        print(f"start and final save  {time.perf_counter() - began - 60 * outcome.state.minutes:8.2f} s")


if __name__ == "__main__":
    main()
