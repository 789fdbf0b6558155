"""The smallest task there is: a network with dropout and batch norm learns a line from numbered samples."""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn

from bodymap.training.loader import Loader


class Numbers:
    """Sample i is a function of i."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return np.random.default_rng(index).normal(size=4).astype(np.float32)


def stack(samples):
    return {"x": torch.from_numpy(np.stack(samples))}


def jitter(batch, slots):
    """A random transform, seeded by the slot of each sample."""
    noise = [torch.randn(4, generator=torch.Generator().manual_seed(int(slot))) for slot in slots]
    return {**batch, "x": batch["x"] + 0.1 * torch.stack(noise)}


class TinyTask:
    def __init__(self, batch_size=4, workers=0, plain=False, at_step=None, action=None, seed=0):
        torch.manual_seed(5)
        middle = nn.Identity() if plain else nn.Sequential(nn.BatchNorm1d(8), nn.Dropout(0.3))
        self.model = nn.Sequential(nn.Linear(4, 8), middle, nn.Tanh(), nn.Linear(8, 1))
        self.settings = {"batch_size": batch_size, "workers": workers, "seed": seed}
        self.at_step, self.action = at_step, action
        self.seen, self.evaluations, self.previewed = [], 0, []

    def parameter_groups(self):
        return [
            {"params": self.model[0].parameters(), "factor": 0.1},
            {"params": [*self.model[1].parameters(), *self.model[3].parameters()]},
        ]

    def batch_source(self):
        self.source = Loader(Numbers(50), stack, jitter, **self.settings)
        return self.source

    def losses(self, batch, progress):
        self.seen.append((progress.step, batch["slot"].tolist(), progress.fraction))
        x = batch["x"]
        error = (self.model(x)[:, 0] - x.sum(1)).square().mean()
        if self.at_step == progress.step and self.action is not None:
            return self.action(self, error)
        return {"line": error, "size": 1e-3 * self.model[3].weight.square().sum(), "metric_worst": x.abs().max()}

    def previews(self, batch):
        assert not self.model.training
        self.previewed.append(batch["x"].clone())
        return {"sheet": np.zeros((4, 6, 3), np.uint8)}

    def weights_config(self):
        return {"model": {"width": 8}}

    def weights_metadata(self):
        return {"code_version": "tiny"}

    def evaluate(self):
        self.evaluations += 1
        return {"score": float(self.model[3].weight.sum())}


def spread_on_the_cpu():
    """Accelerate takes FSDP for what it is on GPUs only; torch's own knows the CPU, so its state is told otherwise."""
    from accelerate import Accelerator, FullyShardedDataParallelPlugin
    from accelerate.utils import DistributedType

    from bodymap.training import loop

    def accelerator(**settings):
        plugin = FullyShardedDataParallelPlugin(fsdp_version=2, cpu_ram_efficient_loading=False)
        made = Accelerator(**settings, fsdp_plugin=plugin)
        made.state._shared_state.update(distributed_type=DistributedType.FSDP, fsdp_plugin=plugin)
        return made

    loop.Accelerator = accelerator


# run by the tests in processes of its own: tiny_task.py FOLDER STEPS BATCH ACCUMULATE [resume] [fsdp] [bfloat16]
if __name__ == "__main__":
    from bodymap.errors import run_command
    from bodymap.training.loop import train
    from bodymap.training.settings import TrainConfig

    folder, steps, batch_size, accumulate = sys.argv[1], *map(int, sys.argv[2:5])
    config = TrainConfig(
        steps=steps, batch_size=batch_size, accumulate=accumulate, device="cpu", warmup_steps=2, rate=1e-2, threads=1,
        preview_minutes=0, tensorboard=False, log_steps=1, save_minutes=1e-9,
        precision="bfloat16" if "bfloat16" in sys.argv else "float32",
    )  # fmt: skip
    if "fsdp" in sys.argv:
        spread_on_the_cpu()
    run_command(lambda: train(TinyTask(batch_size, plain=True), config, folder, resume="resume" in sys.argv) and 0)
